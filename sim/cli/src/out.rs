//! `--out DIR`: files that are there whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// A folder that was found to take files.
pub(crate) struct OutFolder(PathBuf);

impl OutFolder {
    /// Makes the folder if it is missing, and tries it with an empty file that is gone again.
    ///
    /// # Errors
    /// No file can be written there.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Failure> {
        let folder = Self(path.to_owned());
        let probe = folder.temporary("probe");
        let tried =
            fs::create_dir_all(path).and_then(|()| fs::write(&probe, "")).and_then(|()| fs::remove_file(&probe));
        tried.map_err(|error| {
            let remedy = "name a folder in which files may be made";
            Failure::bad_input(format!("--out {}: {error}; {remedy}", path.display()))
        })?;
        Ok(folder)
    }

    /// Writes a file under another name first, so that a reader finds the old content or all of the new.
    ///
    /// # Errors
    /// The folder took a file before the run and does not now.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let temporary = self.temporary(name);
        let written = Self::write_synced(&temporary, content).and_then(|()| fs::rename(&temporary, self.0.join(name)));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Failure::harness(format!("{}: {error}", self.0.join(name).display()))
        })
    }

    fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = fs::File::create(path)?;
        io::Write::write_all(&mut file, content)?;
        file.sync_all()
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.{}.tmp", std::process::id()))
    }
}
