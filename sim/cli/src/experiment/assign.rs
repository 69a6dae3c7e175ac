//! `experiment assign`: each user's variant and grant as CSV.

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;

use super::{file, users};
use crate::args::AssignArgs;
use crate::exit::{Exit, Failure};
use crate::terminal::{self, Terminal};

/// Prints `user_id,enrolled,variant,grant_id`, a row for each user in the list's order. The variant stands there for
/// users who do not take part, too; the grant's id only where a visit would grant.
///
/// # Errors
/// The experiment or an id is bad; nothing has been printed then.
pub(crate) fn assign(args: &AssignArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let experiment = file::load(&args.file, terminal)?;
    let users = users::read(&args.users)?;
    let csv =
        render(&experiment, &users).map_err(|error| Failure::harness(format!("no CSV could be made: {error}")))?;
    terminal::print(&csv)?;
    Ok(Exit::Pass)
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
