//! Goal: every form of a report says what the experiment would have concluded, and what zeros over several seeds are worth, and
//! claims neither where there is nothing to claim. Method: the binary on a small scenario with and without a planted lift.

use serde_json::Value;

use super::folder::{Folder, SMALL};

fn folder() -> Folder {
    let planted = SMALL.replace("id = \"quota-experiment\"", "id = \"quota-experiment\"\ntrue-lift = 3.0");
    Folder::with(&[("lift.toml", &planted), ("none.toml", SMALL)])
}

const FORMATS: [&str; 3] = ["human", "markdown", "html"];

/// Words without the line breaks and the markup between them.
fn printed(folder: &Folder, arguments: &[&str]) -> String {
    let run = folder.run(&[&["run"], arguments].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    run.stdout.split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "")
}

/// The lift is three standard deviations: a hundred users show it.
#[test]
fn a_planted_lift_that_is_seen_is_said_to_be_in_every_form() {
    let folder = folder();
    for format in FORMATS {
        let with = printed(&folder, &["lift.toml", "--format", format]);
        assert!(with.contains("a lift, and the planted one is within the interval"), "{format}: {with}");
        assert!(with.contains("300.0 %"), "{format}: {with}");
        let without = printed(&folder, &["none.toml", "--format", format]);
        assert!(!without.contains("planted one is within"), "{format}: {without}");
    }
}

#[test]
fn the_record_has_the_tests_of_the_sample_ratio_and_the_metric_among_them() {
    let folder = folder();
    let run = folder.run(&["run", "lift.toml", "--format", "json"]);
    let record: Value = serde_json::from_str(&run.stdout).expect("a record");
    let run = &record["runs"][0];
    let experiment = &run["experiment"];
    assert_eq!(experiment["srm"]["chi-square-p"], run["metrics"]["experiment.srm-p"]);
    assert_eq!(experiment["srm"]["exact-p"], Value::Null, "some fifty are expected in each arm");
    let sequential = experiment["srm"]["sequential-p"].as_f64().expect("a number");
    assert!((0.001..=1.0).contains(&sequential), "{sequential}");
    assert_eq!(experiment["lift"]["bias"], run["metrics"]["experiment.lift-bias"]);
    assert_eq!(experiment["lift"]["planted"], 3.0);
    let exposed = |arm: &Value| arm["exposed"].as_u64().expect("a count");
    let arms = experiment["arms"].as_array().expect("arms");
    assert_eq!(arms.iter().map(exposed).sum::<u64>(), experiment["exposed"].as_u64().expect("a count"));
    assert_eq!(
        arms.iter().map(|arm| arm["variant"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["control", "extra-quota"]
    );
}

#[test]
fn zeros_over_seeds_stand_beside_their_bound_and_those_of_one_seed_do_not() {
    let folder = folder();
    for format in FORMATS {
        let several = printed(&folder, &["none.toml", "--seeds", "1..21", "--format", format]);
        let bound = "no violation in 20 seeds; with 95 % confidence fewer than 15% of such seeds have one";
        assert!(several.contains(bound), "{format}: {several}");
        let one = printed(&folder, &["none.toml", "--format", format]);
        assert!(!one.contains("confidence"), "{format}: {one}");
    }
}
