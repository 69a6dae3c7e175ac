//! Between the machines and the store: which commands share a commit, and what its outcome means for each of them.
//!
//! Owns the queue of commands, its first ones being the one commit that is under way. While a commit is under way, commands gather; what has
//! gathered goes out together when the reply comes (group commit, without a timer that would cost an idle store latency).
//! Nothing but [`Command::Open`] goes to a store that is not known to be ours. Of what commands do it knows only that
//! [`Command::Find`] writes nothing.
//!
//! * An unknown outcome is never taken for one of the two it can be. A visit's admission goes out once more: it finds what
//!   the first one made, or makes it. Claims and settlements are told that nothing is known; their machines live with that.
//! * A store that can't write may still read. The visits of a refused commit that may have written are *looked up*, together
//!   and with nothing else, once: a record that is found answers the visit, whatever was submitted. An admission that finds
//!   none stays refused. So a store that refuses everything is sent one commit more for each one with visits.
//! * Claims and settlements do not wait behind visits. There is never more than one claim, nor more settlements than grants claimed here (one that the
//!   store does not take keeps its place), whereas callers who try again can fill the queue without end: behind them, each step of what was promised would take as long as a visit may wait (`LOAD-3`).
//! * A visit waits for the store no longer than [`CommitterConfig::patience`]; then its answer rests on nothing recorded.
//! * Each submitted command is resolved exactly once.
//!
//! Time enters as an argument, chance with the reply. Read next: `tests/machines/read_only_store.rs`.

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
    /// What to do, in this order. Once emptied, the buffer may come back: [`crate::hook::Hook::reuse`].
    pub commands: Vec<Command>,
    /// An empty buffer that the results are written to, so that committing need not allocate.
    pub into: Vec<Committed>,
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

    /// Appends what is to be done. Each kind is written where it goes, since a command is large to be handed around.
    fn send(&mut self, commands: &mut Vec<Command>) {
        match (&self.origin, &self.command) {
            (Some(Origin::Visit { user, .. }), _) if self.is_lookup => commands.push(Command::Find(*user)),
            (Some(Origin::Visit { .. }), Some(Command::Admit(admit))) => commands.push(Command::Admit(*admit)),
            (Some(Origin::Visit { .. }), command) => commands.extend(command.clone()),
            (_, Some(Command::Settle(settle))) => {
                commands.push(Command::Settle(*settle));
                self.command = None;
            }
            (None | Some(Origin::Open | Origin::Claim | Origin::Settle(_)), _) => commands.extend(self.command.take()),
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
    /// That many of the entries, from the first.
    count: usize,
}

/// What was done with the first entries, and is not yet handed out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Answered {
    at: WallTime,
    /// Last first.
    results: Vec<Committed>,
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
    /// What is answered or under way, then what waits.
    entries: VecDeque<Waiting>,
    under_way: Option<UnderWay>,
    answered: Answered,
    tickets: u32,
    resolved: VecDeque<Resolved>,
    /// For the next commit.
    emptied: Vec<Command>,
}

impl Committer {
    /// A machine that has nothing to do.
    pub const fn new(config: CommitterConfig) -> Self {
        Self {
            config,
            gate: Gate::Opening,
            entries: VecDeque::new(),
            under_way: None,
            answered: Answered { at: WallTime::UNIX_EPOCH, results: Vec::new() },
            tickets: 0,
            resolved: VecDeque::new(),
            emptied: Vec::new(),
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
        match origin {
            Origin::Open => self.entries.insert(self.sent(), waiting),
            Origin::Claim | Origin::Settle(_) => self.entries.insert(self.first_waiting_visit(), waiting),
            Origin::Visit { .. } => self.entries.push_back(waiting),
        }
    }

    /// The place of the first visit that waits: claims and settlements go before it, in their own order.
    fn first_waiting_visit(&self) -> usize {
        let sent = self.sent();
        let is_deliverys =
            |entry: &&Waiting| matches!(entry.origin, Some(Origin::Open | Origin::Claim | Origin::Settle(_)));
        sent + self.entries.iter().skip(sent).take_while(is_deliverys).count()
    }

    /// Takes back the emptied buffer of a commit.
    pub fn reuse(&mut self, emptied: Vec<Command>) {
        self.emptied = emptied;
        self.emptied.clear();
    }

    /// The next commit to be sent, if none is under way and something waits.
    #[inline]
    pub fn poll_commit(&mut self, now: Instant) -> Option<Commit> {
        if self.under_way.is_some() || self.entries.is_empty() { None } else { self.commit(now) }
    }

    fn commit(&mut self, now: Instant) -> Option<Commit> {
        // Whoever asks for a commit before all outcomes gets them afterwards.
        while let Some(answered) = self.next_answered() {
            self.resolved.push_back(answered);
        }
        let count = match self.gate {
            Gate::Open => self.next_batch(),
            Gate::Opening => usize::from(self.entries.front().is_some_and(|first| first.origin == Some(Origin::Open))),
            Gate::ClosedUntil(_) | Gate::Foreign => 0,
        };
        if count == 0 {
            return None;
        }
        let ticket = Ticket(self.tickets);
        self.tickets = self.tickets.wrapping_add(1);
        let mut commands = std::mem::take(&mut self.emptied);
        self.entries.iter_mut().take(count).for_each(|entry| entry.send(&mut commands));
        self.under_way = Some(UnderWay { ticket, sent_at: now, count });
        Some(Commit { ticket, commands, into: std::mem::take(&mut self.answered.results) })
    }

    /// Takes a reply and returns when the commit was sent; `None` if no such commit is under way.
    pub fn on_reply(&mut self, now: Instant, ticket: Ticket, reply: Reply) -> Option<Instant> {
        let UnderWay { sent_at, count, .. } = self.under_way.take_if(|commit| commit.ticket == ticket)?;
        match reply {
            // A reply that does not fit its commit says nothing about it.
            Reply::Committed { at, mut results, .. } if results.len() == count => {
                results.reverse();
                self.answered = Answered { at, results };
            }
            Reply::Refused => self.on_refused(now, count),
            Reply::Committed { .. } | Reply::Unknown => self.on_unknown(now, count),
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
        let sent = self.sent();
        for entry in self.entries.iter_mut().take(sent).filter(|entry| is_late(entry)) {
            let outcome = entry.unheard();
            self.resolved.push_back(Resolved { origin: entry.origin.take(), outcome });
        }
        // Visits wait in the order in which they came, so the late ones are the first: what a timeout costs must not grow with
        // the queue, or a store that can't keep up takes the hook with it.
        let mut place = sent;
        while let Some(entry) = self.entries.get(place) {
            if !entry.is_visit() {
                place += 1;
                continue;
            }
            if !is_late(entry) {
                break;
            }
            if let Some(entry) = self.entries.remove(place) {
                let outcome = entry.not_done();
                self.resolve(entry.origin, outcome);
            }
        }
    }

    /// When [`Committer::handle_timeout`] is to be called, or the store opened again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let sent = self.sent();
        // Each part's first visit is its oldest.
        let (mut oldest, mut place) = (Instant::MAX, 0);
        while place < self.entries.len() {
            let entry = &self.entries[place];
            if !entry.is_visit() {
                place += 1;
                continue;
            }
            oldest = oldest.min(entry.submitted_at);
            if place >= sent {
                break;
            }
            place = sent;
        }
        if let Gate::ClosedUntil(until) = self.gate {
            return Some(until.min(oldest + self.config.patience));
        }
        (oldest < Instant::MAX).then(|| oldest + self.config.patience)
    }

    /// The next command whose outcome is known.
    #[inline]
    pub fn poll_resolved(&mut self) -> Option<Resolved> {
        if self.resolved.is_empty() { self.next_answered() } else { self.resolved.pop_front() }
    }

    /// The outcome of the first entry that is answered.
    #[inline]
    fn next_answered(&mut self) -> Option<Resolved> {
        let result = self.answered.results.pop()?;
        let entry = self.entries.pop_front()?;
        let outcome = entry.done(self.answered.at, result);
        Some(Resolved { origin: entry.origin, outcome })
    }

    /// The users of all commands that wait or are under way.
    pub fn users(&self) -> impl Iterator<Item = UserHandle> {
        let of_command = |command: &Command| match command {
            Command::Admit(admit) => Some(admit.user),
            Command::Find(user) => Some(*user),
            Command::Settle(settle) => Some(settle.user),
            Command::Resolve(resolve) => Some(resolve.user),
            Command::Open(_) | Command::Claim(_) => None,
        };
        self.entries.iter().filter_map(move |entry| match (entry.origin, &entry.command) {
            (Some(Origin::Visit { user, .. }), _) => Some(user),
            (None | Some(Origin::Open | Origin::Claim | Origin::Settle(_)), command) => {
                command.as_ref().and_then(of_command)
            }
        })
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.resolved.is_empty()
    }

    /// How many entries are answered or under way.
    fn sent(&self) -> usize {
        self.under_way.as_ref().map_or(self.answered.results.len(), |commit| commit.count)
    }

    /// How many of those that wait go out together: lookups share their commit with nothing that may write, and so does
    /// [`Command::Open`], which a store that only reads may still answer.
    fn next_batch(&self) -> usize {
        if self.entries.front().is_some_and(|first| first.origin == Some(Origin::Open)) {
            return 1;
        }
        let is_lookup = self.entries.front().is_some_and(|first| first.is_lookup);
        let at_most = self.entries.iter().take(usize::from(self.config.batch_max));
        at_most.take_while(|entry| entry.is_lookup == is_lookup).count()
    }

    #[cold]
    fn on_refused(&mut self, now: Instant, count: usize) {
        let entries: Vec<Waiting> = self.entries.drain(..count).collect();
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
            self.entries.push_front(lookup);
        }
    }

    #[cold]
    fn on_unknown(&mut self, now: Instant, count: usize) {
        let entries: Vec<Waiting> = self.entries.drain(..count).collect();
        for entry in entries.into_iter().rev() {
            let is_first = !entry.is_read_back && !entry.is_lookup;
            if is_first && self.may_go_again(now, &entry) {
                self.entries.push_front(Waiting { is_read_back: true, ..entry });
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
        let sent = self.sent();
        for entry in self.entries.split_off(sent) {
            let outcome = entry.not_done();
            self.resolve(entry.origin, outcome);
        }
    }
}
