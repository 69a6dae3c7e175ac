//! Goal: nothing that is printed or written names a user by id unless `--show-ids` asks for it, and who holds the scenario and
//! the key finds the user again. Method: the bytes of every output of a scenario in which invariants are violated.

use std::fs;

use serde_json::Value;

use super::folder::Folder;

/// Users get too much, switch, and wait for a human.
const SCENARIO: &str = r#"
schema = 1
title = "Replies are lost, and nobody can tell what was applied"
seed = 3
duration = "120s"
calm = "60s"
[experiment]
id = "x"
[[experiment.variant]]
name = "control"
weight = 1
[[experiment.variant]]
name = "extra"
weight = 1
grant = 25
[users]
population = 200
visits = { mean = 2, per = "60s" }
[fleet]
instances = 3
restart = { every = "50s", mode = "all-at-once", downtime = "2s" }
[upstream]
capability = "none"
[[fault]]
kind = "quota.lost-reply"
name = "late"
at = "10s"
for = "60s"
probability = 0.5
[[expect]]
metric = "over-allocation.users"
hook = "hardened"
at-least = 1_000
"#;

const SECRET: &str = "a secret of the team, kept in CI\n";

fn folder() -> Folder {
    Folder::with(&[
        ("t.toml", SCENARIO),
        ("key", SECRET),
        ("other-key", "another secret of the team"),
        ("short", "hush"),
    ])
}

/// How often a text has `user-` and a digit.
fn ids(text: &str) -> usize {
    text.match_indices("user-").filter(|(at, _)| text[at + 5..].starts_with(|c: char| c.is_ascii_digit())).count()
}

/// Every file of a run's folder, and what the verbs print of it.
fn outputs(folder: &Folder, out: &str, options: &[&str]) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    let run =
        folder.run(&[&["run", "t.toml", "--format", "human", "--format", "github", "--out", out], options].concat());
    assert_eq!(run.exit, 1, "{}", run.stderr);
    outputs.push(("stdout".to_owned(), run.stdout));
    outputs.push(("stderr".to_owned(), run.stderr));
    for name in ["run.json", "report.html", "junit.xml", "summary.md"] {
        outputs
            .push((name.to_owned(), fs::read_to_string(folder.path(&format!("{out}/{name}"))).expect("it is written")));
    }
    for arguments in
        [&["trace", "t.toml"][..], &["trace", "t.toml", "--format", "json"], &["trace", "t.toml", "--user", "7"]]
    {
        let trace = folder.run(&[arguments, options].concat());
        assert_eq!(trace.exit, 0, "{}", trace.stderr);
        outputs.push((arguments.join(" "), trace.stdout + &trace.stderr));
    }
    outputs
}

fn record(folder: &Folder, options: &[&str]) -> Value {
    let run = folder.run(&[&["run", "t.toml", "--format", "json"], options].concat());
    serde_json::from_str(&run.stdout).expect("a record")
}

/// Whoever is told of under the original hook.
fn told(record: &Value) -> Vec<&str> {
    let run =
        record["runs"].as_array().expect("runs").iter().find(|run| run["hook"] == "original").expect("it was run");
    run["stories"].as_array().expect("stories").iter().map(|story| story["user"].as_str().expect("a name")).collect()
}

#[test]
fn no_output_names_a_user_by_id() {
    let folder = folder();
    for (name, text) in outputs(&folder, "out", &[]) {
        assert_eq!(ids(&text), 0, "{name}: {text}");
    }
    let record = fs::read_to_string(folder.path("out/run.json")).expect("it is written");
    let record: Value = serde_json::from_str(&record).expect("a record");
    assert_eq!(record["user-ids"], "scenario-key");
    let some =
        |key: &str| record["runs"].as_array().unwrap().iter().any(|run| !run[key].as_array().unwrap().is_empty());
    assert!(["worst-users", "parked", "stories"].into_iter().all(some), "the run fills every place that names a user");
}

#[test]
fn with_show_ids_every_output_that_names_users_shows_them() {
    let folder = folder();
    for (name, text) in outputs(&folder, "out", &["--show-ids"]) {
        assert!(ids(&text) > 0 || name == "stderr", "{name}: {text}");
    }
    assert_eq!(record(&folder, &["--show-ids"])["user-ids"], "shown");
}

#[test]
fn the_same_key_gives_the_same_bytes_and_another_key_other_pseudonyms() {
    let folder = folder();
    let [first, again] = ["first", "again"].map(|out| outputs(&folder, out, &["--id-key", "key"]));
    assert_eq!(first, again);
    let [by_scenario, by_key, by_other] =
        [&[][..], &["--id-key", "key"], &["--id-key", "other-key"]].map(|options| record(&folder, options));
    assert_eq!(by_key["user-ids"], "secret-key");
    for (one, other) in [(&by_scenario, &by_key), (&by_key, &by_other), (&by_scenario, &by_other)] {
        assert_eq!(told(one).len(), told(other).len());
        assert!(told(one).iter().all(|user| !told(other).contains(user)), "{:?} {:?}", told(one), told(other));
    }
    for (one, other) in by_key["runs"].as_array().unwrap().iter().zip(by_other["runs"].as_array().unwrap()) {
        assert_eq!(
            (&one["digest"], &one["metrics"]),
            (&other["digest"], &other["metrics"]),
            "a key changes names only"
        );
    }
    let run =
        folder.command(&["run", "t.toml", "--format", "json"]).env("HOOKPROOF_ID_KEY", SECRET.trim_end()).output();
    let by_variable: Value = serde_json::from_slice(&run.expect("the binary starts").stdout).expect("a record");
    assert_eq!(by_variable, by_key, "the variable holds the key itself");
}

#[test]
fn a_pseudonym_of_the_report_finds_its_story_and_with_show_ids_the_user() {
    let folder = folder();
    for key in [&[][..], &["--id-key", "key"]] {
        let record = record(&folder, key);
        let shown = self::record(&folder, &["--show-ids"]);
        for (pseudonym, id) in told(&record).into_iter().zip(told(&shown)) {
            let trace = |user: &str, more: &[&str]| {
                let run = folder.run(&[&["trace", "t.toml", "--hook", "original", "--user", user], key, more].concat());
                assert_eq!(run.exit, 0, "{}", run.stderr);
                run.stdout
            };
            assert!(trace(pseudonym, &[]).contains(pseudonym));
            assert_eq!(trace(pseudonym, &[]), trace(id, &[]));
            assert_eq!(trace(pseudonym, &["--show-ids"]), trace(id, &["--show-ids"]));
            assert!(trace(pseudonym, &["--show-ids"]).contains(&format!("original · seed 3 · {id}\n")));
        }
    }
    let of_key = record(&folder, &["--id-key", "key"]);
    let run = folder.run(&["trace", "t.toml", "--user", told(&of_key)[0]]);
    assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "without the key nobody has this pseudonym");
    assert!(run.stderr.contains("--id-key"), "{}", run.stderr);
}

#[test]
fn a_pseudonym_is_found_among_users_who_only_came_to_be_known_in_the_run() {
    let folder = folder();
    let open = "[[traffic]]\nname = \"base\"\nkind = \"steady\"\nrate = \"3/s\"\n";
    let users = "[users]\npopulation = 200\nvisits = { mean = 2, per = \"60s\" }\n";
    folder.write("t.toml", SCENARIO.replace(users, open));
    let (hidden, shown) = (record(&folder, &[]), record(&folder, &["--show-ids"]));
    let trace = |user: &str| folder.run(&["trace", "t.toml", "--hook", "original", "--user", user]);
    let (by_pseudonym, by_id) = (trace(told(&hidden)[0]), trace(told(&shown)[0]));
    assert_eq!((by_pseudonym.exit, &by_pseudonym.stdout), (0, &by_id.stdout), "{}", by_pseudonym.stderr);
    assert_eq!(trace("user:000000000000").exit, 2);
}

#[test]
fn a_stored_record_with_ids_is_rendered_without_them_unless_they_are_asked_for() {
    let folder = folder();
    outputs(&folder, "shown", &["--show-ids"]);
    outputs(&folder, "hidden", &[]);
    let report =
        |options: &[&str]| folder.run(&[&["report", "shown/run.json", "--format", "html"], options].concat()).stdout;
    let page = |name: &str| fs::read_to_string(folder.path(name)).expect("it is written");
    assert_eq!(report(&[]), page("hidden/report.html"));
    assert_eq!(report(&["--show-ids"]), page("shown/report.html"));
    let run = folder.run(&["report", "hidden/run.json", "--show-ids"]);
    assert!(run.stderr.contains("holds pseudonyms, not ids"), "{}", run.stderr);
    assert_eq!(ids(&run.stdout), 0);
}

#[test]
fn a_key_that_cannot_be_read_or_is_soon_guessed_is_refused_before_anything_is_run() {
    let folder = folder();
    for (key, says) in [("nowhere", "nowhere"), ("short", "fewer than 16 bytes")] {
        let run = folder.run(&["run", "t.toml", "--id-key", key]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    let run = folder.command(&["trace", "t.toml"]).env("HOOKPROOF_ID_KEY", "hush").output().expect("the binary starts");
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("HOOKPROOF_ID_KEY: a key of fewer than 16 bytes") && !said.contains("hush"), "{said}");
}
