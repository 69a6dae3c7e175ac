//! What the benchmarks of Hookproof share; see `benches/` beside this file for the benchmarks themselves.

pub mod memory;
pub mod paired;
