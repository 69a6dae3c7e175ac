//! The post-mortem's first program, with its flaws.
//!
//! ```python
//! if random.random() < 0.5: variant = "extra_quota" …        # drawn afresh at every call: not sticky
//! log_exposure(user_id, exposed_at, variant)                 # an exposure at every call
//! if variant == "extra_quota":
//!     r = requests.post(url, json={"user_id": user_id})      # no key, no timeout, in the request's thread
//!     if r.status_code == 200: log_quota_increased(…)        # any other status is swallowed
//! ```
//!
//! A connection error escapes to the caller, who sees a 500 and tries again, with a fresh draw.

use std::sync::Arc;

use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::upstream::{Answer, Ask};

use super::{Call, Input, Log, Output, Shown, units, weighted};
use crate::network::Patience;
use crate::slab::{Key, Slab};

/// One process.
#[derive(Clone, Debug)]
pub struct Original {
    experiment: Arc<Experiment>,
    /// The tries whose threads wait for the service, with what they were drawn.
    waiting: Slab<(u64, VariantIndex)>,
}

impl Original {
    /// A process of the program.
    pub fn new(experiment: Arc<Experiment>) -> Self {
        Self { experiment, waiting: Slab::default() }
    }

    pub(super) fn handle(&mut self, input: &Input, outputs: &mut Vec<Output>) {
        match *input {
            Input::Visit { visit, user, chance } => self.on_visit(visit, user, chance.bits()[0], outputs),
            Input::Answered { token, answer, .. } => self.on_answered(token, answer, outputs),
            Input::Started { .. } | Input::Stored { .. } | Input::Timer { .. } => {}
        }
    }

    fn on_visit(&mut self, visit: u64, user: u32, draw: u64, outputs: &mut Vec<Output>) {
        let variant = weighted(&self.experiment, draw);
        outputs.push(Output::Expose { user, variant });
        outputs.push(match units(&self.experiment, variant) {
            None => Output::Answer { visit, answer: Shown::Variant(variant) },
            Some(units) => Output::Call(Call {
                ask: Ask::Apply,
                token: self.waiting.insert((visit, variant)).to_bits(),
                user,
                units,
                key: None,
                patience: Patience::Forever,
                visit: Some(visit),
            }),
        });
    }

    fn on_answered(&mut self, token: u64, answer: Answer, outputs: &mut Vec<Output>) {
        let Some((visit, variant)) = self.waiting.remove(Key::from_bits(token)) else { return };
        let shown = match answer {
            Answer::Status { code, .. } => {
                if code == 200 {
                    outputs.push(Output::Log(Log::Response(answer)));
                }
                Shown::Variant(variant)
            }
            Answer::NotSent(_) | Answer::Lost(_) => Shown::Error,
        };
        outputs.push(Output::Answer { visit, answer: shown });
    }
}
