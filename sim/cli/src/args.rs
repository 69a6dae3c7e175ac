//! What the user typed. What it resolves to is decided elsewhere; here only the form is checked.

#![expect(clippy::doc_markdown, reason = "clap shows these comments as they stand; backticks mean nothing there")]

mod experiment;
mod hook;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use hookproof_reports::{InvalidShard, Number, Shard};
use hookproof_sim::promise::Cell;
use hookproof_sim::scenario::{HookKind, Limits, Scenario};

use crate::compare::parse_tolerance;
use crate::determinism::Times;
use crate::ids::{self, Called};
use crate::size;

pub(crate) use self::experiment::{
    AssignArgs, CheckArgs, CheckFormat, DiffArgs, DiffFormat, ExperimentVerb, VerifyArgs,
};
pub(crate) use self::hook::{
    BeginEpochArgs, BenchArgs, BenchFormat, ParkedListArgs, ParkedResolveArgs, ParkedShowArgs, ParkedVerb, ServeArgs,
    SidecarArgs,
};

/// Seeds that a scenario file can hold: TOML has no larger integers.
const SEEDS: u64 = 1 << 63;

const EXIT_CODES: &str = "Exit codes:
  0  all expectations hold
  1  an expectation, or an invariant of a judged hook, is violated
  2  bad input: usage, scenario, path; nothing was run or written
  3  inconclusive: something could not be judged, or nothing was selected
  4  the same seed gave another run
  5  hookproof itself failed
  130  interrupted (143: told to end)";

/// Proves that an experiment hook grants once, assigns once, and spares its upstream.
#[derive(Debug, Parser)]
#[command(name = "hookproof", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Colour the output; auto asks the terminal, and honours NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// If the stream is a terminal and nothing in the environment forbids it.
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run scenarios in virtual time and print a verdict table
    Run(RunArgs),
    /// Check scenario files without running them
    Validate(ValidateArgs),
    /// Say in plain words what a scenario resolves to and what it will offer, with one time line
    Explain(ExplainArgs),
    /// Run scenarios of incidents and write a page of Markdown about each, with an index
    Incidents(IncidentsArgs),
    /// Write a commented scenario to start from, or a file of a hook
    New(NewArgs),
    /// Render a stored run again, as its exit code
    Report(ReportArgs),
    /// Set two stored runs side by side: what got better and worse; 1 if something got worse
    Compare(CompareArgs),
    /// Print the JSON Schema of scenario files, for editors, or of run records
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Run many seeds and say what they found together: failing seeds, 95 % bounds, distributions
    Sweep(SweepArgs),
    /// Tell what happened to one user, step by step: to a given one, or to the worst of the run
    Trace(TraceArgs),
    /// Remove each protection of the hardened hook in turn: which one prevents which harm
    Ablate(AblateArgs),
    /// Join the shards of a sweep into what the whole sweep would have written
    Merge(MergeArgs),
    /// Print what can be promised against which hazard, or confirm it on simulated runs
    Promise(PromiseArgs),
    /// Work with an experiment's assignment
    Experiment {
        #[command(subcommand)]
        verb: ExperimentVerb,
    },
    /// Measure what visits take in real time, open loop, beside what the disk takes
    Bench(BenchArgs),
    /// Serve the hardened hook over HTTP, beside a service in any language
    Serve(ServeArgs),
    /// Say that the store was put back from a copy: no grant is repeated that the lost commits may have sent
    BeginEpoch(BeginEpochArgs),
    /// Look at grants that wait for a human, and decide about them, at a running sidecar
    Parked {
        #[command(subcommand)]
        verb: ParkedVerb,
    },
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Scenario files, or folders to search for *.toml [default: scenarios/]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Run with this seed instead of the file's
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(..SEEDS))]
    pub(crate) seed: Option<u64>,
    /// Run with each seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub(crate) seeds: Option<Range<u64>>,
    /// What to print (repeatable): human and github can be combined; any other alone prints one document and nothing else
    #[arg(long = "format", value_name = "FORMAT", default_value = "human")]
    pub(crate) formats: Vec<Format>,
    /// Write the run record and its renderings into DIR: run.json, report.html, junit.xml, summary.md
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write everything that happened to FILE, one JSON object a line, for one scenario, hook and seed
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    #[command(flatten)]
    pub(crate) ids: IdArgs,
}

/// `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run record, as `run --out DIR` writes it to DIR/run.json
    #[arg(value_name = "RUN.json")]
    pub(crate) record: PathBuf,
    /// What to print (repeatable), as for `run` [default: human, or what the name of a file to write says]
    #[arg(long = "format", value_name = "FORMAT")]
    pub(crate) formats: Vec<Format>,
    /// Write the renderings into folder DIR, or one of them to a FILE of which the name ends in .html, .md, .xml, .json or .txt
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Where the scenarios lie, so that commands and annotations name their paths (repeatable)
    #[arg(long = "scenario", value_name = "PATH")]
    pub(crate) scenarios: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) ids: IdArgs,
}

/// `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The run record to compare with
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,
    /// The run record to judge
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,
    /// Let a metric get worse by up to so many per cent of its value in A (repeatable)
    #[arg(long = "tolerance", value_name = "METRIC=PERCENT", value_parser = parse_tolerance)]
    pub(crate) tolerances: Vec<(String, Number)>,
    /// How to print it [default: human, or what the name of a file to write says]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<CompareFormat>,
    /// Write compare.json, compare.md and compare.html into folder DIR, or one of them to a FILE of which the name ends in .html, .md, .json or .txt
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// A rendering of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// Tables in 80 columns.
    Human,
    /// One JSON object.
    Json,
    /// For the summary page of a CI run.
    Markdown,
    /// One page that needs nothing else.
    Html,
}

/// `schema`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of what
    #[arg(long, value_name = "WHAT", default_value = "scenario")]
    pub(crate) of: SchemaOf,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Scenario files.
    Scenario,
    /// Run records.
    Run,
}

/// `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Scenario files, or folders to search for *.toml [default: scenarios/]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Scenario files, or folders to search for *.toml
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Explain the run with this seed instead of the file's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..SEEDS))]
    pub(crate) seed: Option<u64>,
    /// Let the seed draw faults, fleet, callers, store and quota service, as `sweep --swarm` does
    #[arg(long)]
    pub(crate) swarm: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ExplainFormat,
    /// Columns of the output
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(60..=400))]
    pub(crate) width: u16,
    /// Draw with plain ASCII characters
    #[arg(long)]
    pub(crate) ascii: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `incidents`.
#[derive(Debug, Args)]
pub(crate) struct IncidentsArgs {
    /// Scenario files, or folders to search for *.toml
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Write README.md and a page for each scenario into DIR; other files there stay as they are
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Threads [default: as many as the machine can run]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `sweep`.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// Scenario files, or folders to search for *.toml
    #[arg(value_name = "SCENARIO", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The seeds from A up to, but not including, B
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = parse_seeds)]
    pub(crate) seeds: Range<u64>,
    /// Let each seed choose faults, fleet, service and traffic around the scenario
    #[arg(long)]
    pub(crate) swarm: bool,
    /// Run only part I of N, from 1/N to N/N; none is the whole [default: what an array job's variables say, else the whole]
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub(crate) shard: Option<ShardChoice>,
    /// What to print (repeatable): a summary, or the sweep record; json alone prints the record and nothing else
    #[arg(long = "format", value_name = "FORMAT", default_value = "human")]
    pub(crate) formats: Vec<SweepFormat>,
    /// Write the record to DIR/sweep.json, of a shard to DIR/sweep-I-of-N.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// `trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// A scenario file
    #[arg(value_name = "SCENARIO")]
    pub(crate) path: PathBuf,
    /// The user, as user-17, 17 or the pseudonym of a report [default: who violated an invariant first, else who holds most beyond the own cap]
    #[arg(long, value_name = "ID", value_parser = ids::parse)]
    pub(crate) user: Option<Called>,
    /// Trace this hook instead of the file's hooks (repeatable)
    #[arg(long = "hook", value_name = "NAME", value_parser = hook_parser())]
    pub(crate) hooks: Vec<HookKind>,
    /// Run with this seed instead of the file's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..SEEDS))]
    pub(crate) seed: Option<u64>,
    /// Let the seed draw faults, fleet, callers, store and quota service, as `sweep --swarm` does
    #[arg(long)]
    pub(crate) swarm: bool,
    /// How to print it; json is the run record with the stories in it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: TraceFormat,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) ids: IdArgs,
}

/// `ablate`.
#[derive(Debug, Args)]
pub(crate) struct AblateArgs {
    /// A scenario file
    #[arg(value_name = "SCENARIO")]
    pub(crate) path: PathBuf,
    /// Run with this seed instead of the file's
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(..SEEDS))]
    pub(crate) seed: Option<u64>,
    /// Run with each seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub(crate) seeds: Option<Range<u64>>,
    /// Exit with 1 also if some protection is not seen to matter
    #[arg(long)]
    pub(crate) require_all: bool,
    /// What to print (repeatable): the matrix, a page, or the run record; beside another, json and html mean their files in DIR
    #[arg(long = "format", value_name = "FORMAT", default_value = "human")]
    pub(crate) formats: Vec<AblateFormat>,
    /// Write the run record to DIR/ablation.json and the page to DIR/ablation.html
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    #[command(flatten)]
    pub(crate) ids: IdArgs,
}

/// A rendering of an ablation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AblateFormat {
    /// The matrix in 80 columns.
    Human,
    /// The run record.
    Json,
    /// The matrix for the summary page of a CI run.
    Markdown,
    /// The report of the complete hook's runs, with the matrix.
    Html,
}

/// A rendering of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceFormat {
    /// One line a step.
    Human,
    /// The run record.
    Json,
}

/// A rendering of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// Sentences and a time line.
    Human,
    /// One JSON object.
    Json,
}

/// `new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The file to write; without it the text is printed
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The file of a hook for `serve`, instead of a scenario
    #[arg(long)]
    pub(crate) hook: bool,
    /// Replace the file if it is there
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// What `--shard` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardChoice {
    /// This part.
    Part(Shard),
    /// The whole, whatever the environment says.
    Whole,
}

/// `merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The records of all shards, in any order
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the scenarios lie, so that commands name their paths (repeatable)
    #[arg(long = "scenario", value_name = "PATH")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// What to print (repeatable): a summary, or the sweep record; json alone prints the record and nothing else
    #[arg(long = "format", value_name = "FORMAT", default_value = "human")]
    pub(crate) formats: Vec<SweepFormat>,
    /// Write the record to DIR/sweep.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A rendering of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SweepFormat {
    /// Tables in 80 columns.
    Human,
    /// The sweep record.
    Json,
    /// For the summary page of a CI run.
    Markdown,
}

/// `promise`.
#[derive(Debug, Args)]
pub(crate) struct PromiseArgs {
    /// Confirm the matrix on N simulated runs, spread over its cells
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) runs: Option<u64>,
    /// The first seed of the runs, or the seed of the printed scenario
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1 << 62))]
    pub(crate) seed: u64,
    /// Threads [default: as many as the machine can run]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// One cell, such as lost-reply-read-back: without --runs its scenario is printed
    #[arg(long, value_name = "HAZARD-OFFER", value_parser = parse_cell)]
    pub(crate) cell: Option<Cell>,
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: PromiseFormat,
}

/// A rendering of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PromiseFormat {
    /// Tables in columns.
    Human,
    /// For programs.
    Json,
    /// The document docs/promise.md.
    Markdown,
}

/// What to run scenarios with, one seed or many.
#[derive(Debug, Args)]
pub(crate) struct RunningArgs {
    /// Run this hook instead of the file's hooks (repeatable)
    #[arg(long = "hook", value_name = "NAME", value_parser = hook_parser())]
    pub(crate) hooks: Vec<HookKind>,
    /// Threads [default: as many as the machine can run]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Run everything twice and compare
    #[arg(long)]
    pub(crate) check_determinism: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The hooks that were asked for, else the scenario's; each once.
pub(crate) fn hooks_of(asked: &[HookKind], scenario: &Scenario) -> Vec<HookKind> {
    let mut hooks: Vec<HookKind> = Vec::new();
    for hook in if asked.is_empty() { &scenario.hooks } else { asked } {
        if !hooks.contains(hook) {
            hooks.push(*hook);
        }
    }
    hooks
}

/// How users are called.
#[derive(Clone, Debug, Args)]
pub(crate) struct IdArgs {
    /// Show ids of users, not pseudonyms
    #[arg(long)]
    pub(crate) show_ids: bool,
    /// The file with the secret key of pseudonyms, 16 bytes at least [default: HOOKPROOF_ID_KEY, else a key that follows from the scenario]
    #[arg(long, value_name = "FILE")]
    pub(crate) id_key: Option<PathBuf>,
}

/// How large a scenario may be.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Refuse a scenario that would need more events
    #[arg(long, value_name = "N")]
    pub(crate) max_events: Option<u64>,
    /// Refuse a scenario that would need more memory: bytes, or 512MiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_memory: Option<u64>,
}

impl RunningArgs {
    /// The hooks that were asked for, else the scenario's; each once.
    pub(crate) fn hooks(&self, scenario: &Scenario) -> Vec<HookKind> {
        hooks_of(&self.hooks, scenario)
    }

    /// How often each run is done.
    pub(crate) const fn times(&self) -> Times {
        if self.check_determinism { Times::Twice } else { Times::Once }
    }
}

impl LimitArgs {
    /// With the default of what was not said.
    pub(crate) fn resolve(self) -> Limits {
        let Limits { max_events, max_memory } = Limits::default();
        Limits { max_events: self.max_events.unwrap_or(max_events), max_memory: self.max_memory.unwrap_or(max_memory) }
    }

    /// For what a seed of a swarm draws: only what was said. Estimates assume that every try fails, and among many thousand
    /// seeds some draw retries that would then be beyond the defaults, though in fact they are not.
    pub(crate) fn of_variations(self) -> Limits {
        Limits { max_events: self.max_events.unwrap_or(u64::MAX), max_memory: self.max_memory.unwrap_or(u64::MAX) }
    }
}

/// A rendering of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The verdict table.
    Human,
    /// The run record.
    Json,
    /// JUnit XML, for CI servers.
    Junit,
    /// For the summary page of a CI run.
    Markdown,
    /// Annotations of GitHub Actions, at the lines of the scenario files.
    Github,
    /// One page that needs nothing else.
    Html,
}

fn hook_parser() -> impl TypedValueParser<Value = HookKind> {
    PossibleValuesParser::new(HookKind::ALL.map(HookKind::name))
        .map(|name| HookKind::from_name(&name).expect("only names of hooks are possible values"))
}

fn parse_cell(text: &str) -> Result<Cell, String> {
    let hint =
        || "a hazard and an offer are needed, as in lost-reply-read-back; `hookproof promise` prints both".to_owned();
    Cell::all().find(|cell| cell.name() == text).ok_or_else(hint)
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let form = || "two whole numbers are needed, as in 1..9 for the seeds 1 to 8".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(form)?;
    let from: u64 = from.parse().map_err(|_| form())?;
    let to: u64 = to.parse().map_err(|_| form())?;
    if from >= to {
        return Err(format!(
            "the range is empty: the end is not included; {from}..{} is one seed",
            from.saturating_add(1)
        ));
    }
    if to > SEEDS {
        return Err(format!("seeds go up to {}, so that a scenario file can hold them", SEEDS - 1));
    }
    Ok(from..to)
}

fn parse_shard(text: &str) -> Result<ShardChoice, String> {
    if text == "none" {
        return Ok(ShardChoice::Whole);
    }
    text.parse().map(ShardChoice::Part).map_err(|error: InvalidShard| format!("{error}; or none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Arguments that look like a user's, so that most of them get past the verb.
    const WORDS: [&str; 28] = [
        "run",
        "validate",
        "promise",
        "experiment",
        "assign",
        "diff",
        "vectors",
        "--seed",
        "--seeds",
        "--hook",
        "--jobs",
        "--format",
        "--out",
        "--max-memory",
        "--max-events",
        "--runs",
        "--cell",
        "--users",
        "--color",
        "-q",
        "--",
        "1..4",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "0",
        "99999999999TiB",
        "..",
    ];

    #[test]
    fn arbitrary_arguments_are_parsed_or_refused() {
        bolero::check!().with_type::<Vec<(u8, Option<String>)>>().for_each(|arguments| {
            let words = arguments.iter().map(|(word, other)| {
                let known = WORDS[usize::from(*word) % WORDS.len()];
                other.as_ref().filter(|_| word % 3 == 0).map_or(known.to_owned(), |other| format!("{known}{other}"))
            });
            let _ = Cli::try_parse_from(std::iter::once("hookproof".to_owned()).chain(words));
        });
    }

    #[test]
    fn arbitrary_seeds_and_sizes_are_parsed_or_refused() {
        bolero::check!().with_type::<(String, u64, u64)>().for_each(|(text, from, to)| {
            let _ = (parse_seeds(text), parse_cell(text), size::parse(text), size::parse(&format!("{from}{text}")));
            let range = parse_seeds(&format!("{from}..{to}"));
            assert_eq!(range.is_ok(), from < to && *to <= SEEDS);
        });
    }

    #[test]
    fn seeds_are_half_open_and_not_empty() {
        assert_eq!(parse_seeds("1..9"), Ok(1..9));
        for text in ["", "1", "1..", "..4", "1..=4", "4..4", "5..4", "-1..4", "a..b", "1..9223372036854775809"] {
            assert!(parse_seeds(text).is_err(), "{text}");
        }
    }
}
