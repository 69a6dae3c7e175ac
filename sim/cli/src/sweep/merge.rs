//! `merge`: the shards of a sweep become the whole.

use std::fs;
use std::path::Path;

use hookproof_reports::{NamedPart, merge_sweeps, parse_sweep};

use super::output::Output;
use crate::args::MergeArgs;
use crate::exit::{Exit, Failure};
use crate::out::OutFolder;
use crate::scenarios;
use crate::terminal::Terminal;

/// Joins the parts, and prints and writes what `args` ask for: what `sweep` would have, had it run all shards.
///
/// # Errors
/// The files are not exactly the shards of one sweep.
pub(crate) fn merge(args: &MergeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let output = Output::resolve(&args.formats, args.out.is_some())?;
    let parts: Vec<Result<NamedPart, Failure>> = args.files.iter().map(|file| read(file)).collect();
    let failures: Vec<Failure> = parts.iter().filter_map(|part| part.as_ref().err().cloned()).collect();
    if let Some(failure) = Failure::joined(&failures) {
        return Err(failure);
    }
    let parts: Vec<NamedPart> = parts.into_iter().flatten().collect();
    let merged = merge_sweeps(&parts).map_err(|error| Failure::bad_input(error.to_string()))?;
    let paths = scenarios::paths(&args.scenarios, terminal)?;
    let folder = args.out.as_deref().map(OutFolder::prepare).transpose()?;
    output.put(&merged, paths, folder.as_ref(), terminal)?;
    Ok(Exit::of(merged.verdict()))
}

fn read(file: &Path) -> Result<NamedPart, Failure> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| scenarios::unreadable(file, &error))?;
    let record = parse_sweep(&text).map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
    Ok(NamedPart { name, record })
}
