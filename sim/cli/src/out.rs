//! `--out DIR`: files that are there whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// A folder that was found to take files.
pub(crate) struct OutFolder(PathBuf);

impl OutFolder {
    /// Makes the folder that `--out` names if it is missing, and tries it with an empty file that is gone again.
    ///
    /// # Errors
    /// No file can be written there.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Failure> {
        Self::try_out(path).map_err(|error| {
            let remedy = "name a folder in which files may be made";
            Failure::bad_input(format!("--out {}: {error}; {remedy}", path.display()))
        })
    }

    fn try_out(path: &Path) -> io::Result<Self> {
        let probe = temporary(&path.join("probe"), "probe");
        fs::create_dir_all(path)?;
        fs::write(&probe, "")?;
        fs::remove_file(&probe)?;
        Ok(Self(path.to_owned()))
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
        let path = self.0.join(name);
        write_whole(&path, write).map_err(|error| Failure::harness(format!("{}: {error}", path.display())))
    }
}

/// Writes a file under another name first, so that a reader finds the old content or all of the new. Its folder must be there.
///
/// # Errors
/// What the file system says, or `write`; the old content is there then.
pub(crate) fn write_whole<T>(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<T>) -> io::Result<T> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let temporary = temporary(path, &name.to_string_lossy());
    let written = write_synced(&temporary, write).and_then(|result| fs::rename(&temporary, path).map(|()| result));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_synced<T>(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<T>) -> io::Result<T> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    let result = write(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(result)
}

/// Another file beside `path`.
fn temporary(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// A file that can be made, or made anew.
pub(crate) struct OutFile {
    folder: OutFolder,
    name: String,
}

impl OutFile {
    /// Sees to it that the file that `option` names can be written.
    ///
    /// # Errors
    /// It is a folder, has no name in UTF-8, or lies where no file can be written.
    pub(crate) fn prepare(option: &str, path: &Path) -> Result<Self, Failure> {
        let refused = |why: String| Failure::bad_input(format!("{option} {}: {why}", path.display()));
        if path.is_dir() {
            return Err(refused("it is a folder; name a file in it".to_owned()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refused("a file needs a name in UTF-8".to_owned()))?.to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let remedy = "name a file in a folder in which files may be made";
        let folder = OutFolder::try_out(folder).map_err(|error| refused(format!("{error}; {remedy}")))?;
        Ok(Self { folder, name })
    }

    /// See [`OutFolder::write`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn write(&self, content: &[u8]) -> Result<(), Failure> {
        self.folder.write(&self.name, content)
    }

    /// See [`OutFolder::write_with`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn write_with<T>(&self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<T>) -> Result<T, Failure> {
        self.folder.write_with(&self.name, write)
    }
}
