//! A run over one cell, and its outcome.
//!
//! Owns how stateright is asked. A claim that something holds is confirmed by visiting *every* state: no target, no cut-off,
//! and the run must be done. A claim that the promise falls is confirmed by a shortest counterexample (breadth first, one
//! thread).
//!
//! It reads no clock; whoever wants to know how long a run takes measures it.

use stateright::{Checker, Model};

use crate::action::Action;
use crate::cell::{Cell, Claim};
use crate::machine::GrantModel;
use crate::property::PROMISE;
use crate::state::State;

/// A counterexample: each state with what happens in it.
pub(crate) type Steps = Vec<(State, Option<Action>)>;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it was about.
    pub cell: Cell,
    /// Whether its claim is confirmed.
    pub verified: Verified,
    /// Different states.
    pub states: usize,
    /// States with repetitions: how many steps were taken.
    pub steps_taken: usize,
    /// Steps of the longest of the shortest ways to a state.
    pub depth: usize,
    /// Where something was found that tells a story: the fall that was expected, or the failure that was not.
    pub(crate) path: Option<Steps>,
}

/// Whether a cell's claim is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is.
    Confirmed,
    /// It is not: these rules were broken or never reached.
    Refuted(Vec<&'static str>),
}

impl Outcome {
    /// Whether the cell's claim is confirmed.
    pub fn is_confirmed(&self) -> bool {
        self.verified == Verified::Confirmed
    }

    /// Steps of the counterexample, if there is one.
    pub fn story_steps(&self) -> Option<usize> {
        self.path.as_ref().map(|path| path.len() - 1)
    }
}

/// Visits every state of a cell, or the fewest that refute the promise.
pub fn check(cell: &Cell, threads: usize) -> Outcome {
    let must_fall = cell.claim == Claim::Impossible || cell.broken.is_some();
    let model = GrantModel { cell: cell.clone() };
    let checker = model.checker().threads(if must_fall { 1 } else { threads }).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut refuted: Vec<&'static str> = Vec::new();
    if must_fall {
        if !discoveries.contains_key(PROMISE) {
            refuted.push("the promise was to fall, and does not");
        }
    } else {
        let properties = checker.model().properties();
        let is_broken = |property: &&stateright::Property<GrantModel>| {
            let is_found = discoveries.contains_key(property.name);
            is_found == property.expectation.discovery_is_failure()
        };
        refuted.extend(properties.iter().filter(is_broken).map(|property| property.name));
        assert!(checker.is_done(), "a claim that something holds rests on every state");
    }
    let told = if must_fall { Some(PROMISE) } else { refuted.first().copied() };
    let path = told.and_then(|name| discoveries.get(name)).map(|path| path.clone().into_vec());
    Outcome {
        cell: cell.clone(),
        verified: if refuted.is_empty() { Verified::Confirmed } else { Verified::Refuted(refuted) },
        states: checker.unique_state_count(),
        steps_taken: checker.state_count(),
        depth: checker.max_depth(),
        path,
    }
}
