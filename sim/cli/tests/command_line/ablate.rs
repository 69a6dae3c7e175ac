//! Goal: `ablate` judges the complete hook, and a protection only where it is asked to. Method: the binary in a folder of small
//! scenario files.

use hookproof_reports::{Verdict, parse};

use super::folder::{Folder, MET, NOT_MET, NOTHING_TO_MEASURE, SMALL};

const FAULT: &str =
    "\n[[fault]]\nkind = \"quota.lost-reply\"\nname = \"late\"\nat = \"10s\"\nfor = \"30s\"\nprobability = 0.5\n";

fn files() -> Folder {
    let small = |rest: &str| format!("{SMALL}{rest}");
    Folder::with(&[
        ("quiet.toml", &small(MET)),
        ("lost.toml", &small(&format!("{FAULT}{MET}"))),
        ("violated.toml", &small(NOT_MET)),
        ("nothing.toml", &small(NOTHING_TO_MEASURE)),
        ("reference.toml", &SMALL.replace("[\"hardened\"]", "[\"original\"]")),
    ])
}

#[test]
fn the_exit_code_is_that_of_the_complete_hook() {
    let folder = files();
    for (file, exit) in [("quiet", 0), ("lost", 0), ("violated", 1), ("nothing", 3), ("reference", 0)] {
        let run = folder.run(&["ablate", &format!("{file}.toml")]);
        assert_eq!(run.exit, exit, "{file}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("seed 7, hardened without each of 7 protections\n"), "{}", run.stderr);
    }
}

#[test]
fn require_all_fails_where_a_protection_is_not_seen_to_matter_and_names_it() {
    let folder = files();
    let run = folder.run(&["ablate", "lost.toml", "--require-all", "--quiet"]);
    assert_eq!(run.exit, 1);
    assert!(run.stdout.contains("\n  1 of 7 protections are seen to matter"), "{}", run.stdout);
    let named =
        "error: nothing breaks without window-guard, adaptive-limit, retry-budget, breaker, jitter, version-agreement";
    assert!(run.stderr.starts_with(named), "{}", run.stderr);
}

#[test]
fn the_record_is_the_same_whatever_the_threads_and_holds_the_matrix() {
    let folder = files();
    let seeds = ["ablate", "lost.toml", "--seeds", "3..6", "--format", "json", "--jobs"];
    let one = folder.run(&[&seeds[..], &["1"]].concat());
    let many = folder.run(&[&seeds[..], &["5", "--check-determinism"]].concat());
    assert_eq!((one.exit, many.exit), (0, 0), "{}{}", one.stderr, many.stderr);
    assert_eq!(one.stdout, many.stdout);
    let record = parse(&one.stdout).expect("a run record");
    let seeds: Vec<u64> = record.runs.iter().map(|run| run.seed).collect();
    assert_eq!(seeds, [3, 4, 5]);
    let ablation = &record.ablations[0];
    assert_eq!((ablation.seeds.from, ablation.seeds.to, ablation.verdict), (3, 6, Verdict::Pass));
    let stable_key = &ablation.removed[0];
    assert_eq!((stable_key.breaks[0].name.as_str(), stable_key.breaks[0].first_seed), ("GRANT-1", 3));
    assert!(ablation.complete.cells.iter().all(|cell| cell.worse == 0));
}

#[test]
fn the_record_is_written_beside_the_matrix() {
    let folder = files();
    let run = folder.run(&["ablate", "lost.toml", "--format", "markdown", "--format", "json", "--out", "out"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with("## lost (seed 7)"), "{}", run.stdout);
    let written = std::fs::read_to_string(folder.path("out/ablation.json")).expect("the record was written");
    assert_eq!(parse(&written).expect("a run record").ablations.len(), 1);
}

#[test]
fn the_matrix_is_a_page_and_is_shown_again_from_the_record() {
    let folder = files();
    let page = folder.run(&["ablate", "lost.toml", "--format", "html", "--out", "out"]);
    assert_eq!(page.exit, 0, "{}", page.stderr);
    assert_eq!(std::fs::read_to_string(folder.path("out/ablation.html")).expect("the page was written"), page.stdout);
    assert!(page.stdout.contains("Which protection prevents which harm"));
    let again = folder.run(&["report", "out/ablation.json", "--format", "html", "--scenario", "lost.toml"]);
    assert_eq!((again.exit, again.stdout), (0, page.stdout));
    for format in ["human", "markdown"] {
        let again = folder.run(&["report", "out/ablation.json", "--format", format]);
        assert!(again.stdout.contains("1 of 7 protections are seen to matter"), "{format}: {}", again.stdout);
    }
    let same = folder.run(&["compare", "out/ablation.json", "out/ablation.json"]);
    assert_eq!(same.exit, 0);
    let words = same.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Not compared: The matrices of ablations"), "{words}");
}

#[test]
fn what_cannot_be_ablated_is_bad_input() {
    let folder = files();
    for arguments in [
        &["ablate", "."][..],
        &["ablate", "missing.toml"],
        &["ablate", "quiet.toml", "--hook", "original"],
        &["ablate", "quiet.toml", "--format", "human", "--format", "json"],
        &["ablate", "quiet.toml", "--seeds", "0..2000"],
        &["ablate", "quiet.toml", "--max-events", "10"],
        &["ablate"],
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
    }
    let run = folder.run(&["ablate", "quiet.toml", "--hook", "hardened", "--quiet"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
}
