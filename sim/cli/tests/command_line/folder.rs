//! A folder of scenario files that a test writes, and the binary run in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Few users, no faults: fast, and nothing goes wrong.
pub const SMALL: &str = r#"
schema   = 1
title    = "A hundred users, nothing goes wrong"
seed     = 7
duration = "60s"
calm     = "10m"
hooks    = ["hardened"]

[experiment]
id = "quota-experiment"
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "extra-quota"
weight = 50
grant  = 25

[users]
population = 100
visits     = { mean = 2.0, per = "60s" }
"#;

/// An expectation that every run meets.
pub const MET: &str = "\n[[expect]]\nmetric = \"over-allocation.users\"\nat-least = 0\n";
/// An expectation that no small run meets.
pub const NOT_MET: &str = "\n[[expect]]\nmetric = \"over-allocation.users\"\nat-least = 1_000_000\n";
/// An expectation about something that does not happen: the fleet never restarts.
pub const NOTHING_TO_MEASURE: &str = "\n[[expect]]\nmetric = \"group-switching.restart-rate\"\nat-most = 1\n";

/// A temporary folder, gone with the value.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a test has a temporary folder"))
    }

    /// With these files; names may lie in folders.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder can be made");
        fs::write(path, content).expect("the file can be written");
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary in this folder, its environment free of what steers it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(self.0.path(), arguments)
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::from(self.command(arguments).output().expect("the binary starts"))
    }

    /// Runs it with this on stdin.
    pub fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Finished {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        child.stdin.take().expect("stdin is piped").write_all(stdin).expect("the binary reads stdin");
        Finished::from(child.wait_with_output().expect("the binary ends"))
    }
}

/// What would make a test that runs in an array job a shard of one.
const ARRAY_JOB: [&str; 9] = [
    "SLURM_ARRAY_TASK_ID",
    "JOB_COMPLETION_INDEX",
    "JOB_COMPLETIONS",
    "CI_NODE_INDEX",
    "CI_NODE_TOTAL",
    "CIRCLE_NODE_INDEX",
    "CIRCLE_NODE_TOTAL",
    "BUILDKITE_PARALLEL_JOB",
    "BUILDKITE_PARALLEL_JOB_COUNT",
];

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "CI",
        "RUST_BACKTRACE",
        "HOOKPROOF_ID_KEY",
        "HOOKPROOF_LOG",
        "HOOKPROOF_TOKEN",
    ]
    .into_iter()
    .chain(ARRAY_JOB)
    {
        command.env_remove(name);
    }
    command
}

/// What came of it.
pub struct Finished {
    /// The exit code.
    pub exit: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}
