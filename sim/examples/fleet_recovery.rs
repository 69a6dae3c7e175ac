//! What becomes of a fleet after ten bad seconds of its service, under the adaptive limit and under other policies.
//!
//! Prints the table of `docs/fleet.md`, which has the model: `cargo run --release -p hookproof-sim --example fleet_recovery`.
//! Each cell is the range over the seeds.

use hookproof_core::protection::{Protection, Protections};
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value};
use hookproof_sim::scenario::{HookKind, decode};
use hookproof_sim::{Recording, Setting, run_with};

const RECOVERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/fleet/recovery.toml");
const INSTANCES: [u16; 4] = [1, 4, 16, 32];
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

const NO_LIMIT: Protections = Protections::ALL.without(Protection::AdaptiveLimit);
/// The policies, by what holds the load back.
const POLICIES: [(&str, Protections); 4] = [
    ("adaptive limit", Protections::ALL),
    ("jitter only", NO_LIMIT.without(Protection::RetryBudget).without(Protection::Breaker)),
    ("budget only", NO_LIMIT.without(Protection::Breaker)),
    ("breaker only", NO_LIMIT.without(Protection::RetryBudget)),
];

fn main() {
    let columns = [
        "policy",
        "instances",
        "recovered after, s",
        "calls a grant",
        "late goodput",
        "backlog at the storm's end",
        "left at the end",
        "empty claims a grant",
        "rows a grant",
    ];
    println!("| {} |", columns.join(" | "));
    println!("{}|", "|---".repeat(columns.len()));
    for (policy, protections) in POLICIES {
        for instances in INSTANCES {
            let outcomes: Vec<Outcome> = SEEDS.map(|seed| outcome(instances, protections, seed)).collect();
            let cells = [
                range(&outcomes, 0, |outcome| value(outcome, Metric::UpstreamRecoverySeconds)),
                range(&outcomes, 2, |outcome| value(outcome, Metric::UpstreamAmplification)),
                range(&outcomes, 2, |outcome| during_late(outcome, Metric::UpstreamGoodputRatio)),
                range(&outcomes, 0, |outcome| during_late(outcome, Metric::UndeliveredUsers)),
                range(&outcomes, 0, |outcome| value(outcome, Metric::UndeliveredUsers)),
                range(&outcomes, 2, empty_claims),
                range(&outcomes, 2, |outcome| value(outcome, Metric::StoreWritesPerGrant)),
            ];
            println!("| {policy} | {instances} | {} |", cells.join(" | "));
        }
    }
}

/// The run of the scenario, which is written for 32 instances, with another number of them.
fn outcome(instances: u16, protections: Protections, seed: u64) -> Outcome {
    let source = std::fs::read_to_string(RECOVERY).expect("the scenario is part of the repository");
    let source = source.replace("instances = 32", &format!("instances = {instances}"));
    let scenario = decode("recovery", "recovery.toml", source.as_bytes()).expect("the scenario is a test of its own");
    let setting = Setting { hook: HookKind::Hardened, protections, sabotage: None, recording: Recording::Off, seed };
    run_with(&scenario, setting, &mut |_| {}).0
}

/// Over the whole run; what is absent counts as never.
fn value(outcome: &Outcome, metric: Metric) -> f64 {
    number(outcome.metrics.get(&metric).copied())
}

fn during_late(outcome: &Outcome, metric: Metric) -> f64 {
    let is_meant =
        |expected: &&hookproof_sim::outcome::Expectation| expected.metric == metric && expected.during == "late";
    number(outcome.expectations.iter().find(is_meant).and_then(|expected| expected.value))
}

fn number(value: Option<Value>) -> f64 {
    match value {
        Some(Value::Number(number)) => number,
        Some(Value::Never) | None => f64::INFINITY,
    }
}

fn empty_claims(outcome: &Outcome) -> f64 {
    outcome.reached["empty-claims"] as f64 / entitlements(outcome)
}

fn entitlements(outcome: &Outcome) -> f64 {
    outcome.series.counts["entitlements"].iter().sum::<u64>() as f64
}

/// The smallest and the largest over the seeds, or one number if they are written alike.
fn range(outcomes: &[Outcome], decimals: usize, of: impl Fn(&Outcome) -> f64) -> String {
    let mut values: Vec<f64> = outcomes.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let written = |value: f64| if value.is_finite() { format!("{value:.decimals$}") } else { "never".into() };
    let (least, most) = (written(values[0]), written(values[values.len() - 1]));
    if least == most { least } else { format!("{least}–{most}") }
}
