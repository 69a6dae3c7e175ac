//! The simulated store: what commands do is the core's, when and whether they last is told here.
//!
//! Owns latency, durability and failure. A command changes the *live* image when it arrives; its commit is *durable*, and
//! acknowledged, one commit latency later. If the store crashes in between, the change vanishes and the process hears
//! nothing certain. What was acknowledged is never lost.

use std::collections::VecDeque;

use hookproof_core::committer::Ticket;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::UserHandle;
use hookproof_core::store::{Command, Committed, First, GrantState, Image, Reply, Saved};
use hookproof_core::time::Instant;

use crate::clock::{Clock, DurableClock};
use crate::scenario::Scenario;
use crate::slab::{Key, Slab};

/// A command on its way through the store.
#[derive(Clone, Debug)]
struct Operation {
    sender: Sender,
    ticket: Ticket,
    stage: Stage,
    fact: Option<Fact>,
}

/// Who sent a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The instance.
    pub instance: u16,
    /// That instance's process; a reply to another process is nobody's.
    pub process: u32,
    /// The version that process runs.
    pub version: u8,
    /// The how-manieth command of its instance, which names it in draws.
    pub number: u64,
}

/// A command that is answered.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Who sent it.
    pub sender: Sender,
    /// Names the reply.
    pub ticket: Ticket,
    /// The reply.
    pub reply: Reply,
    /// What the world learns, as it is durable.
    pub fact: Option<Fact>,
}

#[derive(Clone, Debug)]
enum Stage {
    Sent(Command),
    Done(Reply),
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

/// The store.
#[derive(Clone, Debug)]
pub struct SimStore {
    /// Its clock.
    pub clock: DurableClock,
    image: Image,
    operations: Slab<Operation>,
    /// What the live image held before changes that are not yet durable, oldest first.
    journal: VecDeque<(Key, Saved)>,
    is_down: bool,
}

impl SimStore {
    /// An empty store with room for the population of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let population = scenario.users.as_ref().map_or(0, |users| users.population);
        Self {
            clock: DurableClock::new(Clock::new(scenario.start)),
            image: Image::with_capacity(population as usize),
            operations: Slab::default(),
            journal: VecDeque::new(),
            is_down: false,
        }
    }

    /// The durable and not yet durable content.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// A process sends a command.
    pub fn send(&mut self, sender: Sender, ticket: Ticket, command: Command) -> Key {
        let stage = Stage::Sent(command);
        self.operations.insert(Operation { sender, ticket, stage, fact: None })
    }

    /// Who sent a command.
    pub fn sender(&self, key: Key) -> Option<Sender> {
        self.operations.get(key).map(|operation| operation.sender)
    }

    /// The store does not execute a command, and says so.
    pub fn refuse(&mut self, key: Key) {
        if let Some(operation) = self.operations.get_mut(key) {
            operation.stage = Stage::Done(Reply::Refused);
        }
    }

    /// A command arrives. Returns whether its answer waits for a commit: its own, or one that it has read.
    pub fn execute(&mut self, key: Key, at: Instant) -> bool {
        if self.is_down {
            self.refuse(key);
            return false;
        }
        let now = self.clock.read(at);
        let Some(operation) = self.operations.get_mut(key) else { return false };
        let Stage::Sent(command) = std::mem::replace(&mut operation.stage, Stage::Done(Reply::Unknown)) else {
            return false;
        };
        let writes = self.image.writes(&command);
        if writes {
            journal(&mut self.journal, &self.image, key, now, &command);
        }
        let reads_undurable = match &command {
            Command::Admit(admit) => self.journal.iter().any(|(_, saved)| saved.user() == admit.user),
            Command::Open | Command::Claim(_) | Command::Settle(_) => false,
        };
        let subject = match &command {
            Command::Settle(settle) => Some((settle.user, self.image.grant_state(settle.user))),
            Command::Admit(admit) => Some((admit.user, None)),
            Command::Open | Command::Claim(_) => None,
        };
        let result = self.image.apply(now, command);
        operation.fact = subject.and_then(|(user, before)| fact(&self.image, &result, user, before));
        operation.stage = Stage::Done(Reply::Committed { at: now, result });
        writes || reads_undurable
    }

    /// A command is answered; what it changed is durable from here on.
    pub fn acknowledge(&mut self, key: Key) -> Option<Acknowledged> {
        let Operation { sender, ticket, stage, fact } = self.operations.remove(key)?;
        while self.journal.front().is_some_and(|(owner, _)| *owner == key) {
            self.journal.pop_front();
        }
        let reply = match stage {
            Stage::Done(reply) => reply,
            Stage::Sent(_) => Reply::Unknown,
        };
        Some(Acknowledged { sender, ticket, reply, fact })
    }

    /// The store crashes: what is not durable vanishes, and whoever waits for an answer learns nothing certain.
    pub fn crash(&mut self) {
        self.is_down = true;
        while let Some((_, saved)) = self.journal.pop_back() {
            self.image.restore(saved);
        }
        let under_way: Vec<Key> = self.operations.iter().map(|(key, _)| key).collect();
        for key in under_way {
            if let Some(operation) = self.operations.get_mut(key)
                && let Stage::Done(Reply::Committed { .. }) = operation.stage
            {
                operation.stage = Stage::Done(Reply::Unknown);
                operation.fact = None;
            }
        }
    }

    /// The store is up again.
    pub const fn recover(&mut self) {
        self.is_down = false;
    }
}

/// Remembers what a command will change.
fn journal(
    journal: &mut VecDeque<(Key, Saved)>,
    image: &Image,
    key: Key,
    now: hookproof_core::time::WallTime,
    command: &Command,
) {
    match command {
        Command::Open => {}
        Command::Admit(admit) => journal.push_back((key, image.save(admit.user))),
        Command::Settle(settle) => journal.push_back((key, image.save(settle.user))),
        Command::Claim(claim) => {
            journal.extend(image.claimable(now, claim.limit).map(|user| (key, image.save(user))));
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
        Committed::Settled { .. } => {
            let state = image.grant_state(user)?;
            let is_final = match state {
                GrantState::Delivered | GrantState::Rejected | GrantState::Parked => true,
                GrantState::Pending | GrantState::Claimed => false,
            };
            (is_final && before != Some(state)).then_some(Fact::Settled { user: number, state })
        }
        Committed::Admitted { .. } | Committed::Opened { .. } | Committed::Claimed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookproof_core::identity::GrantId;
    use hookproof_core::store::{Admit, Claim, GrantIntent};

    use super::*;

    const SENDER: Sender = Sender { instance: 0, process: 0, version: 0, number: 1 };

    fn store() -> SimStore {
        SimStore {
            clock: DurableClock::new(Clock::new(hookproof_core::time::WallTime::from_unix_nanos(1))),
            image: Image::default(),
            operations: Slab::default(),
            journal: VecDeque::new(),
            is_down: false,
        }
    }

    fn admit(user: u64) -> Command {
        let grant = Some(GrantIntent { id: GrantId::from_bytes([1; 16]), units: 25 });
        Command::Admit(Admit { user: UserHandle(user), variant: VariantIndex::new(1), grant })
    }

    #[test]
    fn a_crash_takes_back_what_was_not_acknowledged_and_nothing_else() {
        let mut store = store();
        let kept = store.send(SENDER, Ticket(0), admit(0));
        assert!(store.execute(kept, Instant::ORIGIN));
        let Acknowledged { reply, fact, .. } = store.acknowledge(kept).unwrap();
        assert!(matches!(reply, Reply::Committed { .. }));
        assert_eq!(fact, Some(Fact::Exposed { user: 0, variant: VariantIndex::new(1) }));
        let before = store.image.clone();

        let claim = Claim { limit: 9, lease: Duration::from_secs(1), into: Vec::new() };
        let lost = [store.send(SENDER, Ticket(1), admit(1)), store.send(SENDER, Ticket(2), Command::Claim(claim))];
        for key in lost {
            store.execute(key, Instant::ORIGIN);
        }
        assert_eq!(store.image.counts().claimed, 2);
        let reader = store.send(SENDER, Ticket(3), admit(1));
        assert!(store.execute(reader, Instant::ORIGIN), "a read of what is not durable waits for it");
        store.crash();
        assert_eq!(store.image.counts(), before.counts());
        assert_eq!(store.image.variant(UserHandle(1)), None);
        assert_eq!(store.image.grant_state(UserHandle(0)), Some(GrantState::Pending));
        for key in lost.into_iter().chain([reader]) {
            let Acknowledged { reply, fact, .. } = store.acknowledge(key).unwrap();
            assert_eq!((reply, fact), (Reply::Unknown, None));
        }
    }

    #[test]
    fn a_repeated_admission_reads_and_does_not_write() {
        let mut store = store();
        for (ticket, writes) in [(0, true), (1, false)] {
            let key = store.send(SENDER, Ticket(ticket), admit(3));
            assert_eq!(store.execute(key, Instant::ORIGIN), writes);
            store.acknowledge(key);
        }
    }
}
