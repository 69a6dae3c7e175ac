//! Capability: the documents for users name what the code has, and their first example does what they say.
//!
//! Method: names are taken from the code (metrics) and from runs (faults, reached counts, invariants), and looked up in the
//! text, in backticks. Keys are those of the scenario file that sets every setting.

use std::fs;
use std::path::{Path, PathBuf};

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Checks that `text` has each name in backticks.
fn assert_names<'n>(path: &str, text: &str, names: impl IntoIterator<Item = &'n str>) {
    let missing: Vec<_> = names.into_iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{path} does not name {missing:?}");
}

fn every_fault() -> Outcome {
    let source = include_bytes!("good/every-fault.toml");
    let scenario = decode("every-fault", "every-fault.toml", source).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario, HookKind::Hardened, 1, &mut |_| {})
}

#[test]
fn every_metric_has_its_row() {
    let text = document("docs/metrics.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    for metric in Metric::ALL {
        let row = format!("| `{}`", metric.name());
        assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/metrics.md has no row for {}", metric.name());
    }
}

#[test]
fn every_reached_count_and_every_invariant_is_explained() {
    let (path, outcome) = ("docs/metrics.md", every_fault());
    let text = document(path);
    assert_names(path, &text, outcome.reached.keys().copied());
    assert_names(path, &text, outcome.invariants.iter().map(|invariant| invariant.id));
    for invariant in &outcome.invariants {
        assert!(text.contains(invariant.says), "{path} says something else of {}", invariant.id);
    }
}

#[test]
fn every_fault_has_its_row_and_the_row_tells_what_is_simulated() {
    let text = document("docs/scenarios.md");
    for fault in every_fault().faults {
        let row = format!("| `{}`", fault.kind);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(&row)).collect();
        assert!(!rows.is_empty(), "docs/scenarios.md has no row for {}", fault.kind);
        assert!(rows.iter().all(|line| line.contains("| yes")), "{} is simulated: {rows:?}", fault.kind);
    }
}

#[test]
fn every_key_of_a_scenario_is_documented() {
    let path = "docs/scenarios.md";
    let source = [include_str!("good/every-setting.toml"), include_str!("good/every-traffic.toml")].concat();
    let is_of_a_key = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let before_equals = source.lines().flat_map(|line| line.split('=').rev().skip(1));
    let keys = before_equals.filter_map(|text| text.trim_end().rsplit(|letter| !is_of_a_key(letter)).next());
    let keys: Vec<&str> = keys.filter(|key| !key.is_empty()).collect();
    assert!(keys.len() > 90, "only {} keys were found", keys.len());
    assert_names(path, &document(path), keys);
}

#[test]
fn the_first_example_passes_and_its_fault_is_met() {
    let text = document("docs/scenarios.md");
    let (_, after) = text.split_once("```toml\n").expect("the document begins with an example");
    let (example, _) = after.split_once("```").expect("the example ends");
    let scenario =
        decode("lost-replies", "lost-replies.toml", example.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = run(&scenario, HookKind::Hardened, scenario.seed, &mut |_| {});
    assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.expectations);
    assert!(outcome.faults.iter().all(|fault| fault.effects > 0), "{:?}", outcome.faults);
}

#[test]
fn the_readme_of_the_scenarios_names_every_file() {
    let text = document("scenarios/README.md");
    let root = repository().join("scenarios");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                assert!(text.contains(&format!("`{name}`")), "scenarios/README.md does not name {name}");
            }
        }
    }
}
