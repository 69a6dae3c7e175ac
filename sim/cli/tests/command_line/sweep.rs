//! Goal: a sweep says the same whatever machine, thread or shard ran which of its seeds, and an existing scheduler can be the
//! cluster. Method: the binary in a folder of small scenario files, shards as child processes with a scheduler's variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::folder::{Finished, Folder, MET, NOT_MET, NOTHING_TO_MEASURE, SMALL};

const FAULT: &str =
    "\n[[fault]]\nkind = \"quota.lost-reply\"\nname = \"late\"\nat = \"10s\"\nfor = \"30s\"\nprobability = 0.5\n";

fn three_hooks(expectation: &str) -> String {
    let all = "hooks = [\"original\", \"published\", \"hardened\"]";
    SMALL.replace("hooks    = [\"hardened\"]", all) + FAULT + expectation
}

fn run(folder: &Folder, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let mut command = folder.command(arguments);
    command.envs(variables.iter().copied());
    Finished::from(command.output().expect("the binary starts"))
}

fn record(run: &Finished) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr))
}

#[test]
fn the_record_has_bounds_distributions_and_pairs() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET))]);
    let run = folder.run(&["sweep", "small.toml", "--seeds", "0..30", "--format", "json"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stderr.contains("small.toml: seeds 0 to 29, original, published, hardened\n"), "{}", run.stderr);
    assert!(run.stderr.contains("[90/90] runs, 0 violated\n"), "{}", run.stderr);
    let record = record(&run);
    assert_eq!(record["schema"], "hookproof.sweep/1");
    let swept = &record["scenarios"][0];
    let hardened = &swept["hooks"][2];
    assert_eq!((&hardened["hook"], &hardened["role"]), (&"hardened".into(), &"judged".into()));
    assert_eq!((&hardened["seeds"]["pass"], &hardened["seeds"]["bound-95"]), (&30.into(), &0.1.into()));
    assert_eq!(hardened["metrics"]["exposure.logged"]["present"], 30);
    assert!(hardened["metrics"]["exposure.logged"]["median"].as_f64() > Some(20.0));
    assert_eq!(hardened["faults"]["quota.lost-reply"]["seeds-with-effect"], 30);
    assert!(hardened["invariants"]["GRANT-1"]["checked"].as_u64() > Some(30));
    assert_eq!(swept["pairs"].as_array().map(Vec::len), Some(2));
    let attempts = &swept["pairs"][0]["metrics"]["upstream.attempts"];
    assert_eq!(attempts["lower"].as_u64().zip(attempts["higher"].as_u64()).map(|(a, b)| a + b <= 30), Some(true));
}

#[test]
fn the_verdict_is_the_exit_code() {
    for (expectation, exit) in [(MET, 0), (NOT_MET, 1), (NOTHING_TO_MEASURE, 3)] {
        let folder = Folder::with(&[("a.toml", &(SMALL.to_owned() + expectation))]);
        let run = folder.run(&["sweep", "a.toml", "--seeds", "0..3", "--check-determinism"]);
        assert_eq!(run.exit, exit, "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn a_failing_seed_comes_with_the_command_that_repeats_it() {
    let folder = Folder::with(&[("with space/small.toml", &three_hooks(NOT_MET))]);
    let run = folder.run(&["sweep", "with space", "--seeds", "3..40", "--hook", "hardened"]);
    assert_eq!(run.exit, 1, "{}", run.stderr);
    let command = "hookproof run 'with space/small.toml' --hook hardened --seed 3";
    assert!(run.stdout.lines().any(|line| line.trim() == command), "{}", run.stdout);
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("37 of 37 seeds violated; with 95 % confidence at most 100% of such seeds"), "{words}");
    assert_eq!(folder.run(&["run", "with space/small.toml", "--hook", "hardened", "--seed", "3"]).exit, 1);
    for line in run.stdout.lines().filter(|line| !line.trim().starts_with("hookproof run ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_swarms_failing_seed_is_repeated_by_its_command() {
    let folder = Folder::with(&[("small.toml", &(SMALL.to_owned() + NOT_MET))]);
    let swarm = folder.run(&["sweep", "small.toml", "--swarm", "--seeds", "0..8", "--format", "json"]);
    assert_eq!(swarm.exit, 1, "{}", swarm.stderr);
    let swarm = record(&swarm);
    let hook = &swarm["scenarios"][0]["hooks"][0];
    assert!(hook["faults"].as_object().map(serde_json::Map::len) > Some(30), "every kind is named: {hook}");
    let drawn: u64 = hook["faults"].as_object().unwrap().values().filter_map(|kind| kind["seeds-drawn"].as_u64()).sum();
    assert!(drawn > 8, "{hook}");
    let failing = &hook["failing"][0];
    let repro: Vec<&str> = failing["repro"].as_str().unwrap().split(' ').collect();
    assert_eq!(repro[..4], ["hookproof", "sweep", "small.toml", "--swarm"]);
    let again = folder.run(&[&repro[1..], &["--format", "json"]].concat());
    assert_eq!(again.exit, 1, "{}", again.stderr);
    assert_eq!(&record(&again)["scenarios"][0]["hooks"][0]["failing"][0], failing);
}

#[test]
fn threads_and_processes_do_not_show() {
    let folder = Folder::with(&[("small.toml", &three_hooks(MET)), ("other/small.toml", &three_hooks(MET))]);
    for form in ["json", "human", "markdown"] {
        let arguments = ["sweep", "small.toml", "--seeds", "5..25", "--swarm", "--format", form, "--jobs"];
        let first = folder.run(&[&arguments[..], &["1"]].concat());
        let mut other = folder.command(&[&arguments[..], &["7", "-q"]].concat());
        other.current_dir(folder.path("other")).env_clear().env("LANG", "tr_TR.UTF-8").env("TZ", "Pacific/Apia");
        assert_eq!(first.stdout.as_bytes(), other.output().unwrap().stdout, "{form}: {}", first.stderr);
        assert!(!first.stdout.contains(&folder.path("").display().to_string()), "a path got into the {form}");
    }
}

#[test]
fn merged_shards_are_the_whole_to_the_byte() {
    let folder = Folder::with(&[("a.toml", &three_hooks(MET)), ("b.toml", &(SMALL.to_owned() + MET))]);
    let sweep = ["sweep", "a.toml", "b.toml", "--seeds", "7..30", "--format"];
    let whole: Vec<String> =
        ["json", "human", "markdown"].map(|form| folder.run(&[&sweep[..], &[form]].concat()).stdout).into();
    for count in [2, 3, 23] {
        let out = format!("out-{count}");
        let mut files: Vec<String> = Vec::new();
        for index in (1..=count).rev() {
            let shard = format!("{index}/{count}");
            let part = folder.run(&[&sweep[..], &["human", "--shard", &shard, "--out", &out]].concat());
            assert_eq!(part.exit, 0, "{}", part.stderr);
            files.push(format!("{out}/sweep-{index}-of-{count}.json"));
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        for (form, whole) in ["json", "human", "markdown"].into_iter().zip(&whole) {
            let merged = folder.run(&[&["merge"], &files[..], &["--format", form, "--out", &out]].concat());
            assert_eq!((merged.exit, &merged.stdout), (0, whole), "{count} {form}: {}", merged.stderr);
        }
        assert_eq!(fs::read_to_string(folder.path(&out).join("sweep.json")).unwrap(), whole[0]);
    }
}

#[test]
fn a_merge_that_is_not_exactly_one_sweep_is_bad_input() {
    let folder =
        Folder::with(&[("a.toml", &(SMALL.to_owned() + MET)), ("no.json", "{"), ("run.json", "{\"schema\": \"x/1\"}")]);
    for (out, options) in [("p", &["--seeds", "0..4"][..]), ("q", &["--seeds", "0..8"][..])] {
        for shard in ["1/2", "2/2"] {
            let part = folder.run(&[&["sweep", "a.toml", "--out", out, "--shard", shard], options].concat());
            assert_eq!(part.exit, 0, "{}", part.stderr);
        }
    }
    let part = fs::read_to_string(folder.path("p/sweep-2-of-2.json")).unwrap();
    let edited = part.replacen("\"seeds-checked\": 2", "\"seeds-checked\": 3", 1);
    let digest = part.lines().find(|line| line.contains("\"digest\": ") && line.starts_with("  \"")).unwrap();
    assert!(edited != part && digest.len() > 64, "{part}");
    folder.write("p/edited.json", &edited);
    folder.write("p/old.json", part.replace(digest, ""));
    folder.write("p/old-edited.json", edited.replace(digest, ""));
    assert_eq!(folder.run(&["merge", "p/sweep-1-of-2.json", "p/old.json"]).exit, 0, "an older record has no digest");
    let cases: [(&[&str], &str); 9] = [
        (&[], "required"),
        (&["p/sweep-1-of-2.json", "p/edited.json"], "p/edited.json: its \"digest\" is of other content"),
        (&["p/sweep-1-of-2.json", "p/old-edited.json"], "p/old-edited.json: a, hook hardened: the counts of "),
        (&["p/sweep-1-of-2.json"], "missing: shard 2/2"),
        (&["p/sweep-1-of-2.json", "p/sweep-1-of-2.json"], "both shard 1/2"),
        (&["p/sweep-1-of-2.json", "q/sweep-2-of-2.json"], "different seeds"),
        (&["gone.json"], "gone.json: "),
        (&["no.json"], "no.json: no readable record"),
        (&["run.json"], "run.json: its schema is \"x/1\""),
    ];
    for (files, message) in cases {
        let merged = folder.run(&[&["merge", "--out", "new"], files].concat());
        assert_eq!((merged.exit, merged.stdout.as_str()), (2, ""), "{files:?}: {}", merged.stderr);
        assert!(merged.stderr.contains(message), "{files:?}: {}", merged.stderr);
        assert!(!folder.path("new").exists());
    }
}

#[test]
fn bad_input_of_a_sweep_names_cause_and_remedy() {
    let folder = Folder::with(&[("a.toml", &(SMALL.to_owned() + MET))]);
    let cases: [(&[&str], &str); 8] = [
        (&["sweep"], "required"),
        (&["sweep", "gone.toml"], "gone.toml: "),
        (&["sweep", "a.toml", "--shard", "0/4"], "1/4 to 4/4"),
        (&["sweep", "a.toml", "--shard", "5/4"], "1/4 to 4/4"),
        (&["sweep", "a.toml", "--shard", "all"], "or none"),
        (&["sweep", "a.toml", "--seeds", "0..3", "--shard", "1/4"], "use fewer"),
        (&["sweep", "a.toml", "--format", "human", "--format", "json"], "add --out DIR"),
        (&["sweep", "a.toml", "--format", "human", "--format", "markdown"], "both want stdout"),
    ];
    for (arguments, message) in cases {
        let run = folder.run(arguments);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_seed_of_the_swarm_that_is_too_large_is_named_before_any_runs() {
    let folder = Folder::with(&[("a.toml", &(SMALL.to_owned() + MET))]);
    let sweep = |more: &[&str]| folder.run(&[&["sweep", "a.toml", "--seeds", "0..40", "--out", "new"], more].concat());
    // What the file itself needs, and no more.
    let refused = sweep(&["--max-events", "1"]).stderr;
    let estimate = refused.split_once("about ").and_then(|(_, rest)| rest.split(' ').next());
    let estimate = estimate.unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(sweep(&["--max-events", estimate]).exit, 0);
    fs::remove_dir_all(folder.path("new")).unwrap();
    let swarm = sweep(&["--max-events", estimate, "--swarm"]);
    assert_eq!((swarm.exit, swarm.stdout.as_str()), (2, ""));
    assert!(!folder.path("new").exists(), "nothing was written");
    let (_, named) = swarm.stderr.split_once("a.toml, seed ").unwrap_or_else(|| panic!("{}", swarm.stderr));
    let (seed, why) = named.split_once(" of the swarm: ").unwrap_or_else(|| panic!("{}", swarm.stderr));
    assert!(why.starts_with("a run would take about "), "{why}");
    let seed: u64 = seed.parse().unwrap();
    let explain = |seed: u64, limit: &[&str]| {
        folder.run(&[&["explain", "a.toml", "--swarm", "--seed", &seed.to_string()], limit].concat()).exit
    };
    assert_eq!((explain(seed, &["--max-events", estimate]), explain(seed, &[])), (2, 0));
    assert!((0..seed).all(|seed| explain(seed, &["--max-events", estimate]) == 0), "{seed} is the first");
}

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Child, ChildStderr, Stdio};

    use super::*;

    /// A sweep that has said what it will do, and takes the signal from then on.
    fn begun(folder: &Folder, arguments: &[&str]) -> (Child, BufReader<ChildStderr>) {
        let mut command = folder.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut talk = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        talk.read_line(&mut line).expect("the sweep says what it will do");
        assert!(line.contains(": seeds 0 to "), "{line}");
        (child, talk)
    }

    fn interrupt(child: &Child) {
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status();
        assert!(kill.is_ok());
    }

    fn ended(mut child: Child, mut talk: BufReader<ChildStderr>) -> Finished {
        let mut stderr = String::new();
        talk.read_to_string(&mut stderr).expect("stderr is UTF-8");
        let mut stdout = String::new();
        child.stdout.take().expect("stdout is piped").read_to_string(&mut stdout).expect("stdout is UTF-8");
        let exit = child.wait().expect("the binary ends").code().expect("no signal ended it");
        Finished { exit, stdout, stderr }
    }

    #[test]
    fn what_had_run_is_shown_and_no_record_is_written() {
        let folder = Folder::with(&[("a.toml", &three_hooks(MET))]);
        for (form, shown_on_stdout) in [("human", true), ("markdown", true), ("json", false)] {
            // More than anybody waits for.
            let sweep = ["sweep", "a.toml", "--seeds", "0..1000000000", "--out", "out", "--format", form];
            let (child, talk) = begun(&folder, &sweep);
            interrupt(&child);
            let run = ended(child, talk);
            assert_eq!(run.exit, 130, "{}", run.stderr);
            assert!(run.stderr.contains("interrupted before all seeds had run; nothing was stored"), "{}", run.stderr);
            let (shown, other) = if shown_on_stdout { (run.stdout, "") } else { (run.stderr, run.stdout.as_str()) };
            assert!(
                shown.contains(" of 1,000,000,000 seeds 0..1000000000") && shown.contains("INTERRUPTED"),
                "{shown}"
            );
            assert!(!shown.contains("PASS:") && other.is_empty(), "{shown}{other}");
            assert_eq!(fs::read_dir(folder.path("out")).unwrap().count(), 0, "{form}");
        }
    }

    #[test]
    fn a_second_interrupt_does_not_wait_for_the_runs_under_way() {
        // Seventy million visits: a run of minutes.
        let long = SMALL.replace("60s", "1h")
            + "[[traffic]]\nkind = \"steady\"\nrate = \"20000/s\"\n[upstream]\nqueue = 100\n";
        let folder = Folder::with(&[("long.toml", &long)]);
        let (mut child, talk) = begun(&folder, &["sweep", "long.toml", "--seeds", "0..1000", "--jobs", "2"]);
        while child.try_wait().expect("the child is ours").is_none() {
            interrupt(&child);
        }
        let run = ended(child, talk);
        // Nothing is printed, unless the first signal came before the first run began.
        assert_eq!(run.exit, 130, "{}", run.stderr);
        assert!(run.stdout.is_empty() || run.stdout.contains("only 0 of 1,000 seeds"), "{}", run.stdout);
    }
}

/// What each scheduler sets for the second of three jobs.
const SECOND_OF_THREE: [(&str, &[(&str, &str)]); 5] = [
    (
        "SLURM_ARRAY_TASK_ID (Slurm)",
        &[
            ("SLURM_ARRAY_TASK_ID", "1"),
            ("SLURM_ARRAY_TASK_MIN", "0"),
            ("SLURM_ARRAY_TASK_MAX", "2"),
            ("SLURM_ARRAY_TASK_STEP", "1"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
        ],
    ),
    ("JOB_COMPLETION_INDEX (Kubernetes)", &[("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "3")]),
    ("CI_NODE_INDEX (GitLab)", &[("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "3")]),
    ("CIRCLE_NODE_INDEX (CircleCI)", &[("CIRCLE_NODE_INDEX", "1"), ("CIRCLE_NODE_TOTAL", "3")]),
    ("BUILDKITE_PARALLEL_JOB (Buildkite)", &[("BUILDKITE_PARALLEL_JOB", "1"), ("BUILDKITE_PARALLEL_JOB_COUNT", "3")]),
];

#[test]
fn the_shard_is_read_from_an_array_jobs_variables_and_said() {
    let folder = Folder::with(&[("a.toml", &(SMALL.to_owned() + MET))]);
    let sweep = ["sweep", "a.toml", "--seeds", "0..9", "--format", "json"];
    let asked = folder.run(&[&sweep[..], &["--shard", "2/3"]].concat()).stdout;
    let whole = folder.run(&sweep).stdout;
    assert_ne!(asked, whole);
    for (source, variables) in SECOND_OF_THREE {
        let found = run(&folder, variables, &sweep);
        assert_eq!((found.exit, &found.stdout), (0, &asked), "{source}: {}", found.stderr);
        assert!(found.stderr.contains(&format!("shard 2/3, from {source}")), "{}", found.stderr);
        let ignored = run(&folder, variables, &[&sweep[..], &["--shard", "none"]].concat());
        assert_eq!((ignored.exit, &ignored.stdout), (0, &whole), "{source}: {}", ignored.stderr);
        let named = run(&folder, variables, &[&sweep[..], &["--shard", "2/3"]].concat());
        assert_eq!(named.stdout, asked);
    }
    let wrong = run(&folder, &[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "3")], &sweep);
    assert_eq!((wrong.exit, wrong.stdout.as_str()), (2, ""), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("--shard none"), "{}", wrong.stderr);
}

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sweeps.md");
    fs::read_to_string(path).expect("the guide is part of the repository")
}

/// The shell lines of the guide's example under `heading`: those that start or merge a sweep.
fn commands(guide: &str, heading: &str) -> Vec<String> {
    let (_, after) = guide.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = after.split("\n##").next().unwrap_or(after);
    let joined = section.replace("\\\n", " ");
    let of_hookproof = joined.lines().filter_map(|line| line.find("hookproof ").map(|at| (line, at)));
    let is_command =
        |command: &str| ["hookproof sweep ", "hookproof merge "].iter().any(|verb| command.starts_with(verb));
    of_hookproof.map(|(line, at)| line[at..].to_owned()).filter(|command| is_command(command)).collect()
}

/// Runs a line of the guide in a shell in which `hookproof` is this binary.
fn shell(folder: &Folder, line: &str, variables: &[(&str, &str)]) -> Finished {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_hookproof"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().expect("a binary lies in a folder").display());
    let mut command = Command::new("sh");
    command.args(["-euc", line]).current_dir(folder.path("")).env_clear().env("PATH", path);
    Finished::from(command.envs(variables.iter().copied()).output().expect("there is a shell"))
}

/// What a scheduler sets for job number `index`, from 0, of so many.
type Variables = fn(u32, u32) -> Vec<(&'static str, String)>;

#[test]
fn the_guides_examples_work_as_their_schedulers_would_run_them() {
    let guide = guide();
    let schedulers: [(&str, Variables); 5] = [
        ("Slurm", |index, count| {
            let ends = [("SLURM_ARRAY_TASK_MIN", "1".to_owned()), ("SLURM_ARRAY_TASK_MAX", count.to_string())];
            let own = [("SLURM_ARRAY_TASK_ID", (index + 1).to_string()), ("SLURM_ARRAY_TASK_COUNT", count.to_string())];
            [ends, own].concat()
        }),
        ("Kubernetes", |index, count| {
            vec![("JOB_COMPLETION_INDEX", index.to_string()), ("JOB_COMPLETIONS", count.to_string())]
        }),
        ("GitLab", |index, count| {
            vec![("CI_NODE_INDEX", (index + 1).to_string()), ("CI_NODE_TOTAL", count.to_string())]
        }),
        ("CircleCI", |index, count| {
            vec![("CIRCLE_NODE_INDEX", index.to_string()), ("CIRCLE_NODE_TOTAL", count.to_string())]
        }),
        ("Buildkite", |index, count| {
            vec![("BUILDKITE_PARALLEL_JOB", index.to_string()), ("BUILDKITE_PARALLEL_JOB_COUNT", count.to_string())]
        }),
    ];
    for (scheduler, variables) in schedulers {
        let folder = Folder::with(&[("scenarios/swarm.toml", &(SMALL.to_owned() + MET))]);
        let commands = commands(&guide, scheduler);
        let [sweep, merge] = &commands[..] else { panic!("{scheduler}: {commands:?}") };
        // As many seeds as a test has time for; the rest of the line is the guide's.
        let (before, after) = sweep.split_once("--seeds ").unwrap_or_else(|| panic!("{scheduler}: {sweep}"));
        let rest = after.split_once(' ').map_or("", |(_, rest)| rest);
        let sweep = format!("{before}--seeds 0..8 {rest}");
        for index in 0..4 {
            let variables = variables(index, 4);
            let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let part = shell(&folder, &sweep, &variables);
            assert_eq!(part.exit, 0, "{scheduler}: {sweep}: {}", part.stderr);
            assert!(part.stderr.contains(&format!("shard {}/4, from", index + 1)), "{}", part.stderr);
        }
        let merged = shell(&folder, merge, &[]);
        assert_eq!(merged.exit, 0, "{scheduler}: {merge}: {}", merged.stderr);
        assert!(merged.stdout.contains("PASS"), "{scheduler}: {}", merged.stdout);
    }
}
