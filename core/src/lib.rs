//! The hardened experiment hook as pure state machines.
//!
//! Time, chance and I/O are arguments: a machine takes inputs, gives outputs, and names its next deadline. Nothing in
//! this crate reads a clock, draws a random number, opens a socket or spawns a thread, so the same code runs under the
//! simulator, a model checker and the tokio runtime.
//!
//! | machine                          | decides                                                            |
//! |----------------------------------|--------------------------------------------------------------------|
//! | [`admission::Admission`]         | what a visit is answered; the request path                         |
//! | [`committer::Committer`]         | which commands share a commit                                      |
//! | [`delivery::Delivery`]           | what is sent to the quota service, when, and what an answer means  |
//! | [`hook::Hook`]                   | nothing: it wires the three for one process                        |
//!
//! [`assignment`], [`identity`] and [`experiment`] are pure functions of the experiment and the user's id;
//! [`store::Image`] defines what a store command does; [`classify`](mod@classify) is the table of answers.

pub mod admission;
pub mod assignment;
pub mod audit;
pub mod classify;
pub mod committer;
pub mod delivery;
pub mod experiment;
pub mod grant;
pub mod hook;
pub mod identity;
pub mod lineage;
pub mod promise;
pub mod protection;
pub mod store;
pub mod time;
pub mod upstream;
