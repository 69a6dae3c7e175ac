//! The hook's processes: starts and ends, inputs and outputs, timers and the store.
//!
//! A process that ends loses everything but what the store holds. A paused one loses nothing: what reaches it waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::audit::AuditEvent;
use hookproof_core::classify::{Applied, Doubt, classify};
use hookproof_core::committer::Commit;
use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::{Committed, GrantState, Reply};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::Ask;

use super::calls::Sent;
use super::judging::Prompt;
use super::visits::number_of;
use super::{Event, Recording, Recordings, Walls, World};
use crate::chronicle::{Happening, Place};
use crate::clock::Clock;
use crate::digest::Kind;
use crate::fault::{self, Class};
use crate::metrics::levels::Gauged;
use crate::metrics::reached::Reached;
use crate::metrics::recorder::Closing;
use crate::oracle::budget::{Bucket, Repeats};
use crate::oracle::{self, Rule};
use crate::scenario::{Excuse, FaultKind, HookKind, Moment};
use crate::seed::{self, Concern};
use crate::slab::Key;
use crate::store::{Acknowledged, Fact, Sender};
use crate::subject::{
    Hardened, Input, Interpreter, LogSink, Original, Output, Published, Sabotaged, Subject, configure,
};
use crate::users::{self, User};

/// An instance and its process.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub clock: Clock,
    /// The version it starts with next, as an index into the world's.
    pub version: u8,
    subject: Option<Subject>,
    /// Number of the process, from 0; what is meant for another one is nobody's.
    process: u32,
    starts: u32,
    /// It does not come up before this time.
    pub down_until: Instant,
    /// The faults that pause it, each with the end of its pause.
    pauses: Vec<(usize, Instant)>,
    /// When the first of them began.
    paused_at: Instant,
    /// What reaches it during a pause.
    held: VecDeque<Input>,
    /// What it was about to do when a pause began.
    withheld: VecDeque<Output>,
    /// Timers of its process by its monotonic clock, with their tokens; kept only where clocks drift.
    timers: Vec<(Instant, u64)>,
    /// Store commands so far, for draws.
    commands: u64,
    /// When its last pause ended.
    resumed_at: Option<Instant>,
    /// What its process says of its breaker.
    breaker: Breaker,
    /// What its process may still retry, as the oracle counts it.
    pub bucket: Bucket,
    pub repeats: Repeats,
}

/// Whether a process lets requests through, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Closed,
    Open,
}

impl Instance {
    pub(super) fn new(start: WallTime, bucket: Bucket) -> Self {
        Self {
            clock: Clock::new(start),
            version: 0,
            subject: None,
            process: 0,
            starts: 0,
            down_until: Instant::ORIGIN,
            pauses: Vec::new(),
            paused_at: Instant::ORIGIN,
            held: VecDeque::new(),
            withheld: VecDeque::new(),
            timers: Vec::new(),
            commands: 0,
            resumed_at: None,
            breaker: Breaker::Closed,
            bucket,
            repeats: Repeats::default(),
        }
    }
}

impl World<'_> {
    pub(super) fn is_up(&self, instance: u16) -> bool {
        self.instances[usize::from(instance)].subject.is_some()
    }

    pub(super) fn process_of(&self, instance: u16) -> u32 {
        self.instances[usize::from(instance)].process
    }

    pub(super) fn is_alive(&self, instance: u16, process: u32) -> bool {
        self.is_up(instance) && self.process_of(instance) == process
    }

    pub(super) fn start_process(&mut self, now: Instant, instance: u16) {
        if self.is_up(instance) || now < self.instances[usize::from(instance)].down_until {
            return;
        }
        let subject = self.new_subject(instance);
        let place = &mut self.instances[usize::from(instance)];
        place.subject = Some(subject);
        place.bucket = self.judging.bucket();
        place.repeats = Repeats::default();
        place.starts += 1;
        let (starts, process) = (place.starts, place.process);
        if starts > 1 {
            self.recorder.reach(Reached::Restarts);
            self.recorder.restarted(now);
        }
        self.tell_all(now, Place::Instance(instance), Happening::Starts { instance });
        self.digest.event(Kind::Start, now, u64::from(instance), u64::from(process));
        let [_, draw] = self.draws.draw(Concern::Process, u64::from(instance), u64::from(process));
        self.feed(now, instance, Input::Started { draw });
    }

    fn new_subject(&self, instance: u16) -> Subject {
        let place = &self.instances[usize::from(instance)];
        let experiment = Arc::clone(&self.versions[usize::from(place.version)]);
        match self.setting.hook {
            HookKind::Original => Subject::Original(Original::new(experiment)),
            HookKind::Published => {
                let [hash_seed, _] = self.draws.draw(Concern::Process, u64::from(instance), u64::from(place.process));
                let interpreter = Interpreter { hash_seed, minor: 11, log_sink: LogSink::Up };
                Subject::Published(Published::new(experiment, interpreter))
            }
            HookKind::Hardened => {
                let mut config = self.scenario.hook_config();
                config.delivery.protections = self.setting.protections;
                let retry_budget = config.delivery.retry_budget;
                if let Some(sabotage) = self.setting.sabotage {
                    configure(sabotage, self.scenario.fleet.instances, &mut config);
                }
                let mut hardened =
                    Hardened::new(self.lineage(place.version), config).expect("the decoder has checked the settings");
                if let Some(sabotage) = self.setting.sabotage {
                    let [seed, _] = self.draws.draw(Concern::Process, u64::from(instance), u64::from(place.process));
                    return Subject::Sabotaged(Box::new(Sabotaged::new(sabotage, hardened, retry_budget, seed)));
                }
                if self.setting.recording == Recording::On {
                    hardened.record();
                }
                Subject::Hardened(Box::new(hardened))
            }
        }
    }

    /// What a process of version `version` is told: its own, and all others of the scenario, announced before any of them
    /// runs.
    fn lineage(&self, version: u8) -> Lineage {
        let mut others: Vec<Experiment> = self.versions.iter().map(|version| (**version).clone()).collect();
        let current = others.remove(usize::from(version));
        Lineage::new(current, others).expect("the decoder keeps a scenario to one lineage")
    }

    /// Ends a process, if there is one, and keeps the instance down for at least `downtime`.
    pub(super) fn take_down(&mut self, now: Instant, instance: u16, downtime: Duration) {
        self.crash(now, instance);
        let place = &mut self.instances[usize::from(instance)];
        place.down_until = place.down_until.max(now + downtime);
        self.queue.push(place.down_until, Event::ComesUp(instance));
    }

    /// Ends a process at once.
    fn crash(&mut self, now: Instant, instance: u16) {
        if !self.is_up(instance) {
            return;
        }
        self.keep_recording(usize::from(instance));
        let place = &mut self.instances[usize::from(instance)];
        place.subject = None;
        place.held.clear();
        place.withheld.clear();
        place.timers.clear();
        place.pauses.clear();
        let process = place.process;
        place.process += 1;
        self.tell_all(now, Place::Instance(instance), Happening::Stops { instance });
        self.digest.event(Kind::Stop, now, u64::from(instance), u64::from(process));
        self.note_process_end((instance, process));
        self.orphan_calls(now, instance);
        self.see_breaker(now, instance, Breaker::Closed);
        self.reset_tries(now, instance);
    }

    pub(super) fn keep_recording(&mut self, instance: usize) {
        let place = &self.instances[instance];
        let Some(Subject::Hardened(hardened)) = &place.subject else { return };
        if hardened.recorded().is_empty() {
            return;
        }
        self.recordings.push(Recordings {
            instance: u16::try_from(instance).expect("instances are numbered by u16"),
            process: place.process,
            entries: hardened.recorded().to_vec(),
            lineage: hardened.lineage().clone(),
        });
    }

    pub(super) fn pause(&mut self, now: Instant, instance: u16, fault: usize, until: Instant) {
        let delivery = self.scenario.hook_config().delivery;
        let place = &mut self.instances[usize::from(instance)];
        // Only what a guard has let pass and the network has not got can outlast its lease. What a process hears after a pause,
        // its guards see first.
        let at_a_request = matches!(self.faults.fault(fault).kind, FaultKind::ProcessPause { when: Some(_) });
        let withholds = at_a_request || !place.withheld.is_empty();
        if place.pauses.is_empty() {
            place.paused_at = now;
        }
        place.pauses.push((fault, until));
        if withholds && until.since(place.paused_at) + delivery.attempt_timeout >= delivery.lease {
            self.overtaken(until);
        }
    }

    /// A pause ends: the process does what it was about to do, and takes what has reached it meanwhile, in order.
    pub(super) fn resume(&mut self, now: Instant, instance: u16, fault: usize) {
        let place = &mut self.instances[usize::from(instance)];
        place.pauses.retain(|(other, until)| *other != fault || *until > now);
        place.resumed_at = Some(now);
        self.perform_withheld(now, instance);
        while self.is_running(instance) {
            let Some(input) = self.instances[usize::from(instance)].held.pop_front() else { break };
            self.feed(now, instance, input);
        }
    }

    /// Whether a process stood still at any time since `since`.
    pub(super) fn stood_still(&self, instance: u16, since: Instant) -> bool {
        let place = &self.instances[usize::from(instance)];
        !place.pauses.is_empty() || place.resumed_at.is_some_and(|at| at >= since)
    }

    fn is_running(&self, instance: u16) -> bool {
        self.instances[usize::from(instance)].pauses.is_empty()
    }

    /// Gives a process an input and does what it asks for.
    pub(super) fn feed(&mut self, now: Instant, instance: u16, input: Input) {
        let Instance { subject, clock, pauses, held, .. } = &mut self.instances[usize::from(instance)];
        let Some(subject) = subject else { return };
        if !pauses.is_empty() {
            held.push_back(input);
            return;
        }
        let wall = || match self.walls {
            Walls::AsTheyAre => clock.wall(now),
            Walls::True => self.scenario.start + now.since(Instant::ORIGIN),
        };
        let prompt = if matches!(input, Input::Answered { .. }) { Prompt::Upstream } else { Prompt::Other };
        subject.handle(clock.mono(now), wall, input, &mut self.outputs);
        self.perform_asked(now, instance, prompt);
    }

    /// Judges what a process has asked for, and does it.
    fn perform_asked(&mut self, now: Instant, instance: u16, prompt: Prompt) {
        self.judge_asked(now, instance, prompt);
        // What is taken from the end leaves nothing to be moved up.
        self.outputs.reverse();
        while let Some(output) = self.outputs.pop() {
            if self.stands_still(now, Moment::Claimed, instance, &output) {
                self.instances[usize::from(instance)].withheld.push_back(output);
                break;
            }
            if self.perform(now, instance, output) == Sent::Crashed || !self.is_running(instance) {
                break;
            }
        }
        if self.outputs.is_empty() {
            return;
        }
        let Instance { subject, withheld, .. } = &mut self.instances[usize::from(instance)];
        let rest = self.outputs.drain(..).rev();
        if subject.is_some() {
            withheld.extend(rest);
        }
    }

    fn perform_withheld(&mut self, now: Instant, instance: u16) {
        while self.is_running(instance) {
            let Some(output) = self.instances[usize::from(instance)].withheld.pop_front() else { break };
            self.perform(now, instance, output);
        }
    }

    /// Whether a process begins a pause at a moment of the request that it is about to send.
    fn stands_still(&mut self, now: Instant, moment: Moment, instance: u16, output: &Output) -> bool {
        let Output::Call(call) = output else { return false };
        if !self.faults.is_active(Class::pause_at(moment)) {
            return false;
        }
        let number = users::ordinal(self.recorder.user(call.user).calls.saturating_add(1), now);
        self.pauses_at(now, moment, instance, call.user, number)
    }

    /// Whether a process begins a pause at a moment of a request's life, and if so, does it.
    pub(super) fn pauses_at(&mut self, now: Instant, moment: Moment, instance: u16, user: u32, number: u64) -> bool {
        let class = Class::pause_at(moment);
        self.faults.is_active(class) && self.pauses_by(now, class, instance, user, number)
    }

    #[cold]
    fn pauses_by(&mut self, now: Instant, class: Class, instance: u16, user: u32, number: u64) -> bool {
        if !self.is_up(instance) || !self.is_running(instance) {
            return false;
        }
        let Some(index) = self.faults.touch(class, instance, u64::from(user), number) else { return false };
        self.recorder.reach(Reached::ProcessPauses);
        let until = now + self.faults.fault(index).length;
        self.pause(now, instance, index, until);
        let fault = fault::number(index);
        self.queue.push(until, Event::Resumes { instance, fault });
        true
    }

    fn perform(&mut self, now: Instant, instance: u16, output: Output) -> Sent {
        match output {
            Output::Answer { visit, answer } => self.answer(now, Key::from_bits(visit), answer),
            Output::Expose { user, variant } => {
                let version = self.instances[usize::from(instance)].version;
                self.expose(now, Place::Instance(instance), user, number_of(variant), version);
                self.sighting(now, user, number_of(variant));
            }
            Output::Call(call) => return self.send(now, instance, call),
            Output::Store(commit) => self.submit(now, instance, commit),
            Output::SetTimer { at, token } => {
                let place = &mut self.instances[usize::from(instance)];
                if self.clocks_drift {
                    place.timers.push((at, token));
                }
                let at = place.clock.when_mono(at).max(now);
                self.queue.push(at, Event::Timer { instance, process: place.process, token });
            }
            Output::Log(_) => {}
            Output::Audit(event) => self.on_audit(now, instance, event),
        }
        Sent::Alive
    }

    fn expose(&mut self, now: Instant, place: Place, user: u32, variant: u8, version: u8) {
        self.tell(now, user, place, Happening::Exposed { variant, version });
        self.digest.event(Kind::Exposure, now, u64::from(user), u64::from(variant));
        self.recorder.exposed(now, user, variant, version);
    }

    pub(super) fn on_timer(&mut self, now: Instant, instance: u16, process: u32, token: u64) {
        if self.is_alive(instance, process) && self.is_due(now, instance, token) {
            self.feed(now, instance, Input::Timer { token });
        }
    }

    /// Whether a timer's time has come by its instance's clock; if not, it is put off until then. One that was set before the
    /// clock changed its rate comes twice, and counts once.
    fn is_due(&mut self, now: Instant, instance: u16, token: u64) -> bool {
        if !self.clocks_drift {
            return true;
        }
        let Instance { clock, timers, process, .. } = &mut self.instances[usize::from(instance)];
        let Some(index) = timers.iter().position(|(_, pending)| *pending == token) else { return false };
        let (at, _) = timers[index];
        let is_due = at <= clock.mono(now);
        if is_due {
            timers.swap_remove(index);
        } else {
            self.queue.push(clock.when_mono(at), Event::Timer { instance, process: *process, token });
        }
        is_due
    }

    /// The clock of an instance runs at another rate from here on, and so do its process's timers.
    pub(super) fn reset_timers(&mut self, now: Instant, instance: u16) {
        let Instance { clock, timers, process, .. } = &self.instances[usize::from(instance)];
        for (at, token) in timers {
            let event = Event::Timer { instance, process: *process, token: *token };
            self.queue.push(clock.when_mono(*at).max(now), event);
        }
    }

    fn submit(&mut self, now: Instant, instance: u16, commit: Commit) {
        let place = &mut self.instances[usize::from(instance)];
        place.commands += 1;
        let (process, version, n) = (place.process, place.version, place.commands);
        let draws = || self.draws.draw(Concern::Store, u64::from(instance), n);
        let mut latency = seed::latency(self.scenario.store.latency, draws);
        if self.faults.is_active(Class::StoreLatency)
            && let Some(index) = self.faults.touch(Class::StoreLatency, instance, u64::from(instance), n)
            && let FaultKind::StoreLatency { add } = self.faults.fault(index).kind
        {
            latency += add;
        }
        let sender = Sender { instance, process, version, number: n };
        let key = self.store.send(sender, commit);
        self.queue.push(now + latency, Event::StoreExecutes(key));
    }

    pub(super) fn on_store_executes(&mut self, now: Instant, key: Key) {
        if self.faults.is_active(Class::StoreError)
            && let Some(Sender { instance, number, .. }) = self.store.sender(key)
            && self.faults.touch(Class::StoreError, instance, u64::from(instance), number).is_some()
        {
            self.store.refuse(key);
            self.on_store_answers(now, key);
            return;
        }
        let waits = self.store.execute(key, now);
        if self.faults.is_active(Class::StoreLostAck)
            && let Some(Sender { instance, number, .. }) = self.store.sender(key)
            && self.faults.touch(Class::StoreLostAck, instance, u64::from(instance), number).is_some()
        {
            self.store.lose_answer(key);
        }
        if waits {
            self.queue.push(now + self.scenario.store.latency_commit, Event::StoreAnswers(key));
        } else {
            self.on_store_answers(now, key);
        }
    }

    pub(super) fn on_store_answers(&mut self, now: Instant, key: Key) {
        let Some(Acknowledged { sender, ticket, reply, facts, emptied }) = self.store.acknowledge(key, now) else {
            return;
        };
        let Sender { instance, process, number, .. } = sender;
        for fact in &facts {
            match *fact {
                Fact::Exposed { user, variant } => self.on_recorded(now, sender, user, number_of(variant)),
                Fact::Settled { user, state } => self.on_settled(now, user, state),
            }
        }
        self.store.reuse(facts);
        match &reply {
            Reply::Refused | Reply::Unknown => self.recorder.reach(Reached::StoreFailures),
            Reply::Committed { results, .. } => self.note_results(now, sender, results),
        }
        if self.is_alive(instance, process) {
            if let Some(subject) = &mut self.instances[usize::from(instance)].subject {
                subject.reuse(emptied);
            }
            let draw = match reply {
                Reply::Committed { .. } => 0,
                Reply::Refused | Reply::Unknown => self.draws.draw(Concern::Stored, u64::from(instance), number)[0],
            };
            self.feed(now, instance, Input::Stored { ticket, reply, draw });
        }
    }

    /// A first exposure became durable.
    #[inline(never)]
    fn on_recorded(&mut self, now: Instant, sender: Sender, user: u32, variant: u8) {
        let Sender { instance, process, version, .. } = sender;
        self.recorder.user_mut(user).clear(User::FORGOTTEN);
        self.expose(now, Place::Store, user, variant, version);
        self.note_recorded((instance, process));
        self.judge_assignment(now, version, user, variant);
    }

    /// What became durable with a commit, as far as it moves grants and the fleet's limit.
    #[inline(never)]
    fn note_results(&mut self, now: Instant, sender: Sender, results: &[Committed]) {
        let mut moves = false;
        for result in results {
            match result {
                Committed::Claimed { grants, .. } => {
                    moves = true;
                    if grants.is_empty() {
                        self.recorder.reach(Reached::EmptyClaims);
                    }
                    self.note_claims(now, sender, grants);
                    self.tell_claims(now, sender, grants);
                }
                Committed::Settled { .. } | Committed::Resolved { .. } => moves = true,
                Committed::Opened { .. }
                | Committed::Foreign
                | Committed::Admitted { .. }
                | Committed::Found { .. } => {}
            }
        }
        if moves {
            self.see_limit(now);
        }
    }

    /// Holds a recorded assignment against the version that recorded it.
    fn judge_assignment(&mut self, now: Instant, version: u8, user: u32, variant: u8) {
        if self.recorder.mismatches.is_some() {
            let specified = oracle::specified_variant(&self.versions[usize::from(version)], user);
            if specified != variant {
                self.recorder.mismatched(user);
            }
            self.oracles.check(Rule::Assign2, now, Some(user), specified == variant, || {
                format!("recorded variant {variant}, the specified hash gives {specified}")
            });
        }
    }

    #[inline(never)]
    fn on_settled(&mut self, now: Instant, user: u32, state: GrantState) {
        self.tell(now, user, Place::Store, Happening::Settled { state });
        self.digest.event(Kind::Settled, now, u64::from(user), state as u64);
        self.judge_settled(now, user, state);
        match state {
            GrantState::Delivered => {
                let record = self.recorder.user(user);
                let (is_true, is_deceived) = (record.effects > 0, record.is(User::DECEIVED));
                if !is_true && is_deceived && self.scenario.excuses.contains(&Excuse::FalseAck) {
                    self.recorder.reach(Reached::ExcusedReceipts);
                    return;
                }
                self.oracles.check(Rule::Audit1, now, Some(user), is_true, || {
                    "recorded as delivered, and the ledger holds no effect".into()
                });
            }
            GrantState::Parked => self.recorder.closed(now, user, Closing::Parked),
            GrantState::Rejected => self.recorder.closed(now, user, Closing::Rejected),
            GrantState::Pending | GrantState::Claimed => {}
        }
    }

    /// The fleet's limit, which claims configure and settlements move.
    fn see_limit(&mut self, now: Instant) {
        let limit = self.store.images().map(|image| i64::from(image.fleet().limit())).sum();
        self.recorder.level(Gauged::FleetLimit, now, limit);
    }

    fn see_breaker(&mut self, now: Instant, instance: u16, breaker: Breaker) {
        let place = &mut self.instances[usize::from(instance)];
        if std::mem::replace(&mut place.breaker, breaker) != breaker {
            let open = self.instances.iter().filter(|instance| instance.breaker == Breaker::Open).count();
            self.recorder.level(Gauged::BreakersOpen, now, i64::try_from(open).unwrap_or(i64::MAX));
        }
    }

    /// Counts what the hook says of itself; nothing acts on it.
    fn on_audit(&mut self, now: Instant, instance: u16, event: AuditEvent) {
        let reached = match event {
            AuditEvent::Sent { ask: Ask::Apply, doubt: Doubt::InDoubt, .. } => Reached::DuplicateSends,
            AuditEvent::Answered { ask: Ask::Apply, answer, .. } => {
                match classify(self.believed, answer, Doubt::Clear).applied {
                    Applied::Maybe => Reached::Doubts,
                    Applied::Yes => Reached::Receipts,
                    Applied::No => return,
                }
            }
            AuditEvent::LanePaused { .. } => Reached::LanePauses,
            AuditEvent::BreakerOpened => {
                self.see_breaker(now, instance, Breaker::Open);
                Reached::BreakerOpenings
            }
            AuditEvent::BreakerClosed => return self.see_breaker(now, instance, Breaker::Closed),
            AuditEvent::EffectCapReached { .. } => Reached::EffectCapHolds,
            AuditEvent::Released { .. } => Reached::Releases,
            AuditEvent::Parked { .. } => Reached::Parked,
            AuditEvent::Sent { .. }
            | AuditEvent::Answered { .. }
            | AuditEvent::Exposed { .. }
            | AuditEvent::Provisional { .. }
            | AuditEvent::Delivered { .. }
            | AuditEvent::Rejected { .. }
            | AuditEvent::Absent { .. }
            | AuditEvent::StoreRefused => return,
        };
        self.recorder.reach(reached);
    }

    /// Whether a process crashes at a moment of a request's life, and if so, does it.
    pub(super) fn crashes_at(&mut self, now: Instant, moment: Moment, instance: u16, user: u32, number: u64) -> bool {
        let class = Class::crash_at(moment);
        self.faults.is_active(class) && self.crashes_by(now, class, instance, user, number)
    }

    #[cold]
    fn crashes_by(&mut self, now: Instant, class: Class, instance: u16, user: u32, number: u64) -> bool {
        if !self.is_up(instance) {
            return false;
        }
        let Some(index) = self.faults.touch(class, instance, u64::from(user), number) else { return false };
        let FaultKind::ProcessCrash { downtime, .. } = self.faults.fault(index).kind else { return false };
        self.recorder.reach(Reached::Crashes);
        self.take_down(now, instance, downtime);
        true
    }
}
