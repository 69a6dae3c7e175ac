//! Whether the counts of a part agree with each other: what every sweep has, and an edited or damaged file may not have.
//!
//! Each check follows from how seeds are counted (`tally`): a seed has one verdict, is in one shard, and is counted once in
//! whatever it is counted in. Nothing is corrected here.

use super::bound::Verdicts;
use super::distribution::Distribution;
use super::record::{ExpectationTally, Failing, HookSweep, InvariantTally, Pair, ScenarioSweep, SweepRecord};
use super::shard::Shard;
use super::sweep_repro_command;
use super::tally::FAILING_MAX;
use crate::record::{Role, Verdict};

/// What the part is measured by.
struct Part<'r> {
    record: &'r SweepRecord,
    shard: Shard,
    /// Seeds that every hook ran with.
    seeds: u64,
}

/// The first contradiction in a part and where it is: a lowercase fragment.
pub(super) fn contradiction(record: &SweepRecord) -> Option<String> {
    let shard = record.part();
    let part = Part { record, shard, seeds: shard.len(&record.seeds.range()) };
    record.scenarios.iter().find_map(|sweep| {
        let name = &sweep.scenario.name;
        let hooks = || sweep.hooks.iter().find_map(|hook| in_hook(&part, sweep, hook));
        let pairs = || sweep.pairs.iter().find_map(|pair| in_pair(sweep, pair));
        hooks().or_else(pairs).map(|why| format!("{name}, {why}"))
    })
}

impl Part<'_> {
    fn holds(&self, seed: u64) -> bool {
        self.shard.holds(&self.record.seeds.range(), seed)
    }

    /// The lowest seed that has something is there if any has it, and is one of this part.
    fn is_first(&self, first: Option<u64>, seeds: u64) -> bool {
        first.is_some() == (seeds > 0) && first.is_none_or(|seed| self.holds(seed))
    }
}

fn in_hook(part: &Part<'_>, sweep: &ScenarioSweep, hook: &HookSweep) -> Option<String> {
    let invariants = || hook.invariants.iter().find(|(_, tally)| !is_invariant(part, hook, tally));
    let expectations = || hook.expectations.iter().find(|tally| !is_expectation(part, hook, tally));
    let faults = || {
        hook.faults.iter().find(|(_, tally)| {
            let seeds = [tally.seeds_with_effect, tally.seeds_with_opportunity, tally.seeds_drawn, part.seeds];
            let is_counted = |seeds: u64, times: u64| seeds <= times && (seeds > 0) == (times > 0);
            !seeds.is_sorted()
                || !is_counted(tally.seeds_with_effect, tally.effects)
                || !is_counted(tally.seeds_with_opportunity, tally.opportunities)
        })
    };
    let reached = || {
        hook.reached.iter().find(|(_, reached)| {
            reached.seeds > part.seeds || reached.seeds > reached.count || (reached.seeds > 0) != (reached.count > 0)
        })
    };
    let failing = || (!is_failing(part, sweep, hook)).then(|| "failing".to_owned());
    let found = failing()
        .or_else(|| invariants().map(|(id, _)| id.clone()))
        .or_else(|| expectations().map(|tally| format!("the expectation of line {}", tally.line)))
        .or_else(|| faults().map(|(kind, _)| kind.clone()))
        .or_else(|| reached().map(|(name, _)| format!("{name} of what was reached")));
    found.map(|what| format!("hook {}: the counts of {what} contradict themselves or the verdicts", hook.hook))
}

/// The seeds that are kept of those that did not pass: as many as there are, up to a limit, the violated first.
fn is_failing(part: &Part<'_>, sweep: &ScenarioSweep, hook: &HookSweep) -> bool {
    let Verdicts { violated, inconclusive, .. } = hook.seeds;
    let kept = |seeds: u64| usize::try_from(seeds).map_or(FAILING_MAX, |seeds| seeds.min(FAILING_MAX));
    let path = format!("{}.toml", sweep.scenario.name);
    let is_one = |failing: &Failing| {
        let command = sweep_repro_command(&path, &hook.hook, failing.seed, part.record.swarm);
        part.holds(failing.seed) && failing.verdict != Verdict::Pass && failing.repro == command
    };
    let count = |verdict| hook.failing.iter().filter(|failing| failing.verdict == verdict).count();
    hook.failing.len() == kept(violated.saturating_add(inconclusive))
        && count(Verdict::Violated) == kept(violated)
        && hook.failing.is_sorted_by_key(|failing| (failing.verdict, failing.seed))
        && hook.failing.windows(2).all(|pair| pair[0].seed != pair[1].seed)
        && hook.failing.iter().all(is_one)
}

fn is_invariant(part: &Part<'_>, hook: &HookSweep, tally: &InvariantTally) -> bool {
    let InvariantTally { checked, violations, seeds_checked, seeds_violated, seeds_inconclusive, first, .. } = *tally;
    // An invariant of a judged hook decides the seed's verdict.
    let violated_max = if hook.role == Role::Judged { hook.seeds.violated } else { part.seeds };
    seeds_checked <= part.seeds
        && seeds_inconclusive <= part.seeds
        && seeds_violated <= violated_max.min(seeds_checked)
        && seeds_checked <= checked
        && seeds_violated <= violations
        && violations <= checked
        && (seeds_checked > 0) == (checked > 0)
        && (seeds_violated > 0) == (violations > 0)
        && part.is_first(first, seeds_violated)
}

fn is_expectation(part: &Part<'_>, hook: &HookSweep, tally: &ExpectationTally) -> bool {
    let ExpectationTally { seeds, first, values, .. } = tally;
    let did_not_pass = seeds.violated.saturating_add(seeds.inconclusive);
    seeds.seeds() == part.seeds
        && seeds.seeds() == sum(values)
        && seeds.violated <= hook.seeds.violated
        && did_not_pass <= hook.seeds.violated.saturating_add(hook.seeds.inconclusive)
        && part.is_first(*first, did_not_pass)
}

fn sum(values: &Distribution) -> u64 {
    values.present().saturating_add(values.absent())
}

fn in_pair(sweep: &ScenarioSweep, pair: &Pair) -> Option<String> {
    let Pair { hook, against, metrics } = pair;
    let present = |name: &str, metric: &str| {
        let hook = sweep.hooks.iter().find(|hook| hook.hook == name)?;
        hook.metrics.get(metric).map(Distribution::present)
    };
    let wrong = metrics.iter().find(|(name, paired)| {
        let seeds = [paired.lower, paired.equal, paired.higher].into_iter().fold(0_u64, u64::saturating_add);
        let both = present(hook, name).zip(present(against, name)).map(|(one, other)| one.min(other));
        both.is_none_or(|both| seeds > both) || sum(&paired.differences) > seeds
    });
    wrong.map(|(name, _)| format!("{hook} - {against}: the counts of {name} do not fit those of the two hooks"))
}
