//! Of `experiment …`: checking an experiment, a change of one, and assignments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `experiment …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentVerb {
    /// Print the variant and grant of each user as CSV
    Assign(AssignArgs),
    /// Check an experiment before it goes to production: the file, its shares, and the assignment itself
    Check(CheckArgs),
    /// Say what the change from one version to the next amounts to and whom it moves; 1 if an operation is not named
    Diff(DiffArgs),
    /// Compare a CSV of test vectors with this program's own results
    Vectors(VectorsArgs),
    /// Compute every decision of a store again, and name those that differ; 1 if one does
    Verify(VerifyArgs),
}

/// `experiment assign`.
#[derive(Debug, Args)]
pub(crate) struct AssignArgs {
    /// A TOML file with an experiment table, such as a scenario
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// User ids: one a line, or a CSV with a user_id column; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) users: PathBuf,
}

/// `experiment check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A TOML file with an experiment table, such as a scenario
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Fail on warnings as well
    #[arg(long)]
    pub(crate) strict: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: CheckFormat,
}

/// A rendering of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// Lines and a table.
    Human,
    /// One JSON object.
    Json,
}

/// `experiment diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The version that runs: a TOML file with an experiment table, such as a scenario
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The version that is to follow; its operations name the change
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// Users who may come: one id a line, or a CSV with a user_id column; - is stdin [default: 100000 made-up ids]
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// Recorded exposures: a CSV with user_id, variant and, if there is one, generation; rows with enrolled 0 are none
    #[arg(long, value_name = "FILE")]
    pub(crate) exposed: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: DiffFormat,
}

/// A rendering of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// Lines and a table.
    Human,
    /// One JSON object.
    Json,
}

/// `experiment vectors`.
#[derive(Debug, Args)]
pub(crate) struct VectorsArgs {
    /// A CSV like assignment_v1.csv or assignment_v1_invalid.csv
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `experiment verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The file of a hook; with --store, any TOML file with an experiment table
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// An SQLite store; hooks may have it open [default: the store that the file of the hook names]
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
}
