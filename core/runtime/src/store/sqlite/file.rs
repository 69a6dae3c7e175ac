//! The store's file: who may read it, and that only one process has it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;

/// Read and written by its owner alone.
const MODE: u32 = 0o600;
/// Others may write, which lets them replace what is in a folder (unless it is sticky, as `/tmp` is: then they may still
/// put links there first).
const OTHERS_WRITE: u32 = 0o002;

/// Holds the store's lock until it is dropped, or the process ends in whatever way.
pub(super) struct Guard {
    lock: File,
}

impl Drop for Guard {
    /// Closing the file would not do: a process that is just being started by another thread has it open until it executes its program.
    fn drop(&mut self) {
        // What fails here is unlocked when the process ends.
        let _ = self.lock.unlock();
    }
}

impl Guard {
    /// Sees to it that `path` is a file that only its owner can read, and that no other process has it open.
    pub(super) fn new(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let metadata = folder.metadata().map_err(failed)?;
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(OpenError::WorldWritable(folder.to_owned()));
        }
        let lock_path = PathBuf::from(format!("{}.lock", path.display()));
        for file in [path, &lock_path] {
            if file.is_symlink() {
                return Err(OpenError::Symlink(file.to_owned()));
            }
        }
        let lock = private(&lock_path).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked(path.to_owned()),
            TryLockError::Error(source) => failed(source),
        })?;
        private(path).map_err(failed)?;
        Ok(Self { lock })
    }
}

/// Opens or makes a file that only its owner can read; whoever else could, can no more.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}
