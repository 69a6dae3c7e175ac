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
pub mod window;

use std::collections::VecDeque;
use std::time::Duration;

use self::backoff::full_jitter;
use self::breaker::Change;
use self::budget::Budget;
use self::config::DeliveryConfig;
use self::lane::{Lane, Room};
use self::window::{lease_holds, window_allows};
use crate::audit::AuditEvent;
use crate::classify::{Action, AnswerClass, Applied, Doubt, ParkReason, RetryCause, classify};
use crate::identity::GrantId;
use crate::protection::Protection;
use crate::store::{Claim, ClaimedGrant, Settle, Settlement};
use crate::time::{Instant, Now};
use crate::upstream::{Answer, Request};

/// How long to wait before the store is asked again after it refused or did not answer, at first.
const STORE_RETRY_BASE: Duration = Duration::from_millis(100);
/// The same, at most.
const STORE_RETRY_CAP: Duration = Duration::from_secs(5);

/// Names an attempt in its process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    slot: u32,
    generation: u32,
}

impl AttemptId {
    /// As one number, for drivers that carry it along.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The inverse of [`AttemptId::to_bits`].
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

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
    /// A commit of this process recorded a grant.
    Admitted,
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

/// A claimed grant in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    grant: ClaimedGrant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The request is under way.
    Sent,
    /// The settlement is with the store.
    Settling(Settlement),
    /// The settlement goes to the store again at this time.
    SettleAgain(Settlement, Instant),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Slots {
    slots: Vec<(u32, Option<Slot>)>,
    free: Vec<u32>,
}

impl Slots {
    fn insert(&mut self, slot: Slot) -> AttemptId {
        if let Some(index) = self.free.pop() {
            let (generation, place) = &mut self.slots[index as usize];
            *generation = generation.wrapping_add(1);
            *place = Some(slot);
            return AttemptId { slot: index, generation: *generation };
        }
        self.slots.push((0, Some(slot)));
        let slot = u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 claims at once");
        AttemptId { slot, generation: 0 }
    }

    fn get_mut(&mut self, attempt: AttemptId) -> Option<&mut Slot> {
        let (generation, slot) = self.slots.get_mut(attempt.slot as usize)?;
        if *generation == attempt.generation { slot.as_mut() } else { None }
    }

    fn remove(&mut self, attempt: AttemptId) {
        if self.get_mut(attempt).is_some() {
            self.slots[attempt.slot as usize].1 = None;
            self.free.push(attempt.slot);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (AttemptId, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, (generation, slot))| {
            let id = AttemptId { slot: u32::try_from(index).ok()?, generation: *generation };
            slot.as_ref().map(|slot| (id, slot))
        })
    }
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
    due_at: Instant,
    capped_until: Instant,
    spare: Vec<ClaimedGrant>,
    outputs: VecDeque<Output>,
}

impl Delivery {
    /// A machine that has claimed nothing.
    pub fn new(config: DeliveryConfig) -> Self {
        Self {
            lane: Lane::new(&config),
            budget: Budget::new(config.retry_budget),
            slots: Slots::default(),
            is_claiming: false,
            claim_failures: 0,
            settle_again_count: 0,
            due_at: Instant::MAX,
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
            Input::Admitted => self.due_after(now, Some(Duration::ZERO)),
            Input::Claimed { grants, due_in } => self.on_claimed(now, grants, due_in),
            Input::ClaimFailed { draw } => {
                self.is_claiming = false;
                self.claim_failures = self.claim_failures.saturating_add(1);
                self.due_at = now.mono + full_jitter(STORE_RETRY_BASE, STORE_RETRY_CAP, self.claim_failures, draw);
            }
            Input::Answered { attempt, answer, draw } => self.on_answered(now, attempt, answer, draw),
            Input::Settled { attempt, due_in } => {
                self.slots.remove(attempt);
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
        let claim = if self.is_claiming || self.due_at == Instant::MAX {
            Instant::MAX
        } else {
            match self.lane.room(now.max(self.due_at)) {
                Room::Slots(_) => self.due_at,
                Room::ClosedUntil(until) => until.max(self.due_at),
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

    /// Claims no more than the free slots, if a grant is due.
    fn claim_if_due(&mut self, now: Now) {
        if self.is_claiming || now.mono < self.due_at {
            return;
        }
        match self.lane.room(now.mono) {
            Room::Slots(limit) => {
                self.is_claiming = true;
                self.due_at = Instant::MAX;
                let into = std::mem::take(&mut self.spare);
                self.outputs.push_back(Output::Claim(Claim { limit, lease: self.config.lease, into }));
            }
            Room::ClosedUntil(until) => {
                if self.lane.is_capped(now.mono) && self.capped_until != until {
                    self.capped_until = until;
                    self.audit(AuditEvent::EffectCapReached { until });
                }
            }
            Room::Full => {}
        }
    }

    fn on_claimed(&mut self, now: Now, mut grants: Vec<ClaimedGrant>, due_in: Option<Duration>) {
        self.claim_failures = 0;
        self.is_claiming = false;
        self.due_after(now, due_in);
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
            let reason = ParkReason::WindowClosed;
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
        let request = Request { user: grant.user, grant: grant.grant, variant: grant.variant, key, attempt: grant.attempts };
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
        self.audit(AuditEvent::Answered { user: grant.user, grant: grant.grant, attempt: grant.attempts, answer: class });
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
        let doubt = if verdict.applied == Applied::Maybe { Doubt::InDoubt } else { grant.doubt };
        let (user, id) = (grant.user, grant.grant);
        match verdict.action {
            Action::Deliver => {
                self.budget.refund(grant.attempts);
                self.audit(AuditEvent::Delivered { user, grant: id });
                Settlement::Delivered
            }
            Action::Retry(cause) => {
                Settlement::Again { after: self.retry_after(now, grant, cause, answer, draw), doubt }
            }
            Action::PauseLane => {
                let until = now.mono + self.config.credentials_pause;
                self.pause(until);
                Settlement::Again { after: self.config.credentials_pause, doubt }
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
        answer: Answer,
        draw: u64,
    ) -> Duration {
        let base = match cause {
            RetryCause::Transient | RetryCause::InProgress => self.config.backoff_base,
            RetryCause::Throttled => self.config.backoff_base_throttled,
        };
        let backoff = full_jitter(base, self.config.backoff_cap, grant.attempts, draw);
        let budgeted = self.budget.take(now.mono, cause).since(now.mono);
        let Answer::Status { retry_after: Some(asked), .. } = answer else { return backoff.max(budgeted) };
        let asked = asked.min(self.config.retry_after_cap);
        self.pause(now.mono + asked);
        // The jitter comes on top, or everybody who was told the same time would come back at once.
        (asked + backoff).max(budgeted)
    }

    fn pause(&mut self, until: Instant) {
        self.lane.pause(until);
        self.audit(AuditEvent::LanePaused { until });
    }

    fn on_settle_failed(&mut self, now: Now, attempt: AttemptId, draw: u64) {
        let Some(slot) = self.slots.get_mut(attempt) else { return };
        let Stage::Settling(settlement) = slot.stage else { return };
        let wait = STORE_RETRY_BASE + full_jitter(STORE_RETRY_BASE, STORE_RETRY_CAP, 4, draw);
        slot.stage = Stage::SettleAgain(settlement, now.mono + wait);
        self.settle_again_count += 1;
    }

    fn settle_again(&mut self, now: Now) {
        for (index, (generation, place)) in self.slots.slots.iter_mut().enumerate() {
            let Some(slot) = place else { continue };
            let Stage::SettleAgain(settlement, at) = slot.stage else { continue };
            if at <= now.mono {
                slot.stage = Stage::Settling(settlement);
                self.settle_again_count -= 1;
                let index = u32::try_from(index).expect("slots are numbered by u32");
                let attempt = AttemptId { slot: index, generation: *generation };
                self.outputs.push_back(Output::Settle(attempt, slot.grant.settle(settlement)));
            }
        }
    }

    fn audit(&mut self, event: AuditEvent) {
        self.outputs.push_back(Output::Audit(event));
    }
}

impl Slot {
    const fn settle_again_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::SettleAgain(_, at) => Some(at),
            Stage::Sent | Stage::Settling(_) => None,
        }
    }
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
