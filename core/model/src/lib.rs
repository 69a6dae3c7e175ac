//! An exhaustive model check of the grant's part of Hookproof's protocol, on the shipped code.
//!
//! The model is small and the subject is real: what a store does is [`hookproof_core::store::Image`], what a worker does with a
//! claimed grant is [`hookproof_core::grant::on_claimed`], what follows from an answer is [`hookproof_core::grant::on_answered`].
//! Around them stand a quota service, a network, clocks and *hazards*, and every order in which all this can happen is walked
//! (stateright). Each cell of [`hookproof_core::promise::promise`] is confirmed or refuted, and each guard of the protocol is
//! broken in turn to see that the check would notice.
//!
//! ```text
//! cell      which offer, which hazards, how many of them, how many users; and what is promised
//! state     everything that can differ between two moments: stores, workers, messages, service, clocks
//! action    what can happen next
//! machine   when an action can happen, and what it does: the stateright model
//! trouble   when a hazard can happen, and what it does
//! service   the quota service: its ledger, its keys
//! guard     the protocol's guards, and how each is broken at the border of the subject
//! property  what must hold in every state
//! check     a run over one cell, and its outcome
//! catalogue the cells and the sabotages that are checked
//! story     a counterexample in plain words
//! ```
//!
//! Time is a number of abstract seconds, and no chance enters. The hazards' precise meaning is the table in [`cell`]; what is
//! abstracted away, and why that is sound, is in `docs/model-check.md`.

mod action;
mod catalogue;
pub mod cell;
mod check;
mod guard;
mod machine;
mod property;
mod service;
mod state;
mod story;
mod trouble;

pub use self::action::Action;
pub use self::catalogue::{COMPOUNDS, Compound, SABOTAGES, Sabotage, baseline, cells, compounds};
pub use self::cell::{Bound, Cell, Claim};
pub use self::check::{Outcome, Verified, check};
pub use self::guard::Guard;
pub use self::machine::GrantModel;
pub use self::state::State;
pub use self::story::tell;
