//! Goal: `new` gives a scenario that explains itself, validates and passes, and destroys nothing. Method: the binary in an
//! empty folder, along the path of a first scenario: new, explain, validate, run.

use std::fs;

use super::folder::Folder;

#[test]
fn what_new_writes_is_explained_valid_and_passes() {
    let folder = Folder::new();
    let new = folder.run(&["new", "first.toml"]);
    assert_eq!((new.exit, new.stdout.as_str()), (0, ""));
    assert!(new.stderr.contains("hookproof run first.toml"), "{}", new.stderr);
    assert_eq!(fs::read_dir(folder.path("")).expect("the folder is there").count(), 1, "nothing else is left behind");
    for verb in ["explain", "validate", "run"] {
        let run = folder.run(&[verb, "first.toml"]);
        assert_eq!(run.exit, 0, "{verb}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn without_a_file_the_same_is_printed() {
    let folder = Folder::new();
    let printed = folder.run(&["new"]);
    assert_eq!((printed.exit, printed.stderr.as_str()), (0, ""));
    assert_eq!(folder.run(&["--quiet", "new", "a.toml"]).stderr, "");
    assert_eq!(fs::read_to_string(folder.path("a.toml")).expect("it was written"), printed.stdout);
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let folder = Folder::with(&[("mine.toml", "mine")]);
    let refused = folder.run(&["new", "mine.toml"]);
    assert_eq!(refused.exit, 2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(folder.path("mine.toml")).expect("it is there"), "mine");
    assert_eq!(folder.run(&["new", "mine.toml", "--force"]).exit, 0);
    assert!(fs::read_to_string(folder.path("mine.toml")).expect("it is there").starts_with("# A scenario"));
}

#[test]
fn a_place_where_nothing_can_be_written_is_bad_input() {
    let folder = Folder::with(&[("folder/x", "")]);
    for arguments in [&["new", "nowhere/x.toml"][..], &["new", "folder"], &["new", "folder", "--force"]] {
        let run = folder.run(arguments);
        assert_eq!(run.exit, 2, "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn every_shell_gets_a_script_that_knows_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Folder::new().run(&["completions", shell]);
        assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
        assert!(["explain", "schema", "experiment"].iter().all(|verb| run.stdout.contains(verb)), "{shell}");
    }
    assert_eq!(Folder::new().run(&["completions", "tcsh"]).exit, 2);
}
