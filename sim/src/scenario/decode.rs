//! From a scenario file's bytes to a [`Scenario`], or to everything that is wrong with it.
//!
//! Owns the way through: size, UTF-8, TOML, then every table. The tree keeps the place of each value, so that all
//! problems of a file come out at once, each with its position; it is decoded by hand because derived decoders stop at
//! the first problem and lose positions inside tagged tables.
//!
//! * `DECODE-3`: whatever the bytes are, the answer is a scenario or at least one problem, never a panic.
//!
//! No time, no chance, no files: the caller reads the file, and hands over what reads the files that it names. Tests: `tests/scenarios/files.rs`.

mod expect;
mod experiment;
mod fault;
mod file;
mod form;
mod hook;
mod hooks;
mod kinds;
mod names;
mod nesting;
mod settings;
mod timing;
mod trace;
mod traffic;
mod tree;
mod units;
mod upstream;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::form::Table;
use super::hook_file::{HookFile, Surroundings};
use super::problem::{Finding, Lines, ScenarioError};
use super::{Probability, Scenario};
pub use trace::Attached;
use trace::Files;
use tree::{Flaw, Place, Reader, Sink};

/// The largest file that is read: the parser takes up to a hundred times as much memory.
const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// The largest file of which all syntax errors are reported; of a larger one, the first. Each takes some 400 bytes, and a byte
/// may be one.
const RECOVERED_BYTES_MAX: usize = 64 * 1024;

/// Decodes the bytes of a scenario file. `name` is the file's name without folder and ending; `display_path` is shown
/// in messages. A file that the scenario names is not read, so that a trace is refused: see [`decode_with_files`].
///
/// # Errors
///
/// Everything that is wrong with the file, in file order.
pub fn decode(name: &str, display_path: &str, source: &[u8]) -> Result<Scenario, ScenarioError> {
    decode_with_files(name, display_path, source, &mut |_| Err("no files are read here".to_owned()))
}

/// Like [`decode`], for a scenario that names files. `read_file` is handed a path as the scenario writes it: relative to the
/// scenario file, with `/` between its parts, perhaps with `..` among them. It answers the bytes and the path to be shown, or
/// why it can't, in a lowercase fragment. It need not read beyond 8 MiB and a byte. What is read is part of the scenario's digest.
///
/// # Errors
///
/// Everything that is wrong with the file and with those that it names, in file order.
pub fn decode_with_files(
    name: &str,
    display_path: &str,
    source: &[u8],
    read_file: &mut dyn FnMut(&str) -> Result<Attached, String>,
) -> Result<Scenario, ScenarioError> {
    let mut read_file = read_file;
    let mut files = Files::new(&mut read_file);
    decode_with(display_path, source, |root| file::file(root, name, Sha256::digest(source).into(), &mut files))
}

/// Decodes the `[experiment]` table of a scenario file, or of a file that holds nothing else; other tables are passed
/// over.
///
/// # Errors
///
/// Everything that is wrong with the file's TOML and its `[experiment]`, in file order.
pub fn decode_experiment(display_path: &str, source: &[u8]) -> Result<Experiment, ScenarioError> {
    decode_with(display_path, source, file::experiment)
}

/// Decodes the `[experiment]` table of a scenario or of a hook's file, with the other versions that the latter announces; other
/// tables are passed over.
///
/// # Errors
///
/// Everything that is wrong with the file's TOML and its `[experiment]`, and with the files that it announces.
pub fn decode_lineage(
    display_path: &str,
    source: &[u8],
    surroundings: &mut Surroundings<'_>,
) -> Result<Lineage, ScenarioError> {
    decode_with(display_path, source, |root| hook::lineage(root, surroundings))
}

/// Decodes the file of a hook in production.
///
/// # Errors
///
/// Everything that is wrong with the file and with those that it names, in file order.
pub fn decode_hook(
    display_path: &str,
    source: &[u8],
    surroundings: &mut Surroundings<'_>,
) -> Result<HookFile, ScenarioError> {
    decode_with(display_path, source, |root| hook::file(root, surroundings))
}

/// What a scenario file may hold: every table, key and form of a value that [`decode`] knows.
pub fn format() -> Table {
    let probe = form::probe();
    let (tree, errors) = DeTable::parse_recoverable(&probe);
    assert!(errors.is_empty(), "FORM-2: the probe is TOML: {errors:?}");
    let sink = Sink::recording(&probe);
    // What is wrong with the probe is of no interest: only an entry of every kind makes every reader ask for its keys.
    let mut none = |_: &str| Err(String::new());
    let mut read_file: &mut dyn FnMut(&str) -> Result<Attached, String> = &mut none;
    let mut files = Files::new(&mut read_file);
    let _: Option<Scenario> = file::file(Reader::root(&sink, tree.get_ref()), "probe", [0; 32], &mut files);
    form::recorded(sink)
}

/// The names of all kinds of fault, in the order of the table in the guide.
pub fn fault_kinds() -> impl Iterator<Item = &'static str> {
    kinds::KINDS.into_iter().map(|kind| kind.name)
}

/// Reads a file's tree and hands it to `decode`, which gives nothing only if a problem was reported (`DECODE-1`).
fn decode_with<T>(
    display_path: &str,
    source: &[u8],
    decode: impl FnOnce(Reader<'_>) -> Option<T>,
) -> Result<T, ScenarioError> {
    if source.len() > SOURCE_BYTES_MAX {
        let cause = format!("the file has {} bytes; a scenario has at most {SOURCE_BYTES_MAX}", source.len());
        return Err(single(display_path, "", 0..0, Flaw::new(cause, "is this a scenario file?")));
    }
    let text = match str::from_utf8(source) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let place = error.valid_up_to()..error.valid_up_to() + 1;
            let flaw = Flaw::new("the file is not UTF-8 from here on", "save it as UTF-8");
            return Err(single(display_path, &String::from_utf8_lossy(source), place, flaw));
        }
    };
    if let Some(place) = nesting::too_deep(text) {
        let flaw = Flaw::new("this is nested too deeply", "a scenario needs at most four levels");
        return Err(single(display_path, text, place, flaw));
    }

    if text.len() > RECOVERED_BYTES_MAX
        && let Err(error) = DeTable::parse(text)
    {
        let finding = syntax_finding(&error, text.len());
        return Err(ScenarioError::new(display_path, text, BTreeSet::from([finding]), 0));
    }

    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut syntax = BTreeMap::new();
    for finding in errors.iter().map(|error| syntax_finding(error, text.len())) {
        // What else the parser says about the same place follows from the first.
        syntax.entry(finding.start).or_insert(finding);
    }
    let syntax = syntax.into_values().collect();
    let sink = Sink::new(text);
    let decoded = decode(Reader::root(&sink, tree.get_ref()));
    let in_files = sink.take_attached();
    let (findings, omitted_count) = merge(text, syntax, sink);
    match decoded {
        Some(decoded) if findings.is_empty() && in_files.is_empty() => Ok(decoded),
        Some(_) | None => {
            let is_told = !findings.is_empty() || !in_files.is_empty();
            assert!(is_told, "DECODE-1: a scenario is missing only after a problem was reported");
            Err(ScenarioError::new(display_path, text, findings, omitted_count).with_files(in_files))
        }
    }
}

fn single(display_path: &str, source: &str, place: Place, flaw: Flaw) -> ScenarioError {
    let finding = Finding { start: place.start, end: place.end, message: flaw.cause, remedy: flaw.remedy };
    ScenarioError::new(display_path, source, BTreeSet::from([finding]), 0)
}

fn syntax_finding(error: &toml::de::Error, end: usize) -> Finding {
    let place = error.span().unwrap_or(end..end);
    let remedy = match error.message() {
        "duplicate key" => "remove one of the two, or rename it",
        message if message.contains("must be quoted") => "put it in double quotes",
        message if message.contains("unclosed") => "close it",
        _ => "see https://toml.io for the syntax of TOML",
    };
    Finding { start: place.start, end: place.end, message: error.message().to_owned(), remedy: remedy.to_owned() }
}

/// All problems of a file. After a syntax error, what the parser skipped looks missing and what it guessed looks wrong:
/// gaps, problems without a place and problems on a line with a syntax error are left out then.
fn merge(source: &str, syntax: BTreeSet<Finding>, sink: Sink<'_>) -> (BTreeSet<Finding>, usize) {
    let (mut flaws, gaps, omitted_count) = sink.into_parts();
    if syntax.is_empty() {
        flaws.extend(gaps);
        return (flaws, omitted_count);
    }
    let lines = Lines::new(source);
    let broken: BTreeSet<usize> = syntax.iter().map(|finding| lines.index(finding.start)).collect();
    flaws.retain(|flaw| flaw.end > 0 && !broken.contains(&lines.index(flaw.start)));
    flaws.extend(syntax);
    (flaws, omitted_count)
}
