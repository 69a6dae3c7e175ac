//! What verbs that speak over the network run on.

use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// The caller's thread.
///
/// # Errors
/// The machine has no means for it.
pub(crate) fn of_this_thread() -> Result<Runtime, Failure> {
    built(&mut Builder::new_current_thread())
}

/// A thread for each core.
///
/// # Errors
/// The machine has no means for it.
pub(crate) fn of_all_cores() -> Result<Runtime, Failure> {
    built(&mut Builder::new_multi_thread())
}

fn built(builder: &mut Builder) -> Result<Runtime, Failure> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::harness(format!("no runtime could be started: {error}")))
}
