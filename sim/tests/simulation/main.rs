//! The simulator is what it says: the same seed gives the same run, traffic and faults are those of the scenario, the simulated
//! programs do what the real ones do, and the hardened hook in it is the core and nothing else.

mod acceptance;
mod chronicle;
mod determinism;
mod faults;
mod hardened_replay;
mod incidents;
mod levels;
mod traffic;

use std::fs;
use std::path::Path;

use hookproof_sim::scenario::{Scenario, decode};

/// The scenario of the library that is called `name` in `scenarios/`.
fn shipped(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    let source = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    decode(name, name, &source).unwrap_or_else(|error| panic!("{error}"))
}
