//! Goal: `experiment assign` and `experiment vectors` agree with the specified algorithm, and refuse what is malformed
//! before printing anything. Method: the golden vectors of `hookproof-core`, whole and with one thing broken.

use std::fs;

use super::folder::{Folder, SMALL};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/tests/data/assignment_v1.csv");
const REFUSALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/tests/data/assignment_v1_invalid.csv");

/// An experiment with nothing around it.
const EXPERIMENT: &str = r#"
[experiment]
id       = "ramp"
coverage = 0.5
[[experiment.variant]]
name   = "control, plain"
weight = 1
[[experiment.variant]]
name   = "more"
weight = 1
grant  = 25
"#;

#[test]
fn each_user_gets_a_row_and_only_enrolled_treatments_a_grant() {
    let folder = Folder::with(&[("x.toml", EXPERIMENT)]);
    let users: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let run = folder.run_with_stdin(&["experiment", "assign", "x.toml", "--users", "-"], users.join("\n").as_bytes());
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["user_id", "enrolled", "variant", "grant_id"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 200);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row[0], format!("user-{n}"));
        assert_eq!(!row[3].is_empty(), &row[1] == "1" && &row[2] == "more", "{row:?}");
    }
    let count = |column: usize, value: &str| rows.iter().filter(|row| &row[column] == value).count();
    assert!((60..140).contains(&count(1, "1")) && (60..140).contains(&count(2, "control, plain")));
}

#[test]
fn a_scenario_is_an_experiment_file_and_users_may_be_a_csv() {
    let folder =
        Folder::with(&[("x.toml", SMALL), ("users.csv", "n,user_id\n1,alice\n2,\"a,b\"\n"), ("list", "alice\na,b")]);
    let csv = folder.run(&["experiment", "assign", "x.toml", "--users", "users.csv"]);
    assert_eq!(csv.exit, 0, "{}", csv.stderr);
    assert!(csv.stdout.lines().nth(2).unwrap().starts_with("\"a,b\",1,"), "{}", csv.stdout);
    assert_eq!(folder.run(&["experiment", "assign", "x.toml", "--users", "list"]).stdout, csv.stdout);
}

#[test]
fn a_malformed_id_or_experiment_prints_nothing() {
    let folder = Folder::with(&[
        ("x.toml", EXPERIMENT),
        ("users", "alice\n\nbob\n"),
        ("none.toml", "schema = 1\n"),
        ("bad.toml", &EXPERIMENT.replace("0.5", "1.5")),
    ]);
    let cases = [
        ("x.toml", "users", "users:2: the user id is empty"),
        ("x.toml", "missing", "missing: "),
        ("none.toml", "users", "none.toml"),
        ("bad.toml", "users", "bad.toml:4:"),
    ];
    for (file, users, message) in cases {
        let run = folder.run(&["experiment", "assign", file, "--users", users]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}

#[test]
fn the_golden_vectors_are_all_equal() {
    let folder = Folder::new();
    let vectors = folder.run(&["experiment", "vectors", VECTORS]);
    assert_eq!((vectors.exit, vectors.stdout.as_str()), (0, "4000 rows, all equal\n"), "{}", vectors.stderr);
    let refusals = folder.run(&["experiment", "vectors", REFUSALS]);
    assert_eq!((refusals.exit, refusals.stdout.as_str()), (0, "211 rows, all equal\n"), "{}", refusals.stderr);
}

/// The file with one field of one line replaced; lines and columns from 1.
fn broken(path: &str, line: usize, column: &str, value: &str) -> String {
    let text = fs::read_to_string(path).expect("the vectors are checked in");
    let index = text.lines().next().unwrap_or_default().split(',').position(|name| name == column);
    let index = index.expect("the column is there");
    let lines = text.lines().enumerate().map(|(number, text)| {
        let mut fields: Vec<&str> = text.split(',').collect();
        if number + 1 == line {
            fields[index] = value;
        }
        fields.join(",") + "\n"
    });
    lines.collect()
}

#[test]
fn the_first_row_that_differs_is_named() {
    let folder = Folder::new();
    let cases = [
        (VECTORS, 18, "variant", "9", "case 17 (line 18): variant expected 9, got "),
        (VECTORS, 4001, "grant_id", "x", "case 4000 (line 4001): grant_id expected x, got "),
        (VECTORS, 2, "enrol_ppm", "508682", "case 1 (line 2): enrol_ppm expected 508682, got 508683\n"),
        (VECTORS, 2, "user_id_hex", "00", "case 1 (line 2): user_id_hex expected a permitted id, got control\n"),
        (REFUSALS, 2, "reason", "control", "case 1 (line 2): reason expected control, got empty\n"),
        (REFUSALS, 3, "length", "1", "case 2 (line 3): length expected 1, got 257\n"),
        (REFUSALS, 3, "user_id_hex", "61", "case 2 (line 3): length expected 257, got 1\n"),
    ];
    for (source, line, column, value, message) in cases {
        folder.write("v.csv", broken(source, line, column, value));
        let run = folder.run(&["experiment", "vectors", "v.csv"]);
        assert_eq!(run.exit, 1, "{column}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.starts_with(message), "{}", run.stdout);
    }
}

#[test]
fn a_malformed_vector_is_bad_input_with_its_line() {
    let folder = Folder::new();
    let cases = [
        (VECTORS, 9, "weights", "1|x", "v.csv:9: weights: "),
        (VECTORS, 9, "mode", "md5", "v.csv:9: mode: "),
        (VECTORS, 9, "salt_hex", "0", "v.csv:9: salt_hex: "),
        (VECTORS, 9, "coverage_ppm", "1000001", "v.csv:9: coverage_ppm: "),
        (VECTORS, 9, "point", "1,2", "v.csv:9: 19 fields, where the header has 18"),
        (VECTORS, 1, "weights", "weight", "v.csv:1: the header has no column weights"),
        (REFUSALS, 9, "reason", "ugly", "v.csv:9: reason: "),
    ];
    for (source, line, column, value, message) in cases {
        folder.write("v.csv", broken(source, line, column, value));
        let run = folder.run(&["experiment", "vectors", "v.csv"]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{column}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
    assert_eq!(folder.run(&["experiment", "vectors", "missing.csv"]).exit, 2);
    folder.write("v.csv", broken(VECTORS, 1, "case", "case").lines().next().unwrap_or_default());
    assert_eq!(folder.run(&["experiment", "vectors", "v.csv"]).exit, 3);
}
