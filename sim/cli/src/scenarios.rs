//! From paths to scenarios: finding the files, reading them, and everything that is wrong with them at once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hookproof_reports::ScenarioPaths;
use hookproof_sim::scenario::{self, Attached, Limits, Scenario};
use hookproof_sim::swarm;

use crate::args::LimitArgs;
use crate::exit::Failure;
use crate::record;
use crate::terminal::Terminal;

const DEFAULT_FOLDER: &str = "scenarios/";
const ENDING: &str = "toml";
/// Far above any scenario file, far below what would hurt.
const BYTES_MAX: u64 = 16 << 20;

/// As much as a scenario may have of all files that it names.
const ATTACHED_BYTES_MAX: u64 = 8 << 20;

/// A scenario and where it came from.
pub(crate) struct Loaded {
    pub(crate) scenario: Scenario,
    /// The path as the user can name it.
    pub(crate) path: String,
}

impl Loaded {
    /// What `seed` makes of it in a swarm.
    ///
    /// # Errors
    /// That is larger than `limits` allow.
    pub(crate) fn varied(&self, seed: u64, limits: &Limits) -> Result<Scenario, Failure> {
        let varied = swarm::vary(&self.scenario, seed);
        let too_large = |error| Failure::bad_input(format!("{}, seed {seed} of the swarm: {error}", self.path));
        varied.check_limits(limits).map_err(too_large)?;
        Ok(varied)
    }
}

/// All scenarios of `paths` (or the default folder), in their order, a folder's files sorted.
///
/// # Errors
/// Whatever is wrong with any of them; each file's problems have then been written to stderr.
pub(crate) fn load(paths: &[PathBuf], limits: LimitArgs, terminal: &Terminal) -> Result<Vec<Loaded>, Failure> {
    let default = [PathBuf::from(DEFAULT_FOLDER)];
    if paths.is_empty() && !default[0].exists() {
        let message = format!("{DEFAULT_FOLDER} is not here; go to a folder that has it, or name scenario files");
        return Err(Failure::bad_input(message));
    }
    let (files, mut failures) = find(if paths.is_empty() { &default } else { paths });
    let limits = limits.resolve();
    let mut loaded = Vec::new();
    let mut refused = 0;
    for file in files {
        match load_one(&file, &limits, terminal) {
            Ok(one) => loaded.push(one),
            Err(Refusal::Shown) => refused += 1,
            Err(Refusal::Failed(failure)) => failures.push(failure),
        }
    }
    if refused > 0 {
        let files =
            if refused == 1 { "1 scenario file is".to_owned() } else { format!("{refused} scenario files are") };
        failures.push(Failure::bad_input(format!("{files} not valid, see above; nothing was run")));
    }
    Failure::joined(&failures).map_or(Ok(loaded), Err)
}

/// Where the scenarios of `paths` lie, by the digests under which records name them; of no paths, nothing.
///
/// # Errors
/// As of [`load`].
pub(crate) fn paths(paths: &[PathBuf], terminal: &Terminal) -> Result<ScenarioPaths, Failure> {
    if paths.is_empty() {
        return Ok(ScenarioPaths::new());
    }
    let none = LimitArgs { max_events: None, max_memory: None };
    Ok(by_digest(&load(paths, none, terminal)?))
}

/// Where scenarios lie, by the digests under which records name them.
pub(crate) fn by_digest(files: &[Loaded]) -> ScenarioPaths {
    files.iter().map(|file| (record::scenario_digest(&file.scenario), file.path.clone())).collect()
}

/// Reads a file that the user named.
///
/// # Errors
/// It can't be read or is far too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = bytes_of(path, BYTES_MAX).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > BYTES_MAX {
        let size = BYTES_MAX >> 20;
        return Err(Failure::bad_input(format!("{}: larger than {size} MiB; is this a TOML file?", path.display())));
    }
    Ok(bytes)
}

/// What is in a file, up to a byte more than what is far too much.
pub(crate) fn bytes_of(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The failure to open or read what the user named.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let remedies = [
        (io::ErrorKind::NotFound, "check the path, which is relative to the working directory"),
        (io::ErrorKind::PermissionDenied, "check its permissions"),
        (io::ErrorKind::IsADirectory, "name a file in it"),
    ];
    let remedy = remedies.iter().find(|(kind, _)| *kind == error.kind());
    let remedy = remedy.map_or("check that it is a readable file", |(_, remedy)| remedy);
    Failure::bad_input(format!("{}: {error}; {remedy}", path.display()))
}

enum Refusal {
    /// Its problems stand on stderr.
    Shown,
    Failed(Failure),
}

fn load_one(file: &Path, limits: &Limits, terminal: &Terminal) -> Result<Loaded, Refusal> {
    let source = read(file).map_err(Refusal::Failed)?;
    let path = file.display().to_string();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut read_file = |named: &str| attached(folder, named);
    let scenario = scenario::decode_with_files(&name, &path, &source, &mut read_file).map_err(|error| {
        terminal.show_problem(|color| error.render(color));
        Refusal::Shown
    })?;
    let too_large = |error| Refusal::Failed(Failure::bad_input(format!("{path}: {error}")));
    scenario.check_limits(limits).map_err(too_large)?;
    Ok(Loaded { scenario, path })
}

/// Reads a file that a scenario in `folder` names. Only a regular file is opened: a pipe or a device might never end.
pub(crate) fn attached(folder: &Path, named: &str) -> Result<Attached, String> {
    let path = folder.join(named);
    let is_regular = fs::metadata(&path).map_err(|error| error.to_string())?.is_file();
    if !is_regular {
        return Err("it is not a file".to_owned());
    }
    let bytes = bytes_of(&path, ATTACHED_BYTES_MAX).map_err(|error| error.to_string())?;
    Ok(Attached { path: path.display().to_string(), bytes })
}

/// The files that `paths` name, each once, and what can't be searched.
fn find(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Failure>) {
    let mut search = Search::default();
    for path in paths {
        let before = (search.found, search.failures.len());
        match fs::metadata(path) {
            Err(error) => search.failures.push(unreadable(path, &error)),
            Ok(metadata) if metadata.is_dir() => {
                search.folder(path);
                if (search.found, search.failures.len()) == before {
                    let message = format!("{}: no *.toml in this folder; name one with scenarios", path.display());
                    search.failures.push(Failure::bad_input(message));
                }
            }
            Ok(_) => search.file(path),
        }
    }
    (search.files, search.failures)
}

#[derive(Default)]
struct Search {
    files: Vec<PathBuf>,
    failures: Vec<Failure>,
    /// Files met, named before or not.
    found: usize,
    /// Real paths: a file named twice runs once, and a link to a folder above leads nowhere.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn file(&mut self, path: &Path) {
        self.found += 1;
        if self.is_first(path) {
            self.files.push(path.to_owned());
        }
    }

    fn folder(&mut self, path: &Path) {
        if !self.is_first(path) {
            self.found += 1;
            return;
        }
        let entries = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut entries: Vec<PathBuf> = match entries {
            Ok(entries) => entries,
            Err(error) => return self.failures.push(unreadable(path, &error)),
        };
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                self.folder(&entry);
            } else if entry.extension().is_some_and(|ending| ending == ENDING) {
                self.file(&entry);
            }
        }
    }

    fn is_first(&mut self, path: &Path) -> bool {
        self.seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    }
}
