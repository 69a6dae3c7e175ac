//! What a scenario file may hold: tables, their keys, and the form of each key's value.
//!
//! Owns the description as data and how two descriptions of one table join. It is drawn from the decoder (see
//! `decode/form.rs`), so nothing is listed here; a renderer makes a JSON Schema of it. It tells of each value by itself: what
//! holds between values (a fault ends within the storm, names are unique) only the decoder knows.

use std::collections::BTreeMap;

/// A table of keys. Keys that are not among these are refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The keys by name.
    pub keys: BTreeMap<&'static str, Key>,
    /// What must be there of several keys.
    pub needs: Vec<Need>,
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Whether it must be there.
    pub needed: bool,
    /// What its value may be.
    pub form: Form,
}

/// What must be there of several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// At least one of them.
    Some(&'static [&'static str]),
    /// One of them and no other.
    One(&'static [&'static str]),
}

/// One kind of entry in an array of tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The value of its `kind`; none where all entries are alike.
    pub kind: Option<String>,
    /// Its keys.
    pub table: Table,
}

impl Entry {
    /// What all of `entries` have in common: what one of them allows is allowed, what each needs is needed.
    pub fn common(entries: &[Self]) -> Table {
        let mut tables = entries.iter().map(|entry| entry.table.clone());
        let first = tables.next().unwrap_or_default();
        tables.fold(first, |mut common, table| {
            common.join(table);
            common
        })
    }
}

/// What a value may be. The notations are those of `docs/scenarios.md`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants without a comment are notations under their own name")]
pub enum Form {
    /// Nothing: the key is known, and refused here.
    Never,
    Text,
    /// Text that is not blank.
    FilledText,
    Name,
    /// A string or an integer.
    Version,
    Boolean,
    Integer {
        low: i128,
        high: i128,
    },
    Number {
        low: f64,
        high: f64,
    },
    Probability,
    Duration,
    PositiveDuration,
    /// A duration other than zero, with a sign.
    Shift,
    Rate,
    /// A moment with an offset.
    Moment,
    /// A distribution of durations.
    Latency,
    /// One of these.
    Word(Vec<&'static str>),
    /// Text that this regular expression matches as a whole.
    Matching(&'static str),
    /// An array of at most so many.
    List(Box<Form>, usize),
    /// Two numbers, the smaller one first.
    Pair,
    /// A table.
    Table(Table),
    /// An array of tables.
    Tables(Vec<Entry>),
    /// One of these forms.
    Any(Vec<Form>),
}

impl Form {
    /// One of `forms`, none of them twice.
    pub(super) fn any(forms: Vec<Self>) -> Self {
        let mut distinct: Vec<Self> = Vec::new();
        for form in forms {
            let parts = if let Self::Any(parts) = form { parts } else { vec![form] };
            for part in parts {
                if part != Self::Never && !distinct.contains(&part) {
                    distinct.push(part);
                }
            }
        }
        match distinct.pop() {
            None => Self::Never,
            Some(only) if distinct.is_empty() => only,
            Some(last) => {
                distinct.push(last);
                Self::Any(distinct)
            }
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Table(mut table), Self::Table(other)) => {
                table.join(other);
                Self::Table(table)
            }
            (one, other) => Self::any(vec![one, other]),
        }
    }
}

impl Table {
    /// Takes in what another description of the same table says: what one of them allows is allowed, what both need is
    /// needed.
    pub(super) fn join(&mut self, other: Self) {
        for (name, key) in &mut self.keys {
            key.needed &= other.keys.get(name).is_some_and(|other| other.needed);
        }
        for (name, key) in other.keys {
            match self.keys.remove(name) {
                Some(own) => {
                    let joined = Key { needed: own.needed, form: own.form.join(key.form) };
                    self.keys.insert(name, joined);
                }
                None => drop(self.keys.insert(name, Key { needed: false, ..key })),
            }
        }
        self.needs.retain(|need| other.needs.contains(need));
    }
}
