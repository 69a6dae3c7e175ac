//! The JSON Schema of run records, drawn from their types: a key's description is its doc comment.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::length::Length;
use crate::number::Number;
use crate::record::{RunRecord, SCHEMA};
use std::borrow::Cow;

const ABOUT: &str = "What one or more runs of hookproof leave behind. Keys may be added within a schema; none is renamed or \
    dropped, so that a reader passes over what it does not know.";

/// The schema of draft 2020-12 that every record with the schema [`SCHEMA`] satisfies, with a line break at the end.
pub fn render_run_schema() -> String {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<RunRecord>();
    schema.insert("$id".to_owned(), json!("urn:hookproof:run:1"));
    schema.insert("title".to_owned(), json!("Hookproof run record"));
    schema.insert("description".to_owned(), json!(ABOUT));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties
            .insert("schema".to_owned(), json!({"const": SCHEMA, "description": "Name and version of this schema."}));
    }
    let text = serde_json::to_string_pretty(&schema).expect("a tree of texts and numbers is always JSON");
    text + "\n"
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A finite number, or never: an event that did not come, which exceeds every limit.",
            "anyOf": [{"type": "number"}, {"const": "never"}],
        })
    }
}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = "[0-9]+(d|h|m|s|ms|us|ns)";
        json_schema!({
            "description": "A length of time, or a moment as the time since the run's origin: numbers with units, the largest first.",
            "type": "string",
            "pattern": format!("^{part}( {part})*$"),
            "examples": ["90s", "17d 2h 250ms"],
        })
    }
}
