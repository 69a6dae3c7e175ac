//! Goal: what was promised is sent until a receipt proves it, once in effect, within every limit, whatever the store and
//! the quota service do, and wherever the process ends.
//!
//! Method: whole hooks on the bench (`bench.rs`), with scripted failures. Crash tests end the process after each message
//! in turn. Each protection is also taken away, to see that the test would notice. `storms.rs` draws its failures at random.

#![expect(clippy::unchecked_time_subtraction, reason = "differences of constants that are in order")]

use std::time::Duration;

use hookproof_core::admission::VisitAnswer;
use hookproof_core::audit::AuditEvent;
use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::{ConfigError, DeliveryConfig};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::hook::{Hook, HookConfig, HookConfigError};
use hookproof_core::identity::UserHandle;
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::store::{First, GrantState};
use hookproof_core::time::Instant;
use hookproof_core::upstream::{Answer, Ask, Body, Capability, NotSent};

use super::bench::{
    Bench, CLOCK_ERROR, Fate, Handling, STORE_ORIGIN, TIMED_OUT, WITH_KEYS, config, everyone_is_treated, only, status,
    status_after,
};

/// How long an idle process waits before it looks again.
const SWEEP: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const LEASE: Duration = Duration::from_secs(30);
const BACKOFF_CAP: Duration = Duration::from_secs(60);

fn bench(capability: Capability) -> Bench {
    let mut bench = Bench::new(config(capability), 1);
    bench.settle_down();
    bench
}

/// A bench whose only user is in doubt: the first request was executed and its answer lost.
fn bench_in_doubt(capability: Capability) -> Bench {
    let mut bench = bench(capability);
    bench.service.script.push_back(Handling::ApplyAndLose);
    bench.visit(0, 0);
    bench.settle_down();
    assert_eq!(bench.service.applied(0), 1);
    bench
}

/// The one reason of the one parked grant, with its last answer.
fn parked(bench: &Bench) -> (ParkReason, Option<AnswerClass>) {
    let evidence: Vec<_> = bench.image.parked().map(|(_, evidence)| (evidence.reason, evidence.answer)).collect();
    assert_eq!(evidence.len(), 1);
    evidence[0]
}

#[test]
fn a_treated_visit_is_recorded_and_granted_once() {
    let mut bench = bench(WITH_KEYS);
    bench.visit(0, 0);
    bench.visit(0, 0);
    bench.settle_down();
    let treatment = VariantIndex::new(1);
    let recorded = |first, state| VisitAnswer::Recorded { variant: treatment, first, grant: Some(state) };
    // The claim goes before the second visit, which waited for the first one's commit.
    let expected = [recorded(First::Exposure, GrantState::Pending), recorded(First::Known, GrantState::Claimed)];
    assert_eq!(bench.answers, expected);
    assert_eq!(bench.event_count(|event| matches!(event, AuditEvent::Exposed { .. })), 1);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn no_more_is_claimed_than_there_are_free_slots() {
    let mut bench = bench(WITH_KEYS);
    bench.holds_sends = true;
    bench.visit_all(0, 20);
    bench.settle_down();
    assert_eq!(bench.held.len(), 4, "LOAD-1");
    assert_eq!(bench.image.counts().claimed, 4, "nothing is claimed that cannot be sent");
    bench.answer(0, status(500));
    assert_eq!((bench.held.len(), bench.image.counts().claimed), (4, 4));
}

#[test]
fn successes_widen_the_limit_and_timeouts_narrow_it() {
    let mut bench = bench(WITH_KEYS);
    bench.holds_sends = true;
    bench.visit_all(0, 100);
    bench.settle_down();
    for _ in 0..5 {
        bench.answer(0, status(200));
    }
    assert_eq!(bench.held.len(), 5);
    for _ in 0..2 {
        bench.answer(0, TIMED_OUT);
    }
    assert_eq!(bench.held.len(), 4);
}

#[test]
fn a_timeout_is_repeated_with_the_same_key_until_a_receipt_comes() {
    let mut bench = bench(WITH_KEYS);
    bench.service.script = [Handling::ApplyAndLose, Handling::Answer(TIMED_OUT), Handling::ApplyAndLose].into();
    bench.visit(0, 0);
    bench.run_for(MINUTE);
    let sends = bench.sends_of(0);
    assert_eq!(sends.iter().map(|request| request.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(sends.iter().all(|request| request.key == request.grant), "GRANT-1: one key for all attempts");
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
    assert!(is_idle(&bench, 0), "nothing is left to do");
}

#[test]
fn in_doubt_nothing_is_sent_that_could_execute_after_the_window() {
    // A key lasts 600 s, a request 5 s, the store's clock errs by half a second to either side: 594 s after the claim it is over.
    for (pause_s, sends) in [(593, 2), (594, 1)] {
        let mut bench = bench_in_doubt(Capability::IdempotencyKey { ttl: Duration::from_secs(600) });
        bench.crash(0);
        bench.freeze_for(Duration::from_secs(pause_s));
        bench.start(0);
        bench.run_for(HOUR);
        assert_eq!(bench.sends.len(), sends, "GRANT-4: {pause_s} s after the first claim");
        assert_eq!(bench.service.applied(0), 1);
        if sends == 1 {
            assert_eq!(parked(&bench), (ParkReason::WindowClosed, None));
        }
    }
}

#[test]
fn a_retry_after_beyond_the_window_parks_the_grant_in_doubt() {
    let mut bench = bench(Capability::IdempotencyKey { ttl: Duration::from_secs(1_800) });
    bench.service.script.push_back(Handling::Answer(status_after(503, HOUR)));
    bench.visit(0, 0);
    bench.run_for(2 * HOUR);
    assert_eq!(bench.sends.len(), 1, "GRANT-4");
    assert_eq!(parked(&bench).0, ParkReason::WindowClosed);
}

#[test]
fn a_grant_that_cannot_have_been_applied_needs_no_window() {
    let mut bench = bench(Capability::IdempotencyKey { ttl: Duration::from_secs(1_800) });
    bench.service.script.push_back(Handling::Answer(status_after(429, HOUR)));
    bench.visit(0, 0);
    bench.run_for(2 * HOUR);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn nothing_is_sent_under_a_lease_that_may_end_before_the_attempt() {
    let latest = LEASE - config(WITH_KEYS).attempt_timeout - 2 * CLOCK_ERROR;
    // The store's reply waits for the process until the last moment, and sending is still safe.
    let mut bench = claimed_and_heard_after(latest - Duration::from_nanos(1));
    bench.settle_down();
    assert_eq!(bench.sends.len(), 1);
    // It waits a moment longer.
    let mut bench = claimed_and_heard_after(latest);
    while bench.event_count(|event| matches!(event, AuditEvent::Released { .. })) == 0 {
        assert!(bench.step(), "GRANT-5: the late claim is released");
    }
    assert_eq!(bench.sends.len(), 0);
    bench.run_for(MINUTE);
    assert_eq!(bench.sends_of(0).iter().map(|request| request.attempt).collect::<Vec<_>>(), [1]);
    assert_eq!(bench.state(0), Some(GrantState::Delivered));
}

/// A grant is claimed, and its process hears of it this much later.
fn claimed_and_heard_after(wait: Duration) -> Bench {
    let mut bench = bench(WITH_KEYS);
    bench.visit(0, 0);
    while bench.state(0) != Some(GrantState::Claimed) {
        assert!(bench.step(), "the grant is claimed");
    }
    bench.pause(0);
    bench.freeze_for(wait);
    bench.resume(0);
    bench
}

/// A process hears of its claim late.
///
/// 1. The first process claims, and hears of it so late that the attempt may outlast the lease.
/// 2. The service is slow.
/// 3. The lease ends, and the second process claims.
#[test]
fn no_request_is_under_way_when_another_process_takes_the_grant_over() {
    let mut config = config(WITH_KEYS);
    config.fleet.max_in_flight = 1;
    let mut bench = Bench::new(config.clone(), 2);
    bench.holds_sends = true;
    bench.visit(0, 0);
    while bench.state(0) != Some(GrantState::Claimed) {
        assert!(bench.step(), "the grant is claimed");
    }
    bench.pause(0);
    bench.freeze_for(LEASE - config.attempt_timeout + SECOND);
    bench.resume(0);
    bench.settle_down();
    // What the first sent now could be under way for as long as an attempt may take; the second's turn comes a second before.
    let sent_at = bench.now();
    bench.visit(1, 1);
    bench.run_for(config.attempt_timeout - Duration::from_nanos(1));
    let sent_in_time = bench.sends.iter().filter(|(at, ..)| *at >= sent_at).count();
    assert_eq!((bench.held.len(), sent_in_time), (1, 1), "LOAD-1: two requests under way with room for one");
}

#[test]
fn a_lease_that_leaves_no_time_for_the_stores_reply_is_refused() {
    let with = |clock_error| {
        let delivery = DeliveryConfig { clock_error, ..config(WITH_KEYS) };
        let config = HookConfig { delivery, committer: CommitterConfig::default() };
        Hook::new(only(everyone_is_treated()), config).map(|_| ())
    };
    // 30 s − 5 s − 100 ms, half of which is 12.45 s.
    assert_eq!(with(Duration::from_millis(12_450)), Ok(()));
    let refused = Err(HookConfigError::Delivery(ConfigError::Lease));
    assert_eq!(with(Duration::from_millis(12_450) + Duration::from_nanos(1)), refused);
    assert_eq!(with(Duration::MAX), refused);
}

#[test]
fn retry_after_pauses_the_lane_and_is_a_lower_bound() {
    let mut bench = bench(WITH_KEYS);
    bench.service.script.push_back(Handling::Answer(status_after(429, 2 * MINUTE)));
    bench.visit(0, 0);
    bench.run_for(SECOND);
    bench.visit(0, 1);
    bench.run_for(2 * MINUTE - SECOND - Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 1, "the pause is for everybody");
    let until = Instant::ORIGIN + 2 * MINUTE;
    assert!(bench.events.contains(&AuditEvent::LanePaused { until }));
    bench.run_for(BACKOFF_CAP);
    assert_eq!(bench.count(2, GrantState::Delivered), 2);
}

#[test]
fn retry_after_is_believed_for_an_hour_and_no_longer() {
    for asked in [HOUR, Duration::MAX] {
        let mut bench = bench(WITH_KEYS);
        bench.service.script.push_back(Handling::Answer(status_after(503, asked)));
        bench.visit(0, 0);
        bench.run_for(HOUR - Duration::from_nanos(1));
        assert_eq!(bench.sends.len(), 1);
        bench.run_for(BACKOFF_CAP);
        assert_eq!(bench.state(0), Some(GrantState::Delivered));
    }
}

#[test]
fn a_retry_after_that_one_process_heard_holds_the_other_too() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.service.script.push_back(Handling::Answer(status_after(429, 2 * MINUTE)));
    bench.visit(0, 0);
    bench.run_for(SECOND);
    bench.visit(1, 1);
    bench.run_for(2 * MINUTE - SECOND - Duration::from_nanos(1));
    assert_eq!((bench.sends_of(0).len(), bench.sends_of(1).len()), (1, 0));
    bench.run_for(BACKOFF_CAP);
    assert_eq!(bench.count(2, GrantState::Delivered), 2);
}

/// Whether a process has nothing to do but look again after five minutes.
fn is_idle(bench: &Bench, process: usize) -> bool {
    let now = Instant::ORIGIN + bench.now();
    bench.deadline(process).is_some_and(|at| at > now + MINUTE && at <= now + SWEEP)
}

#[test]
fn any_visit_tells_a_survivor_of_what_a_process_that_died_for_good_has_left() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.visit(1, 5);
    bench.run_for(MINUTE);
    assert!(is_idle(&bench, 1), "the survivor knows of nothing to do");
    bench.holds_sends = true;
    bench.visit(0, 0);
    bench.settle_down();
    bench.crash(0);
    bench.holds_sends = false;
    bench.visit(1, 5);
    bench.run_for(MINUTE);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1), "GRANT-3");
}

#[test]
fn retry_after_pauses_the_lane_even_where_its_own_grant_is_parked() {
    let mut bench = bench(Capability::None);
    bench.service.script.push_back(Handling::Answer(status_after(503, MINUTE)));
    bench.visit(0, 0);
    bench.settle_down();
    assert_eq!(parked(&bench).0, ParkReason::NotRepeatable);
    bench.visit(0, 1);
    bench.run_for(MINUTE - Duration::from_nanos(1));
    assert_eq!(bench.sends_of(1).len(), 0);
    bench.run_for(SECOND);
    assert_eq!(bench.state(1), Some(GrantState::Delivered));
}

/// A bench with many users whose service has failed until the breaker opened.
fn bench_with_open_breaker() -> Bench {
    let mut bench = bench(WITH_KEYS);
    bench.service.otherwise = Handling::Answer(status(500));
    bench.visit_all(0, 100);
    bench.settle_down();
    assert_eq!(bench.sends.len(), 20, "it opens at the twentieth failure");
    bench
}

#[test]
fn the_breaker_opens_probes_with_one_request_and_closes() {
    let mut bench = bench_with_open_breaker();
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerOpened), 1);
    bench.run_for(5 * SECOND - Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 20);
    bench.run_for(Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 21, "one probe");
    bench.run_for(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 21, "a failed probe doubles the time");
    bench.service.otherwise = Handling::Apply;
    bench.holds_sends = true;
    bench.run_for(SECOND);
    assert_eq!(bench.held.len(), 1, "one probe");
    bench.answer(0, status(200));
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerClosed), 1);
    assert_eq!(bench.held.len(), 1, "a slow start");
    bench.answer(0, status(200));
    assert_eq!(bench.held.len(), 2, "a slow start");
    bench.holds_sends = false;
    while !bench.held.is_empty() {
        bench.answer(0, status(200));
    }
    bench.run_for(5 * MINUTE);
    assert_eq!(bench.count(100, GrantState::Delivered), 100);
}

#[test]
fn a_probe_waits_for_requests_from_before_the_breaker_opened() {
    let mut config = config(WITH_KEYS);
    config.breaker.min_calls = 2;
    let mut bench = Bench::new(config, 1);
    bench.holds_sends = true;
    bench.visit_all(0, 10);
    bench.settle_down();
    bench.answer(0, status(500));
    bench.answer(0, status(500));
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerOpened), 1);
    let held = bench.held.len();
    assert!(held > 0);
    bench.run_for(MINUTE);
    assert_eq!(bench.held.len(), held, "LOAD-1: an old request still holds its place");
    for _ in 0..held {
        bench.answer(0, status(200));
    }
    assert_eq!(bench.held.len(), 1, "one probe");
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerClosed), 0, "an old answer is no probe's");
}

#[test]
fn a_probe_that_finds_nothing_due_leaves_the_breaker_ready_to_probe() {
    let mut config = config(WITH_KEYS);
    config.breaker.min_calls = 1;
    let mut bench = Bench::new(config, 2);
    bench.service.script.push_back(Handling::Answer(status(500)));
    bench.visit(0, 0);
    bench.settle_down();
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerOpened), 1);
    bench.visit(1, 1);
    bench.run_for(HOUR);
    assert_eq!(bench.count(2, GrantState::Delivered), 2, "the other process delivered both");
    bench.crash(1);
    bench.visit(0, 2);
    bench.settle_down();
    assert_eq!(bench.state(2), Some(GrantState::Delivered));
    assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerClosed), 1);
}

#[test]
fn keys_that_repeat_their_500_neither_keep_the_breaker_open_nor_open_it_again() {
    let mut bench = bench(WITH_KEYS);
    bench.service.script = [Handling::ApplyAndKeep(status(500)); 20].into();
    bench.visit_all(0, 20);
    bench.settle_down();
    let changes = |bench: &Bench| {
        [AuditEvent::BreakerOpened, AuditEvent::BreakerClosed].map(|change| bench.event_count(|event| *event == change))
    };
    assert_eq!((bench.sends.len(), changes(&bench)), (20, [1, 0]));
    bench.run_for(4 * SECOND);
    for user in 20..24 {
        bench.visit(0, user);
    }
    bench.run_for(2 * SECOND);
    assert_eq!(bench.count(24, GrantState::Delivered), 4, "behind twenty keys that are due before them");
    assert_eq!(changes(&bench), [1, 1]);
    // The budget bounds what is tried in vain: 500 tokens at 14 a retry, then one a second.
    assert!((20 + 4..=20 + 4 + 500 / 14 + 6).contains(&bench.sends.len()), "LOAD-2: {} sends", bench.sends.len());
    for user in 24..44 {
        bench.run_for(30 * SECOND);
        bench.visit(0, user);
        bench.settle_down();
        assert_eq!(bench.state(user), Some(GrantState::Delivered), "at once, in the company of such keys");
    }
    assert_eq!(changes(&bench), [1, 1]);
}

#[test]
fn a_service_that_answers_nothing_but_500_is_known_by_the_first_attempts() {
    let mut bench = bench_with_open_breaker();
    bench.run_for(10 * MINUTE);
    let retries = bench.sends.iter().filter(|(_, _, request)| request.attempt > 1).count();
    let firsts = bench.sends.len() - retries;
    assert!(firsts <= 20 + 4 + 10, "5, 10, 20, 40 and then 60 s apart: {firsts} first attempts");
    assert!(retries <= 500 / 14 + 600, "LOAD-2: {retries} retries");
    bench.service.otherwise = Handling::Apply;
    bench.run_for(2 * MINUTE);
    assert_eq!(bench.count(100, GrantState::Delivered), 100, "LOAD-3");
}

#[test]
fn an_empty_retry_budget_postpones_to_one_a_second_and_drops_none() {
    let mut config = config(WITH_KEYS);
    config.retry_budget = 28;
    (config.fleet.initial_in_flight, config.fleet.max_in_flight) = (16, 16);
    let mut bench = Bench::new(config, 1);
    bench.service.script = [Handling::Answer(status(503)); 12].into();
    bench.visit_all(0, 12);
    bench.run_for(9 * SECOND + Duration::from_millis(500));
    let retries: Vec<_> = bench.sends.iter().filter(|(_, _, request)| request.attempt > 1).collect();
    assert_eq!(retries.len(), 2 + 9, "two from the budget, then one a second");
    bench.run_for(MINUTE);
    assert_eq!(bench.count(12, GrantState::Delivered), 12);
    assert_eq!(bench.sends.len(), 24);
}

#[test]
fn the_effect_cap_holds_back_says_so_once_and_drops_none() {
    let mut config = config(WITH_KEYS);
    config.fleet.effects_per_minute = 5;
    let mut bench = Bench::new(config, 1);
    bench.freeze_for(10 * SECOND);
    bench.visit_all(0, 12);
    bench.run_for(50 * SECOND - Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 5);
    let until = STORE_ORIGIN + MINUTE;
    let capped = |event: &AuditEvent| matches!(event, AuditEvent::EffectCapReached { .. });
    assert_eq!(bench.event_count(capped), 1);
    assert!(bench.events.contains(&AuditEvent::EffectCapReached { until }));
    bench.run_for(MINUTE);
    assert_eq!((bench.sends.len(), bench.event_count(capped)), (10, 2));
    bench.run_for(MINUTE);
    assert_eq!(bench.count(12, GrantState::Delivered), 12);
}

#[test]
fn a_pause_is_not_taken_for_the_effect_cap() {
    let mut config = config(WITH_KEYS);
    config.fleet.effects_per_minute = 1;
    let mut bench = Bench::new(config, 1);
    bench.service.script.push_back(Handling::Answer(status_after(429, 10 * MINUTE)));
    bench.visit_all(0, 2);
    bench.run_for(9 * MINUTE);
    let named: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| if let AuditEvent::EffectCapReached { until } = event { Some(*until) } else { None })
        .collect();
    assert_eq!(named, [STORE_ORIGIN + MINUTE], "the cap names the end of its own minute");
}

#[test]
fn bad_credentials_pause_the_lane_and_reject_nothing() {
    for code in [401, 403] {
        let mut bench = bench(WITH_KEYS);
        bench.service.otherwise = Handling::Answer(status(code));
        bench.visit_all(0, 10);
        bench.run_for(10 * MINUTE - SECOND);
        assert_eq!((bench.image.counts().rejected, bench.image.counts().parked), (0, 0), "{code}");
        assert!(bench.sends.len() <= 10 * 4, "{code}: no more than the free slots in a pause");
        bench.service.otherwise = Handling::Apply;
        bench.run_for(10 * MINUTE);
        assert_eq!(bench.count(10, GrantState::Delivered), 10, "{code}");
        assert_eq!(bench.event_count(|event| *event == AuditEvent::BreakerOpened), 0, "{code}");
    }
}

#[test]
fn a_key_known_with_another_body_is_parked_and_never_sent_again() {
    let mut bench = bench(WITH_KEYS);
    bench.service.script.push_back(Handling::Answer(status(422)));
    bench.visit(0, 0);
    bench.run_for(HOUR);
    assert_eq!(bench.sends.len(), 1);
    assert_eq!(parked(&bench), (ParkReason::KeyMismatch, Some(AnswerClass::KeyMismatch)));
}

#[test]
fn a_refusal_rejects_a_clear_grant_and_parks_one_in_doubt() {
    let mut clear = bench(WITH_KEYS);
    clear.service.otherwise = Handling::Answer(status(400));
    clear.visit(0, 0);
    clear.run_for(HOUR);
    assert_eq!((clear.state(0), clear.sends.len()), (Some(GrantState::Rejected), 1));

    let mut in_doubt = bench_in_doubt(WITH_KEYS);
    in_doubt.service.otherwise = Handling::Answer(status(400));
    in_doubt.run_for(HOUR);
    assert_eq!(parked(&in_doubt), (ParkReason::RefusedInDoubt, Some(AnswerClass::BadRequest)), "GRANT-3");
    assert_eq!(in_doubt.sends.len(), 2);
}

#[test]
fn without_any_means_against_doubles_a_grant_in_doubt_is_parked_at_once() {
    let mut bench = bench_in_doubt(Capability::None);
    bench.run_for(HOUR);
    assert_eq!((bench.sends.len(), bench.service.applied(0)), (1, 1));
    assert_eq!(parked(&bench), (ParkReason::NotRepeatable, Some(AnswerClass::Timeout)));
}

#[test]
fn what_a_crash_left_in_doubt_is_parked_for_the_reason_that_its_service_gives() {
    for (capability, reason) in [
        (Capability::None, ParkReason::NotRepeatable),
        (Capability::IdempotencyKey { ttl: SECOND }, ParkReason::WindowClosed),
    ] {
        let mut bench = bench(capability);
        bench.holds_sends = true;
        bench.visit(0, 0);
        bench.settle_down();
        bench.crash(0);
        bench.start(0);
        bench.run_for(MINUTE);
        assert_eq!(parked(&bench), (reason, None), "{capability:?}");
        assert_eq!(bench.sends.len(), 1);
    }
}

/// A service that shows what it applied a second late.
const READABLE: Capability = Capability::ReadBack { lag: SECOND };
/// From a settlement in doubt until absence is proof: a request's lifetime, the clock's error and the lag.
const PROVABLE_AFTER: Duration = Duration::from_millis(6_500);

#[test]
fn a_grant_in_doubt_is_read_back_as_soon_as_absence_would_be_proof_and_delivered_by_what_is_found() {
    let mut bench = bench_in_doubt(READABLE);
    bench.run_for(PROVABLE_AFTER - Duration::from_nanos(1));
    assert_eq!(bench.sends.len(), 1, "GRANT-1: too early to read, and never to repeat");
    bench.run_for(SECOND);
    assert_eq!(bench.sends_of(0).iter().map(|request| request.ask).collect::<Vec<_>>(), [Ask::Apply, Ask::Read]);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn a_grant_that_a_read_proves_absent_is_sent_once_more() {
    let mut bench = bench(READABLE);
    bench.service.script.push_back(Handling::Answer(TIMED_OUT));
    bench.visit(0, 0);
    bench.run_for(MINUTE);
    let sends = bench.sends_of(0);
    let asks: Vec<_> = sends.iter().map(|request| (request.ask, request.attempt)).collect();
    assert_eq!(asks, [(Ask::Apply, 1), (Ask::Read, 2), (Ask::Apply, 2)]);
    assert_eq!(bench.event_count(|event| matches!(event, AuditEvent::Absent { .. })), 1);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn a_read_that_tells_nothing_is_repeated_and_one_that_is_refused_for_good_parks() {
    let mut bench = bench_in_doubt(READABLE);
    bench.service.script = [Handling::Answer(TIMED_OUT), Handling::Answer(status(503))].into();
    bench.run_for(MINUTE);
    assert_eq!(bench.sends_of(0).iter().filter(|request| request.ask == Ask::Read).count(), 3);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));

    let mut unreadable = bench_in_doubt(READABLE);
    unreadable.service.otherwise = Handling::Answer(status(405));
    unreadable.run_for(HOUR);
    assert_eq!(parked(&unreadable), (ParkReason::NotReadable, Some(AnswerClass::Refused)));
    assert_eq!(unreadable.sends.len(), 2);
}

#[test]
fn bad_credentials_at_a_read_pause_the_lane_and_decide_nothing() {
    let mut bench = bench_in_doubt(READABLE);
    bench.service.script = [Handling::Answer(status(401))].into();
    bench.run_for(MINUTE);
    assert_eq!((bench.sends.len(), bench.state(0)), (2, Some(GrantState::Pending)));
    bench.run_for(MINUTE);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn a_conflict_raises_doubt_since_another_request_with_our_key_is_under_way() {
    let mut bench = bench(Capability::IdempotencyKey { ttl: MINUTE * 30 });
    let conflict = Answer::Status { code: 409, body: Body::WellFormed, retry_after: Some(HOUR) };
    bench.service.script.push_back(Handling::Answer(conflict));
    bench.visit(0, 0);
    bench.run_for(HOUR * 2);
    assert_eq!(parked(&bench), (ParkReason::WindowClosed, None), "GRANT-4");
    assert_eq!(bench.sends.len(), 1, "a second send could be a second effect: the key is forgotten by now");
}

#[test]
fn what_never_left_is_repeated_under_every_capability() {
    for capability in [Capability::None, Capability::ReadBack { lag: SECOND }, Capability::PutById, WITH_KEYS] {
        let mut bench = bench(capability);
        bench.service.script.push_back(Handling::Answer(Answer::NotSent(NotSent::Dns)));
        bench.visit(0, 0);
        bench.run_for(MINUTE);
        assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1), "{capability:?}");
    }
}

#[test]
fn a_visit_that_the_store_refuses_or_twice_leaves_open_is_provisional_and_no_exposure() {
    for fates in [vec![Fate::Refused], vec![Fate::CommandLost; 2]] {
        let mut bench = bench(WITH_KEYS);
        bench.admit_fates = fates.into();
        bench.visit(0, 0);
        bench.run_for(HOUR);
        assert_eq!(bench.answers, [VisitAnswer::Provisional { variant: VariantIndex::new(1) }]);
        assert_eq!(bench.image.variant(UserHandle(0)), None, "fail closed");
        assert_eq!(bench.event_count(|event| matches!(event, AuditEvent::Exposed { .. })), 0);
        assert_eq!(bench.sends.len(), 0, "GRANT-2");
        bench.visit(0, 0);
        bench.run_for(MINUTE);
        assert_eq!(bench.state(0), Some(GrantState::Delivered), "the next visit tries again");
    }
}

#[test]
fn a_visit_whose_admission_was_not_acknowledged_is_answered_by_reading_it_back() {
    for (fate, first) in [(Fate::ReplyLost, First::Known), (Fate::CommandLost, First::Exposure)] {
        let mut bench = bench(WITH_KEYS);
        bench.admit_fates.push_back(fate);
        bench.visit(0, 0);
        bench.run_for(MINUTE);
        let grant = Some(GrantState::Pending);
        assert_eq!(bench.answers, [VisitAnswer::Recorded { variant: VariantIndex::new(1), first, grant }], "{fate:?}");
        assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
    }
}

#[test]
fn a_grant_whose_admission_was_never_acknowledged_is_delivered_without_another_visit() {
    for second in [Fate::Refused, Fate::CommandLost, Fate::ReplyLost] {
        let mut bench = bench(WITH_KEYS);
        bench.admit_fates = [Fate::ReplyLost, second, second].into();
        bench.visit(0, 0);
        bench.run_for(MINUTE);
        assert_eq!(bench.answers, [VisitAnswer::Provisional { variant: VariantIndex::new(1) }]);
        assert_eq!(bench.state(0), Some(GrantState::Delivered), "GRANT-3: nobody else will wake for it: {second:?}");
    }
}

#[test]
fn a_visit_wakes_an_idle_process_for_a_grant_that_another_left_behind() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.settle_down();
    bench.holds_sends = true;
    bench.visit(0, 0);
    bench.settle_down();
    bench.crash(0);
    bench.holds_sends = false;
    assert!(is_idle(&bench, 1), "the second process knows of nothing");
    bench.visit(1, 0);
    bench.run_for(MINUTE);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn a_settlement_goes_to_the_store_until_it_sticks() {
    let mut bench = bench(WITH_KEYS);
    bench.settle_fates = [Fate::Refused, Fate::CommandLost, Fate::ReplyLost, Fate::Refused, Fate::ReplyLost].into();
    bench.visit(0, 0);
    bench.run_for(LEASE - SECOND);
    assert_eq!(bench.state(0), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
    assert!(bench.settle_fates.is_empty());
    assert_eq!((bench.sends.len(), bench.service.applied(0)), (1, 1));
    assert_eq!(bench.event_count(|event| matches!(event, AuditEvent::Delivered { .. })), 1);
    bench.run_for(MINUTE);
    assert!(is_idle(&bench, 0));
}

#[test]
fn a_receipt_that_the_store_has_refused_is_not_asked_for_again_when_its_lease_ends() {
    let mut bench = bench(WITH_KEYS);
    // The store takes claims and refuses settlements until long after the lease.
    bench.settle_fates = [Fate::Refused; 1_000].into();
    bench.visit(0, 0);
    bench.run_for(LEASE + 10 * SECOND);
    assert_eq!((bench.state(0), bench.sends.len()), (Some(GrantState::Claimed), 1));
    bench.run_for(10 * MINUTE);
    assert!(bench.settle_fates.is_empty());
    assert_eq!((bench.state(0), bench.sends.len()), (Some(GrantState::Delivered), 1));
    assert_eq!(bench.event_count(|event| matches!(event, AuditEvent::Delivered { .. })), 1);
    assert!(is_idle(&bench, 0));
}

#[test]
fn an_idle_process_finds_what_another_left_behind_though_nobody_visits() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.settle_down();
    bench.holds_sends = true;
    bench.visit(0, 0);
    bench.settle_down();
    bench.crash(0);
    bench.holds_sends = false;
    bench.run_for(SWEEP + LEASE + MINUTE);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1), "GRANT-3");
}

#[test]
fn a_retry_whose_settlement_is_repeated_is_scheduled_once() {
    let mut bench = bench(WITH_KEYS);
    bench.service.script.push_back(Handling::Answer(TIMED_OUT));
    bench.settle_fates = [Fate::ReplyLost, Fate::ReplyLost].into();
    bench.visit(0, 0);
    bench.run_for(MINUTE);
    assert_eq!(bench.sends.len(), 2);
    assert_eq!(bench.state(0), Some(GrantState::Delivered));
}

#[test]
fn claims_back_off_from_a_store_that_fails_and_admissions_do_not_hurry_them() {
    for draw in [0, 1 << 63, u64::MAX] {
        let mut bench = bench(WITH_KEYS);
        bench.draw = draw;
        bench.claim_fates = [Fate::Refused, Fate::CommandLost, Fate::Refused, Fate::CommandLost].into();
        for user in 0..50 {
            bench.visit(0, user);
            bench.run_for(Duration::from_millis(10));
        }
        bench.run_for(MINUTE);
        let waits: Vec<_> = bench.claims.windows(2).map(|pair| pair[1] - pair[0]).take(4).collect();
        assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(100)), "{waits:?}");
        assert_eq!(bench.count(50, GrantState::Delivered), 50);
    }
}

#[test]
fn a_store_whose_clock_stands_still_is_not_asked_without_end() {
    let mut bench = bench(WITH_KEYS);
    // A draw this small makes the retry due a few nanoseconds after the settlement.
    bench.draw = 1 << 40;
    bench.service.script.push_back(Handling::Answer(status(429)));
    bench.store_stopped_at = Some(bench.now());
    bench.visit(0, 0);
    bench.run_for(Duration::from_millis(100));
    assert_eq!(bench.sends.len(), 1, "the retry is not due as long as the clock stands");
    assert!(bench.claims.len() <= 12, "LOAD-4: {} claims in a tenth of a second", bench.claims.len());
    bench.store_stopped_at = None;
    bench.run_for(SECOND);
    assert_eq!(bench.state(0), Some(GrantState::Delivered));
}

#[test]
fn a_process_whose_open_fails_still_finds_what_was_left_behind() {
    let mut bench = bench(WITH_KEYS);
    bench.holds_sends = true;
    bench.visit(0, 0);
    bench.settle_down();
    bench.crash(0);
    bench.holds_sends = false;
    bench.open_fates = [Fate::Refused].into();
    bench.start(0);
    bench.run_for(MINUTE);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

#[test]
fn what_an_unacknowledged_claim_took_comes_back_when_its_lease_ends() {
    let mut bench = bench(WITH_KEYS);
    bench.claim_fates.push_back(Fate::ReplyLost);
    bench.visit(0, 0);
    bench.run_for(LEASE - SECOND);
    assert_eq!((bench.state(0), bench.sends.len()), (Some(GrantState::Claimed), 0));
    bench.run_for(2 * SECOND);
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1));
}

/// Runs one visit, ends the process after `crash_after` messages, starts another, and lets an hour pass. `None` if it all
/// ended before that.
fn crashed(config: &DeliveryConfig, handling: Handling, crash_after: u32) -> Option<Bench> {
    let mut bench = Bench::new(config.clone(), 1);
    bench.settle_down();
    bench.service.script.push_back(handling);
    bench.visit(0, 0);
    for _ in 0..crash_after {
        if !bench.step() {
            return None;
        }
    }
    bench.crash(0);
    bench.settle_down();
    bench.start(0);
    // The user comes back, as nobody else would know of an admission that was never made.
    bench.visit(0, 0);
    bench.run_for(HOUR);
    Some(bench)
}

/// The largest number of effects over all places to crash, and the states that were reached.
fn crash_everywhere(config: &DeliveryConfig) -> (u32, Vec<GrantState>) {
    let mut applied_max = 0;
    let mut states = Vec::new();
    for handling in [Handling::Apply, Handling::ApplyAndLose] {
        let benches: Vec<_> = (0..).map_while(|crash_after| crashed(config, handling, crash_after)).collect();
        assert!(benches.len() >= 8, "admit, claim, send and settle, there and back");
        for bench in benches {
            applied_max = applied_max.max(bench.service.applied(0));
            states.extend(bench.state(0));
            if bench.state(0) == Some(GrantState::Delivered) {
                assert!(bench.service.applied(0) >= 1, "GRANT-3: delivered without an effect");
            }
        }
    }
    (applied_max, states)
}

#[test]
fn a_crash_at_any_step_ends_with_exactly_one_effect() {
    for capability in [WITH_KEYS, Capability::PutById, READABLE] {
        let (applied_max, states) = crash_everywhere(&config(capability));
        assert_eq!(applied_max, 1, "GRANT-1: {capability:?}");
        assert!(states.iter().all(|state| *state == GrantState::Delivered), "{capability:?}: {states:?}");
    }
}

#[test]
fn a_crash_at_any_step_ends_with_at_most_one_effect_where_there_are_no_keys() {
    let (applied_max, states) = crash_everywhere(&config(Capability::None));
    assert_eq!(applied_max, 1, "GRANT-1");
    assert!(states.contains(&GrantState::Parked), "some crash leaves a doubt");
    assert!(
        states.iter().all(|state| [GrantState::Delivered, GrantState::Parked].contains(state)),
        "GRANT-3: {states:?}"
    );
}

#[test]
fn without_the_stable_key_some_crash_applies_the_grant_twice() {
    let mut config = config(WITH_KEYS);
    config.protections = Protections::ALL.without(Protection::StableKey);
    assert!(crash_everywhere(&config).0 > 1, "the protection's removal goes unnoticed");
}

#[test]
fn without_the_window_guard_a_crash_applies_the_grant_twice_under_a_short_lived_key() {
    // The key is forgotten before the lease ends.
    let mut config = config(Capability::IdempotencyKey { ttl: Duration::from_secs(10) });
    let (applied_max, states) = crash_everywhere(&config);
    assert_eq!(applied_max, 1, "GRANT-4");
    assert!(states.contains(&GrantState::Parked));
    config.protections = Protections::ALL.without(Protection::WindowGuard);
    assert!(crash_everywhere(&config).0 > 1, "the protection's removal goes unnoticed");
}

#[test]
fn without_the_adaptive_limit_everything_is_in_flight_at_once() {
    let mut config = config(WITH_KEYS);
    config.protections = Protections::ALL.without(Protection::AdaptiveLimit);
    let mut bench = Bench::new(config, 1);
    bench.holds_sends = true;
    bench.visit_all(0, 500);
    bench.settle_down();
    assert_eq!(bench.held.len(), 500);
}

#[test]
fn two_processes_share_the_work_and_send_nothing_twice() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.holds_sends = true;
    for user in 0..100 {
        bench.visit(usize::from(user % 2 == 0), user);
    }
    bench.settle_down();
    let senders = |process| bench.held.iter().filter(|(sender, _)| *sender == process).count();
    assert_eq!(senders(0) + senders(1), 4, "LOAD-1: the limit is the fleet's");
    while !bench.held.is_empty() {
        bench.answer(0, status(200));
    }
    assert_eq!(bench.sends.len(), 100, "GRANT-5: no grant is claimed by both");
    assert_eq!(bench.count(100, GrantState::Delivered), 100);
}

#[test]
fn a_process_paused_beyond_its_lease_still_delivers_its_receipt() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.visit(0, 0);
    while bench.service.applied(0) == 0 {
        assert!(bench.step(), "the request arrives");
    }
    // 1. The first process sleeps on its receipt. 2. The second takes over, in doubt, and gets no answer.
    bench.pause(0);
    bench.service.otherwise = Handling::Answer(TIMED_OUT);
    bench.visit(1, 0);
    bench.run_for(LEASE + 10 * SECOND);
    let taken_over = |event: &AuditEvent| matches!(event, AuditEvent::Sent { doubt: Doubt::InDoubt, .. });
    assert!(bench.event_count(taken_over) > 0);
    assert_ne!(bench.state(0), Some(GrantState::Delivered));
    // 3. The first wakes up; its fence is stale, its receipt is proof.
    bench.resume(0);
    bench.settle_down();
    assert_eq!(bench.state(0), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
    let sent = bench.sends.len();
    bench.run_for(HOUR);
    assert_eq!((bench.sends.len(), bench.service.applied(0)), (sent, 1));
}

#[test]
fn store_commands_per_grant_are_bounded_through_a_long_outage() {
    let mut bench = bench(WITH_KEYS);
    bench.service.otherwise = Handling::Answer(TIMED_OUT);
    bench.visit_all(0, 20);
    bench.run_for(4 * HOUR);
    let commands_per_send = f64::from(bench.command_count) / bench.sends.len() as f64;
    assert!(commands_per_send < 4.0, "LOAD-4: {commands_per_send}");
    bench.service.otherwise = Handling::Apply;
    bench.run_for(HOUR);
    assert_eq!(bench.count(20, GrantState::Delivered), 20, "LOAD-3");
}
