//! The file of an experiment: a scenario, or one with nothing but its `[experiment]`.

use std::path::Path;

use hookproof_core::experiment::Experiment;
use hookproof_sim::scenario;

use crate::exit::Failure;
use crate::scenarios::read;
use crate::terminal::Terminal;

/// The experiment in the file at `path`.
///
/// # Errors
/// It can't be read, or what is wrong with it has been written to stderr.
pub(super) fn load(path: &Path, terminal: &Terminal) -> Result<Experiment, Failure> {
    let name = path.display().to_string();
    scenario::decode_experiment(&name, &read(path)?).map_err(|error| {
        terminal.show_problem(|color| error.render(color));
        Failure::bad_input(format!("{name} holds no valid experiment, see above"))
    })
}
