//! A change for people: operations, what is wrong with them, and a table of users.

use std::fmt::Write as _;

use hookproof_core::experiment::change::{Effect, Operation};
use hookproof_core::experiment::{Experiment, VariantSpec};

use super::{Assumption, Diff, Origin, Permitted, View};

const LABEL_WIDTH: usize = 44;
const COLUMN_WIDTH: usize = 17;

/// What a row counts.
type Count = fn(&Effect) -> u64;

const ROWS: [(&str, Count); 11] = [
    ("recorded users", |effect| effect.recorded.total()),
    ("  keep their variant, NEW gives the same", |effect| effect.recorded.unchanged),
    ("  keep it by their record, NEW gives another", |effect| effect.recorded.held),
    ("  see the baseline from here on", |effect| effect.recorded.blocked),
    ("  saw the baseline already", |effect| effect.recorded.blocked_before),
    ("users without a record", |effect| effect.unexposed.total()),
    ("  would meet the same variant as before", |effect| effect.unexposed.unchanged),
    ("  would meet another variant", |effect| effect.unexposed.moved),
    ("  are newly enrolled", |effect| effect.unexposed.enrolled),
    ("  are no longer reached", |effect| effect.unexposed.unreachable),
    ("  stay outside", |effect| effect.unexposed.outside),
];

pub(super) fn render(diff: &Diff<'_>) -> String {
    let mut text = format!("old  {}\nnew  {}\n\n", heading(diff.old), heading(diff.new));
    match &diff.judgement {
        Err(refusals) => {
            for refusal in refusals {
                let _ = writeln!(text, "refused: {refusal}\n   help: {}", refusal.remedy());
            }
            text += "\nFAIL: this change must not be made\n";
        }
        Ok(permitted) => {
            text += &operations(diff, permitted);
            text += &users(diff, permitted);
            text += &verdict(permitted);
        }
    }
    text
}

fn heading(experiment: &Experiment) -> String {
    let (id, version) = (experiment.id(), experiment.version());
    format!("{id:?} version {version:?}, generation {}", experiment.generation())
}

fn operations(diff: &Diff<'_>, permitted: &Permitted) -> String {
    let mut text = String::new();
    if permitted.change.operations.is_empty() {
        text += "no operation: every user is assigned as before\n";
    }
    for operation in &permitted.change.operations {
        let named = if diff.new.operations().contains(operation) { "named" } else { "NOT NAMED" };
        let _ = writeln!(text, "{:<13}  {named:<9}  {}", operation.name(), detail(*operation, diff.old, diff.new));
    }
    for variant in &permitted.change.units {
        let [old, new] = [diff.old, diff.new].map(|experiment| &experiment.variants()[variant.index()]);
        let units = |variant: &VariantSpec| variant.grant.as_ref().map_or(0, |grant| grant.units);
        let (name, from, to) = (&new.name, units(old), units(new));
        let _ = writeln!(text, "note: {name:?} grants {to} units instead of {from}, in exposures to come");
    }
    text + "\n"
}

/// What changes, in its own figures.
fn detail(operation: Operation, old: &Experiment, new: &Experiment) -> String {
    let generations = || format!("generation {} to {}", old.generation(), new.generation());
    match operation {
        Operation::Ramp if old.is_ended() && !new.is_ended() => {
            format!("ended, to run again with coverage {}", percent(new.coverage_ppm()))
        }
        Operation::Ramp => format!("coverage {} to {}", percent(old.coverage_ppm()), percent(new.coverage_ppm())),
        Operation::Reweight => {
            let weights = |variants: &[VariantSpec]| {
                let weights: Vec<_> = variants.iter().map(|variant| variant.weight.to_string()).collect();
                weights.join(":")
            };
            let common = old.variants().len();
            format!("weights {} to {}", weights(old.variants()), weights(&new.variants()[..common]))
        }
        Operation::AddArm => {
            let added = new.variants().iter().skip(old.variants().len());
            let added: Vec<_> =
                added.map(|variant| format!("{:?} (weight {})", variant.name, variant.weight)).collect();
            added.join(", ")
        }
        Operation::Reshuffle => format!("salt {:?} to {:?}, {}", old.salt(), new.salt(), generations()),
        Operation::BlockExposed => {
            let baseline = &new.variants()[new.baseline().index()].name;
            format!("{}; earlier ones see {baseline:?}", generations())
        }
        Operation::End => "nobody new is exposed".to_owned(),
    }
}

/// Parts per million as a percentage, exactly.
fn percent(ppm: u32) -> String {
    let (whole, part) = (ppm / 10_000, ppm % 10_000);
    let decimals = format!("{part:04}");
    match decimals.trim_end_matches('0') {
        "" => format!("{whole} %"),
        decimals => format!("{whole}.{decimals} %"),
    }
}

fn users(diff: &Diff<'_>, permitted: &Permitted) -> String {
    let count = diff.people.ids.len() as u64;
    let mut text = match diff.people.origin {
        Origin::Sample => format!("{} made-up ids, user-0 and so on", grouped(count)),
        Origin::Given => format!("{} users", grouped(count)),
    };
    text += match diff.people.records {
        Some(_) => ", of whom the recorded ones are known\n\n",
        None => "; who is recorded is not known, so both ends are shown\n\n",
    };
    let heading = |view: &View| match view.assumption {
        Assumption::Known => "",
        Assumption::AllEnrolled => "all OLD enrols",
        Assumption::Nobody => "nobody",
    };
    if permitted.views.len() > 1 {
        row(&mut text, "if recorded are", permitted.views.iter().map(|view| heading(view).to_owned()));
    }
    for (label, counted) in ROWS {
        let cells = permitted.views.iter().map(|view| cell(counted(&view.effect), count));
        row(&mut text, label, cells);
    }
    text + "\n"
}

fn row(text: &mut String, label: &str, cells: impl Iterator<Item = String>) {
    let _ = write!(text, "{label:<LABEL_WIDTH$}");
    for cell in cells {
        let _ = write!(text, "{cell:>COLUMN_WIDTH$}");
    }
    text.push('\n');
}

/// A count with its share of all users, rounded to a tenth of a percent.
fn cell(count: u64, total: u64) -> String {
    let per_mille = (count * 1_000 + total / 2).checked_div(total).unwrap_or(0);
    format!("{} {:>3}.{} %", grouped(count), per_mille / 10, per_mille % 10)
}

/// A count with commas between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn verdict(permitted: &Permitted) -> String {
    let lines = permitted.misnamings.iter().map(|misnaming| format!("FAIL: {misnaming}; {}\n", misnaming.remedy()));
    let lines: String = lines.collect();
    match (lines.is_empty(), permitted.change.operations.is_empty()) {
        (false, _) => lines,
        (true, true) => "PASS: there is no operation to name\n".to_owned(),
        (true, false) => "PASS: every operation is named\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_exact_and_grouped() {
        assert_eq!([0, 1, 125_000, 500_000, 1_000_000].map(percent), ["0 %", "0.0001 %", "12.5 %", "50 %", "100 %"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((cell(0, 0), cell(1, 3)), ("0   0.0 %".to_owned(), "1  33.3 %".to_owned()));
    }
}
