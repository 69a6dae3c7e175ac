//! Goal: stdout is data that scripts and people can rely on. Method: the binary in a folder of small scenario files, its
//! output compared between processes that differ in everything that must not show.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use super::folder::{Folder, MET, NOT_MET, SMALL};

fn three_hooks(expectation: &str) -> String {
    let all = "hooks = [\"original\", \"published\", \"hardened\"]";
    SMALL.replace("hooks    = [\"hardened\"]", all) + expectation
}

#[test]
fn json_alone_is_the_record_and_nothing_else() {
    let folder = Folder::with(&[("over/small.toml", &three_hooks(MET))]);
    let run = folder.run(&["run", "over/small.toml", "--format", "json"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let record: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(record["schema"], "hookproof.run/1");
    assert_eq!(record["tool"]["name"], "hookproof");
    assert_eq!(record["clock"], "virtual");
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    let hardened = &runs[2];
    assert_eq!(hardened["scenario"]["name"], "small");
    assert_eq!((&hardened["hook"], &hardened["role"]), (&"hardened".into(), &"judged".into()));
    assert_eq!(runs[0]["role"], "reference");
    assert_eq!(hardened["expectations"][0]["limit"]["at-least"], 0);
    assert_eq!(hardened["expectations"][0]["during"], "run");
    assert_eq!(hardened["repro"], "hookproof run small.toml --hook hardened --seed 7");
    for key in ["metrics", "unsupported", "invariants", "faults", "series", "latency", "worst-users", "reached"] {
        assert!(hardened.get(key).is_some(), "{key}");
    }
}

#[test]
fn two_processes_give_the_same_bytes() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET)), ("elsewhere/small.toml", &three_hooks(MET))]);
    let first = folder.run(&["run", "small.toml", "--seeds", "1..5", "--format", "json", "--jobs", "1"]);
    let mut other = folder.command(&["run", "small.toml", "--seeds", "1..5", "--format", "json", "--jobs", "7", "-q"]);
    other.current_dir(folder.path("elsewhere")).env_clear().env("LANG", "tr_TR.UTF-8").env("TZ", "Pacific/Apia");
    let other = other.output().unwrap();
    assert_eq!(first.stdout.as_bytes(), other.stdout);
    let place = folder.path("").display().to_string();
    assert!(!first.stdout.contains(&place), "a path got into the record");
}

#[test]
fn out_holds_the_same_record_beside_the_table() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET))]);
    let json = folder.run(&["run", "small.toml", "--format", "json"]).stdout;
    let both = folder.run(&["run", "small.toml", "--format", "json", "--format", "human", "--out", "new/out"]);
    assert_eq!(both.exit, 0, "{}", both.stderr);
    assert!(both.stdout.contains("verdict"));
    assert_eq!(fs::read_to_string(folder.path("new/out/run.json")).unwrap(), json);
    let left: Vec<_> = fs::read_dir(folder.path("new/out")).unwrap().collect();
    assert_eq!(left.len(), 4, "a file was left: {left:?}");
}

#[test]
fn a_failure_is_followed_by_the_command_that_repeats_it() {
    let folder = Folder::with(&[("with space/small.toml", &three_hooks(NOT_MET))]);
    let run = folder.run(&["run", "with space", "--hook", "hardened", "--seeds", "3..6"]);
    assert_eq!(run.exit, 1, "{}", run.stderr);
    assert!(run.stdout.contains("FAIL"));
    let command = "hookproof run 'with space/small.toml' --hook hardened --seed 3";
    assert!(run.stdout.lines().any(|line| line.trim() == command), "{}", run.stdout);
    let again = folder.run(&["run", "with space/small.toml", "--hook", "hardened", "--seed", "3"]);
    assert_eq!(again.exit, 1);
    assert!(run.stdout.contains("seeds 3, 4, 5 of 3 seeds"), "{}", run.stdout);
}

#[test]
fn the_table_fits_80_columns_and_has_a_row_for_each_hook() {
    let long = three_hooks(NOT_MET).replace("A hundred users", &"A hundred users ".repeat(20));
    let folder = Folder::with(&[("a-rather-long-name-of-a-scenario-file-that-goes-on-and-on.toml", &long)]);
    let run = folder.run(&["run", ".", "--seeds", "1..4"]);
    for line in run.stdout.lines().filter(|line| !line.trim().starts_with("hookproof run ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for hook in ["original*", "published*", "hardened "] {
        let rows = run.stdout.lines().filter(|line| line.starts_with("FAIL") && line.contains(hook));
        assert_eq!(rows.count(), 1, "{hook} in {}", run.stdout);
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET)), ("bad.toml", "schema = 3\n")]);
    let has_escape = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = folder.command(arguments);
        command.envs(variable);
        let output = command.output().unwrap();
        (output.stdout.contains(&0x1b), output.stderr.contains(&0x1b))
    };
    assert_eq!(has_escape(&["run", "small.toml"], None), (false, false));
    assert!(has_escape(&["run", "small.toml", "--color", "always"], None).0);
    assert!(has_escape(&["run", "small.toml"], Some(("CLICOLOR_FORCE", "1"))).0);
    assert_eq!(has_escape(&["run", "small.toml"], Some(("NO_COLOR", "1"))), (false, false));
    assert_eq!(has_escape(&["run", "small.toml", "--color", "never"], Some(("CLICOLOR_FORCE", "1"))), (false, false));
    assert_eq!(has_escape(&["run", "bad.toml", "--color", "always"], None), (false, true));
    assert_eq!(has_escape(&["run", "bad.toml"], Some(("NO_COLOR", "1"))), (false, false));
    assert!(!has_escape(&["run", "small.toml", "--format", "json", "--color", "always"], None).0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET))]);
    for format in ["human", "json"] {
        let mut command = folder.command(&["run", "small.toml", "--seeds", "0..40", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut talk = String::new();
        child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{talk}");
        assert!(!talk.contains("panicked") && !talk.contains("error"), "{talk}");
    }
}

#[test]
fn a_hook_that_the_file_does_not_name_is_run_and_expected_of() {
    let folder = Folder::with(&[("small.toml", &(SMALL.to_owned() + NOT_MET))]);
    let run = folder.run(&["run", "small.toml", "--hook", "original", "--hook", "original", "--format", "json"]);
    assert_eq!(run.exit, 1, "{}", run.stderr);
    let record: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    assert_eq!(record["runs"][0]["expectations"][0]["verdict"], "violated");
}

#[test]
fn a_run_without_a_visit_says_that_nobody_visited() {
    let nobody = SMALL.replace("visits     = { mean = 2.0, per = \"60s\" }", "") + SILENCE;
    let folder = Folder::with(&[("nobody.toml", &nobody), ("small.toml", SMALL)]);
    let run = folder.run(&["run", "nobody.toml"]);
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(run.exit, 3, "{}", run.stderr);
    assert!(words.contains("INCONCLUSIVE hardened: nobody visited, so nothing could be judged;"), "{words}");
    let several = folder.run(&["run", "nobody.toml", "--seeds", "4..7"]);
    assert!(several.stdout.contains("[3 of 3 seeds, first 4]"), "{}", several.stdout);
    let json = |file| folder.run(&["run", file, "--format", "json"]).stdout;
    let record: Value = serde_json::from_str(&json("nobody.toml")).unwrap();
    assert!(record["runs"][0]["note"].as_str().is_some_and(|note| note.starts_with("nobody visited")), "{record}");
    assert!(!json("small.toml").contains("\"note\""));
}

/// An arrival process in which nobody arrives.
const SILENCE: &str = "[[traffic]]\nkind = \"steady\"\nrate = \"0/s\"\n";

#[test]
fn a_file_named_twice_runs_once() {
    let folder = Folder::with(&[("s/small.toml", &(SMALL.to_owned() + MET))]);
    let run = folder.run(&["run", "s", "s/small.toml", "./s/../s", "--format", "json"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let record: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
}
