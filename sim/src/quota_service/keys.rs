//! The key store: which idempotency keys were used, by which request, and what was answered.
//!
//! Owns what `idempotency-key` offers, with the vendors' profiles of it. It is a memory apart from the ledger: what it
//! forgets, loses or does not see yet has left its effect behind all the same. Keys are forgotten by the service's own
//! wall clock; a replica lags in true time.
//!
//! A run may use a key for every second user of ten millions, so they are kept densely: in the order of their first use, in which
//! they are forgotten, too, with an index of four bytes and a tag for each.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;
use hookproof_core::time::{Instant, WallTime};

use super::{Begun, Look, Request, RequestKey, Status, Work};
use crate::scenario::Profile;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InProgress,
    Done(Status),
    /// The key is not in store; its entry still stands in the order.
    Gone,
}

/// Packed, or a tenth of it would be padding.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Entry {
    key: RequestKey,
    first_used_at: Instant,
    forgotten_at: WallTime,
    user: u32,
    units: u32,
    state: State,
}

const _: () = assert!(size_of::<Entry>() == 44);

impl Entry {
    /// Whether it is forgotten at the service's time `wall`.
    fn is_forgotten(self, wall: WallTime) -> bool {
        let at = self.forgotten_at;
        at <= wall
    }
}

/// The keys in store.
#[derive(Clone, Debug)]
pub(super) struct KeyStore {
    profile: Profile,
    ttl: Duration,
    /// In the order of their first use.
    entries: VecDeque<Entry>,
    /// How many entries have left the front: the number of the first one.
    left: u32,
    /// The numbers of the entries whose keys are in store, by key.
    index: HashTable<u32>,
}

/// Keys are evenly spread already: their first eight bytes are the hash.
fn hash(key: RequestKey) -> u64 {
    u64::from_le_bytes(*key.first_chunk().expect("a key has 16 bytes"))
}

impl KeyStore {
    pub(super) fn new(profile: Profile, ttl: Duration) -> Self {
        Self { profile, ttl, entries: VecDeque::new(), left: 0, index: HashTable::new() }
    }

    /// Whether a key is in store at the service's time `wall`.
    pub(super) fn knows(&self, wall: WallTime, key: RequestKey) -> bool {
        self.find(key).is_some_and(|number| !self.entry(number).is_forgotten(wall))
    }

    /// A worker begins with a request that carries `key`.
    pub(super) fn begin(&mut self, look: Look, key: RequestKey, request: &Request) -> Begun {
        if self.profile == Profile::KeysIgnored {
            return Begun::Working(Work::Execute);
        }
        self.forget(look.wall);
        let found = self.find(key).map(|number| (number, *self.entry(number)));
        let Some((number, entry)) = found else {
            self.remember(look, key, request);
            return Begun::Working(Work::Execute);
        };
        // A clock that was set back has left the order behind.
        if entry.is_forgotten(look.wall) {
            self.remove(number);
            self.remember(look, key, request);
            return Begun::Working(Work::Execute);
        }
        if !look.sees(entry.first_used_at) {
            return Begun::Working(Work::ExecuteUnseen);
        }
        let is_same = (entry.user, entry.units) == (request.user, request.units);
        match entry.state {
            _ if !is_same && self.profile != Profile::NoBodyCompare => Begun::Answered(Status::KEY_MISMATCH),
            State::Done(status) => Begun::Working(Work::Replay(status)),
            State::InProgress | State::Gone => Begun::Answered(Status::IN_PROGRESS),
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
        match (kept, self.find(key)) {
            (Some(status), Some(number)) => self.entry_mut(number).state = State::Done(status),
            (None, Some(number)) => self.remove(number),
            // Forgotten while a worker was at it: the answer is not kept.
            (_, None) => {}
        }
    }

    pub(super) fn lose_all(&mut self) {
        self.index.clear();
        self.entries.clear();
    }

    fn entry(&self, number: u32) -> &Entry {
        &self.entries[number.wrapping_sub(self.left) as usize]
    }

    fn entry_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[number.wrapping_sub(self.left) as usize]
    }

    fn find(&self, key: RequestKey) -> Option<u32> {
        self.index.find(hash(key), |number| self.entry(*number).key == key).copied()
    }

    fn remember(&mut self, look: Look, key: RequestKey, request: &Request) {
        let forgotten_at = look.wall + self.ttl;
        let Request { user, units, .. } = *request;
        let place = u32::try_from(self.entries.len()).expect("fewer than 2^32 keys are in store");
        let number = self.left.wrapping_add(place);
        self.entries.push_back(Entry {
            key,
            first_used_at: look.at,
            forgotten_at,
            user,
            units,
            state: State::InProgress,
        });
        let Self { entries, left, index, .. } = self;
        index.insert_unique(hash(key), number, |number| hash(entries[number.wrapping_sub(*left) as usize].key));
    }

    fn remove(&mut self, number: u32) {
        let key = self.entry(number).key;
        self.entry_mut(number).state = State::Gone;
        if let Ok(entry) = self.index.find_entry(hash(key), |other| *other == number) {
            entry.remove();
        }
    }

    /// Forgets what is due.
    fn forget(&mut self, wall: WallTime) {
        while let Some(entry) = self.entries.front().copied().filter(|entry| entry.is_forgotten(wall)) {
            if entry.state != State::Gone {
                self.remove(self.left);
            }
            self.entries.pop_front();
            self.left = self.left.wrapping_add(1);
        }
    }
}
