//! `experiment diff`: what the change from one version to the next amounts to, whether it was meant, and whom it moves.
//!
//! Owns the gate: every operation that is found is named in the new version, and none that does not happen. What an
//! operation is, and what is refused, is `hookproof_core::experiment::change`'s affair.

mod exposures;
mod human;
mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;
use hookproof_core::experiment::change::{self, Change, Effect, Misnaming, Record, Refusal};

use super::{file, users};
use crate::args::{DiffArgs, DiffFormat};
use crate::exit::{Exit, Failure};
use crate::terminal::{self, Terminal};

/// Ids that are made up where no users are named.
const SAMPLE_COUNT: u32 = 100_000;

/// Prints the change and passes if it may be made and is named.
///
/// # Errors
/// An experiment, a list of users or one of exposures is bad; nothing has been printed then.
pub(crate) fn diff(args: &DiffArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (old, new) = match (file::load(&args.old, terminal), file::load(&args.new, terminal)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let failures: Vec<_> = [old.err(), new.err()].into_iter().flatten().collect();
            return Err(Failure::joined(&failures).expect("one of the two failed"));
        }
    };
    let people = people(args, &old)?;
    let diff = Diff { judgement: judge(&old, &new, &people), old: &old, new: &new, people: &people };
    let text = match args.format {
        DiffFormat::Human => human::render(&diff),
        DiffFormat::Json => json::render(&diff),
    };
    terminal::print(text.as_bytes())?;
    Ok(if diff.is_permitted_and_named() { Exit::Pass } else { Exit::Violated })
}

/// All that is printed.
struct Diff<'e> {
    old: &'e Experiment,
    new: &'e Experiment,
    people: &'e People,
    judgement: Result<Permitted, Vec<Refusal>>,
}

impl Diff<'_> {
    fn is_permitted_and_named(&self) -> bool {
        self.judgement.as_ref().is_ok_and(|permitted| permitted.misnamings.is_empty())
    }
}

/// A change that may be made.
struct Permitted {
    change: Change,
    misnamings: Vec<Misnaming>,
    views: Vec<View>,
}

/// Whom the change moves, under one assumption about who is recorded.
struct View {
    assumption: Assumption,
    effect: Effect,
}

/// Who of the users is recorded.
#[derive(Clone, Copy)]
enum Assumption {
    /// Those of whom the list of exposures says so.
    Known,
    /// Everyone whom the old version enrols.
    AllEnrolled,
    /// Nobody.
    Nobody,
}

/// The users whose lot is counted.
struct People {
    ids: BTreeSet<String>,
    /// The recorded ones among them, if that is known.
    records: Option<BTreeMap<String, Record>>,
    origin: Origin,
}

/// Where the users come from.
#[derive(Clone, Copy)]
enum Origin {
    /// Made up.
    Sample,
    /// Named by the operator.
    Given,
}

fn people(args: &DiffArgs, old: &Experiment) -> Result<People, Failure> {
    let is_stdin = |path: &Option<_>| path.as_deref() == Some(Path::new("-"));
    if is_stdin(&args.users) && is_stdin(&args.exposed) {
        return Err(Failure::bad_input("--users and --exposed can't both be stdin; name a file for one of them"));
    }
    let users = args.users.as_deref().map(users::read).transpose()?;
    let records = args.exposed.as_deref().map(|path| exposures::read(path, old)).transpose()?;
    let origin = if users.is_some() || records.is_some() { Origin::Given } else { Origin::Sample };
    let mut ids: BTreeSet<String> = match origin {
        Origin::Sample => (0..SAMPLE_COUNT).map(|number| format!("user-{number}")).collect(),
        Origin::Given => users.into_iter().flatten().collect(),
    };
    ids.extend(records.iter().flat_map(|records| records.keys().cloned()));
    Ok(People { ids, records, origin })
}

fn judge(old: &Experiment, new: &Experiment, people: &People) -> Result<Permitted, Vec<Refusal>> {
    let change = change::between(old, new)?;
    let misnamings = change::naming(&change.operations, new.operations());
    let assumptions: &[Assumption] = match people.records {
        Some(_) => &[Assumption::Known],
        None => &[Assumption::AllEnrolled, Assumption::Nobody],
    };
    let view = |&assumption| View { assumption, effect: effect(old, new, people, assumption) };
    Ok(Permitted { change, misnamings, views: assumptions.iter().map(view).collect() })
}

fn effect(old: &Experiment, new: &Experiment, people: &People, assumption: Assumption) -> Effect {
    let users = people.ids.iter().map(|id| {
        let user = UserId::new(id.as_bytes()).expect("the lists were checked when they were read");
        let record = match assumption {
            Assumption::Known => people.records.as_ref().and_then(|records| records.get(id)).copied(),
            Assumption::AllEnrolled => {
                let assignment = old.assign(user);
                let record = Record { variant: assignment.variant, generation: old.generation() };
                assignment.enrolled.then_some(record)
            }
            Assumption::Nobody => None,
        };
        (user, record)
    });
    change::effect(old, new, users)
}
