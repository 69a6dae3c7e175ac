//! `trace` tells the whole story of a user, and of nobody who does not exist.

use serde_json::Value;

use super::folder::Folder;

const SCENARIO: &str = r#"
schema = 1
title = "Lost replies, and a clock that jumps"
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
[[fault]]
kind = "quota.lost-reply"
name = "late"
at = "10s"
for = "60s"
probability = 0.5
[[fault]]
kind = "clock.step"
name = "jump"
at = "30s"
by = "-1h"
on = ["app-2"]
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("t.toml", SCENARIO);
    folder
}

#[test]
fn the_worst_user_is_told_of_with_true_and_perceived_time_and_the_broken_rule() {
    let run = folder().run(&["trace", "t.toml", "--hook", "original"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let told = &run.stdout;
    assert!(told.starts_with("t · original · seed 1 · user:"), "{told}");
    for expected in
        ["by whom an invariant was first violated", "a visit begins", "is applied: 25 units more", "violates "]
    {
        assert!(told.contains(expected), "{expected:?} is not in {told}");
    }
}

#[test]
fn the_story_in_json_is_the_one_in_the_record_of_the_run() {
    let folder = folder();
    let stories = |arguments: &[&str]| {
        let run = folder.run(arguments);
        let record: Value = serde_json::from_str(&run.stdout).expect("a record");
        record["runs"][0]["stories"].as_array().expect("stories").clone()
    };
    let traced = stories(&["trace", "t.toml", "--hook", "original", "--format", "json"]);
    let recorded = stories(&["run", "t.toml", "--hook", "original", "--format", "json"]);
    assert_eq!(traced.len(), 1);
    assert_eq!(traced[0], recorded[0]);
    assert!(recorded.len() > 1, "the worst users are told of besides");
    let step = |story: &Value, kind: &str| {
        let steps = story["steps"].as_array().expect("steps");
        steps.iter().filter(|step| step["kind"] == kind).count() as u64
    };
    for story in &recorded {
        assert_eq!(Value::from(step(story, "effect")), story["effects"], "each effect is a step");
    }
}

#[test]
fn a_given_user_is_told_of_under_every_hook_and_one_never_seen_is_inconclusive() {
    let folder = folder();
    let run = folder.run(&["trace", "t.toml", "--user", "7", "--show-ids"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert_eq!(run.stdout.matches(" · user-7\n").count(), 3, "{}", run.stdout);
    assert!(
        run.stdout.contains("claims the grant for attempt 1") || run.stdout.contains("\"control\""),
        "{}",
        run.stdout
    );
    folder.write("empty.toml", SCENARIO.replace("mean = 2", "mean = 0.0001"));
    let run = folder.run(&["trace", "empty.toml", "--user", "user-3"]);
    assert_eq!(run.exit, 3, "{}", run.stdout);
    assert!(run.stdout.contains("never seen in this run"), "{}", run.stdout);
}

#[test]
fn the_story_of_a_seed_that_a_swarm_has_drawn_is_told_by_the_same_options() {
    let folder = folder();
    let plain = folder.run(&["trace", "t.toml", "--hook", "hardened", "--user", "7", "--format", "json"]);
    let drawn = folder.run(&["trace", "t.toml", "--hook", "hardened", "--user", "7", "--format", "json", "--swarm"]);
    let lanes = |stdout: &str| serde_json::from_str::<Value>(stdout).expect("a record")["runs"][0]["lanes"].clone();
    assert_ne!(lanes(&plain.stdout), lanes(&drawn.stdout), "other faults are drawn");
    assert!(drawn.stdout.contains("hookproof sweep t.toml --swarm --hook hardened --seeds 1..2"), "{}", drawn.stdout);
    let limited = folder.run(&["trace", "t.toml", "--swarm", "--max-events", "10"]);
    assert_eq!((limited.exit, limited.stdout.as_str()), (2, ""), "{}", limited.stderr);
    let twice =
        folder.run(&["trace", "t.toml", "--hook", "original", "--hook", "original", "--user", "7", "--show-ids"]);
    assert_eq!(twice.stdout.matches(" · user-7\n").count(), 1, "a hook that is named twice is traced once");
}

#[test]
fn who_cannot_be_a_user_is_refused() {
    let folder = folder();
    for (user, says) in [("200", "the users of this scenario are user-0 to user-199"), ("bob", "user-17 or 17")] {
        let run = folder.run(&["trace", "t.toml", "--user", user]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
}
