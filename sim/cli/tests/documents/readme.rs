//! The README is true: its table is what the program prints, its scenario is valid and holds, its commands work.

use std::path::PathBuf;
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README is part of the repository")
}

fn hookproof(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.args(arguments).current_dir(root()).env("NO_COLOR", "1").output().expect("the binary starts")
}

/// The fenced block that begins with `fence`, without the fences.
fn block(text: &str, fence: &str) -> String {
    let (_, after) = text.split_once(fence).expect("the README has this block");
    after.split_once("\n```").expect("a block ends").0.trim_start_matches('\n').to_owned()
}

#[test]
fn the_table_is_what_the_program_prints() {
    let text = readme();
    let main = text.lines().find_map(|line| line.trim().strip_prefix("cargo run --release -- "));
    let arguments: Vec<&str> = main.expect("the README has a main command").split_whitespace().collect();
    let output = hookproof(&[&arguments[..], &["--quiet"]].concat());
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let shown = block(&text, "## What it prints\n\n```");
    let start = printed.find(shown.lines().next().expect("a first line")).expect("the table's first line is printed");
    assert_eq!(printed[start..].trim_end(), shown.trim_end());
}

#[test]
fn the_scenario_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lost-replies.toml");
    std::fs::write(&path, block(&readme(), "```toml")).expect("a writable folder");
    let path = path.to_str().expect("UTF-8");
    for arguments in [&["validate", path][..], &["run", path, "--seeds", "1..11", "--check-determinism"]] {
        let output = hookproof(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_scenarios_are_counted() {
    let mut folders = vec![root().join("scenarios")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of scenarios") {
            let path = entry.expect("an entry").path();
            count += usize::from(path.extension().is_some_and(|ending| ending == "toml"));
            folders.extend(path.is_dir().then_some(path));
        }
    }
    // Two of them are the main command's.
    let counted = format!("[scenarios/](scenarios/README.md) holds {} more", count - 2);
    assert!(readme().contains(&counted), "{counted}");
}

#[test]
fn each_command_names_a_verb_that_exists() {
    let readme = readme();
    let commands: Vec<&str> =
        readme.lines().filter_map(|line| line.split_once("cargo run --release -- ")).map(|(_, rest)| rest).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let verb: Vec<&str> =
            command.split_whitespace().take_while(|word| word.chars().all(char::is_alphabetic)).collect();
        let help = hookproof(&[&verb[..], &["--help"]].concat());
        assert!(help.status.success(), "{command}");
    }
}
