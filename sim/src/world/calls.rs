//! Requests to the quota service: the way there, the work, the way back.
//!
//! A request has two ends. Its client may leave while the service goes on; the service may be done with it while the client
//! waits for an answer that was lost. It is forgotten when both have let go.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hookproof_core::time::{Instant, nanos};
use hookproof_core::upstream::{Answer, Ask, Body, Lost, NotSent};

use super::{Event, GIVE_UPS, World, judging};
use crate::chronicle::{Happening, Place};
use crate::digest::Kind;
use crate::fault::{self, Class};
use crate::metrics::acks::RequestName;
use crate::metrics::levels::Gauged;
use crate::metrics::reached::Reached;
use crate::metrics::recorder::EffectSeen;
use crate::network::ONE_WAY;
use crate::oracle::Rule;
use crate::quota_service::{Begun, Finished, Mishap, Request, Served, Status, Work};
use crate::scenario::{FaultKind, Moment};
use crate::seed::{self, Concern};
use crate::slab::Key;
use crate::subject::{self, Input};
use crate::users::{self, User};

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    request: Request,
    /// The user's how-manieth request, which names it in draws; see [`users::ordinal`].
    number: u64,
    sender: Sender,
    instance: u16,
    process: u32,
    token: u64,
    visit: Option<u64>,
    sent_at: Instant,
    client: Client,
    service: Service,
    /// What a worker does with it, once one has begun.
    work: Work,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Its client.
    Client,
    /// The network or a proxy: the same bytes again.
    Network,
}

impl Call {
    /// Whether the client waits.
    pub(super) fn has_client(&self) -> bool {
        self.client == Client::Waits
    }

    /// How the ledger and the answer name it.
    fn name(&self) -> RequestName {
        RequestName { user: self.request.user, number: self.number, key: self.request.key }
    }
}

/// The client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// It waits.
    Waits,
    /// It has its answer, has given up, or is dead.
    Gone,
}

/// The service's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// It has the request, or will.
    Works,
    /// It never saw the request, or has lost sight of it.
    Done,
    /// An answer is on its way.
    Answers(Answer),
}

/// What became of a sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The process goes on.
    Alive,
    /// The process crashed at this moment.
    Crashed,
}

impl World<'_> {
    /// A process sends a request.
    pub(super) fn send(&mut self, now: Instant, instance: u16, call: subject::Call) -> Sent {
        let next_number = users::ordinal(self.recorder.user(call.user).calls.saturating_add(1), now);
        if self.crashes_at(now, Moment::Claimed, instance, call.user, next_number) {
            return Sent::Crashed;
        }
        let number = users::ordinal(self.recorder.sent(now, call.user), now);
        self.digest.event(Kind::Call, now, u64::from(call.user), number);
        let what = Happening::Sent { number, ask: call.ask, key: call.key, is_awaited: call.visit.is_some() };
        self.tell(now, call.user, Place::Instance(instance), what);
        self.in_flight += 1;
        self.see_in_flight(now);
        let (in_flight, limit) = (self.in_flight, self.in_flight_max);
        if now >= self.overtaken_until {
            self.oracles.check(Rule::Load1, now, Some(call.user), in_flight <= limit, || {
                format!("{in_flight} requests in flight, the fleet's limit is {limit}")
            });
            if in_flight == limit {
                self.recorder.reach(Reached::SendsAtLimit);
            }
        } else if in_flight > limit {
            self.recorder.reach(Reached::LimitOvertaken);
        }
        self.judge_sent(now, instance, &call);
        let key = self.calls.insert(Call {
            request: Request { ask: call.ask, user: call.user, units: call.units, key: call.key },
            number,
            sender: Sender::Client,
            instance,
            process: self.process_of(instance),
            token: call.token,
            visit: call.visit,
            sent_at: now,
            client: Client::Waits,
            service: Service::Works,
            work: Work::Execute,
        });
        self.dispatch(now, key, call.patience.connect());
        // After what the network says, so that a refusal at the very end of the patience is still heard.
        if let Some(limit) = call.patience.limit(now) {
            self.queue.push_timeout(GIVE_UPS, limit, Event::GivesUp(key));
        }
        if self.crashes_at(now, Moment::Sent, instance, call.user, number) {
            return Sent::Crashed;
        }
        self.pauses_at(now, Moment::Sent, instance, call.user, number);
        Sent::Alive
    }

    /// The request leaves its process and meets the network.
    fn dispatch(&mut self, now: Instant, key: Key, connect: Duration) {
        if self.is_touched(Class::QuotaRefused, key) {
            self.answer_call(now + ONE_WAY, key, Answer::NotSent(NotSent::Refused));
            return;
        }
        if self.is_touched(Class::NetworkPartition, key) {
            self.answer_call(now + connect, key, Answer::NotSent(NotSent::ConnectTimeout));
            return;
        }
        let Some(user) = self.calls.get(key).map(|call| call.request.user) else { return };
        self.recorder.may_arrive(now, user);
        if self.is_touched(Class::NetworkReset, key) {
            self.answer_call(now + ONE_WAY, key, Answer::Lost(Lost::Reset));
            return;
        }
        if self.is_touched(Class::NetworkLoss, key) {
            self.let_go(key);
            return;
        }
        let mut way = ONE_WAY;
        if let Some(FaultKind::NetworkLatency { add }) = self.touch(Class::NetworkLatency, key) {
            way += *add;
        }
        if self.is_touched(Class::NetworkReorder, key) {
            way += self.reorder_delay(key);
        }
        self.queue.push(now + way, Event::Arrives(key));
        if self.is_touched(Class::NetworkDuplicate, key) {
            self.send_again(now + way + ONE_WAY, key);
        }
    }

    /// How much later than it would a reordered request arrives: uniformly up to the true `request-lifetime`, so that what
    /// is declared of the way stays true, and only what waits in the service's queue besides can be later.
    fn reorder_delay(&self, key: Key) -> Duration {
        let Some(call) = self.calls.get(key) else { return Duration::ZERO };
        let [draw, _] = self.draws.draw(Concern::Reorder, u64::from(call.request.user), call.number);
        let longest = self.scenario.upstream.truth.request_lifetime.saturating_sub(ONE_WAY);
        Duration::from_nanos(seed::below(draw, nanos(longest)))
    }

    /// A request that nobody of ours sent arrives as well: the same bytes, and no client.
    fn send_again(&mut self, at: Instant, key: Key) {
        if let Some(call) = self.calls.get(key).copied() {
            let again = self.calls.insert(Call {
                sender: Sender::Network,
                client: Client::Gone,
                service: Service::Works,
                ..call
            });
            self.queue.push(at, Event::Arrives(again));
            let what = Happening::Repeated { number: call.number };
            self.tell(self.queue.now(), call.request.user, Place::Run, what);
        }
    }

    pub(super) fn on_arrives(&mut self, now: Instant, key: Key) {
        let Some(&Call { request, number, .. }) = self.calls.get(key) else { return };
        self.tell(now, request.user, Place::Quota, Happening::Arrived { number });
        if self.is_touched(Class::QuotaHang, key) {
            self.let_go(key);
            return;
        }
        if let Some(FaultKind::QuotaThrottle { retry_after }) = self.touch(Class::QuotaThrottle, key) {
            let answer = Answer::Status { code: 429, body: Body::WellFormed, retry_after: *retry_after };
            return self.reply(now, key, answer);
        }
        if self.is_touched(Class::QuotaUnauthorised, key) {
            return self.reply(now, key, well_formed(Status::UNAUTHORISED));
        }
        let is_unavailable = self.is_touched(Class::QuotaUnavailable, key);
        let refusal = if is_unavailable { Some(Status::UNAVAILABLE) } else { self.quota.refuses(&request) };
        if let Some(status) = refusal {
            return self.reply(now, key, well_formed(status));
        }
        self.quota.enqueue(key);
        self.work(now);
    }

    /// Idle workers take what waits.
    fn work(&mut self, now: Instant) {
        while let Some(key) = self.quota.next_to_begin() {
            let Some(&Call { request, number, .. }) = self.calls.get(key) else { continue };
            let lag = self.replica_lag(now, key, &request);
            match self.quota.begin(now, &request, lag) {
                Begun::Answered(status) => self.reply(now, key, well_formed(status)),
                Begun::Working(work) => {
                    self.begin_work(key, work);
                    let time = self.service_time(key, request.user, number);
                    self.queue.push(now + time, Event::Served(key));
                }
            }
        }
        let queued = self.quota.queued();
        self.recorder.overload.set(now, queued as f64 > self.capacity);
        self.recorder.level(Gauged::Queued, now, i64::try_from(queued).unwrap_or(i64::MAX));
    }

    /// How far the replica lies behind that a request's key or grant is looked up in.
    fn replica_lag(&mut self, now: Instant, key: Key, request: &Request) -> Duration {
        if self.faults.is_active(Class::QuotaKeyLag)
            && self.quota.asks_a_replica(now, request)
            && let Some(FaultKind::QuotaKeyLag { lag }) = self.touch(Class::QuotaKeyLag, key)
        {
            return *lag;
        }
        Duration::ZERO
    }

    fn begin_work(&mut self, key: Key, work: Work) {
        if let Some(call) = self.calls.get_mut(key) {
            call.work = work;
        }
    }

    fn service_time(&mut self, key: Key, user: u32, number: u64) -> Duration {
        let draws = || self.draws.draw(Concern::Service, u64::from(user), number);
        let time = seed::latency(self.scenario.upstream.service_time, draws);
        if let Some(FaultKind::QuotaSlow { factor }) = self.touch(Class::QuotaSlow, key) {
            return seed::scale(time, *factor);
        }
        time
    }

    pub(super) fn on_served(&mut self, now: Instant, key: Key) {
        let Some(call) = self.calls.get(key).copied() else { return };
        let mishap = self.mishap(key, call.request.ask);
        let held = self.quota.base().saturating_add(self.recorder.user(call.request.user).granted_units);
        let finished = self.quota.finish(now, Served { request: &call.request, work: call.work, held, mishap });
        self.account(now, &call, finished);
        let Finished { status, effect: units, is_replay, .. } = finished;
        let what = Happening::Served { number: call.number, status: status.0, units, is_replay };
        self.tell(now, call.request.user, Place::Quota, what);
        if mishap == Mishap::FalseAck && !finished.is_replay {
            self.recorder.user_mut(call.request.user).set(User::DECEIVED);
        }
        self.answer_served(now, key, finished);
        if finished.effect.is_some() && self.is_alive(call.instance, call.process) {
            let (instance, user) = (call.instance, call.request.user);
            if !self.crashes_at(now, Moment::Applied, instance, user, call.number) {
                self.pauses_at(now, Moment::Applied, instance, user, call.number);
            }
        }
        self.work(now);
    }

    /// What faults make of a request that was served. A read has no effect that could be feigned.
    fn mishap(&mut self, key: Key, ask: Ask) -> Mishap {
        if self.is_touched(Class::QuotaErrorBefore, key) {
            Mishap::ErrorBefore
        } else if self.is_touched(Class::QuotaErrorAfter, key) {
            Mishap::ErrorAfter
        } else if ask == Ask::Apply && self.is_touched(Class::QuotaFalseAck, key) {
            Mishap::FalseAck
        } else {
            Mishap::None
        }
    }

    /// The ledger's entry for a finished execution.
    fn account(&mut self, now: Instant, call: &Call, finished: Finished) {
        let user = call.request.user;
        if call.work.is_execution() && now.since(call.sent_at) > self.scenario.upstream.believed.request_lifetime {
            self.recorder.reach(Reached::LateExecutions);
        }
        if finished.is_replay {
            self.recorder.reach(Reached::KeyReplays);
        }
        if let Some(units) = finished.refused {
            self.recorder.reach(Reached::HardLimitRefusals);
            self.recorder.refused(user, units);
        }
        let Some(units) = finished.effect else { return };
        let is_wanted = call.client == Client::Waits && call.visit.is_none_or(|visit| self.is_waiting(visit));
        self.recorder.effect(now, EffectSeen { request: call.name(), units, sent_at: call.sent_at, is_wanted });
        self.digest.event(Kind::Effect, now, u64::from(user), u64::from(units));
        let record = *self.recorder.user(user);
        self.oracles.check(Rule::Grant1, now, Some(user), record.effects <= 1, || {
            format!("effect number {} for one user", record.effects)
        });
        let is_entitled = self.recorder.entitlements.of_user(&record).is_some();
        self.oracles.check(Rule::Grant2, now, Some(user), is_entitled, || {
            if record.is_exposed() { "granted, and first exposed to a control" } else { "granted, and never exposed" }
                .into()
        });
    }

    fn answer_served(&mut self, now: Instant, key: Key, finished: Finished) {
        // What the network repeats is not repeated again.
        let is_first = self.calls.get(key).is_some_and(|call| call.sender == Sender::Client);
        if is_first && let Some(FaultKind::QuotaReplay { delay }) = self.touch(Class::QuotaReplay, key) {
            let at = now + *delay;
            self.send_again(at, key);
        }
        if self.is_touched(Class::QuotaLostReply, key) {
            self.recorder.reach(Reached::LostReplies);
            return self.reply(now, key, Answer::Lost(Lost::Reset));
        }
        if self.is_touched(Class::NetworkLostReply, key) {
            self.recorder.reach(Reached::LostReplies);
            return self.let_go(key);
        }
        let is_malformed = self.is_touched(Class::QuotaMalformed, key);
        let body = match finished.status {
            _ if is_malformed => Body::Malformed,
            Status::LIMIT_REACHED => Body::LimitReached,
            _ => Body::WellFormed,
        };
        self.reply(now, key, Answer::Status { code: finished.status.0, body, retry_after: None });
    }

    /// The service answers.
    fn reply(&mut self, now: Instant, key: Key, answer: Answer) {
        self.answer_call(now + ONE_WAY, key, answer);
    }

    /// An answer will reach the client at `at`, if it still waits.
    fn answer_call(&mut self, at: Instant, key: Key, answer: Answer) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.client == Client::Gone {
            self.calls.remove(key);
        } else {
            call.service = Service::Answers(answer);
            self.queue.push(at, Event::Answered(key));
        }
    }

    /// The service has done with a request, and no answer will come.
    fn let_go(&mut self, key: Key) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.service = Service::Done;
        if call.client == Client::Gone {
            self.calls.remove(key);
        }
    }

    pub(super) fn on_answered(&mut self, now: Instant, key: Key) {
        let Some(&Call { service: Service::Answers(answer), .. }) = self.calls.get(key) else { return };
        self.client_done(now, key, answer);
    }

    pub(super) fn on_gives_up(&mut self, now: Instant, key: Key) {
        let Some(Call { client: Client::Waits, .. }) = self.calls.get(key) else { return };
        self.recorder.reach(Reached::AbandonedCalls);
        self.client_done(now, key, Answer::Lost(Lost::Timeout));
    }

    /// The client's end of a request is over, and its process is told how.
    fn client_done(&mut self, now: Instant, key: Key, answer: Answer) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.client = Client::Gone;
        let Call { request, number, instance, token, sent_at, .. } = *call;
        let name = call.name();
        if call.service != Service::Works {
            self.calls.remove(key);
        }
        self.in_flight -= 1;
        self.see_in_flight(now);
        let user = u64::from(request.user);
        self.digest.event(Kind::Answer, now, user, number << 16 | u64::from(code(answer)));
        self.tell(now, request.user, Place::Instance(instance), Happening::Heard { number, answer });
        self.outcomes += 1;
        if request.ask == Ask::Read {
            self.note_read(answer);
        }
        if request.ask == Ask::Apply && matches!(answer, Answer::Status { code: 200..=299, .. }) {
            self.recorder.acknowledged(now, name);
        }
        let attempt = judging::Attempt { ask: request.ask, user: request.user, token, sent_at };
        self.note_answer(now, instance, attempt, answer);
        let [draw, _] = self.draws.draw(Concern::Answer, user, number);
        self.feed(now, instance, Input::Answered { token, answer, draw });
    }

    /// A read's answer reached its client.
    fn note_read(&mut self, answer: Answer) {
        let Answer::Status { code, body: Body::WellFormed, .. } = answer else { return };
        let is_absent = Status(code) == Status::NOT_FOUND;
        if is_absent || Status(code).is_success() {
            self.recorder.reach(Reached::ReadsAnswered);
        }
        if is_absent {
            self.recorder.reach(Reached::ReadsAbsent);
        }
    }

    fn see_in_flight(&mut self, now: Instant) {
        self.recorder.level(Gauged::InFlight, now, i64::try_from(self.in_flight).unwrap_or(i64::MAX));
    }

    /// The clients of a process that has ended are gone; the service goes on.
    pub(super) fn orphan_calls(&mut self, now: Instant, instance: u16) {
        let waits =
            |(key, call): (Key, &Call)| (call.instance == instance && call.client == Client::Waits).then_some(key);
        let orphans: Vec<Key> = self.calls.iter().filter_map(waits).collect();
        for key in orphans {
            self.in_flight -= 1;
            self.outcomes += 1;
            if let Some(call) = self.calls.get_mut(key) {
                call.client = Client::Gone;
                let Call { request, token, sent_at, .. } = *call;
                let attempt = judging::Attempt { ask: request.ask, user: request.user, token, sent_at };
                if call.service != Service::Works {
                    self.calls.remove(key);
                }
                self.note_orphan(attempt);
            }
        }
        self.see_in_flight(now);
    }

    #[inline]
    fn is_touched(&mut self, class: Class, key: Key) -> bool {
        self.faults.is_active(class) && self.touch(class, key).is_some()
    }

    /// The fault of `class` that touches a request, if one does.
    #[inline]
    fn touch(&mut self, class: Class, key: Key) -> Option<&FaultKind> {
        if self.faults.is_active(class) { self.touch_by(class, key) } else { None }
    }

    #[cold]
    fn touch_by(&mut self, class: Class, key: Key) -> Option<&FaultKind> {
        let call = self.calls.get(key)?;
        let (user, number) = (call.request.user, call.number);
        let index = self.faults.touch(class, call.instance, u64::from(user), number)?;
        let fault = fault::number(index);
        self.tell(self.queue.now(), user, Place::Run, Happening::Touched { number, fault });
        Some(&self.faults.fault(index).kind)
    }
}

const fn well_formed(status: Status) -> Answer {
    Answer::Status { code: status.0, body: Body::WellFormed, retry_after: None }
}

/// An answer's code in the digest: the status, or a small number.
const fn code(answer: Answer) -> u16 {
    match answer {
        Answer::NotSent(NotSent::Dns) => 1,
        Answer::NotSent(NotSent::Refused) => 2,
        Answer::NotSent(NotSent::ConnectTimeout) => 3,
        Answer::NotSent(NotSent::Tls) => 4,
        Answer::Lost(Lost::Timeout) => 5,
        Answer::Lost(Lost::Reset) => 6,
        Answer::Lost(Lost::Truncated) => 7,
        Answer::Status { code, .. } => code,
    }
}
