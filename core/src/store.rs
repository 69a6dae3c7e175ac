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
//! * `LOAD-1`: a claim is given no more than the fleet's limit leaves; see [`Fleet`].
//!
//! An *epoch* is a stretch in which the store has lost no acknowledged commit. Whoever restores a store, or promotes a
//! replica, begins another one ([`Image::begin_epoch`]): what the lost commits may have sent is then in doubt.
//!
//! Read next: `tests/machines/store.rs`, where a small model says the same once more.

mod due;
mod fleet;
mod image;
pub mod rows;

use std::time::Duration;

pub use self::fleet::{Fleet, FleetLimits, Hold, Load};
pub use self::image::{Counts, Image, OpenGrant, Saved};
use crate::classify::{AnswerClass, Doubt, ParkReason};
use crate::experiment::VariantIndex;
use crate::identity::{GrantId, UserHandle};
use crate::time::WallTime;

/// A stretch in which the store has lost no acknowledged commit, numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// A number that no other claim has had or will have, in any process. It is the claimer's own, so that a store that was rolled back cannot give it
/// out again: neither its count of claims nor its clock outlasts that, and a loss that nobody has noticed begins no epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimNonce(pub u64);

/// Which claim of a grant is meant; each claim has a higher one than the claim before, as far as the store remembers. Where it has lost
/// one, the next has the same number and another nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The store's epoch at the claim.
    pub epoch: Epoch,
    /// The how-manieth claim of the grant.
    pub claim: u32,
    /// The claimer's.
    pub nonce: ClaimNonce,
}

/// Stands for a lineage with its hash mode and secret, and tells nothing about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineageId(pub [u8; 16]);

/// Stands for one version of a lineage's experiment: for all in it that decides about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub [u8; 16]);

/// One atomic command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Registers a version, and reads what a starting process must know.
    Open(Open),
    /// Records an assignment, its exposure and its grant, if the user has none.
    Admit(Admit),
    /// Reads a user's record.
    Find(UserHandle),
    /// Takes due grants for sending. Its commit is the durable intent to send.
    Claim(Claim),
    /// Records what came of a claimed grant.
    Settle(Settle),
    /// A human has looked at a parked grant.
    Resolve(Resolve),
}

/// See [`Command::Open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// Whose store it must be.
    pub lineage: LineageId,
    /// What the process runs.
    pub version: VersionId,
}

/// See [`Command::Admit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The user.
    pub user: UserHandle,
    /// The variant, if none is recorded.
    pub variant: VariantIndex,
    /// The experiment's generation, recorded with the exposure.
    pub generation: u8,
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
    /// Of this claim and no other.
    pub nonce: ClaimNonce,
    /// No more than this many: the claimer's free slots.
    pub limit: u16,
    /// What the fleet may do together.
    pub fleet: FleetLimits,
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
    /// What the attempt tells of the service's load.
    pub load: Load,
    /// For how long the service asks the whole fleet to send nothing.
    pub pause: Duration,
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
    /// It was sent, and is due again `after` this commit, by the store's clock.
    Again {
        /// How long it waits.
        after: Duration,
        /// Whether any attempt may have been applied.
        doubt: Doubt,
    },
    /// It was tried, and no byte of the request left: it is due again `after` this commit. It counts as an attempt, and starts no
    /// key's window.
    Unsent {
        /// How long it waits.
        after: Duration,
    },
    /// Nothing with an effect was sent under this claim: it is due again `after` this commit, and nothing else has changed.
    Released {
        /// How long it waits.
        after: Duration,
    },
    /// A read has proved that no attempt was applied: it is due at once, and no longer in doubt.
    Absent,
}

/// See [`Command::Resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// The user.
    pub user: UserHandle,
    /// The grant.
    pub grant: GrantId,
    /// What the human says.
    pub resolution: Resolution,
}

/// What a human says of a parked grant. Nothing that can be said makes the hook send a grant that it would not send by its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// It is applied: delivered.
    Applied,
    /// It is not applied and will not be, or was applied by hand: rejected.
    NotApplied,
    /// It is due again, as much in doubt as before: where the rules forbid a request, it is parked again.
    Retry,
}

impl Resolution {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Applied, Self::NotApplied, Self::Retry];

    /// The name on the command line and over HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not-applied",
            Self::Retry => "retry",
        }
    }
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
    /// Sends so far, the one that this claim is for included.
    pub attempts: u32,
    /// Whether an earlier attempt may have been applied.
    pub doubt: Doubt,
    /// When the earliest attempt was claimed that the service may have seen, or this one: the start of the key's window.
    /// [`WallTime::UNIX_EPOCH`] if that is not known.
    pub first_sent_at: WallTime,
    /// No earlier claim's holder has passed its guards after this time.
    pub sent_until: WallTime,
    /// When this claim was committed.
    pub claimed_at: WallTime,
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
        /// How many versions of the experiment have ever been opened.
        versions: u16,
        /// The results, in the order of the commands.
        results: Vec<Committed>,
    },
    /// It was not done and will not be.
    Refused,
    /// It may or may not have been done.
    Unknown,
}

/// The result of a command. `due_at` is when a claim could be given something, whoever asks; [`WallTime::MAX`] if never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Committed {
    /// To [`Command::Open`].
    Opened {
        /// See above.
        due_at: WallTime,
        /// All versions that were ever opened, in order.
        versions: Vec<VersionId>,
    },
    /// To [`Command::Open`]: the store belongs to another lineage, or to another mode or secret of this one.
    Foreign,
    /// To [`Command::Admit`].
    Admitted {
        /// The record that was made or found.
        record: Admitted,
        /// See above.
        due_at: WallTime,
    },
    /// To [`Command::Find`].
    Found {
        /// The record, if there is one.
        record: Option<Admitted>,
        /// See above.
        due_at: WallTime,
    },
    /// To [`Command::Claim`].
    Claimed {
        /// The claimed grants.
        grants: Vec<ClaimedGrant>,
        /// See above.
        due_at: WallTime,
        /// What held more of them back.
        hold: Option<Hold>,
    },
    /// To [`Command::Settle`].
    Settled {
        /// See above.
        due_at: WallTime,
    },
    /// To [`Command::Resolve`].
    Resolved {
        /// Whether there was such a parked grant.
        was_parked: bool,
        /// See above.
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
    /// The experiment's generation at the first exposure.
    pub generation: u8,
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
    /// A human must look; only a receipt ends it, or that human.
    Parked,
}

impl GrantState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Claimed, Self::Delivered, Self::Rejected, Self::Parked];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Parked => "parked",
        }
    }
}

/// Why a grant was parked, for whoever looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Which grant.
    pub grant: GrantId,
    /// By how much, as promised at the exposure.
    pub units: u32,
    /// The last claim's.
    pub fence: Fence,
    /// Why.
    pub reason: ParkReason,
    /// The last answer, if there was one.
    pub answer: Option<AnswerClass>,
    /// Sends.
    pub attempts: u32,
    /// When the first attempt that the service may have seen was claimed; [`WallTime::UNIX_EPOCH`] if that is not known,
    /// [`WallTime::MAX`] if there was none.
    pub first_sent_at: WallTime,
    /// No attempt was sent after this time; one that was may have been applied later, by the request's lifetime.
    pub sent_until: WallTime,
    /// When it was parked.
    pub parked_at: WallTime,
}
