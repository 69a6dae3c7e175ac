//! The hardened hook: `hookproof-core`, and nothing of its own.
//!
//! Translates the world's inputs into the core's and the core's outputs into the world's, one for one but for what the hook
//! says about itself and nobody in the world hears. It decides nothing: the inputs it records, fed to a fresh [`Hook`], give
//! the outputs that it recorded (`tests/simulation/hardened_replay.rs`).

use hookproof_core::admission::{VisitAnswer, VisitToken};
use hookproof_core::audit::AuditEvent;
use hookproof_core::classify::Doubt;
use hookproof_core::delivery::AttemptId;
use hookproof_core::hook::{self, Hook, HookConfig, HookConfigError, Outbox};
use hookproof_core::identity::UserHandle;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::Command;
use hookproof_core::time::Instant;

use super::{Call, Input, Output, Shown};
use crate::network::Patience;
use crate::users::NameBuffer;

/// One process.
#[derive(Clone, Debug)]
pub struct Hardened {
    hook: Hook<Border>,
    lineage: Lineage,
    /// The deadline that the world was told last, and that timer's token; earlier timers are nobody's.
    timer_at: Instant,
    timer: u64,
}

/// What the hook asks for, in the world's words as soon as it asks.
#[derive(Clone, Debug)]
struct Border {
    /// With a request, by the configuration.
    patience: Patience,
    asked: Vec<Output>,
    /// All inputs so far, and what came of them in the core's words, where that is recorded.
    recorded: Option<Vec<Recorded>>,
}

impl Outbox for Border {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "whoever puts an output knows its kind, so nothing is left to be asked")]
    fn put(&mut self, output: hook::Output) {
        if let Some(recorded) = &mut self.recorded {
            note_output(recorded, &output);
        }
        if is_heard(&output) {
            self.asked.push(translate(output, self.patience));
        }
    }

    fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

#[cold]
fn note_output(recorded: &mut [Recorded], output: &hook::Output) {
    if let Some(last) = recorded.last_mut() {
        last.outputs.push(output.clone());
    }
}

/// One input and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When, by the process's monotonic clock.
    pub mono: Instant,
    /// The input.
    pub input: Input,
    /// What the core gave.
    pub outputs: Vec<hook::Output>,
}

impl Hardened {
    /// A process of the hook that runs the current version of `lineage`.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn new(lineage: Lineage, config: HookConfig) -> Result<Self, HookConfigError> {
        let patience =
            Patience::Total { connect: config.delivery.connect_timeout, attempt: config.delivery.attempt_timeout };
        let border = Border { patience, asked: Vec::new(), recorded: None };
        let hook = Hook::with_outbox(lineage.clone(), config, border)?;
        Ok(Self { hook, lineage, timer_at: Instant::MAX, timer: 0 })
    }

    /// Records inputs and outputs from here on.
    pub fn record(&mut self) {
        self.hook.outbox_mut().recorded = Some(Vec::new());
    }

    /// The version it was started with, among the others it was told of.
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// What was recorded.
    pub fn recorded(&self) -> &[Recorded] {
        self.hook.outbox().recorded.as_deref().unwrap_or_default()
    }

    pub(super) fn reuse(&mut self, emptied: Vec<Command>) {
        self.hook.reuse(emptied);
    }

    pub(super) fn handle(&mut self, mono: Instant, input: Input, outputs: &mut Vec<Output>) {
        if let Input::Timer { token } = input {
            if token != self.timer {
                return;
            }
            self.timer_at = Instant::MAX;
        }
        if let Some(recorded) = &mut self.hook.outbox_mut().recorded {
            recorded.push(Recorded { mono, input: input.clone(), outputs: Vec::new() });
        }
        feed(&mut self.hook, mono, input);
        assert!(outputs.is_empty(), "what a process has asked for is done before its next input");
        std::mem::swap(outputs, &mut self.hook.outbox_mut().asked);
        if let Some(at) = self.hook.next_deadline(mono).filter(|at| *at < self.timer_at) {
            self.timer_at = at;
            self.timer += 1;
            outputs.push(Output::SetTimer { at, token: self.timer });
        }
    }
}

/// Whether anybody in the world hears of it: of most that the hook says about itself, nobody does.
const fn is_heard(output: &hook::Output) -> bool {
    match output {
        hook::Output::Answer(..) | hook::Output::Store(_) | hook::Output::Send(_) => true,
        hook::Output::Audit(event) => match event {
            AuditEvent::Exposed { .. }
            | AuditEvent::Provisional { .. }
            | AuditEvent::Sent { doubt: Doubt::Clear, .. }
            | AuditEvent::Delivered { .. }
            | AuditEvent::Rejected { .. }
            | AuditEvent::Absent { .. }
            | AuditEvent::StoreRefused => false,
            AuditEvent::Sent { doubt: Doubt::InDoubt, .. }
            | AuditEvent::Answered { .. }
            | AuditEvent::Parked { .. }
            | AuditEvent::Released { .. }
            | AuditEvent::LanePaused { .. }
            | AuditEvent::BreakerOpened
            | AuditEvent::BreakerClosed
            | AuditEvent::EffectCapReached { .. } => true,
        },
    }
}

/// One of the core's outputs in the world's words.
fn translate(output: hook::Output, patience: Patience) -> Output {
    match output {
        hook::Output::Answer(VisitToken(visit), answer) => Output::Answer { visit, answer: shown(answer) },
        hook::Output::Store(commit) => Output::Store(commit),
        hook::Output::Audit(event) => Output::Audit(event),
        hook::Output::Send(send) => {
            let user = u32::try_from(send.request.user.0).expect("users are numbered by u32 in the simulator");
            Output::Call(Call {
                token: send.attempt.to_bits(),
                ask: send.request.ask,
                user,
                units: send.request.units,
                key: Some(*send.request.key.as_bytes()),
                patience,
                visit: None,
            })
        }
    }
}

/// Feeds one of the world's inputs to a hook; a timer is its timeout.
pub fn feed<O: Outbox>(hook: &mut Hook<O>, mono: Instant, input: Input) {
    match input {
        Input::Started { draw } => hook.handle_input(mono, hook::Input::Started { draw }),
        Input::Visit { visit, user, .. } => {
            let mut name = NameBuffer::default();
            let input = hook::Input::Visit {
                visit: VisitToken(visit),
                user: UserHandle(u64::from(user)),
                user_id: name.render(user),
            };
            hook.handle_input(mono, input);
        }
        Input::Answered { token, answer, draw } => {
            let attempt = AttemptId::from_bits(token);
            hook.handle_input(mono, hook::Input::Answered { attempt, answer, draw });
        }
        Input::Stored { ticket, reply, draw } => hook.handle_input(mono, hook::Input::Stored { ticket, reply, draw }),
        Input::Timer { .. } => hook.handle_timeout(mono),
    }
}

fn shown(answer: VisitAnswer) -> Shown {
    match answer {
        VisitAnswer::Recorded { variant, .. } => Shown::Variant(variant),
        VisitAnswer::NotEnrolled { variant } | VisitAnswer::Blocked { variant } => Shown::Unrecorded(variant),
        VisitAnswer::Provisional { variant } => Shown::Provisional(variant),
        VisitAnswer::Invalid(_) => Shown::Error,
    }
}
