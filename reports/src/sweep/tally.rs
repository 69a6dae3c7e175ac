//! Runs become a sweep, one seed after another, and parts of a sweep become one. Both in any order (`SWEEP-1`).

use std::collections::BTreeMap;

use super::bound::Verdicts;
use super::distribution::Distribution;
use super::record::{
    ExpectationTally, Failing, FaultTally, HookSweep, InvariantTally, Pair, PairedMetric, Reached, ScenarioSweep,
    sweep_repro_command,
};
use crate::number::Number;
use crate::record::{Expectation, Fault, Invariant, Role, Run, ScenarioId, Verdict};
use crate::table::{sentence, violation};

/// Seeds that did not pass and are kept, for each hook.
pub const FAILING_MAX: usize = 20;

impl ScenarioSweep {
    /// Of a scenario of which no seed was seen.
    pub const fn new(scenario: ScenarioId) -> Self {
        Self { scenario, hooks: Vec::new(), pairs: Vec::new() }
    }

    /// Counts one seed: its run under each hook, always in the same order.
    pub fn add(&mut self, runs: &[Run], swarm: bool) {
        if self.hooks.is_empty() {
            self.hooks = runs.iter().map(HookSweep::new).collect();
            self.pairs = pairs(runs);
        }
        assert_eq!(self.hooks.len(), runs.len(), "each seed runs under each hook");
        for (hook, run) in self.hooks.iter_mut().zip(runs) {
            hook.add(run, swarm);
        }
        let of = |name: &str| runs.iter().find(|run| run.hook == name).expect("a pair is one of hooks that ran");
        for pair in &mut self.pairs {
            let (run, against) = (of(&pair.hook), of(&pair.against));
            pair.add(&run.metrics, &against.metrics);
        }
    }

    /// Counts the seeds of another part of the same sweep.
    pub fn merge(&mut self, other: &Self) {
        if self.hooks.is_empty() {
            self.clone_from(other);
            return;
        }
        for (hook, more) in self.hooks.iter_mut().zip(&other.hooks) {
            hook.merge(more);
        }
        for (pair, more) in self.pairs.iter_mut().zip(&other.pairs) {
            for (name, metric) in &more.metrics {
                entry(&mut pair.metrics, name).merge(metric);
            }
        }
    }

    /// Names kinds of fault of which each seed could have had one, so that those that none had are counted as well.
    pub fn name_fault_kinds(&mut self, kinds: &[&str]) {
        for hook in &mut self.hooks {
            for kind in kinds {
                entry(&mut hook.faults, kind);
            }
        }
    }
}

/// The first judged hook beside each other one; the first hook if none is judged.
fn pairs(runs: &[Run]) -> Vec<Pair> {
    let Some(subject) = runs.iter().find(|run| run.role == Role::Judged).or(runs.first()) else { return Vec::new() };
    let others = runs.iter().filter(|run| run.hook != subject.hook);
    let pair = |other: &Run| Pair { hook: subject.hook.clone(), against: other.hook.clone(), metrics: BTreeMap::new() };
    others.map(pair).collect()
}

/// The entry of that name, made if there is none; the name is copied only then.
fn entry<'m, T: Default>(map: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name).expect("it was there, or was made above")
}

fn lower(first: Option<u64>, other: Option<u64>) -> Option<u64> {
    first.into_iter().chain(other).min()
}

impl Verdicts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Violated => self.violated += 1,
            Verdict::Inconclusive => self.inconclusive += 1,
        }
    }

    const fn merge(&mut self, other: Self) {
        self.pass = self.pass.saturating_add(other.pass);
        self.violated = self.violated.saturating_add(other.violated);
        self.inconclusive = self.inconclusive.saturating_add(other.inconclusive);
    }
}

impl HookSweep {
    fn new(run: &Run) -> Self {
        Self {
            hook: run.hook.clone(),
            role: run.role,
            seeds: Verdicts::default(),
            failing: Vec::new(),
            invariants: BTreeMap::new(),
            expectations: Vec::new(),
            faults: BTreeMap::new(),
            reached: BTreeMap::new(),
            metrics: BTreeMap::new(),
            unsupported: run.unsupported.iter().cloned().collect(),
        }
    }

    fn add(&mut self, run: &Run, swarm: bool) {
        let seen_before = self.seeds.seeds();
        self.seeds.add(run.verdict);
        if run.verdict != Verdict::Pass {
            self.keep(failing(run, swarm));
        }
        for invariant in &run.invariants {
            entry(&mut self.invariants, &invariant.id).add(invariant, run.seed);
        }
        for expectation in &run.expectations {
            self.expectation(expectation).add(expectation, run.seed);
        }
        self.add_faults(&run.faults);
        for (name, count) in &run.reached {
            entry(&mut self.reached, name).merge(Reached { seeds: u64::from(*count > 0), count: *count });
        }
        for name in run.metrics.keys() {
            if !self.metrics.contains_key(name) {
                self.metrics.insert(name.clone(), Distribution::of_absent(seen_before));
            }
        }
        for (name, distribution) in &mut self.metrics {
            distribution.add(run.metrics.get(name).copied());
        }
    }

    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.seeds.seeds(), other.seeds.seeds());
        self.seeds.merge(other.seeds);
        for failing in &other.failing {
            self.keep(failing.clone());
        }
        for (id, tally) in &other.invariants {
            entry(&mut self.invariants, id).merge(tally);
        }
        for tally in &other.expectations {
            self.expectation_of(tally).merge(tally);
        }
        for (kind, tally) in &other.faults {
            entry(&mut self.faults, kind).merge(*tally);
        }
        for (name, reached) in &other.reached {
            entry(&mut self.reached, name).merge(*reached);
        }
        for (name, distribution) in &mut self.metrics {
            let absent = Distribution::of_absent(theirs);
            distribution.merge(other.metrics.get(name).unwrap_or(&absent));
        }
        for (name, distribution) in &other.metrics {
            if !self.metrics.contains_key(name) {
                let mut merged = Distribution::of_absent(mine);
                merged.merge(distribution);
                self.metrics.insert(name.clone(), merged);
            }
        }
        self.unsupported.extend(other.unsupported.iter().cloned());
    }

    /// Keeps it if it is among the first.
    fn keep(&mut self, failing: Failing) {
        let at = self.failing.partition_point(|kept| *kept < failing);
        if at < FAILING_MAX {
            self.failing.insert(at, failing);
            self.failing.truncate(FAILING_MAX);
        }
    }

    fn expectation(&mut self, expectation: &Expectation) -> &mut ExpectationTally {
        let at = self.expectations.partition_point(|tally| tally.line < expectation.line);
        if self.expectations.get(at).is_none_or(|tally| tally.line != expectation.line) {
            self.expectations.insert(at, ExpectationTally::new(expectation));
        }
        &mut self.expectations[at]
    }

    fn expectation_of(&mut self, other: &ExpectationTally) -> &mut ExpectationTally {
        let at = self.expectations.partition_point(|tally| tally.line < other.line);
        if self.expectations.get(at).is_none_or(|tally| tally.line != other.line) {
            let empty = ExpectationTally {
                seeds: Verdicts::default(),
                first: None,
                values: Distribution::default(),
                ..other.clone()
            };
            self.expectations.insert(at, empty);
        }
        &mut self.expectations[at]
    }

    fn add_faults(&mut self, faults: &[Fault]) {
        let mut of_seed: BTreeMap<&str, FaultTally> = BTreeMap::new();
        for fault in faults {
            let tally = of_seed.entry(&fault.kind).or_default();
            tally.opportunities = tally.opportunities.saturating_add(fault.opportunities);
            tally.effects = tally.effects.saturating_add(fault.effects);
        }
        for (kind, mut tally) in of_seed {
            tally.seeds_drawn = 1;
            tally.seeds_with_opportunity = u64::from(tally.opportunities > 0);
            tally.seeds_with_effect = u64::from(tally.effects > 0);
            entry(&mut self.faults, kind).merge(tally);
        }
    }
}

/// What is kept of a run that did not pass.
fn failing(run: &Run, swarm: bool) -> Failing {
    let path = format!("{}.toml", run.scenario.name);
    Failing {
        verdict: run.verdict,
        seed: run.seed,
        what: what(run, &path),
        repro: sweep_repro_command(&path, &run.hook, run.seed, swarm),
    }
}

/// The first thing that gives a run its verdict.
fn what(run: &Run, path: &str) -> String {
    let counts = |invariant: &&Invariant| match run.verdict {
        Verdict::Violated => invariant.violations > 0,
        Verdict::Inconclusive => invariant.inconclusive > 0,
        Verdict::Pass => false,
    };
    let is_judged = run.role == Role::Judged;
    if let Some(invariant) = run.invariants.iter().filter(|_| is_judged).find(counts) {
        return if run.verdict == Verdict::Violated {
            violation(invariant)
        } else {
            format!("{} ({}) could not be judged", invariant.id, invariant.says)
        };
    }
    let expectation = run.expectations.iter().find(|expectation| expectation.verdict == run.verdict);
    expectation.map_or_else(|| run.note.clone(), |expectation| sentence(expectation, path))
}

impl InvariantTally {
    fn add(&mut self, invariant: &Invariant, seed: u64) {
        let Invariant { says, checked, violations, inconclusive, .. } = invariant;
        if self.says.is_empty() {
            self.says.clone_from(says);
        }
        self.checked = self.checked.saturating_add(*checked);
        self.violations = self.violations.saturating_add(*violations);
        self.seeds_checked += u64::from(*checked > 0);
        self.seeds_violated += u64::from(*violations > 0);
        self.seeds_inconclusive += u64::from(*inconclusive > 0);
        self.first = lower(self.first, (*violations > 0).then_some(seed));
    }

    fn merge(&mut self, other: &Self) {
        if self.says.is_empty() {
            self.says.clone_from(&other.says);
        }
        self.checked = self.checked.saturating_add(other.checked);
        self.violations = self.violations.saturating_add(other.violations);
        self.seeds_checked = self.seeds_checked.saturating_add(other.seeds_checked);
        self.seeds_violated = self.seeds_violated.saturating_add(other.seeds_violated);
        self.seeds_inconclusive = self.seeds_inconclusive.saturating_add(other.seeds_inconclusive);
        self.first = lower(self.first, other.first);
    }
}

impl ExpectationTally {
    fn new(expectation: &Expectation) -> Self {
        Self {
            line: expectation.line,
            metric: expectation.metric.clone(),
            during: expectation.during.clone(),
            limit: expectation.limit,
            seeds: Verdicts::default(),
            first: None,
            values: Distribution::default(),
        }
    }

    fn add(&mut self, expectation: &Expectation, seed: u64) {
        self.seeds.add(expectation.verdict);
        self.first = lower(self.first, (expectation.verdict != Verdict::Pass).then_some(seed));
        self.values.add(expectation.value);
    }

    fn merge(&mut self, other: &Self) {
        self.seeds.merge(other.seeds);
        self.first = lower(self.first, other.first);
        self.values.merge(&other.values);
    }
}

impl FaultTally {
    const fn merge(&mut self, other: Self) {
        self.seeds_drawn = self.seeds_drawn.saturating_add(other.seeds_drawn);
        self.seeds_with_opportunity = self.seeds_with_opportunity.saturating_add(other.seeds_with_opportunity);
        self.seeds_with_effect = self.seeds_with_effect.saturating_add(other.seeds_with_effect);
        self.opportunities = self.opportunities.saturating_add(other.opportunities);
        self.effects = self.effects.saturating_add(other.effects);
    }
}

impl Reached {
    const fn merge(&mut self, other: Self) {
        self.seeds = self.seeds.saturating_add(other.seeds);
        self.count = self.count.saturating_add(other.count);
    }
}

impl Pair {
    fn add(&mut self, hook: &BTreeMap<String, Number>, against: &BTreeMap<String, Number>) {
        for (name, value) in hook {
            if let Some(other) = against.get(name) {
                entry(&mut self.metrics, name).add(*value, *other);
            }
        }
    }
}

impl PairedMetric {
    fn add(&mut self, value: Number, other: Number) {
        match value.cmp(&other) {
            std::cmp::Ordering::Less => self.lower += 1,
            std::cmp::Ordering::Equal => self.equal += 1,
            std::cmp::Ordering::Greater => self.higher += 1,
        }
        let difference = value.value().zip(other.value()).and_then(|(value, other)| Number::finite(value - other));
        if difference.is_some() {
            self.differences.add(difference);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.lower = self.lower.saturating_add(other.lower);
        self.equal = self.equal.saturating_add(other.equal);
        self.higher = self.higher.saturating_add(other.higher);
        self.differences.merge(&other.differences);
    }
}
