//! `schema`: the JSON Schema of scenario files, for editors; that of run records is drawn from their types elsewhere.
//!
//! Owns how the decoder's own description of the format (`hookproof_sim::scenario::format`) becomes a schema of draft
//! 2020-12. No key is listed here; only the notations are, each once under `$defs`. Same program, same bytes: the keys of an
//! object are sorted.

mod guide;

use hookproof_reports::render_run_schema;
use hookproof_sim::scenario;
use hookproof_sim::scenario::form::{Entry, Form, Key, Need, Table};
use serde_json::{Map, Value, json};

use self::guide::Guide;
use crate::args::{SchemaArgs, SchemaOf};
use crate::exit::{Exit, Failure};
use crate::terminal;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const ID: &str = "urn:hookproof:scenario:1";
const TITLE: &str = "Hookproof scenario";
const ABOUT: &str = "A scenario file of hookproof, schema = 1. It describes each value by itself; \
    `hookproof validate` also checks what holds between values.";

/// Numbers with units, largest first.
const DURATION: &str = "(?:[0-9]+(?:\\.[0-9]+)?w)?(?:[0-9]+(?:\\.[0-9]+)?d)?(?:[0-9]+(?:\\.[0-9]+)?h)?\
    (?:[0-9]+(?:\\.[0-9]+)?m)?(?:[0-9]+(?:\\.[0-9]+)?s)?(?:[0-9]+(?:\\.[0-9]+)?ms)?\
    (?:[0-9]+(?:\\.[0-9]+)?(?:us|µs|μs))?(?:[0-9]+(?:\\.[0-9]+)?ns)?";

/// Prints a schema.
///
/// # Errors
/// A failure of stdout.
pub(crate) fn schema(args: SchemaArgs) -> Result<Exit, Failure> {
    let text = match args.of {
        SchemaOf::Scenario => render(),
        SchemaOf::Run => render_run_schema(),
    };
    terminal::print(text.as_bytes())?;
    Ok(Exit::Pass)
}

fn render() -> String {
    let place = Place { guide: &Guide::read(), table: String::new() };
    let mut root = table(&scenario::format(), &place);
    root.insert("$schema".to_owned(), json!(DRAFT));
    root.insert("$id".to_owned(), json!(ID));
    root.insert("title".to_owned(), json!(TITLE));
    root.insert("description".to_owned(), json!(ABOUT));
    root.insert("$defs".to_owned(), notations());
    let text = serde_json::to_string_pretty(&Value::Object(root)).expect("a tree of texts and numbers is always JSON");
    text + "\n"
}

type Object = Map<String, Value>;

fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Object {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Which table is written, and where its keys are described.
struct Place<'g> {
    guide: &'g Guide,
    /// Names from the outermost table on, with dots between them.
    table: String,
}

impl Place<'_> {
    /// A key's value with what the guide says of it.
    fn described(&self, key: &str, form: &Form) -> (String, Value) {
        let inner = if self.table.is_empty() { key.to_owned() } else { format!("{}.{key}", self.table) };
        let mut value = value(form, &Self { guide: self.guide, table: inner });
        if let (Some(schema), Some(text)) = (value.as_object_mut(), self.guide.of(&self.table, key)) {
            schema.insert("description".to_owned(), json!(text));
        }
        (key.to_owned(), value)
    }
}

/// A table whose keys are all known.
fn table(table: &Table, place: &Place<'_>) -> Object {
    let properties: Object = table.keys.iter().map(|(name, key)| place.described(name, &key.form)).collect();
    let mut schema = object([
        ("type", json!("object")),
        ("additionalProperties", json!(false)),
        ("properties", Value::Object(properties)),
    ]);
    demand(&mut schema, needed(table).collect(), &table.needs);
    schema
}

fn needed(table: &Table) -> impl Iterator<Item = &'static str> {
    table.keys.iter().filter(|(_, key)| key.needed).map(|(name, _)| *name)
}

/// Adds what must be there.
fn demand(schema: &mut Object, mut required: Vec<&'static str>, needs: &[Need]) {
    let mut demands = Vec::new();
    for need in needs {
        let each =
            |keys: &[&'static str]| -> Vec<Value> { keys.iter().map(|key| json!({"required": [key]})).collect() };
        match need {
            Need::Some([only]) | Need::One([only]) => required.push(only),
            Need::Some(keys) => demands.push(json!({"anyOf": each(keys)})),
            Need::One(keys) => demands.push(json!({"oneOf": each(keys)})),
        }
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !demands.is_empty() {
        schema.insert("allOf".to_owned(), Value::Array(demands));
    }
}

fn value(form: &Form, place: &Place<'_>) -> Value {
    let defined = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    match form {
        Form::Never => json!(false),
        Form::Text => json!({"type": "string"}),
        Form::FilledText => json!({"type": "string", "pattern": "\\S"}),
        Form::Name => defined("name"),
        Form::Version => defined("version"),
        Form::Boolean => json!({"type": "boolean"}),
        Form::Integer { low, high } if low == high => json!({"const": integer(*low)}),
        Form::Integer { low, high } => {
            json!({"type": "integer", "minimum": integer(*low), "maximum": integer(*high)})
        }
        Form::Number { low, high } => number(*low, *high),
        Form::Probability => defined("probability"),
        Form::Duration => defined("duration"),
        Form::PositiveDuration => defined("positive-duration"),
        Form::Shift => defined("shift"),
        Form::Rate => defined("rate"),
        Form::Moment => defined("moment"),
        Form::Latency => defined("latency"),
        Form::Word(words) => json!({"enum": words}),
        Form::Matching(pattern) => json!({"type": "string", "pattern": format!("^(?:{pattern})$")}),
        Form::List(of, count_max) => list(value(of, place), *count_max),
        Form::Pair => json!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        Form::Table(inner) => Value::Object(table(inner, place)),
        Form::Tables(entries) => json!({"type": "array", "items": items(entries, place)}),
        Form::Any(forms) => json!({"anyOf": forms.iter().map(|form| value(form, place)).collect::<Vec<_>>()}),
    }
}

/// An integer as JSON; what exceeds 64 bits is no bound worth stating.
fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| json!(if number < 0 { i64::MIN } else { i64::MAX }), |number| json!(number))
}

fn number(low: f64, high: f64) -> Value {
    let mut schema = object([("type", json!("number"))]);
    for (name, bound) in [("minimum", low), ("maximum", high)] {
        if bound.is_finite() {
            schema.insert(name.to_owned(), json!(bound));
        }
    }
    Value::Object(schema)
}

fn list(of: Value, count_max: usize) -> Value {
    let mut schema = object([("type", json!("array")), ("items", of)]);
    if count_max < usize::MAX {
        schema.insert("maxItems".to_owned(), json!(count_max));
    }
    Value::Object(schema)
}

/// An entry of an array of tables: what all kinds have in common, then for each kind what is its own.
fn items(entries: &[Entry], place: &Place<'_>) -> Value {
    let common = Entry::common(entries);
    let mut schema = table(&common, place);
    let kinds: Vec<Value> = entries.iter().filter_map(|entry| branch(&common, entry, place)).collect();
    if !kinds.is_empty() {
        let demands = schema.entry("allOf").or_insert_with(|| json!([]));
        demands.as_array_mut().expect("demands are a list").extend(kinds);
    }
    Value::Object(schema)
}

fn branch(common: &Table, entry: &Entry, place: &Place<'_>) -> Option<Value> {
    let kind = entry.kind.as_ref()?;
    let is_allowed = |key: &Key| key.form != Form::Never;
    let names: Vec<&str> = entry.table.keys.iter().filter(|(_, key)| is_allowed(key)).map(|(name, _)| *name).collect();
    let own: Object = entry
        .table
        .keys
        .iter()
        .filter(|(name, key)| is_allowed(key) && common.keys.get(*name).is_none_or(|common| common.form != key.form))
        .map(|(name, key)| place.described(name, &key.form))
        .collect();
    let mut then = object([("propertyNames", json!({"enum": names}))]);
    if !own.is_empty() {
        then.insert("properties".to_owned(), Value::Object(own));
    }
    let is_own = |need: &&Need| !common.needs.contains(need);
    let required =
        needed(&entry.table).filter(|name| !common.keys.get(name).is_some_and(|common| common.needed)).collect();
    demand(&mut then, required, &entry.table.needs.iter().filter(is_own).copied().collect::<Vec<_>>());
    Some(json!({"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": then}))
}

/// The notations of `docs/scenarios.md`.
fn notations() -> Value {
    let positive = json!({"$ref": "#/$defs/positive-duration"});
    json!({
        "duration": {
            "type": "string", "minLength": 1, "pattern": format!("^{DURATION}$"), "examples": ["250ms", "1.5s", "1h30m"],
            "description": "Numbers with units, largest first, without spaces. Units are w, d, h, m, s, ms, us, ns.",
        },
        "positive-duration": {
            "type": "string", "pattern": format!("^(?=.*[1-9]){DURATION}$"), "examples": ["250ms", "1.5s", "1h30m"],
            "description": "A duration that is not zero.",
        },
        "shift": {
            "type": "string", "pattern": format!("^[+-]?(?=.*[1-9]){DURATION}$"), "examples": ["-30s", "30s"],
            "description": "A duration other than zero, with a sign if it goes back.",
        },
        "rate": {
            "type": "string", "pattern": "^(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)/[smhd]$", "examples": ["30/s", "5/m"],
            "description": "A number per second, minute, hour or day.",
        },
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "name": {
            "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^\\S(?:.*\\S)?$",
            "description": "A name that can be referred to.",
        },
        "version": {
            "type": ["string", "integer"], "pattern": "\\S", "description": "Compared as text.",
        },
        "moment": {
            "type": "string", "pattern": "[0-9](?:[Zz]|[+-][0-9:]+|\\].*)$|\\]$", "examples": ["2026-03-01T00:00:00Z"],
            "description": "A moment with an offset, RFC 3339.",
        },
        "latency": {
            "description": "A duration (constant), or a distribution of durations.",
            "anyOf": [
                {"$ref": "#/$defs/duration"},
                branch_of_latency("constant", &json!({"mean": {"$ref": "#/$defs/duration"}}), &["mean"]),
                branch_of_latency("exponential", &json!({"mean": positive}), &["distribution", "mean"]),
                branch_of_latency("lognormal", &json!({"p50": positive, "p99": positive}), &["p50", "p99"]),
            ],
        },
    })
}

fn branch_of_latency(distribution: &str, keys: &Value, required: &[&str]) -> Value {
    let mut properties = keys.as_object().cloned().unwrap_or_default();
    properties.insert("distribution".to_owned(), json!({"const": distribution}));
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Tables of which each key has its row in the guide.
    const DESCRIBED: [&str; 11] =
        ["", "experiment", "quota", "users", "traffic", "caller", "fleet", "store", "upstream", "hardened", "expect"];

    #[test]
    fn the_guide_describes_every_key_of_its_tables() {
        let (guide, format) = (Guide::read(), scenario::format());
        let mut missing = BTreeSet::new();
        for table in DESCRIBED {
            let keys: Vec<&str> = match (table, format.keys.get(table).map(|key| &key.form)) {
                ("", _) => format.keys.keys().copied().filter(|key| is_plain(&format.keys[key].form)).collect(),
                (_, Some(Form::Table(inner))) => inner.keys.keys().copied().collect(),
                (_, Some(Form::Tables(entries))) => Entry::common(entries).keys.into_keys().collect(),
                (_, other) => panic!("{table} is no table: {other:?}"),
            };
            missing.extend(keys.into_iter().filter(|key| guide.of(table, key).is_none()).map(|key| (table, key)));
        }
        assert_eq!(missing, BTreeSet::new(), "docs/scenarios.md has no row for these");
    }

    fn is_plain(form: &Form) -> bool {
        !matches!(form, Form::Table(_) | Form::Tables(_))
    }

    #[test]
    fn a_description_says_notation_meaning_and_default() {
        let guide = Guide::read();
        assert_eq!(
            guide.of("caller", "deadline"),
            Some("positive duration: how long a try is waited for; an abandoned try runs on. Default: `\"5s\"`.")
        );
        assert_eq!(guide.of("hardened", "retry-budget"), Some("Default: 500."));
        assert!(guide.of("fault", "rate").is_some_and(|text| text.starts_with("probability: ")));
    }
}
