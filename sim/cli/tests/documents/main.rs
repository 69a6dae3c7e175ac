//! What the repository's documents show is what the program does: the README, the matrix of protections, the incidents' pages, and
//! the names of metrics.

mod ablation;
mod incidents;
mod metrics;
mod readme;
