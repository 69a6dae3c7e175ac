//! Reading keys out of a spanned TOML tree.
//!
//! Owns [`Reader`], which takes keys out of one table and remembers which names it was asked for, so that whatever is
//! left over can be reported with the nearest known name; and [`Sink`], which gathers what is wrong. A reader goes on
//! after a problem: it reports it and answers `None`, and the caller goes on with a default.
//!
//! * `DECODE-1`: a reader answers `None` for a needed key only after it reported why.
//! * `DECODE-2`: every key of the file was either asked for or is reported.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::form::{Form, Need};
use super::super::problem::{Finding, Lines, PROBLEMS_MAX, ScenarioError};
use super::form::Recorder;
use super::words::{clip, list, nearest};

/// A byte range of the source.
pub(super) type Place = Range<usize>;

/// A value of the tree with its place.
pub(super) type Node<'a> = Spanned<DeValue<'a>>;

/// Entries of an array of tables; more are refused before they are looked at.
const ENTRIES_MAX: usize = 500;

/// Why a value was refused: cause and remedy, and what is taken instead if its form was wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flaw {
    pub(super) cause: String,
    pub(super) remedy: String,
    pub(super) form: Option<Form>,
}

impl Flaw {
    pub(super) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into(), form: None }
    }

    /// The same flaw, found by a parser that takes values of this form.
    pub(super) fn taking(self, form: Form) -> Self {
        Self { form: Some(form), ..self }
    }
}

/// A decoded value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// Gathers what is wrong with a file.
#[derive(Debug)]
pub(super) struct Sink<'s> {
    lines: Lines<'s>,
    flaws: RefCell<BTreeSet<Finding>>,
    gaps: RefCell<BTreeSet<Finding>>,
    omitted_count: Cell<usize>,
    recorder: Option<RefCell<Recorder>>,
    /// What is wrong with files that the file names.
    attached: RefCell<Vec<ScenarioError>>,
}

impl<'s> Sink<'s> {
    /// For problems of `source`.
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            lines: Lines::new(source),
            flaws: RefCell::default(),
            gaps: RefCell::default(),
            omitted_count: Cell::default(),
            recorder: None,
            attached: RefCell::default(),
        }
    }

    /// For a probe: what its decoder asks for is recorded.
    pub(super) fn recording(source: &'s str) -> Self {
        Self { recorder: Some(RefCell::default()), ..Self::new(source) }
    }

    /// What was recorded, if this sink records.
    pub(super) fn into_recorder(self) -> Option<Recorder> {
        self.recorder.map(RefCell::into_inner)
    }

    /// Notes something of a probe; nothing of any other file. Gives 0 where it does not record.
    fn record(&self, note: impl FnOnce(&mut Recorder) -> usize) -> usize {
        self.recorder.as_ref().map_or(0, |recorder| note(&mut recorder.borrow_mut()))
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Place) -> u32 {
        u32::try_from(self.lines.index(place.start) + 1).unwrap_or(u32::MAX)
    }

    /// Something that is there is wrong.
    pub(super) fn flaw(&self, place: &Place, flaw: Flaw) {
        self.flaws.borrow_mut().insert(finding(place, flaw));
    }

    /// Something is missing. Not reported where syntax errors may have swallowed it.
    pub(super) fn gap(&self, place: &Place, flaw: Flaw) {
        self.gaps.borrow_mut().insert(finding(place, flaw));
    }

    /// Counts problems that are too many to write down.
    pub(super) fn omit(&self, count: usize) {
        self.omitted_count.set(self.omitted_count.get() + count);
    }

    /// Everything that is wrong with a file that the file names.
    pub(super) fn attached(&self, error: ScenarioError) {
        self.attached.borrow_mut().push(error);
    }

    /// What was found in such files.
    pub(super) fn take_attached(&self) -> Vec<ScenarioError> {
        self.attached.take()
    }

    /// What was found: flaws, gaps, and how many more.
    pub(super) fn into_parts(self) -> (BTreeSet<Finding>, BTreeSet<Finding>, usize) {
        (self.flaws.into_inner(), self.gaps.into_inner(), self.omitted_count.get())
    }
}

fn finding(place: &Place, flaw: Flaw) -> Finding {
    Finding { start: place.start, end: place.end, message: flaw.cause, remedy: flaw.remedy }
}

/// Takes keys out of one table. A table that is not there reads as an empty one.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    sink: &'a Sink<'a>,
    name: String,
    place: Place,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    /// The table's number in the recording of a probe.
    record: usize,
}

impl<'a> Reader<'a> {
    /// Reads the table of a whole file.
    pub(super) fn root(sink: &'a Sink<'a>, table: &'a DeTable<'a>) -> Self {
        let record = sink.record(|recorder| recorder.table(None));
        Self { sink, name: "the file".to_owned(), place: 0..0, table: Some(table), known: Vec::new(), record }
    }

    /// Reads `node`, called `name` in messages; a value of another type is reported.
    pub(super) fn of(sink: &'a Sink<'a>, name: String, node: &'a Node<'a>) -> Self {
        let record = sink.record(|recorder| recorder.table(None));
        Self::recorded(sink, name, node, record)
    }

    fn recorded(sink: &'a Sink<'a>, name: String, node: &'a Node<'a>, record: usize) -> Self {
        let table = node.get_ref().as_table();
        if table.is_none() {
            let cause = format!("expected a table, found {}", super::units::found(node.get_ref()));
            sink.flaw(&node.span(), Flaw::new(cause, format!("write {name} as a table of keys")));
        }
        Self { sink, name, place: node.span(), table, known: Vec::new(), record }
    }

    /// Where problems go.
    pub(super) fn sink(&self) -> &'a Sink<'a> {
        self.sink
    }

    /// The table's name in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives the table a name that says more.
    pub(super) fn rename(&mut self, name: String) {
        self.name = name;
    }

    /// The table's header, or the whole of an inline table.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the table is there.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The key's node, as it is.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
            self.note(|recorder, record| recorder.key(record, key));
        }
        self.table?.get(key)
    }

    fn note(&self, note: impl FnOnce(&mut Recorder, usize)) {
        let _: usize = self.sink.record(|recorder| {
            note(recorder, self.record);
            self.record
        });
    }

    /// Says what a key's value may be that is not read by a parser.
    pub(super) fn takes(&self, key: &'static str, form: Form) {
        self.note(|recorder, record| recorder.form(record, key, form));
    }

    /// Says what must be there of several keys. Who reads them reports what is missing.
    pub(super) fn needs(&self, need: Need) {
        self.note(|recorder, record| recorder.need(record, need));
    }

    /// Notes what a parser takes: given a boolean, it says so, or takes booleans.
    fn note_form<T>(&self, key: &'static str, parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>) {
        self.note(|recorder, record| {
            let form = match parse(&DeValue::Boolean(true)) {
                Ok(_) => Form::Boolean,
                Err(flaw) => flaw.form.unwrap_or_else(|| panic!("FORM-1: the parser of `{key}` says what it takes")),
            };
            recorder.form(record, key, form);
        });
    }

    /// The key's value with its place, if it is there and `parse` takes it.
    pub(super) fn placed<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>,
    ) -> Option<Placed<T>> {
        self.note_form(key, &parse);
        let node = self.node(key)?;
        match parse(node.get_ref()) {
            Ok(value) => Some(Placed { value, place: node.span() }),
            Err(flaw) => {
                let cause = format!("`{key}`: {}", flaw.cause);
                self.sink.flaw(&node.span(), Flaw::new(cause, flaw.remedy));
                None
            }
        }
    }

    /// The key's value, if it is there and `parse` takes it.
    pub(super) fn get<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>) -> Option<T> {
        self.placed(key, parse).map(|placed| placed.value)
    }

    /// The value of a key that must be there; `example` shows how to write it.
    pub(super) fn need<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>,
    ) -> Option<T> {
        self.need_placed(key, example, parse).map(|placed| placed.value)
    }

    /// As [`Reader::need`], with the value's place.
    pub(super) fn need_placed<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>,
    ) -> Option<Placed<T>> {
        self.note(|recorder, record| recorder.needed(record, key));
        if self.table.is_some() && self.node(key).is_none() {
            let cause = format!("`{key}` is missing in {}", self.name);
            self.sink.gap(&self.place, Flaw::new(cause, format!("add `{key} = {example}`")));
        }
        self.placed(key, parse)
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The place of a key's value; the table's own if it is not there.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.table.and_then(|table| table.get(key)).map_or_else(|| self.place.clone(), Spanned::span)
    }

    /// A table inside this one.
    pub(super) fn table(&mut self, key: &'static str, name: impl Into<String>) -> Self {
        let record = self.sink.record(|recorder| recorder.inner(self.record, key));
        match self.node(key) {
            Some(node) => Self::recorded(self.sink, name.into(), node, record),
            None => Self {
                sink: self.sink,
                name: name.into(),
                place: self.place.clone(),
                table: None,
                known: Vec::new(),
                record,
            },
        }
    }

    /// The entries of an array of tables inside this one.
    pub(super) fn tables(&mut self, key: &'static str, name: &str) -> Vec<Self> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Some(entries) = node.get_ref().as_array() else {
            let cause = format!("`{key}`: expected an array of tables, found {}", super::units::found(node.get_ref()));
            self.sink.flaw(&node.span(), Flaw::new(cause, format!("write the header with two brackets: {name}")));
            return Vec::new();
        };
        if let Some(surplus) = entries.get(ENTRIES_MAX) {
            let cause = format!("{} entries of {name}; at most {ENTRIES_MAX} are read", entries.len());
            self.sink.flaw(&surplus.span(), Flaw::new(cause, "merge entries, or split the scenario"));
        }
        let entries = entries.iter().take(ENTRIES_MAX);
        let read = entries.map(|entry| {
            let kind = entry.get_ref().get("kind").and_then(|kind| kind.get_ref().as_str());
            let record = self.sink.record(|recorder| recorder.entry(self.record, key, kind));
            Self::recorded(self.sink, name.to_owned(), entry, record)
        });
        read.collect()
    }

    /// A table inside this one that must be there; `example` shows how to write it.
    pub(super) fn need_table(&mut self, key: &'static str, name: &str, example: &str) -> Self {
        self.note(|recorder, record| recorder.needed(record, key));
        if self.node(key).is_none() {
            let cause = format!("{name} is missing in {}", self.name);
            self.sink.gap(&self.place, Flaw::new(cause, format!("add {example}")));
        }
        self.table(key, name)
    }

    /// All keys with their nodes, for tables whose keys the file chooses. Nothing of it is unknown then.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (&'a str, Place, &'a Node<'a>)> {
        let entries = self.table.into_iter().flat_map(|table| table.iter());
        entries.map(|(key, node)| (key.get_ref().as_ref(), key.span(), node))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&self) {
        self.finish_with(|_| None);
    }

    /// As [`Reader::finish`]; `explain` may know more about a key than the nearest name.
    pub(super) fn finish_with(&self, explain: impl Fn(&str) -> Option<Flaw>) {
        let Some(table) = self.table else { return };
        let is_left = |key: &str| !self.known.contains(&key);
        let mut left: Vec<_> = table.keys().filter(|key| is_left(key.get_ref())).collect();
        left.sort_by_key(|key| key.span().start);
        self.sink.omit(left.len().saturating_sub(PROBLEMS_MAX));
        for key in left.into_iter().take(PROBLEMS_MAX) {
            let flaw = explain(key.get_ref()).unwrap_or_else(|| self.unknown(key.get_ref()));
            self.sink.flaw(&key.span(), flaw);
        }
    }

    fn unknown(&self, key: &str) -> Flaw {
        let remedy = match nearest(key, self.known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("remove it; known keys here are {}", list(self.known.iter().copied(), "and")),
        };
        Flaw::new(format!("unknown key `{}` in {}", clip(key), self.name), remedy)
    }
}
