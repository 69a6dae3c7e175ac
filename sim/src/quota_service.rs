//! The quota service as it truly is: workers, a queue, what it remembers, and a ledger that nothing takes back.
//!
//! Owns what happens to a request from its arrival to its answer. Two memories are apart. The *ledger* (in `users`, with
//! the index of grants here) loses nothing. The *key store* forgets, is lost by a restart and may lag: its effects stay,
//! and that is the whole trouble. Which of them a request is held against is the capability:
//!
//! | capability        | a repeated request              | `GET /grants/{id}`                            |
//! |-------------------|---------------------------------|-----------------------------------------------|
//! | `put-by-id`       | 412 for ever: the ledger has it | 200 or 404                                    |
//! | `idempotency-key` | replayed while the key is known | 405                                           |
//! | `read-back`       | executed again                  | 200 or 404, `read-back-lag` behind the ledger |
//! | `none`            | executed again                  | 405                                           |
//!
//! Requests wait and are worked off whether or not anybody still wants the answer, however long ago they were sent. It
//! knows nothing of hooks. Chance is drawn by the caller, keyed by the request's identity. `tests` is the table in full.

mod grants;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::Ask;

use self::grants::Grants;
use self::keys::KeyStore;
use crate::clock::Clock;
use crate::scenario::{Capability, Scenario};
use crate::slab::Key;

/// An idempotency key or grant id: 128 bits that its maker spread evenly.
pub type RequestKey = [u8; 16];

/// What the service sees of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    /// Whose quota.
    pub user: u32,
    /// By how much.
    pub units: u32,
    /// The key or, in the path of a `PUT` or `GET`, the grant's id; if it carries one.
    pub key: Option<RequestKey>,
}

/// The status a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    const OK: Self = Self(200);
    /// 201: the `PUT` created the grant (RFC 9110, section 9.3.4).
    const CREATED: Self = Self(201);
    const BAD_REQUEST: Self = Self(400);
    /// 401: our credentials are not accepted.
    pub const UNAUTHORISED: Self = Self(401);
    /// 403: the user's hard limit is reached.
    pub const LIMIT_REACHED: Self = Self(403);
    /// 404: the ledger does not hold the grant, as far as the read can see.
    pub const NOT_FOUND: Self = Self(404);
    /// 405: the service offers no reads.
    const NO_READS: Self = Self(405);
    const IN_PROGRESS: Self = Self(409);
    const EXISTS: Self = Self(412);
    const KEY_MISMATCH: Self = Self(422);
    /// 500.
    pub const ERROR: Self = Self(500);
    /// 503.
    pub const UNAVAILABLE: Self = Self(503);

    /// Whether it is a 2xx.
    pub const fn is_success(self) -> bool {
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
    /// A worker is at it. A replay or a read costs as much as an execution.
    Working(Work),
    /// It is answered at once; no worker is occupied.
    Answered(Status),
}

/// What a worker does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Executes it.
    Execute,
    /// Executes it although its key is in store: the replica that was asked does not see it yet. The entry stays the
    /// first execution's.
    ExecuteUnseen,
    /// Repeats the answer that its key or id is known with.
    Replay(Status),
    /// Answers what was read.
    Read(Status),
}

impl Work {
    /// Whether it may move the ledger.
    pub const fn is_execution(self) -> bool {
        match self {
            Self::Execute | Self::ExecuteUnseen => true,
            Self::Replay(_) | Self::Read(_) => false,
        }
    }
}

/// What a worker has served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<'r> {
    /// The request.
    pub request: &'r Request,
    /// What it was begun as.
    pub work: Work,
    /// Units that the user holds.
    pub held: u32,
    /// What a fault makes of it.
    pub mishap: Mishap,
}

/// What became of a request that a worker finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The answer.
    pub status: Status,
    /// Units that the ledger moved by.
    pub effect: Option<u32>,
    /// Units refused for good because of the hard limit, for the first time under this key.
    pub refused: Option<u32>,
    /// Whether the answer is a replay of an earlier one.
    pub is_replay: bool,
}

/// When a worker looks something up, by true time and by the service's clock, and how far behind the replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    at: Instant,
    wall: WallTime,
    lag: Duration,
}

impl Look {
    /// Whether what is there since `since` is seen.
    fn sees(self, since: Instant) -> bool {
        since + self.lag <= self.at
    }
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

type ByKey<T> = HashMap<RequestKey, T, BuildHasherDefault<KeyHasher>>;

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
    require_key: bool,
    read_back_lag: Duration,
    keys: KeyStore,
    grants: Grants,
    /// Keys that were refused for the hard limit: each is one effect asked for in vain, however often it is executed.
    refused: HashSet<RequestKey, BuildHasherDefault<KeyHasher>>,
}

impl QuotaService {
    /// The service of a scenario, idle and with nothing in store.
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
            require_key: upstream.require_key,
            read_back_lag: upstream.truth.read_back_lag,
            keys: KeyStore::new(upstream.profile, upstream.truth.key_ttl),
            grants: Grants::default(),
            refused: HashSet::default(),
        }
    }

    /// Requests that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether a request is refused on arrival: a read where none are offered, `require-key`, or the queue is full.
    pub fn refuses(&self, request: &Request) -> Option<Status> {
        match request.ask {
            Ask::Read if !self.offers_reads() => return Some(Status::NO_READS),
            Ask::Apply if self.require_key && request.key.is_none() => return Some(Status::BAD_REQUEST),
            Ask::Read | Ask::Apply => {}
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

    /// Whether a replica that lags could hide something from this request: its key, or the grant that it reads.
    ///
    /// A `PUT` asks the ledger itself, since a condition that a replica judges is none.
    pub fn asks_a_replica(&self, now: Instant, request: &Request) -> bool {
        let Some(key) = request.key else { return false };
        match request.ask {
            Ask::Read => self.grants.applied_at(key).is_some(),
            Ask::Apply => self.keys.knows(self.clock.wall(now), key),
        }
    }

    /// A worker begins with `request`; the replica that it asks lies `lag` behind.
    pub fn begin(&mut self, now: Instant, request: &Request, lag: Duration) -> Begun {
        let look = Look { at: now, wall: self.clock.wall(now), lag };
        let begun = match (request.ask, self.capability, request.key) {
            (Ask::Read, _, id) => Begun::Working(Work::Read(self.read(look, id))),
            (Ask::Apply, Capability::PutById, Some(id)) => self.grants.begin(id),
            (Ask::Apply, Capability::IdempotencyKey, Some(key)) => self.keys.begin(look, key, request),
            (Ask::Apply, Capability::ReadBack | Capability::None, _) | (Ask::Apply, _, None) => {
                Begun::Working(Work::Execute)
            }
        };
        if let Begun::Working(_) = begun {
            self.workers_idle -= 1;
        }
        begun
    }

    /// A worker finishes what it began.
    pub fn finish(&mut self, now: Instant, served: Served<'_>) -> Finished {
        self.workers_idle += 1;
        let without_effect = |status, is_replay| Finished { status, effect: None, refused: None, is_replay };
        match (served.work, served.mishap) {
            (Work::Replay(status), _) => without_effect(status, true),
            (Work::Read(_), Mishap::ErrorBefore | Mishap::ErrorAfter) => without_effect(Status::ERROR, false),
            (Work::Read(status), Mishap::None | Mishap::FalseAck) => without_effect(status, false),
            (Work::Execute | Work::ExecuteUnseen, _) => self.execute(now, served),
        }
    }

    fn execute(&mut self, now: Instant, Served { request, work, held, mishap }: Served<'_>) -> Finished {
        let done = if self.capability == Capability::PutById { Status::CREATED } else { Status::OK };
        let fits = self.hard_limit.is_none_or(|limit| held.saturating_add(request.units) <= limit);
        let outcome = if fits { done } else { Status::LIMIT_REACHED };
        let (executed, answered) = match mishap {
            Mishap::None => (Some(outcome), outcome),
            Mishap::ErrorAfter => (Some(outcome), Status::ERROR),
            Mishap::ErrorBefore => (None, Status::ERROR),
            Mishap::FalseAck => (None, done),
        };
        let happened = executed.is_some();
        match (self.capability, request.key) {
            (Capability::PutById, Some(id)) => self.grants.finish(id, now, executed),
            (Capability::IdempotencyKey, Some(key)) if work == Work::Execute => {
                self.keys.finish(key, executed, answered);
            }
            (Capability::ReadBack, Some(id)) if happened && fits => self.grants.note(id, now),
            (Capability::PutById | Capability::IdempotencyKey | Capability::ReadBack | Capability::None, _) => {}
        }
        Finished {
            status: answered,
            effect: (happened && fits).then_some(request.units),
            refused: (happened && !fits && request.key.is_none_or(|key| self.refused.insert(key)))
                .then_some(request.units),
            is_replay: false,
        }
    }

    /// A restart of the key store: all keys are lost. The ledger is not, and with it the ids of grants.
    pub fn lose_keys(&mut self) {
        self.keys.lose_all();
    }

    /// Units a user without any grant holds.
    pub const fn base(&self) -> u32 {
        self.base
    }

    const fn offers_reads(&self) -> bool {
        matches!(self.capability, Capability::PutById | Capability::ReadBack)
    }

    fn read(&self, look: Look, id: Option<RequestKey>) -> Status {
        let own_lag = match self.capability {
            Capability::ReadBack => self.read_back_lag,
            Capability::PutById | Capability::IdempotencyKey | Capability::None => Duration::ZERO,
        };
        let look = Look { lag: look.lag + own_lag, ..look };
        let applied_at = id.and_then(|id| self.grants.applied_at(id));
        if applied_at.is_some_and(|at| look.sees(at)) { Status::OK } else { Status::NOT_FOUND }
    }
}
