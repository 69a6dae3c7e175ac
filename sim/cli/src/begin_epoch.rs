//! `begin-epoch`: an operator says that the store was put back from a copy, which no program can see.

use hookproof_core::store::Epoch;

use crate::args::BeginEpochArgs;
use crate::exit::{Exit, Failure};
use crate::hook_file;
use crate::location::Location;
use crate::terminal::{self, Terminal};

/// Begins an epoch in the store of a hook's file, so that nothing is sent again that the lost commits may have sent.
///
/// # Errors
/// The file is bad, or the store is not there, is another experiment's, or can't be written.
pub(crate) fn begin_epoch(args: &BeginEpochArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let file = hook_file::load(&args.config, terminal)?;
    let location = Location::of(file.store, &args.config);
    let Epoch(epoch) = location.look(&file.lineage)?.begin_epoch().map_err(Failure::bad_input)?;
    let consequence = "what is open is in doubt, and is read back or parked where a repetition could grant twice";
    terminal::print(format!("{location}: epoch {epoch} has begun; {consequence}\n").as_bytes())?;
    Ok(Exit::Pass)
}
