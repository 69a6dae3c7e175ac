//! The versioned run record of Hookproof and its renderings.
//!
//! [`RunRecord`] is what a run leaves behind: everything a reader, a script or a later version needs to judge it again.
//! [`render_json`] and [`parse`] store and restore it, [`render_table`] shows it on a terminal, [`render_html`] as a page, [`render_markdown`],
//! [`render_github`] and [`render_junit`] in CI; [`compare`](compare()) sets two side by side. A [`SweepRecord`] is what many
//! seeds leave behind together; parts of it merge to the byte. [`Pseudonyms`] stand for users' ids in what is handed on. An [`Explanation`] is what a scenario says before it is run. Nothing here knows a
//! clock, a file system or the simulator: the command line maps an outcome to a record, and a record to bytes is a pure
//! function, so that equal runs give equal bytes.

mod ablation;
mod chart;
mod compare;
mod conclusion;
mod explanation;
mod github;
mod html;
mod incident;
mod json;
mod junit;
mod layout;
mod length;
mod markdown;
mod number;
mod pseudonym;
mod record;
mod schema;
mod story;
mod sweep;
mod table;
mod timeline;

pub use ablation::{
    Ablation, AblationRow, Broken, Harm, HarmCell, Removed, Unit, render_ablation, render_ablation_markdown,
};
pub use compare::{
    COMPARE_SCHEMA, Change, Changed, ChangedExpectation, Comparison, DIRECTIONS, Direction, Finding, PairedRun,
    RunName, Side, Tolerances, compare, render_comparison, render_comparison_json, render_comparison_markdown,
};
pub use explanation::{Explanation, Promise, Section, render_explanation, render_explanations_json};
pub use github::render_github;
pub use html::{HtmlOptions, defined_metrics, render_comparison_html, render_html};
pub use incident::{Incident, KnownValue, Origin, render_incident, render_incident_index};
pub use json::{ParseError, parse, parse_sweep, render_json, render_sweep_json};
pub use junit::render_junit;
pub use length::{InvalidLength, Length};
pub use markdown::render_markdown;
pub use number::Number;
pub use pseudonym::{KeyTooShort, Pseudonyms, UserIds};
pub use record::{
    Arm, ClockKind, Expectation, Experiment, Fault, GrantsPerUser, Invariant, LaneOfRun, Latency, Level, Lift, Limit,
    ParkedGrant, Phases, Quantile, Restart, Role, Run, RunRecord, SCHEMA, SampleRatio, ScenarioId, Series, Step, Story,
    Tool, Verdict, Violation, Why, WorstUser, repro_command,
};
pub use schema::render_run_schema;
pub use story::render_stories;
pub use sweep::{
    Distribution, ExpectationTally, FAILING_MAX, Failing, FaultTally, HookSweep, InvalidShard, InvariantTally,
    MergeError, NamedPart, Pair, PairedMetric, Reached, SWEEP_SCHEMA, ScenarioSweep, Seeds, Shard, SweepRecord,
    Verdicts, merge_sweeps, render_sweep, render_sweep_markdown, sign_test, sweep_repro_command, upper_bound_95,
};
pub use table::{Palette, ScenarioPaths, Style, TableOptions, WIDTH, render_table};
pub use timeline::{Charset, Lane, Marks, Timeline, render_timeline};
