//! Goal: every protection of the hook is seen to matter in `scenarios/ablation.toml`, and docs/ablation.md shows what the program
//! prints. Method: the binary, on the scenario as it is.

use std::path::PathBuf;
use std::process::Command;

use hookproof_core::protection::Protection;
use hookproof_reports::{Verdict, parse};

const SCENARIO: &str = "scenarios/ablation.toml";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_protection_is_seen_to_matter_and_the_page_shows_the_matrix() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.args(["ablate", SCENARIO, "--require-all", "--quiet", "--out"]).arg(folder.path());
    let output = command
        .current_dir(root())
        .env("NO_COLOR", "1")
        .env_remove("HOOKPROOF_ID_KEY")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let record = std::fs::read_to_string(folder.path().join("ablation.json")).expect("the record was written");
    let record = parse(&record).expect("it is a run record");
    let [ablation] = record.ablations.as_slice() else { panic!("one scenario, one matrix") };
    assert_eq!(ablation.verdict, Verdict::Pass);
    assert_eq!(record.runs.len(), 1, "the complete hook's run");
    let names: Vec<&str> = ablation.removed.iter().map(|row| row.without.as_str()).collect();
    assert_eq!(names, Protection::ALL.map(Protection::name));
    // What each is for, in the words of the invariants and of the scenario.
    let prevents = [
        ("stable-key", "GRANT-1"),
        ("window-guard", "GRANT-4"),
        ("adaptive-limit", "LOAD-1"),
        ("retry-budget", "LOAD-2"),
        ("breaker", "upstream.calls during outage"),
        ("jitter", "upstream.peak-rps during later"),
        ("version-agreement", "ASSIGN-1"),
    ];
    for (row, (protection, broken)) in ablation.removed.iter().zip(prevents) {
        assert_eq!(row.without, protection);
        assert!(row.breaks.iter().any(|one| one.name == broken), "{protection}: {:?}", row.breaks);
    }

    let page = std::fs::read_to_string(root().join("docs/ablation.md")).expect("the page is part of the repository");
    let (_, block) = page.split_once("```text\n").expect("the page has a block");
    let (shown, _) = block.split_once("\n```").expect("a block ends");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(shown.trim_end(), printed.trim_end());
}
