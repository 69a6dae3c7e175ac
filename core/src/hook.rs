//! One process's hook: the three machines, wired.
//!
//! Owns the wiring and nothing else: which reply goes to whom, and the bound of the store's clock. A driver feeds it visits,
//! the store's replies and the quota service's answers, performs its outputs, and calls it at its next deadline. The driver
//! takes no decision: recorded inputs, fed to another `Hook`, give the same outputs.
//!
//! * `TIME-1`: the only clock it is told is monotonic; UTC comes from the store's replies.
//!
//! A process that ends loses all of this; the store is what is left. One that is told to stop ([`Input::Stop`]) gives back
//! what it has claimed and not sent, and is done when [`Hook::is_idle`].

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use crate::admission::{Admission, Decision, VisitAnswer, VisitToken};
use crate::audit::AuditEvent;
use crate::committer::{Commit, Committer, CommitterConfig, CommitterConfigError, Origin, Outcome, Resolved, Ticket};
use crate::delivery::config::{ConfigError, DeliveryConfig};
use crate::delivery::{self, AttemptId, Delivery, Send, store_retry};
use crate::identity::UserHandle;
use crate::lineage::Lineage;
use crate::store::{Admitted, Command, Committed, First, Open, Reply};
use crate::time::{Instant, Now, StoreClock, WallTime};
use crate::upstream::Answer;

/// Settings of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HookConfig {
    /// Of delivery.
    pub delivery: DeliveryConfig,
    /// Of commits.
    pub committer: CommitterConfig,
}

impl HookConfig {
    /// Whether the settings fit together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), HookConfigError> {
        self.delivery.check()?;
        self.committer.check()?;
        Ok(())
    }
}

/// Why settings do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HookConfigError {
    /// See there.
    #[error(transparent)]
    Delivery(#[from] ConfigError),
    /// See there.
    #[error(transparent)]
    Committer(#[from] CommitterConfigError),
}

/// What happens to the hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<'a> {
    /// The process starts; the first input.
    Started {
        /// Chance, uniform over all 64 bits: the process is known by it, so no two processes may be given the same, nor an
        /// instance the same after its restart.
        draw: u64,
    },
    /// A user visits.
    Visit {
        /// Names the visit in its answer.
        visit: VisitToken,
        /// The user's number in the store.
        user: UserHandle,
        /// The user's id.
        user_id: &'a [u8],
    },
    /// The store replies.
    Stored {
        /// To what.
        ticket: Ticket,
        /// What.
        reply: Reply,
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
    /// An attempt ended.
    Answered {
        /// Which.
        attempt: AttemptId,
        /// How.
        answer: Answer,
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
    /// Somebody else has changed the store: a grant may be due.
    StoreChanged,
    /// The process is to end.
    Stop,
}

/// What the hook wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Answer a visit.
    Answer(VisitToken, VisitAnswer),
    /// Commit to the store, and feed the reply back under its ticket.
    Store(Commit),
    /// Send a request, and feed its end back, exactly once.
    Send(Send),
    /// Tell the auditor.
    Audit(AuditEvent),
}

/// Where a hook puts what it wants done, in order. A driver that asks for it with [`Hook::poll_output`] needs none of its own.
pub trait Outbox {
    /// The next thing to do.
    fn put(&mut self, output: Output);

    /// Whether everything has been taken out.
    fn is_empty(&self) -> bool;
}

impl Outbox for VecDeque<Output> {
    fn put(&mut self, output: Output) {
        self.push_back(output);
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// The hook of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook<O = VecDeque<Output>> {
    clock: StoreClock,
    admission: Admission,
    committer: Committer,
    delivery: Delivery,
    /// How many versions the store has seen, as far as the process was told.
    versions: u16,
    is_opening: bool,
    /// How often in a row the store was not opened.
    open_failures: u32,
    outbox: O,
}

impl Hook {
    /// A hook that has not started.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(lineage: Lineage, config: HookConfig) -> Result<Self, HookConfigError> {
        Self::with_outbox(lineage, config, VecDeque::new())
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }
}

impl<O: Outbox> Hook<O> {
    /// A hook that has not started and puts its outputs into `outbox`.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn with_outbox(lineage: Lineage, config: HookConfig, outbox: O) -> Result<Self, HookConfigError> {
        config.check()?;
        let HookConfig { delivery, committer } = config;
        Ok(Self {
            clock: StoreClock::new(delivery.clock_error),
            admission: Admission::new(lineage, delivery.protections),
            committer: Committer::new(committer),
            delivery: Delivery::new(delivery),
            versions: 0,
            is_opening: false,
            open_failures: 0,
            outbox,
        })
    }

    /// Takes one input. The outputs of the last one must have been drained.
    pub fn handle_input(&mut self, mono: Instant, input: Input<'_>) {
        assert!(self.outbox.is_empty(), "outputs are drained before the next input");
        // Only what the store did not do is tried again by chance.
        let mut store_draw = 0;
        match input {
            Input::Started { draw } => {
                self.deliver(mono, delivery::Input::Started { draw });
                self.open(mono);
            }
            Input::Visit { visit, user, user_id } => self.on_visit(mono, visit, user, user_id),
            Input::Stored { ticket, reply, draw } => {
                self.on_stored(mono, ticket, reply);
                store_draw = draw;
            }
            Input::Answered { attempt, answer, draw } => {
                self.deliver(mono, delivery::Input::Answered { attempt, answer, draw });
            }
            Input::StoreChanged => self.deliver(mono, delivery::Input::MaybeOrphaned { due_in: Duration::ZERO }),
            Input::Stop => self.deliver(mono, delivery::Input::Stop),
        }
        self.settle_down(mono, store_draw);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, mono: Instant) {
        assert!(self.outbox.is_empty(), "outputs are drained before the next input");
        self.committer.handle_timeout(mono);
        if self.committer.is_to_open(mono) {
            self.open(mono);
        }
        self.delivery.handle_timeout(self.clock.now(mono));
        self.drain(mono);
        self.settle_down(mono, 0);
    }

    /// Where the outputs are.
    pub const fn outbox(&self) -> &O {
        &self.outbox
    }

    /// Where the outputs are.
    pub const fn outbox_mut(&mut self) -> &mut O {
        &mut self.outbox
    }

    /// Takes back the emptied buffer of a commit's commands, so that the next commit need not allocate one. No driver has
    /// to give it back.
    pub fn reuse(&mut self, emptied: Vec<Command>) {
        self.committer.reuse(emptied);
    }

    /// When [`Hook::handle_timeout`] is to be called; `None` while only an input can change anything.
    pub fn next_deadline(&self, mono: Instant) -> Option<Instant> {
        match (self.delivery.next_deadline(mono), self.committer.next_deadline()) {
            (Some(delivery), Some(committer)) => Some(delivery.min(committer)),
            (delivery, committer) => delivery.or(committer),
        }
    }

    /// Requests to the quota service under way.
    pub const fn in_flight(&self) -> u16 {
        self.delivery.in_flight()
    }

    /// The users it may name in an output: a driver whose handles stand for ids forgets all others but those of operations under
    /// way. One may come more than once.
    pub fn users(&self) -> impl Iterator<Item = UserHandle> {
        self.committer.users().chain(self.delivery.users())
    }

    /// Whether nothing is under way: a process that was told to stop may end.
    pub fn is_idle(&self) -> bool {
        self.delivery.is_idle() && self.committer.is_idle()
    }

    /// Registers the version, and asks what others there are.
    fn open(&mut self, mono: Instant) {
        let lineage = self.admission.lineage();
        let open = Open { lineage: lineage.id(), version: lineage.current().version_id() };
        self.is_opening = true;
        self.committer.submit(mono, Origin::Open, Command::Open(open));
    }

    fn on_visit(&mut self, mono: Instant, visit: VisitToken, user: UserHandle, user_id: &[u8]) {
        match self.admission.on_visit(user, user_id) {
            Decision::Answer(answer) => self.outbox.put(Output::Answer(visit, answer)),
            Decision::Store { command, provisional } => {
                self.committer.submit(mono, Origin::Visit { visit, user, provisional }, command);
            }
        }
    }

    fn on_stored(&mut self, mono: Instant, ticket: Ticket, reply: Reply) {
        let read = match &reply {
            Reply::Committed { at, versions, .. } => Some((*at, *versions)),
            Reply::Refused | Reply::Unknown => None,
        };
        let Some(sent_at) = self.committer.on_reply(mono, ticket, reply) else { return };
        if let Some((at, versions)) = read {
            self.clock.observe(mono, sent_at, at);
            self.on_version_count(mono, versions);
        }
    }

    /// A version was opened that this process may not know: it asks which.
    fn on_version_count(&mut self, mono: Instant, versions: u16) {
        if versions != self.versions {
            self.versions = versions;
            self.admission.on_another_version();
            if !self.is_opening {
                self.open(mono);
            }
        }
    }

    /// Hands every known outcome to whom it concerns, and sends what waits.
    fn settle_down(&mut self, mono: Instant, draw: u64) {
        while let Some(Resolved { origin, outcome }) = self.committer.poll_resolved() {
            match outcome {
                Outcome::Done { at, result } => self.on_done(mono, origin, at, result, draw),
                Outcome::Refused => self.on_not_done(mono, origin, draw),
                Outcome::Unknown => self.on_unknown(mono, origin, draw),
            }
        }
        if let Some(commit) = self.committer.poll_commit(mono) {
            self.outbox.put(Output::Store(commit));
        }
    }

    fn on_done(&mut self, mono: Instant, origin: Option<Origin>, at: WallTime, result: Committed, draw: u64) {
        let is_of_visit = matches!(origin, None | Some(Origin::Visit { .. }));
        match result {
            Committed::Admitted { record, due_at } if is_of_visit => {
                self.on_record(origin, Some(record));
                if record.first == First::Exposure && record.grant.is_some() {
                    self.deliver(mono, delivery::Input::Admitted { due_in: due_in(at, due_at) });
                } else {
                    self.maybe_orphaned(mono, at, due_at);
                }
            }
            Committed::Found { record, due_at } if is_of_visit => {
                self.on_record(origin, record);
                self.maybe_orphaned(mono, at, due_at);
            }
            Committed::Claimed { grants, due_at, hold } if origin == Some(Origin::Claim) => {
                self.deliver(mono, delivery::Input::Claimed { grants, due_in: due_in(at, due_at), hold });
            }
            Committed::Settled { due_at } => {
                let Some(Origin::Settle(attempt)) = origin else { return self.on_unknown(mono, origin, draw) };
                self.deliver(mono, delivery::Input::Settled { attempt, due_in: due_in(at, due_at) });
            }
            Committed::Opened { due_at, versions } if origin == Some(Origin::Open) => {
                self.is_opening = false;
                self.open_failures = 0;
                self.committer.opened();
                self.versions = u16::try_from(versions.len()).unwrap_or(u16::MAX);
                self.admission.on_versions(&versions);
                self.deliver(mono, delivery::Input::Opened { due_in: due_in(at, due_at) });
            }
            Committed::Foreign if origin == Some(Origin::Open) => {
                self.is_opening = false;
                self.committer.refused();
                self.outbox.put(Output::Audit(AuditEvent::StoreRefused));
            }
            // A reply that does not fit its command says nothing about it.
            Committed::Opened { .. }
            | Committed::Foreign
            | Committed::Admitted { .. }
            | Committed::Found { .. }
            | Committed::Claimed { .. }
            | Committed::Resolved { .. } => self.on_unknown(mono, origin, draw),
        }
    }

    fn on_record(&mut self, origin: Option<Origin>, record: Option<Admitted>) {
        let answer = self.admission.on_record(record);
        if let Some(Origin::Visit { visit, user, .. }) = origin {
            if let Some(Admitted { variant, first: First::Exposure, .. }) = record {
                self.outbox.put(Output::Audit(AuditEvent::Exposed { user, variant }));
            }
            self.outbox.put(Output::Answer(visit, answer));
        }
    }

    /// Somebody's grant is due at `due_at`; whoever knows of it may be gone.
    fn maybe_orphaned(&mut self, mono: Instant, at: WallTime, due_at: WallTime) {
        if due_at < WallTime::MAX {
            self.deliver(mono, delivery::Input::MaybeOrphaned { due_in: due_at.since(at) });
        }
    }

    /// The command may have been done, now or in a moment.
    #[cold]
    fn on_unknown(&mut self, mono: Instant, origin: Option<Origin>, draw: u64) {
        self.on_not_done(mono, origin, draw);
        if let None | Some(Origin::Visit { .. }) = origin {
            self.deliver(mono, delivery::Input::MaybeOrphaned { due_in: Duration::ZERO });
        }
    }

    #[cold]
    fn on_not_done(&mut self, mono: Instant, origin: Option<Origin>, draw: u64) {
        match origin {
            None => {}
            Some(Origin::Visit { visit, user, provisional }) => {
                let provisionally = AuditEvent::Provisional { user, variant: provisional };
                self.outbox.put(Output::Audit(provisionally));
                self.outbox.put(Output::Answer(visit, VisitAnswer::Provisional { variant: provisional }));
            }
            Some(Origin::Open) => {
                self.is_opening = false;
                // Whoever has opened it before asks again at the next reply.
                self.versions = 0;
                self.open_failures = self.open_failures.saturating_add(1);
                self.committer.open_failed(mono + store_retry(self.open_failures, draw));
            }
            Some(Origin::Claim) => self.deliver(mono, delivery::Input::ClaimFailed { draw }),
            Some(Origin::Settle(attempt)) => self.deliver(mono, delivery::Input::SettleFailed { attempt, draw }),
        }
    }

    fn deliver(&mut self, mono: Instant, input: delivery::Input) {
        let now: Now = self.clock.now(mono);
        self.delivery.handle_input(now, input);
        self.drain(mono);
    }

    fn drain(&mut self, mono: Instant) {
        while let Some(output) = self.delivery.poll_output() {
            match output {
                delivery::Output::Claim(claim) => self.committer.submit(mono, Origin::Claim, Command::Claim(claim)),
                delivery::Output::Settle(attempt, settle) => {
                    self.committer.submit(mono, Origin::Settle(attempt), Command::Settle(settle));
                }
                delivery::Output::Send(send) => self.outbox.put(Output::Send(send)),
                delivery::Output::Audit(event) => self.outbox.put(Output::Audit(event)),
            }
        }
    }
}

/// How long after a reply of the store's time `at` the next grant is due.
///
/// The reply has travelled since `at`, so counting from now wakes late by that much and never early.
fn due_in(at: WallTime, due_at: WallTime) -> Option<Duration> {
    if due_at == WallTime::MAX { None } else { Some(due_at.since(at)) }
}
