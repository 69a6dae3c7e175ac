//! Ctrl-C during long work: at first the work under way is finished and shown, the second time the process ends at once. Where
//! unfinished work is worth nothing, the first one ends the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io, process, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tempfile::TempDir;

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

/// What Ctrl-C, being told to end or a closed terminal removes before it ends the process. Dropped, it does so no more; if the end has begun by then, it is
/// waited for, so that work that fails because its files have gone ends the process in no other way.
pub(crate) struct Removal(Arc<Mutex<Option<PathBuf>>>);

impl Removal {
    /// Takes the signals from here on.
    ///
    /// # Errors
    /// The system does not let a process take them.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let removal = Self(Arc::default());
        let place = Arc::clone(&removal.0);
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Never given back.
                let place = lock(&place);
                place.as_deref().map(remove);
                process::exit(128 + signal);
            }
        });
        Ok(removal)
    }

    /// The folder that `make` makes is removed.
    pub(crate) fn of<E>(&self, make: impl FnOnce() -> Result<TempDir, E>) -> Result<TempDir, E> {
        let mut place = lock(&self.0);
        let folder = make()?;
        *place = Some(folder.path().to_owned());
        Ok(folder)
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(place: &Mutex<Option<PathBuf>>) -> MutexGuard<'_, Option<PathBuf>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever still works in it makes nothing more there once it has another name. What cannot be removed is left to whoever looks after temporary files.
fn remove(folder: &Path) {
    let gone = folder.with_extension("gone");
    let folder = if fs::rename(folder, &gone).is_ok() { &gone } else { folder };
    let _ = fs::remove_dir_all(folder);
}
