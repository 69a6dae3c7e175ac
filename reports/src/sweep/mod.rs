//! Many seeds of a scenario: what they found together, in a record that can be made in parts.
//!
//! [`ScenarioSweep::add`] counts a seed, [`merge_sweeps`] joins parts, [`render_sweep`], [`render_sweep_markdown`] and
//! [`crate::render_sweep_json`] show the result. Nothing here runs anything, and no seed is remembered beyond its counts,
//! the first [`FAILING_MAX`] failing ones excepted.
//!
//! * `SWEEP-1`: counting and merging commute and associate to the byte, so that a sweep's record is a function of its seeds
//!   alone, however many threads or machines shared them. Sums are integers; rounding follows from the set of values.
//! * `SWEEP-2`: each seed is counted once. Shards deal the seeds out without overlap, and parts merge only if they are
//!   exactly the shards of one sweep.

mod bound;
mod consistency;
mod distribution;
mod merge;
mod record;
pub(crate) mod section;
mod shard;
mod summary;
mod tally;

pub use bound::{Verdicts, sign_test, upper_bound_95};
pub use distribution::Distribution;
pub use merge::{MergeError, NamedPart, merge_sweeps};
pub use record::{
    ExpectationTally, Failing, FaultTally, HookSweep, InvariantTally, Pair, PairedMetric, Reached, SWEEP_SCHEMA,
    ScenarioSweep, Seeds, SweepRecord, sweep_repro_command,
};
pub use shard::{InvalidShard, Shard};
pub(crate) use summary::none_violated;
pub use summary::{render_sweep, render_sweep_markdown};
pub use tally::FAILING_MAX;
