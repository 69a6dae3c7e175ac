//! A list of user ids, one a line or in a CSV's `user_id` column.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use hookproof_core::assignment::UserId;

use crate::exit::Failure;
use crate::scenarios::unreadable;

const COLUMN: &[u8] = b"user_id";
const BOM: &[u8] = b"\xEF\xBB\xBF";
const REPORTED_MAX: usize = 20;
const STDIN: &str = "-";

/// The ids of the list at `path`, or on stdin for `-`.
///
/// # Errors
/// It can't be read, or as for [`parse`].
pub(super) fn read(path: &Path) -> Result<Vec<String>, Failure> {
    let (name, source) = source(path)?;
    parse(&name, &source)
}

/// What the user named by `path`, `-` being stdin: its name in messages and its bytes.
pub(super) fn source(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    if path.as_os_str() != STDIN {
        let source = fs::read(path).map_err(|error| unreadable(path, &error))?;
        return Ok((path.display().to_string(), source));
    }
    let mut source = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut source);
    read.map_err(|error| Failure::bad_input(format!("stdin can't be read: {error}")))?;
    Ok(("stdin".to_owned(), source))
}

/// The ids of a list, checked.
///
/// A source whose first line is a CSV header with a `user_id` column is a CSV; any other holds one id a line, whose
/// bytes are taken as they are but for the line break (LF or CRLF).
///
/// # Errors
/// The CSV or an id is malformed; the message names up to 20 of them by line.
fn parse(name: &str, source: &[u8]) -> Result<Vec<String>, Failure> {
    let ids = match column(without_mark(source)) {
        Some(column) => csv_ids(name, without_mark(source), column)?,
        None => line_ids(source),
    };
    let mut valid = Vec::with_capacity(ids.len());
    let mut refused = Vec::new();
    for (line, id) in ids {
        match UserId::new(&id) {
            Ok(id) => valid.push(id.as_str().to_owned()),
            Err(error) => refused.push(Failure::bad_input(format!("{name}:{line}: {error}"))),
        }
    }
    refusal(name, refused, "ids").map_or(Ok(valid), Err)
}

/// What is refused of a file as one failure, the first 20 in full; `what` they are is said of the rest.
pub(super) fn refusal(name: &str, mut refused: Vec<Failure>, what: &str) -> Option<Failure> {
    let more = refused.len().saturating_sub(REPORTED_MAX);
    refused.truncate(REPORTED_MAX);
    if more > 0 {
        refused.push(Failure::bad_input(format!("{name}: {more} more {what} are refused")));
    }
    Failure::joined(&refused)
}

/// A CSV without the byte order mark that some programs put before it.
pub(super) fn without_mark(source: &[u8]) -> &[u8] {
    source.strip_prefix(BOM).unwrap_or(source)
}

/// The position of the CSV's `user_id` column; `None` if the source is no such CSV.
fn column(source: &[u8]) -> Option<usize> {
    let header = source.split(|byte| *byte == b'\n').next()?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(header);
    let header = reader.byte_records().next()?.ok()?;
    header.iter().position(|field| field == COLUMN)
}

type Numbered = (u64, Vec<u8>);

fn csv_ids(name: &str, source: &[u8], column: usize) -> Result<Vec<Numbered>, Failure> {
    let mut reader = csv::Reader::from_reader(source);
    let ids = reader.byte_records().map(|record| {
        let record = record.map_err(|error| malformed(name, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        Ok((line, record.get(column).unwrap_or_default().to_owned()))
    });
    ids.collect()
}

fn line_ids(source: &[u8]) -> Vec<Numbered> {
    let text = source.strip_suffix(b"\n").unwrap_or(source);
    if source.is_empty() {
        return Vec::new();
    }
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    (1..).zip(lines.map(<[u8]>::to_owned)).collect()
}

/// A CSV that can't be read on, with the line if it is known.
pub(super) fn malformed(name: &str, error: &csv::Error) -> Failure {
    match (error.kind(), error.position()) {
        (csv::ErrorKind::UnequalLengths { expected_len, len, .. }, Some(at)) => {
            let message = format!("{name}:{}: {len} fields, where the header has {expected_len}", at.line());
            Failure::bad_input(message)
        }
        (csv::ErrorKind::Utf8 { .. }, Some(at)) => Failure::bad_input(format!("{name}:{}: not UTF-8", at.line())),
        (_, Some(at)) => Failure::bad_input(format!("{name}:{}: {error}", at.line())),
        (_, None) => Failure::bad_input(format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &[u8]) -> Result<Vec<String>, String> {
        parse("u", source).map_err(|failure| failure.messages().join("\n"))
    }

    #[test]
    fn arbitrary_bytes_are_ids_or_refused() {
        bolero::check!().for_each(|source: &[u8]| {
            let _ = parsed(source);
            let _ = parsed(&[b"user_id,note\n", source].concat());
        });
    }

    #[test]
    fn ids_stand_one_a_line_or_in_a_column() {
        assert_eq!(parsed(b"a\nb c\r\n d").unwrap(), ["a", "b c", " d"]);
        assert_eq!(parsed(b"\xEF\xBB\xBFa\n").unwrap(), ["\u{feff}a"]);
        assert_eq!(parsed(b"").unwrap(), Vec::<String>::new());
        assert_eq!(parsed(b"user_id\na\n").unwrap(), ["a"]);
        assert_eq!(parsed(b"\xEF\xBB\xBFn,user_id\r\n1,a\r\n2,\"b,\"\"c\"\r\n").unwrap(), ["a", "b,\"c"]);
        assert_eq!(parsed(b"id,name\n").unwrap(), ["id,name"]);
    }

    #[test]
    fn what_is_malformed_is_named_by_line() {
        assert!(parsed(b"a\n\nb\n").unwrap_err().starts_with("u:2: the user id is empty"));
        assert!(parsed(b"a\nb\tc").unwrap_err().starts_with("u:2: the user id contains a control"));
        assert!(parsed(b"n,user_id\n1,\xff\n").unwrap_err().starts_with("u:2: the user id is not UTF-8"));
        assert_eq!(parsed(b"n,user_id\n1,a\n2\n").unwrap_err(), "u:3: 1 fields, where the header has 2");
        let many = parsed(&b"\n".repeat(100)).unwrap_err();
        assert!(many.ends_with("\nu: 80 more ids are refused") && many.lines().count() == 21);
    }
}
