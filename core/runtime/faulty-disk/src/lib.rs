//! A disk that fails when a test says so: between SQLite and the files, in the process that is tested.
//!
//! Owns a copy of SQLite's own file interface (VFS) in which reading, writing, syncing and truncating go through here first, and is the only code of the
//! workspace that is `unsafe`. Everything but the failure is done by the original: locks, shared memory. Knows nothing of what is
//! stored. `HOOKPROOF_DISK` says what fails:
//!
//! * `OPERATION:HOW:N:COUNT` (`read`, `write`, `sync` or `truncate`; [`How`]): the N-th operation of its kind and the COUNT - 1 after it;
//!   with `:die` at the end, the process is killed at the first operation of any kind after them, as `kill -9` does;
//! * `full-while:PATH`: files cannot grow for as long as there is a file PATH.
//!
//! A failure that was met is told on stderr, beginning with [`MET`].
//!
//! `HOOKPROOF_POWER=FOLDER` keeps in FOLDER what the power can't take: each file as it was when it was last synced. A test that has killed the
//! process puts back what was there, of all files or of some, since what was not synced may be on the disk or not.

mod fault;
mod power;
mod vfs;

pub use self::fault::{How, MET};

/// Puts the disk of `HOOKPROOF_DISK` and `HOOKPROOF_POWER` below every file that SQLite opens from here on, once; without these variables nothing
/// happens.
///
/// # Panics
/// If the first one does not say what can fail.
pub fn install() {
    if fault::is_asked_for() || power::is_asked_for() {
        vfs::install();
    }
}
