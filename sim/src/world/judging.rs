//! What the invariants need to know beside the events themselves.
//!
//! Owns the side tables of the rules that look at more than one event, and the times that are stated from the settings. In a
//! run without trouble every check is a comparison and allocates nothing. A rule about claims is checked for hooks that claim:
//! where the store has never answered a claim, it is not checked at all. Read next: `oracle`, and "Invariants" in
//! `docs/metrics.md`.

use std::time::Duration;

use hookproof_core::classify::{Action, AnswerClass, Applied, Doubt, RetryCause, classify, classify_read};
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::promise::Offer;
use hookproof_core::store::{ClaimedGrant, GrantState, Image};
use hookproof_core::time::{Instant, WallTime, nanos};
use hookproof_core::upstream::{Answer, Ask, Capability};

use super::World;
use crate::metrics::reached::Reached;
use crate::oracle::Rule;
use crate::oracle::budget::{Bucket, Postponed};
use crate::oracle::claims::{Claimed, Claims, Cover, Holder, Known, Takeover, Window, is_within_window};
use crate::scenario::{Fault, FaultKind, Scenario, Target, Targets};
use crate::store::Sender;
use crate::subject::{self, Output};

/// More than the order of events at one instant can amount to.
const SLACK: Duration = Duration::from_millis(10);

/// The side tables.
#[derive(Clone, Debug)]
pub(super) struct Judging {
    pub delivery: DeliveryConfig,
    pub batch_max: u16,
    pub claims: Claims,
    postponed: Postponed,
    /// What is true of keys: how long one is remembered, and the longest way of a request; `None` where there are none.
    window: Option<(Duration, Duration)>,
    /// Whether a request in doubt may be sent again at all.
    resends: Resends,
    /// The longest that a visit waits for the store, by its instance's clock.
    patience: Duration,
    /// Which process recorded the first exposure of all.
    first_recorder: Option<Holder>,
    /// Whether the store's clock stays within its declared error, so that what rests on it can be held to it.
    pub store_clock_is_honest: bool,
    /// Until then a claim may be lost that its holder believes in.
    claims_lost_until: Instant,
    /// What waited at the service, or in the store, when the last trigger ended.
    pub backlog_at_trigger_end: Option<usize>,
}

/// Whether the service knows a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resends {
    /// For ever.
    Always,
    /// Within the key's window.
    Within,
    /// Never.
    Never,
}

impl Judging {
    pub fn new(scenario: &Scenario) -> Self {
        let config = scenario.hook_config();
        let truth = scenario.upstream.truth;
        let (resends, window) = match truth.capability {
            Offer::PutById => (Resends::Always, None),
            Offer::IdempotencyKey => (Resends::Within, Some((truth.key_ttl, truth.request_lifetime))),
            Offer::ReadBack | Offer::None => (Resends::Never, None),
        };
        Self {
            batch_max: config.committer.batch_max,
            patience: config.committer.patience,
            first_recorder: None,
            delivery: config.delivery,
            claims: Claims::default(),
            postponed: Postponed::default(),
            window,
            resends,
            store_clock_is_honest: store_error(scenario) <= scenario.store.clock_error,
            claims_lost_until: Instant::ORIGIN,
            backlog_at_trigger_end: None,
        }
    }

    /// A process's retry budget when it starts.
    pub const fn bucket(&self) -> Bucket {
        Bucket::new(self.delivery.retry_budget, self.delivery.backoff_cap)
    }
}

/// A time that an instance measures between `from` and `to`, in true time: as slow as faults may make its clock at any moment of
/// that. Those that are on at once add up.
fn slowed(duration: Duration, scenario: &Scenario, instance: u16, from: Instant, to: Instant) -> Duration {
    let from = from.since(Instant::ORIGIN);
    let slow: Vec<(Duration, Duration, u64)> = (scenario.faults.iter())
        .filter_map(|fault| Some((fault, slow_ppm(fault, instance)?)))
        .flat_map(|(fault, ppm)| fault.starts(scenario.duration).map(move |at| (at, at + fault.length, ppm)))
        .filter(|(start, end, _)| *end > from && *start <= to.since(Instant::ORIGIN))
        .collect();
    let at_once = |moment: Duration| -> u64 {
        slow.iter().filter(|(start, end, _)| *start <= moment && moment < *end).map(|(_, _, ppm)| ppm).sum()
    };
    let slowest = slow.iter().map(|(start, _, _)| at_once((*start).max(from))).max().unwrap_or_default();
    Duration::from_nanos(nanos(duration).saturating_mul(1_000_000) / (1_000_000 - slowest.min(999_999)))
}

/// By how many parts per million a fault slows an instance's clock down, if it does.
fn slow_ppm(fault: &Fault, instance: u16) -> Option<u64> {
    let is_aimed = match &fault.on {
        Targets::All => true,
        Targets::Only(targets) => targets.contains(&Target::Instance(instance)),
    };
    let FaultKind::ClockDrift { ppm } = fault.kind else { return None };
    (is_aimed && ppm < 0).then(|| ppm.unsigned_abs().into())
}

/// The most by which faults can put the store's clock wrong. A fault that names no target is about the instances.
fn store_error(scenario: &Scenario) -> Duration {
    let of_store = scenario.faults.iter().filter(|fault| match &fault.on {
        Targets::All => false,
        Targets::Only(targets) => targets.contains(&Target::Store),
    });
    let swing = |fault: &Fault| {
        let times = u32::try_from(fault.starts(scenario.duration).count()).unwrap_or(u32::MAX);
        #[expect(clippy::wildcard_enum_match_arm, reason = "only clocks err")]
        match fault.kind {
            FaultKind::ClockOffset { by } | FaultKind::ClockStrobe { by, .. } => {
                Duration::from_nanos(by.nanos.unsigned_abs())
            }
            FaultKind::ClockStep { by } => Duration::from_nanos(by.nanos.unsigned_abs()).saturating_mul(times),
            FaultKind::ClockDrift { ppm } => {
                crate::seed::scale(fault.length, f64::from(ppm.unsigned_abs()) / 1e6).saturating_mul(times)
            }
            FaultKind::ClockFreeze => fault.length.saturating_mul(times),
            _ => Duration::ZERO,
        }
    };
    of_store.map(swing).sum()
}

/// What brings a process to ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// The end of a request to the quota service.
    Upstream,
    /// Anything else.
    Other,
}

impl World<'_> {
    /// Judges what a process asks for, when it asks: a pause between this and the sending is part of the request's way.
    pub(super) fn judge_asked(&mut self, now: Instant, instance: u16, prompt: Prompt) {
        for place in 0..self.outputs.len() {
            if let Output::Call(call) = self.outputs[place] {
                self.judge_decision(now, instance, &call);
            } else if let Output::Answer { visit, .. } = self.outputs[place] {
                self.judge_answer(now, prompt, visit);
            }
        }
    }

    /// `PATH-1`: no answer of the quota service brings the answer to a visit about.
    fn judge_answer(&mut self, now: Instant, prompt: Prompt, visit: u64) {
        if !self.is_waiting(visit) {
            return;
        }
        if self.in_flight > 0 {
            self.recorder.reach(Reached::VisitsDuringCalls);
        }
        self.oracles.check(Rule::Path1, now, None, prompt == Prompt::Other, || {
            "a visit was answered because a request to the quota service had ended".into()
        });
    }

    /// `PATH-1`: a visit whose process ran all the while waits no longer than the store's patience.
    pub(super) fn judge_wait(&mut self, now: Instant, instance: u16, began_at: Instant, user: u32) {
        let (wait, patience) = (now.since(began_at), self.judging.patience);
        if wait <= patience + SLACK || !self.keeps_store() || self.stood_still(instance, began_at) {
            return;
        }
        let bound = slowed(patience, self.scenario, instance, began_at, now) + SLACK;
        if wait <= bound {
            return;
        }
        self.oracles.check(Rule::Path1, now, Some(user), false, || {
            format!("a visit waited {} ms, at most {} ms were needed", wait.as_millis(), bound.as_millis())
        });
    }

    /// `GRANT-4` and `GRANT-5` at the decision to send.
    fn judge_decision(&mut self, now: Instant, instance: u16, call: &subject::Call) {
        if !self.keeps_store() {
            return;
        }
        let holder = (instance, self.process_of(instance));
        self.instances[usize::from(instance)].repeats.asked(call.user, call.token);
        self.judging.claims.asked(call.user, holder, call.token);
        if now >= self.judging.claims_lost_until && self.judging.store_clock_is_honest {
            let cover = self.judging.claims.cover(now, call.user, holder);
            self.oracles.check(Rule::Grant5, now, Some(call.user), cover == Cover::Own, || match cover {
                Cover::None => "sent without a claim that the store has answered".into(),
                Cover::Over => "sent under a lease that is over".into(),
                Cover::Foreign((other, _)) => format!("sent while app-{} holds the claim", other + 1),
                Cover::Own => String::new(),
            });
        }
        if call.ask == Ask::Apply
            && let Some(first_sent_at) = self.judging.claims.doubt(call.user)
        {
            self.judge_window(now, call.user, first_sent_at);
        }
    }

    fn judge_window(&mut self, now: Instant, user: u32, first_sent_at: Instant) {
        self.recorder.reach(Reached::SendsInDoubt);
        let Judging { window, resends, .. } = self.judging;
        let holds = match resends {
            // No window forbids it.
            Resends::Always => return,
            // Nobody at the border saw the attempt: the store forgot it, or its process died before it was sent.
            Resends::Within | Resends::Never if first_sent_at == Instant::MAX => return,
            Resends::Within | Resends::Never => is_within_window(now, first_sent_at, window),
        };
        self.recorder.reach(Reached::WindowedSends);
        self.oracles.check(Rule::Grant4, now, Some(user), holds, || {
            let age = now.since(first_sent_at).as_millis();
            format!("sent again {age} ms after an attempt that may have been applied: it could execute unknown")
        });
    }

    /// `LOAD-2` and the second half of `GRANT-5`, at the sending itself.
    pub(super) fn judge_sent(&mut self, now: Instant, instance: u16, call: &subject::Call) {
        self.oracles
            .check(Rule::Path1, now, Some(call.user), call.visit.is_none(), || "a visit waits for this request".into());
        if !self.keeps_store() {
            return;
        }
        let others = self.judging.claims.sent(call.user);
        if now >= self.overtaken_until && self.judging.store_clock_is_honest {
            self.oracles.check(Rule::Grant5, now, Some(call.user), others == 0, || {
                format!("sent while {others} requests for the same grant were under way")
            });
        }
        // What a process sends that has slept through its lease says nothing about the retry under the next claim.
        let holder = (instance, self.process_of(instance));
        if self.judging.postponed.is_any()
            && self.judging.claims.is_last(call.user, holder, call.token)
            && let Some(until) = self.judging.postponed.sent(call.user)
        {
            let early = until.since(now);
            // The retry is due by the store's clock, which may have been ahead when it was put off and behind now.
            let allowed = self.scenario.store.clock_error.saturating_mul(2) + SLACK;
            self.oracles.check(Rule::Load2, now, Some(call.user), early <= allowed, || {
                format!("a retry was sent {} ms before the budget allows it", early.as_millis())
            });
        }
    }

    /// An attempt ended for a living process.
    pub(super) fn note_answer(&mut self, now: Instant, instance: u16, attempt: Attempt, answer: Answer) {
        if !self.keeps_store() {
            return;
        }
        let Attempt { ask, user, token, sent_at } = attempt;
        let class = AnswerClass::of(answer);
        let holder = (instance, self.process_of(instance));
        self.judging.claims.ended(user);
        let is_first = self.instances[usize::from(instance)].repeats.heard(token);
        let (is_applied, is_in_doubt) = match ask {
            Ask::Apply => {
                let applied = classify(self.believed, class, Doubt::Clear).applied;
                let is_odd = class == AnswerClass::KeyMismatch;
                if is_odd {
                    self.judging.claims.unfit(user);
                }
                (applied == Applied::Yes, applied == Applied::Maybe || is_odd)
            }
            Ask::Read => {
                let read = classify_read(class);
                if class == AnswerClass::NotFound {
                    self.judging.claims.cleared(user);
                }
                if matches!(read.action, Action::Park(_)) {
                    self.judging.claims.unfit(user);
                }
                (read.applied == Applied::Yes, false)
            }
        };
        if is_applied {
            self.instances[usize::from(instance)].bucket.refund(is_first);
            self.judging.claims.receipt(now, user, holder);
        } else if is_in_doubt {
            self.judging.claims.doubted(user, sent_at);
        } else if ask == Ask::Apply && classify(self.believed, class, Doubt::Clear).action == Action::Reject {
            self.judging.claims.refused(user);
        }
        if self.is_retried(ask, class) {
            self.take(now, instance, user, token, RetryCause::of(class));
        }
    }

    /// Whether an answer leads to another request. Where a grant in doubt may be sent at all, doubt makes no difference to that.
    fn is_retried(&self, ask: Ask, class: AnswerClass) -> bool {
        match ask {
            Ask::Apply => {
                matches!(classify(self.believed, class, Doubt::Clear).action, Action::Retry | Action::ReadBack)
            }
            Ask::Read => classify_read(class).action == Action::ReadBack,
        }
    }

    fn take(&mut self, now: Instant, instance: u16, user: u32, token: u64, cause: RetryCause) {
        // A stale fence schedules nothing: only the answer to the last claim's request says when the grant is due.
        let holder = (instance, self.process_of(instance));
        let place = &mut self.instances[usize::from(instance)];
        let wait = place.bucket.take(place.clock.mono(now), cause);
        let is_believed = self.judging.store_clock_is_honest && now >= self.judging.claims_lost_until;
        if !wait.is_zero() && is_believed && self.judging.claims.is_last(user, holder, token) {
            self.recorder.reach(Reached::RetriesPutOff);
            self.judging.postponed.put_off(user, now + wait);
        }
    }

    /// A request's client is dead.
    pub(super) fn note_orphan(&mut self, attempt: Attempt) {
        if self.keeps_store() {
            self.judging.claims.ended(attempt.user);
            if attempt.ask == Ask::Apply {
                self.judging.claims.doubted(attempt.user, attempt.sent_at);
            }
        }
    }

    pub(super) fn note_process_end(&mut self, holder: Holder) {
        self.judging.claims.process_ended(holder);
    }

    /// The store answers a commit: what it gave out is held by the sender.
    pub(super) fn note_claims(&mut self, now: Instant, sender: Sender, grants: &[ClaimedGrant]) {
        for grant in grants {
            let user = u32::try_from(grant.user.0).expect("users are numbered by u32 in the simulator");
            let is_first = grant.attempts <= 1;
            if self.is_alive(sender.instance, sender.process) {
                self.instances[usize::from(sender.instance)].repeats.claimed(user, is_first);
            }
            let is_delivered = |image: &Image| image.grant_state(grant.user) == Some(GrantState::Delivered);
            let claimed = Claimed {
                holder: (sender.instance, sender.process),
                until: now + grant.lease_until.since(grant.claimed_at),
                is_delivered: !is_first && self.store.images().any(is_delivered),
                doubt: match grant.doubt {
                    Doubt::Clear => Known::Clear,
                    Doubt::InDoubt if grant.first_sent_at == WallTime::UNIX_EPOCH => Known::InDoubtUndated,
                    Doubt::InDoubt => Known::InDoubt,
                },
                clock_error: self.scenario.store.clock_error.saturating_mul(2),
            };
            if let Some(Takeover { is_lapsed, is_another }) = self.judging.claims.claimed(now, user, claimed) {
                if is_another {
                    self.recorder.reach(Reached::Takeovers);
                }
                if is_lapsed {
                    self.judging.postponed.forget(user);
                }
            }
        }
    }

    /// `GRANT-3`: whoever gives a grant up has a reason that can be seen from outside.
    pub(super) fn judge_settled(&mut self, now: Instant, user: u32, state: GrantState) {
        match state {
            GrantState::Delivered => {
                if self.judging.claims.delivered(user) {
                    self.oracles.check(Rule::Grant5, now, Some(user), true, String::new);
                }
            }
            GrantState::Parked => {
                let known = self.judging.claims.given_up(user);
                let holds = known.may_be_parked(Offer::of(self.believed), self.window_of(now, user));
                self.oracles.check(Rule::Grant3, now, Some(user), holds, || match known.doubt {
                    Known::Clear => "parked, and no attempt can have been applied".into(),
                    Known::InDoubt | Known::InDoubtUndated => {
                        "parked, and the service could still have told whether an attempt was applied".into()
                    }
                });
            }
            GrantState::Rejected => {
                let was_refused = self.judging.claims.given_up(user).was_refused;
                self.oracles.check(Rule::Grant3, now, Some(user), was_refused, || {
                    "rejected, and the service has refused nothing for good".into()
                });
            }
            GrantState::Pending | GrantState::Claimed => {}
        }
    }

    /// Whether the window of a grant's key may have closed at `now`. It cannot have begun before the exposure, and whoever finds it
    /// closed does so under a lease that holds.
    fn window_of(&self, now: Instant, user: u32) -> Window {
        let Capability::IdempotencyKey { ttl } = self.believed else { return Window::MayBeClosed };
        let delivery = &self.judging.delivery;
        let error = self.scenario.store.clock_error.saturating_mul(2);
        let last_sending = now + delivery.lease + delivery.upstream.request_lifetime + error + SLACK;
        let is_open = last_sending < self.recorder.user(user).first_exposed_at + ttl;
        if is_open && self.judging.store_clock_is_honest { Window::Open } else { Window::MayBeClosed }
    }

    /// A process has recorded a first exposure.
    pub(super) fn note_recorded(&mut self, recorder: Holder) {
        if *self.judging.first_recorder.get_or_insert(recorder) != recorder {
            self.recorder.reach(Reached::RecordedElsewhere);
        }
    }

    /// The store has lost commits: claims among them, and when what is due.
    pub(super) fn note_failover(&mut self, now: Instant) {
        let delivery = &self.judging.delivery;
        let until = now + delivery.lease + delivery.attempt_timeout;
        self.judging.claims_lost_until = self.judging.claims_lost_until.max(until);
        self.judging.postponed.forget_all();
    }

    pub(super) fn note_trigger_end(&mut self) {
        let backlog = self.quota.queued().max(self.store_backlog());
        self.judging.backlog_at_trigger_end = Some(backlog);
        self.recorder.reach_by(Reached::BacklogAfterTrigger, backlog as u64);
    }

    /// Whether the hook keeps its grants in the store.
    pub(super) fn keeps_store(&self) -> bool {
        self.setting.hook.keeps_store()
    }
}

/// What is remembered of a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub ask: Ask,
    pub user: u32,
    /// Names the request in its process.
    pub token: u64,
    pub sent_at: Instant,
}

#[cfg(test)]
mod tests {
    use hookproof_core::delivery::budget::Budget;
    use hookproof_core::identity::{GrantId, UserHandle};
    use hookproof_core::protection::Protections;
    use hookproof_core::store::{ClaimedGrant, Fence};
    use hookproof_core::upstream::Body;

    use super::*;
    use crate::network::Patience;
    use crate::outcome::Invariant;
    use crate::scenario::{HookKind, Span, decode};
    use crate::world::{Recording, Setting, small};

    /// Patience is a second. The clock of app-1 loses a half of each second in [10 s, 20 s), another three tenths in [15 s, 25 s), and
    /// is fast in [40 s, 50 s); that of app-2 loses nine tenths in [30 s, 40 s).
    const DRIFTS: &str = r#"
schema = 1
title = "Slow clocks"
duration = "60s"
users = { population = 1, visits = { mean = 1, per = "1m" } }
fleet = { instances = 2 }
hardened = { store-patience = "1s" }
[experiment]
id = "e"
variant = [{ name = "a", weight = 1 }, { name = "b", weight = 1, grant = 1 }]
[[fault]]
kind = "clock.drift"
ppm = -500_000
at = "10s"
for = "10s"
on = ["app-1"]
[[fault]]
kind = "clock.drift"
ppm = -300_000
at = "15s"
for = "10s"
on = ["app-1"]
[[fault]]
kind = "clock.drift"
ppm = 400_000
at = "40s"
for = "10s"
on = ["app-1"]
[[fault]]
kind = "clock.drift"
ppm = -900_000
at = "30s"
for = "10s"
on = ["app-2"]
"#;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// `PATH-1` of one visit that began at `from` with an instance, and was answered at `to`.
    fn judged(instance: u16, from: u64, to: u64) -> Invariant {
        let scenario = decode("drifts", "drifts.toml", DRIFTS.as_bytes()).expect("the scenario is valid");
        let setting = Setting {
            hook: HookKind::Hardened,
            protections: Protections::ALL,
            sabotage: None,
            recording: Recording::Off,
            seed: 1,
        };
        let span = Span { name: "run".into(), stretches: vec![(Duration::ZERO, scenario.duration)], fault: None };
        let mut world = World::new(&scenario, setting, vec![span]);
        world.judge_wait(at(to), instance, at(from), 0);
        world.oracles.findings().into_iter().find(|rule| rule.id == "PATH-1").expect("a named invariant")
    }

    #[test]
    fn a_visit_may_wait_as_much_longer_as_its_own_instances_clock_is_slow_at_that_moment() {
        // (instance, began, the longest wait that is permitted), in milliseconds; 10 are slack.
        let cases = [
            (0, 1_000, 1_010),
            (0, 11_000, 2_010),
            (0, 9_500, 2_010),
            (0, 16_000, 5_010),
            (0, 20_000, 1_438),
            (0, 31_000, 1_010),
            (0, 41_000, 1_010),
            (1, 11_000, 1_010),
            (1, 31_000, 10_010),
        ];
        for (instance, from, longest) in cases {
            let violations = |wait: u64| judged(instance, from, from + wait).violations;
            assert_eq!((violations(longest), violations(longest + 1)), (0, 1), "app-{} at {from} ms", instance + 1);
        }
    }

    /// Two processes, told by hand what the store gave them and what the service answered.
    struct ByHand<'a>(World<'a>);

    impl ByHand<'_> {
        /// The store gives a grant to a process, which asks for it to be sent.
        fn asks(&mut self, now: Instant, instance: u16, user: u32, attempts: u32) {
            let doubt = if attempts > 1 { Doubt::InDoubt } else { Doubt::Clear };
            let claimed_at = self.0.scenario.start + now.since(Instant::ORIGIN);
            let grant = ClaimedGrant {
                user: UserHandle(user.into()),
                grant: GrantId::from_bytes([7; 16]),
                units: 25,
                fence: Fence::default(),
                attempts,
                doubt,
                first_sent_at: claimed_at,
                sent_until: claimed_at,
                claimed_at,
                lease_until: claimed_at + self.0.judging.delivery.lease,
            };
            let sender = Sender { instance, process: self.0.process_of(instance), version: 0, number: 0 };
            self.0.note_claims(now, sender, &[grant]);
            self.0.judge_decision(now, instance, &call(user, attempts));
        }

        /// What was asked for is sent and answered.
        fn hears(&mut self, now: Instant, instance: u16, user: u32, attempts: u32, code: u16) {
            self.sends(now, instance, user, attempts);
            self.is_answered(now, instance, user, attempts, code);
        }

        fn sends(&mut self, now: Instant, instance: u16, user: u32, attempts: u32) {
            self.0.judge_sent(now, instance, &call(user, attempts));
        }

        fn is_answered(&mut self, now: Instant, instance: u16, user: u32, attempts: u32, code: u16) {
            let call = call(user, attempts);
            let attempt = Attempt { ask: call.ask, user, token: call.token, sent_at: now };
            self.0.note_answer(
                now,
                instance,
                attempt,
                Answer::Status { code, body: Body::WellFormed, retry_after: None },
            );
        }

        /// How often `LOAD-2` was checked, and how often violated.
        fn load_2(self) -> Option<(u64, u64)> {
            let findings = self.0.oracles.findings();
            findings.iter().find(|rule| rule.id == "LOAD-2").map(|rule| (rule.checked, rule.violations))
        }
    }

    /// Two processes with a retry budget of 50 tokens each.
    fn scenario_of_two() -> Scenario {
        small::scenario(
            "1h",
            "[users]\npopulation = 40\nvisits = { mean = 1, per = \"1m\" }\n[fleet]\ninstances = 2\n\
             [store]\nclock-error = \"10ms\"\n[hardened]\nretry-budget = 50\n",
        )
    }

    fn call(user: u32, attempts: u32) -> subject::Call {
        let patience = Patience::Total { connect: Duration::from_secs(1), attempt: Duration::from_secs(5) };
        let token = u64::from(user) << 8 | u64::from(attempts);
        subject::Call { token, ask: Ask::Apply, user, units: 25, key: None, patience, visit: None }
    }

    /// The story of a swarm's seed (10078945 of `scenarios/swarm.toml`): 1. app-1 asks for a grant's first attempt and sleeps
    /// beyond its lease. 2. app-2 takes the grant over and delivers it. 3. app-1 wakes, sends, and hears the receipt: of a first
    /// attempt, which returns one token. 4. Were it 14, both copies of the budget would differ from here on.
    #[test]
    fn a_receipt_returns_what_its_own_attempt_earns_whoever_has_claimed_the_grant_since() {
        let scenario = scenario_of_two();
        let mut world = ByHand(small::world(&scenario, HookKind::Hardened));
        (0..2).for_each(|instance| world.0.start_process(at(0), instance));
        let mut budget = Budget::new(50, world.0.judging.delivery.backoff_cap);
        let fails = |world: &mut ByHand<'_>, budget: &mut Budget, now: Instant, user: u32| {
            world.asks(now, 0, user, 1);
            world.hears(now, 0, user, 1, 503);
            budget.take(now, RetryCause::Transient)
        };
        world.asks(at(0), 0, 30, 1);
        for user in 0..3 {
            assert_eq!(fails(&mut world, &mut budget, at(1_000), user), at(1_000));
        }
        world.asks(at(40_000), 1, 30, 2);
        world.hears(at(40_000), 1, 30, 2, 200);
        world.0.judge_settled(at(40_000), 30, GrantState::Delivered);
        world.hears(at(41_000), 0, 30, 1, 200);
        budget.refund(1);
        let put_off = fails(&mut world, &mut budget, at(42_000), 3);
        assert_eq!(put_off, at(43_000), "nine tokens are left");
        for user in 10..15 {
            world.asks(at(42_000), 0, user, 1);
            world.hears(at(42_000), 0, user, 1, 200);
            budget.refund(1);
        }
        assert_eq!(fails(&mut world, &mut budget, at(42_000), 4), at(42_000), "fourteen are enough");
        world.asks(at(42_000), 1, 4, 2);
        world.hears(at(42_000), 1, 4, 2, 200);
        world.asks(put_off, 1, 3, 2);
        world.hears(put_off, 1, 3, 2, 200);
        assert_eq!(world.load_2(), Some((1, 0)));
    }

    /// The story of another (30093976): 1. app-1 asks for a grant's second attempt and sleeps beyond its lease. 2. It wakes, sends,
    /// claims the grant again and asks for the third. 3. The third hears 409: five tokens, due at once. 4. The second fails, and its
    /// fourteen are not there. The store schedules nothing under its fence, so the fourth attempt is not early. 5. The fifth is put
    /// off by the fourth's own answer, behind what the second was told.
    #[test]
    fn the_late_answer_to_a_request_puts_nothing_off_that_its_own_process_has_claimed_again() {
        let scenario = scenario_of_two();
        for (early, expected) in [(0, (1, 0)), (100, (1, 1))] {
            let mut world = ByHand(small::world(&scenario, HookKind::Hardened));
            (0..2).for_each(|instance| world.0.start_process(at(0), instance));
            let mut budget = Budget::new(50, world.0.judging.delivery.backoff_cap);
            world.asks(at(0), 0, 30, 2);
            for user in 0..3 {
                world.asks(at(40_000), 0, user, 1);
                world.hears(at(40_000), 0, user, 1, 503);
                assert_eq!(budget.take(at(40_000), RetryCause::Transient), at(40_000));
            }
            world.sends(at(40_000), 0, 30, 2);
            world.asks(at(40_001), 0, 30, 3);
            world.hears(at(40_002), 0, 30, 3, 409);
            assert_eq!(budget.take(at(40_002), RetryCause::InProgress), at(40_002));
            world.is_answered(at(40_100), 0, 30, 2, 500);
            assert_eq!(budget.take(at(40_100), RetryCause::Transient), at(41_100), "three tokens are left");
            world.asks(at(40_200), 0, 30, 4);
            world.hears(at(40_200), 0, 30, 4, 500);
            let put_off = budget.take(at(40_200), RetryCause::Transient);
            assert_eq!(put_off, at(42_100));
            let sent_at = at(42_100 - early);
            world.asks(sent_at, 0, 30, 5);
            world.hears(sent_at, 0, 30, 5, 200);
            assert_eq!(world.load_2(), Some(expected), "{early} ms early");
        }
    }
}
