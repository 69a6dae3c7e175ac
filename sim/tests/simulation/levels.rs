//! Goal: the levels that reports draw agree with the metrics of the same run, whatever goes wrong in it. Method: incident
//! files of the library, every hook; the last or the greatest value of a level is held against the metric that tells the same.

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Level, Outcome, Value};
use hookproof_sim::run;
use hookproof_sim::scenario::HookKind;

use super::shipped;

fn metric(outcome: &Outcome, metric: Metric) -> f64 {
    match outcome.metrics.get(&metric) {
        Some(Value::Number(number)) => *number,
        other => panic!("{metric:?} is {other:?}"),
    }
}

fn greatest(level: &Level) -> i64 {
    level.greatest.iter().flatten().copied().max().expect("a level of some bin")
}

#[test]
fn levels_end_and_peak_where_the_metrics_say() {
    for name in ["incidents/retry-storm.toml", "incidents/over-allocation.toml", "faults/quota.toml"] {
        let scenario = shipped(name);
        for hook in HookKind::ALL {
            let outcome = run(&scenario, hook, 1, &mut |_| {});
            let levels = &outcome.series.levels;
            let last = *levels["over-allocated-users"].greatest.last().expect("a last bin");
            let named = format!("{name} {}", hook.name());
            #[expect(clippy::cast_possible_truncation, reason = "counts of users and calls")]
            let of = |of| metric(&outcome, of) as i64;
            assert_eq!(last, Some(of(Metric::OverAllocationUsers)), "{named}");
            assert_eq!(greatest(&levels["calls-per-second"]), of(Metric::UpstreamPeakRps), "{named}");
            assert_eq!(greatest(&levels["backlog"]), of(Metric::GrantBacklogPeak), "{named}");
            let holders: u64 = outcome.grants_per_user.values().sum();
            assert!(holders >= u64::try_from(last.unwrap_or(0)).expect("a count"), "{named}");
            let lengths = outcome.series.levels.values().map(|level| level.least.len());
            assert!(lengths.clone().all(|length| length == 240), "{named}: {:?}", lengths.collect::<Vec<_>>());
        }
    }
}

#[test]
fn clocks_have_a_level_where_a_fault_moves_them_and_nowhere_else() {
    let outcome = run(&shipped("faults/clock.toml"), HookKind::Hardened, 1, &mut |_| {});
    let clocks: Vec<&str> =
        outcome.series.levels.keys().filter_map(|name| name.strip_prefix("clock-offset-us.")).collect();
    assert!(!clocks.is_empty());
    for clock in clocks {
        let level = &outcome.series.levels[&format!("clock-offset-us.{clock}")];
        assert!(level.least.iter().zip(&level.greatest).any(|bin| bin != (&Some(0), &Some(0))), "{clock}");
    }
    let right = run(&shipped("incidents/retry-storm.toml"), HookKind::Hardened, 1, &mut |_| {});
    assert!(right.series.levels.keys().all(|name| !name.starts_with("clock-offset-us.")));
}
