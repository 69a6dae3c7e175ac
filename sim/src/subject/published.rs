//! The program that the post-mortem published as the cure, with its flaws.
//!
//! ```python
//! assignment_uuid = assignment_uuid or f"{now}-{uuid4()}"    # a fresh key at every call: the caller never has one
//! variant = … if hash(f"{user_id}-{EXPERIMENT_VERSION}") % 100 < 50   # str hashes are salted per process
//! log_exposure(…)                                            # an exposure at every call
//! with log_duration("quota_call_latency"):                   # no `finally`: nothing on failure; wall clock
//!     try: response = _call_external_service(…)              # tenacity: 3 tries, 1 s apart, timeout 2.5 s per read
//!          log_service_response(…)
//!     except RequestException: log_error(…)                  # but tenacity raises RetryError, which escapes
//! ```
//!
//! `requests` does not raise on an error status, so 500 and 429 are swallowed after one try.

use std::sync::Arc;
use std::time::Duration;

use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::time::WallTime;
use hookproof_core::upstream::{Answer, Ask};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Call, Clocks, Input, Log, LogSink, Output, Shown, units, wall_nanos, weighted};
use crate::network::Patience;
use crate::quota_service::RequestKey;
use crate::seed::Chance;
use crate::slab::{Key, Slab};

/// `stop_after_attempt(3)`.
const TRIES: u8 = 3;
/// `HOOK_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_millis(2_500);
/// `wait_exponential(multiplier=1, min=0.1, max=1)` waits 2⁰ s before the second try and 2¹ s before the third, and `max=1`
/// makes exactly one second of both.
const PAUSE: Duration = Duration::from_secs(1);

/// What a Python process has of its own: its interpreter, the salt of its string hashes, its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// `PYTHONHASHSEED`; random in every process unless pinned.
    pub hash_seed: u64,
    /// The minor version: 3.10 and 3.11 hash strings by different functions (SipHash-2-4 and SipHash-1-3).
    pub minor: u8,
    /// Whether its logger works.
    pub log_sink: LogSink,
}

impl Interpreter {
    /// `hash(text)`, as far as it matters here: fixed within a process, unrelated between two.
    fn hash(self, text: &str) -> u64 {
        xxh3_64_with_seed(text.as_bytes(), self.hash_seed ^ u64::from(self.minor).rotate_left(48))
    }
}

/// A hook call that waits for the service or for its next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HookCall {
    visit: u64,
    user: u32,
    variant: VariantIndex,
    units: u32,
    key: RequestKey,
    tries: u8,
    began: WallTime,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Published {
    experiment: Arc<Experiment>,
    interpreter: Interpreter,
    calls: Slab<HookCall>,
}

impl Published {
    /// A process of the program.
    pub fn new(experiment: Arc<Experiment>, interpreter: Interpreter) -> Self {
        Self { experiment, interpreter, calls: Slab::default() }
    }

    pub(super) fn handle(&mut self, clocks: Clocks, input: &Input, outputs: &mut Vec<Output>) {
        match *input {
            Input::Visit { visit, user, chance } => self.on_visit(clocks, visit, user, chance, outputs),
            Input::Answered { token, answer, .. } => self.on_answered(clocks, token, answer, outputs),
            Input::Timer { token } => self.send(token, outputs),
            Input::Started { .. } | Input::Stored { .. } => {}
        }
    }

    fn on_visit(&mut self, clocks: Clocks, visit: u64, user: u32, chance: Chance, outputs: &mut Vec<Output>) {
        let version = self.experiment.version();
        let hash = self.interpreter.hash(&format!("user-{user}-{version}"));
        let variant = weighted(&self.experiment, hash);
        outputs.push(Output::Expose { user, variant });
        let Some(units) = units(&self.experiment, variant) else {
            outputs.push(Output::Answer { visit, answer: Shown::Variant(variant) });
            return;
        };
        let draws = chance.bits();
        let mut key = [0; 16];
        key[..8].copy_from_slice(&draws[0].to_le_bytes());
        key[8..].copy_from_slice(&draws[1].to_le_bytes());
        let call = HookCall { visit, user, variant, units, key, tries: 0, began: clocks.wall };
        let token = self.calls.insert(call).to_bits();
        self.send(token, outputs);
    }

    fn send(&mut self, token: u64, outputs: &mut Vec<Output>) {
        let Some(call) = self.calls.get_mut(Key::from_bits(token)) else { return };
        call.tries += 1;
        outputs.push(Output::Call(Call {
            ask: Ask::Apply,
            token,
            user: call.user,
            units: call.units,
            key: Some(call.key),
            patience: Patience::PerRead(TIMEOUT),
            visit: Some(call.visit),
        }));
    }

    fn on_answered(&mut self, clocks: Clocks, token: u64, answer: Answer, outputs: &mut Vec<Output>) {
        let Some(call) = self.calls.get(Key::from_bits(token)).copied() else { return };
        let shown = match answer {
            Answer::Status { .. } => self.log_response(clocks, &call, answer, outputs),
            Answer::NotSent(_) | Answer::Lost(_) if call.tries < TRIES => {
                outputs.push(Output::SetTimer { at: clocks.mono + PAUSE, token });
                return;
            }
            // RetryError is no RequestException: neither the handler nor the metric sees it.
            Answer::NotSent(_) | Answer::Lost(_) => Shown::Error,
        };
        self.calls.remove(Key::from_bits(token));
        outputs.push(Output::Answer { visit: call.visit, answer: shown });
    }

    fn log_response(&self, clocks: Clocks, call: &HookCall, answer: Answer, outputs: &mut Vec<Output>) -> Shown {
        match self.interpreter.log_sink {
            LogSink::Down => Shown::Error,
            LogSink::Up => {
                outputs.push(Output::Log(Log::Response(answer)));
                let nanos = wall_nanos(call.began, clocks.wall);
                outputs.push(Output::Log(Log::LatencyMetric { nanos }));
                Shown::Variant(call.variant)
            }
        }
    }
}
