//! The quota service as it truly is: workers, a queue, a key store, and a ledger that nothing takes back.
//!
//! Owns what happens to a request from its arrival to its answer. The effect ledger (in `users`) is apart from the key
//! store: a key that is forgotten leaves its effect behind, and that is the whole trouble. Requests wait and are worked
//! off whether or not anybody still wants the answer. It knows nothing of hooks.
//!
//! Chance is drawn by the caller, keyed by the request's identity.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use hookproof_core::time::WallTime;

use crate::clock::Clock;
use crate::scenario::{Capability, Profile, Scenario};
use crate::slab::Key;

/// An idempotency key or grant id: 128 bits that its maker spread evenly.
pub type RequestKey = [u8; 16];

/// What the service sees of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose quota.
    pub user: u32,
    /// By how much.
    pub units: u32,
    /// The key, if it carries one.
    pub key: Option<RequestKey>,
}

/// The status a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    const OK: Self = Self(200);
    const BAD_REQUEST: Self = Self(400);
    /// 403: the user's hard limit is reached.
    pub const LIMIT_REACHED: Self = Self(403);
    const IN_PROGRESS: Self = Self(409);
    const EXISTS: Self = Self(412);
    const KEY_MISMATCH: Self = Self(422);
    /// 500.
    pub const ERROR: Self = Self(500);
    /// 503.
    pub const UNAVAILABLE: Self = Self(503);

    const fn is_success(self) -> bool {
        self.0 / 100 == 2
    }
}

/// What a fault makes of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// It fails before the effect.
    ErrorBefore,
    /// It fails after the effect.
    ErrorAfter,
    /// It says yes and does nothing.
    FalseAck,
}

/// What became of a request that a worker was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The worker executes it, or replays an earlier answer at the same cost.
    Working(Work),
    /// It is answered at once; no worker is occupied.
    Answered(Status),
}

/// What a worker does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Executes it.
    Execute,
    /// Repeats the answer that its key is known with.
    Replay(Status),
}

/// What became of a request that a worker finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The answer.
    pub status: Status,
    /// Units that the ledger moved by.
    pub effect: Option<u32>,
    /// Units refused for good because of the hard limit, for the first time.
    pub refused: Option<u32>,
    /// Whether the answer is a replay of an earlier one.
    pub is_replay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyState {
    InProgress,
    Done(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyEntry {
    user: u32,
    units: u32,
    state: KeyState,
    forgotten_at: WallTime,
}

/// Keys are evenly spread already: their first eight bytes are the hash.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// The service.
#[derive(Clone, Debug)]
pub struct QuotaService {
    /// Its own clock, by which keys are forgotten.
    pub clock: Clock,
    base: u32,
    hard_limit: Option<u32>,
    workers_idle: u32,
    queue: VecDeque<Key>,
    queue_max: Option<u32>,
    capability: Capability,
    profile: Profile,
    require_key: bool,
    key_ttl: Duration,
    keys: HashMap<RequestKey, KeyEntry, BuildHasherDefault<KeyHasher>>,
    /// Keys in the order of their first use, with the time they are forgotten.
    key_order: VecDeque<(WallTime, RequestKey)>,
}

impl QuotaService {
    /// The service of a scenario, idle and with no key in store.
    pub fn new(scenario: &Scenario) -> Self {
        let upstream = &scenario.upstream;
        Self {
            clock: Clock::new(scenario.start),
            base: scenario.quota.base,
            hard_limit: scenario.quota.hard_limit,
            workers_idle: upstream.workers,
            queue: VecDeque::new(),
            queue_max: upstream.queue,
            capability: upstream.truth.capability,
            profile: upstream.profile,
            require_key: upstream.require_key,
            key_ttl: upstream.truth.key_ttl,
            keys: HashMap::default(),
            key_order: VecDeque::new(),
        }
    }

    /// Requests that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether a request is refused on arrival: `require-key`, or the queue is full.
    pub fn refuses(&self, request: &Request) -> Option<Status> {
        if self.require_key && request.key.is_none() {
            return Some(Status::BAD_REQUEST);
        }
        let is_full = self.queue_max.is_some_and(|max| self.queue.len() >= max as usize);
        (self.workers_idle == 0 && is_full).then_some(Status::UNAVAILABLE)
    }

    /// A request arrives under the world's name `call`.
    pub fn enqueue(&mut self, call: Key) {
        self.queue.push_back(call);
    }

    /// The next request for an idle worker, if there are both.
    pub fn next_to_begin(&mut self) -> Option<Key> {
        if self.workers_idle == 0 { None } else { self.queue.pop_front() }
    }

    /// A worker begins with `request`.
    pub fn begin(&mut self, now: WallTime, request: &Request) -> Begun {
        let mut work = Work::Execute;
        if let Some(key) = self.key_of(request) {
            self.forget(now, key);
            match self.keys.get(&key) {
                Some(entry)
                    if (entry.user, entry.units) != (request.user, request.units)
                        && self.profile != Profile::NoBodyCompare =>
                {
                    return Begun::Answered(Status::KEY_MISMATCH);
                }
                Some(KeyEntry { state: KeyState::InProgress, .. }) => return Begun::Answered(Status::IN_PROGRESS),
                Some(KeyEntry { state: KeyState::Done(status), .. }) => work = Work::Replay(*status),
                None => self.remember(now, key, request),
            }
        }
        self.workers_idle -= 1;
        Begun::Working(work)
    }

    /// A worker finishes `request`, which it began as `work`; the user holds `held` units.
    pub fn finish(&mut self, request: &Request, work: Work, held: u32, mishap: Mishap) -> Finished {
        self.workers_idle += 1;
        let key = self.key_of(request);
        if let Work::Replay(status) = work {
            let exists = self.capability == Capability::PutById && status.is_success();
            let status = if exists { Status::EXISTS } else { status };
            return Finished { status, effect: None, refused: None, is_replay: true };
        }
        let fits = self.hard_limit.is_none_or(|limit| held.saturating_add(request.units) <= limit);
        let executed = if fits { Status::OK } else { Status::LIMIT_REACHED };
        let (stored, answered) = match mishap {
            Mishap::None => (Some(executed), executed),
            Mishap::ErrorAfter => (Some(executed), Status::ERROR),
            Mishap::ErrorBefore => (None, Status::ERROR),
            Mishap::FalseAck => (None, Status::OK),
        };
        if let Some(key) = key {
            self.store_answer(key, stored, answered);
        }
        let happened = stored.is_some();
        Finished {
            status: answered,
            effect: (happened && fits).then_some(request.units),
            refused: (happened && !fits).then_some(request.units),
            is_replay: false,
        }
    }

    /// All keys are lost; the ledger is not.
    pub fn lose_keys(&mut self) {
        self.keys.clear();
        self.key_order.clear();
    }

    /// Units a user without any grant holds.
    pub const fn base(&self) -> u32 {
        self.base
    }

    /// The key that protects a request, if the service heeds keys.
    fn key_of(&self, request: &Request) -> Option<RequestKey> {
        let heeds = match self.capability {
            Capability::PutById | Capability::IdempotencyKey => self.profile != Profile::KeysIgnored,
            Capability::ReadBack | Capability::None => false,
        };
        request.key.filter(|_| heeds)
    }

    fn remember(&mut self, now: WallTime, key: RequestKey, request: &Request) {
        let forgotten_at = match self.capability {
            Capability::PutById => WallTime::MAX,
            Capability::IdempotencyKey | Capability::ReadBack | Capability::None => now + self.key_ttl,
        };
        self.keys.insert(
            key,
            KeyEntry { user: request.user, units: request.units, state: KeyState::InProgress, forgotten_at },
        );
        self.key_order.push_back((forgotten_at, key));
    }

    fn store_answer(&mut self, key: RequestKey, stored: Option<Status>, answered: Status) {
        let kept = match self.profile {
            Profile::Strict | Profile::NoBodyCompare | Profile::KeysIgnored => stored,
            Profile::StripeV1 => Some(answered),
            Profile::Only2xxCached => stored.filter(|status| status.is_success()),
        };
        match (kept, self.keys.get_mut(&key)) {
            (Some(status), Some(entry)) => entry.state = KeyState::Done(status),
            (None, Some(_)) => {
                self.keys.remove(&key);
            }
            // Forgotten while a worker was at it: the answer is not kept.
            (_, None) => {}
        }
    }

    /// Forgets what is due, and `key` in any case if it is: a clock that was set back has left the order behind.
    fn forget(&mut self, now: WallTime, key: RequestKey) {
        if self.keys.get(&key).is_some_and(|entry| entry.forgotten_at <= now) {
            self.keys.remove(&key);
        }
        while let Some((at, key)) = self.key_order.front().copied().filter(|(at, _)| *at <= now) {
            self.key_order.pop_front();
            if self.keys.get(&key).is_some_and(|entry| entry.forgotten_at == at) {
                self.keys.remove(&key);
            }
        }
    }
}
