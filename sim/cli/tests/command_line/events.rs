//! `run --events`: the log of what happened, as other systems write it.

use std::collections::BTreeMap;
use std::fs;

use hookproof_reports::{Run, parse};
use serde_json::Value;

use super::folder::Folder;

const STORM: &str = r#"
schema = 1
title = "A spike, lost replies and a restart"
start = "2026-03-01T00:00:00Z"
duration = "120s"
calm = "5m"
experiment = { id = "quota", version = 3, variant = [{ name = "control", weight = 1 }, { name = "extra", weight = 1, grant = 25 }] }
users = { population = 300 }
traffic = [
  { name = "base", kind = "steady", rate = "10/s" },
  { name = "rush", kind = "spike", at = "20s", for = "10s", factor = 2 },
]
caller = { deadline = "2s", retries = 3 }
fleet = { instances = 3 }
fault = [
  { kind = "quota.lost-reply", name = "lost", at = "10s", for = "60s", probability = 0.3 },
  { kind = "process.crash", name = "restart", at = "50s", downtime = "2s", on = ["app-2"] },
]
"#;

/// The lines of a log, and the run's record.
fn logged(folder: &Folder, hook: &str) -> (String, Run) {
    let arguments =
        ["run", "storm.toml", "--hook", hook, "--format", "json", "--events", "logs/events.jsonl", "--quiet"];
    let output = folder.run(&arguments);
    assert_eq!(output.exit, 0, "{}", output.stderr);
    let record = parse(&output.stdout).expect("a run record");
    let log = fs::read_to_string(folder.path("logs/events.jsonl")).expect("the log was written");
    (log, record.runs.into_iter().next().expect("one run"))
}

#[test]
fn the_log_has_in_order_what_the_record_counts() {
    let folder = Folder::with(&[("storm.toml", STORM)]);
    for hook in ["original", "published", "hardened"] {
        let (log, run) = logged(&folder, hook);
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let times: Vec<&str> = lines.iter().map(|line| line["t"].as_str().unwrap()).collect();
        let times: Vec<jiff::Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
        assert!(times.is_sorted(), "{hook}");
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &lines {
            *kinds.entry(line["kind"].as_str().unwrap()).or_default() += 1;
        }
        let metric = |name: &str| run.metrics[name].to_string();
        let series = |name: &str| run.series.counts[name].iter().sum::<u64>();
        let count = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
        assert_eq!(count("call").to_string(), metric("upstream.attempts"), "{hook}");
        assert_eq!(count("exposure").to_string(), metric("exposure.logged"), "{hook}");
        assert_eq!(count("effect"), series("effects"), "{hook}");
        let visits = lines.iter().filter(|line| line["kind"] == "visit" && line["retry-of"].is_null());
        assert_eq!(visits.count() as u64, series("visits"), "{hook}");
        let refused =
            |line: &&Value| ["refused", "dns", "tls", "connect-timeout"].iter().any(|why| line["error"] == *why);
        let refused = lines.iter().filter(refused).count() as u64;
        assert_eq!((count("call") - refused).to_string(), metric("upstream.calls"), "{hook}");
        assert_eq!((count("start"), count("stop")), (4, 1), "{hook}: three processes, one of them twice");
        let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
        let lost =
            ["fault-start lost (quota.lost-reply)", "fault-end rush (spike)", "fault-end lost (quota.lost-reply)"];
        assert!(lost.iter().all(|text| texts.contains(text)), "{hook}: {texts:?}");
    }
}

#[test]
fn lines_refer_to_lines_before_them_and_every_name_is_given_once() {
    let folder = Folder::with(&[("storm.toml", STORM)]);
    for hook in ["original", "hardened"] {
        let (log, _) = logged(&folder, hook);
        let (mut visits, mut requests, mut retries) = (BTreeMap::new(), BTreeMap::new(), 0);
        for line in log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let text = |field: &str| line[field].as_str().map(str::to_owned);
            match line["kind"].as_str().unwrap() {
                "visit" => {
                    if let Some(first) = text("retry-of") {
                        assert_eq!(visits[&first], text("user"), "{hook}");
                        retries += 1;
                    }
                    assert!(visits.insert(text("visit").unwrap(), text("user")).is_none(), "{hook}: {line}");
                }
                "call" => assert!(requests.insert(text("request").unwrap(), text("user")).is_none(), "{hook}: {line}"),
                "answer" | "effect" => assert_eq!(requests[&text("request").unwrap()], text("user"), "{hook}"),
                "exposure" => assert_eq!((&line["experiment"], &line["version"]), (&"quota".into(), &"3".into())),
                "settled" => assert_eq!((hook, &line["as"]), ("hardened", &"delivered".into())),
                "start" | "stop" => assert!(text("instance").unwrap().starts_with("app-")),
                kind => assert_eq!(kind, "note"),
            }
        }
        assert!(retries > 0 || hook == "hardened", "callers of the original wait for lost replies, and come again");
    }
}

#[test]
fn the_log_is_the_same_again_and_replaces_the_former_whole() {
    let folder = Folder::with(&[("storm.toml", STORM)]);
    let (first, _) = logged(&folder, "hardened");
    folder.write("logs/events.jsonl", "what was there");
    assert_eq!(logged(&folder, "hardened").0, first);
    let entries = fs::read_dir(folder.path("logs")).unwrap().count();
    assert_eq!(entries, 1, "no temporary file is left");
}

#[test]
fn a_place_that_takes_no_log_is_refused_under_its_option_before_anything_is_run() {
    let folder = Folder::with(&[("storm.toml", STORM), ("taken/x", ""), ("file", "")]);
    for (place, why) in
        [("taken", "it is a folder"), ("..", "it is a folder"), ("file/log.jsonl", "--events file/log.jsonl: ")]
    {
        let run = folder.run(&["run", "storm.toml", "--hook", "original", "--events", place]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{place}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("--events {place}: ")) && run.stderr.contains(why), "{}", run.stderr);
        assert!(!run.stderr.contains("--out"), "{}", run.stderr);
    }
}

#[test]
fn several_runs_have_no_common_log() {
    let folder = Folder::with(&[("storm.toml", STORM)]);
    for more in [&["--hook", "original", "--seeds", "1..3"][..], &[]] {
        let output = folder.run(&[&["run", "storm.toml", "--events", "log.jsonl"], more].concat());
        assert_eq!(output.exit, 2);
        assert!(output.stderr.contains("--events writes the log of one run"), "{}", output.stderr);
        assert!(!folder.path("log.jsonl").exists());
    }
}
