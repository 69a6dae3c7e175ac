//! `experiment vectors`: test vectors of the assignment algorithm against this program.
//!
//! Two kinds of CSV, told apart by their header: vectors with a result for each row, and ids that must be refused
//! (with a `reason` column). Columns are found by name, their order is free, unknown ones are passed over.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use csv::StringRecord;
use hookproof_core::assignment::{
    COVERAGE_FULL_PPM, Frame, HashMode, Hasher, InvalidUserId, UserId, Weights, enrol_ppm,
};

use super::users::malformed;
use crate::exit::{Exit, Failure};
use crate::scenarios::unreadable;
use crate::terminal;

const INPUTS: [&str; 8] =
    ["mode", "secret_hex", "salt_hex", "user_id_hex", "weights", "coverage_ppm", "lineage_hex", "effect_hex"];
const INPUTS_REFUSED: [&str; 1] = ["user_id_hex"];
const RESULTS: [&str; 8] = ["r_hex", "total_weight", "point", "variant", "e_hex", "enrol_ppm", "enrolled", "grant_id"];

/// Prints that all rows are equal, or the first difference.
///
/// # Errors
/// The file can't be read or is no such CSV.
pub(crate) fn vectors(path: &Path) -> Result<Exit, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let Compared { rows, first } = compare(&path.display().to_string(), BufReader::new(file))?;
    let (text, exit) = match first {
        Some(difference) => (difference + "\n", Exit::Violated),
        None if rows == 0 => ("0 rows, nothing compared\n".to_owned(), Exit::Inconclusive),
        None => (format!("{rows} rows, all equal\n"), Exit::Pass),
    };
    terminal::print(text.as_bytes())?;
    Ok(exit)
}

/// What a file of vectors came to.
pub(super) struct Compared {
    pub(super) rows: u64,
    /// The first row that differs, and in what.
    pub(super) first: Option<String>,
}

/// Compares all vectors of a source, called `name` in messages.
///
/// # Errors
/// It is no such CSV.
pub(super) fn compare(name: &str, source: impl Read) -> Result<Compared, Failure> {
    let mut reader = csv::Reader::from_reader(source);
    let header = reader.headers().map_err(|error| malformed(name, &error))?.clone();
    let kind = Kind::of(&header).map_err(|cause| Failure::bad_input(format!("{name}:1: {cause}")))?;

    let mut rows: u64 = 0;
    let mut first = None;
    for record in reader.records() {
        let record = record.map_err(|error| malformed(name, &error))?;
        rows += 1;
        let row = Row { header: &header, record: &record };
        let line = record.position().map_or(rows + 1, csv::Position::line);
        let difference = kind.check(row).map_err(|cause| Failure::bad_input(format!("{name}:{line}: {cause}")))?;
        // Rows after the first difference are still read: a malformed one counts more.
        if let (None, Some(difference)) = (&first, difference) {
            let case = row.get("case").map_or_else(|_| rows.to_string(), str::to_owned);
            first = Some(format!("case {case} (line {line}): {difference}"));
        }
    }
    Ok(Compared { rows, first })
}

/// What a file holds.
#[derive(Clone, Copy)]
enum Kind {
    /// Results of permitted ids.
    Assignments,
    /// Ids that must be refused.
    Refusals,
}

/// One row by column name.
#[derive(Clone, Copy)]
struct Row<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl Kind {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let has = |name: &str| header.iter().any(|column| column == name);
        let (kind, needed) =
            if has("reason") { (Self::Refusals, &INPUTS_REFUSED[..]) } else { (Self::Assignments, &INPUTS[..]) };
        if let Some(missing) = needed.iter().find(|name| !has(name)) {
            return Err(format!("the header has no column {missing}"));
        }
        if matches!(kind, Self::Assignments) && !RESULTS.iter().any(|name| has(name)) {
            return Err(format!("the header has none of the results {}", RESULTS.join(", ")));
        }
        Ok(kind)
    }

    /// The row's first difference; an error if the row can't be understood.
    fn check(self, row: Row<'_>) -> Result<Option<String>, String> {
        match self {
            Self::Assignments => check_assignment(row),
            Self::Refusals => check_refusal(row),
        }
    }
}

impl<'a> Row<'a> {
    fn get(self, name: &str) -> Result<&'a str, String> {
        let index = self.header.iter().position(|column| column == name);
        index.and_then(|index| self.record.get(index)).ok_or_else(|| format!("there is no column {name}"))
    }

    fn bytes(self, name: &str) -> Result<Vec<u8>, String> {
        hex::decode(self.get(name)?).map_err(|error| format!("{name}: {error}"))
    }

    fn text(self, name: &str) -> Result<String, String> {
        String::from_utf8(self.bytes(name)?).map_err(|_| format!("{name}: not UTF-8"))
    }

    fn number(self, name: &str) -> Result<u32, String> {
        let text = self.get(name)?;
        text.parse().map_err(|_| format!("{name}: {text:?} is no whole number below 2^32"))
    }

    /// The difference of one column, if it is there.
    fn difference(self, name: &str, got: &str) -> Option<String> {
        let expected = self.get(name).ok().filter(|expected| *expected != got)?;
        Some(format!("{name} expected {expected}, got {got}"))
    }
}

fn check_assignment(row: Row<'_>) -> Result<Option<String>, String> {
    let texts = [row.text("salt_hex")?, row.text("lineage_hex")?, row.text("effect_hex")?];
    let frame = |name: &str, text| Frame::new(text).map_err(|error| format!("{name}: {error}"));
    let salt = frame("salt_hex", &texts[0])?;
    let lineage = frame("lineage_hex", &texts[1])?;
    let effect = frame("effect_hex", &texts[2])?;
    let hasher = hasher(row, salt, lineage)?;
    let weights = weights(row)?;
    let coverage = row.number("coverage_ppm")?;
    if coverage > COVERAGE_FULL_PPM {
        return Err(format!("coverage_ppm: {coverage} is above {COVERAGE_FULL_PPM}"));
    }
    let id = row.bytes("user_id_hex")?;
    let user = match UserId::new(&id) {
        Ok(user) => user,
        Err(error) => return Ok(Some(format!("user_id_hex expected a permitted id, got {}", reason(error)))),
    };
    let (r, e) = (hasher.assignment_word(user), hasher.enrolment_word(user));
    let got = [
        format!("{r:016x}"),
        weights.total().to_string(),
        weights.point(r).to_string(),
        weights.pick(r).to_string(),
        format!("{e:016x}"),
        enrol_ppm(e).to_string(),
        u8::from(enrol_ppm(e) < coverage).to_string(),
        hasher.grant_id(effect, user).to_string(),
    ];
    Ok(RESULTS.iter().zip(&got).find_map(|(name, got)| row.difference(name, got)))
}

fn hasher(row: Row<'_>, salt: Frame<'_>, lineage: Frame<'_>) -> Result<Hasher, String> {
    let secret = row.bytes("secret_hex")?;
    let mode = row.get("mode")?;
    match HashMode::from_name(mode) {
        Some(HashMode::Sha256V1) if secret.is_empty() => Ok(Hasher::sha256_v1(salt, lineage)),
        Some(HashMode::Sha256V1) => Err("secret_hex: sha256-v1 takes no secret".to_owned()),
        Some(HashMode::HmacSha256V1) => {
            Hasher::hmac_sha256_v1(&secret, salt, lineage).map_err(|error| format!("secret_hex: {error}"))
        }
        None => Err(format!("mode: {mode:?} is neither sha256-v1 nor hmac-sha256-v1")),
    }
}

fn weights(row: Row<'_>) -> Result<Weights, String> {
    let text = row.get("weights")?;
    let weights: Result<Vec<u32>, _> = text.split('|').map(str::parse).collect();
    let weights = weights.map_err(|_| format!("weights: {text:?} are no whole numbers with bars between them"))?;
    Weights::new(weights).map_err(|error| format!("weights: {error}"))
}

fn check_refusal(row: Row<'_>) -> Result<Option<String>, String> {
    let id = row.bytes("user_id_hex")?;
    let expected = row.get("reason")?;
    if !["empty", "too_long", "not_utf8", "control", "several"].contains(&expected) {
        return Err(format!("reason: {expected:?} is not known"));
    }
    if let Some(difference) = row.difference("length", &id.len().to_string()) {
        return Ok(Some(difference));
    }
    Ok(match UserId::new(&id).err() {
        None => Some(format!("reason expected {expected}, got a permitted id")),
        Some(_) if expected == "several" => None,
        Some(error) => row.difference("reason", reason(error)),
    })
}

const fn reason(error: InvalidUserId) -> &'static str {
    match error {
        InvalidUserId::Empty => "empty",
        InvalidUserId::TooLong => "too_long",
        InvalidUserId::NotUtf8 => "not_utf8",
        InvalidUserId::Control => "control",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../../core/tests/data/assignment_v1.csv");
    const REFUSALS: &str = include_str!("../../../../core/tests/data/assignment_v1_invalid.csv");

    /// Whatever the bytes are, they are compared, or refused with the file's name and a line.
    fn answered(source: &[u8]) {
        if let Err(failure) = compare("v.csv", source) {
            assert_eq!(failure.exit(), Exit::BadInput);
            assert!(failure.messages().iter().all(|message| message.starts_with("v.csv")), "{failure:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_compared_or_refused() {
        bolero::check!().for_each(|source: &[u8]| answered(source));
    }

    #[test]
    fn rows_with_arbitrary_cells_are_compared_or_refused() {
        bolero::check!().with_type::<(bool, Vec<(u16, u8, Vec<u8>)>)>().for_each(|(refusals, edits)| {
            let text = if *refusals { REFUSALS } else { VECTORS };
            let mut lines: Vec<Vec<Vec<u8>>> = text
                .lines()
                .take(20)
                .map(|line| line.split(',').map(|cell| cell.as_bytes().to_vec()).collect())
                .collect();
            for (line, cell, new) in edits.iter().take(4) {
                let line = usize::from(*line) % lines.len();
                let cell = usize::from(*cell) % lines[line].len();
                lines[line][cell].clone_from(new);
            }
            let rows: Vec<Vec<u8>> = lines.iter().map(|cells| cells.join(&b","[..])).collect();
            answered(&rows.join(&b"\n"[..]));
        });
    }
}
