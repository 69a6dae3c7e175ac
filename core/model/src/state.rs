//! Everything that can differ between two moments.
//!
//! Owns the data and its identity: two states are one if nothing that can still matter differs. Of a store that is each user's
//! record and open grant and the epoch; its statistics (rows written, claims in a minute) are left out of the hash.
//!
//! Times are seconds since the run's origin; the store's are converted at the border ([`State::store_now`]).

use std::hash::{Hash, Hasher};

use hookproof_core::grant::Terms;
use hookproof_core::identity::UserHandle;
use hookproof_core::store::{ClaimedGrant, Fence, GrantState, Image, Settle, Settlement};
use hookproof_core::time::{Instant, Now, StoreClock, WallTime};
use hookproof_core::upstream::Ask;

use crate::cell::{Cell, ERROR};
use crate::service::Service;

/// The store's time at the run's origin. Far from zero, which the store takes for "not known".
const STORE_ORIGIN_S: u64 = 1_000;
const NANOS: u64 = 1_000_000_000;

/// One state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// True time, seconds.
    pub(crate) now: u64,
    /// By how much the store's clock is ahead of true time.
    pub(crate) store_lead: i64,
    /// The store's clock does not move before this time.
    pub(crate) stands_until: u64,
    /// Worker `i` works on store `i`, or on the only one.
    pub(crate) stores: Vec<Store>,
    /// What a rollback restores.
    pub(crate) snapshot: Option<Box<Store>>,
    /// How many epochs have begun.
    pub(crate) epochs: u32,
    /// How many claims there were: no store takes one back.
    pub(crate) claims: u64,
    /// A and B: what each has in memory.
    pub(crate) workers: [Vec<Held>; 2],
    /// Requests under way, in order.
    pub(crate) messages: Vec<Message>,
    /// Settlements that will be committed late: store, settlement, until when.
    pub(crate) late: Vec<(usize, Settle, u64)>,
    /// The quota service.
    pub(crate) service: Service,
    /// How often a hazard may still happen.
    pub(crate) budget: u8,
    /// How often a reply may still be lost as an occasion.
    pub(crate) occasions: u8,
    /// How often the service may still say 429.
    pub(crate) throttles: u8,
    /// How often the service may still refuse for good.
    pub(crate) refusals: u8,
    /// Every answer is lost before this time.
    pub(crate) silent_until: u64,
    /// The store refuses everything; the outage ends at this time at the latest.
    pub(crate) outage_until: Option<u64>,
    /// Whether each user was ever admitted.
    pub(crate) visited: Vec<bool>,
    /// Whether a receipt was ever committed for each user.
    pub(crate) receipts: Vec<bool>,
}

/// A store and, for each user, the fence that it gave last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) image: Image,
    pub(crate) fences: Vec<Fence>,
}

impl Hash for Store {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.image.epoch().hash(state);
        for (user, fence) in (0..).zip(&self.fences) {
            fence.hash(state);
            match self.image.grant_state(UserHandle(user)) {
                // A settled grant is left alone, but for a receipt: its evidence does not tell two states apart.
                Some(settled @ (GrantState::Delivered | GrantState::Rejected | GrantState::Parked)) => {
                    settled.hash(state);
                }
                None | Some(GrantState::Pending | GrantState::Claimed) => self.image.save(UserHandle(user)).hash(state),
            }
        }
    }
}

/// A claimed grant in a worker's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) grant: ClaimedGrant,
    /// When the claim was sent and committed, by the true clock.
    pub(crate) claimed_at: u64,
    pub(crate) stage: Stage,
    /// Until when the worker may stand still at this stage.
    pub(crate) stalled_until: Option<u64>,
    /// Whether the request that comes of it is to arrive late within these limits.
    pub(crate) execute_by: Option<u64>,
    /// The claim took over a lease that had ended. Only a sabotage looks at it.
    pub(crate) is_takeover: bool,
}

/// How far a worker is with a grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// The claim's reply has arrived; the guards come next.
    Claimed,
    /// The guards have said that it may be sent.
    Guarded { ask: Ask, at: u64 },
    /// It is written; the attempt ends at the deadline.
    Sent { ask: Ask, deadline: u64 },
    /// It goes to the store.
    Settling(Settlement),
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) user: u8,
    pub(crate) worker: usize,
    pub(crate) ask: Ask,
    /// 0, or the attempt where a key is made for each.
    pub(crate) key: u32,
    /// The claim whose holder waits for the answer; nobody does if it is gone.
    pub(crate) answer_to: Option<Fence>,
    /// Whether the network made it.
    pub(crate) is_copy: bool,
    /// The latest time at which it executes.
    pub(crate) execute_by: u64,
    /// When its declared lifetime ends.
    pub(crate) lives_until: u64,
}

impl State {
    /// The store's time for a number of seconds since the origin.
    pub(crate) fn wall(seconds: i64) -> WallTime {
        WallTime::from_unix_nanos(STORE_ORIGIN_S.saturating_add_signed(seconds) * NANOS)
    }

    /// What the store's clock shows.
    pub(crate) fn store_now(&self) -> WallTime {
        Self::wall(i64::try_from(self.now).unwrap_or(i64::MAX) + self.store_lead)
    }

    /// Which store a worker works on.
    pub(crate) fn store_of(&self, worker: usize) -> usize {
        worker.min(self.stores.len() - 1)
    }

    /// What a worker knows of the time, from the reply to its claim.
    pub(crate) fn known_now(&self, held: &Held, believed: &Terms) -> Now {
        let mono = |seconds: u64| Instant::from_nanos(seconds * NANOS);
        let mut clock = StoreClock::new(believed.clock_error);
        clock.observe(mono(held.claimed_at), mono(held.claimed_at), held.grant.claimed_at);
        clock.now(mono(self.now))
    }

    /// The first state.
    pub(crate) fn new(cell: &Cell, store_count: usize, store_lead: i64) -> Self {
        let users = usize::from(cell.users);
        let store = Store { image: Image::with_capacity(users), fences: vec![Fence::default(); users] };
        Self {
            now: 0,
            store_lead,
            stands_until: 0,
            stores: vec![store; store_count],
            snapshot: None,
            epochs: 0,
            claims: 0,
            workers: [Vec::new(), Vec::new()],
            messages: Vec::new(),
            late: Vec::new(),
            service: Service::new(users),
            budget: cell.budget,
            occasions: u8::from(cell.has_occasion()),
            throttles: cell.throttles,
            refusals: cell.refusals,
            silent_until: 0,
            outage_until: None,
            visited: vec![false; users],
            receipts: vec![false; users],
        }
    }

    /// The state of a user's grant in a store.
    pub(crate) fn grant_state(&self, store: usize, user: u8) -> Option<GrantState> {
        self.stores[store].image.grant_state(UserHandle(u64::from(user)))
    }

    /// All users.
    pub(crate) fn users(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.visited.len()).unwrap_or(u8::MAX)
    }

    /// The held grant with this index.
    pub(crate) fn held(&self, worker: usize, index: usize) -> Option<&Held> {
        self.workers.get(worker).and_then(|helds| helds.get(index))
    }

    /// A worker is through with a claimed grant: nobody waits for an answer to it.
    pub(crate) fn forget(&mut self, worker: usize, index: usize) {
        let held = self.workers[worker].remove(index);
        let mut messages = std::mem::take(&mut self.messages);
        for message in &mut messages {
            let is_its = message.worker == worker && UserHandle(u64::from(message.user)) == held.grant.user;
            if is_its && message.answer_to == Some(held.grant.fence) {
                message.answer_to = None;
            }
        }
        for message in messages {
            self.post(message);
        }
    }

    /// Adds a request.
    pub(crate) fn post(&mut self, message: Message) {
        let at = self.messages.partition_point(|other| *other <= message);
        self.messages.insert(at, message);
    }
}

const _: () = assert!(ERROR > 0, "the declared error of the store's clock is exercised");
