//! Hooks that are broken on purpose: does the harness find what it is there to find?
//!
//! Owns the list of breakages, the grounds on which each must be found, and the search. *How* a hook is broken lies in
//! `subject/sabotaged`: a border around the real hook, or a setting; the core holds no bug on demand. A breakage is *found*
//! under a seed if the run of the broken hook is violated and that of the unbroken hook, same ground and seed, is not.
//!
//! The search is fixed before it is run: at most [`SEEDS_MAX`] seeds of a range, [`RANGES`] ranges that do not touch. What is
//! not found is a hole in an oracle, a scenario or the swarm, and is mended there. Read next: `tests/oracles/sabotage.rs`, and
//! `docs/sabotage.md`, which `cargo run --release -p hookproof-sim --example sabotage` writes.

mod catalogue;
mod ground;
mod report;
mod search;

pub use catalogue::{About, Sabotage};
pub use ground::{Ground, base};
pub use report::{Row, markdown, stable_part};
pub use search::{Found, RANGES, SEEDS_MAX, Search, is_violated, violated};
