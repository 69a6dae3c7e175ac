//! `completions`: what a shell needs to complete this command line.

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::{Exit, Failure};
use crate::terminal;

/// Prints the script; the shell's own manual says where it belongs.
///
/// # Errors
/// A failure of stdout.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hookproof", &mut script);
    terminal::print(&script)?;
    Ok(Exit::Pass)
}
