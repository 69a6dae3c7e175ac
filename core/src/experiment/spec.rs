//! An experiment as declared: plain data, permitted or not.
//!
//! Owns the fields and their defaults. Which values are permitted is [`SpecError`](super::SpecError)'s affair. Debug
//! output never shows a secret.

use std::collections::BTreeSet;
use std::fmt;

use super::change::Operation;
use crate::assignment::HashMode;

/// An experiment as declared. Only [`Experiment::new`](super::Experiment::new) says whether it is permitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The experiment's id, not empty.
    pub id: String,
    /// The deployment whose users these are, such as `production`: not empty, no `/`. Two of them never share a grant.
    pub namespace: String,
    /// What stays the same when the experiment is renamed; default [`Spec::id`]. With the namespace, the effect and the
    /// user it names a grant; `namespace/lineage` has at most 255 bytes.
    pub lineage: Option<String>,
    /// The version, recorded with exposures. It enters no hash.
    pub version: String,
    /// The hash, with the secret of a keyed one.
    pub hash: HashSpec,
    /// The salt of assignment and enrolment, at most 255 bytes; default [`Spec::id`]. Another salt is a reshuffle.
    pub salt: Option<String>,
    /// The share of users who take part, in parts per million.
    pub coverage_ppm: u32,
    /// The variants, 2..=255 of them. Their order counts for the assignment.
    pub variants: Vec<VariantSpec>,
    /// Recorded with each exposure, so that those before a reshuffle or a block can be told from those after it; 0 at
    /// first, and only these two raise it.
    pub generation: u8,
    /// What becomes of users whose recorded exposure has an earlier generation.
    pub exposed: Exposed,
    /// Whether somebody new is exposed.
    pub phase: Phase,
    /// What the author calls the change from the version before. It takes no part in any assignment.
    pub operations: BTreeSet<Operation>,
}

impl Spec {
    /// The lineage, whether declared or by default.
    pub(super) fn lineage_or_id(&self) -> &str {
        self.lineage.as_deref().unwrap_or(&self.id)
    }

    /// The salt, whether declared or by default.
    pub(super) fn salt_or_id(&self) -> &str {
        self.salt.as_deref().unwrap_or(&self.id)
    }
}

/// What a version makes of users whose recorded exposure has an earlier generation than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposed {
    /// They keep their variant.
    Keep,
    /// They see the baseline, without an exposure or a grant.
    Block,
}

/// Whether an experiment takes in users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Users are exposed as the coverage says.
    Running,
    /// Nobody new is exposed; exposed users keep their variant.
    Ended,
}

/// One variant as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariantSpec {
    /// Its name: not empty, no control characters, unique in the experiment.
    pub name: String,
    /// Its weight; the weights of all variants add up to 1..=2^32-1.
    pub weight: u32,
    /// What its users get. A variant with a grant is a treatment, one without is a control.
    pub grant: Option<GrantSpec>,
}

/// The quota increase of a treatment as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantSpec {
    /// How much, in the quota's unit; at least 1. It does not enter the grant's id.
    pub units: u32,
    /// What the grant does, at most 255 bytes: a user gets each effect at most once in a lineage.
    pub effect: String,
}

/// The hash as declared. Printing it does not print the secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum HashSpec {
    /// [`HashMode::Sha256V1`].
    Sha256V1,
    /// [`HashMode::HmacSha256V1`].
    HmacSha256V1 {
        /// The key, not empty; best 32 random bytes.
        secret: Vec<u8>,
    },
}

impl HashSpec {
    /// Which hash it is.
    pub const fn mode(&self) -> HashMode {
        match self {
            Self::Sha256V1 => HashMode::Sha256V1,
            Self::HmacSha256V1 { secret: _ } => HashMode::HmacSha256V1,
        }
    }
}

impl fmt::Debug for HashSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256V1 => f.write_str("Sha256V1"),
            Self::HmacSha256V1 { secret: _ } => f.debug_struct("HmacSha256V1").finish_non_exhaustive(),
        }
    }
}
