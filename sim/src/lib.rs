//! A deterministic virtual-time world that proves an experiment hook.
//!
//! [`scenario::decode`] turns a scenario file into a [`scenario::Scenario`]; [`run`] drives one hook through it with one
//! seed and returns an [`outcome::Outcome`]: metrics, expectations and invariants. The same scenario, seed and version give
//! the same outcome on every machine.
//!
//! A map of the modules:
//!
//! | what                              | where                                                             |
//! |-----------------------------------|-------------------------------------------------------------------|
//! | time and chance                   | [`engine`], [`seed`], [`clock`], [`digest`]                       |
//! | who visits, who waits             | [`traffic`], [`users`], `world`                                   |
//! | what the hook depends on          | [`network`], [`quota_service`], [`store`]                         |
//! | what goes wrong                   | [`fault`], [`swarm`]                                              |
//! | what is under test                | [`subject`]                                                       |
//! | what is found                     | [`metrics`], [`oracle`], `expectation`, [`outcome`], [`chronicle`] |
//! | what can be promised              | [`promise`], [`hazards`]                                          |
//! | what a scenario will ask for      | [`demand`]                                                        |
//! | what the harness itself can find  | [`sabotage`]                                                      |

pub mod chronicle;
pub mod clock;
pub mod demand;
pub mod digest;
pub mod engine;
mod expectation;
pub mod fault;
pub mod hazards;
pub mod metrics;
pub mod network;
pub mod oracle;
pub mod outcome;
pub mod promise;
pub mod quota_service;
mod run;
pub mod sabotage;
pub mod scenario;
pub mod seed;
pub mod slab;
pub mod store;
pub mod subject;
pub mod swarm;
pub mod traffic;
pub mod users;
mod world;

pub use run::{run, run_listening, run_telling, run_with};
pub use world::{Recording, Recordings, Setting};
