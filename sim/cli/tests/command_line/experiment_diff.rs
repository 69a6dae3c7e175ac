//! Goal: `experiment diff` lets a change pass only if it may be made and every operation is named, and counts whom it
//! moves. Method: one version and what is changed of its text, with lists of users that are right or broken.

use serde_json::Value;

use super::folder::{Finished, Folder};

const OLD: &str = r#"
[experiment]
id       = "quota"
version  = 1
coverage = 0.5
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "more"
weight = 50
grant  = 25
"#;

/// Texts and what they become.
type Texts<'t> = &'t [(&'t str, &'t str)];

/// The version after it, with more keys and other texts.
fn next(keys: &str, changes: Texts<'_>) -> String {
    let text = OLD.replace("version  = 1", &format!("version = 2\n{keys}"));
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn folder(new: &str) -> Folder {
    Folder::with(&[("old.toml", OLD), ("new.toml", new)])
}

fn diff(folder: &Folder, options: &[&str]) -> Finished {
    folder.run(&[&["experiment", "diff", "old.toml", "new.toml"], options].concat())
}

fn json(folder: &Folder, options: &[&str]) -> (i32, Value) {
    let run = diff(folder, &[options, &["--format", "json"]].concat());
    (
        run.exit,
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr)),
    )
}

#[test]
fn a_change_passes_if_all_of_it_and_nothing_else_is_named() {
    let ramp = ("coverage = 0.5", "coverage = 0.6");
    let cases: [(&str, Texts<'_>, i32, &str); 9] = [
        ("", &[], 0, "PASS: there is no operation to name"),
        ("operations = ['ramp']", &[ramp], 0, "ramp           named      coverage 50 % to 60 %\n"),
        ("", &[ramp], 1, "FAIL: the operation `ramp` is not named"),
        ("operations = ['ramp', 'end']", &[ramp], 1, "FAIL: the operation `end` is named but does not happen"),
        ("operations = ['re-weight']", &[ramp, ("weight = 50\ngrant", "weight = 75\ngrant")], 1, "`ramp` is not named"),
        (
            "operations = ['reshuffle']\nsalt = 'b'\ngeneration = 1",
            &[],
            0,
            "salt \"quota\" to \"b\", generation 0 to 1\n",
        ),
        ("operations = ['reshuffle']\nsalt = 'b'", &[], 1, "refused: the salt changes"),
        ("", &[("grant  = 25", "grant = 30")], 0, "note: \"more\" grants 30 units instead of 25"),
        ("lineage = 'b'", &[], 1, "refused: the lineage changes"),
    ];
    for (keys, changes, exit, line) in cases {
        let folder = folder(&next(keys, changes));
        let run = diff(&folder, &[]);
        assert_eq!((run.exit, run.stderr.as_str()), (exit, ""), "{keys} {changes:?}: {}", run.stdout);
        assert!(run.stdout.contains(line), "{line} in {}", run.stdout);
        assert_eq!(json(&folder, &[]).0, exit, "the format is no part of the verdict");
    }
}

#[test]
fn the_same_version_with_another_content_is_refused() {
    let folder = folder(&OLD.replace("0.5", "0.6"));
    let (exit, diff) = json(&folder, &[]);
    assert_eq!((exit, &diff["verdict"]), (1, &"violated".into()));
    assert_eq!(diff["refusals"][0]["cause"], "the content changes and the version is still `1`");
    assert_eq!((&diff["operations"], &diff["views"]), (&Value::Array(vec![]), &Value::Array(vec![])));
}

#[test]
fn without_users_a_sample_shows_both_ends() {
    let folder = folder(&next("operations = ['re-weight']", &[("weight = 50\ngrant", "weight = 150\ngrant")]));
    let (exit, diff) = json(&folder, &[]);
    assert_eq!((exit, &diff["schema"]), (0, &"hookproof.experiment-diff/1".into()));
    assert_eq!(diff["users"], serde_json::json!({ "source": "sample", "count": 100_000 }));
    let [all, nobody] = &diff["views"].as_array().unwrap()[..] else { panic!("two views: {diff}") };
    assert_eq!((&all["assumption"], &nobody["assumption"]), (&"all-enrolled-by-old".into(), &"nobody".into()));
    let held = all["recorded"]["held"].as_u64().unwrap();
    assert!((12_000..13_000).contains(&held), "a quarter of the half that is enrolled: {held}");
    assert_eq!((&all["unexposed"]["moved"], &nobody["unexposed"]["moved"]), (&0.into(), &held.into()));
    assert_eq!(diff, json(&folder, &[]).1);
    for line in self::diff(&folder, &[]).stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn recorded_exposures_are_counted_as_they_were_recorded() {
    let block = "operations = ['block-exposed']\nexposed = 'block'\ngeneration = 4";
    let folder = folder(&next(block, &[]));
    folder.write("old.toml", OLD.replace("version  = 1", "version = 1\ngeneration = 3"));
    folder.write("users", "alice\nbob\ncarol\ndave\nalice\n");
    folder.write(
        "exposed.csv",
        "\u{feff}variant,user_id,generation\r\nmore,alice,0\r\ncontrol,erin,3\r\nmore,alice,0\r\n",
    );
    let (exit, diff) = json(&folder, &["--users", "users", "--exposed", "exposed.csv"]);
    assert_eq!((exit, &diff["users"]), (0, &serde_json::json!({ "source": "given", "count": 5 })));
    assert_eq!((diff["views"].as_array().unwrap().len(), &diff["views"][0]["assumption"]), (1, &"known".into()));
    assert_eq!(
        (&diff["views"][0]["recorded"]["blocked"], &diff["views"][0]["unexposed"]["total"]),
        (&2.into(), &3.into())
    );
}

#[test]
fn what_assign_prints_is_a_list_of_exposures_and_of_users() {
    let folder = folder(&next("phase = 'ended'\noperations = ['end']", &[]));
    let users: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    folder.write("users", users.join("\n"));
    let assigned = folder.run(&["experiment", "assign", "old.toml", "--users", "users"]).stdout;
    folder.write("assigned.csv", &assigned);
    let enrolled = assigned.lines().filter(|line| line.contains(",1,")).count();
    let (exit, diff) = json(&folder, &["--exposed", "assigned.csv", "--users", "assigned.csv"]);
    let view = &diff["views"][0];
    assert_eq!(
        (exit, &view["recorded"]["unchanged"], &view["unexposed"]["outside"]),
        (0, &enrolled.into(), &(200 - enrolled).into())
    );
    assert_eq!(json(&folder, &["--exposed", "assigned.csv"]).1["users"]["count"], enrolled);
}

#[test]
fn bad_input_prints_nothing_and_names_its_line() {
    let folder = folder(&next("", &[]));
    folder.write("bad.toml", OLD.replace("0.5", "1.5"));
    folder.write("users", "alice\n\n");
    let rows = [
        ("user_id\na\n", "e.csv:1: the header has no column variant"),
        ("variant\nmore\n", "e.csv:1: the header has no column user_id"),
        ("", "e.csv:1: the header has no column user_id"),
        (
            "user_id,variant\na,more\nb,less\n",
            "e.csv:3: variant: \"less\" is none of OLD's, which are \"control\", \"more\"",
        ),
        ("user_id,variant\na\n", "e.csv:2: 1 fields, where the header has 2"),
        ("user_id,variant\n,more\n", "e.csv:2: the user id is empty"),
        ("user_id,variant\na,more\na,control\n", "e.csv:3: line 2 says otherwise of this user"),
        ("user_id,variant,generation\na,more,1\n", "e.csv:2: generation: \"1\" is no whole number from 0 to OLD's"),
        ("user_id,variant,generation\na,more,\n", "e.csv:2: generation: \"\" is no whole number"),
        ("user_id,variant,enrolled\na,more,yes\n", "e.csv:2: enrolled: \"yes\" is neither 1 nor 0"),
    ];
    for (source, message) in rows {
        folder.write("e.csv", source);
        let run = diff(&folder, &["--exposed", "e.csv"]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{source:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{message} in {}", run.stderr);
    }
    let arguments: [(&[&str], &str); 5] = [
        (&["old.toml", "bad.toml"], "bad.toml holds no valid experiment"),
        (&["missing.toml", "bad.toml"], "missing.toml: "),
        (&["old.toml", "new.toml", "--users", "users"], "users:2: the user id is empty"),
        (&["old.toml", "new.toml", "--users", "-", "--exposed", "-"], "can't both be stdin"),
        (&["old.toml"], "required arguments"),
    ];
    for (arguments, message) in arguments {
        let run = folder.run(&[&["experiment", "diff"], arguments].concat());
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{message} in {}", run.stderr);
    }
    let both = folder.run(&["experiment", "diff", "missing.toml", "bad.toml"]);
    assert!(both.stderr.contains("bad.toml holds no valid experiment"), "{}", both.stderr);
}

#[test]
fn the_guides_example_prints_what_the_guide_says() {
    let guide = include_str!("../../../../docs/experiments.md");
    let (_, after) = guide.split_once("```toml\n").expect("the guide has an example");
    let (first, after) = after.split_once("```").expect("the example ends");
    let second = first
        .replace("version  = 1", "version  = 2\noperations = [\"ramp\"]")
        .replace("coverage = 0.1", "coverage = 0.5")
        .replacen("weight = 50", "weight = 20", 1);
    let folder = Folder::with(&[("old.toml", first), ("new.toml", &second)]);
    let run = diff(&folder, &[]);
    let (_, after) =
        after.split_once("    $ hookproof experiment diff v1.toml v2.toml\n").expect("the command is there");
    let is_output = |line: &&str| line.is_empty() || line.starts_with("    ");
    let printed: String = after.lines().take_while(is_output).map(|line| line.trim_start().to_owned() + "\n").collect();
    let expected: String = run.stdout.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
    assert_eq!((run.exit, printed.trim()), (1, expected.trim()));
}
