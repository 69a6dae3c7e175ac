//! The hardened experiment hook as pure state machines.
//!
//! Time, chance and I/O are arguments: a machine takes inputs, gives outputs, and names its next deadline. Nothing in
//! this crate reads a clock, draws a random number, opens a socket or spawns a thread, so the same code runs under the
//! simulator, a model checker and the tokio runtime.

pub mod assignment;
pub mod experiment;
pub mod identity;
pub mod time;
