//! What tests and benchmarks of the runtime need around them.

pub mod crash;
pub mod http;
pub mod postgres;
