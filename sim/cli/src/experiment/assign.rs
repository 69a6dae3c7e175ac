//! `experiment assign`: each user's variant and grant as CSV.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;
use hookproof_sim::scenario;

use super::users;
use crate::args::AssignArgs;
use crate::exit::{Exit, Failure};
use crate::scenarios::{read, unreadable};
use crate::terminal::{self, Terminal};

const STDIN: &str = "-";

/// Prints `user_id,enrolled,variant,grant_id`, a row for each user in the list's order. The variant stands there for
/// users who do not take part, too; the grant's id only where a visit would grant.
///
/// # Errors
/// The experiment or an id is bad; nothing has been printed then.
pub(crate) fn assign(args: &AssignArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let path = args.file.display().to_string();
    let experiment = scenario::decode_experiment(&path, &read(&args.file)?).map_err(|error| {
        terminal.show_problem(|color| error.render(color));
        Failure::bad_input(format!("{path} holds no valid experiment, see above"))
    })?;
    let (name, source) = users_source(&args.users)?;
    let users = users::parse(&name, &source)?;
    let csv =
        render(&experiment, &users).map_err(|error| Failure::harness(format!("no CSV could be made: {error}")))?;
    terminal::print(&csv)?;
    Ok(Exit::Pass)
}

fn users_source(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    if path.as_os_str() != STDIN {
        let source = fs::read(path).map_err(|error| unreadable(path, &error))?;
        return Ok((path.display().to_string(), source));
    }
    let mut source = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut source);
    read.map_err(|error| Failure::bad_input(format!("stdin can't be read: {error}")))?;
    Ok(("stdin".to_owned(), source))
}

fn render(experiment: &Experiment, users: &[String]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["user_id", "enrolled", "variant", "grant_id"])?;
    for user in users {
        let id = UserId::new(user.as_bytes()).expect("the list was checked when it was parsed");
        let assignment = experiment.assign(id);
        let enrolled = if assignment.enrolled { "1" } else { "0" };
        let variant = &experiment.variants()[assignment.variant.index()].name;
        let grant = assignment.grant.map(|grant| grant.to_string()).unwrap_or_default();
        writer.write_record([user, enrolled, variant, &grant])?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
