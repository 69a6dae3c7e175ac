//! Goal: the JSON Schema of `hookproof schema` says of a scenario file what the decoder says of it, as far as a schema can.
//! Method: the schema is drawn from the decoder, so keys cannot differ; here a validator of its own applies it to every
//! file of this repository, and to files of which a key was taken away, renamed or mistyped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hookproof_sim::scenario::decode;
use jsonschema::Validator;
use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::folder::Folder;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let run = Folder::new().run(&["schema"]);
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    let schema = serde_json::from_str(&run.stdout).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is one of draft 2020-12");
    jsonschema::draft202012::new(&schema).expect("the schema compiles")
});

/// What the decoder says of a value by itself or of a table's keys; a schema can say this, too.
const EXPRESSIBLE: [&str; 12] = [
    "unknown key",
    " is missing in ",
    "says not how it is run",
    ": expected ",
    "expected a table",
    "a duration needs a unit",
    "is not a duration",
    "is not a unit of time",
    "the duration is zero",
    "is not a rate",
    "is negative",
    "the expectation has no limit",
];

/// Of these the decoder knows more than a schema can.
const INEXPRESSIBLE: [(&str, &str); 9] = [
    ("found the float", "to JSON Schema 1.0 is an integer"),
    ("expected a finite number", "JSON has neither infinity nor NaN"),
    ("found a date", "JSON has no dates; they are strings"),
    ("expected an integer from", "as for floats, and bounds beyond 64 bits"),
    ("is missing in [[fault]] of kind `process.crash`", "`for` is needed only together with `when` and `every`"),
    ("`hash = \"hmac-sha256-v1\"` needs", "one key that hangs on another's value"),
    ("`hot-arrivals` is missing", "one key that hangs on another"),
    ("means nothing without", "the same"),
    ("chooses among [users], and there are none", "a key that hangs on another table"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![repository().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A TOML value as an editor hands it to a JSON Schema.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(serde_json::Value::Null, Into::into)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(serde_json::Value::Null, Into::into),
        DeValue::Boolean(boolean) => (*boolean).into(),
        DeValue::Datetime(datetime) => datetime.to_string().into(),
        DeValue::Array(array) => array.iter().map(|entry| json(entry.get_ref())).collect(),
        DeValue::Table(table) => object(table),
    }
}

fn object(table: &DeTable<'_>) -> serde_json::Value {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
}

/// The file as JSON; nothing if it is no TOML.
fn parsed(source: &[u8]) -> Option<serde_json::Value> {
    let text = str::from_utf8(source).ok()?;
    let table = DeTable::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    Some(object(table.get_ref()))
}

fn complaints(instance: &serde_json::Value) -> Vec<String> {
    SCHEMA.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What decoder and schema disagree about; nothing if they agree, or if only the decoder can know.
fn disagreement(source: &str, instance: &serde_json::Value) -> Option<String> {
    let complaints = complaints(instance);
    match decode("file", "file.toml", source.as_bytes()) {
        Ok(_) if complaints.is_empty() => None,
        Ok(_) => Some(format!("only the schema refuses: {complaints:#?}")),
        Err(_) if !complaints.is_empty() => None,
        Err(error) => {
            let messages = error.problems().iter().map(|problem| problem.message.clone());
            let known: Vec<String> = messages.filter(|message| is_expressible(message)).collect();
            (!known.is_empty()).then(|| format!("only the decoder refuses: {known:#?}"))
        }
    }
}

fn is_expressible(message: &str) -> bool {
    EXPRESSIBLE.iter().any(|part| message.contains(part))
        && !INEXPRESSIBLE.iter().any(|(part, _reason)| message.contains(part))
}

#[test]
fn every_file_that_the_decoder_takes_satisfies_the_schema() {
    let paths: Vec<PathBuf> = [files("sim/tests/scenarios/good"), files("scenarios")].concat();
    assert!(paths.len() > 25, "{} files", paths.len());
    for path in paths {
        let source = fs::read(&path).expect("the file can be read");
        let instance = parsed(&source).unwrap_or_else(|| panic!("{} is TOML", path.display()));
        assert_eq!(complaints(&instance), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn every_broken_file_is_refused_if_a_schema_can_say_why() {
    let mut refused = 0;
    for path in files("sim/tests/scenarios/broken") {
        let source = fs::read(&path).expect("the file can be read");
        let Some(instance) = parsed(&source) else { continue };
        let text = String::from_utf8(source).expect("it was parsed");
        assert_eq!(disagreement(&text, &instance), None, "{}", path.display());
        refused += usize::from(!complaints(&instance).is_empty());
    }
    assert!(refused >= 30, "only {refused} files are refused by the schema");
}

#[test]
fn the_schema_is_the_same_bytes_at_each_call() {
    let print = || Folder::new().run(&["schema"]).stdout;
    let schema = print();
    assert_eq!(schema, print());
    let value: serde_json::Value = serde_json::from_str(&schema).expect("the schema is JSON");
    assert_eq!(serde_json::to_string_pretty(&value).expect("it is JSON") + "\n", schema);
    for part in ["https://json-schema.org/draft/2020-12/schema", "quota.lost-reply", "breaker-failure-ratio"] {
        assert!(schema.contains(part), "{part}");
    }
}

/// A key of a file by the names and positions that lead to it.
type KeyPath = Vec<Step>;

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// All keys of a value, outer ones first.
fn keys(value: &serde_json::Value, path: &KeyPath, found: &mut Vec<KeyPath>) {
    let mut go = |step: Step, value: &serde_json::Value, is_key: bool| {
        let path = [path.clone(), vec![step]].concat();
        if is_key {
            found.push(path.clone());
        }
        keys(value, &path, found);
    };
    if let Some(object) = value.as_object() {
        object.iter().for_each(|(key, value)| go(Step::Key(key.clone()), value, true));
    } else if let Some(array) = value.as_array() {
        array.iter().enumerate().for_each(|(index, value)| go(Step::Index(index), value, false));
    }
}

/// The table that holds the key at the path's end.
fn owner<'v>(value: &'v mut serde_json::Value, path: &[Step]) -> &'v mut serde_json::Map<String, serde_json::Value> {
    let inner = path[..path.len() - 1].iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(index) => &mut value[*index],
    });
    inner.as_object_mut().expect("a key's owner is a table")
}

/// A JSON value as TOML, inline.
fn toml(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(object) => {
            let entries: Vec<String> = object.iter().map(|(key, value)| format!("{key:?} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        serde_json::Value::Array(array) => {
            format!("[{}]", array.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Null => "nan".to_owned(),
        serde_json::Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().expect("a float")),
        serde_json::Value::String(_) | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
    }
}

fn file(value: &serde_json::Value) -> String {
    let entries = value.as_object().expect("a file is a table").iter();
    entries.map(|(key, value)| format!("{key:?} = {}\n", toml(value))).collect::<Vec<_>>().concat()
}

fn good_files() -> Vec<serde_json::Value> {
    let files = files("sim/tests/scenarios/good").into_iter().map(|path| fs::read(path).expect("the file can be read"));
    files.map(|source| parsed(&source).expect("a good file is TOML")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoder_and_schema_agree_about_a_key_that_is_gone_renamed_or_mistyped(
        file_index in any::<prop::sample::Index>(),
        key_index in any::<prop::sample::Index>(),
        edit in 0..3_u8,
        other in prop::sample::select(vec!["true", "-7", "1.5", "\"\"", "\"x\"", "\"3m\"", "\"2/s\"", "[]", "[1, 2]", "{}", "\"-2s\""]),
    ) {
        let mut instance = file_index.get(&good_files()).clone();
        let mut paths = Vec::new();
        keys(&instance, &Vec::new(), &mut paths);
        let path = key_index.get(&paths);
        let Some(Step::Key(name)) = path.last().cloned() else { panic!("a path ends with a key") };
        let owner = owner(&mut instance, path);
        match edit {
            0 => drop(owner.remove(&name)),
            1 => {
                let value = owner.remove(&name).expect("the key is there");
                owner.insert(format!("{name}x"), value);
            }
            _ => drop(owner.insert(name, serde_json::from_str(other).expect("JSON"))),
        }
        let source = file(&instance);
        let instance = parsed(source.as_bytes()).expect("the edited file is TOML");
        prop_assert_eq!(disagreement(&source, &instance), None, "{}", source);
    }
}
