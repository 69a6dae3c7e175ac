//! How many seeds it takes until a broken hook is found.

use std::collections::BTreeMap;
use std::ops::Range;

use hookproof_core::protection::Protections;

use super::{Ground, Sabotage};
use crate::outcome::{Outcome, Verdict};
use crate::run::run_with;
use crate::scenario::{HookKind, Scenario};
use crate::world::{Recording, Setting};

/// Seeds of a range that are tried at most.
pub const SEEDS_MAX: u64 = 200;
/// Ranges of seeds.
pub const RANGES: u64 = 20;
/// From one range's first seed to the next's.
const STRIDE: u64 = 1_000;

const _: () = assert!(SEEDS_MAX <= STRIDE, "ranges do not touch");

/// The search on one ground. It remembers under which seeds the unbroken hook holds.
#[derive(Clone, Debug)]
pub struct Search {
    ground: Ground,
    base: Scenario,
    holds: BTreeMap<u64, bool>,
}

/// A broken hook was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Seeds tried, this one included.
    pub seeds: u64,
    /// The seed.
    pub seed: u64,
    /// Every invariant that was violated, and the metric of every violated expectation.
    pub by: Vec<&'static str>,
}

impl Search {
    /// A search on `ground`, whose scenario is `base`.
    pub const fn new(ground: Ground, base: Scenario) -> Self {
        Self { ground, base, holds: BTreeMap::new() }
    }

    /// The seeds of the `range`th range.
    pub const fn seeds(range: u64) -> Range<u64> {
        let first = range * STRIDE + 1;
        first..first + SEEDS_MAX
    }

    /// The first of `seeds` under which `sabotage` is found by what it must be found by. A seed under which the unbroken hook
    /// is violated, too, counts as tried and finds nothing.
    pub fn first(&mut self, sabotage: Sabotage, seeds: Range<u64>) -> Option<Found> {
        let start = seeds.start;
        for seed in seeds {
            let by = violated(&self.run(Some(sabotage), seed));
            let is_meant = by.iter().any(|by| sabotage.about().found_by.contains(by));
            if is_meant && self.holds(seed) {
                return Some(Found { seeds: seed - start + 1, seed, by });
            }
        }
        None
    }

    /// Whether nothing is violated by the unbroken hook under `seed`.
    pub fn holds(&mut self, seed: u64) -> bool {
        if let Some(holds) = self.holds.get(&seed) {
            return *holds;
        }
        let holds = !is_violated(&self.run(None, seed));
        self.holds.insert(seed, holds);
        holds
    }

    /// The run of a hook on this ground.
    pub fn run(&self, sabotage: Option<Sabotage>, seed: u64) -> Outcome {
        let setting = Setting {
            hook: HookKind::Hardened,
            protections: Protections::ALL,
            sabotage,
            recording: Recording::Off,
            seed,
        };
        match self.ground {
            Ground::Swarm => run_with(&crate::swarm::vary(&self.base, seed), setting, &mut |_| {}).0,
            Ground::Fair
            | Ground::Deploys
            | Ground::Rollback
            | Ground::Away
            | Ground::Window
            | Ground::Lagging
            | Ground::Unproven
            | Ground::Credentials
            | Ground::HardLimit
            | Ground::Storm
            | Ground::Failing
            | Ground::Outage
            | Ground::Throttled
            | Ground::KeptErrors
            | Ground::Together
            | Ground::Capped => run_with(&self.base, setting, &mut |_| {}).0,
        }
    }
}

/// Whether a run is violated.
pub fn is_violated(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Violated
}

/// The invariants that a run violates, then the metrics of its violated expectations.
pub fn violated(outcome: &Outcome) -> Vec<&'static str> {
    let invariants = outcome.invariants.iter().filter(|invariant| invariant.violations > 0);
    let expectations = outcome.expectations.iter().filter(|expectation| expectation.verdict == Verdict::Violated);
    let names = invariants.map(|invariant| invariant.id);
    names.chain(expectations.map(|expectation| expectation.metric.name())).collect()
}
