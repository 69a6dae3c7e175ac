//! Between the machines and the store: which commands share a commit, and what its outcome means for each of them.
//!
//! Owns the queue of commands and the one commit that is under way. While a commit is under way, commands gather; what has
//! gathered goes out together when the reply comes (group commit, without a timer that would cost an idle store latency).
//! Nothing but [`Command::Open`] goes to a store that is not known to be ours. Of what commands do it knows only that
//! [`Command::Find`] writes nothing.
//!
//! * An unknown outcome is never taken for one of the two it can be. A visit's admission goes out once more: it finds what
//!   the first one made, or makes it. Claims and settlements are told that nothing is known; their machines live with that.
//! * A store that can't write may still read. The visits of a refused commit that may have written are *looked up*, together
//!   and with nothing else, once: a record that is found answers the visit, whatever was submitted. An admission that finds
//!   none stays refused. So a store that refuses everything is sent one commit more for each one with visits.
//! * A visit waits for the store no longer than [`CommitterConfig::patience`]; then its answer rests on nothing recorded.
//! * Each submitted command is resolved exactly once.
//!
//! Time enters as an argument, chance with the reply. Read next: `tests/read_only_store.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use crate::admission::VisitToken;
use crate::delivery::AttemptId;
use crate::experiment::VariantIndex;
use crate::identity::UserHandle;
use crate::store::{Command, Committed, Reply};
use crate::time::{Instant, WallTime};

/// Names a commit under way; every one of a process has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommitterConfig {
    /// Commands in one commit at most; default 128.
    pub batch_max: u16,
    /// How long a visit waits for the store; default 1 s.
    pub patience: Duration,
}

impl Default for CommitterConfig {
    fn default() -> Self {
        Self { batch_max: 128, patience: Duration::from_secs(1) }
    }
}

impl CommitterConfig {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// What does not.
    pub const fn check(&self) -> Result<(), CommitterConfigError> {
        if self.batch_max == 0 || self.patience.is_zero() { Err(CommitterConfigError) } else { Ok(()) }
    }
}

/// Nothing would ever be committed; raise the setting that is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("commit-batch and store-patience must not be zero")]
pub struct CommitterConfigError;

/// Who waits for a command's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The process's start, or a version that the process has not heard of.
    Open,
    /// A visit.
    Visit {
        /// Which.
        visit: VisitToken,
        /// Whose.
        user: UserHandle,
        /// What an answer shows that rests on no record.
        provisional: VariantIndex,
    },
    /// The claim of the lane.
    Claim,
    /// The settlement of an attempt.
    Settle(AttemptId),
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done at this time of the store.
    Done {
        /// The store's time at the commit.
        at: WallTime,
        /// The result.
        result: Committed,
    },
    /// It was not done and will not be.
    Refused,
    /// It may or may not have been done.
    Unknown,
}

/// A command whose outcome is known, as far as it ever will be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolved {
    /// Who waits; `None` if that one has been told to wait no longer.
    pub origin: Option<Origin>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Several commands that the store does together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Names the reply.
    pub ticket: Ticket,
    /// What to do, in this order.
    pub commands: Vec<Command>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    origin: Option<Origin>,
    /// A visit keeps its own while it is under way, to read back with.
    command: Option<Command>,
    submitted_at: Instant,
    /// It has been under way before, and nobody knows what came of it.
    is_read_back: bool,
    /// It has been refused, and only a record is looked for.
    is_lookup: bool,
}

impl Waiting {
    /// Whether a visit waits for it.
    const fn is_visit(&self) -> bool {
        matches!(self.origin, Some(Origin::Visit { .. }))
    }

    /// Whether it can have been refused because the store can't write.
    const fn may_write(&self) -> bool {
        !self.is_lookup && !matches!(self.command, Some(Command::Find(_)))
    }

    fn take_command(&mut self) -> Option<Command> {
        match self.origin {
            Some(Origin::Visit { user, .. }) if self.is_lookup => Some(Command::Find(user)),
            Some(Origin::Visit { .. }) => self.command.clone(),
            None | Some(Origin::Open | Origin::Claim | Origin::Settle(_)) => self.command.take(),
        }
    }

    /// What a result means for the command that was submitted.
    fn done(&self, at: WallTime, result: Committed) -> Outcome {
        let is_admission = matches!(self.command, Some(Command::Admit(_)));
        let is_missing = matches!(result, Committed::Found { record: None, .. });
        if is_admission && is_missing { self.not_done() } else { Outcome::Done { at, result } }
    }

    /// What it means that its last commit did nothing: what is read back may have been done by the one before.
    const fn not_done(&self) -> Outcome {
        if self.is_read_back { Outcome::Unknown } else { Outcome::Refused }
    }

    /// What it means that nobody knows what its last commit did: a lookup did nothing.
    const fn unheard(&self) -> Outcome {
        if self.is_lookup { self.not_done() } else { Outcome::Unknown }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UnderWay {
    ticket: Ticket,
    sent_at: Instant,
    entries: Vec<Waiting>,
}

/// How far the process is with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gate {
    /// It is ours.
    Open,
    /// Only [`Command::Open`] may go out.
    Opening,
    /// It could not be opened, and is left alone until this time.
    ClosedUntil(Instant),
    /// It belongs to somebody else.
    Foreign,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Committer {
    config: CommitterConfig,
    gate: Gate,
    queue: VecDeque<Waiting>,
    under_way: Option<UnderWay>,
    tickets: u32,
    resolved: VecDeque<Resolved>,
}

impl Committer {
    /// A machine that has nothing to do.
    pub const fn new(config: CommitterConfig) -> Self {
        Self {
            config,
            gate: Gate::Opening,
            queue: VecDeque::new(),
            under_way: None,
            tickets: 0,
            resolved: VecDeque::new(),
        }
    }

    /// Takes a command.
    pub fn submit(&mut self, now: Instant, origin: Origin, command: Command) {
        let is_open = origin == Origin::Open;
        match self.gate {
            Gate::Foreign | Gate::ClosedUntil(_) if !is_open || self.gate == Gate::Foreign => {
                self.resolved.push_back(Resolved { origin: Some(origin), outcome: Outcome::Refused });
                return;
            }
            Gate::ClosedUntil(_) => self.gate = Gate::Opening,
            Gate::Open | Gate::Opening | Gate::Foreign => {}
        }
        let waiting = Waiting {
            origin: Some(origin),
            command: Some(command),
            submitted_at: now,
            is_read_back: false,
            is_lookup: false,
        };
        if is_open {
            self.queue.push_front(waiting);
        } else {
            self.queue.push_back(waiting);
        }
    }

    /// The next commit to be sent, if none is under way and something waits.
    pub fn poll_commit(&mut self, now: Instant) -> Option<Commit> {
        if self.under_way.is_some() {
            return None;
        }
        let waiting = match self.gate {
            Gate::Open => self.next_batch(),
            Gate::Opening => usize::from(self.queue.front().is_some_and(|first| first.origin == Some(Origin::Open))),
            Gate::ClosedUntil(_) | Gate::Foreign => 0,
        };
        if waiting == 0 {
            return None;
        }
        let ticket = Ticket(self.tickets);
        self.tickets = self.tickets.wrapping_add(1);
        let mut entries: Vec<Waiting> = self.queue.drain(..waiting).collect();
        let commands = entries.iter_mut().filter_map(Waiting::take_command).collect();
        self.under_way = Some(UnderWay { ticket, sent_at: now, entries });
        Some(Commit { ticket, commands })
    }

    /// Takes a reply and returns when the commit was sent; `None` if no such commit is under way.
    pub fn on_reply(&mut self, now: Instant, ticket: Ticket, reply: Reply) -> Option<Instant> {
        let UnderWay { sent_at, entries, .. } = self.under_way.take_if(|commit| commit.ticket == ticket)?;
        match reply {
            // A reply that does not fit its commit says nothing about it.
            Reply::Committed { at, results, .. } if results.len() == entries.len() => {
                for (entry, result) in entries.into_iter().zip(results) {
                    let outcome = entry.done(at, result);
                    self.resolve(entry.origin, outcome);
                }
            }
            Reply::Refused => self.on_refused(now, entries),
            Reply::Committed { .. } | Reply::Unknown => self.on_unknown(now, entries),
        }
        Some(sent_at)
    }

    /// The store is ours: everything may go out.
    pub fn opened(&mut self) {
        self.gate = Gate::Open;
    }

    /// The store could not be opened; what waits is refused, and so is what comes until `again_at`.
    pub fn open_failed(&mut self, again_at: Instant) {
        if self.gate == Gate::Opening {
            self.gate = Gate::ClosedUntil(again_at);
            self.refuse_all();
        }
    }

    /// The store belongs to somebody else: nothing will ever go out.
    pub fn refused(&mut self) {
        self.gate = Gate::Foreign;
        self.refuse_all();
    }

    /// Whether it is time to open the store again.
    pub fn is_to_open(&self, now: Instant) -> bool {
        matches!(self.gate, Gate::ClosedUntil(until) if until <= now)
    }

    /// Lets visits go that have waited too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let patience = self.config.patience;
        let is_late = |entry: &Waiting| entry.is_visit() && entry.submitted_at + patience <= now;
        let under_way = self.under_way.iter_mut().flat_map(|commit| &mut commit.entries);
        for entry in under_way.filter(|entry| is_late(entry)) {
            let outcome = entry.unheard();
            self.resolved.push_back(Resolved { origin: entry.origin.take(), outcome });
        }
        if self.queue.iter().any(is_late) {
            let (late, in_time): (VecDeque<Waiting>, VecDeque<Waiting>) = self.queue.drain(..).partition(is_late);
            self.queue = in_time;
            for entry in late {
                let outcome = entry.not_done();
                self.resolve(entry.origin, outcome);
            }
        }
    }

    /// When [`Committer::handle_timeout`] is to be called, or the store opened again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waits = |entry: &&Waiting| entry.is_visit();
        let under_way = self.under_way.iter().flat_map(|commit| &commit.entries).find(waits);
        let queued = self.queue.iter().find(waits);
        let oldest = under_way.into_iter().chain(queued).map(|entry| entry.submitted_at + self.config.patience).min();
        match self.gate {
            Gate::ClosedUntil(until) => Some(oldest.map_or(until, |at| at.min(until))),
            Gate::Open | Gate::Opening | Gate::Foreign => oldest,
        }
    }

    /// The next command whose outcome is known.
    pub fn poll_resolved(&mut self) -> Option<Resolved> {
        self.resolved.pop_front()
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.queue.is_empty() && self.resolved.is_empty()
    }

    /// How many of those that wait go out together: lookups share their commit with nothing that may write, and so does
    /// [`Command::Open`], which a store that only reads may still answer.
    fn next_batch(&self) -> usize {
        if self.queue.front().is_some_and(|first| first.origin == Some(Origin::Open)) {
            return 1;
        }
        let is_lookup = self.queue.front().is_some_and(|first| first.is_lookup);
        let alike = self.queue.iter().take_while(|entry| entry.is_lookup == is_lookup);
        alike.take(usize::from(self.config.batch_max)).count()
    }

    fn on_refused(&mut self, now: Instant, entries: Vec<Waiting>) {
        let may_read = entries.iter().any(Waiting::may_write);
        let mut lookups = Vec::new();
        for entry in entries {
            if may_read && self.may_go_again(now, &entry) {
                lookups.push(Waiting { is_lookup: true, ..entry });
            } else {
                let outcome = entry.not_done();
                self.resolve(entry.origin, outcome);
            }
        }
        for lookup in lookups.into_iter().rev() {
            self.queue.push_front(lookup);
        }
    }

    fn on_unknown(&mut self, now: Instant, entries: Vec<Waiting>) {
        for entry in entries.into_iter().rev() {
            let is_first = !entry.is_read_back && !entry.is_lookup;
            if is_first && self.may_go_again(now, &entry) {
                self.queue.push_front(Waiting { is_read_back: true, ..entry });
            } else {
                let outcome = entry.unheard();
                self.resolve(entry.origin, outcome);
            }
        }
    }

    /// Whether a visit's command may go out once more.
    fn may_go_again(&self, now: Instant, entry: &Waiting) -> bool {
        self.gate == Gate::Open && entry.is_visit() && now < entry.submitted_at + self.config.patience
    }

    fn resolve(&mut self, origin: Option<Origin>, outcome: Outcome) {
        self.resolved.push_back(Resolved { origin, outcome });
    }

    fn refuse_all(&mut self) {
        for entry in std::mem::take(&mut self.queue) {
            let outcome = entry.not_done();
            self.resolve(entry.origin, outcome);
        }
    }
}
