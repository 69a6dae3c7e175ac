//! The versioned run record of Hookproof and its renderings.
//!
//! [`RunRecord`] is what a run leaves behind: everything a reader, a script or a later version needs to judge it again.
//! [`render_json`] and [`parse`] store and restore it, [`render_table`] shows it on a terminal, [`render_html`] as a page. A [`SweepRecord`] is what many
//! seeds leave behind together; parts of it merge to the byte. An [`Explanation`] is what a scenario says before it is run. Nothing here knows a
//! clock, a file system or the simulator: the command line maps an outcome to a record, and a record to bytes is a pure
//! function, so that equal runs give equal bytes.

mod chart;
mod explanation;
mod html;
mod json;
mod layout;
mod length;
mod number;
mod record;
mod story;
mod sweep;
mod table;
mod timeline;

pub use explanation::{Explanation, Promise, Section, render_explanation, render_explanations_json};
pub use html::{HtmlOptions, defined_metrics, render_html};
pub use json::{ParseError, parse, parse_sweep, render_json, render_sweep_json};
pub use length::{InvalidLength, Length};
pub use number::Number;
pub use record::{
    ClockKind, Expectation, Fault, GrantsPerUser, Invariant, LaneOfRun, Latency, Level, Limit, ParkedGrant, Phases,
    Quantile, Restart, Role, Run, RunRecord, SCHEMA, ScenarioId, Series, Step, Story, Tool, Verdict, Violation, Why,
    WorstUser, repro_command,
};
pub use story::render_stories;
pub use sweep::{
    Distribution, ExpectationTally, FAILING_MAX, Failing, FaultTally, HookSweep, InvalidShard, InvariantTally,
    MergeError, NamedPart, Pair, PairedMetric, Reached, SWEEP_SCHEMA, ScenarioSweep, Seeds, Shard, SweepRecord,
    Verdicts, merge_sweeps, render_sweep, render_sweep_markdown, sign_test, sweep_repro_command, upper_bound_95,
};
pub use table::{Palette, Style, TableOptions, WIDTH, render_table};
pub use timeline::{Charset, Lane, Marks, Timeline, render_timeline};
