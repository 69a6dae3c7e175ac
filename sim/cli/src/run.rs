//! `run`: scenarios through hooks in virtual time, and what came of it.

use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hookproof_reports::{Run, render_json};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::{HookKind, Scenario};

use crate::args::{Format, RunArgs};
use crate::determinism::{self, Times};
use crate::events;
use crate::exit::{Exit, Failure};
use crate::ids::Ids;
use crate::out::{OutFile, OutFolder};
use crate::output::{self, Output};
use crate::pool;
use crate::progress::{Progress, RunProgress};
use crate::record;
use crate::scenarios::{self, Loaded};
use crate::story;
use crate::terminal::Terminal;

/// Beyond it the record itself would not fit into memory.
const RUNS_MAX: u64 = 1_000_000;

/// Runs what `args` select, and prints and writes what they ask for.
///
/// # Errors
/// Bad input, before anything is run; a failure of the harness.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let output = Output::resolve(&args.formats, args.out.is_some())?;
    let ids = Ids::resolve(&args.ids)?;
    let files = scenarios::load(&args.paths, args.running.limits, terminal)?;
    let units = units(args, &files)?;
    let log = args.events.as_deref().map(|path| Log::prepare(path, &units)).transpose()?;
    let folder = args.out.as_deref().map(OutFolder::prepare).transpose()?;

    announce(&files, &units, terminal);
    let plan = Plan {
        files: &files,
        units: &units,
        jobs: pool::jobs(args.running.jobs),
        times: args.running.times(),
        stories: if args.out.is_some() || args.formats.iter().copied().any(has_stories) {
            Stories::Told
        } else {
            Stories::Untold
        },
        simulate: hookproof_sim::run,
    };
    let results = plan.run(terminal);
    let (runs, mut diverged) = collect(results)?;

    let record = ids.presented(record::record(runs));
    let paths = scenarios::by_digest(&files);
    if let Some(folder) = folder {
        folder.write(output::RECORD, render_json(&record).as_bytes())?;
        output::write_renderings(&folder, &record, &paths)?;
    }
    output.print(&record, &paths, terminal)?;
    // Which of two runs that differ would be logged?
    if let Some(log) = log.filter(|_| diverged.is_empty()) {
        diverged.extend(log.write(&files, &record.runs)?);
    }
    for message in &diverged {
        terminal.complain(message);
    }
    let runs_exit = Exit::of(record.runs.iter().map(|run| run.verdict).min());
    Ok(if diverged.is_empty() { runs_exit } else { runs_exit.min(Exit::Diverged) })
}

/// Where the event log of the only run goes.
struct Log {
    file: OutFile,
    unit: Unit,
}

impl Log {
    /// # Errors
    /// There are several runs, or the file can't be made.
    fn prepare(path: &Path, units: &[Unit]) -> Result<Self, Failure> {
        let [unit] = units else {
            let message = format!(
                "--events writes the log of one run, and these are {}; name one scenario file, one --hook and one seed",
                units.len()
            );
            return Err(Failure::bad_input(message));
        };
        Ok(Self { file: OutFile::prepare("--events", path)?, unit: *unit })
    }

    /// Runs it again, listening. If that gives another run than the one in `runs`, nothing is written, and what differs is returned.
    ///
    /// # Errors
    /// The folder took a file before the run and does not now.
    fn write(&self, files: &[Loaded], runs: &[Run]) -> Result<Option<String>, Failure> {
        let Unit { file, hook, seed } = self.unit;
        let Loaded { scenario, path } = &files[file];
        let mut difference = None;
        let written = self.file.write_with(|out| {
            let second = events::write(scenario, hook, seed, out)?;
            let other = runs.iter().map(|run| &run.digest).find(|first| **first != second);
            difference = other.map(|first| {
                let named = named(path, hook, seed);
                format!("{named} gave two different runs: digest {first}, then, for the event log, {second}")
            });
            if difference.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        });
        if difference.is_some() { Ok(difference) } else { written.map(|()| None) }
    }
}

/// Whether a form has room for what happened to users.
const fn has_stories(format: Format) -> bool {
    matches!(format, Format::Json | Format::Html)
}

/// One run to do.
#[derive(Clone, Copy)]
struct Unit {
    file: usize,
    hook: HookKind,
    seed: u64,
}

/// Whether what happened to the worst users is told: a table has no room for it.
#[derive(Clone, Copy)]
enum Stories {
    Told,
    Untold,
}

fn units(args: &RunArgs, files: &[Loaded]) -> Result<Vec<Unit>, Failure> {
    let hooks = |file: &Loaded| args.running.hooks(&file.scenario);
    let seeds_each = args.seeds.as_ref().map_or(1, |seeds| seeds.end - seeds.start);
    let hooks_all: usize = files.iter().map(|file| hooks(file).len()).sum();
    let count = seeds_each.saturating_mul(hooks_all as u64);
    if count > RUNS_MAX {
        let message = format!("these are {count} runs, more than {RUNS_MAX}; name a shorter range of --seeds");
        return Err(Failure::bad_input(message));
    }
    let mut units = Vec::new();
    for (file, loaded) in files.iter().enumerate() {
        for hook in hooks(loaded) {
            units.extend(seeds(args, loaded).map(|seed| Unit { file, hook, seed }));
        }
    }
    Ok(units)
}

fn seeds(args: &RunArgs, file: &Loaded) -> RangeInclusive<u64> {
    if let Some(seeds) = &args.seeds {
        return seeds.start..=seeds.end - 1;
    }
    let seed = args.seed.unwrap_or(file.scenario.seed);
    seed..=seed
}

fn announce(files: &[Loaded], units: &[Unit], terminal: &Terminal) {
    for (index, file) in files.iter().enumerate() {
        let of_file = || units.iter().filter(|unit| unit.file == index);
        let mut hooks: Vec<&str> = of_file().map(|unit| unit.hook.name()).collect();
        hooks.dedup();
        let seed = match (of_file().map(|unit| unit.seed).min(), of_file().map(|unit| unit.seed).max()) {
            (Some(low), Some(high)) if low < high => format!("seeds {low} to {high}"),
            (Some(seed), _) => format!("seed {seed}"),
            (None, _) => continue,
        };
        terminal.say(&format!("{}: {seed}, {}", file.path, hooks.join(", ")));
    }
}

/// A finished run, and how its second run differed.
type Finished = (Run, Option<String>);

/// All that is to be done, and by what.
struct Plan<'a> {
    files: &'a [Loaded],
    units: &'a [Unit],
    jobs: NonZeroUsize,
    times: Times,
    stories: Stories,
    simulate: fn(&Scenario, HookKind, u64, &mut dyn FnMut(f64)) -> Outcome,
}

impl Plan<'_> {
    /// Does all runs; the results stand in the order of the units.
    fn run(&self, terminal: &Terminal) -> Vec<Result<Finished, Failure>> {
        let runs_of = |index| self.units.iter().filter(|unit| unit.file == index).count();
        let files = self.files.iter().enumerate().map(|(index, file)| (file.scenario.name.clone(), runs_of(index)));
        let progress = Progress::new(files, terminal);
        let results = pool::each(self.units.len(), self.jobs, |index| {
            let unit = self.units[index];
            let mut at = progress.run(unit.file);
            let finished = catch_unwind(AssertUnwindSafe(|| self.run_one(unit, &mut at)));
            at.done();
            finished.map_err(|panic| Failure::of_panic(&self.named(unit), panic.as_ref()))
        });
        progress.finish();
        results
    }

    fn run_one(&self, unit: Unit, progress: &mut RunProgress<'_>) -> Finished {
        let scenario = &self.files[unit.file].scenario;
        let simulate = |at: &mut dyn FnMut(f64)| (self.simulate)(scenario, unit.hook, unit.seed, at);
        match self.times {
            Times::Once => (self.record(scenario, &simulate(&mut |share| progress.at(share))), None),
            Times::Twice => {
                let first = simulate(&mut |share| progress.at(share / 2.0));
                let second = simulate(&mut |share| progress.at(0.5 + share / 2.0));
                let difference = determinism::difference(&first, &second)
                    .map(|difference| format!("{} gave two different runs: {difference}", self.named(unit)));
                (self.record(scenario, &first), difference)
            }
        }
    }

    fn record(&self, scenario: &Scenario, outcome: &Outcome) -> Run {
        let stories = match self.stories {
            Stories::Told => story::tell(scenario, outcome, &story::worth_telling(outcome)),
            Stories::Untold => Vec::new(),
        };
        Run { stories, ..record::run(scenario, outcome) }
    }

    fn named(&self, unit: Unit) -> String {
        named(&self.files[unit.file].path, unit.hook, unit.seed)
    }
}

fn named(path: &str, hook: HookKind, seed: u64) -> String {
    format!("{path} with hook {} and seed {seed}", hook.name())
}

/// All runs and the messages of those that differed.
fn collect(results: Vec<Result<Finished, Failure>>) -> Result<(Vec<Run>, Vec<String>), Failure> {
    let (mut runs, mut diverged, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok((run, difference)) => {
                runs.push(run);
                diverged.extend(difference);
            }
            Err(failure) => failures.push(failure),
        }
    }
    Failure::joined(&failures).map_or(Ok((runs, diverged)), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ColorWhen;
    use crate::sample::{file, outcome};

    fn results(
        times: Times,
        simulate: fn(&Scenario, HookKind, u64, &mut dyn FnMut(f64)) -> Outcome,
    ) -> Result<(Vec<Run>, Vec<String>), Failure> {
        let files = [file("x")];
        let unit = |hook, seed| Unit { file: 0, hook, seed };
        let units = [unit(HookKind::Original, 1), unit(HookKind::Original, 2), unit(HookKind::Hardened, 1)];
        let jobs = NonZeroUsize::new(2).unwrap();
        let plan = Plan { files: &files, units: &units, jobs, times, stories: Stories::Untold, simulate };
        collect(plan.run(&Terminal::new(ColorWhen::Never, true)))
    }

    #[test]
    fn runs_come_in_the_order_of_files_hooks_and_seeds() {
        let (runs, diverged) = results(Times::Twice, |_, hook, seed, _| outcome(hook, seed, 0.0)).unwrap();
        let order: Vec<(&str, u64)> = runs.iter().map(|run| (run.hook.as_str(), run.seed)).collect();
        assert_eq!(order, [("original", 1), ("original", 2), ("hardened", 1)]);
        assert!(diverged.is_empty());
    }

    #[test]
    fn a_run_that_differs_from_itself_is_named() {
        thread_local!(static CALLS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        let (_, diverged) = results(Times::Twice, |_, hook, seed, _| {
            let digest = CALLS.replace(CALLS.get() + 1);
            let outcome = outcome(hook, seed, 0.0);
            if hook == HookKind::Hardened { Outcome { digest: digest.into(), ..outcome } } else { outcome }
        })
        .unwrap();
        assert_eq!(diverged.len(), 1);
        assert!(diverged[0].starts_with("x.toml with hook hardened and seed 1 gave two different runs: digest 0000"));
        let (_, diverged) = results(Times::Twice, |_, hook, seed, _| {
            let users = CALLS.replace(CALLS.get() + 1);
            outcome(hook, seed, if seed == 2 { users.into() } else { 0.0 })
        })
        .unwrap();
        assert_eq!(diverged.len(), 1);
        assert!(diverged[0].contains("seed 2 gave two different runs: over-allocation.users "), "{}", diverged[0]);
    }

    #[test]
    fn a_run_that_differs_when_it_is_logged_is_named_and_not_logged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (files, unit) = ([file("x")], Unit { file: 0, hook: HookKind::Original, seed: 1 });
        let log = Log::prepare(&path, &[unit]).unwrap();
        let outcome = hookproof_sim::run(&files[0].scenario, unit.hook, unit.seed, &mut |_| {});
        let run = |digest| record::run(&files[0].scenario, &Outcome { digest, ..outcome.clone() });
        let difference = log.write(&files, &[run(outcome.digest ^ 1)]).unwrap().expect("another digest");
        assert!(difference.starts_with("x.toml with hook original and seed 1 gave two different runs"), "{difference}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        assert_eq!(log.write(&files, &[run(outcome.digest)]).unwrap(), None);
        assert!(path.exists());
    }

    #[test]
    fn a_panic_of_the_simulator_is_the_harness_failing() {
        let simulate = |_: &Scenario, hook: HookKind, seed: u64, _: &mut dyn FnMut(f64)| {
            assert!(seed != 2, "GRANT-9 is broken");
            outcome(hook, seed, 0.0)
        };
        let failure = results(Times::Once, simulate).unwrap_err();
        assert_eq!(failure.exit(), Exit::Harness);
        assert_eq!(failure.messages().len(), 1);
        let message = &failure.messages()[0];
        assert!(message.starts_with("x.toml with hook original and seed 2 panicked"), "{message}");
        assert!(message.contains("GRANT-9 is broken"), "{message}");
    }
}
