//! What is left of files when the power fails: what they held when they were last synced.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

const VARIABLE: &str = "HOOKPROOF_POWER";

/// Where synced files are kept.
static KEPT: LazyLock<Option<PathBuf>> = LazyLock::new(|| env::var_os(VARIABLE).map(PathBuf::from));
/// The names of open files, by the address at which SQLite has them; a closed one's is there until another file is at its address.
static NAMES: Mutex<BTreeMap<usize, PathBuf>> = Mutex::new(BTreeMap::new());

pub(crate) fn is_asked_for() -> bool {
    KEPT.is_some()
}

/// The file at `address` is the one with this name; a temporary file has none.
pub(crate) fn opened(address: usize, name: Option<&CStr>) {
    if !is_asked_for() {
        return;
    }
    match name {
        Some(name) => names().insert(address, PathBuf::from(OsStr::from_bytes(name.to_bytes()))),
        None => names().remove(&address),
    };
}

/// The file at `address` is on the disk as it is now.
pub(crate) fn synced(address: usize) {
    if let (Some(folder), Some(path)) = (KEPT.as_ref(), names().get(&address)) {
        keep(path, folder);
    }
}

/// As a whole: the process may be killed meanwhile, and then it is as it was kept before. Copying opens and closes the file, which drops SQLite's locks on it:
/// no other process has it open.
fn keep(path: &Path, folder: &Path) {
    let name = path.file_name().expect("SQLite has opened it");
    let (kept, new) = (folder.join(name), folder.join("new"));
    fs::copy(path, &new).and_then(|_| fs::rename(&new, kept)).expect("the test has made the folder");
}

fn names() -> MutexGuard<'static, BTreeMap<usize, PathBuf>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}
