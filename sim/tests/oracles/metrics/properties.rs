//! What holds for every history: the order of what happens at once does not matter, and stretches that divide a run add up.

use std::time::Duration;

use hookproof_sim::metrics::Metric;
use hookproof_sim::metrics::recorder::Closing;
use hookproof_sim::outcome::Value;
use proptest::prelude::*;

use super::history::{END, Event, History, Metrics, ms};

const USERS: u32 = 6;

/// Something that happens to a user, at a whole tenth of the run, so that much happens at once.
fn happening(user: u32) -> impl Strategy<Value = (Duration, Event)> {
    let at = (0..12_u64).prop_map(|tenth| ms(tenth * 10_000));
    let what = prop_oneof![
        (0..2_u8, 0..2_u8).prop_map(move |(variant, version)| Event::Exposed { user, variant, version }),
        (0..2_u8).prop_map(move |variant| Event::Saw { user, variant }),
        Just(Event::Call { user }),
        Just(Event::Attempt { user }),
        Just(Event::HardLimit { user }),
        Just(Event::Mismatched { user }),
        (1..3_u64, any::<bool>()).prop_map(move |(number, is_wanted)| Event::Effect {
            user,
            number,
            key: None,
            sent_at: ms(5_000),
            is_wanted
        }),
        (1..3_u64).prop_map(move |number| Event::HeardYes { user, number, key: None }),
        any::<bool>().prop_map(move |is_parked| Event::Closed {
            user,
            how: if is_parked { Closing::Parked } else { Closing::Rejected }
        }),
        Just(Event::TryFails { began_at: ms(7_000) }),
        Just(Event::Provisional { intended_at: ms(7_000) }),
        Just(Event::VisitEnds { intended_at: Duration::ZERO }),
    ];
    (at, what)
}

type Happenings = Vec<Vec<(Duration, Event)>>;

fn happenings() -> impl Strategy<Value = Happenings> {
    (0..USERS).map(|user| prop::collection::vec(happening(user), 0..12)).collect::<Vec<_>>()
}

/// What happens to each user, one user after another, with restarts between.
fn told(users: impl Iterator<Item = Vec<(Duration, Event)>>) -> History {
    let restarts = [ms(25_000), ms(65_000)];
    let history = History::of(USERS as usize).version([3, 1]).trigger_ends(ms(10_000));
    let history = restarts.into_iter().fold(history, |history, at| history.at(at, Event::Restarted));
    users.flatten().fold(history, |history, (at, event)| history.at(at, event))
}

fn count(metrics: &Metrics, metric: Metric) -> f64 {
    match metrics[&metric] {
        Value::Number(count) => count,
        Value::Never => panic!("{} is a count", metric.name()),
    }
}

/// Counts of what happens, not of a state.
const COUNTS: [Metric; 10] = [
    Metric::UpstreamAttempts,
    Metric::UpstreamCalls,
    Metric::HookErrors,
    Metric::HookProvisional,
    Metric::GrantParked,
    Metric::GrantRejected,
    Metric::ExposureLogged,
    Metric::ExposureDuplicates,
    Metric::AuditUnexplained,
    Metric::AuditUnexposedEffects,
];

/// States of the users, which the last stretch shares with the run.
const STATES: [Metric; 14] = [
    Metric::OverAllocationWorstRatio,
    Metric::OverAllocationWorstCapRatio,
    Metric::OverAllocationUsers,
    Metric::OverAllocationUnits,
    Metric::OverAllocationMonthlyCostUsd,
    Metric::OverAllocationMaxGrants,
    Metric::UnderAllocationUsers,
    Metric::UndeliveredUsers,
    Metric::WrongAllocationUsers,
    Metric::GroupSwitchingUsers,
    Metric::GroupSwitchingRate,
    Metric::ExperimentSrmP,
    Metric::ExperimentContaminatedRate,
    Metric::ExperimentLiftBias,
];

proptest! {
    #[test]
    fn what_happens_at_once_to_different_users_may_be_told_in_any_order(users in happenings()) {
        let forwards = told(users.iter().cloned());
        let backwards = told(users.iter().rev().cloned());
        prop_assert_eq!(forwards.whole(), backwards.whole());
        let stretch = [(ms(20_000), ms(70_000))];
        prop_assert_eq!(forwards.during(&stretch), backwards.during(&stretch));
    }

    #[test]
    fn stretches_that_divide_a_run_add_up_to_it(users in happenings(), cuts in prop::collection::btree_set(1..1_200_u64, 0..4)) {
        let history = told(users.into_iter());
        let whole = history.whole();
        let ends: Vec<Duration> = cuts.into_iter().map(|cut| ms(cut * 100)).chain([END]).collect();
        let starts = [Duration::ZERO].into_iter().chain(ends.iter().copied());
        let pieces: Vec<Metrics> = starts.zip(&ends).map(|(from, to)| history.during(&[(from, *to)])).collect();
        for metric in COUNTS {
            let sum: f64 = pieces.iter().map(|piece| count(piece, metric)).sum();
            prop_assert_eq!(sum.to_bits(), count(&whole, metric).to_bits(), "{}", metric.name());
        }
        for metric in STATES {
            prop_assert_eq!(pieces.last().and_then(|piece| piece.get(&metric)), whole.get(&metric), "{}", metric.name());
        }
        let peaks = pieces.iter().map(|piece| count(piece, Metric::GrantBacklogPeak));
        prop_assert_eq!(peaks.fold(0.0, f64::max).to_bits(), count(&whole, Metric::GrantBacklogPeak).to_bits());
    }
}
