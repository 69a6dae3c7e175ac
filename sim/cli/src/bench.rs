//! `bench`: what visits take in real time, open loop, beside what the disk takes.
//!
//! Owns what is measured in which order and when that says nothing; the load itself is `hookproof_live`'s. Hooks run one after the other, each on
//! a new store in a folder of its own with the same visits at the same times, and after each one the disk is asked by itself, with the bytes that the hook's commits had.

mod record;
mod render;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hookproof_live::arrivals::Plan;
use hookproof_live::disk;
use hookproof_live::offer::Measured;
use hookproof_live::subject::{Kind, StartError, Subject, commit_bytes};
use hookproof_reports::Length;

use crate::args::{BenchArgs, BenchFormat};
use crate::exit::{Exit, Failure};
use crate::interrupt::Removal;
use crate::out::OutFolder;
use crate::record::tool;
use crate::terminal::{self, Terminal};
use record::{BenchRecord, Disk, HookRecord, Host, Quantiles, SCHEMA, Settings, Visits};

/// How often the disk is asked.
const FSYNCS: u32 = 300;
/// The name of its folder begins so.
const FOLDER: &str = "hookproof-bench-";

/// Puts the hooks that `args` name under load, and prints and writes what they took.
///
/// # Errors
/// The store's folder or `--out` takes no files; a failure of the harness.
pub(crate) fn bench(args: &BenchArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let folder = args.out.as_deref().map(OutFolder::prepare).transpose()?;
    let removal = Removal::listen().map_err(|error| Failure::harness(format!("signals can't be taken: {error}")))?;
    let make = || tempfile::Builder::new().prefix(FOLDER).tempdir_in(&args.store);
    let stores = removal.of(make).map_err(|error| {
        let remedy = "name a folder in which files may be made, on the disk that is meant";
        Failure::bad_input(format!("--store {}: {error}; {remedy}", args.store.display()))
    })?;
    let plan = plan(args);
    let mut hooks = Vec::new();
    for kind in kinds(&args.hooks) {
        let length = Length(plan.warm_up + plan.length);
        terminal.say(&format!("{}: visits for {length}, then the disk alone", kind.name()));
        let store = stores.path().join(kind.name());
        hooks.push(measure(args, kind, plan, &store)?);
    }
    let record = BenchRecord {
        schema: SCHEMA.to_owned(),
        tool: tool(),
        clock: hookproof_reports::ClockKind::Real,
        settings: settings(args),
        host: Host {
            cores: thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS.to_owned(),
        },
        hooks,
    };
    if let Some(folder) = folder {
        folder.write("bench.json", render::json(&record).as_bytes())?;
        folder.write("bench.md", render::markdown(&record).as_bytes())?;
    }
    let text = match args.format {
        BenchFormat::Human => render::human(&record, &terminal.palette()),
        BenchFormat::Json => render::json(&record),
        BenchFormat::Markdown => render::markdown(&record),
    };
    terminal::print(text.as_bytes())?;
    Ok(if record.hooks.iter().all(|hook| hook.notes.is_empty()) { Exit::Pass } else { Exit::Inconclusive })
}

/// Those that were asked for, each once; else all.
fn kinds(asked: &[Kind]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for kind in asked {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds }
}

const fn plan(args: &BenchArgs) -> Plan {
    Plan {
        per_second: args.rate,
        warm_up: args.warm_up.0,
        length: args.length.0,
        users: args.users,
        first_visits: args.first_visits,
        seed: args.seed,
    }
}

fn settings(args: &BenchArgs) -> Settings {
    Settings {
        rate_per_second: args.rate,
        length: args.length,
        warm_up: args.warm_up,
        users: args.users,
        first_visits: args.first_visits,
        upstream: args.upstream.name().to_owned(),
        seed: args.seed,
        max_lag: args.max_lag,
    }
}

/// One hook on a new store in `folder`.
fn measure(args: &BenchArgs, kind: Kind, plan: Plan, folder: &Path) -> Result<HookRecord, Failure> {
    let machine = |error: std::io::Error| Failure::harness(format!("{}: {error}", folder.display()));
    let failed = |error: StartError| match error {
        StartError::Store(_) => Failure::bad_input(error.to_string()),
        StartError::Machine(_) | StartError::Unrecorded => Failure::harness(error.to_string()),
    };
    fs::create_dir(folder).map_err(machine)?;
    let subject = Subject::start(kind, folder, args.upstream).map_err(failed)?;
    subject.record_returning(plan).map_err(failed)?;
    let measured = subject.offer(plan);
    let commit_bytes = commit_bytes(folder).map_err(machine)?;
    drop(subject);
    let disk = match commit_bytes {
        Some(commit_bytes) => {
            let fsync = disk::fsync(folder, commit_bytes, FSYNCS).map_err(machine)?;
            Quantiles::of(&fsync).map(|fsync| Disk { commit_bytes, fsync })
        }
        None => None,
    };
    Ok(hook_record(kind, plan, &measured, disk, args.max_lag.0))
}

fn hook_record(kind: Kind, plan: Plan, measured: &Measured, disk: Option<Disk>, max_lag: Duration) -> HookRecord {
    HookRecord {
        hook: kind.name().to_owned(),
        notes: notes(measured, max_lag),
        offered_count: measured.offered_count,
        recorded_count: measured.recorded.wait.count(),
        provisional_count: measured.provisional_count,
        failed_count: measured.failed_count,
        offered_per_second: measured.offered_count as f64 / plan.length.as_secs_f64(),
        recorded_per_second: measured.recorded_per_second(),
        first: Visits::of(&measured.first),
        repeated: Visits::of(&measured.repeated),
        lag: Quantiles::of(&measured.lag),
        disk,
    }
}

/// Why the figures say little.
fn notes(measured: &Measured, max_lag: Duration) -> Vec<String> {
    let mut notes = Vec::new();
    if measured.recorded.wait.count() == 0 {
        notes.push("no visit was answered with a record; raise --rate or --for".to_owned());
    }
    if let Some(lag) = measured.lag.quantile(0.99).filter(|lag| *lag > max_lag) {
        notes.push(format!(
            "the generator lagged: it began one visit in a hundred more than {} late (--max-lag {}); the machine had no time for it beside the hook, \
             so lower --rate, or leave the machine to it",
            render::short(lag),
            Length(max_lag)
        ));
    }
    let missing = measured.provisional_count + measured.failed_count;
    if missing > 0 {
        notes.push(format!("{missing} visits got no record, and the latencies are those of the others; lower --rate"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_lagged_and_visits_without_a_record_make_a_run_inconclusive() {
        let mut measured = Measured::default();
        assert_eq!(notes(&measured, Duration::from_millis(1)).len(), 1, "nothing was measured");
        measured.recorded.wait.record(Duration::from_micros(5));
        (0..99).for_each(|_| measured.lag.record(Duration::from_micros(20)));
        measured.lag.record(Duration::from_millis(80));
        assert_eq!(notes(&measured, Duration::from_millis(1)), Vec::<String>::new(), "one in a hundred was late");
        measured.lag.record(Duration::from_millis(80));
        let lagged = notes(&measured, Duration::from_millis(1));
        assert!(lagged[0].starts_with("the generator lagged") && lagged.len() == 1, "{lagged:?}");
        assert_eq!(notes(&measured, Duration::from_millis(100)), Vec::<String>::new());
        measured.provisional_count = 2;
        assert!(notes(&measured, Duration::from_millis(100))[0].starts_with("2 visits got no record"));
    }

    #[test]
    fn hooks_are_measured_once_each_in_the_order_in_which_they_were_asked_for() {
        assert_eq!(kinds(&[Kind::Sidecar, Kind::Hardened, Kind::Sidecar]), [Kind::Sidecar, Kind::Hardened]);
        assert_eq!(kinds(&[]), Kind::ALL);
    }
}
