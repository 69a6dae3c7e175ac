//! The same scenario and seed give the same outcome; another seed gives another run; a fault more or less leaves the
//! rest of the chance as it was.
//!
//! Method: whole outcomes are compared, digest and series included. For the last, two scenarios that differ in one
//! fault are compared in what the fault cannot touch.

use std::collections::BTreeSet;

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, Scenario, decode};

use super::shipped;

const INCIDENTS: [&str; 3] = ["over-allocation", "retry-storm", "clock-step"];

fn decoded(source: &[u8]) -> Scenario {
    decode("determinism", "determinism.toml", source).unwrap_or_else(|error| panic!("{error}"))
}

fn outcome(scenario: &Scenario, hook: HookKind, seed: u64) -> Outcome {
    run(scenario, hook, seed, &mut |_| {})
}

fn number(outcome: &Outcome, metric: Metric) -> Option<Value> {
    outcome.metrics.get(&metric).copied()
}

#[test]
fn the_same_scenario_and_seed_give_the_same_outcome_and_another_seed_another_one() {
    for name in INCIDENTS {
        let scenario = shipped(&format!("incidents/{name}.toml"));
        for hook in HookKind::ALL {
            let first = outcome(&scenario, hook, 7);
            assert!(first.events > 10_000, "{name} {}: {} events", hook.name(), first.events);
            assert_eq!(first, outcome(&scenario, hook, 7), "{name} {}", hook.name());
            let digests: BTreeSet<u128> = [1, 2, 8].map(|seed| outcome(&scenario, hook, seed).digest).into();
            assert_eq!(digests.len(), 3, "{name} {}", hook.name());
            assert!(!digests.contains(&first.digest), "{name} {}", hook.name());
        }
    }
}

/// A closed population, open arrivals, and replies that are lost; `faults` come on top.
fn with(faults: &str) -> Scenario {
    let tables = r#"
schema   = 1
title    = "One fault more or less"
duration = "10m"
[experiment]
id = "quota-experiment"
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "extra-quota"
weight = 50
grant  = 25
[users]
population = 2_000
visits     = { mean = 1, per = "5m", shape = 2 }
[[traffic]]
kind = "steady"
rate = "5/s"
[fleet]
instances = 3
[upstream]
workers = 64
"#;
    let lost =
        "[[fault]]\nkind = \"quota.lost-reply\"\nname = \"lost\"\nat = \"1m\"\nfor = \"8m\"\nprobability = 0.1\n";
    decoded(format!("{tables}{faults}{lost}").as_bytes())
}

#[test]
fn a_fault_more_leaves_every_other_draw_as_it_was() {
    // It stands before the other fault in the file. Requests take twice as long, which nobody's patience notices.
    let slow = "[[fault]]\nkind = \"quota.slow\"\nname = \"slow\"\nat = \"2m\"\nfor = \"2m\"\nfactor = 2\n";
    let (without, with) = (with(""), with(slow));
    for hook in HookKind::ALL {
        for seed in 1..=3 {
            let (without, with) = (outcome(&without, hook, seed), outcome(&with, hook, seed));
            assert!(with.faults[0].effects > 0 && with.digest != without.digest, "the fault changed something");
            for series in ["visits", "entitlements"] {
                assert_eq!(with.series.counts[series], without.series.counts[series], "{series} of {}", hook.name());
            }
            for metric in [Metric::ExposureLogged, Metric::ExposureDuplicates, Metric::GroupSwitchingUsers] {
                assert_eq!(number(&with, metric), number(&without, metric), "{} of {}", metric.name(), hook.name());
            }
            // The other fault meets the same requests and touches the same ones.
            assert!(with.faults[1].effects > 20, "{:?}", with.faults);
            assert_eq!(with.faults[1], without.faults[0], "{}", hook.name());
        }
    }
}

#[test]
fn a_fault_that_takes_processes_down_leaves_the_arrivals_as_they_were() {
    let crash = "[[fault]]\nkind = \"process.crash\"\nname = \"crash\"\nat = \"5m\"\n";
    let (without, with) = (with(""), with(crash));
    for hook in HookKind::ALL {
        let (without, with) = (outcome(&without, hook, 1), outcome(&with, hook, 1));
        assert_eq!(with.faults[0].effects, 3);
        assert_eq!(with.series.counts["visits"], without.series.counts["visits"], "{}", hook.name());
        // Up to the crash, at half of the storm, the runs are one run.
        for series in ["entitlements", "calls", "effects", "goodput"] {
            let (with, without) = (&with.series, &without.series);
            let before = 300_000_000_000 / usize::try_from(with.bin.as_nanos()).unwrap();
            assert!(before > 10);
            assert_eq!(with.counts[series][..before], without.counts[series][..before], "{series} of {}", hook.name());
        }
    }
}
