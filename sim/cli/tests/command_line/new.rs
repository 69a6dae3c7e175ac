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
fn the_file_of_a_hook_is_valid_as_it_is_and_with_the_defaults_that_it_shows() {
    let folder = Folder::with(&[
        ("experiment.secret", "not to be guessed at all"),
        ("hook.token", "a-token-that-nobody-guesses"),
    ]);
    for secret in ["experiment.secret", "hook.token"] {
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(folder.path(secret), rights).expect("the file is ours");
    }
    let new = folder.run(&["new", "hook.toml", "--hook"]);
    assert_eq!((new.exit, new.stdout.as_str()), (0, ""));
    assert!(new.stderr.contains("hookproof serve --config hook.toml --check"), "{}", new.stderr);
    let starter = fs::read_to_string(folder.path("hook.toml")).expect("it was written");
    assert_eq!(folder.run(&["new", "--hook"]).stdout, starter);
    let check = || folder.run(&["serve", "--config", "hook.toml", "--check"]);
    let valid = check();
    assert_eq!(valid.exit, 0, "{}", valid.stderr);
    assert!(valid.stdout.contains("my-experiment version 1 of lineage prod/my-experiment; store sqlite hook.db"));

    let is_key = |line: &&str| line.starts_with('#') && line[1..].starts_with(|first: char| first.is_ascii_lowercase());
    let keys = starter.lines().filter(is_key).count();
    let shown = starter.lines().map(|line| if is_key(&line) { &line[1..] } else { line }).collect::<Vec<_>>();
    assert!(keys > 15, "only {keys} keys are shown");
    folder.write("hook.toml", shown.join("\n"));
    let with_defaults = check();
    assert_eq!((with_defaults.exit, with_defaults.stdout), (0, valid.stdout), "{}", with_defaults.stderr);
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
