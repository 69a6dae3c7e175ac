//! Recorded exposures as CSV: `user_id`, `variant`, perhaps `generation`; or what `experiment assign` prints.

use std::collections::BTreeMap;
use std::path::Path;

use csv::ByteRecord;
use hookproof_core::assignment::UserId;
use hookproof_core::experiment::change::Record;
use hookproof_core::experiment::{Experiment, VariantIndex};

use super::super::users::{malformed, refusal, source, without_mark};
use crate::exit::Failure;

/// The recorded exposures in the CSV at `path` (`-` is stdin), under versions up to `old`. A row without a generation is
/// of `old`'s; one with `enrolled` 0 is none.
///
/// # Errors
/// The file can't be read or is no such CSV, or a row contradicts `old` or another row.
pub(super) fn read(path: &Path, old: &Experiment) -> Result<BTreeMap<String, Record>, Failure> {
    let (name, source) = source(path)?;
    parse(&name, &source, old)
}

fn parse(name: &str, source: &[u8], old: &Experiment) -> Result<BTreeMap<String, Record>, Failure> {
    let mut reader = csv::Reader::from_reader(without_mark(source));
    let header = reader.byte_headers().map_err(|error| malformed(name, &error))?;
    let columns = Columns::of(header).map_err(|cause| Failure::bad_input(format!("{name}:1: {cause}")))?;
    let mut records: BTreeMap<String, (Record, u64)> = BTreeMap::new();
    let mut refused = Vec::new();
    for row in reader.byte_records() {
        let row = row.map_err(|error| malformed(name, &error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let known = columns.exposure(&row, old).and_then(|exposure| {
            let Some((user, record)) = exposure else { return Ok(()) };
            let (first, first_line) = *records.entry(user).or_insert((record, line));
            if first == record { Ok(()) } else { Err(format!("line {first_line} says otherwise of this user")) }
        });
        refused.extend(known.err().map(|cause| Failure::bad_input(format!("{name}:{line}: {cause}"))));
    }
    let records = records.into_iter().map(|(user, (record, _))| (user, record)).collect();
    refusal(name, refused, "rows").map_or(Ok(records), Err)
}

/// Where the columns stand.
struct Columns {
    user: usize,
    variant: usize,
    generation: Option<usize>,
    enrolled: Option<usize>,
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Self, String> {
        let find = |name: &str| header.iter().position(|column| column == name.as_bytes());
        let need = |name| find(name).ok_or_else(|| format!("the header has no column {name}"));
        Ok(Self {
            user: need("user_id")?,
            variant: need("variant")?,
            generation: find("generation"),
            enrolled: find("enrolled"),
        })
    }

    /// The row's user and record; nothing if the row says that the user was not exposed.
    fn exposure(&self, row: &ByteRecord, old: &Experiment) -> Result<Option<(String, Record)>, String> {
        let text = |column: usize| String::from_utf8_lossy(row.get(column).unwrap_or_default());
        let user = UserId::new(row.get(self.user).unwrap_or_default()).map_err(|error| error.to_string())?;
        let variant = variant(&text(self.variant), old)?;
        let generation = match self.generation {
            Some(column) => generation(&text(column), old)?,
            None => old.generation(),
        };
        let is_recorded = match self.enrolled.map(text).as_deref() {
            None | Some("1" | "true") => true,
            Some("0" | "false") => false,
            Some(other) => return Err(format!("enrolled: {other:?} is neither 1 nor 0")),
        };
        Ok(is_recorded.then(|| (user.as_str().to_owned(), Record { variant, generation })))
    }
}

fn variant(name: &str, old: &Experiment) -> Result<VariantIndex, String> {
    let position = old.variants().iter().zip(0..).find(|(variant, _)| variant.name == name);
    position.map(|(_, index)| VariantIndex::new(index)).ok_or_else(|| {
        let names: Vec<_> = old.variants().iter().map(|variant| format!("{:?}", variant.name)).collect();
        format!("variant: {name:?} is none of OLD's, which are {}", names.join(", "))
    })
}

fn generation(text: &str, old: &Experiment) -> Result<u8, String> {
    let newest = old.generation();
    let generation: Option<u8> = text.parse().ok();
    generation
        .filter(|generation| *generation <= newest)
        .ok_or_else(|| format!("generation: {text:?} is no whole number from 0 to OLD's generation, which is {newest}"))
}
