//! The event queue: what happens next, and in which order.
//!
//! Owns time's order and nothing of the domain. Earlier times come first; equal times come in the order of insertion, so
//! a run has one order and no tie is broken by chance, address or hash.

mod queue;

pub use queue::EventQueue;
