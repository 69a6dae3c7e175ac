//! What one run of the check is about: an offer, the hazards that may happen, how often, and what is promised then.
//!
//! Owns the model's times and the meaning of the hazards. Time is abstract: a tick is called a second.
//!
//! # Without a hazard
//!
//! A request executes within [`DELAY`] of its writing and is answered at once; an attempt is given up after [`ATTEMPT`]. A
//! read may or may not show an effect that is younger than the declared lag. The service may say 429 once, without an effect.
//! Commits are immediate. Workers do at once what they can do, in any order; time passes only when nothing else must happen.
//!
//! # What each hazard lets happen
//!
//! | hazard             | each occurrence                                                                                  |
//! |--------------------|--------------------------------------------------------------------------------------------------|
//! | lost-reply         | a request executes, and its answer is lost or becomes a 500                                      |
//! | lost-request       | a request vanishes                                                                               |
//! | crash-before-send  | a worker loses its memory while it has claimed and not written                                   |
//! | crash-after-send   | the same while a request of its is under way or its settlement is not committed                  |
//! | stall              | a worker stands still for up to [`STALL`] before its guards or before it settles; or after its guards: then the request is written and executes at any time within the request's lifetime, counted from the guards |
//! | overlong-stall     | the same after the guards, up to a key's window and a lease longer than the request's lifetime    |
//! | duplicate          | a copy of a request executes at any time within the request's lifetime                           |
//! | replay             | a copy of a request executes at any time, up to a key's window and more after the request         |
//! | outlasted-window   | from some time on, for longer than the key's window, every request is lost or its answer is; requests take any time within their lifetime |
//! | key-lost           | the service forgets a key at any moment; *occasion*: one lost reply                              |
//! | read-lag           | a read misses an effect that is older than the declared lag; *occasion*: one lost reply          |
//! | false-ack          | the service answers 200 without an effect                                                        |
//! | commit-unknown     | a claim is committed and nobody learns of it; a settlement is committed, or will be within [`LATE`], and the worker settles again |
//! | store-outage       | the store refuses everything for up to [`OUTAGE`]: longer than a lease, shorter than a key's window |
//! | store-rollback     | the store returns to any earlier committed state, and its epoch changes; whoever is no longer recorded visits again |
//! | silent-rollback    | the same, and the epoch stays                                                                    |
//! | two-stores         | worker A works on one store, worker B on another; the user visits the second at any time          |
//! | clock-error        | the store's clock steps forward, or stands, by the declared error; *occasion*: one lost reply    |
//! | clock-beyond-bound | the store's clock steps forward by [`STEP`], or stands for longer than a key's window; *occasion*: one lost reply |
//!
//! An *occasion* comes with hazards that attack the recovery from doubt: where nothing is ever in doubt they change nothing. It
//! is given to the offers that recover from a lost reply, and not to [`Offer::None`], which parks at any doubt
//! whatever else happens (the row lost-reply says so).
//!
//! Any trouble that lasts longer than the key's window is the row outlasted-window: the other hazards' occurrences together are
//! shorter.

use std::time::Duration;

use hookproof_core::grant::Terms;
use hookproof_core::promise::{Hazard, Offer, Verdict};
use hookproof_core::upstream::{Capability, Upstream};

use crate::guard::Guard;

/// Longest way of a request without a hazard.
pub const DELAY: u64 = 1;
/// When a worker gives up an attempt, counted from its writing.
pub const ATTEMPT: u64 = 2;
/// A claim's lease.
pub const LEASE: u64 = 5;
/// The declared request lifetime.
pub const LIFETIME: u64 = 6;
/// The declared lag of reads.
pub const LAG: u64 = 4;
/// The declared error of the store's clock.
pub const ERROR: u64 = 1;
/// The lane's backoff at least.
pub const BACKOFF: u64 = 1;
/// By how much it may be longer, so that retries fall on any second.
pub const JITTER: u64 = 1;
/// Longest stall before the guards.
pub const STALL: u64 = LEASE + LIFETIME + LAG + ERROR + 3;
/// Longest outage of the store.
pub const OUTAGE: u64 = LEASE + 1;
/// How late a commit may be whose outcome was unknown.
pub const LATE: u64 = 3;
/// How far the store's clock steps beyond its bound.
pub const STEP: u64 = LEASE + LIFETIME + LAG + 2 * ERROR;
/// What counts as a key's window where there are no keys: longer than a lease, a request's lifetime and a retry.
pub const LONG: u64 = 12;
/// How long a key is remembered where its window may close.
pub const TTL: u64 = 18;
/// How long a key is remembered for each occurrence of a hazard, where its window is not to close: longer than any hazard but
/// outlasted-window lasts, with its recovery and a request's lifetime.
pub const TTL_OF_OCCURRENCE: u64 = 24;

const _: () = assert!(ATTEMPT > DELAY, "without a hazard no attempt is given up");
const _: () = assert!(LIFETIME > LEASE, "a request may execute after its lease");
const _: () = assert!(LEASE > ATTEMPT + 2 * ERROR, "without a hazard no lease ends");

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// One user, two workers, one occurrence.
    Small,
    /// As [`Bound::Small`] with two occurrences, and again with two users and one occurrence.
    Large,
}

/// What a cell claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// As [`Verdict::Holds`].
    Holds,
    /// As [`Verdict::Parked`]; a parked grant is met.
    Parked,
    /// As [`Verdict::Impossible`]: the promise falls.
    Impossible,
    /// As [`Claim::Parked`], but a parked grant need not be met: for several hazards at once.
    Safe,
}

impl From<Verdict> for Claim {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => Self::Holds,
            Verdict::Parked => Self::Parked,
            Verdict::Impossible => Self::Impossible,
        }
    }
}

/// What one run is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What the service offers.
    pub offer: Offer,
    /// What may go wrong.
    pub hazards: Vec<Hazard>,
    /// How often anything may go wrong in all.
    pub budget: u8,
    /// How many users are promised a grant.
    pub users: u8,
    /// How often the service refuses for good ("limit reached").
    pub refusals: u8,
    /// How often the service says 429.
    pub throttles: u8,
    /// What is claimed.
    pub claim: Claim,
    /// Which guard is broken, if any.
    pub broken: Option<Guard>,
}

impl Cell {
    /// A cell for one user, with nothing broken.
    pub fn new(offer: Offer, hazards: &[Hazard], budget: u8, claim: Claim) -> Self {
        Self { offer, hazards: hazards.to_vec(), budget, users: 1, refusals: 0, throttles: 1, claim, broken: None }
    }

    /// Whether `hazard` may happen.
    pub fn has(&self, hazard: Hazard) -> bool {
        self.hazards.contains(&hazard)
    }

    /// Whether a reply may be lost once, so that the hazard meets a grant in doubt.
    pub fn has_occasion(&self) -> bool {
        self.offer != Offer::None
            && [Hazard::KeyLost, Hazard::ReadLag, Hazard::ClockError, Hazard::ClockBeyondBound]
                .iter()
                .any(|hazard| self.has(*hazard))
    }

    /// Whether the hazards can meet the offer at all: nobody loses keys or misreads where there are none.
    pub fn is_vacuous(&self) -> bool {
        let meets = |hazard: &Hazard| match hazard {
            Hazard::KeyLost => self.offer == Offer::IdempotencyKey,
            Hazard::ReadLag => self.offer == Offer::ReadBack,
            Hazard::LostReply
            | Hazard::LostRequest
            | Hazard::CrashBeforeSend
            | Hazard::CrashAfterSend
            | Hazard::Stall
            | Hazard::OverlongStall
            | Hazard::Duplicate
            | Hazard::Replay
            | Hazard::OutlastedWindow
            | Hazard::FalseAck
            | Hazard::CommitUnknown
            | Hazard::StoreOutage
            | Hazard::StoreRollback
            | Hazard::SilentRollback
            | Hazard::TwoStores
            | Hazard::ClockError
            | Hazard::ClockBeyondBound => true,
        };
        !self.hazards.iter().any(meets)
    }

    /// How long the service remembers a key, in truth and as declared. Only where nothing may be parked must it outlast all
    /// trouble.
    pub fn ttl(&self) -> u64 {
        match (self.offer, self.claim) {
            (Offer::PutById | Offer::ReadBack | Offer::None, _) => LONG,
            (Offer::IdempotencyKey, Claim::Holds) => TTL_OF_OCCURRENCE * u64::from(self.budget.max(1)),
            (Offer::IdempotencyKey, Claim::Parked | Claim::Impossible | Claim::Safe) => TTL,
        }
    }

    /// Longer than this nobody waits for a hazard, once nothing else is to be done. Where a loss of history goes unnoticed it
    /// matters whether a key is forgotten meanwhile.
    pub fn horizon(&self) -> u64 {
        let unnoticed = self.has(Hazard::SilentRollback) || self.has(Hazard::TwoStores);
        if unnoticed { self.ttl() + 2 * LEASE } else { 2 * LEASE }
    }

    /// What the workers believe.
    pub fn terms(&self) -> Terms {
        let capability = match self.offer {
            Offer::PutById => Capability::PutById,
            Offer::IdempotencyKey => Capability::IdempotencyKey { ttl: Duration::from_secs(self.ttl()) },
            Offer::ReadBack => Capability::ReadBack { lag: Duration::from_secs(LAG) },
            Offer::None => Capability::None,
        };
        // A clock that is right is declared so: every guard stands as close to its edge as it can.
        let errs = self.has(Hazard::ClockError) || self.has(Hazard::ClockBeyondBound);
        Terms {
            upstream: Upstream { capability, request_lifetime: Duration::from_secs(LIFETIME) },
            lease: Duration::from_secs(LEASE),
            attempt: Duration::from_secs(ATTEMPT),
            clock_error: Duration::from_secs(if errs { ERROR } else { 0 }),
        }
    }
}
