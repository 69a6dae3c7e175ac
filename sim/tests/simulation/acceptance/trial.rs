//! A small scenario that each hook goes through under many seeds, and what is read off the outcomes.

use std::ops::RangeInclusive;

use hookproof_core::hook;
use hookproof_core::protection::Protections;
use hookproof_core::time::Instant;
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Role, Value, Verdict};
use hookproof_sim::scenario::{HookKind, Scenario, decode};
use hookproof_sim::{Recording, Setting, run, run_with};

/// Seeds of a row about chance where one run is one user. In about half of the runs the first call is treated.
pub const SEEDS: RangeInclusive<u64> = 1..=4_000;
/// Seeds of a row that is the same under every seed.
pub const FEW_SEEDS: RangeInclusive<u64> = 1..=40;

/// Standard errors that an observed mean may lie from the derived one.
///
/// The normal distribution has 4·10⁻⁸ beyond ±5.5 standard errors. For a mean of n fair coins that needs no
/// approximation: by Hoeffding's inequality P(|mean − ½| ≥ 5.5 · ½ / √n) ≤ 2 · exp(−5.5² ÷ 2) = 5.4·10⁻⁷.
const STANDARD_ERRORS: f64 = 5.5;

/// Every scenario's experiment: one half is treated. The specified hash treats `user-0`, whom scenarios of one user are
/// about.
const EXPERIMENT: &str = r#"
[experiment]
id      = "quota-experiment"
version = 3
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "extra-quota"
weight = 50
grant  = 25
"#;

/// A scenario.
pub struct Trial {
    scenario: Scenario,
}

impl Trial {
    /// The scenario of this duration whose other tables are `tables`.
    pub fn new(duration: &str, tables: &str) -> Self {
        let source = format!("schema = 1\ntitle = \"acceptance\"\nduration = \"{duration}\"\n{EXPERIMENT}\n{tables}");
        let scenario = decode("acceptance", "acceptance.toml", source.as_bytes());
        Self { scenario: scenario.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// One user who visits once a second, the first time after one second.
    pub fn of_one_user(visits: u32, tables: &str) -> Self {
        let visiting_ms = visits * 1_000 - 500;
        let users = format!(
            r#"
            [users]
            population = 1
            [[traffic]]
            name    = "visits"
            kind    = "steady"
            rate    = "1/s"
            spacing = "even"
            at      = "1s"
            for     = "{visiting_ms}ms"
            "#
        );
        Self::new("60s", &(users + tables))
    }

    /// The scenario itself.
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What comes of it. Every fault of the scenario had an effect in some run.
    pub fn run(&self, hook: HookKind, seeds: RangeInclusive<u64>) -> Vec<Outcome> {
        let outcomes: Vec<Outcome> = seeds.map(|seed| run(&self.scenario, hook, seed, &mut |_| {})).collect();
        for (fault, index) in self.scenario.faults.iter().zip(0..) {
            let effects: u64 = outcomes.iter().map(|outcome| outcome.faults[index].effects).sum();
            assert!(effects > 0, "{} reached {}", fault.name, hook.name());
        }
        outcomes
    }

    /// The same for a hook that leaves some users untreated in each run: only the runs in which somebody was treated.
    pub fn run_treated(&self, hook: HookKind, seeds: RangeInclusive<u64>) -> Vec<Outcome> {
        let mut outcomes = self.run(hook, seeds);
        outcomes.retain(|outcome| entitled(outcome) > 0);
        assert!(!outcomes.is_empty(), "{} treats somebody in some run", hook.name());
        outcomes
    }

    /// The hardened hook goes through the scenario without any of the harm, though it came across it: each count of
    /// `reached` is above 0 in some run.
    pub fn assert_hardened_unharmed(&self, seeds: RangeInclusive<u64>, reached: &[&str]) -> Vec<Outcome> {
        let outcomes = self.run(HookKind::Hardened, seeds);
        for outcome in &outcomes {
            assert_eq!((outcome.role, outcome.verdict), (Role::Judged, Verdict::Pass), "{outcome:#?}");
            for metric in [
                Metric::GroupSwitchingUsers,
                Metric::AssignmentMismatchUsers,
                Metric::OverAllocationUsers,
                Metric::WrongAllocationUsers,
                Metric::UndeliveredUsers,
                Metric::ExposureDuplicates,
                Metric::HookErrors,
                Metric::HookProvisional,
            ] {
                assert_eq!(count(outcome, metric), 0, "{} under seed {}", metric.name(), outcome.seed);
            }
            assert_eq!(count(outcome, Metric::OverAllocationMaxGrants), 1, "seed {}", outcome.seed);
            assert_eq!(effects(outcome), entitled(outcome), "seed {}", outcome.seed);
        }
        for name in reached {
            let reached: u64 = outcomes.iter().map(|outcome| outcome.reached[name]).sum();
            assert!(reached > 0, "{name} were reached");
        }
        outcomes
    }

    /// What the core of each process of the hardened hook put out under `seed`, and when by the process's monotonic
    /// clock.
    pub fn hardened_outputs(&self, seed: u64) -> Vec<Vec<(Instant, hook::Output)>> {
        let setting = Setting {
            hook: HookKind::Hardened,
            protections: Protections::ALL,
            sabotage: None,
            recording: Recording::On,
            seed,
        };
        let (_, recordings) = run_with(&self.scenario, setting, &mut |_| {});
        let outputs = |recording: &hookproof_sim::Recordings| {
            let entries = recording.entries.iter();
            entries.flat_map(|entry| entry.outputs.iter().map(|output| (entry.mono, output.clone()))).collect()
        };
        recordings.iter().map(outputs).collect()
    }
}

/// Holds an observed mean against the derived one.
pub fn assert_near(what: &str, observed: f64, derived: f64, standard_error: f64) {
    let tolerance = STANDARD_ERRORS * standard_error;
    assert!((observed - derived).abs() <= tolerance, "{what}: {observed:.4}, derived is {derived} ± {tolerance:.4}");
}

/// Holds an observed share of `trials` against the derived probability one half; its standard error is ½ ÷ √trials.
pub fn assert_half(what: &str, hits: usize, trials: usize) {
    assert!(trials >= 1_000, "{what}: {trials} trials are too few to tell");
    assert_near(what, hits as f64 / trials as f64, 0.5, 0.5 / (trials as f64).sqrt());
}

/// A metric over the whole run.
pub fn number(outcome: &Outcome, metric: Metric) -> f64 {
    finite(metric, outcome.metrics.get(&metric).copied())
}

/// A metric over the whole run that counts something.
pub fn count(outcome: &Outcome, metric: Metric) -> u64 {
    whole(number(outcome, metric))
}

/// A count of a named stretch, for which the scenario has an expectation.
pub fn count_during(outcome: &Outcome, metric: Metric, during: &str) -> u64 {
    let is_it = |expectation: &&hookproof_sim::outcome::Expectation| {
        expectation.metric == metric && expectation.during == during
    };
    let expectation = outcome.expectations.iter().find(is_it).expect("the scenario has an expectation of it");
    whole(finite(metric, expectation.value))
}

/// A count over several outcomes.
pub fn total(outcomes: &[Outcome], metric: Metric) -> u64 {
    outcomes.iter().map(|outcome| count(outcome, metric)).sum()
}

/// Effects in the ledger.
pub fn effects(outcome: &Outcome) -> u64 {
    outcome.series.counts["effects"].iter().sum()
}

/// Users whose first exposure was a treatment.
pub fn entitled(outcome: &Outcome) -> u64 {
    outcome.series.counts["entitlements"].iter().sum()
}

fn finite(metric: Metric, value: Option<Value>) -> f64 {
    match value {
        Some(Value::Number(number)) => number,
        Some(Value::Never) | None => panic!("{}: {value:?}", metric.name()),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is whole and not negative")]
const fn whole(number: f64) -> u64 {
    number as u64
}
