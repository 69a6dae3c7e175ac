//! Hooks under load in real time: what `hookproof bench` and the benchmarks of latency share.
//!
//! Visits arrive by a schedule that was drawn beforehand ([`arrivals`]) and are offered whether or not earlier ones have been answered
//! ([`offer`]); latency counts from the intended start. The hook under load ([`subject`]) is the real one, on a real store with its commits on
//! the disk, and its quota service ([`quota`]) is well or fails in one way. What the disk itself takes stands beside it ([`disk`]).
//!
//! Depends on `hookproof-runtime` and `hookproof-core`; nothing here decides anything about users or grants.

pub mod arrivals;
pub mod disk;
pub mod latency;
pub mod offer;
pub mod quota;
mod sidecar;
pub mod subject;
