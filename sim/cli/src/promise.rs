//! `promise`: what can be promised, as the core's tables say it, and its confirmation on the simulator.
//!
//! Every word about a verdict comes from `hookproof_core::promise` and `hookproof_core::classify`; this module lays out.

mod confirm;
mod document;
mod layout;
mod tables;
mod words;

use hookproof_sim::promise as cells;

use crate::args::{PromiseArgs, PromiseFormat};
use crate::exit::{Exit, Failure};
use crate::terminal::{self, Terminal};

/// Prints the tables, a cell's scenario, or what `--runs` simulated runs say of the tables.
///
/// # Errors
/// A failure of the harness, or of stdout.
pub(crate) fn promise(args: &PromiseArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(runs) = args.runs {
        return confirm::confirm(args, runs, terminal);
    }
    let text = match (args.cell, args.format) {
        (Some(cell), _) => cells::source(cell, args.seed),
        (None, PromiseFormat::Human) => document::human(),
        (None, PromiseFormat::Markdown) => document::markdown(),
        (None, PromiseFormat::Json) => document::json(),
    };
    terminal::print(text.as_bytes())?;
    Ok(Exit::Pass)
}
