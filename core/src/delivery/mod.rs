//! Delivery: what was promised is sent until a receipt proves it, outside the request path.
//!
//! Owns the order of a grant's life in one process: claim → guards → send → answer → settle. It holds only what it has
//! claimed; everything else is the store's. A retry is a row that is due later, not a loop. It does not poll: it is woken by
//! the commit that made work, by the earliest due time in a reply, and by an answer that frees a slot.
//!
//! * `GRANT-4`: no send in doubt that could execute after the key's window: asserted at the send.
//! * `GRANT-5`: nothing is sent under a lease that may be over; every receipt is settled, whatever became of the lease.
//! * `LOAD-1`: in flight ≤ the limit: asserted at the send.
//! * `AUDIT-1`: an attempt is answered once; a second answer is nobody's.
//!
//! Time enters with every input as [`Now`], chance with the inputs that need it. See `tests/delivery.rs`.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod config;
pub mod lane;
pub mod limiter;
mod slots;
pub mod window;

use std::collections::VecDeque;
use std::time::Duration;

use self::backoff::full_jitter;
use self::breaker::Change;
use self::budget::Budget;
use self::config::DeliveryConfig;
use self::lane::{Lane, Room};
pub use self::slots::AttemptId;
use self::slots::{Slot, Slots, Stage};
use self::window::{lease_holds, window_allows};
use crate::audit::AuditEvent;
use crate::classify::{Action, AnswerClass, Applied, Doubt, ParkReason, RetryCause, classify};
use crate::identity::GrantId;
use crate::protection::Protection;
use crate::store::{Claim, ClaimedGrant, Settle, Settlement};
use crate::time::{Instant, Now};
use crate::upstream::{Answer, Ask, Capability, Request};

/// How long a grant may be overdue before another process than the one that recorded it asks for it: that one is about to,
/// as long as it lives.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// Settlements that may be with the store at once: a store that takes claims and refuses settlements must not fill memory.
const UNSETTLED_MAX: usize = 1_024;
/// How long to wait before the store is asked again after it refused or did not answer, at first.
const STORE_RETRY_BASE: Duration = Duration::from_millis(100);
/// The same, at most. A commit whose outcome is unknown has come to rest by then.
const STORE_RETRY_CAP: Duration = Duration::from_secs(5);
/// The shortest wait after a claim that found nothing, whatever the store's clock says: it may stand still for hours,
/// with a grant due in a microsecond (`LOAD-4`).
const EMPTY_CLAIM_WAIT: Duration = Duration::from_millis(10);
/// A settlement is tried again at a steady pace, as after this many failures.
const SETTLE_AGAIN_ATTEMPTS: u32 = 4;

/// A request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Send {
    /// Names the attempt in its answer.
    pub attempt: AttemptId,
    /// What to send.
    pub request: Request,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long it all may take.
    pub attempt_timeout: Duration,
}

/// What happens to delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The store was opened, and its earliest grant is due after this time, if there is one.
    Opened {
        /// From now.
        due_in: Option<Duration>,
    },
    /// The store was not opened. A claim asks for what opening asks for.
    OpenFailed {
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
    /// A commit of this process recorded a grant.
    Admitted,
    /// Somebody's grant is due, or may be, and whoever recorded it may be gone: a visit's reply shows the earliest due time,
    /// or an admission of ours has an unknown outcome.
    MaybeOrphaned {
        /// From now.
        due_in: Duration,
    },
    /// The claim was committed.
    Claimed {
        /// What was claimed.
        grants: Vec<ClaimedGrant>,
        /// When the next grant is due, from now.
        due_in: Option<Duration>,
    },
    /// The claim was refused, or its outcome is unknown: what it may have claimed comes back when the lease ends.
    ClaimFailed {
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
    /// An attempt ended.
    Answered {
        /// Which.
        attempt: AttemptId,
        /// How.
        answer: Answer,
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
    /// A settlement is durable.
    Settled {
        /// Of which attempt.
        attempt: AttemptId,
        /// When the next grant is due, from now.
        due_in: Option<Duration>,
    },
    /// A settlement was refused, or its outcome is unknown. It is idempotent under its fence and goes out again.
    SettleFailed {
        /// Of which attempt.
        attempt: AttemptId,
        /// Chance, uniform over all 64 bits.
        draw: u64,
    },
}

/// What delivery wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Claim grants.
    Claim(Claim),
    /// Settle an attempt.
    Settle(AttemptId, Settle),
    /// Send a request.
    Send(Send),
    /// Tell the auditor.
    Audit(AuditEvent),
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    config: DeliveryConfig,
    lane: Lane,
    budget: Budget,
    slots: Slots,
    is_claiming: bool,
    claim_failures: u32,
    settle_again_count: u32,
    /// When the next grant is due; [`Instant::MAX`] if none is known.
    due_at: Instant,
    /// No claim before this time: the store has failed.
    claim_again_at: Instant,
    capped_until: Instant,
    spare: Vec<ClaimedGrant>,
    outputs: VecDeque<Output>,
}

impl Delivery {
    /// A machine that has claimed nothing.
    pub fn new(config: DeliveryConfig) -> Self {
        Self {
            lane: Lane::new(&config),
            budget: Budget::new(config.retry_budget, config.backoff_cap),
            slots: Slots::default(),
            is_claiming: false,
            claim_failures: 0,
            settle_again_count: 0,
            due_at: Instant::MAX,
            claim_again_at: Instant::ORIGIN,
            capped_until: Instant::ORIGIN,
            spare: Vec::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes one input. The outputs of the last one must have been drained.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        assert!(self.outputs.is_empty(), "outputs are drained before the next input");
        match input {
            Input::Opened { due_in } => self.due_after(now, due_in),
            Input::OpenFailed { draw } => self.due_after(now, Some(store_retry(1, draw))),
            // As long as something is due or being claimed, the replies tell when the next grant is.
            Input::MaybeOrphaned { .. } if self.is_claiming || self.due_at < Instant::MAX => {}
            Input::MaybeOrphaned { due_in } => self.due_after(now, Some(due_in.saturating_add(ORPHAN_GRACE))),
            Input::Admitted => self.due_after(now, Some(Duration::ZERO)),
            Input::Claimed { grants, due_in } => self.on_claimed(now, grants, due_in),
            Input::ClaimFailed { draw } => {
                self.is_claiming = false;
                self.claim_failures = self.claim_failures.saturating_add(1);
                self.claim_again_at = now.mono + store_retry(self.claim_failures, draw);
                self.due_after(now, Some(Duration::ZERO));
            }
            Input::Answered { attempt, answer, draw } => self.on_answered(now, attempt, answer, draw),
            Input::Settled { attempt, due_in } => {
                self.on_settled(attempt);
                self.due_after(now, due_in);
            }
            Input::SettleFailed { attempt, draw } => self.on_settle_failed(now, attempt, draw),
        }
        self.claim_if_due(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.settle_again_count > 0 {
            self.settle_again(now);
        }
        self.claim_if_due(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Delivery::handle_timeout`] is to be called; `None` while only an input can change anything.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let claim_at = self.claim_at();
        let claim = if self.is_claiming || claim_at == Instant::MAX {
            Instant::MAX
        } else {
            match self.room(now.max(claim_at)) {
                Room::Slots(_) => claim_at,
                Room::ClosedUntil(until) => until.max(claim_at),
                Room::Full => Instant::MAX,
            }
        };
        let settle = if self.settle_again_count == 0 {
            Instant::MAX
        } else {
            self.slots.iter().filter_map(|(_, slot)| slot.settle_again_at()).min().unwrap_or(Instant::MAX)
        };
        Some(claim.min(settle)).filter(|at| *at < Instant::MAX)
    }

    /// Requests under way.
    pub const fn in_flight(&self) -> u16 {
        self.lane.in_flight()
    }

    fn due_after(&mut self, now: Now, due_in: Option<Duration>) {
        if let Some(due_in) = due_in {
            self.due_at = self.due_at.min(now.mono + due_in);
        }
    }

    /// When the next claim goes to the store, as far as the lane lets it.
    fn claim_at(&self) -> Instant {
        self.due_at.max(self.claim_again_at)
    }

    /// What the lane has room for, unless the store is behind with settlements.
    fn room(&self, now: Instant) -> Room {
        let unsettled = self.slots.len() - usize::from(self.lane.in_flight());
        if unsettled >= UNSETTLED_MAX { Room::Full } else { self.lane.room(now) }
    }

    /// Claims no more than the free slots, if a grant is due.
    fn claim_if_due(&mut self, now: Now) {
        if self.is_claiming || self.due_at == Instant::MAX || now.mono < self.claim_at() {
            return;
        }
        match self.room(now.mono) {
            Room::Slots(limit) => {
                self.is_claiming = true;
                self.due_at = Instant::MAX;
                let into = std::mem::take(&mut self.spare);
                self.outputs.push_back(Output::Claim(Claim { limit, lease: self.config.lease, into }));
            }
            Room::ClosedUntil(_) => {
                if let Some(until) = self.lane.capped_until(now.mono).filter(|until| *until != self.capped_until) {
                    self.capped_until = until;
                    self.audit(AuditEvent::EffectCapReached { until });
                }
            }
            Room::Full => {}
        }
    }

    fn on_claimed(&mut self, now: Now, mut grants: Vec<ClaimedGrant>, due_in: Option<Duration>) {
        self.claim_failures = 0;
        self.claim_again_at = Instant::ORIGIN;
        self.is_claiming = false;
        let wait = if grants.is_empty() { EMPTY_CLAIM_WAIT } else { Duration::ZERO };
        self.due_after(now, due_in.map(|due_in| due_in.max(wait)));
        for grant in grants.drain(..) {
            self.guard(now, grant);
        }
        self.spare = grants;
    }

    /// Sends a claimed grant if lane, lease and window allow it now; parks or releases it otherwise.
    fn guard(&mut self, now: Now, grant: ClaimedGrant) {
        let ClaimedGrant { user, grant: id, .. } = grant;
        let open = matches!(self.lane.room(now.mono), Room::Slots(_));
        if !open || !lease_holds(now, grant.lease_until) {
            self.audit(AuditEvent::Released { user, grant: id });
            self.settle_unsent(grant, Settlement::Released);
            return;
        }
        let is_guarded = self.config.protections.has(Protection::WindowGuard);
        if is_guarded && !window_allows(now, self.config.upstream, &grant) {
            let reason = match self.config.upstream.capability {
                Capability::PutById | Capability::IdempotencyKey { .. } => ParkReason::WindowClosed,
                Capability::ReadBack { .. } | Capability::None => ParkReason::NotRepeatable,
            };
            self.audit(AuditEvent::Parked { user, grant: id, reason });
            self.settle_unsent(grant, Settlement::Parked { reason, answer: None });
            return;
        }
        self.send(now, grant);
    }

    fn settle_unsent(&mut self, grant: ClaimedGrant, settlement: Settlement) {
        let attempt = self.slots.insert(Slot { grant, stage: Stage::Settling(settlement) });
        self.outputs.push_back(Output::Settle(attempt, grant.settle(settlement)));
    }

    fn send(&mut self, now: Now, grant: ClaimedGrant) {
        let config = &self.config;
        assert!(
            window_allows(now, config.upstream, &grant) || !config.protections.has(Protection::WindowGuard),
            "GRANT-4: a send in doubt could execute after the window"
        );
        assert!(lease_holds(now, grant.lease_until), "GRANT-5: a send under a lease that may be over");
        assert!(matches!(self.lane.room(now.mono), Room::Slots(_)), "LOAD-1: a send above the limit");
        let key = if config.protections.has(Protection::StableKey) {
            grant.grant
        } else {
            key_of_attempt(grant.grant, grant.attempts)
        };
        let request = Request {
            ask: Ask::Apply,
            user: grant.user,
            grant: grant.grant,
            units: grant.units,
            key,
            attempt: grant.attempts,
        };
        let (connect_timeout, attempt_timeout) = (config.connect_timeout, config.attempt_timeout);
        let attempt = self.slots.insert(Slot { grant, stage: Stage::Sent });
        self.lane.on_send(now.mono);
        self.audit(AuditEvent::Sent {
            user: grant.user,
            grant: grant.grant,
            attempt: grant.attempts,
            doubt: grant.doubt,
        });
        self.outputs.push_back(Output::Send(Send { attempt, request, connect_timeout, attempt_timeout }));
    }

    fn on_answered(&mut self, now: Now, attempt: AttemptId, answer: Answer, draw: u64) {
        // AUDIT-1: a second answer, or one to nobody, changes nothing.
        let Some(Slot { grant, stage: Stage::Sent }) = self.slots.get_mut(attempt).map(|slot| *slot) else { return };
        let class = AnswerClass::of(answer);
        self.audit(AuditEvent::Answered {
            user: grant.user,
            grant: grant.grant,
            attempt: grant.attempts,
            answer: class,
        });
        match self.lane.on_answer(now.mono, class) {
            Change::None => {}
            Change::Opened => self.audit(AuditEvent::BreakerOpened),
            Change::Closed => self.audit(AuditEvent::BreakerClosed),
        }
        let settlement = self.settlement(now, &grant, answer, draw);
        if let Some(slot) = self.slots.get_mut(attempt) {
            slot.stage = Stage::Settling(settlement);
        }
        self.outputs.push_back(Output::Settle(attempt, grant.settle(settlement)));
    }

    /// What an answer makes of its grant.
    fn settlement(&mut self, now: Now, grant: &ClaimedGrant, answer: Answer, draw: u64) -> Settlement {
        let class = AnswerClass::of(answer);
        let verdict = classify(self.config.upstream.capability, class, grant.doubt);
        let asked = self.asked(answer);
        if verdict.applied != Applied::Yes && !asked.is_zero() {
            // The service asks for less, whatever becomes of this grant.
            self.pause(now.mono + asked);
        }
        let doubt = if verdict.applied == Applied::Maybe { Doubt::InDoubt } else { grant.doubt };
        let (user, id) = (grant.user, grant.grant);
        match verdict.action {
            Action::Deliver => {
                self.budget.refund(grant.attempts);
                self.audit(AuditEvent::Delivered { user, grant: id });
                Settlement::Delivered
            }
            Action::Retry(cause) => {
                Settlement::Again { after: self.retry_after(now, grant, cause, asked, draw), doubt }
            }
            Action::PauseLane => {
                self.pause(now.mono + self.config.credentials_pause);
                Settlement::Again { after: self.config.credentials_pause.max(asked), doubt }
            }
            Action::Reject => {
                self.audit(AuditEvent::Rejected { user, grant: id });
                Settlement::Rejected
            }
            Action::ReadBack => self.park(grant, ParkReason::NotRepeatable, class),
            Action::Park(reason) => self.park(grant, reason, class),
        }
    }

    fn park(&mut self, grant: &ClaimedGrant, reason: ParkReason, answer: AnswerClass) -> Settlement {
        self.audit(AuditEvent::Parked { user: grant.user, grant: grant.grant, reason });
        Settlement::Parked { reason, answer: Some(answer) }
    }

    /// How long a retry waits: backoff, retry budget and the service's own word, whichever is longest.
    fn retry_after(
        &mut self,
        now: Now,
        grant: &ClaimedGrant,
        cause: RetryCause,
        asked: Duration,
        draw: u64,
    ) -> Duration {
        let base = match cause {
            RetryCause::Transient | RetryCause::InProgress => self.config.backoff_base,
            RetryCause::Throttled => self.config.backoff_base_throttled,
        };
        let backoff = full_jitter(base, self.config.backoff_cap, grant.attempts, draw);
        let budgeted = self.budget.take(now.mono, cause).since(now.mono);
        // The jitter comes on top, or everybody who was told the same time would come back at once.
        asked.saturating_add(backoff).max(budgeted)
    }

    /// How long the service asks to be left alone, as far as it is believed; zero if it does not ask.
    fn asked(&self, answer: Answer) -> Duration {
        match answer {
            Answer::Status { retry_after, .. } => retry_after.unwrap_or_default().min(self.config.retry_after_cap),
            Answer::NotSent(_) | Answer::Lost(_) => Duration::ZERO,
        }
    }

    fn pause(&mut self, until: Instant) {
        self.lane.pause(until);
        self.audit(AuditEvent::LanePaused { until });
    }

    fn on_settled(&mut self, attempt: AttemptId) {
        match self.slots.get_mut(attempt).map(|slot| slot.stage) {
            Some(Stage::Settling(_)) => self.slots.remove(attempt),
            Some(Stage::SettleAgain(..)) => {
                self.settle_again_count -= 1;
                self.slots.remove(attempt);
            }
            // AUDIT-1: a request under way has an answer to come.
            Some(Stage::Sent) | None => {}
        }
    }

    fn on_settle_failed(&mut self, now: Now, attempt: AttemptId, draw: u64) {
        let Some(slot) = self.slots.get_mut(attempt) else { return };
        let Stage::Settling(settlement) = slot.stage else { return };
        slot.stage = Stage::SettleAgain(settlement, now.mono + store_retry(SETTLE_AGAIN_ATTEMPTS, draw));
        self.settle_again_count += 1;
    }

    fn settle_again(&mut self, now: Now) {
        let due = |slot: &Slot| slot.settle_again_at().is_some_and(|at| at <= now.mono);
        let attempts: Vec<_> = self.slots.iter().filter(|(_, slot)| due(slot)).map(|(attempt, _)| attempt).collect();
        for attempt in attempts {
            let Some(slot) = self.slots.get_mut(attempt) else { continue };
            let Stage::SettleAgain(settlement, _) = slot.stage else { continue };
            slot.stage = Stage::Settling(settlement);
            self.settle_again_count -= 1;
            let settle = slot.grant.settle(settlement);
            self.outputs.push_back(Output::Settle(attempt, settle));
        }
    }

    fn audit(&mut self, event: AuditEvent) {
        self.outputs.push_back(Output::Audit(event));
    }
}

/// How long the store is left alone after `failures` failures; never zero, or two machines without latency would spin.
fn store_retry(failures: u32, draw: u64) -> Duration {
    STORE_RETRY_BASE + full_jitter(STORE_RETRY_BASE, STORE_RETRY_CAP, failures, draw)
}

impl ClaimedGrant {
    const fn settle(&self, settlement: Settlement) -> Settle {
        Settle { user: self.user, grant: self.grant, fence: self.fence, settlement }
    }
}

/// A key that differs in every attempt: what goes wrong without [`Protection::StableKey`].
fn key_of_attempt(grant: GrantId, attempt: u32) -> GrantId {
    let mut bytes = *grant.as_bytes();
    for (byte, salt) in bytes[12..].iter_mut().zip(attempt.to_be_bytes()) {
        *byte ^= salt;
    }
    GrantId::from_bytes(bytes)
}
