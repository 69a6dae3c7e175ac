//! The edges of the definitions: nothing to divide by, nobody there, nothing that ever happens, one element only.

use std::time::Duration;

use hookproof_sim::metrics::recorder::Closing;

use super::history::{CONTROL, Event, History, STORM, TREATMENT, effect, exposed, ms, s, us};
use super::{Worth, assert_worth, without_noise};
use Worth::{Absent, Is, Never};

#[test]
fn where_nobody_is_there_counts_are_0_and_all_else_is_absent() {
    let nothing = History::of(0).whole();
    assert_worth(
        &nothing,
        &[
            ("over-allocation.worst-ratio", Absent),
            ("over-allocation.worst-cap-ratio", Absent),
            ("over-allocation.users", Is(0.0)),
            ("over-allocation.units", Is(0.0)),
            ("over-allocation.monthly-cost-usd", Is(0.0)),
            ("over-allocation.max-grants", Is(0.0)),
            ("under-allocation.users", Is(0.0)),
            ("undelivered.users", Is(0.0)),
            ("wrong-allocation.users", Is(0.0)),
            ("assignment.mismatch-users", Is(0.0)),
            ("group-switching.users", Is(0.0)),
            ("group-switching.rate", Absent),
            ("group-switching.restart-rate", Absent),
            ("group-switching.restart-rate-returning", Absent),
            ("upstream.attempts", Is(0.0)),
            ("upstream.calls", Is(0.0)),
            ("upstream.amplification", Absent),
            ("upstream.peak-rps", Is(0.0)),
            ("upstream.mean-rps", Is(0.0)),
            ("upstream.goodput", Is(0.0)),
            ("upstream.goodput-ratio", Absent),
            ("upstream.overload-seconds", Is(0.0)),
            ("upstream.recovery-seconds", Absent),
            ("hook.latency-p50-us", Absent),
            ("hook.latency-p99-us", Absent),
            ("hook.latency-p999-us", Absent),
            ("hook.latency-max-us", Absent),
            ("hook.errors", Is(0.0)),
            ("hook.provisional", Is(0.0)),
            ("grant.delay-p50-ms", Absent),
            ("grant.delay-p99-ms", Absent),
            ("grant.delay-max-ms", Absent),
            ("grant.backlog-peak", Is(0.0)),
            ("grant.parked", Is(0.0)),
            ("grant.rejected", Is(0.0)),
            ("exposure.logged", Is(0.0)),
            ("exposure.duplicates", Is(0.0)),
            ("experiment.srm-p", Absent),
            ("experiment.contaminated-rate", Absent),
            ("experiment.lift-bias", Absent),
            ("store.writes-per-grant", Absent),
            ("audit.unexplained", Is(0.0)),
            ("audit.unexposed-effects", Is(0.0)),
        ],
    );
}

#[test]
fn who_has_a_base_and_never_comes_holds_just_that() {
    // 100 ÷ 100, and 100 ÷ (100 + 25).
    let metrics = History::of(3).whole();
    assert_worth(&metrics, &[("over-allocation.worst-ratio", Is(1.0)), ("over-allocation.worst-cap-ratio", Is(0.8))]);
}

#[test]
fn with_a_base_of_0_whoever_may_hold_nothing_and_does_has_infinitely_too_much() {
    let base_0 = || History::under(3, "base = 0", "0.0").at(s(1), exposed(0, CONTROL));
    let ratios = |ratio, cap_ratio, users, units| {
        [
            ("over-allocation.worst-ratio", ratio),
            ("over-allocation.worst-cap-ratio", cap_ratio),
            ("over-allocation.users", users),
            ("over-allocation.units", units),
        ]
    };
    // Nobody holds anything, and nobody may: 0 of 0 is no ratio; of the one cap for all, 25, it is 0.
    assert_worth(&base_0().whole(), &ratios(Absent, Is(0.0), Is(0.0), Is(0.0)));
    // User 1 may hold 25 and holds nothing.
    let entitled = base_0().at(s(2), exposed(1, TREATMENT));
    assert_worth(&entitled.whole(), &ratios(Is(0.0), Is(0.0), Is(0.0), Is(0.0)));
    // User 1 holds them.
    let delivered = entitled.at(s(3), effect(1, 1, s(2)));
    assert_worth(&delivered.whole(), &ratios(Is(1.0), Is(1.0), Is(0.0), Is(0.0)));
    // User 0, of the control, holds 25 as well.
    let wrong = delivered.at(s(4), effect(0, 1, s(3)));
    assert_worth(&wrong.whole(), &ratios(Never, Is(1.0), Is(1.0), Is(25.0)));
    // User 2 asks for it, and the hard limit stands against it: nothing is held, and infinitely too much was asked for.
    let refused = base_0().at(s(5), Event::HardLimit { user: 2 });
    assert_worth(&refused.whole(), &ratios(Never, Is(0.0), Is(0.0), Is(0.0)));
}

#[test]
fn the_hard_limit_clips_what_is_held_and_not_what_was_asked_for() {
    // The user is entitled to 125 and holds 150; three more requests were refused.
    let history = [2, 3, 4].into_iter().fold(
        History::under(1, "base = 100\nhard-limit = 150", "0.0")
            .at(s(1), exposed(0, TREATMENT))
            .at(s(2), effect(0, 1, s(1)))
            .at(s(3), effect(0, 2, s(1))),
        |history, n| history.at(s(2 + n), Event::HardLimit { user: 0 }),
    );
    assert_worth(
        &history.whole(),
        &[
            ("over-allocation.worst-ratio", Is(225.0 / 125.0)),
            ("over-allocation.worst-cap-ratio", Is(1.2)),
            ("over-allocation.units", Is(25.0)),
            ("over-allocation.max-grants", Is(2.0)),
        ],
    );
}

#[test]
fn without_an_entitled_user_there_is_no_delay_no_ratio_and_no_recovery() {
    let history = (0..60).fold(History::of(60).trigger_ends(s(20)), |history, user| {
        history.at(s(20 + u64::from(user)), exposed(user, CONTROL)).at(s(20), Event::Call { user })
    });
    assert_worth(
        &history.whole(),
        &[
            ("exposure.logged", Is(60.0)),
            ("upstream.calls", Is(60.0)),
            ("upstream.amplification", Absent),
            ("upstream.goodput", Is(0.0)),
            ("upstream.goodput-ratio", Absent),
            ("upstream.recovery-seconds", Absent),
            ("grant.delay-p50-ms", Absent),
            ("grant.backlog-peak", Is(0.0)),
            ("undelivered.users", Is(0.0)),
            // One group only.
            ("experiment.lift-bias", Absent),
            // 60 where 30 and 30 were expected: χ² = 60, erfc(√30) = 9.4857e-15.
            ("experiment.srm-p", Is(0.0)),
        ],
    );
}

#[test]
fn where_nothing_is_delivered_the_delay_is_never_and_what_is_given_up_is_not_under_allocated() {
    let history = (0..3).fold(History::of(3), |history, user| history.at(s(1), exposed(user, TREATMENT)));
    let history = history.at(s(5), Event::Closed { user: 2, how: Closing::Parked });
    assert_worth(
        &history.whole(),
        &[
            ("grant.delay-p50-ms", Never),
            ("grant.delay-max-ms", Never),
            ("under-allocation.users", Is(2.0)),
            ("undelivered.users", Is(3.0)),
            ("upstream.goodput-ratio", Is(0.0)),
            ("grant.backlog-peak", Is(3.0)),
            // Nobody was called for.
            ("upstream.amplification", Absent),
        ],
    );
}

#[test]
fn quantiles_are_the_nearest_rank_and_of_one_element_that_element() {
    let visit = |history: History, wait| history.at(s(1) + us(wait), Event::VisitEnds { intended_at: s(1) });
    let latency = |p50, p99, p999, max| {
        [
            ("hook.latency-p50-us", Is(p50)),
            ("hook.latency-p99-us", Is(p99)),
            ("hook.latency-p999-us", Is(p999)),
            ("hook.latency-max-us", Is(max)),
        ]
    };
    assert_worth(&visit(History::of(1), 0).whole(), &latency(0.0, 0.0, 0.0, 0.0));
    assert_worth(&visit(History::of(1), 77).whole(), &latency(77.0, 77.0, 77.0, 77.0));
    // 1 to 1,000 µs: ranks 500, 990, 999 and 1,000.
    let thousand = (1..=1_000).rev().fold(History::of(1), visit);
    assert_worth(&thousand.whole(), &latency(500.0, 990.0, 999.0, 1_000.0));
    // 1 to 1,001 µs: ranks ⌈500.5⌉, ⌈990.99⌉, ⌈999.999⌉ and 1,001.
    assert_worth(&visit(thousand, 1_001).whole(), &latency(501.0, 991.0, 1_000.0, 1_001.0));
}

#[test]
fn a_delay_runs_from_the_first_exposure_to_the_first_effect_that_is_not_before_it() {
    let delay = |p50, p99, max| [("grant.delay-p50-ms", p50), ("grant.delay-p99-ms", p99), ("grant.delay-max-ms", max)];
    let one = History::of(4).at(s(1), exposed(0, TREATMENT)).at(s(1) + us(500), effect(0, 1, s(1)));
    assert_worth(&one.whole(), &delay(Is(0.5), Is(0.5), Is(0.5)));
    // A second exposure and a second effect change nothing.
    let again = one.at(s(2), exposed(0, TREATMENT)).at(s(3), effect(0, 2, s(2)));
    assert_worth(&again.whole(), &delay(Is(0.5), Is(0.5), Is(0.5)));
    // At the very moment of the exposure: no delay.
    let at_once = again.at(s(5), exposed(1, TREATMENT)).at(s(5), effect(1, 1, s(4)));
    assert_worth(&at_once.whole(), &delay(Is(0.0), Is(0.5), Is(0.5)));
    // An effect before the exposure delivers nothing: rank ⌈0.99 · 3⌉ is never, rank 2 is not.
    let too_soon = at_once.at(s(6), effect(2, 1, s(6))).at(s(7), exposed(2, TREATMENT));
    assert_worth(&too_soon.whole(), &delay(Is(0.5), Never, Never));
    assert_worth(&too_soon.whole(), &[("audit.unexposed-effects", Is(1.0)), ("undelivered.users", Is(0.0))]);
    // Who was first exposed to the control is entitled to nothing, and waits for nothing.
    let control_first = too_soon.at(s(8), exposed(3, CONTROL)).at(s(9), exposed(3, TREATMENT));
    assert_worth(&control_first.whole(), &delay(Is(0.5), Never, Never));
}

/// A user becomes entitled each second from `from` to `to`, and is delivered unless `is_lost`.
fn entitled_each_second(from: u32, to: u32, is_lost: impl Fn(u32) -> bool) -> History {
    (from..to).fold(History::of(100), |history, user| {
        let at = s(user.into());
        let history = history.at(at, exposed(user, TREATMENT));
        if is_lost(user) { history } else { history.at(at + ms(200), effect(user, 1, at)) }
    })
}

#[test]
fn recovery_begins_with_the_first_30_s_in_which_95_of_100_are_served() {
    let recovery = |history: &History, worth| assert_worth(&history.whole(), &[("upstream.recovery-seconds", worth)]);
    let healthy = entitled_each_second(0, 100, |_| false);
    recovery(&healthy, Absent);
    recovery(&healthy.clone().trigger_ends(s(20)), Is(0.0));
    // Whole seconds count, so it begins at 21 s.
    recovery(&healthy.clone().trigger_ends(ms(20_250)), Is(0.75));
    // 30 s of storm are left, and then 29.
    recovery(&healthy.clone().trigger_ends(s(70)), Is(0.0));
    recovery(&healthy.trigger_ends(s(71)), Absent);
    // One lost in 30 is 96.7 %, two are 93.3 %: the window from 31 s on holds only user 40's.
    recovery(&entitled_each_second(0, 100, |user| user == 30 || user == 40).trigger_ends(s(20)), Is(11.0));
    recovery(&entitled_each_second(0, 100, |user| user == 40).trigger_ends(s(20)), Is(0.0));
    // Every tenth is lost.
    recovery(&entitled_each_second(0, 100, |user| user % 10 == 0).trigger_ends(s(20)), Never);
    // Nobody is entitled before 75 s: 30 s without anybody prove nothing, those from 46 s on begin to.
    recovery(&entitled_each_second(75, 100, |_| false).trigger_ends(s(20)), Is(26.0));
}

#[test]
fn goodput_needs_somebody_who_still_wants_the_answer() {
    let sent = |number, sent_at, is_wanted| Event::Effect { user: 0, number, key: None, sent_at, is_wanted };
    let treated = || History::of(1).at(s(1), exposed(0, TREATMENT));
    let goodput = |history: History, worth| assert_worth(&history.whole(), &[("upstream.goodput", Is(worth))]);
    goodput(treated().at(s(9), sent(1, s(1), true)), 0.01);
    goodput(treated().at(s(9), sent(1, s(1), false)), 0.0);
    // The first effect was wanted by nobody, so the second is none that was needed.
    goodput(treated().at(s(9), sent(1, s(1), false)).at(s(10), sent(2, s(8), true)), 0.0);
    // Sent in the calm.
    goodput(treated().at(s(104), sent(1, STORM, true)), 0.0);
}

#[test]
fn starts_within_10_s_are_one_restart_and_so_is_a_roll_out() {
    // One user before, one who switches after each start that counts: the mean falls with every further restart.
    let seen = |at: &[u64]| {
        at.iter().fold(History::of(1).at(s(1), exposed(0, CONTROL)), |history, at| history.at(s(*at), Event::Restarted))
    };
    let rate = |history: History, worth| {
        let switched = history.at(s(60), exposed(0, TREATMENT));
        assert_worth(&switched.whole(), &[("group-switching.restart-rate", worth)]);
    };
    rate(seen(&[]), Absent);
    rate(seen(&[30]), Is(1.0));
    rate(seen(&[30, 31, 40]), Is(1.0));
    // A second restart lies between: user 0 was not seen in its epoch, so nobody can be said to have switched.
    rate(seen(&[30, 41]), Is(0.0));
    // The group counts from its first start, not from its last.
    rate(seen(&[30, 39, 48]), Is(0.0));
    let rolling =
        |from, until: Duration| History::of(1).at(s(from), Event::RollsUntil(until)).at(s(1), exposed(0, CONTROL));
    let starts =
        |history: History, at: &[u64]| at.iter().fold(history, |history, at| history.at(s(*at), Event::Restarted));
    rate(starts(rolling(20, s(50)), &[21, 35, 49]), Is(1.0));
    // An instance came back from a crash just before the roll-out: what follows is still one restart.
    rate(starts(rolling(20, s(50)), &[19, 21, 35, 49]), Is(1.0));
    // One comes back after it.
    rate(starts(rolling(20, s(50)), &[21, 35, 49, 55]), Is(0.0));
}

#[test]
fn a_restart_without_anybody_has_no_rate() {
    let metrics = History::of(1).at(s(30), Event::Restarted).whole();
    let rates = ["group-switching.restart-rate", "group-switching.restart-rate-returning"];
    assert_worth(&metrics, &rates.map(|rate| (rate, Absent)));
}

#[test]
fn two_records_that_differ_make_a_switch_even_if_only_one_of_them_is_seen() {
    let history = History::of(1).at(s(1), exposed(0, CONTROL)).at(s(2), exposed(0, CONTROL));
    assert_worth(&history.whole(), &[("group-switching.users", Is(0.0)), ("exposure.duplicates", Is(1.0))]);
    let history = history.at(s(3), exposed(0, TREATMENT));
    assert_worth(&history.whole(), &[("group-switching.users", Is(1.0)), ("experiment.contaminated-rate", Is(1.0))]);
}

#[test]
fn the_sample_ratio_is_held_against_the_weights_in_force_at_each_exposure() {
    let by = |version, users: std::ops::Range<u32>, variant| {
        users.map(move |user| (s(1), Event::Exposed { user, variant, version }))
    };
    let with = |history: History, counts: [u32; 4]| {
        let mut first = 0;
        counts.into_iter().zip([(0, CONTROL), (0, TREATMENT), (1, CONTROL), (1, TREATMENT)]).fold(
            history,
            |history, (count, (version, variant))| {
                let users = first..first + count;
                first += count;
                by(version, users, variant).fold(history, |history, (at, event)| history.at(at, event))
            },
        )
    };
    let p = |history: History, worth| assert_worth(&history.whole(), &[("experiment.srm-p", worth)]);
    let two = || History::of(200).version([3, 1]);
    // 50 of each by 1 : 1, 75 and 25 by 3 : 1: expected are 125 and 75, as observed.
    p(with(two(), [50, 50, 75, 25]), Is(1.0));
    // 100 and 100 observed: 25² ÷ 125 + 25² ÷ 75 = 13.3333, and erfc(√6.66667) = 0.000260730.
    p(with(two(), [50, 50, 50, 50]), Is(0.000_260_730));
    // Only the second version showed anything: 60 and 40 where 75 and 25 were expected: 3 + 9 = 12, erfc(√6) = 0.000532006.
    p(with(two(), [0, 0, 60, 40]), Is(0.000_532_006));
    // A variant of weight 0 is not expected at all; one user in it is infinitely too many, none leaves nothing to compare.
    p(with(History::of(10).version([0, 1]), [0, 0, 0, 9]), Absent);
    p(with(History::of(10).version([0, 1]), [0, 0, 1, 9]), Is(0.0));
}

#[test]
fn the_lift_is_estimated_by_the_last_logged_variant() {
    let bias = |history: &History, worth| {
        assert_worth(&without_noise(history.whole()), &[("experiment.lift-bias", worth)]);
    };
    let treated = [0, 1].into_iter().fold(History::of(4), |history, user| {
        history.at(s(1), exposed(user, TREATMENT)).at(s(2), effect(user, 1, s(1)))
    });
    bias(&treated, Absent);
    let both = [2, 3].into_iter().fold(treated, |history, user| history.at(s(1), exposed(user, CONTROL)));
    bias(&both, Is(0.0));
    // User 0, who holds an effect, is logged in the control: 1 - 1/3 of the lift is left.
    let switched = both.at(s(5), exposed(0, CONTROL));
    assert_worth(&round_to(&switched, 3), &[("experiment.lift-bias", Is(-0.333))]);
    // Seen once more as a treated user, and logged as one.
    bias(&switched.clone().at(s(6), exposed(0, TREATMENT)), Is(0.0));
    // An answer is no log.
    assert_worth(
        &round_to(&switched.at(s(6), Event::Saw { user: 0, variant: TREATMENT }), 3),
        &[("experiment.lift-bias", Is(-0.333))],
    );
    // Without a true lift there is nothing to be biased against.
    let none = History::under(2, "", "0.0").at(s(1), exposed(0, TREATMENT)).at(s(1), exposed(1, CONTROL));
    bias(&none, Absent);
}

/// Metrics with the bias of the lift rounded.
fn round_to(history: &History, digits: i32) -> super::history::Metrics {
    let mut metrics = history.whole();
    let bias = metrics.get_mut(&hookproof_sim::metrics::Metric::ExperimentLiftBias);
    if let Some(hookproof_sim::outcome::Value::Number(bias)) = bias {
        *bias = (*bias * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
    }
    metrics
}

#[test]
fn a_yes_is_explained_by_an_effect_of_its_request_or_of_its_key() {
    let key = |n| Some([n; 16]);
    let heard = |number, key| Event::HeardYes { user: 0, number, key };
    let applied = |number, key| Event::Effect { user: 0, number, key, sent_at: s(1), is_wanted: true };
    let unexplained = |history: &History, worth| assert_worth(&history.whole(), &[("audit.unexplained", Is(worth))]);
    // Its own request's effect, a replay of its key's effect, and one that comes later under its key.
    unexplained(&History::of(1).at(s(2), applied(1, None)).at(s(3), heard(1, None)), 0.0);
    unexplained(&History::of(1).at(s(2), applied(1, key(7))).at(s(3), heard(2, key(7))), 0.0);
    unexplained(&History::of(1).at(s(2), heard(1, key(7))).at(s(3), applied(2, key(7))), 0.0);
    // Another key's effect, and another request's.
    unexplained(&History::of(1).at(s(2), applied(1, key(7))).at(s(3), heard(2, key(8))), 1.0);
    unexplained(&History::of(1).at(s(2), applied(1, None)).at(s(3), heard(2, None)), 1.0);
    // By the moment at which it was heard, and each time.
    let twice = History::of(1).at(s(2), heard(1, key(7))).at(s(3), heard(2, key(7)));
    unexplained(&twice, 2.0);
    assert_worth(&twice.during(&[(s(3), s(4))]), &[("audit.unexplained", Is(1.0))]);
}

#[test]
fn seconds_of_overload_are_those_in_which_it_was_over_for_some_time() {
    let over = |from, to| History::of(1).at(from, Event::Overloaded(true)).at(to, Event::Overloaded(false));
    let seconds =
        |history: &History, worth| assert_worth(&history.whole(), &[("upstream.overload-seconds", Is(worth))]);
    seconds(&over(s(3), s(3)), 0.0);
    seconds(&over(s(3), s(4)), 1.0);
    seconds(&over(ms(3_999), ms(4_001)), 2.0);
    // Twice in one second, and to the very end of the run.
    seconds(
        &over(ms(3_100), ms(3_200)).at(ms(3_300), Event::Overloaded(true)).at(ms(3_400), Event::Overloaded(false)),
        1.0,
    );
    seconds(&History::of(1).at(s(118), Event::Overloaded(true)), 2.0);
    assert_worth(&over(s(3), s(9)).during(&[(s(4), ms(5_500))]), &[("upstream.overload-seconds", Is(2.0))]);
}

#[test]
fn the_backlog_of_a_stretch_in_which_nothing_happens_is_what_it_began_with() {
    let history = History::of(2).at(s(1), exposed(0, TREATMENT)).at(s(50), effect(0, 1, s(1)));
    let peak = |history: &History, from, to, worth| {
        assert_worth(&history.during(&[(from, to)]), &[("grant.backlog-peak", Is(worth))]);
    };
    peak(&history, s(0), s(1), 0.0);
    peak(&history, s(10), s(11), 1.0);
    peak(&history, s(49), s(50), 1.0);
    peak(&history, s(50), s(51), 0.0);
    // What comes and goes at one moment was never a backlog.
    let at_once = History::of(2).at(s(1), exposed(0, TREATMENT)).at(s(1), effect(0, 1, s(1)));
    peak(&at_once, s(0), s(2), 0.0);
    // Still open when the run ends.
    peak(&history.at(s(90), exposed(1, TREATMENT)), s(100), s(120), 1.0);
}
