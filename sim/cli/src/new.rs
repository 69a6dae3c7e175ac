//! `new`: a commented scenario to start from, or a file of a hook.
//!
//! Owns the starters' texts. In them, `#key = value` shows a default and `#+ ` something that is not there by default; the
//! tests take both marks away and hand the text to the decoder, so no name and no default in it can go stale.

use std::fs;
use std::io;
use std::path::Path;

use crate::args::NewArgs;
use crate::exit::{Exit, Failure};
use crate::out;
use crate::scenarios::unreadable;
use crate::terminal::{self, Terminal};

/// The scenario.
const STARTER: &str = include_str!("new/starter.toml");
/// The file of a hook.
const HOOK: &str = include_str!("new/hook.toml");

/// Prints the starter, or writes it to a file that is not there yet.
///
/// # Errors
/// The file is there, or can't be written.
pub(crate) fn new(args: &NewArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = if args.hook { HOOK } else { STARTER };
    let Some(path) = &args.file else {
        terminal::print(text.as_bytes())?;
        return Ok(Exit::Pass);
    };
    if let Ok(there) = fs::symlink_metadata(path) {
        let shown = path.display();
        if !there.is_file() {
            let message = format!("{shown} is there already and no regular file; name another file");
            return Err(Failure::bad_input(message));
        }
        if !args.force {
            let message = format!("{shown} is there already; name another file, or replace it with --force");
            return Err(Failure::bad_input(message));
        }
    }
    out::write_whole(path, |file| file.write_all(text.as_bytes())).map_err(|error| unwritable(path, &error))?;
    let shown = path.display();
    terminal.say(&if args.hook {
        format!(
            "wrote {shown}; next: make the secrets that its head names, then hookproof serve --config {shown} --check"
        )
    } else {
        format!("wrote {shown}; next: hookproof explain {shown}, then hookproof run {shown}")
    });
    Ok(Exit::Pass)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::bad_input(format!("{}: its folder is not there; make it", path.display()));
    }
    unreadable(path, error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use hookproof_sim::outcome::Verdict;
    use hookproof_sim::scenario::{Hardened, HookKind, Scenario, decode};

    fn decoded(source: &str) -> Scenario {
        decode("starter", "starter.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The text with these marks taken away from lines.
    fn uncommented(additions_too: bool) -> String {
        let line = |line: &str| match line.strip_prefix("#+ ") {
            Some(addition) if additions_too => format!("{addition}\n"),
            Some(_) => "\n".to_owned(),
            None => match line.strip_prefix('#') {
                Some(key) if !key.is_empty() && !key.starts_with([' ', '#']) => format!("{key}\n"),
                Some(_) | None => format!("{line}\n"),
            },
        };
        STARTER.lines().map(line).collect()
    }

    #[test]
    fn the_starter_passes_and_its_fault_is_met() {
        let scenario = decoded(STARTER);
        assert_eq!(scenario.hooks, HookKind::ALL);
        let outcome = hookproof_sim::run(&scenario, HookKind::Hardened, scenario.seed, &mut |_| {});
        assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.expectations);
        assert!(outcome.faults.iter().all(|fault| fault.effects > 0), "{:?}", outcome.faults);
    }

    #[test]
    fn what_the_starter_shows_as_a_default_is_the_default() {
        let (starter, mut shown) = (decoded(STARTER), decoded(&uncommented(false)));
        assert_ne!(shown.hardened, starter.hardened, "the settings of [hardened] are shown");
        assert_eq!(shown.hook_config(), starter.hook_config());
        shown.hardened = Hardened::default();
        let mut spec = shown.experiment.spec().clone();
        assert_eq!(spec.lineage.take().as_deref(), Some(starter.experiment.lineage()));
        assert_eq!(spec.salt.take().as_deref(), Some(starter.experiment.salt()));
        assert_eq!(&spec, starter.experiment.spec());
        shown.experiment = starter.experiment.clone();
        shown.digest = starter.digest;
        assert_eq!(shown, starter);
    }

    #[test]
    fn what_the_starter_offers_to_add_can_be_added() {
        let (starter, all) = (decoded(STARTER), decoded(&uncommented(true)));
        assert!(all.traffic.len() > starter.traffic.len() && all.faults.len() > starter.faults.len());
        assert!(all.windows.len() > starter.windows.len() && all.expects.len() > starter.expects.len());
    }

    #[test]
    fn every_key_that_the_decoder_knows_is_shown_but_those_of_single_faults() {
        let format = hookproof_sim::scenario::format();
        let all = uncommented(true);
        let is_of_a_key = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let before_equals = all.lines().flat_map(|line| line.split('=').rev().skip(1));
        let shown: BTreeSet<&str> =
            before_equals.filter_map(|text| text.trim_end().rsplit(|letter| !is_of_a_key(letter)).next()).collect();
        let mut missing = Vec::new();
        for (name, key) in &format.keys {
            let hookproof_sim::scenario::form::Form::Table(table) = &key.form else { continue };
            missing.extend(table.keys.keys().filter(|key| !shown.contains(*key)).map(|key| format!("{name}.{key}")));
        }
        // Arrays of tables have headers instead.
        missing.retain(|name| name != "experiment.variant");
        assert_eq!(missing, Vec::<String>::new());
    }
}
