//! `file` of a trace: from the bytes of a CSV file to a [`Trace`], or to everything that is wrong with it.
//!
//! Owns the format, its limits, and which paths a scenario may name. No files are read here: whoever decodes a scenario
//! hands over a function that reads, and is asked only for what a scenario names, so that decoding stays a pure function of
//! bytes.
//!
//! * `TRACE-2`: a path is relative, has `/` between its parts, and is the same on every machine.
//! * `TRACE-3`: what is read of all traces together has at most [`BYTES_MAX`] bytes and [`ROWS_MAX`] rows.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use toml::de::DeValue;

use super::super::problem::{Finding, PROBLEMS_MAX, ScenarioError};
use super::super::{Interval, Trace};
use super::tree::{Flaw, Place, Reader};
use super::units;
use super::words::clip;

/// The first line of a trace.
const HEADER: &str = "offset_s,arrivals";

/// Bytes of all traces of a scenario.
const BYTES_MAX: usize = 8 << 20;

/// Rows of all traces of a scenario: nearly six days by the second, nearly a year by the minute.
const ROWS_MAX: usize = 500_000;

const PATH_BYTES_MAX: usize = 500;

/// A file that a scenario names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The path that is shown in messages.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Reads a file that a scenario names, or says why it can't, in a lowercase fragment.
pub(super) type ReadFile<'r> = dyn FnMut(&str) -> Result<Attached, String> + 'r;

/// The files that a scenario names.
pub(super) struct Files<'r> {
    read: &'r mut ReadFile<'r>,
    bytes_left: usize,
    rows_left: usize,
    digests: Vec<[u8; 32]>,
}

impl<'r> Files<'r> {
    pub(super) fn new(read: &'r mut ReadFile<'r>) -> Self {
        Self { read, bytes_left: BYTES_MAX, rows_left: ROWS_MAX, digests: Vec::new() }
    }

    /// The digest of a scenario whose own bytes have `digest`.
    pub(super) fn digest(&self, digest: [u8; 32]) -> [u8; 32] {
        if self.digests.is_empty() {
            return digest;
        }
        let mut all = Sha256::new_with_prefix(digest);
        for digest in &self.digests {
            all.update(digest);
        }
        all.finalize().into()
    }
}

/// Reads `file` of a trace.
pub(super) fn trace(reader: &mut Reader<'_>, files: &mut Files<'_>) -> Option<Trace> {
    let file = reader.need_placed("file", "\"arrivals.csv\"", path)?;
    let refuse = |cause: String, remedy: &str| reader.sink().flaw(&file.place, Flaw::new(cause, remedy));
    let attached = match (files.read)(&file.value) {
        Ok(attached) => attached,
        Err(cause) => {
            refuse(
                format!("the trace can't be read: {cause}"),
                "check the path, which is relative to the scenario file",
            );
            return None;
        }
    };
    let Some(bytes_left) = files.bytes_left.checked_sub(attached.bytes.len()) else {
        let cause = format!("the traces of this scenario have more than {} MiB", BYTES_MAX >> 20);
        refuse(cause, "count arrivals over longer intervals, or split the scenario");
        return None;
    };
    files.bytes_left = bytes_left;
    files.digests.push(Sha256::digest(&attached.bytes).into());
    match parse(&file.value, &attached, files.rows_left) {
        Ok(trace) => {
            files.rows_left -= trace.intervals().len();
            Some(trace)
        }
        Err(error) => {
            reader.sink().attached(error);
            None
        }
    }
}

/// A path that means the same on every machine.
fn path(value: &DeValue<'_>) -> Result<String, Flaw> {
    let text = units::filled_text(value)?;
    let is_plain = |part: &str| !part.is_empty() && part != "." && part.trim() == part;
    let refused = text.len() > PATH_BYTES_MAX
        || text.chars().any(|c| c.is_control() || matches!(c, '\\' | ':'))
        || !text.split('/').all(is_plain);
    if refused {
        let cause = format!("\"{}\" is not a path that means the same everywhere", clip(&text));
        return Err(Flaw::new(
            cause,
            "write it relative to the scenario file, with `/`, such as \"../traces/day.csv\"",
        ));
    }
    Ok(text)
}

/// What is wrong with a trace, line by line.
#[derive(Default)]
struct Problems {
    findings: BTreeSet<Finding>,
    omitted_count: usize,
}

impl Problems {
    fn add(&mut self, place: &Place, cause: impl Into<String>, remedy: &str) {
        if self.findings.len() < PROBLEMS_MAX {
            let (message, remedy) = (cause.into(), remedy.to_owned());
            self.findings.insert(Finding { start: place.start, end: place.end, message, remedy });
        } else {
            self.omitted_count += 1;
        }
    }
}

fn parse(file: &str, attached: &Attached, rows_max: usize) -> Result<Trace, ScenarioError> {
    let mut problems = Problems::default();
    let text = match str::from_utf8(&attached.bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let place = error.valid_up_to()..error.valid_up_to() + 1;
            problems.add(&place, "the file is not UTF-8 from here on", "save it as UTF-8");
            let lossy = String::from_utf8_lossy(&attached.bytes);
            return Err(ScenarioError::new(&attached.path, &lossy, problems.findings, 0));
        }
    };
    let (intervals, text) = rows(text, rows_max, &mut problems);
    if problems.findings.is_empty() {
        let end = text.len().saturating_sub(1)..text.len();
        if intervals.is_empty() {
            problems.add(&end, "the trace has no rows", "add at least one, such as `0,30`");
        } else if intervals.iter().all(|interval| interval.arrivals == 0) {
            problems.add(&end, "nobody arrives in this trace", "let at least one row have arrivals");
        }
    }
    if !problems.findings.is_empty() {
        return Err(ScenarioError::new(&attached.path, text, problems.findings, problems.omitted_count));
    }
    Ok(Trace::new(file.to_owned(), intervals))
}

/// The rows that are right, and the text as far as it was read; what is wrong is reported.
fn rows<'t>(text: &'t str, rows_max: usize, problems: &mut Problems) -> (Vec<Interval>, &'t str) {
    let mut intervals: Vec<Interval> = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let row = line.trim_end_matches(['\n', '\r']);
        let place = start..start + row.len();
        start += line.len();
        if index == 0 {
            if row != HEADER {
                problems.add(&place, format!("the first line is not `{HEADER}`"), "write that header above the rows");
            }
            continue;
        }
        if index > rows_max {
            let cause = format!("the traces of this scenario have more than {ROWS_MAX} rows");
            problems.add(&place, cause, "count arrivals over longer intervals, or split the scenario");
            break;
        }
        match interval(row) {
            Ok((next, offset)) if intervals.last().is_some_and(|last| last.offset_ns >= next.offset_ns) => {
                let cause = "this offset is not after the one before";
                let offset = place.start..place.start + offset.len();
                problems.add(&offset, cause, "sort the rows by offset, and merge those of one offset");
            }
            Ok((next, _)) => intervals.push(next),
            Err((cell, flaw)) => {
                let cell = place.start + cell.start..place.start + cell.end;
                problems.add(&cell, flaw.cause, &flaw.remedy);
            }
        }
    }
    if text.is_empty() {
        problems.add(&(0..0), format!("the first line is not `{HEADER}`"), "write that header above the rows");
    }
    (intervals, &text[..start])
}

/// The interval of a row and the text of its offset, or what is wrong and with which bytes of the row.
fn interval(row: &str) -> Result<(Interval, &str), (Place, Flaw)> {
    let Some((offset_text, arrivals_text)) = row.split_once(',') else {
        let cause = format!("\"{}\" is not an offset and a number of arrivals", clip(row));
        let flaw = Flaw::new(cause, "write two numbers with a comma between them, such as `60,30`");
        return Err((0..row.len(), flaw));
    };
    let offset_ns = offset(offset_text).map_err(|flaw| (0..offset_text.len(), flaw))?;
    let second = offset_text.len() + 1;
    if let Some((cell, _)) = arrivals_text.split_once(',') {
        let flaw = Flaw::new("there is something after the arrivals", "write two columns: an offset and arrivals");
        return Err((second + cell.len()..row.len(), flaw));
    }
    let arrivals = arrivals(arrivals_text).map_err(|flaw| (second..row.len(), flaw))?;
    Ok((Interval { offset_ns, arrivals }, offset_text))
}

fn offset(cell: &str) -> Result<u64, Flaw> {
    let is_decimal = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let offset = if is_decimal { units::parse_duration(&format!("{cell}s")).ok() } else { None };
    offset.map(hookproof_core::time::nanos).ok_or_else(|| {
        let remedy =
            "write seconds from the trace's start, such as `60` or `0.5`, to the nanosecond, at most 100 years";
        Flaw::new(format!("\"{}\" is not an offset in seconds", clip(cell)), remedy)
    })
}

fn arrivals(cell: &str) -> Result<u32, Flaw> {
    let is_whole = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let arrivals = if is_whole { cell.parse().ok() } else { None };
    arrivals.ok_or_else(|| {
        let remedy = "write a whole number of at most 4294967295 after the comma; `scale` multiplies it";
        Flaw::new(format!("\"{}\" is not a number of arrivals", clip(cell)), remedy)
    })
}
