//! The hooks under test: one interface, and what is behind it.
//!
//! Owns what a process of a hook is told and what it may ask for. The world knows only this interface: it holds no branch
//! for any hook. Time and chance are part of the inputs; a process that ends loses its subject.

mod hardened;
mod original;
mod published;
mod sabotaged;

pub use hardened::{Hardened, Recorded, feed};
pub use original::Original;
pub use published::{Interpreter, Published};
pub use sabotaged::{Sabotaged, configure};

use hookproof_core::audit::AuditEvent;
use hookproof_core::committer::Commit;
use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::store::{Command, Reply};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Ask};

use crate::network::Patience;
use crate::quota_service::RequestKey;
use crate::seed::{Chance, below};

/// The clocks of the instance a process runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Monotonic.
    pub mono: Instant,
    /// What it believes UTC to be.
    pub wall: WallTime,
}

/// What a process is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It starts.
    Started {
        /// Chance: no other process is given the same.
        draw: u64,
    },
    /// A caller's try reaches it.
    Visit {
        /// Names the try in its answer.
        visit: u64,
        /// The user.
        user: u32,
        /// Chance.
        chance: Chance,
    },
    /// A request of its ended.
    Answered {
        /// The token it gave the request.
        token: u64,
        /// How.
        answer: Answer,
        /// Chance.
        draw: u64,
    },
    /// The store replies.
    Stored {
        /// To what.
        ticket: hookproof_core::committer::Ticket,
        /// What.
        reply: Reply,
        /// Chance, for what is tried again; zero with commands that were done.
        draw: u64,
    },
    /// The time it asked for has come.
    Timer {
        /// The token it gave the timer.
        token: u64,
    },
}

/// What a process asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The caller's try is answered.
    Answer {
        /// Which.
        visit: u64,
        /// With what.
        answer: Shown,
    },
    /// An exposure is written to the hook's log.
    Expose {
        /// Who.
        user: u32,
        /// To what.
        variant: VariantIndex,
    },
    /// A request is sent to the quota service.
    Call(Call),
    /// A command is sent to the store.
    Store(Commit),
    /// It wants to be told when its monotonic clock shows this time.
    SetTimer {
        /// When.
        at: Instant,
        /// Returned with [`Input::Timer`].
        token: u64,
    },
    /// It writes a line or a metric; nobody acts on it.
    Log(Log),
    /// It tells its auditor.
    Audit(AuditEvent),
}

/// What a caller's try is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Success, and this variant applies.
    Variant(VariantIndex),
    /// Success, without a durable record or outside the experiment: this variant is shown, and it is no exposure.
    Unrecorded(VariantIndex),
    /// Like [`Shown::Unrecorded`], because the store could not record it.
    Provisional(VariantIndex),
    /// An exception escaped: 500.
    Error,
}

impl Shown {
    /// A small number for digests.
    pub fn code(self) -> u64 {
        match self {
            Self::Error => 0,
            Self::Variant(variant) => 0x100 | variant.index() as u64,
            Self::Unrecorded(variant) => 0x200 | variant.index() as u64,
            Self::Provisional(variant) => 0x300 | variant.index() as u64,
        }
    }
}

/// A request to the quota service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Returned with [`Input::Answered`].
    pub token: u64,
    /// To do what.
    pub ask: Ask,
    /// Whose quota.
    pub user: u32,
    /// By how much.
    pub units: u32,
    /// The idempotency key, if the hook sends one.
    pub key: Option<RequestKey>,
    /// How long it is waited for.
    pub patience: Patience,
    /// The try on whose behalf it is sent, if somebody waits for it.
    pub visit: Option<u64>,
}

/// What a hook writes for its operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// The service's answer.
    Response(Answer),
    /// A failure that was caught.
    Error(Answer),
    /// `quota_call_latency` by the *wall* clock, in nanoseconds: negative if the clock stepped back.
    LatencyMetric {
        /// Nanoseconds.
        nanos: i128,
    },
}

/// Whether what a hook logs arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// It does.
    Up,
    /// Logging raises an exception.
    Down,
}

/// One process of a hook under test.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The post-mortem's first program.
    Original(Original),
    /// The program published as the cure.
    Published(Published),
    /// The real core.
    Hardened(Box<Hardened>),
    /// The same, broken on purpose.
    Sabotaged(Box<Sabotaged>),
}

impl Subject {
    /// Takes one input when its monotonic clock shows `mono`, and appends what it asks for.
    #[inline]
    pub fn handle(&mut self, mono: Instant, wall: impl FnOnce() -> WallTime, input: Input, outputs: &mut Vec<Output>) {
        match self {
            Self::Hardened(subject) => subject.handle(mono, input, outputs),
            Self::Original(_) | Self::Published(_) | Self::Sabotaged(_) => {
                self.handle_by_wall(Clocks { mono, wall: wall() }, input, outputs);
            }
        }
    }

    /// The same of a hook that may read the wall clock.
    fn handle_by_wall(&mut self, clocks: Clocks, input: Input, outputs: &mut Vec<Output>) {
        match self {
            Self::Original(subject) => subject.handle(&input, outputs),
            Self::Published(subject) => subject.handle(clocks, &input, outputs),
            Self::Hardened(subject) => subject.handle(clocks.mono, input, outputs),
            Self::Sabotaged(subject) => subject.handle(clocks, input, outputs),
        }
    }

    /// Takes back the emptied buffer of a commit.
    pub fn reuse(&mut self, emptied: Vec<Command>) {
        match self {
            Self::Original(_) | Self::Published(_) | Self::Sabotaged(_) => {}
            Self::Hardened(subject) => subject.reuse(emptied),
        }
    }
}

/// The variant that a fair draw gives by the experiment's weights.
fn weighted(experiment: &Experiment, draw: u64) -> VariantIndex {
    let total = experiment.variants().iter().map(|variant| u64::from(variant.weight)).sum();
    let point = below(draw, total);
    let mut cumulative = 0;
    for (variant, index) in experiment.variants().iter().zip(0..) {
        cumulative += u64::from(variant.weight);
        if point < cumulative {
            return VariantIndex::new(index);
        }
    }
    unreachable!("the point is below the total")
}

/// The units of a variant's grant, if it is a treatment.
fn units(experiment: &Experiment, variant: VariantIndex) -> Option<u32> {
    experiment.variants()[variant.index()].grant.as_ref().map(|grant| grant.units)
}

/// The wait of a duration in a wall clock's nanoseconds.
fn wall_nanos(from: WallTime, to: WallTime) -> i128 {
    i128::from(to.as_unix_nanos()) - i128::from(from.as_unix_nanos())
}
