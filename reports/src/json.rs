//! The record as JSON, and back.

use std::fmt;

use serde::{Deserialize, Serialize as _};

use crate::layout::Layout;
use crate::record::{RunRecord, SCHEMA};

const FAMILY: &str = "hookproof.run/";

/// The record as JSON, indented, with a line break at the end. Equal records give equal bytes.
pub fn render_json(record: &RunRecord) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Layout::default());
    record.serialize(&mut serializer).expect("a record has text keys and finite numbers, and memory takes every byte");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Reads a record. Keys it does not know are passed over, so that a record with additions stays readable.
///
/// # Errors
/// The text is no JSON, no run record, or a record of a schema that this version does not know.
pub fn parse(json: &str) -> Result<RunRecord, ParseError> {
    let Header { schema } = serde_json::from_str(json).map_err(ParseError::Malformed)?;
    if schema == SCHEMA {
        return serde_json::from_str(json).map_err(ParseError::Malformed);
    }
    if schema.starts_with(FAMILY) { Err(ParseError::NewerSchema(schema)) } else { Err(ParseError::OtherKind(schema)) }
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// Why a text is no readable record.
#[derive(Debug)]
pub enum ParseError {
    /// It is no JSON, or keys of a record are missing or of another type; the file was cut, edited or is another one.
    Malformed(serde_json::Error),
    /// A later Hookproof wrote it; read it with that version or a later one.
    NewerSchema(String),
    /// Its schema is that of something else than a run record.
    OtherKind(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "no readable run record: {error}"),
            Self::NewerSchema(schema) => {
                write!(f, "the record has schema {schema:?}, this version reads {SCHEMA:?}: a later hookproof wrote it")
            }
            Self::OtherKind(schema) => write!(f, "no run record: its schema is {schema:?}, not {SCHEMA:?}"),
        }
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::NewerSchema(_) | Self::OtherKind(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_told_from_a_broken_record() {
        let newer = parse(r#"{"schema": "hookproof.run/2", "runs": "unknown shape"}"#).unwrap_err();
        assert!(matches!(&newer, ParseError::NewerSchema(schema) if schema == "hookproof.run/2"));
        assert!(newer.to_string().contains("a later hookproof wrote it"));
        assert!(matches!(parse(r#"{"schema": "other/1"}"#), Err(ParseError::OtherKind(_))));
        for text in ["", "[]", "{}", r#"{"schema": "hookproof.run/1"}"#, r#"{"schema": 1}"#] {
            assert!(matches!(parse(text), Err(ParseError::Malformed(_))), "{text}");
        }
    }
}
