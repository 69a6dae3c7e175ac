//! Changes of a running experiment: what the difference of two versions amounts to, and what it must not be.
//!
//! Owns the closed set of [`Operation`]s, [`between`], which finds them or refuses, and [`naming`], which holds them
//! against what the author named. Whom a change moves is counted by [`effect()`]. Knows no store: who was exposed before
//! is an argument.
//!
//! * `ASSIGN-1`: no operation changes a recorded assignment; at most it is no longer shown (block exposed).
//! * `GRANT-1`: whatever would give a user a second grant id, or a record another meaning, is refused.
//!
//! Neither time nor chance enters. Read next: `tests/assignment/changes.rs`.

mod effect;
mod refusal;

use std::collections::BTreeSet;

use super::{Experiment, Spec, VariantIndex, VariantSpec};

pub use effect::{Effect, Record, Recorded, Unexposed, effect};
pub use refusal::Refusal;

/// One way in which a version may differ from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// More or fewer users take part. An ended experiment that runs again is a ramp from nobody.
    Ramp,
    /// The shares of the variants change among themselves.
    Reweight,
    /// Variants are added after the others.
    AddArm,
    /// Another salt: everybody without a record is drawn afresh.
    Reshuffle,
    /// Users exposed in an earlier generation see the baseline from here on.
    BlockExposed,
    /// Nobody new is exposed.
    End,
}

impl Operation {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 6] =
        [Self::Ramp, Self::Reweight, Self::AddArm, Self::Reshuffle, Self::BlockExposed, Self::End];

    /// The name in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Reweight => "re-weight",
            Self::AddArm => "add-arm",
            Self::Reshuffle => "reshuffle",
            Self::BlockExposed => "block-exposed",
            Self::End => "end",
        }
    }

    /// The operation called `name`, spelled exactly so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// What a permitted difference amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The operations; none if no assignment changes.
    pub operations: BTreeSet<Operation>,
    /// Variants whose grant has other units. It is no operation, since units are promised and recorded with the
    /// exposure: only exposures to come get the other amount.
    pub units: Vec<VariantIndex>,
}

/// What the change from `old` to `new` amounts to.
///
/// # Errors
/// All reasons for which it must not be made, in the order of the spec's fields.
pub fn between(old: &Experiment, new: &Experiment) -> Result<Change, Vec<Refusal>> {
    let refusals = refusal::of(old, new);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let happens = |operation: &Operation| match operation {
        Operation::Ramp => old.coverage_ppm() != new.coverage_ppm() || old.is_ended() && !new.is_ended(),
        Operation::Reweight => is_reweighted(old.variants(), new.variants()),
        Operation::AddArm => new.variants().len() > old.variants().len(),
        Operation::Reshuffle => old.salt() != new.salt(),
        Operation::BlockExposed => new.blocks_exposed() && new.generation() > old.generation(),
        Operation::End => new.is_ended() && !old.is_ended(),
    };
    let operations = Operation::ALL.into_iter().filter(happens).collect();
    let pairs = old.variants().iter().zip(new.variants()).enumerate();
    let units = pairs.filter(|(_, (old, new))| units(old) != units(new)).map(|(at, _)| VariantIndex::of(at)).collect();
    Ok(Change { operations, units })
}

/// Whether the variants that both have keep their shares among themselves. Equal shares give equal assignments, however
/// the weights are written.
fn is_reweighted(old: &[VariantSpec], new: &[VariantSpec]) -> bool {
    let total = |variants: &[VariantSpec]| variants.iter().map(|variant| u128::from(variant.weight)).sum::<u128>();
    let new = &new[..old.len().min(new.len())];
    let (old_total, new_total) = (total(old), total(new));
    let is_scaled = |(old, new): (&VariantSpec, &VariantSpec)| {
        u128::from(old.weight) * new_total == u128::from(new.weight) * old_total
    };
    new_total == 0 || !old.iter().zip(new).all(is_scaled)
}

fn units(variant: &VariantSpec) -> Option<u32> {
    variant.grant.as_ref().map(|grant| grant.units)
}

/// What was declared with all defaults filled in, without what may differ between equal experiments.
fn content(experiment: &Experiment) -> Spec {
    Spec {
        lineage: Some(experiment.lineage().to_owned()),
        salt: Some(experiment.salt().to_owned()),
        version: String::new(),
        operations: BTreeSet::new(),
        ..experiment.spec().clone()
    }
}

/// Where the operations that an author named and those that were found differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Misnaming {
    /// It happens, and nobody said that it is meant.
    #[error("the operation `{}` is not named", .0.name())]
    Unnamed(Operation),
    /// It is named, and nothing of the kind happens: something else was meant, or forgotten.
    #[error("the operation `{}` is named but does not happen", .0.name())]
    Absent(Operation),
}

impl Misnaming {
    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unnamed(_) => "add it to `operations` if it is meant; undo the change if not",
            Self::Absent(_) => "remove it from `operations`, or make the change that it names",
        }
    }
}

/// Every difference between the operations `found` and those `named`.
pub fn naming(found: &BTreeSet<Operation>, named: &BTreeSet<Operation>) -> Vec<Misnaming> {
    let unnamed = found.difference(named).copied().map(Misnaming::Unnamed);
    let absent = named.difference(found).copied().map(Misnaming::Absent);
    unnamed.chain(absent).collect()
}
