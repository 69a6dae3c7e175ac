//! Goal: every way to end has its exit code, and bad input changes nothing. Method: the binary in a folder of small
//! scenario files. What the simulator can't be made to do (panic, diverge) is tested beside `run`.

use super::folder::{Folder, MET, NOT_MET, NOTHING_TO_MEASURE, SMALL};

fn scenario(parts: &[&str]) -> String {
    [&[SMALL], parts].concat().concat()
}

#[test]
fn the_verdict_is_the_exit_code_and_violated_precedes_inconclusive() {
    let cases: [(&[&str], i32); 4] =
        [(&[MET], 0), (&[MET, NOT_MET], 1), (&[MET, NOTHING_TO_MEASURE], 3), (&[NOTHING_TO_MEASURE, NOT_MET], 1)];
    for (parts, exit) in cases {
        let folder = Folder::with(&[("a.toml", &scenario(parts))]);
        let run = folder.run(&["run", "a.toml"]);
        assert_eq!(run.exit, exit, "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn over_several_scenarios_the_worst_counts() {
    let folder = Folder::with(&[
        ("scenarios/a.toml", &scenario(&[MET])),
        ("scenarios/deep/b.toml", &scenario(&[NOTHING_TO_MEASURE])),
        ("scenarios/notes.txt", "no scenario"),
    ]);
    let run = folder.run(&["run"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    assert!(run.stderr.contains("scenarios/a.toml: seed 7, hardened\nscenarios/deep/b.toml: seed 7, hardened\n"));
    assert_eq!(folder.run(&["run", "--quiet"]).stderr, "");
}

#[test]
fn one_bad_file_among_many_stops_all_and_all_bad_ones_are_reported() {
    let folder = Folder::with(&[
        ("s/a.toml", &scenario(&[MET])),
        ("s/b.toml", "schema = 1\ntitel = \"x\"\n"),
        ("s/c.toml", "schema = [\n"),
    ]);
    let run = folder.run(&["run", "s", "missing.toml", "--out", "out", "--format", "json"]);
    assert_eq!((run.exit, run.stdout.as_str()), (2, ""));
    for text in
        ["s/b.toml:2:1", "did you mean `title`?", "s/c.toml:1:", "missing.toml: ", "2 scenario files are not valid"]
    {
        assert!(run.stderr.contains(text), "{text} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("seed 7"), "nothing is announced: {}", run.stderr);
    assert!(!folder.path("out").exists());
}

#[test]
fn bad_input_names_cause_and_remedy() {
    let folder = Folder::with(&[("a.toml", &scenario(&[MET])), ("empty/readme", ""), ("file", "")]);
    let cases: [(&[&str], &str); 17] = [
        (&[], "Usage: hookproof"),
        (&["walk"], "unrecognized subcommand"),
        (&["run"], "scenarios/ is not here"),
        (&["run", "empty"], "empty: no *.toml in this folder"),
        (&["run", "a.toml", "--hook", "hardend"], "[possible values: original, published, hardened]"),
        (&["run", "a.toml", "--seed", "-1"], "unexpected argument"),
        (&["run", "a.toml", "--seed", "x"], "invalid digit"),
        (&["run", "a.toml", "--seeds", "3..3"], "the range is empty"),
        (&["run", "a.toml", "--seeds", "9..3"], "the range is empty"),
        (&["run", "a.toml", "--seeds", "3"], "two whole numbers are needed"),
        (&["run", "a.toml", "--seed", "1", "--seeds", "1..2"], "cannot be used with"),
        (&["run", "a.toml", "--seeds", "0..99999999999"], "name a shorter range of --seeds"),
        (&["run", "a.toml", "--jobs", "0"], "--jobs"),
        (&["run", "a.toml", "--max-events", "1"], "raise --max-events"),
        (&["run", "a.toml", "--max-memory", "1kB"], "raise --max-memory"),
        (&["run", "a.toml", "--format", "json", "--format", "human"], "add --out DIR"),
        (&["run", "a.toml", "--out", "file"], "name a folder"),
    ];
    for (arguments, message) in cases {
        let run = folder.run(arguments);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn validate_tells_good_from_bad_files() {
    let folder = Folder::with(&[("s/a.toml", &scenario(&[MET])), ("b.toml", "schema = 2\n")]);
    let good = folder.run(&["validate", "s"]);
    assert_eq!(good.exit, 0, "{}", good.stderr);
    assert_eq!(good.stdout, "s/a.toml: valid; hooks hardened; faults 0; expectations 1; seed 7\n");
    let bad = folder.run(&["validate", "s", "b.toml"]);
    assert_eq!((bad.exit, bad.stdout.as_str()), (2, ""));
    assert!(bad.stderr.contains("b.toml:1:"), "{}", bad.stderr);
}

#[test]
fn running_twice_finds_the_same_run() {
    let folder = Folder::with(&[("a.toml", &scenario(&[MET]))]);
    let run = folder.run(&["run", "a.toml", "--check-determinism", "--hook", "original", "--hook", "hardened"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
}

#[test]
fn help_and_version_are_data() {
    let folder = Folder::new();
    let help = folder.run(&["--help"]);
    assert_eq!(help.exit, 0);
    assert!(help.stdout.contains("Exit codes:"));
    assert!(folder.run(&["--version"]).stdout.starts_with("hookproof "));
}
