//! Criterion benchmarks of Hookproof; see `benches/` beside this file. The crate itself holds nothing.
