//! Records that were stored earlier: reading them, and saying what is wrong with one.

use std::fs;
use std::path::Path;

use hookproof_reports::{ParseError, RunRecord, parse};

use crate::exit::Failure;
use crate::scenarios;

/// Reads a run record.
///
/// # Errors
/// It can't be read, is no run record or is cut off, or a later version wrote it: bad input, with place, cause and remedy.
pub(crate) fn read(path: &Path) -> Result<RunRecord, Failure> {
    let bytes = fs::read(path).map_err(|error| scenarios::unreadable(path, &error))?;
    let name = path.display();
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::bad_input(format!("{name}: byte {place} is no UTF-8, so this is no run record; {RECORDS}"))
    })?;
    parse(&text).map_err(|error| Failure::bad_input(format!("{name}{}", explained(&error))))
}

const RECORDS: &str = "name a file that `hookproof run --out DIR` wrote to DIR/run.json";

/// Place, cause and remedy, to be put behind the file's name.
fn explained(error: &ParseError) -> String {
    match error {
        ParseError::Malformed { error: cause, .. } => {
            let place = if cause.line() > 0 { format!(":{}:{}", cause.line(), cause.column()) } else { String::new() };
            let remedy = if cause.is_eof() {
                "the file is cut off, as by a full disk or a broken download; get it again, or repeat the run"
            } else {
                RECORDS
            };
            format!("{place}: {error}; {remedy}")
        }
        ParseError::NewerSchema { .. } => format!(": {error}; read it with that version"),
        ParseError::OtherKind { schema, .. } if schema.starts_with("hookproof.sweep/") => {
            format!(": {error}; `hookproof merge` reads sweeps")
        }
        ParseError::OtherKind { .. } => format!(": {error}; {RECORDS}"),
        ParseError::Edited => format!(": {error}"),
    }
}
