//! The simulated store: what commands do is the core's, when and whether they last is told here.
//!
//! Owns latency, durability and failure. A commit changes the *live* image when it arrives; it is *durable*, and
//! acknowledged, one commit latency later. If the store crashes in between, the change vanishes and the process hears
//! nothing certain. What was acknowledged is lost only by a failover that says so, and then the epoch changes, unless the
//! scenario asks for a store that keeps that to itself. The fleet's row and the list of versions are soft state and outlast both.

use std::collections::VecDeque;
use std::time::Duration;

use hookproof_core::committer::{Commit, Ticket};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::UserHandle;
use hookproof_core::store::{Command, Committed, Epoch, First, GrantState, Image, Reply, Saved};
use hookproof_core::time::{Instant, WallTime};

use crate::clock::{Clock, DurableClock};
use crate::scenario::{Authority, FaultKind, Scenario};
use crate::slab::{Key, Slab};

/// A commit on its way through the store.
#[derive(Clone, Debug)]
struct Operation {
    sender: Sender,
    /// What is to be done; emptied once it is.
    commit: Commit,
    /// What the sender will be told, once the commit is executed or refused.
    reply: Option<Reply>,
    facts: Vec<Fact>,
}

/// Who sent a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The instance.
    pub instance: u16,
    /// That instance's process; a reply to another process is nobody's.
    pub process: u32,
    /// The version that process runs.
    pub version: u8,
    /// The how-manieth commit of its instance, which names it in draws.
    pub number: u64,
}

/// A commit that is answered.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Who sent it.
    pub sender: Sender,
    /// Names the reply.
    pub ticket: Ticket,
    /// The reply.
    pub reply: Reply,
    /// What the world learns, as it is durable; the world gives the buffer back by [`SimStore::reuse`].
    pub facts: Vec<Fact>,
    /// The commit's buffer, for its sender.
    pub emptied: Vec<Command>,
}

/// What became durable: the store is a witness of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A first exposure.
    Exposed {
        /// Who.
        user: u32,
        /// To what.
        variant: VariantIndex,
    },
    /// A grant was settled for good.
    Settled {
        /// Whose.
        user: u32,
        /// How.
        state: GrantState,
    },
}

/// What a failover does to the store's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// A new one begins.
    Announced,
    /// Nobody is told that anything was lost.
    Silent,
}

/// What a change has replaced.
#[derive(Clone, Debug)]
struct Entry {
    owner: Key,
    /// [`Instant::MAX`] until then.
    durable_at: Instant,
    saved: Saved,
}

/// One image with what is needed to undo its last changes.
#[derive(Clone, Debug, Default)]
struct Site {
    image: Image,
    /// Oldest first: what a failover may still lose, then what is not yet durable.
    journal: VecDeque<Entry>,
    durable_count: usize,
}

/// The store.
#[derive(Clone, Debug)]
pub struct SimStore {
    /// Its clock.
    pub clock: DurableClock,
    /// One; or one for each instance, where a scenario asks for several authorities.
    sites: Vec<Site>,
    operations: Slab<Operation>,
    /// Emptied buffers, so that a commit need not allocate.
    spare: Vec<Vec<Fact>>,
    /// How far back a failover of the scenario reaches.
    history: Duration,
    epochs: u32,
    is_down: bool,
    /// Faults under way that let it only read.
    read_only: u32,
}

impl SimStore {
    /// An empty store with room for the population of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let population = scenario.users.as_ref().map_or(0, |users| users.population as usize);
        let sites = match scenario.store.authority {
            Authority::One => 1,
            Authority::PerInstance => usize::from(scenario.fleet.instances),
        };
        let lost = scenario
            .faults
            .iter()
            .filter_map(|fault| if let FaultKind::StoreFailover { lost, .. } = fault.kind { Some(lost) } else { None });
        let site = || Site { image: Image::with_capacity(population), ..Site::default() };
        Self {
            clock: DurableClock::new(Clock::new(scenario.start)),
            sites: std::iter::repeat_with(site).take(sites).collect(),
            operations: Slab::default(),
            spare: Vec::new(),
            history: lost.max().unwrap_or_default(),
            epochs: 0,
            is_down: false,
            read_only: 0,
        }
    }

    /// The durable and not yet durable content: of the one store, or of each.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.sites.iter().map(|site| &site.image)
    }

    /// Grants that are neither delivered nor rejected nor parked.
    pub fn open_grants(&self) -> u64 {
        self.images().map(|image| image.counts().pending + image.counts().claimed).sum()
    }

    /// A process sends a commit.
    pub fn send(&mut self, sender: Sender, commit: Commit) -> Key {
        let facts = self.spare.pop().unwrap_or_default();
        self.operations.insert(Operation { sender, commit, reply: None, facts })
    }

    /// Takes back the facts of a commit.
    pub fn reuse(&mut self, mut facts: Vec<Fact>) {
        facts.clear();
        self.spare.push(facts);
    }

    /// Who sent a commit.
    pub fn sender(&self, key: Key) -> Option<Sender> {
        self.operations.get(key).map(|operation| operation.sender)
    }

    /// The store does not execute a commit, and says so.
    pub fn refuse(&mut self, key: Key) {
        if let Some(operation) = self.operations.get_mut(key) {
            operation.reply = Some(Reply::Refused);
        }
    }

    /// A commit was executed, and its answer will say nothing.
    pub fn lose_answer(&mut self, key: Key) {
        if let Some(operation) = self.operations.get_mut(key) {
            operation.reply = Some(Reply::Unknown);
        }
    }

    /// A commit arrives. Returns whether its answer waits until something is durable: its own changes, or some that it has
    /// read.
    pub fn execute(&mut self, key: Key, at: Instant) -> bool {
        let now = self.clock.read(at);
        let Some(operation) = self.operations.get_mut(key).filter(|operation| operation.reply.is_none()) else {
            return false;
        };
        let place = if self.sites.len() > 1 { usize::from(operation.sender.instance) } else { 0 };
        let site = &mut self.sites[place];
        let Operation { commit: Commit { commands, into, .. }, reply, facts, .. } = operation;
        let may_write = !self.is_down && self.read_only == 0;
        if self.is_down || !may_write && commands.iter().any(|command| site.image.writes(now, command)) {
            *reply = Some(Reply::Refused);
            return false;
        }
        let mut results = std::mem::take(into);
        let mut waits = false;
        for command in commands.drain(..) {
            let writes = site.image.writes(now, &command);
            waits = waits || writes || site.reads_undurable(&command);
            if writes {
                site.remember(key, now, &command);
            }
            results.push(site.apply(now, command, facts));
        }
        *reply = Some(Reply::Committed { at: now, versions: site.image.version_count(), results });
        waits
    }

    /// A commit is answered; what it changed is durable from here on.
    #[inline(never)]
    pub fn acknowledge(&mut self, key: Key, at: Instant) -> Option<Acknowledged> {
        let Operation { sender, commit, reply, facts } = self.operations.get_mut(key)?;
        let acknowledged = Acknowledged {
            sender: *sender,
            ticket: commit.ticket,
            reply: reply.take().unwrap_or(Reply::Unknown),
            facts: std::mem::take(facts),
            emptied: std::mem::take(&mut commit.commands),
        };
        self.operations.clear(key);
        for site in self.sites.iter_mut().filter(|site| !site.journal.is_empty()) {
            site.made_durable(key, at, self.history);
        }
        Some(acknowledged)
    }

    /// The store crashes: what is not durable vanishes, and whoever waits for an answer learns nothing certain.
    pub fn crash(&mut self) {
        self.is_down = true;
        self.undo_back_to(Instant::MAX);
    }

    /// The store is up again.
    pub const fn recover(&mut self) {
        self.is_down = false;
    }

    /// From here on, or for one fault less, it only reads.
    pub const fn set_read_only(&mut self, change: ReadOnly) {
        match change {
            ReadOnly::Begins => self.read_only += 1,
            ReadOnly::Ends => self.read_only = self.read_only.saturating_sub(1),
        }
    }

    /// A replica takes over that lags by `lost`: what became durable within it vanishes, too.
    ///
    /// Returns the users of whom it knows nothing any more, though it had acknowledged them: each may be named more than once.
    pub fn fail_over(&mut self, at: Instant, lost: Duration, failover: Failover) -> Vec<u32> {
        let back_to = Instant::from_nanos(at.as_nanos().saturating_sub(hookproof_core::time::nanos(lost)));
        let forgotten = self.undo_back_to(back_to);
        if failover == Failover::Announced {
            self.epochs += 1;
            let now = self.clock.read(at);
            for site in &mut self.sites {
                site.image.begin_epoch(now, Epoch(self.epochs));
            }
        }
        forgotten
    }

    /// Undoes what was not durable at `at`, and tells who is forgotten by it although the record was durable.
    fn undo_back_to(&mut self, at: Instant) -> Vec<u32> {
        let mut forgotten = Vec::new();
        for site in &mut self.sites {
            while site.journal.back().is_some_and(|entry| entry.durable_at >= at) {
                let Some(Entry { durable_at, saved, .. }) = site.journal.pop_back() else { break };
                let user = saved.user();
                site.image.restore(saved);
                if durable_at < Instant::MAX && site.image.grant_state(user).is_none() {
                    forgotten.push(u32::try_from(user.0).expect("users are numbered by u32 in the simulator"));
                }
            }
            site.durable_count = site.durable_count.min(site.journal.len());
        }
        let under_way: Vec<Key> = self.operations.iter().map(|(key, _)| key).collect();
        for key in under_way {
            let Some(operation) = self.operations.get_mut(key) else { continue };
            // Also of a commit whose answer is lost anyhow: what it did is undone, and no fact.
            operation.facts.clear();
            if let Some(Reply::Committed { .. }) = operation.reply {
                operation.reply = Some(Reply::Unknown);
            }
        }
        forgotten
    }
}

/// Whether a stretch of reading only begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOnly {
    /// It begins.
    Begins,
    /// It ends.
    Ends,
}

impl Site {
    /// Whether a command reads what is not yet durable.
    fn reads_undurable(&self, command: &Command) -> bool {
        let user = match command {
            Command::Admit(admit) => admit.user,
            Command::Find(user) => *user,
            Command::Open(_) | Command::Claim(_) | Command::Settle(_) | Command::Resolve(_) => return false,
        };
        (self.durable_count..self.journal.len()).any(|place| self.journal[place].saved.user() == user)
    }

    /// Executes a command and notes what it shows.
    fn apply(&mut self, now: WallTime, command: Command, facts: &mut Vec<Fact>) -> Committed {
        let subject = match &command {
            Command::Settle(settle) => Some((settle.user, self.image.grant_state(settle.user))),
            Command::Resolve(resolve) => Some((resolve.user, self.image.grant_state(resolve.user))),
            Command::Admit(admit) => Some((admit.user, None)),
            Command::Open(_) | Command::Find(_) | Command::Claim(_) => None,
        };
        let result = self.image.apply(now, command);
        facts.extend(subject.and_then(|(user, before)| fact(&self.image, &result, user, before)));
        result
    }

    /// Keeps what a command will change.
    fn remember(&mut self, owner: Key, now: WallTime, command: &Command) {
        let Self { image, journal, .. } = self;
        let entry = |user| Entry { owner, durable_at: Instant::MAX, saved: image.save(user) };
        match command {
            Command::Open(_) | Command::Find(_) => {}
            Command::Admit(admit) => journal.push_back(entry(admit.user)),
            Command::Settle(settle) => journal.push_back(entry(settle.user)),
            Command::Resolve(resolve) => journal.push_back(entry(resolve.user)),
            Command::Claim(claim) => journal.extend(image.claimable(now, claim.limit).map(entry)),
        }
    }

    /// What `owner` has changed is durable; what is older than `history` can't be lost any more.
    fn made_durable(&mut self, owner: Key, at: Instant, history: Duration) {
        while let Some(entry) = self.journal.get_mut(self.durable_count).filter(|entry| entry.owner == owner) {
            entry.durable_at = at;
            self.durable_count += 1;
        }
        while self.durable_count > 0 && self.journal.front().is_some_and(|entry| entry.durable_at + history <= at) {
            self.journal.pop_front();
            self.durable_count -= 1;
        }
    }
}

/// What a durable command shows of a user whose grant was in state `before`.
fn fact(image: &Image, result: &Committed, user: UserHandle, before: Option<GrantState>) -> Option<Fact> {
    let number = u32::try_from(user.0).expect("users are numbered by u32 in the simulator");
    match result {
        Committed::Admitted { record, .. } if record.first == First::Exposure => {
            Some(Fact::Exposed { user: number, variant: record.variant })
        }
        Committed::Settled { .. } | Committed::Resolved { .. } => {
            let state = image.grant_state(user)?;
            let is_final = match state {
                GrantState::Delivered | GrantState::Rejected | GrantState::Parked => true,
                GrantState::Pending | GrantState::Claimed => false,
            };
            (is_final && before != Some(state)).then_some(Fact::Settled { user: number, state })
        }
        Committed::Admitted { .. }
        | Committed::Found { .. }
        | Committed::Opened { .. }
        | Committed::Foreign
        | Committed::Claimed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookproof_core::classify::Doubt;
    use hookproof_core::identity::GrantId;
    use hookproof_core::store::{Admit, Claim, ClaimNonce, FleetLimits, GrantIntent};

    use super::*;

    const SENDER: Sender = Sender { instance: 0, process: 0, version: 0, number: 1 };

    fn store() -> SimStore {
        SimStore {
            clock: DurableClock::new(Clock::new(WallTime::from_unix_nanos(1))),
            sites: vec![Site::default()],
            operations: Slab::default(),
            spare: Vec::new(),
            history: Duration::ZERO,
            epochs: 0,
            is_down: false,
            read_only: 0,
        }
    }

    fn admit(user: u64) -> Command {
        let grant = Some(GrantIntent { id: GrantId::from_bytes([1; 16]), units: 25 });
        Command::Admit(Admit { user: UserHandle(user), variant: VariantIndex::new(1), generation: 0, grant })
    }

    fn claim() -> Command {
        let fleet = FleetLimits { initial_in_flight: 9, max_in_flight: 9, effects_per_minute: 9 };
        Command::Claim(Claim { nonce: ClaimNonce(1), limit: 9, fleet, lease: Duration::from_secs(1), into: Vec::new() })
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn send<const N: usize>(store: &mut SimStore, commands: [Command; N]) -> Key {
        store.send(SENDER, Commit { ticket: Ticket(0), commands: commands.into(), into: Vec::new() })
    }

    fn committed<const N: usize>(store: &mut SimStore, seconds: u64, commands: [Command; N]) -> Acknowledged {
        let key = send(store, commands);
        store.execute(key, at(seconds));
        store.acknowledge(key, at(seconds)).unwrap()
    }

    #[test]
    fn a_crash_takes_back_what_was_not_acknowledged_and_nothing_else() {
        let mut store = store();
        let Acknowledged { reply, facts, .. } = committed(&mut store, 0, [admit(0)]);
        assert!(matches!(reply, Reply::Committed { .. }));
        assert_eq!(facts, [Fact::Exposed { user: 0, variant: VariantIndex::new(1) }]);
        let before = store.sites[0].image.clone();

        let lost = [send(&mut store, [admit(1), admit(2)]), send(&mut store, [claim()])];
        for key in lost {
            store.execute(key, Instant::ORIGIN);
        }
        assert_eq!(store.sites[0].image.counts().claimed, 3);
        let reader = send(&mut store, [Command::Find(UserHandle(1))]);
        assert!(store.execute(reader, Instant::ORIGIN), "a read of what is not durable waits for it");
        store.crash();
        let image = &store.sites[0].image;
        assert_eq!(image.counts(), before.counts());
        assert_eq!(image.variant(UserHandle(1)), None);
        assert_eq!(image.grant_state(UserHandle(0)), Some(GrantState::Pending));
        for key in lost.into_iter().chain([reader]) {
            let Acknowledged { reply, facts, .. } = store.acknowledge(key, at(1)).unwrap();
            assert_eq!((reply, facts), (Reply::Unknown, vec![]));
        }
    }

    /// 1. A commit is executed, and its answer will be lost. 2. The store crashes before it is durable. What never lasted is no fact.
    #[test]
    fn a_crash_takes_back_what_nobody_would_have_been_told_of() {
        for crashes in [false, true] {
            let mut store = store();
            let lost = send(&mut store, [admit(0)]);
            store.execute(lost, Instant::ORIGIN);
            store.lose_answer(lost);
            if crashes {
                store.crash();
            }
            let Acknowledged { reply, facts, .. } = store.acknowledge(lost, at(1)).unwrap();
            let exposed = Fact::Exposed { user: 0, variant: VariantIndex::new(1) };
            assert_eq!((reply, facts), (Reply::Unknown, if crashes { vec![] } else { vec![exposed] }));
            assert_eq!(store.sites[0].image.variant(UserHandle(0)).is_some(), !crashes);
        }
    }

    #[test]
    fn a_repeated_admission_reads_and_does_not_write() {
        let mut store = store();
        for writes in [true, false] {
            let key = send(&mut store, [admit(3)]);
            assert_eq!(store.execute(key, Instant::ORIGIN), writes);
            store.acknowledge(key, Instant::ORIGIN);
        }
    }

    #[test]
    fn a_failover_loses_the_last_commits_and_puts_what_is_left_in_doubt() {
        let mut store = SimStore { history: Duration::from_secs(5), ..store() };
        for seconds in 0..4 {
            committed(&mut store, seconds, [admit(seconds)]);
        }
        store.fail_over(at(4), Duration::from_secs(2), Failover::Announced);
        let image = &store.sites[0].image;
        assert_eq!((image.counts().admitted, image.epoch()), (2, Epoch(1)));
        assert_eq!(image.variant(UserHandle(2)), None);
        let Acknowledged { reply, .. } = committed(&mut store, 5, [claim()]);
        let Reply::Committed { results, .. } = reply else { unreachable!("the store is up") };
        let Committed::Claimed { grants, .. } = &results[0] else { unreachable!("a claim was sent") };
        assert!(grants.iter().all(|grant| grant.doubt == Doubt::InDoubt));
        assert_eq!(grants.len(), 2);
    }

    #[test]
    fn a_silent_failover_changes_no_epoch() {
        let mut store = SimStore { history: Duration::from_secs(5), ..store() };
        committed(&mut store, 0, [admit(0)]);
        store.fail_over(at(0), Duration::from_secs(2), Failover::Silent);
        assert_eq!((store.sites[0].image.counts().admitted, store.sites[0].image.epoch()), (0, Epoch(0)));
    }

    #[test]
    fn a_store_that_only_reads_refuses_every_commit_that_writes() {
        let mut store = store();
        committed(&mut store, 0, [admit(0)]);
        store.set_read_only(ReadOnly::Begins);
        assert!(matches!(committed(&mut store, 1, [admit(0)]).reply, Reply::Committed { .. }));
        assert_eq!(committed(&mut store, 1, [admit(0), admit(1)]).reply, Reply::Refused);
        store.set_read_only(ReadOnly::Ends);
        assert!(matches!(committed(&mut store, 2, [admit(1)]).reply, Reply::Committed { .. }));
    }
}
