//! When an action can happen, and what it does: the stateright model.
//!
//! Owns the workers' steps, the service's turn and the passing of time. It decides nothing about a grant: that is
//! [`grant::on_claimed`] and [`grant::on_answered`], and what a commit does is the store's
//! [`Image::apply`](hookproof_core::store::Image::apply). As in delivery, the lane only adds a backoff.
//!
//! Progress is urgent: time passes when nothing must happen first. What may wait (a request under way, a stalled worker)
//! happens at any moment until its limit, and must happen then.

use std::time::Duration;

use hookproof_core::classify::AnswerClass;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::grant::{self, Next, Step, Terms};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::promise::{Hazard, Offer};
use hookproof_core::store::{
    Admit, ClaimNonce, Command, Committed, FleetLimits, GrantIntent, GrantState, Load, Settlement,
};
use hookproof_core::upstream::Ask;
use stateright::{Model, Property};

use crate::action::{Action, Course};
use crate::cell::{ATTEMPT, BACKOFF, Cell, DELAY, JITTER, LEASE, LIFETIME};
use crate::guard::{self, Guard};
use crate::property;
use crate::state::{Held, Message, Stage, State, Store};
use crate::trouble;

const UNITS: u32 = 25;
/// So wide that the fleet holds nothing back: its limits are another part of the protocol.
const FLEET: FleetLimits = FleetLimits { initial_in_flight: 64, max_in_flight: 64, effects_per_minute: u32::MAX };

/// The model of one cell.
#[derive(Clone, Debug)]
pub struct GrantModel {
    /// What it is about.
    pub cell: Cell,
}

impl Model for GrantModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let store_count = if self.cell.has(Hazard::TwoStores) { 2 } else { 1 };
        let leads: &[i64] = if self.cell.has(Hazard::ClockError) { &[0, 1] } else { &[0] };
        leads.iter().map(|lead| State::new(&self.cell, store_count, *lead)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_urgent = self.worker_actions(state, actions) | self.store_actions(state, actions);
        self.executions(state, actions);
        trouble::list(&self.cell, state, actions);
        if !is_urgent && !is_due(state) && self.waits(state) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Visit { store, user } => visit(&mut state, store, user),
            Action::Claim { worker } => {
                self.claim(&mut state, worker, Learns::Yes);
            }
            Action::Guard { worker, held } => self.guard(&mut state, worker, held),
            Action::Write { worker, held } => self.write(&mut state, worker, held),
            Action::GiveUp { worker, held } => self.answer(&mut state, worker, held, AnswerClass::Timeout),
            Action::Settle { worker, held, jitter } => {
                delay(&mut state.workers[worker][held], jitter);
                self.settle(&mut state, worker, held);
                state.forget(worker, held);
            }
            Action::Execute { message, course } => self.execute(&mut state, message, course),
            Action::Tick => tick(&mut state),
            Action::Trouble(trouble) => trouble::happen(self, &mut state, trouble),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::of(&self.cell)
    }
}

/// Whether a claimer learns what it has claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learns {
    Yes,
    No,
}

impl GrantModel {
    /// What workers can do with what they hold; whether any of it must be done at once.
    fn worker_actions(&self, state: &State, actions: &mut Vec<Action>) -> bool {
        let mut is_urgent = false;
        for (worker, helds) in state.workers.iter().enumerate() {
            for (index, held) in helds.iter().enumerate() {
                let may_wait = held.stalled_until.is_some_and(|until| state.now < until);
                let (action, is_enabled) = match held.stage {
                    Stage::Claimed => (Action::Guard { worker, held: index }, true),
                    Stage::Guarded { .. } => (Action::Write { worker, held: index }, true),
                    Stage::Sent { deadline, .. } => (Action::GiveUp { worker, held: index }, deadline <= state.now),
                    Stage::Settling(_) => {
                        (Action::Settle { worker, held: index, jitter: 0 }, state.outage_until.is_none())
                    }
                };
                if is_enabled {
                    actions.push(action);
                    if matches!(held.stage, Stage::Settling(Settlement::Again { .. } | Settlement::Unsent { .. })) {
                        actions.push(Action::Settle { worker, held: index, jitter: JITTER });
                    }
                    is_urgent |= !may_wait;
                }
            }
            if self.may_claim(state, worker) {
                actions.push(Action::Claim { worker });
                is_urgent = true;
            }
        }
        is_urgent
    }

    /// Visits; whether any of them must happen at once. A second store's visit may wait.
    fn store_actions(&self, state: &State, actions: &mut Vec<Action>) -> bool {
        let mut is_urgent = false;
        if state.outage_until.is_some() {
            return false;
        }
        for store in 0..state.stores.len() {
            for user in state.users().filter(|user| state.grant_state(store, *user).is_none()) {
                if store == 0 || state.budget > 0 {
                    actions.push(Action::Visit { store, user });
                    is_urgent |= store == 0 || state.now >= self.cell.horizon();
                }
            }
        }
        is_urgent
    }

    /// Whether a worker can claim something. It holds one claim of a grant at a time. Of two idle workers on one store the
    /// first claims: nothing tells them apart.
    pub(crate) fn may_claim(&self, state: &State, worker: usize) -> bool {
        let is_mirrored = worker == 1 && state.stores.len() == 1 && state.workers.iter().all(Vec::is_empty);
        if is_mirrored {
            return false;
        }
        let helds = &state.workers[worker];
        let is_free = |user: UserHandle| helds.iter().all(|held| held.grant.user != user);
        let image = &state.stores[state.store_of(worker)].image;
        let mut claimable = image.claimable(state.store_now(), u16::from(self.cell.users)).peekable();
        state.outage_until.is_none() && claimable.peek().is_some() && claimable.all(is_free)
    }

    /// How the requests under way can execute.
    fn executions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, message) in state.messages.iter().enumerate() {
            let is_repeated = index > 0 && state.messages[index - 1] == *message;
            if !is_repeated {
                let courses = trouble::courses(&self.cell, state, message);
                actions.extend(courses.into_iter().map(|course| Action::Execute { message: index, course }));
            }
        }
    }

    /// Whether anything can still come of waiting.
    fn waits(&self, state: &State) -> bool {
        let is_open = |store: usize, user: u8| {
            matches!(state.grant_state(store, user), Some(GrantState::Pending | GrantState::Claimed))
        };
        let is_patient = state.budget > 0
            && state.now < self.cell.horizon()
            && (state.snapshot.is_some() || self.cell.has(Hazard::TwoStores));
        state.workers.iter().any(|helds| !helds.is_empty())
            || !state.messages.is_empty()
            || !state.late.is_empty()
            || state.outage_until.is_some()
            || (0..state.stores.len()).any(|store| state.users().any(|user| is_open(store, user)))
            || is_patient
    }

    pub(crate) fn claim(&self, state: &mut State, worker: usize, learns: Learns) {
        let (now, index) = (state.store_now(), state.store_of(worker));
        let claimed_at = state.now;
        state.claims += 1;
        let nonce = ClaimNonce(state.claims);
        let store = &mut state.stores[index];
        let claim = Command::Claim(hookproof_core::store::Claim {
            nonce,
            limit: u16::from(self.cell.users),
            fleet: FLEET,
            lease: Duration::from_secs(LEASE),
            into: Vec::new(),
        });
        let before = store.image.clone();
        let Committed::Claimed { grants, .. } = store.image.apply(now, claim) else { return };
        for grant in &grants {
            store.fences[usize::try_from(grant.user.0).unwrap_or(0)] = grant.fence;
        }
        let takes_over = |user| before.grant_state(user) == Some(GrantState::Claimed);
        let helds = grants.into_iter().map(|grant| Held {
            grant,
            claimed_at,
            stage: Stage::Claimed,
            stalled_until: None,
            execute_by: None,
            is_takeover: takes_over(grant.user),
        });
        if learns == Learns::Yes {
            state.workers[worker].extend(helds);
            state.workers[worker].sort_by_key(|held| held.grant.user);
        }
        if self.cell.broken == Some(Guard::DurableClaim) {
            store.image = before;
        }
    }

    fn believed(&self) -> Terms {
        guard::believed(self.cell.broken, self.cell.terms())
    }

    fn guard(&self, state: &mut State, worker: usize, index: usize) {
        let believed = self.believed();
        let now = state.now;
        let Some(held) = state.held(worker, index) else { return };
        let seen = guard::seen_at_claim(self.cell.broken, held.grant, held.is_takeover);
        let stage = match grant::on_claimed(state.known_now(held, &believed), &believed, &seen) {
            Step::Send(ask) => Stage::Guarded { ask, at: now },
            Step::Settle(settlement) => Stage::Settling(settlement),
        };
        let held = &mut state.workers[worker][index];
        held.stage = stage;
        held.stalled_until = None;
    }

    fn write(&self, state: &mut State, worker: usize, index: usize) {
        let now = state.now;
        let is_silent = now < state.silent_until;
        let held = &mut state.workers[worker][index];
        let Stage::Guarded { ask, at } = held.stage else { return };
        held.stage = Stage::Sent { ask, deadline: now + ATTEMPT };
        held.stalled_until = None;
        let lives_until = at + LIFETIME;
        let execute_by = held.execute_by.take().unwrap_or(if is_silent { lives_until } else { at + DELAY });
        let message = Message {
            user: u8::try_from(held.grant.user.0).unwrap_or(u8::MAX),
            worker,
            ask,
            key: guard::key(self.cell.broken, held.grant.attempts),
            answer_to: Some(held.grant.fence),
            is_copy: false,
            execute_by,
            lives_until,
        };
        state.post(message);
    }

    /// A worker takes the answer of a grant's request.
    fn answer(&self, state: &mut State, worker: usize, index: usize, class: AnswerClass) {
        let believed = self.believed();
        let backoff = Duration::from_secs(BACKOFF);
        let held = &mut state.workers[worker][index];
        let Stage::Sent { ask, .. } = held.stage else { return };
        let seen = guard::seen_at_answer(self.cell.broken, held.grant, held.is_takeover);
        let class = guard::class(self.cell.broken, class);
        let settlement = match (grant::on_answered(&believed, ask, &seen, class), ask) {
            (Next::Settle(settlement), _) => settlement,
            (Next::Again { after, doubt, .. }, _) => Settlement::Again { after: after.max(backoff), doubt },
            (Next::Unsent { .. }, _) => Settlement::Unsent { after: backoff },
            (Next::PauseLane { doubt, .. }, Ask::Apply) => Settlement::Again { after: backoff, doubt },
            (Next::ReadAgain { .. }, _) | (Next::PauseLane { .. }, Ask::Read) => {
                Settlement::Released { after: backoff }
            }
        };
        held.stage = Stage::Settling(settlement);
        held.stalled_until = None;
    }

    /// Commits a settlement; the worker keeps it until it learns that.
    pub(crate) fn settle(&self, state: &mut State, worker: usize, index: usize) {
        if self.cell.broken == Some(Guard::DurableClaim) {
            let mut claimed = state.clone();
            self.claim(&mut claimed, worker, Learns::No);
            state.stores = claimed.stores;
        }
        let held = &state.workers[worker][index];
        let Stage::Settling(settlement) = held.stage else { return };
        let settle = held.grant.settle(settlement, Load::Unknown, Duration::ZERO);
        self.commit(state, state.store_of(worker), settle);
    }

    pub(crate) fn commit(&self, state: &mut State, store: usize, settle: hookproof_core::store::Settle) {
        let now = state.store_now();
        let user = usize::try_from(settle.user.0).unwrap_or(0);
        state.receipts[user] |= settle.settlement == Settlement::Delivered;
        let Store { image, fences } = &mut state.stores[store];
        if let Some(settle) = guard::settle(self.cell.broken, settle, fences[user]) {
            image.apply(now, Command::Settle(settle));
        }
    }

    fn execute(&self, state: &mut State, index: usize, course: Course) {
        let message = state.messages.remove(index);
        trouble::pay_for(&self.cell, state, &message, course);
        let class = match (course, message.ask) {
            (Course::Answered | Course::AnswerLost | Course::AnswerError, Ask::Apply) => {
                state.service.apply(state.now, &self.cell, message.user, message.key)
            }
            (Course::Answered | Course::AnswerLost | Course::AnswerError, Ask::Read) => {
                state.service.read(message.user)
            }
            (Course::ReadMisses | Course::ReadMissesLonger, _) => AnswerClass::NotFound,
            (Course::Throttled, _) => AnswerClass::Throttled,
            (Course::InProgress, _) => AnswerClass::InProgress,
            (Course::Refused, _) => AnswerClass::Refused,
            (Course::FalseAck, _) => AnswerClass::Receipt,
            (Course::Vanishes, _) => return,
        };
        if course == Course::AnswerLost {
            return;
        }
        let class = if course == Course::AnswerError { AnswerClass::ServerError } else { class };
        let waits = |held: &Held| {
            Some(held.grant.fence) == message.answer_to
                && held.grant.user == UserHandle(u64::from(message.user))
                && matches!(held.stage, Stage::Sent { .. })
        };
        if let Some(held) = state.workers[message.worker].iter().position(waits) {
            self.answer(state, message.worker, held, class);
        }
    }

    /// Whether another request with the same key is under way, so that the service may say 409.
    pub(crate) fn is_in_progress(cell: &Cell, state: &State, message: &Message) -> bool {
        let is_same =
            |other: &&Message| other.ask == Ask::Apply && (other.user, other.key) == (message.user, message.key);
        cell.offer == Offer::IdempotencyKey && state.messages.iter().filter(is_same).count() > 1
    }
}

/// Whether something that may wait has waited long enough.
fn is_due(state: &State) -> bool {
    state.messages.iter().any(|message| message.execute_by <= state.now)
        || state.late.iter().any(|(_, _, until)| *until <= state.now)
        || state.outage_until.is_some_and(|until| until <= state.now)
}

fn visit(state: &mut State, store: usize, user: u8) {
    let grant = GrantIntent { id: GrantId::from_bytes([user + 1; 16]), units: UNITS };
    let admit =
        Admit { user: UserHandle(u64::from(user)), variant: VariantIndex::new(1), generation: 0, grant: Some(grant) };
    let now = state.store_now();
    state.stores[store].image.apply(now, Command::Admit(admit));
    state.visited[usize::from(user)] = true;
    if store > 0 {
        trouble::spend(state);
    }
}

/// The lane makes a retry later.
fn delay(held: &mut Held, jitter: u64) {
    if let Stage::Settling(Settlement::Again { after, .. } | Settlement::Unsent { after }) = &mut held.stage {
        *after += Duration::from_secs(jitter);
    }
}

/// A second passes.
fn tick(state: &mut State) {
    if state.now < state.stands_until {
        state.store_lead -= 1;
    }
    state.now += 1;
    if state.stands_until <= state.now {
        state.stands_until = 0;
    }
    if state.silent_until <= state.now {
        state.silent_until = 0;
    }
    state.service.age(state.now);
}

/// Whether nothing more can happen.
pub(crate) fn is_over(model: &GrantModel, state: &State) -> bool {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions.is_empty()
}
