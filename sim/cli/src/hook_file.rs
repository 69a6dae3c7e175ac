//! Reading `hook.toml` and what it names, as far as the rights of the files permit.
//!
//! The one place that reads a hook's secrets. Files that others may read hold no secret, and a file that others may write decides
//! nothing.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hookproof_core::experiment::HashSpec;
use hookproof_sim::scenario::{
    self, Attached, HookFile, ScenarioError, Secret, StoreChoice, Surroundings, Whereabouts,
};

use crate::exit::Failure;
use crate::scenarios::{attached, bytes_of, read, unreadable};
use crate::terminal::Terminal;

/// Of a secret, in bytes.
const SECRET_MAX: u64 = 64 << 10;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
/// Any right of others.
const OTHERS: u32 = 0o007;

/// The hook's file at `path`.
///
/// # Errors
/// It can't be read, others may change it or a file that it names, or read a secret in one, or what is wrong with it has been written to stderr.
pub(crate) fn load(path: &Path, terminal: &Terminal) -> Result<HookFile, Failure> {
    let folder = folder_of(path);
    let mut texts = Vec::new();
    let mut read_file = |named: &str| {
        let attached = attached(folder, named)?;
        texts.push((folder.join(named), attached.bytes.clone()));
        Ok(attached)
    };
    let decoded = decode_with(path, &mut read_file, |name, source, surroundings| {
        scenario::decode_hook(name, source, surroundings).map(|file| (file, source.to_owned()))
    })?;
    let (file, source) = decoded.map_err(|error| {
        terminal.show_problem(|color| error.render(color));
        Failure::bad_input(format!("{} is no valid file of a hook, see above; nothing was started", path.display()))
    })?;
    texts.push((path.to_owned(), source));
    for (path, text) in &texts {
        check_rights(path, holds_secret(&file, text))?;
    }
    if let StoreChoice::Postgres { ca_file: Some(named), .. } = &file.store {
        check_rights(&folder.join(named), false)?;
    }
    Ok(file)
}

/// Refuses a file that others may change, or in which they may read the secret.
fn check_rights(path: &Path, holds_secret: bool) -> Result<(), Failure> {
    let (name, mode) = (path.display(), fs::metadata(path).map_err(|error| unreadable(path, &error))?.mode());
    if mode & OTHERS_WRITE != 0 {
        return Err(Failure::bad_input(format!("anybody may change {name}: chmod o-w it")));
    }
    if holds_secret && mode & OTHERS_READ != 0 {
        let remedy = "chmod o-r it, or name a `secret-file`";
        return Err(Failure::bad_input(format!("{name} holds the secret, and anybody may read it: {remedy}")));
    }
    Ok(())
}

/// What `decode` makes of the file at `path` and of those that it names.
///
/// # Errors
/// The file can't be read.
pub(crate) fn decode<T>(
    path: &Path,
    decode: impl FnOnce(&str, &[u8], &mut Surroundings<'_>) -> Result<T, ScenarioError>,
) -> Result<Result<T, ScenarioError>, Failure> {
    let folder = folder_of(path);
    decode_with(path, &mut |named| attached(folder, named), decode)
}

fn decode_with<T>(
    path: &Path,
    read_file: &mut dyn FnMut(&str) -> Result<Attached, String>,
    decode: impl FnOnce(&str, &[u8], &mut Surroundings<'_>) -> Result<T, ScenarioError>,
) -> Result<Result<T, ScenarioError>, Failure> {
    let source = read(path)?;
    let folder = folder_of(path);
    let mut read_secret = |whereabouts: Whereabouts<'_>| match whereabouts {
        Whereabouts::File(named) => secret_file(&folder.join(named)),
        Whereabouts::Variable(name) => variable(name),
    };
    let mut surroundings = Surroundings { read_file, read_secret: &mut read_secret };
    Ok(decode(&path.display().to_string(), &source, &mut surroundings))
}

/// What the paths in the file are relative to.
fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Reads a secret that only its owner, or its group, may read.
///
/// # Errors
/// In a lowercase fragment.
pub(crate) fn secret_file(path: &Path) -> Result<Secret, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(format!("anybody may use {}: chmod 600 it", path.display()));
    }
    let bytes = bytes_of(path, SECRET_MAX).map_err(failed)?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(format!("{} is larger than a secret is", path.display()));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
    Ok(Secret::new(text.trim_end()))
}

/// Reads a secret that a variable holds.
///
/// # Errors
/// In a lowercase fragment.
pub(crate) fn variable(name: &str) -> Result<Secret, String> {
    let value = env::var(name).map_err(|error| format!("{name}: {error}"))?;
    Ok(Secret::new(value.trim_end()))
}

/// Whether the experiment's secret itself stands in a text: all versions have the same.
fn holds_secret(file: &HookFile, text: &[u8]) -> bool {
    match &file.lineage.current().spec().hash {
        HashSpec::HmacSha256V1 { secret } => text.windows(secret.len().max(1)).any(|window| window == secret),
        HashSpec::Sha256V1 => false,
    }
}
