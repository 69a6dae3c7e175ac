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
        self.write_with(name, |file| file.write_all(content))
    }

    /// The same for what `write` writes piece by piece.
    ///
    /// # Errors
    /// As of [`OutFolder::write`].
    pub(crate) fn write_with<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let temporary = self.temporary(name);
        let written = Self::write_synced(&temporary, write)
            .and_then(|result| fs::rename(&temporary, self.0.join(name)).map(|()| result));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Failure::harness(format!("{}: {error}", self.0.join(name).display()))
        })
    }

    fn write_synced<T>(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<T>) -> io::Result<T> {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        let result = write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(result)
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.{}.tmp", std::process::id()))
    }
}

/// The folder and the name of a file that `--out` or the like names.
///
/// # Errors
/// It has no name, or one that is no UTF-8.
pub(crate) fn parts(file: &Path) -> Result<(&Path, &str), Failure> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::bad_input(format!("{}: a file needs a name in UTF-8", file.display())))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), name))
}
