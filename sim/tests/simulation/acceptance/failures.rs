//! Rows about answers that fail, do not come, or come too late.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_core::audit::AuditEvent;
use hookproof_core::hook;
use hookproof_core::time::Instant;
use hookproof_core::upstream::{Answer, Lost};
use hookproof_sim::metrics::Metric;
use hookproof_sim::network::Patience;
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::HookKind;
use hookproof_sim::subject::{Input, Log, Output, Shown};

use super::process::{PYTHON, Process, RESET, call, log, shown, status};
use super::trial::{FEW_SEEDS, Trial, assert_near, count, count_during, effects, entitled, total};

const SECOND: Duration = Duration::from_secs(1);

/// Both programs swallow the failure of the first visit's request: one request, no grant, and the caller sees a
/// success.
fn assert_swallowed(trial: &Trial) {
    for hook in [HookKind::Original, HookKind::Published] {
        for outcome in trial.run_treated(hook, FEW_SEEDS) {
            assert_eq!(count(&outcome, Metric::UpstreamAttempts), 1, "{}", hook.name());
            assert_eq!((effects(&outcome), count(&outcome, Metric::UndeliveredUsers)), (0, 1), "{}", hook.name());
            assert_eq!((count(&outcome, Metric::HookErrors), outcome.faults[0].effects), (0, 1), "{}", hook.name());
        }
    }
}

#[test]
fn an_answer_of_500_or_429_is_swallowed_by_both_programs_after_one_call_and_retry_after_is_ignored() {
    let error = "[[fault]]\nkind = \"quota.error-before\"\nname = \"500\"\nat = \"1s\"\nfor = \"100ms\"\n";
    let throttle =
        "[[fault]]\nkind = \"quota.throttle\"\nname = \"429\"\nat = \"1s\"\nfor = \"100ms\"\nretry-after = \"30s\"\n";
    for (fault, reached) in [(error, "doubts"), (throttle, "lane-pauses")] {
        let trial = Trial::of_one_user(1, fault);
        assert_swallowed(&trial);
        trial.assert_hardened_unharmed(FEW_SEEDS, &[reached, "receipts"]);
    }

    // A second visit comes one second after the service asked for thirty.
    let asked = "[[window]]\nname = \"asked-to-wait\"\nat = \"1100ms\"\nfor = \"29s\"\n\
                 [[expect]]\nmetric = \"upstream.attempts\"\nat-least = 0\nduring = \"asked-to-wait\"\n";
    let trial = Trial::of_one_user(2, &format!("{throttle}{asked}"));
    let ignored = |outcome: &Outcome| count_during(outcome, Metric::UpstreamAttempts, "asked-to-wait");
    for outcome in trial.run_treated(HookKind::Published, FEW_SEEDS) {
        assert_eq!(ignored(&outcome), 1);
    }
    // The original draws anew at the second visit, so it calls then in some runs.
    assert!(trial.run_treated(HookKind::Original, 1..=200).iter().any(|outcome| ignored(outcome) == 1));
    for outcome in trial.assert_hardened_unharmed(FEW_SEEDS, &["lane-pauses", "receipts"]) {
        assert_eq!(ignored(&outcome), 0);
    }
}

/// The requests of one hook call of the published program, each ended by `end` at the given time, and what came at
/// last.
fn hook_call(process: &mut Process, user: u32, end: impl Fn(Patience, Instant) -> (Instant, Answer)) -> Ended {
    let began_at = process.clocks.mono;
    let sent = process.request(user, 1);
    let mut ended = Ended { tries: 0, waits: Vec::new(), took: Duration::ZERO, outputs: Vec::new() };
    let Some(mut sent) = sent else { return ended };
    loop {
        ended.tries += 1;
        let (at, answer) = end(sent.patience, process.clocks.mono);
        process.wait(at.since(process.clocks.mono));
        let outputs = process.answered(sent.token, answer);
        let timer =
            |output: &Output| if let Output::SetTimer { at, token } = output { Some((*at, *token)) } else { None };
        let Some((at, token)) = outputs.iter().find_map(timer) else {
            ended.took = process.clocks.mono.since(began_at);
            ended.outputs = outputs;
            return ended;
        };
        let wait = at.since(process.clocks.mono);
        ended.waits.push(wait);
        process.wait(wait);
        sent = process.feed(Input::Timer { token }).iter().find_map(call).expect("it tries again");
    }
}

/// A hook call that is over; `tries` is 0 for a user who met the control.
struct Ended {
    tries: u32,
    waits: Vec<Duration>,
    took: Duration,
    outputs: Vec<Output>,
}

#[test]
fn a_connection_reset_escapes_from_the_original_and_after_three_tries_one_second_apart_from_the_published_program() {
    let trial =
        Trial::of_one_user(1, "[[fault]]\nkind = \"network.reset\"\nname = \"resets\"\nat = \"0s\"\nfor = \"30s\"\n");
    let experiment = &trial.scenario().experiment;
    let mut original = Process::original(experiment);
    let sent = (0..100).find_map(|user| original.request(user, 1)).expect("half of the calls are treated");
    assert_eq!(original.answered(sent.token, RESET).iter().filter_map(shown).collect::<Vec<_>>(), [Shown::Error]);

    // A thousand calls: there is no jitter.
    let mut published = Process::published(experiment, PYTHON);
    let calls = (0..2_000).map(|user| hook_call(&mut published, user, |_, now| (now, RESET)));
    let calls: Vec<Ended> = calls.filter(|ended| ended.tries > 0).collect();
    assert!(calls.len() > 800, "half of the users are treated");
    for ended in calls {
        assert_eq!((ended.tries, ended.waits), (3, vec![SECOND, SECOND]));
        // RetryError escapes: the caller sees it, and neither the handler's log nor the metric does.
        let answers: Vec<Shown> = ended.outputs.iter().filter_map(shown).collect();
        assert_eq!((answers, ended.outputs.len()), (vec![Shown::Error], 1));
    }

    for (hook, attempts) in [(HookKind::Original, 1), (HookKind::Published, 3)] {
        for outcome in trial.run_treated(hook, FEW_SEEDS) {
            assert_eq!(count(&outcome, Metric::UpstreamAttempts), attempts, "{}", hook.name());
            assert_eq!((count(&outcome, Metric::HookErrors), effects(&outcome)), (1, 0), "{}", hook.name());
        }
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["doubts", "duplicate-sends", "receipts"]);
}

#[test]
fn a_hang_blocks_the_original_without_limit_and_the_published_program_for_nine_and_a_half_seconds_or_while_bytes_drip()
{
    let trial = Trial::of_one_user(
        1,
        "[caller]\ndeadline = \"50s\"\n\
         [[fault]]\nkind = \"quota.outage\"\nname = \"hang\"\nmode = \"hang\"\nat = \"0s\"\nfor = \"60s\"\n",
    );
    let experiment = &trial.scenario().experiment;
    // One byte a second, for an hour.
    let drip = |from: Instant| (1..=3_600).map(move |n| from + SECOND * n);

    let mut original = Process::original(experiment);
    let sent = (0..100).find_map(|user| original.request(user, 1)).expect("half of the calls are treated");
    assert_eq!(sent.patience.limit(Instant::ORIGIN), None);

    let mut published = Process::published(experiment, PYTHON);
    let hang = |patience: Patience, now| (patience.limit(now).expect("it has a timeout"), Answer::Lost(Lost::Timeout));
    let calls: Vec<Ended> = (0..100).map(|user| hook_call(&mut published, user, hang)).collect();
    let treated: Vec<&Ended> = calls.iter().filter(|ended| ended.tries > 0).collect();
    assert!(!treated.is_empty());
    for ended in treated {
        assert_eq!((ended.tries, ended.took), (3, Duration::from_millis(9_500)));
    }
    let sent = (0..100).find_map(|user| published.request(user, 2)).expect("half of the users are treated");
    assert_eq!(sent.patience.gives_up_at(Instant::ORIGIN, drip(Instant::ORIGIN)), None);

    // The hardened hook's timeout is for the whole attempt.
    let sends = trial
        .hardened_outputs(1)
        .into_iter()
        .flatten()
        .filter_map(|(at, output)| if let hook::Output::Send(send) = output { Some((at, send)) } else { None });
    let delivery = trial.scenario().hook_config().delivery;
    let patience = Patience::Total { connect: delivery.connect_timeout, attempt: delivery.attempt_timeout };
    let mut given_up = 0;
    for (at, _) in sends {
        assert_eq!(patience.gives_up_at(at, drip(at)), Some(at + Duration::from_secs(5)));
        given_up += 1;
    }
    assert!(given_up > 0);

    // The wait of the one visit, as histograms tell it: to 0.1 %.
    for (hook, wait_us) in [(HookKind::Original, 50_000_000), (HookKind::Published, 9_500_000)] {
        for outcome in trial.run_treated(hook, FEW_SEEDS) {
            assert!(count(&outcome, Metric::HookLatencyMaxUs).abs_diff(wait_us) <= wait_us / 1_000, "{}", hook.name());
            assert_eq!(count(&outcome, Metric::HookErrors), 1, "{}", hook.name());
        }
    }
    for outcome in trial.assert_hardened_unharmed(FEW_SEEDS, &["abandoned-calls", "doubts", "receipts"]) {
        assert!(count(&outcome, Metric::HookLatencyMaxUs) < 20_000, "two round trips to the store");
    }
}

/// 100 new users a second for 20 s, whose callers try up to four times, while the service is away in the manner of
/// `mode`. All of this is over before the service is back.
fn total_outage(mode: &str) -> Trial {
    Trial::new(
        "120s",
        &format!(
            r#"
            [[traffic]]
            name = "visits"
            kind = "steady"
            rate = "100/s"
            for  = "20s"
            [caller]
            deadline = "5s"
            retries  = 3
            [[fault]]
            kind = "quota.outage"
            name = "outage"
            mode = "{mode}"
            at   = "0s"
            for  = "120s"
            [[expect]]
            metric   = "upstream.attempts"
            at-least = 0
            during   = "storm"
            "#
        ),
    )
}

#[test]
fn in_a_total_outage_the_original_program_calls_less_than_twice_a_treated_user_and_the_published_one_twelve_times() {
    // What holds the hardened hook back: refusals come fast and open the breaker; a hang keeps its few slots occupied,
    // too few for the breaker to count.
    for (mode, reached) in [("refused", "breaker-openings"), ("hang", "abandoned-calls")] {
        let trial = total_outage(mode);
        let original = trial.run(HookKind::Original, 1..=8);
        let treated: u64 = original.iter().map(entitled).sum();
        let calls = total(&original, Metric::UpstreamAttempts);
        // Of a user whose first draw is a treatment: 1 call, and another after each retry until the first control,
        // which succeeds. 1, 2, 3 or 4 calls with probability ½, ¼, ⅛, ⅛: mean 1.875, variance 4.625 − 1.875² = 1.109.
        assert!(treated > 7_000, "half of 16,000 users, ± 63");
        let standard_error = (1.109 / treated as f64).sqrt();
        assert_near("original", calls as f64 / treated as f64, 1.875, standard_error);

        for outcome in trial.run(HookKind::Published, 1..=8) {
            assert_eq!(
                count(&outcome, Metric::UpstreamAttempts),
                12 * entitled(&outcome),
                "3 tries in each of 4 calls"
            );
            assert_eq!(effects(&outcome), 0);
        }
        for outcome in trial.assert_hardened_unharmed(1..=3, &[reached, "receipts"]) {
            let calls = count_during(&outcome, Metric::UpstreamAttempts, "storm");
            assert!(calls > 0 && calls < entitled(&outcome), "{calls} calls for {} users", entitled(&outcome));
        }
    }
}

#[test]
fn neither_program_logs_a_failure_and_the_published_ones_duration_follows_the_wall_clock() {
    let trial = Trial::of_one_user(
        5,
        "[[fault]]\nkind = \"network.reset\"\nname = \"resets\"\nat = \"0s\"\nfor = \"10s\"\n\
         [[fault]]\nkind = \"quota.outage\"\nname = \"hang\"\nmode = \"hang\"\nat = \"10s\"\nfor = \"20s\"\n\
         [[fault]]\nkind = \"clock.step\"\nname = \"step\"\nat = \"12s\"\nby = \"-30s\"\n",
    );
    let experiment = &trial.scenario().experiment;
    let mut original = Process::original(experiment);
    for failure in [RESET, status(500), status(429)] {
        let sent = (0..100).find_map(|user| original.request(user, 1)).expect("half of the calls are treated");
        assert_eq!(original.answered(sent.token, failure).iter().find_map(log), None, "{failure:?}");
    }
    let mut published = Process::published(experiment, PYTHON);
    let failed = (0..100).map(|user| hook_call(&mut published, user, |_, now| (now, RESET)));
    assert!(failed.flat_map(|ended| ended.outputs).all(|output| log(&output).is_none()));

    // The clock steps by −30 s while a call of 200 ms is under way.
    let sent = (0..100).find_map(|user| published.request(user, 1)).expect("half of the users are treated");
    published.wait(Duration::from_millis(200));
    let right = published.clocks.wall.as_unix_nanos();
    published.clocks.wall = hookproof_core::time::WallTime::from_unix_nanos(right - 30_000_000_000);
    let outputs = published.answered(sent.token, status(200));
    let metric =
        |output: &Output| if let Some(Log::LatencyMetric { nanos }) = log(output) { Some(nanos) } else { None };
    assert_eq!(outputs.iter().filter_map(metric).collect::<Vec<_>>(), [-29_800_000_000]);

    // The hardened hook: every attempt has one outcome and one duration, also if it fails and while the clock steps.
    let mut sent = BTreeMap::new();
    let (mut ended, mut failed) = (0, 0);
    for (at, output) in trial.hardened_outputs(1).into_iter().flatten() {
        match output {
            hook::Output::Audit(AuditEvent::Sent { grant, attempt, .. }) => {
                assert_eq!(sent.insert((grant, attempt), at), None, "an attempt is sent once");
            }
            hook::Output::Audit(AuditEvent::Answered { grant, attempt, answer, .. }) => {
                let sent_at = sent.remove(&(grant, attempt)).expect("an attempt ends once, after it was sent");
                assert!(at > sent_at && at <= sent_at + Duration::from_secs(5), "{:?}", at.since(sent_at));
                ended += 1;
                failed += u32::from(answer != hookproof_core::classify::AnswerClass::Receipt);
            }
            hook::Output::Audit(_) | hook::Output::Answer(..) | hook::Output::Store(_) | hook::Output::Send(_) => {}
        }
    }
    assert!(sent.is_empty() && failed >= 2 && ended == failed + 1, "{failed} of {ended} attempts failed");
    trial.assert_hardened_unharmed(FEW_SEEDS, &["clock-changes", "doubts", "receipts"]);
}
