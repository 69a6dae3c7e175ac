//! `report`: a stored run rendered again.

use std::path::PathBuf;

use hookproof_reports::{RunRecord, ScenarioPaths, TableOptions};

use crate::args::{Format, ReportArgs};
use crate::exit::{Exit, Failure};
use crate::ids::Ids;
use crate::out::{OutFile, OutFolder};
use crate::output::{self, Output};
use crate::scenarios;
use crate::stored;
use crate::terminal::Terminal;

/// Renders what `args` name; the exit code is that of the stored run.
///
/// # Errors
/// A record that can't be read, scenarios that are not valid, or a place that does not take the files.
pub(crate) fn report(args: &ReportArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let destination = Destination::resolve(args)?;
    let ids = Ids::resolve(&args.ids)?;
    let record = ids.presented_again(stored::read(&args.record)?, terminal);
    let paths = scenarios::paths(&args.scenarios, terminal)?;
    destination.put(&record, &paths, terminal)?;
    Ok(Exit::of(record.runs.iter().map(|run| run.verdict).min()))
}

/// Where the renderings go.
enum Destination {
    Stdout(Output),
    /// All of them, and some to stdout.
    Folder(PathBuf, Output),
    /// One of them.
    File(PathBuf, Format),
}

impl Destination {
    fn resolve(args: &ReportArgs) -> Result<Self, Failure> {
        let Some(out) = &args.out else { return Ok(Self::Stdout(Output::resolve(&args.formats, false)?)) };
        match (output::format_of(out), &args.formats[..]) {
            (None, formats) => Ok(Self::Folder(out.clone(), Output::resolve(formats, true)?)),
            (Some(format), []) => Ok(Self::File(out.clone(), format)),
            (Some(_), [format]) => Ok(Self::File(out.clone(), *format)),
            (Some(_), [..]) => {
                let message = format!("--out {}: a file holds one format; name a folder", out.display());
                Err(Failure::bad_input(message))
            }
        }
    }

    fn put(self, record: &RunRecord, paths: &ScenarioPaths, terminal: &Terminal) -> Result<(), Failure> {
        match self {
            Self::Stdout(output) => output.print(record, paths, terminal),
            Self::Folder(folder, output) => {
                output::write_renderings(&OutFolder::prepare(&folder)?, record, paths)?;
                output.print(record, paths, terminal)
            }
            Self::File(file, format) => {
                let options = TableOptions { paths: paths.clone(), ..TableOptions::default() };
                OutFile::prepare("--out", &file)?.write(output::render(format, record, &options).as_bytes())
            }
        }
    }
}
