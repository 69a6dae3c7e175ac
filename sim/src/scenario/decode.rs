//! From a scenario file's bytes to a [`Scenario`], or to everything that is wrong with it.
//!
//! Owns the way through: size, UTF-8, TOML, then every table. The tree keeps the place of each value, so that all
//! problems of a file come out at once, each with its position; it is decoded by hand because derived decoders stop at
//! the first problem and lose positions inside tagged tables.
//!
//! * `DECODE-3`: whatever the bytes are, the answer is a scenario or at least one problem, never a panic.
//!
//! No time, no chance, no files: the caller reads the file. Tests: `tests/scenario_files.rs`.

mod expect;
mod experiment;
mod fault;
mod file;
mod hooks;
mod kinds;
mod names;
mod nesting;
mod settings;
mod timing;
mod traffic;
mod tree;
mod units;
mod upstream;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use hookproof_core::experiment::Experiment;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::problem::{Finding, Lines, ScenarioError};
use super::{Probability, Scenario};
use tree::{Flaw, Place, Reader, Sink};

/// The largest file that is read.
const SOURCE_BYTES_MAX: usize = 1024 * 1024;

/// Decodes the bytes of a scenario file. `name` is the file's name without folder and ending; `display_path` is shown
/// in messages.
///
/// # Errors
///
/// Everything that is wrong with the file, in file order.
pub fn decode(name: &str, display_path: &str, source: &[u8]) -> Result<Scenario, ScenarioError> {
    decode_with(display_path, source, |root| file::file(root, name, Sha256::digest(source).into()))
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

    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut syntax = BTreeMap::new();
    for finding in errors.iter().map(|error| syntax_finding(error, text.len())) {
        // What else the parser says about the same place follows from the first.
        syntax.entry(finding.start).or_insert(finding);
    }
    let syntax = syntax.into_values().collect();
    let sink = Sink::new(text);
    let decoded = decode(Reader::root(&sink, tree.get_ref()));
    let (findings, omitted_count) = merge(text, syntax, sink);
    match decoded {
        Some(decoded) if findings.is_empty() => Ok(decoded),
        Some(_) | None => {
            assert!(!findings.is_empty(), "DECODE-1: a scenario is missing only after a problem was reported");
            Err(ScenarioError::new(display_path, text, findings, omitted_count))
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
