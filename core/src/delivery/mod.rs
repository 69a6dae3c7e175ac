//! Delivery: what was promised is sent until a receipt proves it, outside the request path.
//!
//! Owns the order of a grant's life in one process: claim → step → send → answer → settle, and *when* each of it happens;
//! *whether* a grant may be sent, read or must be parked is [`crate::grant`]'s. It holds only what it has claimed; everything
//! else is the store's. A retry is a row that is due later, not a loop. It is woken by the commit that made work, by the earliest
//! due time in a reply, and by an answer that frees a slot; an idle process looks once in five minutes.
//!
//! * `GRANT-4`: no send in doubt that could execute after the key's window: asserted at the send.
//! * `GRANT-5`: nothing is sent under a lease that may end before the attempt does; every receipt is settled, whatever became of the lease.
//! * `LOAD-1`: in flight ≤ what the lane has room for: asserted at the send. The fleet's limit is the store's.
//! * `AUDIT-1`: an attempt is answered once; a second answer is nobody's.
//!
//! Time enters with every input as [`Now`], chance with the inputs that need it. See `tests/hook/delivery.rs`.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod config;
pub mod lane;
mod slots;

use std::collections::VecDeque;
use std::time::Duration;

use self::backoff::full_jitter;
use self::breaker::Change;
use self::budget::Budget;
use self::config::DeliveryConfig;
use self::lane::{Lane, Room, health, load};
pub use self::slots::AttemptId;
use self::slots::{Slot, Slots, Stage};
use crate::audit::AuditEvent;
use crate::classify::{AnswerClass, Doubt, RetryCause};
use crate::grant::{self, Next, Step, lease_holds, window_allows};
use crate::identity::{GrantId, UserHandle};
use crate::protection::Protection;
use crate::store::{Claim, ClaimNonce, ClaimedGrant, Hold, Load, Settle, Settlement};
use crate::time::{Instant, Now, WallTime};
use crate::upstream::{Answer, Ask, Request};

/// How long a grant may be overdue before another process than the one that recorded it asks for it: that one is about to,
/// as long as it lives.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// How long a process believes that nothing is due without asking: what a store that was rolled back, or a process that has
/// stopped, left to be done is found by then even if nobody visits.
const SWEEP: Duration = Duration::from_secs(300);
/// Settlements that may be with the store at once: a store that takes claims and refuses settlements must not fill memory.
const UNSETTLED_MAX: usize = 1_024;
/// How long to wait before the store is asked again after it refused or did not answer, at first.
const STORE_RETRY_BASE: Duration = Duration::from_millis(100);
/// The same, at most. A commit whose outcome is unknown has come to rest by then.
const STORE_RETRY_CAP: Duration = Duration::from_secs(5);
/// The shortest wait after a claim that found nothing, whatever the store's clock says: it may stand still for hours,
/// with a grant due in a microsecond. It doubles with each further one in a row, up to [`ORPHAN_GRACE`]: all processes hear
/// when the next retry is due, and one of them is enough to ask for it. Whoever was given something last asks in time, and
/// so does whoever has put the retry off (`LOAD-4`).
const EMPTY_CLAIM_WAIT: Duration = Duration::from_millis(10);
/// A settlement is tried again at a steady pace, as after this many failures.
const SETTLE_AGAIN_ATTEMPTS: u32 = 4;

/// A request to be sent. How long connecting and the whole may take are settings: [`DeliveryConfig::connect_timeout`] and
/// [`DeliveryConfig::attempt_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Send {
    /// Names the attempt in its answer.
    pub attempt: AttemptId,
    /// What to send.
    pub request: Request,
}

/// What happens to delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The process starts; the first input.
    Started {
        /// Chance, uniform over all 64 bits, and never a former process's: its claims are told from all others by it.
        draw: u64,
    },
    /// The store was opened, and its earliest grant is due after this time, if there is one.
    Opened {
        /// From now.
        due_in: Option<Duration>,
    },
    /// A commit of this process recorded a grant.
    Admitted {
        /// When a claim could be given something, from now.
        due_in: Option<Duration>,
    },
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
        /// What held more of them back.
        hold: Option<Hold>,
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
    /// The process is to end: nothing more is claimed, and what is claimed and not sent goes back.
    Stop,
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
    /// The last claim's; counts up from the process's own draw, so that no two processes ever meet.
    nonce: ClaimNonce,
    claim_failures: u32,
    /// Claims in a row that found nothing.
    empty_claims: u32,
    settle_again_count: u32,
    /// When the next grant is due; [`Instant::MAX`] if none is known.
    due_at: Instant,
    /// No claim before this time: the store has failed.
    claim_again_at: Instant,
    /// The end of the effect cap's minute that the auditor was told.
    capped_until: WallTime,
    is_stopping: bool,
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
            nonce: ClaimNonce::default(),
            claim_failures: 0,
            empty_claims: 0,
            settle_again_count: 0,
            due_at: Instant::MAX,
            claim_again_at: Instant::ORIGIN,
            capped_until: WallTime::UNIX_EPOCH,
            is_stopping: false,
            spare: Vec::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes one input. The outputs of the last one must have been drained.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        assert!(self.outputs.is_empty(), "outputs are drained before the next input");
        match input {
            Input::Started { draw } => self.nonce = ClaimNonce(draw),
            Input::Opened { due_in } => self.due_after(now, Some(sweep(due_in))),
            Input::Admitted { due_in } => self.due_after(now, due_in),
            // The claim's reply tells when the next grant is due. Something that is due already does not: it may be so much later.
            Input::MaybeOrphaned { .. } if self.is_claiming => {}
            Input::MaybeOrphaned { due_in } => self.due_after(now, Some(due_in.saturating_add(ORPHAN_GRACE))),
            Input::Claimed { grants, due_in, hold } => {
                self.on_hold(hold);
                self.on_claimed(now, grants, due_in);
            }
            Input::ClaimFailed { draw } => {
                self.is_claiming = false;
                self.claim_failures = self.claim_failures.saturating_add(1);
                self.claim_again_at = now.mono + store_retry(self.claim_failures, draw);
                self.due_after(now, Some(Duration::ZERO));
            }
            Input::Answered { attempt, answer, draw } => self.on_answered(now, attempt, answer, draw),
            Input::Settled { attempt, due_in } => {
                let again_in = self.on_settled(attempt);
                self.due_after(now, again_in);
                let wait = self.empty_claim_wait();
                self.due_after(now, due_in.map(|due_in| if due_in.is_zero() { due_in } else { due_in.max(wait) }));
            }
            Input::SettleFailed { attempt, draw } => self.on_settle_failed(now, attempt, draw),
            Input::Stop => self.is_stopping = true,
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

    /// The users of all grants that it holds.
    pub fn users(&self) -> impl Iterator<Item = UserHandle> {
        self.slots.iter().map(|(_, slot)| slot.grant.user)
    }

    /// When [`Delivery::handle_timeout`] is to be called; `None` while only an input can change anything.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let claim_at = self.claim_at();
        let claim = if self.is_claiming || self.is_stopping || claim_at == Instant::MAX {
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

    /// Whether nothing is claimed, under way or to be settled: a process that has been told to stop may end.
    pub const fn is_idle(&self) -> bool {
        !self.is_claiming && self.slots.len() == 0
    }

    fn due_after(&mut self, now: Now, due_in: Option<Duration>) {
        if let Some(due_in) = due_in {
            self.due_at = self.due_at.min(now.mono + due_in);
        }
    }

    /// How long to leave to others what is yet to come due, after claims that found nothing.
    fn empty_claim_wait(&self) -> Duration {
        let wait = |doublings: u32| EMPTY_CLAIM_WAIT * (1 << doublings.min(16));
        self.empty_claims.checked_sub(1).map_or(Duration::ZERO, wait).min(ORPHAN_GRACE)
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
        let is_due = self.due_at < Instant::MAX && now.mono >= self.claim_at();
        if self.is_claiming || self.is_stopping || !is_due {
            return;
        }
        match self.room(now.mono) {
            Room::Slots(limit) => {
                self.is_claiming = true;
                self.due_at = Instant::MAX;
                let into = std::mem::take(&mut self.spare);
                let fleet = self.config.fleet_limits();
                self.nonce = ClaimNonce(self.nonce.0.wrapping_add(1));
                let nonce = self.nonce;
                self.outputs.push_back(Output::Claim(Claim { nonce, limit, fleet, lease: self.config.lease, into }));
            }
            Room::ClosedUntil(_) | Room::Full => {}
        }
    }

    /// Says that the effect cap holds everything back, once for each minute.
    fn on_hold(&mut self, hold: Option<Hold>) {
        if let Some(Hold::Capped(until)) = hold
            && until != self.capped_until
        {
            self.capped_until = until;
            self.audit(AuditEvent::EffectCapReached { until });
        }
    }

    fn on_claimed(&mut self, now: Now, mut grants: Vec<ClaimedGrant>, due_in: Option<Duration>) {
        self.claim_failures = 0;
        self.claim_again_at = Instant::ORIGIN;
        self.is_claiming = false;
        self.empty_claims = if grants.is_empty() { self.empty_claims.saturating_add(1) } else { 0 };
        let wait = self.empty_claim_wait();
        self.due_after(now, Some(sweep(due_in).max(wait)));
        for grant in grants.drain(..) {
            self.step(now, grant);
        }
        self.spare = grants;
    }

    /// Sends a claimed grant if the lane is open and the grant's step says so; settles it otherwise.
    fn step(&mut self, now: Now, grant: ClaimedGrant) {
        // 1. Our receipt is on its way into the store, or waits for a store that refuses it. 2. The lease ends, and our next
        // claim takes the grant again. The receipt is proof under this claim too: nothing is sent.
        if grant.doubt == Doubt::InDoubt && self.slots.iter().any(|(_, slot)| slot.proves(grant.grant)) {
            self.settle(grant, Settlement::Delivered);
            return;
        }
        let is_open = !self.is_stopping && matches!(self.lane.room(now.mono), Room::Slots(_));
        let is_guarded = self.config.protections.has(Protection::WindowGuard);
        let seen = if is_guarded { grant } else { ClaimedGrant { doubt: Doubt::Clear, ..grant } };
        let step = if is_open {
            grant::on_claimed(now, &self.config.terms(), &seen)
        } else {
            Step::Settle(Settlement::Released { after: Duration::ZERO })
        };
        match step {
            Step::Send(ask) => self.send(now, ask, grant),
            Step::Settle(settlement) => {
                self.audit_settlement(&grant, settlement);
                self.settle(grant, settlement);
            }
        }
    }

    /// Settles a claimed grant without a request.
    fn settle(&mut self, grant: ClaimedGrant, settlement: Settlement) {
        let settle = grant.settle(settlement, Load::Unknown, Duration::ZERO);
        let attempt = self.slots.insert(Slot { grant, stage: Stage::Settling(settle) });
        self.outputs.push_back(Output::Settle(attempt, settle));
    }

    fn send(&mut self, now: Now, ask: Ask, grant: ClaimedGrant) {
        let config = &self.config;
        let terms = config.terms();
        let is_allowed = ask == Ask::Read || window_allows(now, &terms, &grant);
        assert!(
            is_allowed || !config.protections.has(Protection::WindowGuard),
            "GRANT-4: a send in doubt could execute after the window"
        );
        assert!(
            lease_holds(now, &terms, grant.lease_until),
            "GRANT-5: a send under a lease that may end before the attempt"
        );
        assert!(matches!(self.lane.room(now.mono), Room::Slots(_)), "LOAD-1: a send above the limit");
        let ClaimedGrant { user, grant: id, units, attempts, doubt, .. } = grant;
        let key = if config.protections.has(Protection::StableKey) { id } else { key_of_attempt(id, attempts) };
        let request = Request { ask, user, grant: id, units, key, attempt: attempts };
        let attempt = self.slots.insert(Slot { grant, stage: Stage::Sent(ask) });
        self.lane.on_send(now.mono);
        self.audit(AuditEvent::Sent { ask, user, grant: id, attempt: attempts, doubt });
        self.outputs.push_back(Output::Send(Send { attempt, request }));
    }

    fn on_answered(&mut self, now: Now, attempt: AttemptId, answer: Answer, draw: u64) {
        // AUDIT-1: a second answer, or one to nobody, changes nothing.
        let Some(Slot { grant, stage: Stage::Sent(ask) }) = self.slots.get_mut(attempt).map(|slot| *slot) else {
            return;
        };
        let class = AnswerClass::of(answer);
        self.audit(AuditEvent::Answered {
            ask,
            user: grant.user,
            grant: grant.grant,
            attempt: grant.attempts,
            answer: class,
        });
        let health = health(class, self.config.upstream.capability, grant.doubt);
        match self.lane.on_answer(now.mono, health) {
            Change::None => {}
            Change::Opened => self.audit(AuditEvent::BreakerOpened),
            Change::Closed => self.audit(AuditEvent::BreakerClosed),
        }
        let next = grant::on_answered(&self.config.terms(), ask, &grant, class);
        // The service asks for less, whatever becomes of this grant; a receipt is not a time to pause.
        let is_receipt = next == Next::Settle(Settlement::Delivered);
        let asked = if is_receipt { Duration::ZERO } else { self.asked(answer) };
        if !asked.is_zero() {
            self.pause(now.mono + asked);
        }
        let settlement = self.settlement(now, &grant, next, asked, draw);
        self.audit_settlement(&grant, settlement);
        let is_adaptive = self.config.protections.has(Protection::AdaptiveLimit);
        let load = if is_adaptive { load(class) } else { Load::Unknown };
        let settle = grant.settle(settlement, load, asked);
        if let Some(slot) = self.slots.get_mut(attempt) {
            slot.stage = Stage::Settling(settle);
        }
        self.outputs.push_back(Output::Settle(attempt, settle));
    }

    /// What becomes of a grant, with the lane's word on when.
    fn settlement(&mut self, now: Now, grant: &ClaimedGrant, next: Next, asked: Duration, draw: u64) -> Settlement {
        match next {
            Next::Settle(settlement) => {
                if settlement == Settlement::Delivered {
                    self.budget.refund(grant.attempts);
                }
                settlement
            }
            Next::Again { cause, after, doubt } => {
                let after = after.max(self.retry_after(now, grant, cause, asked, draw));
                Settlement::Again { after, doubt }
            }
            Next::Unsent { cause } => Settlement::Unsent { after: self.retry_after(now, grant, cause, asked, draw) },
            Next::ReadAgain { cause } => {
                Settlement::Released { after: self.retry_after(now, grant, cause, asked, draw) }
            }
            Next::PauseLane { ask, doubt } => {
                self.pause(now.mono + self.config.credentials_pause);
                let after = self.config.credentials_pause.max(asked);
                match ask {
                    Ask::Apply => Settlement::Again { after, doubt },
                    Ask::Read => Settlement::Released { after },
                }
            }
        }
    }

    fn audit_settlement(&mut self, grant: &ClaimedGrant, settlement: Settlement) {
        let (user, grant) = (grant.user, grant.grant);
        match settlement {
            Settlement::Delivered => self.audit(AuditEvent::Delivered { user, grant }),
            Settlement::Rejected => self.audit(AuditEvent::Rejected { user, grant }),
            Settlement::Parked { reason, .. } => self.audit(AuditEvent::Parked { user, grant, reason }),
            Settlement::Released { .. } => self.audit(AuditEvent::Released { user, grant }),
            Settlement::Absent => self.audit(AuditEvent::Absent { user, grant }),
            Settlement::Again { .. } | Settlement::Unsent { .. } => {}
        }
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
        let has = |protection| self.config.protections.has(protection);
        let draw = if has(Protection::Jitter) { draw } else { u64::MAX };
        let backoff = full_jitter(base, self.config.backoff_cap, grant.attempts, draw);
        let is_budgeted = has(Protection::RetryBudget);
        let budgeted = if is_budgeted { self.budget.take(now.mono, cause).since(now.mono) } else { Duration::ZERO };
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

    /// Forgets a claim, and tells when its grant is due again, if it is.
    fn on_settled(&mut self, attempt: AttemptId) -> Option<Duration> {
        let settle = match self.slots.get_mut(attempt)?.stage {
            Stage::Settling(settle) => settle,
            Stage::SettleAgain(settle, _) => {
                self.settle_again_count -= 1;
                settle
            }
            // AUDIT-1: a request under way has an answer to come.
            Stage::Sent(_) => return None,
        };
        self.slots.remove(attempt);
        match settle.settlement {
            Settlement::Again { after, .. } | Settlement::Unsent { after } | Settlement::Released { after } => {
                Some(after)
            }
            Settlement::Absent => Some(Duration::ZERO),
            Settlement::Delivered | Settlement::Rejected | Settlement::Parked { .. } => None,
        }
    }

    fn on_settle_failed(&mut self, now: Now, attempt: AttemptId, draw: u64) {
        let Some(slot) = self.slots.get_mut(attempt) else { return };
        let Stage::Settling(settle) = slot.stage else { return };
        slot.stage = Stage::SettleAgain(settle, now.mono + store_retry(SETTLE_AGAIN_ATTEMPTS, draw));
        self.settle_again_count += 1;
    }

    fn settle_again(&mut self, now: Now) {
        let due = |slot: &Slot| slot.settle_again_at().is_some_and(|at| at <= now.mono);
        let attempts: Vec<_> = self.slots.iter().filter(|(_, slot)| due(slot)).map(|(attempt, _)| attempt).collect();
        for attempt in attempts {
            let Some(slot) = self.slots.get_mut(attempt) else { continue };
            let Stage::SettleAgain(settle, _) = slot.stage else { continue };
            slot.stage = Stage::Settling(settle);
            self.settle_again_count -= 1;
            self.outputs.push_back(Output::Settle(attempt, settle));
        }
    }

    fn audit(&mut self, event: AuditEvent) {
        self.outputs.push_back(Output::Audit(event));
    }
}

/// When to claim next, after a reply that knew of a grant due in `due_in`.
fn sweep(due_in: Option<Duration>) -> Duration {
    due_in.map_or(SWEEP, |due_in| due_in.min(SWEEP))
}

/// How long the store is left alone after `failures` failures; never zero, or two machines without latency would spin.
pub(crate) fn store_retry(failures: u32, draw: u64) -> Duration {
    STORE_RETRY_BASE + full_jitter(STORE_RETRY_BASE, STORE_RETRY_CAP, failures, draw)
}

impl ClaimedGrant {
    /// The settlement of this claim.
    pub const fn settle(&self, settlement: Settlement, load: Load, pause: Duration) -> Settle {
        Settle { user: self.user, grant: self.grant, fence: self.fence, settlement, load, pause }
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
