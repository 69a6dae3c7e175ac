//! `promise`: the tables are the core's, the document is the program's, and runs confirm what is printed.

use std::path::PathBuf;

use hookproof_core::classify::{AnswerClass, Doubt};
use hookproof_core::promise::{Hazard, Offer, promise};
use serde_json::Value;

use super::folder::Folder;

const REGENERATE: &str = "cargo run --release -- promise --format markdown > docs/promise.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn json(arguments: &[&str]) -> Value {
    let run = Folder::new().run(&[&["promise", "--format", "json", "-q"], arguments].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).expect("the program prints JSON")
}

#[test]
fn the_document_is_what_the_program_prints() {
    let printed = Folder::new().run(&["promise", "--format", "markdown"]).stdout;
    let committed = std::fs::read_to_string(root().join("docs/promise.md")).unwrap_or_default();
    assert!(printed == committed, "docs/promise.md is not what the tables say; write it again: {REGENERATE}");
    assert!(printed.contains(REGENERATE), "the document says how it is made");
}

#[test]
fn every_link_of_the_document_leads_to_a_file() {
    let document = std::fs::read_to_string(root().join("docs/promise.md")).unwrap();
    let links: Vec<&str> = document.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() >= 10, "{links:?}");
    for link in links {
        assert!(root().join("docs").join(link).is_file(), "{link}");
    }
}

#[test]
fn the_json_is_the_cores_table_cell_by_cell() {
    let document = json(&[]);
    assert_eq!(document["schema"], "hookproof.promise/1");
    let rows = document["matrix"].as_array().unwrap();
    assert_eq!(rows.len(), Hazard::ALL.len());
    for (row, hazard) in rows.iter().zip(Hazard::ALL) {
        assert_eq!(row["hazard"], hazard.name());
        for offer in Offer::ALL {
            assert_eq!(row["offers"][offer.name()]["verdict"], promise(offer, hazard).name());
        }
    }
    assert_eq!(document["sends"].as_array().unwrap().len(), AnswerClass::ALL.len() * Doubt::ALL.len());
    assert_eq!(document["reads"].as_array().unwrap().len(), AnswerClass::ALL.len());
}

#[test]
fn a_person_sees_every_hazard_every_offer_and_every_kind_of_answer() {
    let printed = Folder::new().run(&["promise"]).stdout;
    let names = Hazard::ALL.map(Hazard::name).into_iter().chain(Offer::ALL.map(Offer::name));
    for name in names.chain(["200, 201, 204", "in doubt", "pause the lane", "read back"]) {
        assert!(printed.contains(name), "{name} is missing in:\n{printed}");
    }
}

#[test]
fn runs_of_a_cell_confirm_it_and_do_not_depend_on_the_threads() {
    let arguments = ["--cell", "lost-reply-read-back", "--runs", "6", "--seed", "11"];
    let one = json(&[&arguments[..], &["--jobs", "1"]].concat());
    let many = json(&[&arguments[..], &["--jobs", "7"]].concat());
    assert_eq!(one, many);
    let cell = &one["cells"][0];
    assert_eq!((&cell["finding"], &cell["violations"]), (&"confirmed".into(), &0.into()));
    assert!(cell["hazard-effects"].as_u64() > Some(0) && cell["effects"].as_u64() > Some(0), "{cell}");
    let runs = cell["runs"].as_f64().unwrap();
    assert!((one["bound-95"].as_f64().unwrap() - 3.0 / runs).abs() < 1e-9, "three in {runs} runs");
}

#[test]
fn runs_are_spread_over_all_cells() {
    let run = Folder::new().run(&["promise", "--runs", "76", "--format", "json", "-q"]);
    assert!([0, 3].contains(&run.exit), "nothing is contradicted: {}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells.len(), Hazard::ALL.len() * Offer::ALL.len());
    assert!(cells.iter().all(|cell| cell["runs"].as_u64() <= Some(1)));
    assert_eq!(document["violations"], 0);
}

#[test]
fn what_was_not_seen_is_inconclusive() {
    // In this one run the receipt comes in time: nothing stays parked.
    let run = Folder::new().run(&["promise", "--cell", "stall-none", "--runs", "1"]);
    assert_eq!(run.exit, 3, "{}", run.stdout);
    assert!(run.stderr.contains("was not seen in 1 runs; ask for more --runs"), "{}", run.stderr);
}

#[test]
fn the_scenario_of_a_run_can_be_saved_and_run() {
    let folder = Folder::new();
    let cell = folder.run(&["promise", "--cell", "stall-idempotency-key", "--seed", "5"]);
    assert_eq!(cell.exit, 0, "{}", cell.stderr);
    folder.write("cell.toml", &cell.stdout);
    let run = folder.run(&["run", "cell.toml"]);
    assert_eq!(run.exit, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("seed 5"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_asked_is_bad_input() {
    for (arguments, message) in [
        (&["--runs", "0"][..], "--runs"),
        (&["--runs", "1000001"], "--runs"),
        (&["--cell", "lost-reply"], "a hazard and an offer are needed"),
        (&["--format", "yaml"], "possible values"),
        (&["--seed", "9223372036854775807"], "--seed"),
    ] {
        let run = Folder::new().run(&[&["promise"], arguments].concat());
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains(message), "{arguments:?}: {}", run.stderr);
    }
}
