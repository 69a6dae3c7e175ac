//! A process of one of the two programs, fed by hand.

use std::sync::Arc;
use std::time::Duration;

use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Body, Lost};
use hookproof_sim::seed::{Concern, Draws};
use hookproof_sim::subject::{
    Call, Clocks, Input, Interpreter, Log, LogSink, Original, Output, Published, Shown, Subject,
};

/// The chance that calls made by hand are given.
pub const DRAWS: Draws = Draws::new(1);

/// Python 3.11 with a pinned hash seed and a logger that works.
pub const PYTHON: Interpreter = Interpreter { hash_seed: 0, minor: 11, log_sink: LogSink::Up };

/// An answer.
pub const RESET: Answer = Answer::Lost(Lost::Reset);

/// An answer of this status.
pub const fn status(code: u16) -> Answer {
    Answer::Status { code, body: Body::WellFormed, retry_after: None }
}

/// A process with the clocks of its instance.
pub struct Process {
    subject: Subject,
    pub clocks: Clocks,
}

impl Process {
    /// A process of the post-mortem's first program.
    pub fn original(experiment: &Experiment) -> Self {
        Self::of(Subject::Original(Original::new(Arc::new(experiment.clone()))))
    }

    /// A process of the published program.
    pub fn published(experiment: &Experiment, interpreter: Interpreter) -> Self {
        Self::of(Subject::Published(Published::new(Arc::new(experiment.clone()), interpreter)))
    }

    fn of(subject: Subject) -> Self {
        let wall = WallTime::from_unix_nanos(1_700_000_000 * 1_000_000_000);
        Self { subject, clocks: Clocks { mono: Instant::ORIGIN, wall } }
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.clocks.mono = self.clocks.mono + time;
        self.clocks.wall = self.clocks.wall + time;
    }

    /// One input and what comes of it.
    pub fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        let Clocks { mono, wall } = self.clocks;
        self.subject.handle(mono, || wall, input, &mut outputs);
        outputs
    }

    /// The `n`th call of the hook for a user.
    pub fn visit(&mut self, user: u32, n: u64) -> Vec<Output> {
        let chance = DRAWS.chance(Concern::Visit, u64::from(user), n);
        self.feed(Input::Visit { visit: n, user, chance })
    }

    /// The `n`th call of the hook for a user up to its request; `None` if the user met the control.
    pub fn request(&mut self, user: u32, n: u64) -> Option<Call> {
        self.visit(user, n).iter().find_map(call)
    }

    /// A request of its ended.
    pub fn answered(&mut self, token: u64, answer: Answer) -> Vec<Output> {
        self.feed(Input::Answered { token, answer, draw: 0 })
    }

    /// The variant that the `n`th call of the hook logs for a user.
    pub fn exposed(&mut self, user: u32, n: u64) -> VariantIndex {
        let outputs = self.visit(user, n);
        let exposed = |output: &Output| if let Output::Expose { variant, .. } = output { Some(*variant) } else { None };
        let exposures: Vec<VariantIndex> = outputs.iter().filter_map(exposed).collect();
        assert_eq!(exposures.len(), 1, "one exposure a call: {outputs:?}");
        exposures[0]
    }
}

/// The request that an output is.
pub const fn call(output: &Output) -> Option<Call> {
    if let Output::Call(call) = output { Some(*call) } else { None }
}

/// The line or metric that an output is.
pub const fn log(output: &Output) -> Option<Log> {
    if let Output::Log(log) = output { Some(*log) } else { None }
}

/// What an output answers the caller.
pub const fn shown(output: &Output) -> Option<Shown> {
    if let Output::Answer { answer, .. } = output { Some(*answer) } else { None }
}
