//! `validate`: checks scenario files without running them.

use std::fmt::Write as _;

use crate::args::ValidateArgs;
use crate::exit::{Exit, Failure};
use crate::scenarios;
use crate::terminal::{self, Terminal};

/// Prints a line for each file, if all are valid.
///
/// # Errors
/// What is wrong with the files.
pub(crate) fn validate(args: &ValidateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let loaded = scenarios::load(&args.paths, args.limits, terminal)?;
    let mut lines = String::new();
    for scenarios::Loaded { scenario, path } in &loaded {
        let hooks: Vec<&str> = scenario.hooks.iter().map(|hook| hook.name()).collect();
        let (faults, expects) = (scenario.faults.len(), scenario.expects.len());
        let _ = writeln!(
            lines,
            "{path}: valid; hooks {}; faults {faults}; expectations {expects}; seed {}",
            hooks.join(", "),
            scenario.seed
        );
    }
    terminal::print(lines.as_bytes())?;
    Ok(Exit::Pass)
}
