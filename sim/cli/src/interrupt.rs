//! Ctrl-C during long work: at first the work under way is finished and shown, the second time the process ends at once. Where a
//! part of the work says nothing, it ends at the first.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io, process, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::exit::INTERRUPTED;

/// Whether the user wants an end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the signal from here on.
    ///
    /// # Errors
    /// The system does not let a process take it.
    pub(crate) fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        // In this order: the second signal finds the flag that the first one sets.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&interrupt.0))?;
        flag::register(SIGINT, Arc::clone(&interrupt.0))?;
        Ok(interrupt)
    }

    /// Whether it was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What the signal does.
    #[cfg(test)]
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// From here on Ctrl-C, or being told to end, removes `folder` and ends the process.
///
/// # Errors
/// The system does not let a process take the signals.
pub(crate) fn removes(folder: &Path) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let folder = folder.to_owned();
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // What cannot be removed is left to whoever looks after temporary files.
            let _ = fs::remove_dir_all(folder);
            process::exit(128 + signal);
        }
    });
    Ok(())
}
