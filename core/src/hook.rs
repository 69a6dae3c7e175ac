//! One process's hook: the three machines, wired.
//!
//! Owns the wiring and nothing else: which reply goes to whom, and the bound of the store's clock. A driver feeds it visits,
//! the store's replies and the quota service's answers, performs its outputs, and calls it at its next deadline. The driver
//! takes no decision: recorded inputs, fed to another `Hook`, give the same outputs.
//!
//! * `TIME-1`: the only clock it is told is monotonic; UTC comes from the store's replies.
//!
//! A process that ends loses all of this; the store is what is left.

use std::collections::VecDeque;
use std::time::Duration;

use crate::admission::{Admission, Decision, VisitAnswer, VisitToken};
use crate::audit::AuditEvent;
use crate::committer::{Commit, Committer, Origin, Ticket};
use crate::delivery::config::{ConfigError, DeliveryConfig};
use crate::delivery::{self, AttemptId, Delivery, Send};
use crate::experiment::Experiment;
use crate::identity::UserHandle;
use crate::store::{Admitted, Command, Committed, First, Reply};
use crate::time::{Instant, Now, StoreClock, WallTime};
use crate::upstream::Answer;

/// What happens to the hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<'a> {
    /// The process starts; the first input.
    Started,
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

/// The hook of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    clock: StoreClock,
    admission: Admission,
    committer: Committer,
    delivery: Delivery,
    outputs: VecDeque<Output>,
}

impl Hook {
    /// A hook that has not started. `clock_error` bounds the error of the store's clock.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(experiment: Experiment, delivery: DeliveryConfig, clock_error: Duration) -> Result<Self, ConfigError> {
        delivery.check(clock_error)?;
        Ok(Self {
            clock: StoreClock::new(clock_error),
            admission: Admission::new(experiment),
            committer: Committer::default(),
            delivery: Delivery::new(delivery),
            outputs: VecDeque::new(),
        })
    }

    /// Takes one input. The outputs of the last one must have been drained.
    pub fn handle_input(&mut self, mono: Instant, input: Input<'_>) {
        assert!(self.outputs.is_empty(), "outputs are drained before the next input");
        match input {
            Input::Started => self.submit(mono, Origin::Open, Command::Open),
            Input::Visit { visit, user, user_id } => match self.admission.on_visit(user, user_id) {
                Decision::Answer(answer) => self.outputs.push_back(Output::Answer(visit, answer)),
                Decision::Admit { admit, provisional } => {
                    self.submit(mono, Origin::Visit { visit, user, provisional }, Command::Admit(admit));
                }
            },
            Input::Stored { ticket, reply, draw } => self.on_stored(mono, ticket, reply, draw),
            Input::Answered { attempt, answer, draw } => {
                self.deliver(mono, delivery::Input::Answered { attempt, answer, draw });
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, mono: Instant) {
        assert!(self.outputs.is_empty(), "outputs are drained before the next input");
        self.delivery.handle_timeout(self.clock.now(mono));
        self.drain(mono);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Hook::handle_timeout`] is to be called; `None` while only an input can change anything.
    pub fn next_deadline(&self, mono: Instant) -> Option<Instant> {
        self.delivery.next_deadline(mono)
    }

    /// Requests to the quota service under way.
    pub const fn in_flight(&self) -> u16 {
        self.delivery.in_flight()
    }

    fn on_stored(&mut self, mono: Instant, ticket: Ticket, reply: Reply, draw: u64) {
        let Some(submitted) = self.committer.on_reply(ticket) else { return };
        let (at, result) = match reply {
            Reply::Committed { at, result } => (at, result),
            Reply::Refused => return self.on_not_stored(mono, submitted.origin, draw),
            Reply::Unknown => return self.on_unknown(mono, submitted.origin, draw),
        };
        self.clock.observe(mono, submitted.sent_at, at);
        match (submitted.origin, result) {
            (Origin::Open, Committed::Opened { due_at }) => {
                self.deliver(mono, delivery::Input::Opened { due_in: due_in(at, due_at) });
            }
            (Origin::Visit { visit, user, .. }, Committed::Admitted { record, due_at }) => {
                self.on_admitted(visit, user, record);
                if record.first == First::Exposure && record.grant.is_some() {
                    self.deliver(mono, delivery::Input::Admitted);
                } else if due_at < WallTime::MAX {
                    self.deliver(mono, delivery::Input::MaybeOrphaned { due_in: due_at.since(at) });
                }
            }
            (Origin::Claim, Committed::Claimed { grants, due_at }) => {
                self.deliver(mono, delivery::Input::Claimed { grants, due_in: due_in(at, due_at) });
            }
            (Origin::Settle(attempt), Committed::Settled { due_at }) => {
                self.deliver(mono, delivery::Input::Settled { attempt, due_in: due_in(at, due_at) });
            }
            // A reply that does not fit its command says nothing about it.
            (
                origin,
                Committed::Opened { .. }
                | Committed::Admitted { .. }
                | Committed::Claimed { .. }
                | Committed::Settled { .. },
            ) => self.on_unknown(mono, origin, draw),
        }
    }

    fn on_admitted(&mut self, visit: VisitToken, user: UserHandle, admitted: Admitted) {
        if admitted.first == First::Exposure {
            let exposed = AuditEvent::Exposed { user, variant: admitted.variant };
            self.outputs.push_back(Output::Audit(exposed));
        }
        self.outputs.push_back(Output::Answer(visit, Admission::on_admitted(admitted)));
    }

    /// The command may have been done, now or in a moment.
    fn on_unknown(&mut self, mono: Instant, origin: Origin, draw: u64) {
        self.on_not_stored(mono, origin, draw);
        if let Origin::Visit { .. } = origin {
            self.deliver(mono, delivery::Input::MaybeOrphaned { due_in: Duration::ZERO });
        }
    }

    fn on_not_stored(&mut self, mono: Instant, origin: Origin, draw: u64) {
        match origin {
            Origin::Visit { visit, user, provisional } => {
                let (answer, event) = Admission::on_not_admitted(user, provisional);
                self.outputs.push_back(Output::Audit(event));
                self.outputs.push_back(Output::Answer(visit, answer));
            }
            Origin::Open => self.deliver(mono, delivery::Input::OpenFailed { draw }),
            Origin::Claim => self.deliver(mono, delivery::Input::ClaimFailed { draw }),
            Origin::Settle(attempt) => self.deliver(mono, delivery::Input::SettleFailed { attempt, draw }),
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
                delivery::Output::Claim(claim) => self.submit(mono, Origin::Claim, Command::Claim(claim)),
                delivery::Output::Settle(attempt, settle) => {
                    self.submit(mono, Origin::Settle(attempt), Command::Settle(settle));
                }
                delivery::Output::Send(send) => self.outputs.push_back(Output::Send(send)),
                delivery::Output::Audit(event) => self.outputs.push_back(Output::Audit(event)),
            }
        }
    }

    fn submit(&mut self, mono: Instant, origin: Origin, command: Command) {
        let commit = self.committer.submit(mono, origin, command);
        self.outputs.push_back(Output::Store(commit));
    }
}

/// How long after a reply of the store's time `at` the next grant is due.
///
/// The reply has travelled since `at`, so counting from now wakes late by that much and never early.
fn due_in(at: WallTime, due_at: WallTime) -> Option<Duration> {
    if due_at == WallTime::MAX { None } else { Some(due_at.since(at)) }
}
