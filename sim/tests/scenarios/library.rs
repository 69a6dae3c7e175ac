//! Every file in `scenarios/` is a test by virtue of existing: with its own hooks and seed, all it expects must hold.
//!
//! The incidents, which are large, are run where their pages are held to them: in the command line's tests. And the library keeps what its README promises: the files of a fault family use every kind of it, to some effect; the files of the
//! requirements hold the published program against the hardened hook; a public incident says of each value where it is from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hookproof_sim::outcome::Verdict;
use hookproof_sim::run;
use hookproof_sim::scenario::{Attached, HookKind, Scenario, decode, decode_with_files};

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

/// The scenario files below a folder of `scenarios/`, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(folder), &mut paths);
    paths.sort();
    paths
}

fn read(path: &Path) -> Scenario {
    let source = std::fs::read(path).expect("a readable file");
    let folder = path.parent().expect("a file lies in a folder");
    let mut read_file = |named: &str| {
        let bytes = std::fs::read(folder.join(named)).map_err(|error| error.to_string())?;
        Ok(Attached { path: named.to_owned(), bytes })
    };
    let scenario = decode_with_files("scenario", &path.display().to_string(), &source, &mut read_file);
    scenario.unwrap_or_else(|error| panic!("{error}"))
}

fn assert_holds(path: &Path) {
    let scenario = read(path);
    for hook in &scenario.hooks {
        let outcome = run(&scenario, *hook, scenario.seed, &mut |_| {});
        assert_eq!(outcome.verdict, Verdict::Pass, "{}, {}: {:#?}", path.display(), hook.name(), outcome.expectations);
    }
}

fn is_incident(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("incidents"))
}

#[test]
fn every_other_scenario_holds() {
    let paths = files("");
    let others: Vec<&PathBuf> = paths.iter().filter(|path| !is_incident(path)).collect();
    assert!(others.len() >= 40, "scenarios found: {others:?}");
    for path in others {
        assert_holds(path);
    }
}

#[test]
fn the_files_of_the_fault_families_use_every_kind_to_some_effect() {
    let every_fault = decode("every-fault", "every-fault.toml", include_bytes!("good/every-fault.toml"));
    let every_fault = every_fault.unwrap_or_else(|error| panic!("{error}"));
    let all = run(&every_fault, HookKind::Hardened, 1, &mut |_| {}).faults;
    let mut unused: BTreeSet<&str> = all.iter().map(|fault| fault.kind).collect();
    assert!(unused.len() >= 32, "{unused:?}");
    for path in files("faults") {
        let scenario = read(&path);
        for fault in run(&scenario, HookKind::Hardened, scenario.seed, &mut |_| {}).faults {
            assert!(fault.effects > 0, "{}: {fault:?}", path.display());
            unused.remove(fault.kind);
        }
    }
    assert!(unused.is_empty(), "no file in scenarios/faults uses {unused:?}");
}

#[test]
fn every_requirement_is_about_the_published_program_and_the_hardened_hook() {
    let paths = files("requirements");
    assert!(paths.len() >= 9, "requirements found: {paths:?}");
    for path in paths {
        let scenario = read(&path);
        assert!(scenario.judge.contains(&HookKind::Hardened), "{}", path.display());
        for hook in [HookKind::Published, HookKind::Hardened] {
            let is_expected = scenario.expects.iter().any(|expect| expect.hook == Some(hook));
            assert!(scenario.hooks.contains(&hook) && is_expected, "{}: nothing of {}", path.display(), hook.name());
        }
    }
}

/// Lines `key = value` before the first expectation whose value has a number in it, without the scenario's head and names.
fn values(text: &str) -> impl Iterator<Item = &str> {
    let (before, _) = text.split_once("\n[[expect]]").expect("a scenario expects something");
    let (_, body) = before.split_once("\n\"\"\"\n").expect("a long `about`");
    body.lines().filter(|line| {
        let Some((key, rest)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { return false };
        let value = rest.split_once(" #").map_or(rest, |(value, _)| value);
        let is_name = ["name", "kind", "id", "profile", "mode"].contains(&key.trim());
        !is_name && value.contains(|letter: char| letter.is_ascii_digit())
    })
}

#[test]
fn every_value_of_a_public_incident_is_marked_as_published_or_assumed() {
    let mut count = 0;
    for path in files("incidents") {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let (about, _) = text.split_once("\n\"\"\"\n").expect("a long `about`");
        if !about.contains("https://") {
            continue;
        }
        count += 1;
        for line in values(&text) {
            let comment = line.split_once(" # ").map_or("", |(_, comment)| comment);
            let (is_published, is_ours) =
                (comment.contains("published: "), comment.contains("assumed") || comment.contains("fitted"));
            assert!(is_published || is_ours, "{}: neither published nor assumed: {line}", path.display());
            let names_source = ["[1]", "[2]"].iter().any(|source| comment.contains(source) && about.contains(source));
            assert!(!is_published || names_source, "{}: published where? {line}", path.display());
        }
    }
    assert!(count >= 8, "only {count} incidents name a source");
}
