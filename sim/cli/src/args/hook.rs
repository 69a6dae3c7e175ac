//! Of verbs about a hook in real time: what it takes, and running one in production.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use hookproof_core::store::Resolution;
use hookproof_live::quota::Mode;
use hookproof_live::subject::Kind;
use hookproof_reports::{InvalidLength, Length};
use url::Url;

use super::{CheckFormat, SEEDS};

/// Of a bench: what it may last, and visits a second.
const LENGTH_MAX: Duration = Duration::from_secs(3_600);
const RATE_MAX: f64 = 100_000.0;

/// `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A hook to measure (repeatable), one after the other [default: all]
    #[arg(long = "hook", value_name = "NAME", value_parser = bench_hook_parser())]
    pub(crate) hooks: Vec<Kind>,
    /// Visits on average, at random times
    #[arg(long, value_name = "N/s", default_value = "1000/s", value_parser = parse_rate)]
    pub(crate) rate: f64,
    /// How long visits are measured, as in 10s
    #[arg(long = "for", value_name = "LENGTH", default_value = "10s", value_parser = parse_measured)]
    pub(crate) length: Length,
    /// How long visits are offered before that
    #[arg(long, value_name = "LENGTH", default_value = "1s", value_parser = parse_length)]
    pub(crate) warm_up: Length,
    /// Users who have come before
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) users: u64,
    /// The share of visits by somebody who has never come, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = parse_share)]
    pub(crate) first_visits: f64,
    /// How the quota service, which is part of this, answers
    #[arg(long, value_name = "HOW", default_value = "ok", value_parser = upstream_parser())]
    pub(crate) upstream: Mode,
    /// A folder on the disk to be used; a temporary folder is made in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) store: PathBuf,
    /// Of the visits' times and users
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..SEEDS))]
    pub(crate) seed: u64,
    /// Call it inconclusive if one visit in a hundred began so much later than it should
    #[arg(long, value_name = "LENGTH", default_value = "1ms", value_parser = parse_length)]
    pub(crate) max_lag: Length,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: BenchFormat,
    /// Write bench.json and bench.md into DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A rendering of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchFormat {
    /// A table in 80 columns.
    Human,
    /// One JSON object.
    Json,
    /// For the summary page of a CI run.
    Markdown,
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What to serve: the experiment, its store, its quota service
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Check the file, and all that it names, without serving
    #[arg(long)]
    pub(crate) check: bool,
}

/// `begin-epoch`.
#[derive(Debug, Args)]
pub(crate) struct BeginEpochArgs {
    /// The hook's file, which names its store; no hook may be running
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// `parked …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ParkedVerb {
    /// Print all of them, the one that waits longest first
    List(ParkedListArgs),
    /// Print one with the evidence, and what to look up
    Show(ParkedShowArgs),
    /// End one, or make it due again under the rules
    Resolve(ParkedResolveArgs),
}

/// Which sidecar is asked.
#[derive(Debug, Args)]
pub(crate) struct SidecarArgs {
    /// Where the sidecar listens: on this machine, or behind https
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    pub(crate) url: Url,
    /// The file of certificates (PEM) that may vouch for it [default: those that the machine trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The file with its token [default: what HOOKPROOF_TOKEN holds]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// `parked list`.
#[derive(Debug, Args)]
pub(crate) struct ParkedListArgs {
    #[command(flatten)]
    pub(crate) sidecar: SidecarArgs,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: CheckFormat,
}

/// `parked show`.
#[derive(Debug, Args)]
pub(crate) struct ParkedShowArgs {
    /// The grant's id
    #[arg(value_name = "ID", value_parser = parse_grant_id)]
    pub(crate) grant: String,
    #[command(flatten)]
    pub(crate) sidecar: SidecarArgs,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: CheckFormat,
}

/// `parked resolve`.
#[derive(Debug, Args)]
pub(crate) struct ParkedResolveArgs {
    /// The grant's id
    #[arg(value_name = "ID", value_parser = parse_grant_id)]
    pub(crate) grant: String,
    /// What you have found: it is applied, it is not and was perhaps applied by hand, or it may be tried again
    #[arg(long = "as", value_name = "WHAT", value_parser = PossibleValuesParser::new(Resolution::ALL.map(Resolution::name)))]
    pub(crate) resolution: String,
    #[command(flatten)]
    pub(crate) sidecar: SidecarArgs,
}

fn parse_grant_id(text: &str) -> Result<String, String> {
    let is_fit = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let form = "a grant's id is a UUID, as `hookproof parked list` prints it";
    if is_fit { Ok(text.to_owned()) } else { Err(form.to_owned()) }
}

fn bench_hook_parser() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .map(|name| Kind::from_name(&name).expect("only names of hooks are possible values"))
}

fn upstream_parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name))
        .map(|name| Mode::from_name(&name).expect("only names of modes are possible values"))
}

fn parse_length(text: &str) -> Result<Length, String> {
    let length: Length = text.parse().map_err(|error: InvalidLength| error.to_string())?;
    if length.0 > LENGTH_MAX { Err(format!("at most {}", Length(LENGTH_MAX))) } else { Ok(length) }
}

fn parse_measured(text: &str) -> Result<Length, String> {
    let length = parse_length(text)?;
    if length.0.is_zero() { Err("nothing would be measured".to_owned()) } else { Ok(length) }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let form = || format!("a number of visits a second is needed, as in 1000/s, up to {RATE_MAX}/s");
    let rate: f64 = text.strip_suffix("/s").and_then(|number| number.parse().ok()).ok_or_else(form)?;
    if rate > 0.0 && rate <= RATE_MAX { Ok(rate) } else { Err(form()) }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1 is needed, as in 0.2".to_owned())
}
