//! When a hazard can happen, and what it does.
//!
//! Owns the accounting: each occurrence is paid for from the cell's budget, an *occasion* from its own. The meaning of each
//! hazard is the table in [`cell`](crate::cell).

use hookproof_core::promise::{Hazard, Offer};
use hookproof_core::store::{Epoch, GrantState, Load, Settle};
use hookproof_core::upstream::Ask;

use crate::action::{Action, Course, Trouble};
use crate::cell::{Cell, ERROR, LATE, LEASE, LIFETIME, OUTAGE, STALL, STEP};
use crate::guard::Guard;
use crate::machine::{GrantModel, Learns};
use crate::state::{Message, Stage, State};

/// Takes one occurrence from the budget.
pub(crate) fn spend(state: &mut State) {
    state.budget = state.budget.saturating_sub(1);
}

/// How a request can execute.
pub(crate) fn courses(cell: &Cell, state: &State, message: &Message) -> Vec<Course> {
    if state.now < state.silent_until {
        return vec![Course::AnswerLost, Course::Vanishes];
    }
    let may = |hazard| cell.has(hazard) && state.budget > 0;
    let is_awaited = message.answer_to.is_some();
    let mut courses = vec![Course::Answered];
    let mut add = |course, is_possible| {
        if is_possible {
            courses.push(course);
        }
    };
    let is_occasion = state.occasions > 0 && message.ask == Ask::Apply;
    add(Course::AnswerLost, is_awaited && (may(Hazard::LostReply) || is_occasion));
    add(Course::AnswerError, is_awaited && may(Hazard::LostReply));
    add(Course::Vanishes, may(Hazard::LostRequest));
    match message.ask {
        Ask::Apply => {
            add(Course::Throttled, is_awaited && state.throttles > 0);
            add(Course::InProgress, GrantModel::is_in_progress(cell, state, message));
            add(Course::Refused, is_awaited && state.refusals > 0);
            add(Course::FalseAck, is_awaited && may(Hazard::FalseAck));
        }
        Ask::Read => {
            add(Course::ReadMisses, state.service.is_fresh(state.now, message.user));
            add(Course::ReadMissesLonger, may(Hazard::ReadLag) && state.service.is_settled(state.now, message.user));
        }
    }
    courses
}

/// Pays for the course of an execution.
pub(crate) fn pay_for(cell: &Cell, state: &mut State, message: &Message, course: Course) {
    if state.now < state.silent_until {
        return;
    }
    match course {
        Course::AnswerLost if state.occasions > 0 && message.ask == Ask::Apply && !cell.has(Hazard::LostReply) => {
            state.occasions -= 1;
        }
        Course::AnswerLost | Course::AnswerError | Course::Vanishes | Course::FalseAck | Course::ReadMissesLonger => {
            spend(state);
        }
        Course::Throttled => state.throttles -= 1,
        Course::Refused => state.refusals -= 1,
        Course::Answered | Course::InProgress | Course::ReadMisses => {}
    }
}

/// What can go wrong now, beside the course of an execution.
pub(crate) fn list(cell: &Cell, state: &State, actions: &mut Vec<Action>) {
    let mut troubles = Vec::new();
    if state.outage_until.is_some() {
        troubles.push(Trouble::OutageEnds);
    } else {
        troubles.extend((0..state.late.len()).map(|index| Trouble::LateCommit { index }));
    }
    if state.budget > 0 {
        list_of_workers(cell, state, &mut troubles);
        list_of_service(cell, state, &mut troubles);
        list_of_store(cell, state, &mut troubles);
    }
    actions.extend(troubles.into_iter().map(Action::Trouble));
}

fn list_of_workers(cell: &Cell, state: &State, troubles: &mut Vec<Trouble>) {
    for (worker, helds) in state.workers.iter().enumerate() {
        let is_before = |stage: &Stage| matches!(stage, Stage::Claimed | Stage::Guarded { .. });
        let has_before = helds.iter().any(|held| is_before(&held.stage));
        let has_after = helds.iter().any(|held| !is_before(&held.stage));
        if cell.has(Hazard::CrashBeforeSend) && has_before && (!has_after || cell.has(Hazard::CrashAfterSend))
            || cell.has(Hazard::CrashAfterSend) && has_after
        {
            troubles.push(Trouble::Crash { worker });
        }
        for (index, held) in helds.iter().enumerate() {
            let may_stall = match held.stage {
                Stage::Claimed | Stage::Settling(_) => cell.has(Hazard::Stall),
                Stage::Guarded { .. } => cell.has(Hazard::Stall) || cell.has(Hazard::OverlongStall),
                Stage::Sent { .. } => false,
            };
            if may_stall && held.stalled_until.is_none() {
                troubles.push(Trouble::Stall { worker, held: index });
            }
            let is_settling = matches!(held.stage, Stage::Settling(_));
            if is_settling && cell.has(Hazard::CommitUnknown) && state.outage_until.is_none() {
                troubles.push(Trouble::SettleUnknown { worker, held: index });
                troubles.push(Trouble::SettleLate { worker, held: index });
            }
        }
    }
}

fn list_of_service(cell: &Cell, state: &State, troubles: &mut Vec<Trouble>) {
    let may_copy = cell.has(Hazard::Duplicate) || cell.has(Hazard::Replay);
    for (index, message) in state.messages.iter().enumerate() {
        if may_copy && message.ask == Ask::Apply && !message.is_copy {
            troubles.push(Trouble::Copy { message: index });
        }
    }
    if cell.has(Hazard::OutlastedWindow) && state.silent_until == 0 && !state.messages.is_empty() {
        troubles.push(Trouble::Silence);
    }
    if cell.has(Hazard::KeyLost) {
        let users = state.users().filter(|user| state.service.remembers(state.now, *user));
        let is_keyed = cell.offer == Offer::IdempotencyKey;
        troubles.extend(users.filter(|_| is_keyed).map(|user| Trouble::KeyLost { user }));
    }
}

fn list_of_store(cell: &Cell, state: &State, troubles: &mut Vec<Trouble>) {
    let is_open = |user: u8| matches!(state.grant_state(0, user), Some(GrantState::Pending | GrantState::Claimed));
    let is_any_open = state.users().any(is_open);
    if cell.has(Hazard::CommitUnknown) {
        let model = GrantModel { cell: cell.clone() };
        let claimers = (0..state.workers.len()).filter(|worker| model.may_claim(state, *worker));
        troubles.extend(claimers.map(|worker| Trouble::ClaimUnknown { worker }));
    }
    if cell.has(Hazard::StoreOutage) && state.outage_until.is_none() && is_any_open {
        troubles.push(Trouble::OutageBegins);
    }
    if cell.has(Hazard::StoreRollback) || cell.has(Hazard::SilentRollback) {
        match &state.snapshot {
            None => troubles.push(Trouble::Snapshot),
            Some(snapshot) if **snapshot != state.stores[0] => troubles.push(Trouble::Rollback),
            Some(_) => {}
        }
    }
    let is_steady = is_any_open && state.stands_until == 0;
    if cell.has(Hazard::ClockError) && is_steady {
        troubles.push(if state.store_lead == 0 { Trouble::ClockSteps } else { Trouble::ClockStands });
    }
    if cell.has(Hazard::ClockBeyondBound) && is_steady {
        troubles.extend([Trouble::ClockSteps, Trouble::ClockStands]);
    }
}

/// Something goes wrong.
pub(crate) fn happen(model: &GrantModel, state: &mut State, trouble: Trouble) {
    let cell = &model.cell;
    match trouble {
        Trouble::OutageEnds => {
            state.outage_until = None;
            return;
        }
        Trouble::Snapshot => {
            state.snapshot = Some(Box::new(state.stores[0].clone()));
            return;
        }
        Trouble::LateCommit { index } => {
            let (store, settle, _) = state.late.remove(index);
            model.commit(state, store, settle);
            return;
        }
        Trouble::Crash { worker } => {
            while !state.workers[worker].is_empty() {
                state.forget(worker, 0);
            }
        }
        Trouble::Stall { worker, held } => stall(cell, state, worker, held),
        Trouble::Copy { message } => copy(cell, state, message),
        Trouble::Silence => state.silent_until = state.now + cell.ttl() + 2,
        Trouble::KeyLost { user } => state.service.forget(state.now, user),
        Trouble::ClaimUnknown { worker } => model.claim(state, worker, Learns::No),
        Trouble::SettleUnknown { worker, held } => model.settle(state, worker, held),
        Trouble::SettleLate { worker, held } => {
            if let Some(settle) = settlement(state, worker, held) {
                let late = (state.store_of(worker), settle, state.now + LATE);
                state.late.push(late);
            }
        }
        Trouble::OutageBegins => state.outage_until = Some(state.now + OUTAGE),
        Trouble::Rollback => roll_back(cell, state),
        Trouble::ClockSteps => {
            let step = if cell.has(Hazard::ClockBeyondBound) { STEP } else { ERROR };
            state.store_lead += i64::try_from(step).unwrap_or(i64::MAX);
        }
        Trouble::ClockStands => {
            let pause = if cell.has(Hazard::ClockBeyondBound) { cell.ttl() + 2 } else { ERROR };
            state.stands_until = state.now + pause;
        }
    }
    spend(state);
}

fn stall(cell: &Cell, state: &mut State, worker: usize, index: usize) {
    let now = state.now;
    let held = &mut state.workers[worker][index];
    if let Stage::Guarded { at, .. } = held.stage {
        let beyond = if cell.has(Hazard::OverlongStall) { cell.ttl() + LEASE + 2 } else { 0 };
        held.execute_by = Some(at + LIFETIME + beyond);
        held.stalled_until = held.execute_by;
    } else {
        held.stalled_until = Some(now + STALL);
    }
}

fn copy(cell: &Cell, state: &mut State, index: usize) {
    let mut copy = state.messages[index].clone();
    copy.answer_to = None;
    copy.is_copy = true;
    copy.execute_by = if cell.has(Hazard::Replay) { state.now + cell.ttl() + LEASE } else { copy.lives_until };
    state.post(copy);
}

fn settlement(state: &State, worker: usize, index: usize) -> Option<Settle> {
    let held = state.held(worker, index)?;
    match held.stage {
        Stage::Settling(settlement) => Some(held.grant.settle(settlement, Load::Unknown, std::time::Duration::ZERO)),
        Stage::Claimed | Stage::Guarded { .. } | Stage::Sent { .. } => None,
    }
}

fn roll_back(cell: &Cell, state: &mut State) {
    let Some(snapshot) = state.snapshot.take() else { return };
    state.stores[0] = *snapshot;
    state.receipts.fill(false);
    if cell.has(Hazard::StoreRollback) && cell.broken != Some(Guard::Epoch) {
        state.epochs += 1;
        let now = state.store_now();
        state.stores[0].image.begin_epoch(now, Epoch(state.epochs));
    }
}
