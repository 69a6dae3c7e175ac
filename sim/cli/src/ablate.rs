//! `ablate`: the hardened hook with each of its protections removed in turn, and which harm each of them prevents.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hookproof_core::protection::{Protection, Protections};
use hookproof_reports::{
    Ablation, HtmlOptions, Removed, Run, RunRecord, Series, render_ablation, render_ablation_markdown, render_html,
    render_json,
};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::HookKind;
use hookproof_sim::{Recording, Setting};

use crate::args::{AblateArgs, AblateFormat};
use crate::determinism::{self, Times};
use crate::exit::{Exit, Failure};
use crate::ids::Ids;
use crate::out::OutFolder;
use crate::pool;
use crate::progress::{Progress, RunProgress};
use crate::record;
use crate::scenarios::{self, Loaded};
use crate::terminal::{self, Terminal};

const HOOK: HookKind = HookKind::Hardened;

/// As many runs are held in memory at once, those of the complete hook with their series.
const RUNS_MAX: u64 = 10_000;

/// Runs the scenario complete and with each protection removed, and prints and writes what `args` ask for.
///
/// # Errors
/// Bad input, before anything is run; a failure of the harness.
pub(crate) fn ablate(args: &AblateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let format = on_stdout(&args.formats, args.out.is_some())?;
    let ids = Ids::resolve(&args.ids)?;
    if let Some(other) = args.running.hooks.iter().find(|hook| **hook != HOOK) {
        let (hook, other) = (HOOK.name(), other.name());
        return Err(Failure::bad_input(format!("{other} has no protections to remove; only {hook} has")));
    }
    let files = scenarios::load(std::slice::from_ref(&args.path), args.running.limits, terminal)?;
    let [file] = files.as_slice() else {
        let path = args.path.display();
        return Err(Failure::bad_input(format!("{path}: one scenario is ablated at a time; name its file")));
    };
    let plan = Plan { file, seeds: seeds(args, file)?, times: args.running.times() };
    let folder = args.out.as_deref().map(OutFolder::prepare).transpose()?;
    plan.announce(terminal);
    let (record, diverged) = plan.run(pool::jobs(args.running.jobs), terminal)?;
    let record = ids.presented(record);
    if let Some(folder) = folder {
        folder.write("ablation.json", render_json(&record).as_bytes())?;
        folder.write("ablation.html", page(&record, file).as_bytes())?;
    }
    terminal::print(render(&record, format, file, terminal).as_bytes())?;
    for message in &diverged {
        terminal.complain(message);
    }
    let exit = exit(&record, args.require_all, terminal);
    Ok(if diverged.is_empty() { exit } else { exit.min(Exit::Diverged) })
}

fn seeds(args: &AblateArgs, file: &Loaded) -> Result<RangeInclusive<u64>, Failure> {
    let seed = args.seed.unwrap_or(file.scenario.seed);
    let seeds = args.seeds.as_ref().map_or(seed..=seed, |seeds| seeds.start..=seeds.end - 1);
    let count = (seeds.end() - seeds.start()).saturating_add(1).saturating_mul(VARIANTS as u64);
    if count > RUNS_MAX {
        let message = format!("these are {count} runs, more than {RUNS_MAX}; name a shorter range of --seeds");
        return Err(Failure::bad_input(message));
    }
    Ok(seeds)
}

/// The complete hook, and one without each protection.
const VARIANTS: usize = 1 + Protection::ALL.len();

/// What is missing in a variant.
fn removed(variant: usize) -> Option<Protection> {
    variant.checked_sub(1).map(|index| Protection::ALL[index])
}

/// How the hook is without it.
const fn means(protection: Protection) -> &'static str {
    match protection {
        Protection::StableKey => "every attempt has an idempotency key of its own",
        Protection::WindowGuard => "what may have been applied is sent again, however old its key is",
        Protection::AdaptiveLimit => "nothing bounds the requests in flight",
        Protection::RetryBudget => "nothing but backoff postpones retries",
        Protection::Breaker => "sending goes on while most answers are failures",
        Protection::Jitter => "backoff is its bound, so that who failed together comes back together",
        Protection::VersionAgreement => "an answer without a record shows the running version's variant",
    }
}

/// All that is to be done.
struct Plan<'a> {
    file: &'a Loaded,
    seeds: RangeInclusive<u64>,
    times: Times,
}

/// A finished run, and how its second run differed.
type Finished = (Run, Option<String>);

impl Plan<'_> {
    fn announce(&self, terminal: &Terminal) {
        let (from, to) = (self.seeds.start(), self.seeds.end());
        let seeds = if from == to { format!("seed {from}") } else { format!("seeds {from} to {to}") };
        let count = Protection::ALL.len();
        let path = &self.file.path;
        terminal.say(&format!("{path}: {seeds}, {} without each of {count} protections", HOOK.name()));
    }

    /// The record of all runs, and the messages of those that differed from themselves.
    fn run(&self, jobs: NonZeroUsize, terminal: &Terminal) -> Result<(RunRecord, Vec<String>), Failure> {
        let per_variant = usize::try_from(self.seeds.end() - self.seeds.start() + 1).expect("at most RUNS_MAX");
        let count = VARIANTS * per_variant;
        let progress = Progress::new(std::iter::once((self.file.scenario.name.clone(), count)), terminal);
        let results = pool::each(count, jobs, |index| {
            let (missing, seed) = (removed(index / per_variant), self.seeds.start() + (index % per_variant) as u64);
            let mut at = progress.run(0);
            let finished = catch_unwind(AssertUnwindSafe(|| self.run_one(missing, seed, &mut at)));
            at.done();
            finished.map_err(|panic| Failure::of_panic(&self.named(missing, seed), panic.as_ref()))
        });
        progress.finish();
        let failures: Vec<Failure> = results.iter().filter_map(|result| result.as_ref().err().cloned()).collect();
        if let Some(failure) = Failure::joined(&failures) {
            return Err(failure);
        }
        let (mut runs, diverged): (Vec<Run>, Vec<Option<String>>) = results.into_iter().filter_map(Result::ok).unzip();
        let mut removed = Vec::new();
        for protection in Protection::ALL.into_iter().rev() {
            let runs = runs.split_off(runs.len() - per_variant);
            let (name, means) = (protection.name().to_owned(), means(protection).to_owned());
            removed.push(Removed { name, means, runs });
        }
        removed.reverse();
        let ablations = Ablation::of(&runs, &removed).into_iter().collect();
        Ok((RunRecord { ablations, ..record::record(runs) }, diverged.into_iter().flatten().collect()))
    }

    fn run_one(&self, missing: Option<Protection>, seed: u64, progress: &mut RunProgress<'_>) -> Finished {
        let scenario = &self.file.scenario;
        let protections = missing.map_or(Protections::ALL, |missing| Protections::ALL.without(missing));
        let setting = Setting { hook: HOOK, protections, sabotage: None, recording: Recording::Off, seed };
        let simulate = |at: &mut dyn FnMut(f64)| -> Outcome { hookproof_sim::run_with(scenario, setting, at).0 };
        let record = |outcome: &Outcome| match missing {
            None => record::run(scenario, outcome),
            // Only its figures go into the matrix.
            Some(_) => Run { series: Series::default(), ..record::run(scenario, outcome) },
        };
        match self.times {
            Times::Once => (record(&simulate(&mut |share| progress.at(share))), None),
            Times::Twice => {
                let first = simulate(&mut |share| progress.at(share / 2.0));
                let second = simulate(&mut |share| progress.at(0.5 + share / 2.0));
                let difference = determinism::difference(&first, &second)
                    .map(|difference| format!("{} gave two different runs: {difference}", self.named(missing, seed)));
                (record(&first), difference)
            }
        }
    }

    fn named(&self, missing: Option<Protection>, seed: u64) -> String {
        let missing = missing.map_or("every protection".to_owned(), |missing| format!("all but {}", missing.name()));
        format!("{} with {missing} and seed {seed}", self.file.path)
    }
}

/// The one form for stdout; beside it, a document means its file in the folder.
fn on_stdout(formats: &[AblateFormat], has_folder: bool) -> Result<AblateFormat, Failure> {
    let is_text = |format: &AblateFormat| matches!(format, AblateFormat::Human | AblateFormat::Markdown);
    let mut asked: Vec<AblateFormat> = Vec::new();
    for format in formats {
        if !asked.contains(format) {
            asked.push(*format);
        }
    }
    let texts: Vec<AblateFormat> = asked.iter().copied().filter(is_text).collect();
    match (&asked[..], &texts[..]) {
        ([only], _) => Ok(*only),
        (_, [text]) if has_folder => Ok(*text),
        _ => Err(Failure::bad_input(
            "several forms want stdout; ask for one of them, or add --out DIR, which holds ablation.json and ablation.html, \
             beside human or markdown",
        )),
    }
}

fn page(record: &RunRecord, file: &Loaded) -> String {
    render_html(record, &HtmlOptions { paths: scenarios::by_digest(std::slice::from_ref(file)) })
}

fn render(record: &RunRecord, format: AblateFormat, file: &Loaded, terminal: &Terminal) -> String {
    let each = |render: &dyn Fn(&Ablation) -> String| record.ablations.iter().map(render).collect();
    match format {
        AblateFormat::Human => each(&|ablation| render_ablation(ablation, &terminal.palette())),
        AblateFormat::Markdown => each(&render_ablation_markdown),
        AblateFormat::Json => render_json(record),
        AblateFormat::Html => page(record, file),
    }
}

/// That of the complete hook: a hook that breaks without a protection is what this command is for. With `--require-all` a
/// protection without which nothing breaks is a violation as well.
fn exit(record: &RunRecord, require_all: bool, terminal: &Terminal) -> Exit {
    let exit = Exit::of(record.runs.iter().map(|run| run.verdict).min());
    let idle: Vec<&str> = record.ablations.iter().flat_map(Ablation::idle).map(|row| row.without.as_str()).collect();
    if !require_all || idle.is_empty() {
        return exit;
    }
    terminal.complain(&format!("nothing breaks without {}, and --require-all wants something to", idle.join(", ")));
    exit.min(Exit::Violated)
}
