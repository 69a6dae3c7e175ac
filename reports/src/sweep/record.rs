//! The sweep record, schema `hookproof.sweep/1`: what many seeds of a scenario gave, in a size that does not grow with them.
//!
//! One type serves the whole and its parts: a part names its [`Shard`], and what is needed to merge parts is what is stored.
//! It holds no wall time, host name or path, and nothing of how the work was spread: equal sweeps give equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::bound::{Verdicts, sign_test};
use super::distribution::Distribution;
use super::shard::Shard;
use crate::number::Number;
use crate::record::{Limit, Role, ScenarioId, Tool, Verdict, quoted};

/// The schema that this version writes.
pub const SWEEP_SCHEMA: &str = "hookproof.sweep/1";

/// What one sweep, or one shard of it, found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// [`SWEEP_SCHEMA`].
    pub schema: String,
    /// What wrote it.
    pub tool: Tool,
    /// The seeds of the whole sweep.
    pub seeds: Seeds,
    /// Whether each seed ran a variation of the scenario that it chose itself.
    pub swarm: bool,
    /// Which part this is; `null` for the whole.
    pub shard: Option<Shard>,
    /// SHA-256 of all else, in the written form only: it is worked out on writing, held against the rest on reading, and empty in
    /// between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// One entry for each scenario, in the order of the command line.
    pub scenarios: Vec<ScenarioSweep>,
}

/// Seeds from `from` up to, but not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// After the last.
    pub to: u64,
}

impl Seeds {
    /// As a range.
    pub const fn range(self) -> Range<u64> {
        self.from..self.to
    }
}

/// One scenario under all hooks and seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioSweep {
    /// The scenario.
    pub scenario: ScenarioId,
    /// One entry for each hook, in the order they ran.
    pub hooks: Vec<HookSweep>,
    /// The first judged hook beside each other one, seed by seed.
    pub pairs: Vec<Pair>,
}

/// One hook's seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSweep {
    /// Name of the hook.
    pub hook: String,
    /// Whether its invariants are enforced.
    pub role: Role,
    /// Seeds by verdict, and the bound that follows.
    pub seeds: Verdicts,
    /// The first of the seeds that did not pass, violated ones before inconclusive ones, each group by seed.
    pub failing: Vec<Failing>,
    /// By invariant.
    pub invariants: BTreeMap<String, InvariantTally>,
    /// In the order of the file.
    pub expectations: Vec<ExpectationTally>,
    /// By kind of fault.
    pub faults: BTreeMap<String, FaultTally>,
    /// By what the runs came across.
    pub reached: BTreeMap<String, Reached>,
    /// By metric.
    pub metrics: BTreeMap<String, Distribution>,
    /// Metrics that these runs cannot measure.
    pub unsupported: BTreeSet<String>,
}

/// A seed that did not pass. Ordered by verdict, then seed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failing {
    /// What was found.
    pub verdict: Verdict,
    /// The seed.
    pub seed: u64,
    /// The first invariant or expectation that says so.
    pub what: String,
    /// The command that repeats it, with the scenario's file name without its folder.
    pub repro: String,
}

/// An invariant over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InvariantTally {
    /// What it says.
    pub says: String,
    /// Checks in all seeds.
    pub checked: u64,
    /// Violations in all seeds.
    pub violations: u64,
    /// Seeds in which it was checked.
    pub seeds_checked: u64,
    /// Seeds in which it was violated.
    pub seeds_violated: u64,
    /// Seeds in which a check could not be judged.
    pub seeds_inconclusive: u64,
    /// The lowest seed that violates it.
    pub first: Option<u64>,
}

/// An expectation over all seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationTally {
    /// Line of the `[[expect]]` in the scenario file, from 1.
    pub line: u32,
    /// The metric.
    pub metric: String,
    /// Name of the stretch of time.
    pub during: String,
    /// What the value must be.
    pub limit: Limit,
    /// Seeds by verdict.
    pub seeds: Verdicts,
    /// The lowest seed that does not pass.
    pub first: Option<u64>,
    /// The values.
    pub values: Distribution,
}

/// A kind of fault over all seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultTally {
    /// Seeds whose scenario had such a fault.
    pub seeds_drawn: u64,
    /// Seeds in which one had an opportunity.
    pub seeds_with_opportunity: u64,
    /// Seeds in which one had an effect.
    pub seeds_with_effect: u64,
    /// Opportunities in all seeds.
    pub opportunities: u64,
    /// Effects in all seeds.
    pub effects: u64,
}

/// Something that runs came across.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Seeds in which it happened.
    pub seeds: u64,
    /// How often it happened in all seeds.
    pub count: u64,
}

/// Two hooks under the same seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The first judged hook.
    pub hook: String,
    /// The other one.
    pub against: String,
    /// By metric that both have.
    pub metrics: BTreeMap<String, PairedMetric>,
}

/// A metric of two hooks, seed by seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredPairedMetric", from = "StoredPairedMetric")]
pub struct PairedMetric {
    /// Seeds in which the hook's value is below the other's.
    pub lower: u64,
    /// Seeds in which both are equal.
    pub equal: u64,
    /// Seeds in which the hook's value is above the other's.
    pub higher: u64,
    /// The hook's value minus the other's, where both are finite.
    pub differences: Distribution,
}

impl PairedMetric {
    /// How likely two equally good hooks differ as unevenly; see [`sign_test`].
    pub fn sign_p(&self) -> Option<Number> {
        sign_test(self.lower, self.higher).and_then(Number::finite)
    }
}

/// A paired metric in JSON, with the test for readers.
#[derive(Clone, Serialize, Deserialize)]
struct StoredPairedMetric {
    lower: u64,
    equal: u64,
    higher: u64,
    #[serde(rename = "sign-p", default)]
    sign_p: Option<Number>,
    differences: Distribution,
}

impl From<PairedMetric> for StoredPairedMetric {
    fn from(metric: PairedMetric) -> Self {
        let sign_p = metric.sign_p();
        let PairedMetric { lower, equal, higher, differences } = metric;
        Self { lower, equal, higher, sign_p, differences }
    }
}

impl From<StoredPairedMetric> for PairedMetric {
    fn from(StoredPairedMetric { lower, equal, higher, differences, .. }: StoredPairedMetric) -> Self {
        Self { lower, equal, higher, differences }
    }
}

impl SweepRecord {
    /// The verdict over all scenarios and hooks; `None` if there is nothing.
    pub fn verdict(&self) -> Option<Verdict> {
        self.scenarios.iter().flat_map(|scenario| &scenario.hooks).map(|hook| hook.verdict(self.swarm)).min()
    }

    /// Whether each scenario has run all seeds of this part. One that was interrupted has not.
    pub fn is_whole(&self) -> bool {
        self.scenarios.iter().all(|scenario| scenario.seeds() == self.seeds_each())
    }

    /// Seeds of this part.
    pub fn seeds_each(&self) -> u64 {
        self.part().len(&self.seeds.range())
    }

    /// Which part it is; the whole is part 1 of 1.
    pub fn part(&self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
    }
}

impl ScenarioSweep {
    /// Seeds that have run under all hooks.
    pub fn seeds(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.seeds.seeds()).min().unwrap_or(0)
    }
}

impl HookSweep {
    /// The verdict over all seeds.
    ///
    /// A file names its faults, so each seed must judge what the file says. A swarm's seed draws them, and may draw a world in
    /// which something cannot be judged: such a seed proves nothing and is left out, and only a swarm in which nothing was
    /// judged is inconclusive.
    pub const fn verdict(&self, swarm: bool) -> Verdict {
        let Verdicts { pass, violated, inconclusive } = self.seeds;
        if violated > 0 {
            Verdict::Violated
        } else if pass == 0 || inconclusive > 0 && !swarm {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

/// The command that repeats one seed of a sweep of the scenario file `path`, ready for a shell.
pub fn sweep_repro_command(path: &str, hook: &str, seed: u64, swarm: bool) -> String {
    if !swarm {
        return crate::record::repro_command(path, hook, seed);
    }
    let after = u128::from(seed) + 1;
    format!("hookproof sweep {} --swarm --hook {hook} --seeds {seed}..{after}", quoted(path))
}
