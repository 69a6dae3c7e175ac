//! The promise matrix: what the hook can promise against each hazard, whatever its upstream offers.
//!
//! Owns the table and its words. It is data: the model check confirms each cell on the shipped machines, the simulator
//! holds the hook to it, `hookproof promise` and the documentation print it. A cell is about one kind of hazard, any
//! number of times; everything else is as declared.
//!
//! * [`Verdict::Holds`]: each grant is applied exactly once in the end (`GRANT-1`, `GRANT-3`).
//! * [`Verdict::Parked`]: at most once, and never silently less: what cannot be proved waits for a human with its evidence.
//! * [`Verdict::Impossible`]: the promise cannot be kept by any client that may send at all; a scenario shows how it falls.

use crate::upstream::Capability;

/// A capability without its parameters: a column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offer {
    /// [`Capability::PutById`].
    PutById,
    /// [`Capability::IdempotencyKey`].
    IdempotencyKey,
    /// [`Capability::ReadBack`].
    ReadBack,
    /// [`Capability::None`].
    None,
}

impl Offer {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::PutById, Self::IdempotencyKey, Self::ReadBack, Self::None];

    /// The column of a capability.
    pub const fn of(capability: Capability) -> Self {
        match capability {
            Capability::PutById => Self::PutById,
            Capability::IdempotencyKey { .. } => Self::IdempotencyKey,
            Capability::ReadBack { .. } => Self::ReadBack,
            Capability::None => Self::None,
        }
    }

    /// The name in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PutById => "put-by-id",
            Self::IdempotencyKey => "idempotency-key",
            Self::ReadBack => "read-back",
            Self::None => "none",
        }
    }

    /// What the hook does with it.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::PutById => "sends again freely: the id makes every repetition harmless, for ever",
            Self::IdempotencyKey => {
                "sends the same key and body again while the key is certain to be known, then parks"
            }
            Self::ReadBack => "reads before it sends again, as soon as absence is proof",
            Self::None => "sends once, and parks when in doubt",
        }
    }
}

/// What may go wrong: a row of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hazard {
    /// The request is applied and its answer is lost, broken off, or an error.
    LostReply,
    /// The request is lost on its way.
    LostRequest,
    /// The process dies between the claim and the send.
    CrashBeforeSend,
    /// The process dies between the send and the settlement.
    CrashAfterSend,
    /// A process stands still between its guards and the write; the request executes within its lifetime, perhaps after the
    /// lease.
    Stall,
    /// The same, and the request executes later than its declared lifetime.
    OverlongStall,
    /// The network delivers a request twice, both within its lifetime.
    Duplicate,
    /// A proxy sends a request again after the key's window.
    Replay,
    /// No answer comes until the key's window has closed.
    OutlastedWindow,
    /// The service forgets keys sooner than declared, shows them late, or ignores them.
    KeyLost,
    /// A read shows an effect later than declared.
    ReadLag,
    /// The service says yes and does nothing.
    FalseAck,
    /// A commit's acknowledgement is lost or late.
    CommitUnknown,
    /// The store refuses commands.
    StoreOutage,
    /// The store loses acknowledged commits, and its epoch says so.
    StoreRollback,
    /// The store loses acknowledged commits, and nothing says so.
    SilentRollback,
    /// Two stores serve one lineage.
    TwoStores,
    /// The store's clock errs within its declared bound; instances' clocks err without any.
    ClockError,
    /// The store's clock errs beyond its declared bound.
    ClockBeyondBound,
}

impl Hazard {
    /// All of them, from the request's way to the store's.
    pub const ALL: [Self; 19] = [
        Self::LostReply,
        Self::LostRequest,
        Self::CrashBeforeSend,
        Self::CrashAfterSend,
        Self::Stall,
        Self::OverlongStall,
        Self::Duplicate,
        Self::Replay,
        Self::OutlastedWindow,
        Self::KeyLost,
        Self::ReadLag,
        Self::FalseAck,
        Self::CommitUnknown,
        Self::StoreOutage,
        Self::StoreRollback,
        Self::SilentRollback,
        Self::TwoStores,
        Self::ClockError,
        Self::ClockBeyondBound,
    ];

    /// Its name, for files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LostReply => "lost-reply",
            Self::LostRequest => "lost-request",
            Self::CrashBeforeSend => "crash-before-send",
            Self::CrashAfterSend => "crash-after-send",
            Self::Stall => "stall",
            Self::OverlongStall => "overlong-stall",
            Self::Duplicate => "duplicate",
            Self::Replay => "replay",
            Self::OutlastedWindow => "outlasted-window",
            Self::KeyLost => "key-lost",
            Self::ReadLag => "read-lag",
            Self::FalseAck => "false-ack",
            Self::CommitUnknown => "commit-unknown",
            Self::StoreOutage => "store-outage",
            Self::StoreRollback => "store-rollback",
            Self::SilentRollback => "silent-rollback",
            Self::TwoStores => "two-stores",
            Self::ClockError => "clock-error",
            Self::ClockBeyondBound => "clock-beyond-bound",
        }
    }

    /// What happens, in one line.
    pub const fn says(self) -> &'static str {
        match self {
            Self::LostReply => "a request is applied and its answer is lost, broken off, or an error",
            Self::LostRequest => "a request is lost on its way",
            Self::CrashBeforeSend => "a process dies between claim and send",
            Self::CrashAfterSend => "a process dies between send and settlement",
            Self::Stall => "a process stands still between guard and write, within the request's lifetime",
            Self::OverlongStall => "the same, beyond the request's declared lifetime",
            Self::Duplicate => "the network delivers a request twice, within its lifetime",
            Self::Replay => "a proxy sends a request again after the key's window",
            Self::OutlastedWindow => "no answer comes until the key's window has closed",
            Self::KeyLost => "the service forgets keys sooner than declared, shows them late, or ignores them",
            Self::ReadLag => "a read shows an effect later than declared",
            Self::FalseAck => "the service says yes and does nothing",
            Self::CommitUnknown => "a commit's acknowledgement is lost or late",
            Self::StoreOutage => "the store refuses commands",
            Self::StoreRollback => "the store loses acknowledged commits, and its epoch says so",
            Self::SilentRollback => "the store loses acknowledged commits, and nothing says so",
            Self::TwoStores => "two stores serve one lineage",
            Self::ClockError => "the store's clock errs within its declared bound, instances' clocks without any",
            Self::ClockBeyondBound => "the store's clock errs beyond its declared bound",
        }
    }
}

/// What can be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Each grant is applied exactly once.
    Holds,
    /// At most once; what cannot be proved is parked with its evidence.
    Parked,
    /// It falls, and no client could help it.
    Impossible,
}

impl Verdict {
    /// As the matrix prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Parked => "detected and parked",
            Self::Impossible => "impossible",
        }
    }
}

/// The matrix.
#[expect(clippy::match_same_arms, reason = "a table has one row for each hazard")]
pub const fn promise(offer: Offer, hazard: Hazard) -> Verdict {
    use Verdict::{Holds, Impossible, Parked};
    let [put_by_id, idempotency_key, read_back, none] = match hazard {
        Hazard::LostReply => [Holds, Holds, Holds, Parked],
        Hazard::LostRequest => [Holds, Holds, Holds, Parked],
        Hazard::CrashBeforeSend => [Holds, Holds, Holds, Parked],
        Hazard::CrashAfterSend => [Holds, Holds, Holds, Parked],
        Hazard::Stall => [Holds, Holds, Holds, Parked],
        Hazard::OverlongStall => [Holds, Impossible, Impossible, Parked],
        Hazard::Duplicate => [Holds, Holds, Impossible, Impossible],
        Hazard::Replay => [Holds, Impossible, Impossible, Impossible],
        Hazard::OutlastedWindow => [Holds, Parked, Holds, Parked],
        Hazard::KeyLost => [Holds, Impossible, Holds, Holds],
        Hazard::ReadLag => [Holds, Holds, Impossible, Holds],
        Hazard::FalseAck => [Impossible, Impossible, Impossible, Impossible],
        Hazard::CommitUnknown => [Holds, Holds, Holds, Parked],
        Hazard::StoreOutage => [Holds, Holds, Holds, Parked],
        Hazard::StoreRollback => [Holds, Parked, Holds, Parked],
        Hazard::SilentRollback => [Holds, Impossible, Impossible, Impossible],
        Hazard::TwoStores => [Holds, Impossible, Impossible, Impossible],
        Hazard::ClockError => [Holds, Holds, Holds, Holds],
        Hazard::ClockBeyondBound => [Holds, Impossible, Impossible, Parked],
    };
    match offer {
        Offer::PutById => put_by_id,
        Offer::IdempotencyKey => idempotency_key,
        Offer::ReadBack => read_back,
        Offer::None => none,
    }
}
