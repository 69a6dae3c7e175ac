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
