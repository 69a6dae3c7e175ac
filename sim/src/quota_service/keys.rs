//! The key store: which idempotency keys were used, by which request, and what was answered.
//!
//! Owns what `idempotency-key` offers, with the vendors' profiles of it. It is a memory apart from the ledger: what it
//! forgets, loses or does not see yet has left its effect behind all the same. Keys are forgotten by the service's own
//! wall clock; a replica lags in true time.

use std::collections::VecDeque;
use std::time::Duration;

use hookproof_core::time::{Instant, WallTime};

use super::{Begun, ByKey, Look, Request, RequestKey, Status, Work};
use crate::scenario::Profile;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InProgress,
    Done(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    user: u32,
    units: u32,
    state: State,
    first_used_at: Instant,
    forgotten_at: WallTime,
}

/// The keys in store.
#[derive(Clone, Debug)]
pub(super) struct KeyStore {
    profile: Profile,
    ttl: Duration,
    entries: ByKey<Entry>,
    /// Keys in the order of their first use, with the time they are forgotten.
    order: VecDeque<(WallTime, RequestKey)>,
}

impl KeyStore {
    pub(super) fn new(profile: Profile, ttl: Duration) -> Self {
        Self { profile, ttl, entries: ByKey::default(), order: VecDeque::new() }
    }

    /// Whether a key is in store at the service's time `wall`.
    pub(super) fn knows(&self, wall: WallTime, key: RequestKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.forgotten_at > wall)
    }

    /// A worker begins with a request that carries `key`.
    pub(super) fn begin(&mut self, look: Look, key: RequestKey, request: &Request) -> Begun {
        if self.profile == Profile::KeysIgnored {
            return Begun::Working(Work::Execute);
        }
        self.forget(look.wall, key);
        let Some(entry) = self.entries.get(&key) else {
            self.remember(look, key, request);
            return Begun::Working(Work::Execute);
        };
        if !look.sees(entry.first_used_at) {
            return Begun::Working(Work::ExecuteUnseen);
        }
        let is_same = (entry.user, entry.units) == (request.user, request.units);
        match entry.state {
            _ if !is_same && self.profile != Profile::NoBodyCompare => Begun::Answered(Status::KEY_MISMATCH),
            State::InProgress => Begun::Answered(Status::IN_PROGRESS),
            State::Done(status) => Begun::Working(Work::Replay(status)),
        }
    }

    /// An execution under `key` ends: `executed` is the answer to what it did, if it did anything, and `answered` what it
    /// says.
    pub(super) fn finish(&mut self, key: RequestKey, executed: Option<Status>, answered: Status) {
        let kept = match self.profile {
            Profile::Strict | Profile::NoBodyCompare | Profile::KeysIgnored => executed,
            Profile::StripeV1 => Some(answered),
            Profile::Only2xxCached => executed.filter(|status| status.is_success()),
        };
        match (kept, self.entries.get_mut(&key)) {
            (Some(status), Some(entry)) => entry.state = State::Done(status),
            (None, Some(_)) => {
                self.entries.remove(&key);
            }
            // Forgotten while a worker was at it: the answer is not kept.
            (_, None) => {}
        }
    }

    pub(super) fn lose_all(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    fn remember(&mut self, look: Look, key: RequestKey, request: &Request) {
        let forgotten_at = look.wall + self.ttl;
        let Request { user, units, .. } = *request;
        self.entries.insert(key, Entry { user, units, state: State::InProgress, first_used_at: look.at, forgotten_at });
        self.order.push_back((forgotten_at, key));
    }

    /// Forgets what is due, and `key` in any case if it is: a clock that was set back has left the order behind.
    fn forget(&mut self, wall: WallTime, key: RequestKey) {
        if !self.knows(wall, key) {
            self.entries.remove(&key);
        }
        while let Some((at, key)) = self.order.front().copied().filter(|(at, _)| *at <= wall) {
            self.order.pop_front();
            if self.entries.get(&key).is_some_and(|entry| entry.forgotten_at == at) {
                self.entries.remove(&key);
            }
        }
    }
}
