//! Goal: `experiment check` stops what must not go to production, warns of what a reviewer would ask about, and says what it
//! checked. Method: one experiment without a flaw, and the same with one thing changed.

use serde_json::Value;

use super::folder::{Folder, SMALL};

/// Nothing to warn of.
const SOUND: &str = r#"
[experiment]
id        = "quota"
namespace = "production"
lineage   = "quota"
hash      = "hmac-sha256-v1"
secret    = "0123456789abcdef0123456789abcdef"
coverage  = 0.5
[[experiment.variant]]
name   = "control"
weight = 70
[[experiment.variant]]
name   = "extra-quota"
weight = 30
grant  = 25
"#;

fn checked(source: &str, options: &[&str]) -> (i32, String, String) {
    let folder = Folder::with(&[("x.toml", source)]);
    let run = folder.run(&[&["experiment", "check", "x.toml"], options].concat());
    (run.exit, run.stdout, run.stderr)
}

fn warnings(source: &str) -> Vec<String> {
    let (exit, stdout, stderr) = checked(source, &["--format", "json"]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
    let json: Value = serde_json::from_str(&stdout).expect("the check is JSON");
    let warnings = json["warnings"].as_array().expect("warnings are a list").iter();
    warnings.map(|warning| warning["id"].as_str().expect("a warning has an id").to_owned()).collect()
}

#[test]
fn a_sound_experiment_passes_even_strictly_and_says_what_was_checked() {
    let (exit, stdout, stderr) = checked(SOUND, &["--strict"]);
    assert_eq!((exit, stderr.as_str()), (0, ""), "{stdout}");
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("experiment-check-sound", stdout));
}

#[test]
fn each_warning_has_its_cause() {
    assert_eq!(warnings(SOUND), Vec::<String>::new());
    let secret = "secret    = \"0123456789abcdef0123456789abcdef\"\n";
    let cases = [
        (SOUND.replace("production", "sim"), "default-namespace"),
        (SOUND.replace("lineage   = \"quota\"\n", ""), "default-lineage"),
        (SOUND.replace("hmac-sha256-v1", "sha256-v1").replace(secret, ""), "unkeyed-hash"),
        (SOUND.replace("0123456789abcdef0123456789abcdef", "guess me"), "short-secret"),
        (SOUND.replace("coverage  = 0.5", "coverage  = 0"), "nobody"),
        (SOUND.replace("coverage  = 0.5", "coverage  = 0.5\nphase = \"ended\""), "ended"),
        (SOUND.replace("coverage  = 0.5", "coverage  = 0.5\nexposed = \"block\"\ngeneration = 1"), "blocks-exposed"),
        (SOUND.replace("weight = 30", "weight = 1"), "tiny-arm"),
        (SOUND.replace("grant  = 25\n", ""), "no-treatment"),
        (SOUND.replace("weight = 70", "weight = 70\ngrant = 5"), "no-control"),
    ];
    for (source, id) in cases {
        assert_eq!(warnings(&source), [id], "{source}");
        let (exit, stdout, _) = checked(&source, &["--strict"]);
        assert_eq!(exit, 1, "{stdout}");
        assert!(stdout.contains("warning: ") && stdout.contains("   help: "), "{stdout}");
    }
}

#[test]
fn warnings_alone_let_it_pass_and_are_counted() {
    let (exit, stdout, _) = checked(SMALL, &[]);
    assert_eq!(exit, 0);
    assert!(stdout.ends_with("PASS, with 3 warnings\n"), "{stdout}");
}

#[test]
fn a_bad_file_is_answered_with_everything_that_is_wrong_with_it() {
    let broken = SOUND.replace("weight = 30", "weight = -1").replace("coverage  = 0.5", "coverage = 1.5");
    let (exit, stdout, stderr) = checked(&broken, &[]);
    assert_eq!((exit, stdout.as_str()), (2, ""));
    assert!(stderr.contains("x.toml:8:12") && stderr.contains("x.toml:14:10"), "{stderr}");
    assert_eq!(stderr.matches("help: ").count(), 2, "{stderr}");
}
