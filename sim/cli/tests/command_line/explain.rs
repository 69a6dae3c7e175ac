//! Goal: `explain` says in plain words what a scenario resolves to, the same at each call, within the width and without a
//! colour that carries meaning. Method: snapshots of scenarios of this repository, and figures that follow from the file.

use std::path::Path;

use serde_json::Value;

use super::folder::{Folder, SMALL};

fn scenario(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name).display().to_string()
}

fn explained(arguments: &[&str]) -> String {
    let run = Folder::new().run(&[&["explain"], arguments].concat());
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    run.stdout
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), text));
}

#[test]
fn the_retry_storm_is_explained() {
    snapshot("explain-retry-storm", &explained(&[&scenario("incidents/retry-storm.toml")]));
}

#[test]
fn a_roll_out_during_an_outage_is_explained() {
    snapshot("explain-reweight", &explained(&[&scenario("changes/reweight-during-outage.toml")]));
}

#[test]
fn a_promise_that_falls_is_explained_with_its_hazard() {
    let text = explained(&[&scenario("promise/key-lost-idempotency-key.toml")]);
    assert!(text.contains("key-lost: impossible"), "{text}");
    snapshot("explain-key-lost", &text);
}

#[test]
fn ascii_and_a_narrow_width_leave_nothing_out() {
    let path = scenario("incidents/over-allocation.toml");
    let narrow = explained(&[&path, "--ascii", "--width", "60"]);
    assert!(narrow.is_ascii());
    assert!(narrow.lines().all(|line| line.len() <= 60), "{narrow}");
    let words = |text: &str| text.split("On one time line").next().unwrap_or_default().split_whitespace().count();
    assert_eq!(words(&narrow), words(&explained(&[&path])));
    snapshot("explain-over-allocation-narrow", &narrow);
}

#[test]
fn figures_for_programs_follow_from_the_file() {
    let folder = Folder::with(&[("small.toml", SMALL)]);
    let run = folder.run(&["explain", "small.toml", "--format", "json"]);
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    let json: Value = serde_json::from_str(&run.stdout).expect("the explanation is JSON");
    assert_eq!(json["schema"], "hookproof.explain/1");
    let figures = &json["explanations"][0]["figures"];
    // A hundred users who come twice each; 1 - e^-2 of them at all, half of those treated.
    assert_eq!(figures["visits"], 200);
    assert_eq!(figures["users"], 86.4665);
    assert_eq!(figures["grants"], 43.2332);
    assert_eq!(figures["capacity-per-second"], 320);
    assert_eq!(run.stdout, folder.run(&["explain", "small.toml", "--format", "json"]).stdout);
}

#[test]
fn a_swarm_is_explained_as_its_seed_draws_it() {
    let path = scenario("swarm.toml");
    let drawn = |seed: &str| explained(&[&path, "--swarm", "--seed", seed]);
    assert_eq!(drawn("3"), drawn("3"));
    assert!(drawn("3") != drawn("4"), "another seed draws another scenario");
    assert!(drawn("3").contains("(seed 3, drawn by the swarm)"));
}

#[test]
fn absurd_spikes_are_explained_in_figures_or_refused() {
    let spike = "[[traffic]]\nkind = \"spike\"\nat = \"1s\"\nfor = \"20s\"\nfactor = 1e6\n";
    let folder = Folder::with(&[
        ("large.toml", &(SMALL.to_owned() + &spike.repeat(2))),
        ("absurd.toml", &(SMALL.to_owned() + &spike.repeat(60))),
    ]);
    let all = u64::MAX.to_string();
    let unlimited = ["--max-events", &all, "--max-memory", &all];
    let large = folder.run(&[&["explain", "large.toml"], &unlimited[..]].concat());
    assert_eq!(large.exit, 0, "{}", large.stderr);
    let longest = large.stdout.split_whitespace().map(|word| word.chars().filter(char::is_ascii_digit).count()).max();
    assert!(longest <= Some(15), "digits that mean nothing: {}", large.stdout);
    let absurd = folder.run(&[&["explain", "absurd.toml"], &unlimited[..]].concat());
    assert_eq!((absurd.exit, absurd.stdout.as_str()), (2, ""));
    assert!(absurd.stderr.contains("absurd.toml: a run would take more events or memory than can be counted"));
}

#[test]
fn a_broken_file_is_refused_before_anything_is_printed() {
    let folder = Folder::with(&[("bad.toml", "schema = 1\n"), ("good.toml", SMALL)]);
    let run = folder.run(&["explain", "good.toml", "bad.toml"]);
    assert_eq!((run.exit, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("`title` is missing"), "{}", run.stderr);
}
