//! The file of an experiment: a scenario, a hook's, or one with nothing but its `[experiment]`.

use std::path::Path;

use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use hookproof_sim::scenario;

use crate::exit::Failure;
use crate::hook_file;
use crate::terminal::Terminal;

/// The experiment in the file at `path`.
///
/// # Errors
/// It can't be read, or what is wrong with it has been written to stderr.
pub(super) fn load(path: &Path, terminal: &Terminal) -> Result<Experiment, Failure> {
    load_lineage(path, terminal).map(|lineage| lineage.current().clone())
}

/// The same, with the versions that a hook's file announces.
///
/// # Errors
/// As of [`load`].
pub(super) fn load_lineage(path: &Path, terminal: &Terminal) -> Result<Lineage, Failure> {
    let decoded = hook_file::decode(path, scenario::decode_lineage)?;
    decoded.map_err(|error| {
        terminal.show_problem(|color| error.render(color));
        Failure::bad_input(format!("{} holds no valid experiment, see above", path.display()))
    })
}
