//! The versions of one experiment that may be live at once.
//!
//! Owns the version that a process runs, beside all others of its lineage that anybody may run or have run: an answer that
//! rests on no record may show a variant only if none of them would have shown the user another one. A version is announced
//! to the fleet (as one of the others) before any process runs it.
//!
//! * `ASSIGN-1`: what a record-less answer shows contradicts no exposure under any version that is known.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::assignment::UserId;
use crate::experiment::{Assignment, Experiment, VariantIndex};
use crate::store::{LineageId, VersionId};

/// A version and the others of its lineage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    current: Experiment,
    others: Vec<Experiment>,
    versions: BTreeSet<VersionId>,
}

/// Another version is none of this lineage; give it the same namespace, lineage, hash and secret, or leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("version {position} of those announced is of another lineage, hash mode or secret")]
pub struct OtherLineage {
    /// Which of the others, from 0.
    pub position: usize,
}

impl Lineage {
    /// `current` among `others`: every version that may be live or under which anybody may have been exposed.
    ///
    /// # Errors
    /// One of the others is of another lineage.
    pub fn new(current: Experiment, others: Vec<Experiment>) -> Result<Self, OtherLineage> {
        let id = current.lineage_id();
        if let Some(position) = others.iter().position(|other| other.lineage_id() != id) {
            return Err(OtherLineage { position });
        }
        let versions = others.iter().chain([&current]).map(Experiment::version_id).collect();
        Ok(Self { current, others, versions })
    }

    /// The version that the process runs.
    pub const fn current(&self) -> &Experiment {
        &self.current
    }

    /// All other versions.
    pub fn others(&self) -> &[Experiment] {
        &self.others
    }

    /// Stands for namespace, lineage, hash mode and secret.
    pub fn id(&self) -> LineageId {
        self.current.lineage_id()
    }

    /// Whether all of `versions` are among those that are known here.
    pub fn knows(&self, versions: &[VersionId]) -> bool {
        versions.iter().all(|version| self.versions.contains(version))
    }

    /// Whether a user who is not enrolled now may have been exposed under another version.
    pub fn may_be_exposed_elsewhere(&self, id: UserId<'_>) -> bool {
        self.current.is_ended() || self.others.iter().any(|other| other.is_ended() || other.assign(id).enrolled)
    }

    /// What an answer without a record shows: the user's variant if every version that may have exposed the user agrees on
    /// it, else the baseline. `assignment` is the current version's.
    pub fn provisional(&self, id: UserId<'_>, assignment: Assignment) -> VariantIndex {
        let agrees = |other: &Experiment| {
            let elsewhere = other.assign(id);
            !other.is_ended() && (!elsewhere.enrolled || elsewhere.variant == assignment.variant)
        };
        let is_agreed = assignment.enrolled && !self.current.blocks_exposed() && self.others.iter().all(agrees);
        if is_agreed { assignment.variant } else { self.current.baseline() }
    }
}
