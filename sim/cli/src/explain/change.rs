//! A change of an experiment in words: what it is called and whom it concerns.

use hookproof_core::experiment::Experiment;
use hookproof_core::experiment::change::{self, Operation};

use super::words::list;

/// What the step from one version to the next does to users.
pub(super) fn sentence(before: &Experiment, after: &Experiment) -> String {
    let change = match change::between(before, after) {
        Ok(change) => change,
        Err(refusals) => {
            let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            return format!("refused, since {}.", list(&refusals));
        }
    };
    let operations: Vec<String> = change
        .operations
        .iter()
        .map(|operation| format!("{} ({})", operation.name(), concerns(*operation, before, after)))
        .collect();
    let units = match change.units.len() {
        0 => "",
        _ => " Exposures to come are promised other units.",
    };
    if operations.is_empty() {
        return format!("every user is assigned as before.{units}");
    }
    format!("{}.{units}", operations.join("; "))
}

fn concerns(operation: Operation, before: &Experiment, after: &Experiment) -> &'static str {
    match operation {
        Operation::Ramp if before.is_ended() => "it runs again, and new users are exposed",
        Operation::Ramp if after.coverage_ppm() < before.coverage_ppm() => {
            "some users are no longer reached; recorded users keep their variant"
        }
        Operation::Ramp => "more users take part; nobody's variant changes",
        Operation::Reweight => "recorded users keep their variant; some of the others would meet another one",
        Operation::AddArm => "recorded users keep their variant; some of the others meet an added one",
        Operation::Reshuffle => "recorded users keep their variant; all others are drawn afresh",
        Operation::BlockExposed => "users exposed in earlier generations see the baseline from here on",
        Operation::End => "nobody new is exposed; recorded users keep their variant",
    }
}
