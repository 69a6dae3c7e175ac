//! Goal: what a run found is written in every form, now or later, and a record that can't be read is refused with place, cause
//! and remedy. Method: the binary in a folder of small scenario files, and a record that an earlier version stored.

use std::fs;

use serde_json::Value;

use super::folder::{Folder, MET, NOT_MET, SMALL};

/// Of a version before records had phases, lanes, levels, restarts, stories and notes.
const FIRST_RECORD: &str = include_str!("data/first-record.json");

fn failing() -> Folder {
    Folder::with(&[
        ("scenarios/a.toml", &(SMALL.to_owned() + NOT_MET)),
        ("scenarios/b.toml", &(SMALL.to_owned() + MET)),
    ])
}

/// The line of the only expectation of `SMALL` and something.
fn line() -> usize {
    1 + (SMALL.to_owned() + NOT_MET).lines().position(|line| line == "[[expect]]").expect("there is one")
}

#[test]
fn annotations_stand_beside_the_table_and_name_the_scenario_as_it_was_named() {
    let folder = failing();
    let run = folder.run(&["run", "scenarios", "--format", "human", "--format", "github"]);
    assert_eq!(run.exit, 1, "{}", run.stderr);
    let annotations: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(annotations.len(), 1, "{}", run.stdout);
    assert!(annotations[0].starts_with(&format!("::error file=scenarios/a.toml,line={},title=", line())));
    assert!(annotations[0].contains("%0ATo repeat it: hookproof run scenarios/a.toml --hook hardened --seed 7"));
    assert!(run.stdout.starts_with("a (seed 7)"));
}

#[test]
fn out_holds_a_file_of_each_form_and_report_makes_the_same_again() {
    let folder = failing();
    let run = folder.run(&["run", "scenarios", "--format", "junit", "--format", "markdown", "--out", "out"]);
    assert_eq!((run.exit, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    let mut names: Vec<String> = fs::read_dir(folder.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["junit.xml", "report.html", "run.json", "summary.md"]);
    let file = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    let again = folder.run(&["report", "out/run.json", "--scenario", "scenarios", "--out", "again"]);
    assert_eq!(again.exit, 1, "{}", again.stderr);
    let table = folder.run(&["run", "scenarios"]).stdout;
    assert_eq!(again.stdout, table);
    for (name, format) in [("junit.xml", "junit"), ("summary.md", "markdown"), ("report.html", "html")] {
        assert_eq!(file(&format!("again/{name}")), file(&format!("out/{name}")));
        let printed = folder.run(&["run", "scenarios", "--format", format]);
        assert_eq!((printed.exit, printed.stdout), (1, file(&format!("out/{name}"))));
    }
    assert!(!folder.path("again/run.json").exists(), "what is read is not written again");
    let json = folder.run(&["report", "out/run.json", "--format", "json"]);
    assert_eq!(json.stdout, file("out/run.json"));
}

#[test]
fn one_rendering_goes_to_a_file_of_its_name() {
    let folder = failing();
    folder.run(&["run", "scenarios", "--quiet", "--out", "out"]);
    for (name, begins) in [
        ("page.md", "## Hookproof: FAIL"),
        ("page.html", "<!DOCTYPE html>"),
        ("x.xml", "<?xml"),
        ("deep/y.json", "{"),
        ("table.txt", "a (seed 7)"),
    ] {
        let report = folder.run(&["report", "out/run.json", "--out", name]);
        assert_eq!((report.exit, report.stdout.as_str()), (1, ""), "{}", report.stderr);
        assert!(fs::read_to_string(folder.path(name)).unwrap().starts_with(begins), "{name}");
    }
    let report = folder.run(&["report", "out/run.json", "--out", "lines.txt", "--format", "github"]);
    assert_eq!(report.exit, 1);
    assert!(fs::read_to_string(folder.path("lines.txt")).unwrap().starts_with("::error file=a.toml,line="));
    let two = folder.run(&["report", "out/run.json", "--out", "x.md", "--format", "json", "--format", "human"]);
    assert_eq!(two.exit, 2);
    assert!(two.stderr.contains("a file holds one format"), "{}", two.stderr);
}

#[test]
fn a_record_of_an_earlier_version_is_rendered_and_compared() {
    let folder = Folder::with(&[("old.json", FIRST_RECORD)]);
    let record: Value = serde_json::from_str(FIRST_RECORD).unwrap();
    assert!(record["runs"][0].get("phases").is_none() && record["runs"][0].get("stories").is_none());
    for format in ["human", "json", "junit", "markdown", "github", "html"] {
        let report = folder.run(&["report", "old.json", "--format", format]);
        assert_eq!(report.exit, 1, "{format}: {}", report.stderr);
        assert!(report.stdout.contains("over-allocation.users"), "{format}: {}", report.stdout);
    }
    assert_eq!(folder.run(&["compare", "old.json", "old.json"]).exit, 0);
}

#[test]
fn a_record_that_cannot_be_read_is_refused_with_place_cause_and_remedy() {
    let cut = &FIRST_RECORD[..FIRST_RECORD.len() / 2];
    let newer = FIRST_RECORD.replace("hookproof.run/1", "hookproof.run/2");
    let sweep = FIRST_RECORD.replace("hookproof.run/1", "hookproof.sweep/1");
    let mistyped = FIRST_RECORD.replacen("\"seed\": 7", "\"seed\": \"seven\"", 1);
    let folder = Folder::with(&[
        ("cut.json", cut),
        ("newer.json", &newer),
        ("sweep.json", &sweep),
        ("mistyped.json", &mistyped),
        ("empty.json", ""),
        ("good.json", FIRST_RECORD),
    ]);
    folder.write("bytes.json", [b'{', 0xff]);
    let lines = cut.lines().count();
    let cases: [(&str, &[&str]); 8] = [
        ("cut.json", &[&format!("cut.json:{lines}:"), "EOF", "the file is cut off"]),
        ("newer.json", &["hookproof.run/2", "a later hookproof wrote it", "read it with that version"]),
        ("sweep.json", &["hookproof.sweep/1", "`hookproof merge` reads sweeps"]),
        ("mistyped.json", &["mistyped.json:", "expected u64", "hookproof run --out DIR"]),
        ("empty.json", &["empty.json", "the file is cut off"]),
        ("bytes.json", &["byte 1 is no UTF-8"]),
        ("nowhere.json", &["nowhere.json: ", "check the path"]),
        (".", &["name a file in it"]),
    ];
    for (name, texts) in cases {
        let arguments: [&[&str]; 3] = [
            &["report", name, "--out", "out"],
            &["compare", name, "good.json", "--out", "out"],
            &["compare", "good.json", name, "--out", "out"],
        ];
        for arguments in arguments {
            let run = folder.run(arguments);
            assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
            for text in texts {
                assert!(run.stderr.contains(text), "{text} in {}", run.stderr);
            }
            assert!(!folder.path("out").exists(), "{arguments:?}");
        }
    }
}

#[test]
fn compare_is_a_gate() {
    let folder = Folder::with(&[("a.toml", &(SMALL.to_owned() + MET)), ("b.toml", SMALL)]);
    folder.run(&["run", "a.toml", "--out", "a", "--quiet"]);
    folder.run(&["run", "b.toml", "--out", "b", "--quiet"]);
    let same = folder.run(&["compare", "a/run.json", "a/run.json"]);
    assert_eq!((same.exit, same.stdout.as_str()), (0, "  PASS no regression in 1 pair, of which 0 ran differently\n"));
    let nothing = folder.run(&["compare", "a/run.json", "b/run.json"]);
    assert_eq!(nothing.exit, 3, "{}", nothing.stdout);

    let text = fs::read_to_string(folder.path("a/run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    let calls = record["runs"][0]["metrics"]["upstream.calls"].as_f64().unwrap();
    record["runs"][0]["metrics"]["upstream.calls"] = (calls * 1.04).into();
    folder.write("worse.json", record.to_string());
    let worse = folder.run(&["compare", "a/run.json", "worse.json", "--out", "out"]);
    assert_eq!(worse.exit, 1, "{}", worse.stdout);
    assert!(worse.stdout.contains("+4.0%") && worse.stdout.contains("worse"), "{}", worse.stdout);
    assert_eq!(folder.run(&["compare", "worse.json", "a/run.json"]).exit, 0);
    let tolerated = folder.run(&["compare", "a/run.json", "worse.json", "--tolerance", "upstream.calls=5"]);
    assert_eq!(tolerated.exit, 0, "{}", tolerated.stdout);
    let json: Value = serde_json::from_str(&fs::read_to_string(folder.path("out/compare.json")).unwrap()).unwrap();
    assert_eq!(json["finding"], "regression");
    assert!(fs::read_to_string(folder.path("out/compare.md")).unwrap().contains("| upstream.calls | "));
    let page = fs::read_to_string(folder.path("out/compare.html")).unwrap();
    let printed = folder.run(&["compare", "a/run.json", "worse.json", "--format", "html"]);
    assert_eq!((printed.exit, &printed.stdout), (1, &page));
    let file = folder.run(&["compare", "a/run.json", "worse.json", "--out", "pages/one.html"]);
    assert_eq!((file.exit, file.stdout.as_str()), (1, ""));
    assert_eq!(fs::read_to_string(folder.path("pages/one.html")).unwrap(), page);
    let unknown = folder.run(&["compare", "a/run.json", "worse.json", "--tolerance", "upstream.cals=5"]);
    assert_eq!(unknown.exit, 2);
    assert!(unknown.stderr.contains("is no metric"), "{}", unknown.stderr);
}

#[test]
fn every_record_satisfies_the_schema_of_records() {
    let folder = failing();
    let printed = folder.run(&["schema", "--of", "run"]);
    assert_eq!((printed.exit, printed.stderr.as_str()), (0, ""));
    let schema: Value = serde_json::from_str(&printed.stdout).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is one of draft 2020-12");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema compiles");
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/faults");
    let files = [format!("{repository}/quota-false-ack.toml"), format!("{repository}/store.toml")];
    let real = [&["run", "scenarios", "--format", "json"][..], &["run", &files[0], &files[1], "--format", "json"]];
    for arguments in real {
        let run = folder.run(arguments);
        let record: Value = serde_json::from_str(&run.stdout).unwrap();
        let errors: Vec<String> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    let mut old: Value = serde_json::from_str(FIRST_RECORD).unwrap();
    assert!(validator.is_valid(&old));
    for (place, wrong) in [
        ("/schema", "hookproof.run/2".into()),
        ("/runs/0/verdict", "fine".into()),
        ("/runs/0/seed", (-1).into()),
        ("/runs/0/metrics/hook.errors", "soon".into()),
        ("/runs/0/series/bin", "3 days".into()),
        ("/runs/0/expectations/0/limit", serde_json::json!({"under": 1})),
        ("/runs/0/invariants", Value::Null),
    ] {
        let good = std::mem::replace(old.pointer_mut(place).unwrap_or_else(|| panic!("{place}")), wrong);
        assert!(!validator.is_valid(&old), "{place}");
        *old.pointer_mut(place).unwrap() = good;
    }
}
