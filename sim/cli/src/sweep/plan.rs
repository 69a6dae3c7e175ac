//! The runs of a sweep on all cores: each thread counts the seeds it completes, and the counts are joined at the end.
//!
//! A run is one hook with one seed. A seed is counted when all its hooks have run, by the thread that ran the last of them, so
//! that at most as many seeds as there are threads are held, however many there are in all. Which thread counts what does
//! not show: see `SWEEP-1` in `hookproof-reports`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use hookproof_reports::{Run, ScenarioSweep, Shard, Verdict};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::{HookKind, Limits, Scenario, fault_kinds};
use hookproof_sim::swarm;

use super::progress::Progress;
use crate::determinism::{self, Times};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::pool;
use crate::record;
use crate::scenarios::Loaded;
use crate::terminal::Terminal;

/// Runs that differed from themselves and are named.
const DIVERGED_NAMED: usize = 20;

/// A scenario and the hooks to run it with.
pub(crate) struct Target<'a> {
    pub(crate) file: &'a Loaded,
    pub(crate) hooks: Vec<HookKind>,
}

/// All that is to be done, and by what.
pub(crate) struct Plan<'a> {
    pub(crate) targets: &'a [Target<'a>],
    pub(crate) seeds: Range<u64>,
    pub(crate) shard: Shard,
    pub(crate) swarm: bool,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) times: Times,
    /// Once asked, no further seed is begun.
    pub(crate) interrupt: Interrupt,
    pub(crate) simulate: fn(&Scenario, HookKind, u64, &mut dyn FnMut(f64)) -> Outcome,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) scenarios: Vec<ScenarioSweep>,
    pub(crate) diverged: Diverged,
}

/// Runs that differed from themselves: the first of them, and how many.
#[derive(Debug, Default)]
pub(crate) struct Diverged {
    /// By place in the order of runs.
    named: BTreeMap<u64, String>,
    count: u64,
}

impl Diverged {
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A line for each of the first, and one for the rest.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = self.named.values().cloned().collect();
        let more = self.count - messages.len() as u64;
        if more > 0 {
            messages.push(format!("{more} more runs differed from themselves"));
        }
        messages
    }

    fn add(&mut self, index: u64, message: String) {
        self.count += 1;
        self.name(index, message);
    }

    fn name(&mut self, index: u64, message: String) {
        self.named.insert(index, message);
        if self.named.len() > DIVERGED_NAMED {
            self.named.pop_last();
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (index, message) in other.named {
            self.name(index, message);
        }
    }
}

/// One run to do.
#[derive(Clone, Copy)]
struct Unit {
    target: usize,
    seed: u64,
    hook: usize,
}

/// What one thread has counted.
struct Counted {
    scenarios: Vec<ScenarioSweep>,
    diverged: Diverged,
    /// With its place in the order of runs.
    failure: Option<(u64, Failure)>,
}

/// Runs whose seed is not complete, by target and seed.
type Waiting = Mutex<BTreeMap<(usize, u64), Vec<Option<Run>>>>;

impl Plan<'_> {
    /// Checks what each seed of a swarm makes of each scenario, before any of it is run.
    ///
    /// # Errors
    /// The first seed of each scenario that needs more than `limits` allow.
    pub(crate) fn check_variations(&self, limits: &Limits) -> Result<(), Failure> {
        let seeds = if self.swarm { self.shard.len(&self.seeds) } else { 0 };
        let first_refused = |file: &Loaded| {
            // Seeds are handed out in order, so that none before the first refused one is left out.
            let refused = pool::fold(
                seeds,
                self.jobs,
                || None,
                |refused, index| {
                    let Err(failure) = file.varied(self.shard.seed(&self.seeds, index), limits) else {
                        return ControlFlow::Continue(());
                    };
                    *refused = Some((index, failure));
                    ControlFlow::Break(())
                },
            );
            refused.into_iter().flatten().min_by_key(|(index, _)| *index).map(|(_, failure)| failure)
        };
        let failures: Vec<Failure> = self.targets.iter().filter_map(|target| first_refused(target.file)).collect();
        Failure::joined(&failures).map_or(Ok(()), Err)
    }

    /// Does all runs.
    ///
    /// # Errors
    /// A run panicked; the others were given up.
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Swept, Failure> {
        let runs = self.targets.iter().map(|target| self.runs_of(target)).try_fold(0_u64, u64::checked_add);
        let runs = runs.ok_or_else(|| Failure::bad_input("these are more runs than can be counted"))?;
        let progress = Progress::new(runs, terminal);
        let waiting = Waiting::default();
        let start = || Counted { scenarios: self.nothing_seen(), diverged: Diverged::default(), failure: None };
        let counted = pool::fold(runs, self.jobs, start, |counted: &mut Counted, index| {
            let unit = self.unit(index);
            // The hooks of a seed follow each other: a seed that was begun is completed.
            if unit.hook == 0 && self.interrupt.is_asked() {
                return ControlFlow::Break(());
            }
            match catch_unwind(AssertUnwindSafe(|| self.run_one(unit))) {
                Ok((run, difference)) => {
                    progress.done(run.verdict == Verdict::Violated);
                    if let Some(difference) = difference {
                        counted.diverged.add(index, format!("{} {difference}", self.named(unit)));
                    }
                    if let Some(runs) = self.complete(&waiting, unit, run) {
                        counted.scenarios[unit.target].add(&runs, self.swarm);
                    }
                    ControlFlow::Continue(())
                }
                Err(panic) => {
                    counted.failure = Some((index, Failure::of_panic(&self.named(unit), panic.as_ref())));
                    ControlFlow::Break(())
                }
            }
        });
        progress.finish();
        self.join(counted)
    }

    fn runs_of(&self, target: &Target<'_>) -> u64 {
        self.shard.len(&self.seeds).saturating_mul(target.hooks.len() as u64)
    }

    /// Scenario by scenario, seed by seed, hook by hook: the hooks of a seed follow each other.
    fn unit(&self, index: u64) -> Unit {
        let mut rest = index;
        for (at, target) in self.targets.iter().enumerate() {
            let runs = self.runs_of(target);
            if rest < runs {
                let hooks = target.hooks.len() as u64;
                let hook = usize::try_from(rest % hooks).expect("a hook's number is small");
                return Unit { target: at, seed: self.shard.seed(&self.seeds, rest / hooks), hook };
            }
            rest -= runs;
        }
        unreachable!("an index is below the number of runs")
    }

    fn run_one(&self, unit: Unit) -> (Run, Option<String>) {
        let Target { file, hooks } = &self.targets[unit.target];
        let varied = self.swarm.then(|| swarm::vary(&file.scenario, unit.seed));
        let scenario = varied.as_ref().unwrap_or(&file.scenario);
        let simulate = || (self.simulate)(scenario, hooks[unit.hook], unit.seed, &mut |_| {});
        let first = simulate();
        let difference = match self.times {
            Times::Once => None,
            Times::Twice => determinism::difference(&first, &simulate())
                .map(|difference| format!("gave two different runs: {difference}")),
        };
        (record::run(&file.scenario, &first), difference)
    }

    /// All runs of the seed if this is the last of them.
    fn complete(&self, waiting: &Waiting, unit: Unit, run: Run) -> Option<Vec<Run>> {
        let hooks = self.targets[unit.target].hooks.len();
        if hooks == 1 {
            return Some(vec![run]);
        }
        // Only a panic of the map itself could have poisoned it, and then the process is at its end anyway.
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (unit.target, unit.seed);
        let runs = waiting.entry(key).or_insert_with(|| vec![None; hooks]);
        runs[unit.hook] = Some(run);
        if runs.iter().any(Option::is_none) {
            return None;
        }
        waiting.remove(&key).map(|runs| runs.into_iter().flatten().collect())
    }

    fn nothing_seen(&self) -> Vec<ScenarioSweep> {
        self.targets.iter().map(|target| ScenarioSweep::new(record::scenario_id(&target.file.scenario))).collect()
    }

    fn join(&self, counted: Vec<Counted>) -> Result<Swept, Failure> {
        let mut swept = Swept { scenarios: self.nothing_seen(), diverged: Diverged::default() };
        let mut failures = Vec::new();
        for Counted { scenarios, diverged, failure } in counted {
            failures.extend(failure);
            swept.diverged.merge(diverged);
            for (all, part) in swept.scenarios.iter_mut().zip(&scenarios) {
                all.merge(part);
            }
        }
        if self.swarm {
            let kinds: Vec<&str> = fault_kinds().collect();
            for scenario in &mut swept.scenarios {
                scenario.name_fault_kinds(&kinds);
            }
        }
        match failures.into_iter().min_by_key(|(index, _)| *index) {
            Some((_, failure)) => Err(failure),
            None => Ok(swept),
        }
    }

    fn named(&self, unit: Unit) -> String {
        let Target { file, hooks } = &self.targets[unit.target];
        let swarm = if self.swarm { " of the swarm" } else { "" };
        format!("{} with hook {} and seed {}{swarm}", file.path, hooks[unit.hook].name(), unit.seed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::args::ColorWhen;
    use crate::exit::Exit;
    use crate::sample;
    use hookproof_sim::outcome::{self, Role};

    /// The hardened hook is judged, and every fifth seed violated.
    fn outcome(hook: HookKind, seed: u64, users: f64) -> Outcome {
        let role = if hook == HookKind::Hardened { Role::Judged } else { Role::Reference };
        let verdict = if seed.is_multiple_of(5) { outcome::Verdict::Violated } else { outcome::Verdict::Pass };
        Outcome { role, verdict, ..sample::outcome(hook, seed, users) }
    }

    fn swept(
        jobs: usize,
        times: Times,
        simulate: fn(&Scenario, HookKind, u64, &mut dyn FnMut(f64)) -> Outcome,
    ) -> Result<Swept, Failure> {
        interruptible(jobs, times, Interrupt::default(), simulate)
    }

    fn interruptible(
        jobs: usize,
        times: Times,
        interrupt: Interrupt,
        simulate: fn(&Scenario, HookKind, u64, &mut dyn FnMut(f64)) -> Outcome,
    ) -> Result<Swept, Failure> {
        let files = ["x", "y"].map(sample::file);
        let hooks = [HookKind::ALL.to_vec(), vec![HookKind::Hardened]];
        let targets: Vec<Target<'_>> = files.iter().zip(hooks).map(|(file, hooks)| Target { file, hooks }).collect();
        let plan = Plan {
            targets: &targets,
            seeds: 3..103,
            shard: Shard::new(2, 3).unwrap(),
            swarm: false,
            jobs: NonZeroUsize::new(jobs).unwrap(),
            times,
            interrupt,
            simulate,
        };
        plan.run(&Terminal::new(ColorWhen::Never, true))
    }

    /// The hardened hook's value is one above the others'.
    fn simulate(_: &Scenario, hook: HookKind, seed: u64, _: &mut dyn FnMut(f64)) -> Outcome {
        let more = if hook == HookKind::Hardened { 1.0 } else { 0.0 };
        outcome(hook, seed, f64::from(u32::try_from(seed).expect("few seeds")) + more)
    }

    #[test]
    fn the_threads_do_not_show_and_each_seed_is_counted_once() {
        let one = swept(1, Times::Once, simulate).unwrap();
        for jobs in [2, 7] {
            assert_eq!(swept(jobs, Times::Once, simulate).unwrap().scenarios, one.scenarios);
        }
        let hooks: Vec<&hookproof_reports::HookSweep> = one.scenarios.iter().flat_map(|all| &all.hooks).collect();
        assert_eq!(hooks.len(), 4);
        for hook in hooks {
            // 4, 7, …, 100 are 33 seeds; those divisible by five are 10, 25, …, 100.
            assert_eq!((hook.seeds.seeds(), hook.seeds.violated), (33, 7), "{}", hook.hook);
            let failing: Vec<u64> = hook.failing.iter().map(|failing| failing.seed).collect();
            assert_eq!(failing, [10, 25, 40, 55, 70, 85, 100]);
        }
        let pairs: Vec<(u64, u64)> = one.scenarios[0]
            .pairs
            .iter()
            .map(|pair| &pair.metrics["over-allocation.users"])
            .map(|m| (m.lower, m.higher))
            .collect();
        assert_eq!(pairs, [(0, 33), (0, 33)]);
    }

    #[test]
    fn an_interrupted_sweep_has_counted_the_seeds_that_were_begun_under_all_hooks() {
        static INTERRUPT: LazyLock<Interrupt> = LazyLock::new(Interrupt::default);
        let swept = interruptible(1, Times::Once, INTERRUPT.clone(), |_, hook, seed, _| {
            if seed == 40 && hook == HookKind::ALL[0] {
                INTERRUPT.ask();
            }
            outcome(hook, seed, 0.0)
        });
        let scenarios = swept.unwrap().scenarios;
        // 4, 7, …, 40 are 13 seeds; the second scenario was not begun.
        let seeds: Vec<u64> = scenarios[0].hooks.iter().map(|hook| hook.seeds.seeds()).collect();
        assert_eq!((seeds, scenarios[1].hooks.len()), (vec![13; HookKind::ALL.len()], 0));
    }

    #[test]
    fn a_run_that_differs_from_itself_is_named_and_the_first_are_listed() {
        thread_local!(static CALLS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        let swept = swept(2, Times::Twice, |_, hook, seed, _| {
            let calls = CALLS.replace(CALLS.get() + 1);
            outcome(hook, seed, if hook == HookKind::Hardened { calls.into() } else { 0.0 })
        })
        .unwrap();
        let messages = swept.diverged.messages();
        assert_eq!(messages.len(), DIVERGED_NAMED + 1);
        assert!(messages[0].starts_with("x.toml with hook hardened and seed 4 gave two different runs: over-alloc"));
        assert_eq!(messages[DIVERGED_NAMED], "46 more runs differed from themselves");
    }

    #[test]
    fn a_panic_of_the_simulator_is_the_harness_failing() {
        let failure = swept(2, Times::Once, |_, hook, seed, _| {
            assert!(seed < 40, "GRANT-9 is broken");
            outcome(hook, seed, 0.0)
        })
        .unwrap_err();
        assert_eq!((failure.exit(), failure.messages().len()), (Exit::Harness, 1));
        assert!(failure.messages()[0].contains("GRANT-9 is broken"), "{:?}", failure.messages());
    }
}
