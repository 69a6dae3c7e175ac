//! What a store keeps in rows of its own: how a database takes part in [`Image`](super::Image)'s definition of every command.
//!
//! Owns the rows' content and nothing of where they are. A database executes a commit in three steps: it loads what the commit may
//! touch ([`Head`], the users the commands name, and the first due grants if one of them claims), lets an [`Image`](super::Image) of just that
//! execute the commands, and writes back what has changed. So a command means the same in every store, by construction.
//!
//! *Which grants are loaded besides those of named users.* Pending and claimed ones in the order of [`OpenGrant::due_at`], from the earliest: those that
//! are due, but of each kind no more than all claims of the commit may take; and one more, since each reply tells when the next is due.
//!
//! Neither time nor chance enters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Epoch, Evidence, Fence, Fleet, GrantState, LineageId, OpenGrant, VersionId};
use crate::experiment::VariantIndex;
use crate::identity::UserHandle;
use crate::time::WallTime;

/// What a store knows besides its users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// Whose it is; `None` before it was ever opened.
    pub lineage: Option<LineageId>,
    /// All versions that were ever opened.
    pub versions: BTreeSet<VersionId>,
    /// The present epoch.
    pub epoch: Epoch,
    /// When it began.
    pub epoch_began_at: WallTime,
    /// What the fleet shares.
    pub fleet: Fleet,
    /// Claimed grants that are not loaded.
    pub claimed_elsewhere: u64,
    /// Claims whose grant a receipt of an earlier claim has ended, with the end of their lease.
    pub outlived: BTreeMap<UserHandle, (Fence, WallTime)>,
}

/// What is recorded of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserRecord {
    /// The recorded variant.
    pub variant: VariantIndex,
    /// The experiment's generation at the first exposure.
    pub generation: u8,
    /// The grant, if that variant is a treatment.
    pub grant: Option<GrantRecord>,
}

/// A grant in one of its states, with what is needed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantRecord {
    /// [`GrantState::Pending`].
    Pending(OpenGrant),
    /// [`GrantState::Claimed`].
    Claimed(OpenGrant),
    /// [`GrantState::Delivered`].
    Delivered,
    /// [`GrantState::Rejected`].
    Rejected,
    /// [`GrantState::Parked`].
    Parked(Evidence),
}

impl GrantRecord {
    /// The state.
    pub const fn state(self) -> GrantState {
        match self {
            Self::Pending(_) => GrantState::Pending,
            Self::Claimed(_) => GrantState::Claimed,
            Self::Delivered => GrantState::Delivered,
            Self::Rejected => GrantState::Rejected,
            Self::Parked(_) => GrantState::Parked,
        }
    }
}
