//! Records as JSON, and back.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::layout::Layout;
use crate::record::{RunRecord, SCHEMA};
use crate::sweep::{SWEEP_SCHEMA, SweepRecord};

/// The record as JSON, indented, with a line break at the end. Equal records give equal bytes.
pub fn render_json(record: &RunRecord) -> String {
    laid_out(record)
}

/// The sweep as JSON, laid out like a run record and under a digest. Equal sweeps give equal bytes.
pub fn render_sweep_json(record: &SweepRecord) -> String {
    let value = serde_json::to_value(record).expect("a record has text keys and finite numbers");
    laid_out(&SweepRecord { digest: digest(&value), ..record.clone() })
}

/// SHA-256 over a record without its digest, whatever the order of keys and the white space are.
fn digest(record: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, record);
    hex::encode(hasher.finalize())
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => hasher.update(value.to_string()),
        Value::Array(items) => {
            hasher.update("[");
            for item in items {
                feed(hasher, item);
                hasher.update(",");
            }
            hasher.update("]");
        }
        Value::Object(entries) => {
            hasher.update("{");
            for (key, entry) in entries.iter().collect::<BTreeMap<_, _>>() {
                hasher.update(Value::from(key.as_str()).to_string());
                hasher.update(":");
                feed(hasher, entry);
                hasher.update(",");
            }
            hasher.update("}");
        }
    }
}

/// As JSON in the layout of records.
pub(crate) fn laid_out(record: &impl Serialize) -> String {
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
    parse_as(json, SCHEMA)
}

/// Reads a sweep, whole or part. Keys it does not know are passed over; an older record has no digest.
///
/// # Errors
/// The text is no JSON, no sweep, a sweep of a schema that this version does not know, or not what its digest is of.
pub fn parse_sweep(json: &str) -> Result<SweepRecord, ParseError> {
    let mut record: SweepRecord = parse_as(json, SWEEP_SCHEMA)?;
    let named = std::mem::take(&mut record.digest);
    if !named.is_empty() {
        let malformed = |error| ParseError::Malformed { known: SWEEP_SCHEMA, error };
        let mut value: Value = serde_json::from_str(json).map_err(malformed)?;
        value.as_object_mut().and_then(|record| record.remove("digest"));
        if digest(&value) != named {
            return Err(ParseError::Edited);
        }
    }
    Ok(record)
}

fn parse_as<T: DeserializeOwned>(json: &str, known: &'static str) -> Result<T, ParseError> {
    let malformed = |error| ParseError::Malformed { known, error };
    let Header { schema } = serde_json::from_str(json).map_err(malformed)?;
    if schema == known {
        return serde_json::from_str(json).map_err(malformed);
    }
    let family = |schema: &str| schema.split_once('/').map(|(family, _)| family.to_owned());
    if family(&schema) == family(known) {
        Err(ParseError::NewerSchema { known, schema })
    } else {
        Err(ParseError::OtherKind { known, schema })
    }
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// Why a text is no readable record; `known` is the schema that was looked for.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are said above and below")]
pub enum ParseError {
    /// It is no JSON, or keys of a record are missing or of another type; the file was cut, edited or is another one.
    Malformed { known: &'static str, error: serde_json::Error },
    /// A later Hookproof wrote it, with this `schema`; read it with that version or a later one.
    NewerSchema { known: &'static str, schema: String },
    /// Its `schema` is that of something else.
    OtherKind { known: &'static str, schema: String },
    /// Its content is not that of its `digest`; run again what it is the record of.
    Edited,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { known, error } => write!(f, "no readable record of schema {known:?}: {error}"),
            Self::NewerSchema { known, schema } => {
                write!(f, "the record has schema {schema:?}, this version reads {known:?}: a later hookproof wrote it")
            }
            Self::OtherKind { known, schema } => write!(f, "its schema is {schema:?}, not {known:?}"),
            Self::Edited => {
                f.write_str("its \"digest\" is of other content: it was damaged or edited, run this part again")
            }
        }
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed { error, .. } => Some(error),
            Self::NewerSchema { .. } | Self::OtherKind { .. } | Self::Edited => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_told_from_a_broken_record() {
        let newer = parse(r#"{"schema": "hookproof.run/2", "runs": "unknown shape"}"#).unwrap_err();
        assert!(matches!(&newer, ParseError::NewerSchema { schema, .. } if schema == "hookproof.run/2"));
        assert!(newer.to_string().contains("a later hookproof wrote it"));
        assert!(matches!(parse(r#"{"schema": "other/1"}"#), Err(ParseError::OtherKind { .. })));
        for text in ["", "[]", "{}", r#"{"schema": "hookproof.run/1"}"#, r#"{"schema": 1}"#] {
            assert!(matches!(parse(text), Err(ParseError::Malformed { .. })), "{text}");
        }
    }
}
