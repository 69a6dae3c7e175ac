//! `experiment verify`: every decision of a store, computed again.

use std::fmt::Write as _;

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use hookproof_runtime::store::Stored;

use super::file;
use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::hook_file;
use crate::location::Location;
use crate::terminal::{self, Terminal};

/// Rows that differ and are printed; of more, the number.
const SHOWN_MAX: u64 = 1_000;

/// Prints how many records agree with the experiment or with a version that its file announces, and which do not.
///
/// # Errors
/// The file is bad, or the store can't be read or is another experiment's.
pub(crate) fn verify(args: &VerifyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (lineage, location) = if let Some(store) = &args.store {
        (file::load_lineage(&args.file, terminal)?, Location::Sqlite(store.clone()))
    } else {
        let file = hook_file::load(&args.file, terminal)?;
        (file.lineage, Location::of(file.store, &args.file))
    };
    let mut verified = Verified::default();
    let look = location.look(&lineage)?;
    look.for_each(|stored| verified.look_at(&lineage, &stored)).map_err(|why| location.unreadable(&why))?;
    terminal::print(verified.render().as_bytes())?;
    Ok(match (verified.differing, verified.records) {
        (0, 0) => Exit::Inconclusive,
        (0, _) => Exit::Pass,
        (_, _) => Exit::Violated,
    })
}

/// What was found.
#[derive(Debug, Default)]
struct Verified {
    records: u64,
    differing: u64,
    lines: String,
}

impl Verified {
    fn look_at(&mut self, lineage: &Lineage, stored: &Stored) {
        self.records += 1;
        let versions = || std::iter::once(lineage.current()).chain(lineage.others());
        if versions().any(|version| difference(version, stored).is_none()) {
            return;
        }
        self.differing += 1;
        if self.differing > SHOWN_MAX {
            return;
        }
        for version in versions() {
            let what = difference(version, stored).unwrap_or_default();
            let _ = writeln!(self.lines, "{:?}: by version {} {what}", stored.user.id, version.version());
        }
    }

    fn render(&self) -> String {
        let Self { records, differing, lines } = self;
        let more = match differing.saturating_sub(SHOWN_MAX) {
            0 => String::new(),
            more => format!("… and {more} more\n"),
        };
        let what = if *differing == 0 { "all as computed".to_owned() } else { format!("{differing} differ") };
        format!("{lines}{more}{records} records, {what}\n")
    }
}

/// In what a record is not what `version` would have decided at a first exposure.
fn difference(version: &Experiment, stored: &Stored) -> Option<String> {
    let name = |index: usize| match version.variants().get(index) {
        Some(variant) => format!("{:?}", variant.name),
        None => format!("variant {index}"),
    };
    let Ok(id) = UserId::new(stored.user.id.as_bytes()) else { return Some("the id is not permitted".to_owned()) };
    let assignment = version.assign(id);
    if !assignment.enrolled {
        return Some("the user takes no part".to_owned());
    }
    if assignment.variant != stored.record.variant {
        let (computed, recorded) = (name(assignment.variant.index()), name(stored.record.variant.index()));
        return Some(format!("the variant is {computed}, and {recorded} is recorded"));
    }
    if assignment.grant != stored.user.grant {
        let id = |grant: Option<_>| {
            grant.map_or("none".to_owned(), |grant: hookproof_core::identity::GrantId| grant.to_string())
        };
        return Some(format!("the grant is {}, and {} is recorded", id(assignment.grant), id(stored.user.grant)));
    }
    let units = version.variants()[assignment.variant.index()].grant.as_ref().map(|grant| grant.units);
    if units != stored.units {
        let text = |units: Option<u32>| units.map_or("none".to_owned(), |units| units.to_string());
        return Some(format!("the units are {}, and {} are recorded", text(units), text(stored.units)));
    }
    None
}
