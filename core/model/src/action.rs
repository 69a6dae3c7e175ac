//! What can happen next.
//!
//! Owns the words only; when an action can happen and what it does is `machine`'s and `trouble`'s. Workers are 0 and 1; `held`
//! and `message` are indices into the state in which the action happens.

/// One step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A user visits; the store records the exposure and the grant.
    Visit {
        /// Which store.
        store: usize,
        /// Who.
        user: u8,
    },
    /// A worker claims what is due, and learns of it.
    Claim {
        /// Who.
        worker: usize,
    },
    /// A worker decides what to do with a claimed grant.
    Guard {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// A worker writes the request.
    Write {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// A worker gives up an attempt.
    GiveUp {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// A settlement is committed.
    Settle {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
        /// By how many seconds the lane makes a retry later.
        jitter: u64,
    },
    /// A request is executed.
    Execute {
        /// Which.
        message: usize,
        /// How it goes.
        course: Course,
    },
    /// A second passes.
    Tick,
    /// Something goes wrong.
    Trouble(Trouble),
}

/// How the execution of a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Course {
    /// As it should.
    Answered,
    /// It is executed, and the answer never arrives.
    AnswerLost,
    /// It is executed, and the answer is a 500.
    AnswerError,
    /// The service says 429.
    Throttled,
    /// The service says 409: another request with this key is under way.
    InProgress,
    /// The service says that the limit is reached.
    Refused,
    /// The service says 200 and does nothing.
    FalseAck,
    /// The read misses an effect younger than the declared lag.
    ReadMisses,
    /// The read misses an effect older than the declared lag.
    ReadMissesLonger,
    /// It vanishes.
    Vanishes,
}

/// What goes wrong, beside the course of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// A worker loses its memory and begins again.
    Crash {
        /// Who.
        worker: usize,
    },
    /// A worker stands still with a grant.
    Stall {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// The network makes a copy of a request.
    Copy {
        /// Of which.
        message: usize,
    },
    /// The service is silent for longer than the key's window.
    Silence,
    /// The service forgets a user's keys.
    KeyLost {
        /// Whose.
        user: u8,
    },
    /// A claim is committed and the worker does not learn of it.
    ClaimUnknown {
        /// Who.
        worker: usize,
    },
    /// A settlement is committed and the worker does not learn of it.
    SettleUnknown {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// A settlement will be committed late, and the worker does not learn of it.
    SettleLate {
        /// Who.
        worker: usize,
        /// Which of its grants.
        held: usize,
    },
    /// A late settlement is committed.
    LateCommit {
        /// Which.
        index: usize,
    },
    /// The store begins to refuse everything.
    OutageBegins,
    /// The store works again.
    OutageEnds,
    /// The state that a rollback will restore.
    Snapshot,
    /// The store returns to that state.
    Rollback,
    /// The store's clock steps forward.
    ClockSteps,
    /// The store's clock stands still for a time.
    ClockStands,
}
