//! The durable store: commands and replies as data.
//!
//! Owns the words that machines and stores exchange. What a command *does* is defined once, by [`Image::apply`]: the
//! simulator's store is an image, and real stores are checked against it. It knows no latency, no failure and no
//! durability; whoever holds an image adds those. Time is an argument: the store's own clock.
//!
//! * `ASSIGN-1`: a recorded assignment never changes; a later command finds it.
//! * `GRANT-1`: one grant per user and lineage: a second admission finds the first.
//! * `GRANT-2`: a grant is recorded in the same commit as the treated exposure, never without it.
//! * `GRANT-3`: `admitted == pending + claimed + delivered + rejected + parked`, after every command.
//! * `GRANT-5`: a stale fence schedules nothing; a receipt counts under any fence.
//!
//! Read next: `tests/store.rs`, where a small model says the same once more.

mod image;

use std::time::Duration;

pub use self::image::{Counts, Image, Saved};
use crate::classify::{AnswerClass, Doubt, ParkReason};
use crate::experiment::VariantIndex;
use crate::identity::{GrantId, UserHandle};
use crate::time::WallTime;

/// Which claim of a grant is meant; each claim has a higher one than the claim before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u32);

/// One atomic command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Reads what a starting process must know.
    Open,
    /// Records an assignment, its exposure and its grant, if the user has none.
    Admit(Admit),
    /// Takes due grants for sending. Its commit is the durable intent to send.
    Claim(Claim),
    /// Records what came of a claimed grant.
    Settle(Settle),
}

/// See [`Command::Admit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The user.
    pub user: UserHandle,
    /// The variant, if none is recorded.
    pub variant: VariantIndex,
    /// The grant, if that variant is a treatment.
    pub grant: Option<GrantIntent>,
}

/// A grant to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantIntent {
    /// Its id.
    pub id: GrantId,
    /// By how much the quota rises.
    pub units: u32,
}

/// See [`Command::Claim`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// No more than this many: the claimer's free slots.
    pub limit: u16,
    /// For how long nobody else may claim them.
    pub lease: Duration,
    /// An empty buffer that the reply is written to, so that claiming need not allocate.
    pub into: Vec<ClaimedGrant>,
}

/// See [`Command::Settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settle {
    /// The user.
    pub user: UserHandle,
    /// The grant.
    pub grant: GrantId,
    /// The claim it was sent under.
    pub fence: Fence,
    /// What came of it.
    pub settlement: Settlement,
}

/// What came of a claimed grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// A receipt proves that it is applied.
    Delivered,
    /// The service refuses it for good, and no attempt can have been applied.
    Rejected,
    /// A human must look.
    Parked {
        /// Why.
        reason: ParkReason,
        /// The last answer, if there was one.
        answer: Option<AnswerClass>,
    },
    /// It is due again `after` this commit, by the store's clock.
    Again {
        /// How long it waits.
        after: Duration,
        /// Whether any attempt may have been applied.
        doubt: Doubt,
    },
    /// It was claimed and not sent.
    Released,
}

/// A claimed grant, as its claimer needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimedGrant {
    /// The user.
    pub user: UserHandle,
    /// The grant.
    pub grant: GrantId,
    /// By how much, as promised at the exposure.
    pub units: u32,
    /// This claim.
    pub fence: Fence,
    /// Claims so far, this one included.
    pub attempts: u32,
    /// Whether an earlier attempt may have been applied.
    pub doubt: Doubt,
    /// When the earliest attempt was claimed that may have been applied, or this one: the start of the key's window.
    pub first_sent_at: WallTime,
    /// Until when nobody else may claim it.
    pub lease_until: WallTime,
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It is durable.
    Committed {
        /// The store's time at the commit.
        at: WallTime,
        /// The result.
        result: Committed,
    },
    /// It was not done and will not be.
    Refused,
    /// It may or may not have been done.
    Unknown,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Committed {
    /// To [`Command::Open`].
    Opened {
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
    /// To [`Command::Admit`].
    Admitted {
        /// The record that was made or found.
        record: Admitted,
        /// When the next grant is due, anybody's; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
    /// To [`Command::Claim`].
    Claimed {
        /// The claimed grants.
        grants: Vec<ClaimedGrant>,
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
    /// To [`Command::Settle`].
    Settled {
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
}

/// The record that an admission made or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admitted {
    /// The recorded variant: the authority.
    pub variant: VariantIndex,
    /// Whether this command made the record.
    pub first: First,
    /// The grant's state, if the user has one.
    pub grant: Option<GrantState>,
}

/// Whether an admission made the record or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// It made it: this is the first exposure.
    Exposure,
    /// It found it.
    Known,
}

/// The states of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantState {
    /// Waits until it is due.
    Pending,
    /// Somebody may be sending it.
    Claimed,
    /// A receipt is recorded. Final.
    Delivered,
    /// The service refused it for good. Final.
    Rejected,
    /// A human must look; only a receipt ends it.
    Parked,
}

/// Why a grant was parked, for whoever looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Which grant.
    pub grant: GrantId,
    /// Why.
    pub reason: ParkReason,
    /// The last answer, if there was one.
    pub answer: Option<AnswerClass>,
    /// Claims.
    pub attempts: u32,
    /// When the first attempt that may have been applied was claimed.
    pub first_sent_at: WallTime,
    /// When the last attempt was claimed.
    pub last_sent_at: WallTime,
    /// When it was parked.
    pub parked_at: WallTime,
}
