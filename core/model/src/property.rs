//! What must hold in every state.
//!
//! Owns the judgement. It looks at the service's ledger, at the grants' states in the stores and at the requests under way,
//! never at what a worker believes. Each *always* has a *reached* partner: a run that met no hazard proves nothing.

use hookproof_core::identity::UserHandle;
use hookproof_core::promise::{Hazard, Offer};
use hookproof_core::store::GrantState;
use hookproof_core::upstream::Ask;
use stateright::Property;

use crate::cell::{Cell, Claim};
use crate::machine::{GrantModel, is_over};
use crate::state::State;

/// The name of the one property where a fall is looked for.
pub(crate) const PROMISE: &str = "the promise";

/// What a cell is checked for.
pub(crate) fn of(cell: &Cell) -> Vec<Property<GrantModel>> {
    if cell.claim == Claim::Impossible {
        return vec![Property::always(PROMISE, |_, state| applied_once(state) && books_are_true(state))];
    }
    if cell.broken.is_some() {
        return vec![Property::always(PROMISE, |model, state| broken_rule(model, state).is_none())];
    }
    let mut properties = vec![
        Property::always("GRANT-1: at most one effect", |_, state: &State| applied_once(state)),
        Property::always("GRANT-2: no effect without an exposure", |_, state| exposed_first(state)),
        Property::always("GRANT-3: what the books say is true", |_, state| books_are_true(state)),
        Property::always("GRANT-3: the books add up", |_, state| books_add_up(state)),
        Property::always("GRANT-3: everything settles", settles),
        Property::always("GRANT-4: no request in doubt outlives its key", |model: &GrantModel, state: &State| {
            inside_window(&model.cell, state)
        }),
        Property::always("GRANT-5: no receipt is lost", |model: &GrantModel, state: &State| {
            receipts_kept(&model.cell, state)
        }),
    ];
    properties.push(match cell.claim {
        Claim::Parked => Property::sometimes("reached: the hazard, and a parked grant", |model: &GrantModel, state| {
            met(model, state) && state.users().any(|user| state.grant_state(0, user) == Some(GrantState::Parked))
        }),
        Claim::Safe => Property::sometimes("reached: every hazard", |_, state: &State| state.budget == 0),
        Claim::Holds | Claim::Impossible => {
            Property::sometimes("reached: the hazard, and a delivery after all", |model: &GrantModel, state| {
                met(model, state) && state.users().all(|user| state.grant_state(0, user) == Some(GrantState::Delivered))
            })
        }
    });
    properties
}

/// Whether the hazard has happened, if it can.
fn met(model: &GrantModel, state: &State) -> bool {
    model.cell.budget == 0 || state.budget < model.cell.budget || model.cell.is_vacuous()
}

/// The first rule that a state breaks, if any.
pub(crate) fn broken_rule(model: &GrantModel, state: &State) -> Option<&'static str> {
    if !applied_once(state) {
        Some("GRANT-1: the quota was raised twice")
    } else if !books_are_true(state) {
        Some("GRANT-3: the books say what is not so")
    } else if !exposed_first(state) {
        Some("GRANT-2: an effect without an exposure")
    } else if !receipts_kept(&model.cell, state) {
        Some("GRANT-5: a receipt is lost")
    } else if !settles(model, state) {
        Some("GRANT-3: nothing more will happen, and the grant is not settled as promised")
    } else {
        None
    }
}

fn applied_once(state: &State) -> bool {
    state.service.effects.iter().all(|effects| *effects <= 1)
}

fn exposed_first(state: &State) -> bool {
    state.service.effects.iter().zip(&state.visited).all(|(effects, visited)| *effects == 0 || *visited)
}

/// Delivered means applied, rejected means not applied.
fn books_are_true(state: &State) -> bool {
    (0..state.stores.len()).all(|store| {
        state.users().all(|user| {
            let effects = state.service.effects[usize::from(user)];
            match state.grant_state(store, user) {
                Some(GrantState::Delivered) => effects > 0,
                Some(GrantState::Rejected) => effects == 0,
                None | Some(GrantState::Pending | GrantState::Claimed | GrantState::Parked) => true,
            }
        })
    })
}

fn books_add_up(state: &State) -> bool {
    state.stores.iter().all(|store| {
        let counts = store.image.counts();
        let recorded = state.users().filter(|user| store.image.grant_state(UserHandle(u64::from(*user))).is_some());
        counts.admitted == recorded.count() as u64
            && counts.admitted == counts.pending + counts.claimed + counts.delivered + counts.rejected + counts.parked
    })
}

/// Where nothing more can happen, every recorded grant has ended as the cell claims.
fn settles(model: &GrantModel, state: &State) -> bool {
    let may_park = model.cell.claim != Claim::Holds;
    let has_ended = |store: usize, user: u8| match state.grant_state(store, user) {
        Some(GrantState::Delivered) => state.service.effects[usize::from(user)] == 1,
        Some(GrantState::Parked) => may_park && has_evidence(state, store, user),
        Some(GrantState::Rejected) => model.cell.refusals > 0,
        None => store > 0,
        Some(GrantState::Pending | GrantState::Claimed) => false,
    };
    let have_ended = (0..state.stores.len()).all(|store| state.users().all(|user| has_ended(store, user)));
    have_ended || !is_over(model, state)
}

fn has_evidence(state: &State, store: usize, user: u8) -> bool {
    let handle = UserHandle(u64::from(user));
    state.stores[store].image.parked().any(|(of, evidence)| of == handle && evidence.attempts > 0)
}

/// A request that is under way with a used key executes before the key is forgotten.
fn inside_window(cell: &Cell, state: &State) -> bool {
    cell.offer != Offer::IdempotencyKey
        || state.messages.iter().filter(|message| message.ask == Ask::Apply).all(|message| {
            let forget_at = state.service.forget_at(message.user, message.key);
            forget_at.is_none_or(|forget_at| message.execute_by < forget_at)
        })
}

/// Once a receipt was committed, the grant is delivered, unless the store lost it.
fn receipts_kept(cell: &Cell, state: &State) -> bool {
    let loses = [Hazard::StoreRollback, Hazard::SilentRollback, Hazard::TwoStores];
    loses.iter().any(|hazard| cell.has(*hazard))
        || state
            .users()
            .zip(&state.receipts)
            .all(|(user, has_receipt)| !has_receipt || state.grant_state(0, user) == Some(GrantState::Delivered))
}
