//! What may stand in a scenario file, as the decoder itself says it.
//!
//! Owns the recording: a reader that is asked for a key notes it, and a parser that is given a value it cannot take says what it
//! takes ([`Flaw::form`]). So the description of the format is drawn from the code that decodes it, by decoding a probe
//! that has an entry of every kind, and a key that the decoder learns stands in the description without anybody writing it
//! there. It does not know how the description is printed.
//!
//! * `FORM-1`: every key that the probe reaches has a form; a key that is known only to be refused has [`Form::Never`].
//!
//! No time, no chance. Tests: below, and `sim/cli/tests/command_line/schema.rs`, which holds the two to each other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::form::{Entry, Form, Key, Need, Table};
use super::kinds::KINDS;
use super::traffic;
use super::tree::Sink;

/// What a probe needs so that each table is met, entries of arrays aside.
const HEAD: &str = r#"
[experiment]
id = "probe"
variant = [{ name = "a", weight = 1 }, { name = "b", weight = 1, grant = 1 }]
[[window]]
[[expect]]
"#;

/// What entries of one kind have in turn: some readers look at one key only where another one stands.
const FAULTS: [&str; 3] = [
    "at = '1s'",
    "at = '1s'\nfor = '1s'",
    "at = '1s'\nfor = '1s'\nwhen = 'sent'\nversion = 2\nexperiment.variant = [{}]",
];

/// A file with an entry of every kind.
pub(super) fn probe() -> String {
    let mut text = HEAD.to_owned();
    for kind in traffic::kinds() {
        let _ = writeln!(text, "[[traffic]]\nkind = '{kind}'");
    }
    for kind in KINDS {
        for keys in FAULTS {
            let _ = writeln!(text, "[[fault]]\nkind = '{}'\n{keys}", kind.name);
        }
    }
    text
}

/// The description that a probe's sink has recorded.
pub(super) fn recorded(sink: Sink<'_>) -> Table {
    sink.into_recorder().map_or_else(Table::default, |recorder| recorder.recorded(ROOT))
}

/// The number of the whole file's table, the first one.
const ROOT: usize = 0;

/// A table that is being recorded.
#[derive(Debug, Default)]
struct Draft {
    /// The value of `kind`, in an entry of an array of tables.
    kind: Option<String>,
    keys: BTreeMap<&'static str, DraftKey>,
    needs: Vec<Need>,
}

#[derive(Debug, Default)]
struct DraftKey {
    needed: bool,
    forms: Vec<Form>,
    table: Option<usize>,
    entries: Option<Vec<usize>>,
}

/// Notes what a decoder asks for.
#[derive(Debug, Default)]
pub(super) struct Recorder(Vec<Draft>);

impl Recorder {
    /// A table of its own, of which nothing is known yet.
    pub(super) fn table(&mut self, kind: Option<&str>) -> usize {
        self.0.push(Draft { kind: kind.map(str::to_owned), ..Draft::default() });
        self.0.len() - 1
    }

    /// The key is known.
    pub(super) fn key(&mut self, table: usize, key: &'static str) {
        self.0[table].keys.entry(key).or_default();
    }

    /// The key must be there.
    pub(super) fn needed(&mut self, table: usize, key: &'static str) {
        self.draft_key(table, key).needed = true;
    }

    /// Of several keys some must be there.
    pub(super) fn need(&mut self, table: usize, need: Need) {
        self.0[table].needs.push(need);
    }

    /// A value of this form is taken.
    pub(super) fn form(&mut self, table: usize, key: &'static str, form: Form) {
        let forms = &mut self.draft_key(table, key).forms;
        if !forms.contains(&form) {
            forms.push(form);
        }
    }

    /// A table inside this one, the same at each call.
    pub(super) fn inner(&mut self, table: usize, key: &'static str) -> usize {
        if let Some(inner) = self.draft_key(table, key).table {
            return inner;
        }
        let inner = self.table(None);
        self.draft_key(table, key).table = Some(inner);
        inner
    }

    /// An entry of an array of tables inside this one; the first call without a kind announces the array.
    pub(super) fn entry(&mut self, table: usize, key: &'static str, kind: Option<&str>) -> usize {
        let entry = self.table(kind);
        self.draft_key(table, key).entries.get_or_insert_default().push(entry);
        entry
    }

    fn draft_key(&mut self, table: usize, key: &'static str) -> &mut DraftKey {
        self.0[table].keys.entry(key).or_default()
    }

    /// What was recorded of a table.
    pub(super) fn recorded(&self, table: usize) -> Table {
        let draft = &self.0[table];
        let keys = draft.keys.iter().map(|(name, key)| (*name, self.recorded_key(key))).collect();
        Table { keys, needs: draft.needs.clone() }
    }

    fn recorded_key(&self, key: &DraftKey) -> Key {
        let table = key.table.map(|table| Form::Table(self.recorded(table)));
        let entries = key.entries.as_ref().map(|entries| Form::Tables(self.entries(entries)));
        let forms: Vec<Form> = key.forms.iter().cloned().chain(table).chain(entries).collect();
        Key { needed: key.needed, form: Form::any(forms) }
    }

    /// The entries of an array of tables, those of one kind as one.
    fn entries(&self, entries: &[usize]) -> Vec<Entry> {
        let mut merged: Vec<Entry> = Vec::new();
        for &index in entries {
            let (kind, table) = (&self.0[index].kind, self.recorded(index));
            match merged.iter_mut().find(|entry| entry.kind == *kind) {
                Some(entry) => entry.table.join(table),
                None => merged.push(Entry { kind: kind.clone(), table }),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::super::format;
    use super::*;

    /// Keys that the decoder knows and takes in no form at all.
    fn refused(name: &str, table: &Table, found: &mut Vec<String>) {
        for (key, Key { form, .. }) in &table.keys {
            let name = format!("{name}.{key}");
            if *form == Form::Never {
                found.push(name);
            } else if let Form::Table(inner) = form {
                refused(&name, inner, found);
            } else if let Form::Tables(entries) = form {
                refused(&name, &Entry::common(entries), found);
            }
        }
    }

    #[test]
    fn every_key_that_is_known_takes_something() {
        let mut found = Vec::new();
        refused("", &format(), &mut found);
        assert_eq!(found, Vec::<String>::new(), "the reader of these keys says not what it takes");
    }

    #[test]
    fn keys_of_one_kind_are_told_from_those_of_another() {
        let format = format();
        let Form::Tables(faults) = &format.keys["fault"].form else { panic!("[[fault]] is an array of tables") };
        assert_eq!(faults.len(), KINDS.len());
        let fault = |kind: &str| &faults.iter().find(|entry| entry.kind.as_deref() == Some(kind)).unwrap().table;
        assert_eq!(fault("quota.outage").keys["for"], Key { needed: true, form: Form::PositiveDuration });
        assert_eq!(fault("quota.restart").keys["for"].form, Form::Never);
        assert_eq!(fault("process.crash").keys["for"], Key { needed: false, form: Form::PositiveDuration });
        assert!(!fault("quota.outage").keys.contains_key("downtime"));
        let Form::Table(experiment) = &fault("process.deploy").keys["experiment"].form else { panic!("a table") };
        assert!(!experiment.keys["id"].needed && !experiment.keys.contains_key("true-lift"));
        assert_eq!(format.needs, [Need::Some(&["users", "traffic"])]);
    }
}
