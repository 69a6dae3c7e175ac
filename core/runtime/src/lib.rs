//! The hardened hook in production: the pure machines of [`hookproof_core`] with clocks, durable stores and HTTP.
//!
//! This crate decides nothing. Each output of a machine becomes one operation of the store or of the quota service, whose end
//! comes back as one input; so what the simulator proves of the machines holds here as far as these operations do what
//! they say.

pub mod client;
mod clock;
mod driver;
mod failpoint;
pub mod hook;
mod known;
pub mod operator;
pub mod sidecar;
pub mod store;
pub mod telemetry;
mod users;
