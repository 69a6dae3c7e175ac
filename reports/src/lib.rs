//! The versioned run record of Hookproof and its renderings.
//!
//! [`RunRecord`] is what a run leaves behind: everything a reader, a script or a later version needs to judge it again.
//! [`render_json`] and [`parse`] store and restore it, [`render_table`] shows it on a terminal. Nothing here knows a
//! clock, a file system or the simulator: the command line maps an outcome to a record, and a record to bytes is a pure
//! function, so that equal runs give equal bytes.

mod json;
mod layout;
mod length;
mod number;
mod record;
mod table;

pub use json::{ParseError, parse, render_json};
pub use length::{InvalidLength, Length};
pub use number::Number;
pub use record::{
    ClockKind, Expectation, Fault, Invariant, Latency, Limit, ParkedGrant, Quantile, Role, Run, RunRecord, SCHEMA,
    ScenarioId, Series, Tool, Verdict, Violation, WorstUser, repro_command,
};
pub use table::{Palette, Style, TableOptions, WIDTH, render_table};
