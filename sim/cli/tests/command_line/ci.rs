//! Goal: the GitHub action and the guide for CI do what they say. Method: the action's own script is run in bash, with its inputs
//! as a runner would give them; the guide's commands are held to the program's help.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

use super::folder::{Folder, MET, NOT_MET, SMALL};

fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn action() -> Yaml {
    YamlLoader::load_from_str(&repository("action.yml")).expect("action.yml is YAML").remove(0)
}

fn step<'a>(action: &'a Yaml, name: &str) -> &'a Yaml {
    let steps = action["runs"]["steps"].as_vec().expect("a composite action has steps");
    steps.iter().find(|step| step["name"].as_str() == Some(name)).unwrap_or_else(|| panic!("no step {name:?}"))
}

/// The step's variables, with the runner's expressions replaced.
fn variables(action: &Yaml, step: &Yaml, inputs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (name, input) in action["inputs"].as_hash().expect("an action has inputs") {
        let name = name.as_str().expect("a name");
        let given = inputs.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        let default = input["default"].as_str().unwrap_or_else(|| panic!("{name} has no default")).to_owned();
        values.insert(format!("${{{{ inputs.{name} }}}}"), given.unwrap_or(default));
    }
    let resolve = |text: &str| values.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let variables = step["env"].as_hash().expect("the step has variables").iter();
    let text = |value: &Yaml| value.as_str().expect("a variable is text").to_owned();
    variables.map(|(name, value)| (text(name), resolve(&text(value)))).collect()
}

/// What the action's main step does in a folder: its exit code, stdout and summary.
fn run_action(folder: &Folder, inputs: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let action = action();
    let step = step(&action, "Run the scenarios");
    let script = step["run"].as_str().expect("the step has a script");
    assert!(!script.contains("${{"), "an expression in a script is run as code");
    let mut variables = variables(&action, step, inputs);
    let binary = variables.insert("HOOKPROOF".to_owned(), env!("CARGO_BIN_EXE_hookproof").to_owned());
    assert_eq!(binary.as_deref(), Some("${{ runner.temp }}/hookproof-target/release/hookproof"));
    folder.write("script.sh", script);
    folder.write("step-summary.md", "");
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail", "script.sh"]).current_dir(folder.path(""));
    command.envs(&variables).env("GITHUB_STEP_SUMMARY", folder.path("step-summary.md"));
    let output = command.output().expect("bash starts");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let summary = fs::read_to_string(folder.path("step-summary.md")).expect("the summary is text");
    (output.status.code(), stdout, summary)
}

#[test]
fn the_action_annotates_and_writes_the_summary() {
    let folder = Folder::with(&[
        ("scenarios/a.toml", &(SMALL.to_owned() + MET)),
        ("scenarios/with space.toml", &(SMALL.to_owned() + NOT_MET)),
    ]);
    let (exit, stdout, summary) = run_action(&folder, &[]);
    assert_eq!(exit, Some(1), "{stdout}");
    assert!(stdout.contains("\n::error file=scenarios/with space.toml,line="), "{stdout}");
    assert!(summary.starts_with("## Hookproof: FAIL"), "{summary}");
    assert!(folder.path("hookproof-report/junit.xml").exists());

    let inputs =
        [("scenarios", "scenarios/a.toml\n"), ("arguments", "--hook=hardened\n--seeds=1..3\n"), ("out", "other")];
    let (exit, stdout, summary) = run_action(&folder, &inputs);
    assert_eq!(exit, Some(0), "{stdout}");
    assert!(summary.contains("2 runs, 2 as expected"), "{summary}");
    assert!(folder.path("other/run.json").exists());

    let (exit, _, summary) = run_action(&folder, &[("scenarios", "nowhere"), ("out", "other")]);
    assert_eq!((exit, summary.as_str()), (Some(2), ""), "an earlier summary is not repeated");
    let (exit, ..) = run_action(&folder, &[("scenarios", "$(touch injected)"), ("out", "`touch injected`")]);
    assert_eq!(exit, Some(2));
    assert!(!folder.path("injected").exists());
}

#[test]
fn the_action_builds_this_package() {
    let action = action();
    assert_eq!(action["runs"]["using"].as_str(), Some("composite"));
    let build = step(&action, "Build hookproof")["run"].as_str().unwrap();
    assert!(build.starts_with("cargo build --release --locked "), "{build}");
    assert!(build.contains(concat!(" --package ", env!("CARGO_PKG_NAME"), " ")), "{build}");
    for step in action["runs"]["steps"].as_vec().unwrap() {
        assert!(step["uses"].as_str().is_some() || step["shell"].as_str() == Some("bash"), "{step:?}");
    }
}

#[test]
fn the_guides_commands_have_the_verbs_and_options_that_they_name() {
    let guide = repository("docs/ci.md");
    let lines = guide.lines().map(|line| line.trim_start_matches(" - ").trim_start_matches([' ', '-']));
    let commands: Vec<&str> = lines.filter(|line| line.starts_with("hookproof ")).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    let folder = Folder::new();
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| !["#", "||", ">"].contains(word)).collect();
        let help = folder.run(&[words[1], "--help"]);
        assert_eq!(help.exit, 0, "{command}");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.stdout.contains(option), "{command}: {option}");
        }
    }
}
