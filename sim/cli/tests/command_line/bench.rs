//! Goal: a bench measures the hooks that it is told to, says what the figures are of, and refuses what makes no sense before it does anything.
//!
//! Method: short runs of the binary on a store in a temporary folder. No figure is judged: another machine has others, so that a run may be
//! inconclusive.

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::folder::{Finished, Folder};

/// A generator that lags by less than this is no reason to call a run of a busy machine inconclusive.
const SHORT: [&str; 9] = ["bench", "--rate", "400/s", "--for", "300ms", "--warm-up", "50ms", "--max-lag", "60s"];

fn bench(folder: &Folder, arguments: &[&str]) -> Finished {
    folder.run(&[&SHORT[..], arguments].concat())
}

/// What is left in the folder.
fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("")).expect("the folder is there");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

#[test]
fn hooks_are_measured_side_by_side_and_the_record_has_every_quantile() {
    let folder = Folder::new();
    let run = bench(&folder, &["--users", "50", "--first-visits", "0.5", "--format", "json", "--out", "out"]);
    assert_eq!(run.exit, 0, "{}{}", run.stdout, run.stderr);
    let record: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!((&record["schema"], &record["clock"]), (&json!("hookproof.bench/1"), &json!("real")));
    assert_eq!((&record["settings"]["for"], &record["settings"]["upstream"]), (&json!("300ms"), &json!("ok")));
    let hooks = record["hooks"].as_array().expect("a list");
    let of_hooks: Vec<&Value> = hooks.iter().map(|hook| &hook["hook"]).collect();
    assert_eq!(of_hooks, [&json!("hardened"), &json!("hardened-sidecar")]);
    for hook in hooks {
        let count = |name: &str| hook[name].as_u64().expect("a count");
        assert_eq!(count("offered_count"), count("recorded_count"), "{hook}");
        let of_kind = |kind: &str| hook[kind]["wait"]["count"].as_u64().expect("a count");
        assert_eq!(of_kind("first") + of_kind("repeated"), count("recorded_count"));
        // The same visits for each hook.
        assert_eq!(hooks[0]["first"]["wait"]["count"], hook["first"]["wait"]["count"]);
        assert!(hook["disk"]["commit_bytes"].as_u64().expect("bytes") > 4_096, "{hook}");
        let kinds = ["first", "repeated"].map(|kind| [&hook[kind]["wait"], &hook[kind]["call"]]);
        for quantiles in kinds.into_iter().flatten().chain([&hook["lag"], &hook["disk"]["fsync"]]) {
            let nanos = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| quantiles[name].as_u64());
            assert!(nanos[0].is_some_and(|p50| p50 > 0) && nanos.is_sorted(), "{quantiles}");
        }
    }
    let written = std::fs::read_to_string(folder.path("out/bench.json")).expect("a file");
    assert_eq!(written, run.stdout);
    let page = std::fs::read_to_string(folder.path("out/bench.md")).expect("a file");
    assert!(page.contains("### hardened-sidecar") && page.contains("| repeated visit, wait |"), "{page}");
    assert_eq!(names(&folder), ["out"], "the stores are gone");
}

#[test]
fn every_key_of_the_record_is_explained() {
    let folder = Folder::new();
    let run = bench(&folder, &["--first-visits", "0.5", "--format", "json", "--quiet"]);
    let record: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bench.md")).expect("the page");
    let mut values = vec![&record];
    while let Some(value) = values.pop() {
        if let Value::Object(object) = value {
            for key in object.keys() {
                assert!(text.contains(&format!("`{key}`")), "docs/bench.md does not name {key}");
            }
            values.extend(object.values());
        }
        values.extend(value.as_array().into_iter().flatten());
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn the_table_fits_80_columns_however_the_service_fails() {
    let folder = Folder::new();
    for upstream in ["hang", "reset", "throttle"] {
        let run = bench(&folder, &["--upstream", upstream, "--hook", "hardened"]);
        assert_eq!(run.exit, 0, "{}{}", run.stdout, run.stderr);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
        assert!(run.stdout.contains(&format!("quota service {upstream}")), "{}", run.stdout);
        assert!(run.stdout.contains("repeated visit, wait") && run.stdout.contains("fsync of"), "{}", run.stdout);
        assert!(!run.stdout.contains("hardened-sidecar"), "{}", run.stdout);
    }
}

#[test]
fn a_generator_that_lags_makes_it_inconclusive() {
    let folder = Folder::new();
    let run = folder.run(&["bench", "--rate", "400/s", "--for", "200ms", "--max-lag", "0s", "--hook", "hardened"]);
    assert_eq!(run.exit, 3, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("inconclusive: the generator lagged"), "{}", run.stdout);
}

#[test]
fn who_is_interrupted_leaves_no_store_behind() {
    for (signal, exit) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let folder = Folder::new();
        let mut bench = folder.command(&["bench", "--for", "20s", "--quiet"]).spawn().expect("the binary starts");
        let has_store = || names(&folder).iter().any(|name| folder.path(name).join("hardened").exists());
        while !has_store() && bench.try_wait().expect("it is ours").is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        let kill = format!("kill -{signal} {}", bench.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        assert_eq!(bench.wait().expect("it is ours").code(), Some(exit), "SIG{signal}");
        assert_eq!(names(&folder), Vec::<String>::new(), "SIG{signal}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let folder = Folder::with(&[("file", "")]);
    let cases: [(&[&str], &str); 9] = [
        (&["--hook", "original"], "[possible values: hardened, hardened-sidecar]"),
        (&["--upstream", "slow"], "[possible values: ok, hang, reset, throttle]"),
        (&["--rate", "1000"], "as in 1000/s"),
        (&["--rate", "0/s"], "as in 1000/s"),
        (&["--for", "10"], "is no length of time"),
        (&["--for", "0s"], "nothing would be measured"),
        (&["--first-visits", "1.5"], "a share from 0 to 1"),
        (&["--users", "0"], "0 is not in 1..=100000"),
        (&["--store", "file"], "--store file"),
    ];
    for (arguments, said) in cases {
        let run = folder.run(&[&["bench"], arguments].concat());
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains(said), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(names(&folder), ["file"]);
}
