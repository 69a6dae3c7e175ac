//! `promise --runs N`: every cell on the simulator, and what the runs say of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hookproof_core::promise::Verdict;
use hookproof_sim::promise::{Cell, CellRun, Finding, Tally, confirm as confirm_cell};
use serde_json::{Value, json};

use super::layout::Table;
use crate::args::{PromiseArgs, PromiseFormat};
use crate::exit::{Exit, Failure};
use crate::pool;
use crate::terminal::{self, Terminal};

/// The name of the JSON's form.
const SCHEMA: &str = "hookproof.promise-confirmation/1";

/// Spreads `runs` evenly over the cells, runs them and prints what they say.
///
/// # Errors
/// A failure of the harness, or of stdout.
pub(super) fn confirm(args: &PromiseArgs, runs: u64, terminal: &Terminal) -> Result<Exit, Failure> {
    let cells: Vec<Cell> = Cell::all().filter(|cell| args.cell.is_none_or(|only| only == *cell)).collect();
    terminal.say(&format!("promise: {runs} runs over {} cells, from seed {}", cells.len(), args.seed));
    let results = run_all(&cells, args, runs);
    let mut tallies: Vec<Tally> = cells.iter().copied().map(Tally::new).collect();
    let mut failures = Vec::new();
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(run) => tallies[index % cells.len()].add(&run),
            Err(failure) => failures.push(failure),
        }
    }
    if let Some(failure) = Failure::joined(&failures) {
        return Err(failure);
    }
    let text = match args.format {
        PromiseFormat::Human => format!("{}\n{}\n", table(&tallies).human(), summary(&tallies)),
        PromiseFormat::Markdown => format!("{}\n{}\n", table(&tallies).markdown(), summary(&tallies)),
        PromiseFormat::Json => json(&tallies),
    };
    terminal::print(text.as_bytes())?;
    Ok(complain(&tallies, args, terminal))
}

fn run_all(cells: &[Cell], args: &PromiseArgs, runs: u64) -> Vec<Result<CellRun, Failure>> {
    let count = usize::try_from(runs).expect("the command line limits the runs");
    let jobs = pool::jobs(args.jobs);
    pool::each(count, jobs, |index| {
        let (cell, round) = (cells[index % cells.len()], index / cells.len());
        let seed = args.seed + round as u64;
        let named = || format!("cell {} with seed {seed}", cell.name());
        match catch_unwind(AssertUnwindSafe(|| confirm_cell(cell, seed))) {
            Ok(Ok(run)) => Ok(run),
            Ok(Err(error)) => Err(Failure::harness(format!("{} is not a scenario: {error}", named()))),
            Err(panic) => Err(Failure::of_panic(&named(), panic.as_ref())),
        }
    })
}

fn table(tallies: &[Tally]) -> Table {
    let head = ["cell", "promise", "runs", "hazards", "effects", "parked", "violations", "harmed", "finding"];
    let row = |tally: &Tally| {
        let counts =
            [tally.runs, tally.hazard_effects, tally.effects, tally.parked, tally.violations, tally.runs_harmed];
        let first = [tally.cell.name(), tally.cell.verdict().name().to_owned()];
        let counts = counts.map(|count| count.to_string());
        first.into_iter().chain(counts).chain([tally.finding().name().to_owned()]).collect()
    };
    Table { head: head.map(str::to_owned).into(), rows: tallies.iter().map(row).collect() }
}

/// What was promised, over all cells that promise something.
struct Total {
    runs: u64,
    violations: u64,
    runs_unmet: u64,
}

impl Total {
    fn of(tallies: &[Tally]) -> Self {
        let promised = || tallies.iter().filter(|tally| tally.cell.verdict() != Verdict::Impossible);
        Self {
            runs: promised().map(|tally| tally.runs).sum(),
            violations: promised().map(|tally| tally.violations).sum(),
            runs_unmet: tallies.iter().map(|tally| tally.runs_unmet).sum(),
        }
    }

    /// The rule of three: with 95 % confidence, the share of runs with a violation is below this.
    fn bound(&self) -> Option<f64> {
        (self.violations == 0 && self.runs > 0).then(|| (3.0 / self.runs as f64).min(1.0))
    }
}

fn summary(tallies: &[Tally]) -> String {
    let total = Total::of(tallies);
    let Total { runs, violations, runs_unmet } = total;
    let bound = total.bound().map_or_else(String::new, |bound| {
        format!("; with 95 % confidence fewer than {bound:.1e} of such runs have one (3/N)")
    });
    let count = |finding| tallies.iter().filter(|tally| tally.finding() == finding).count();
    format!(
        "{violations} violations in {runs} runs of cells that hold or park{bound}\n\
         {} cells confirmed, {} contradicted, {} not seen; {runs_unmet} runs without their hazard are not counted\n\
         parked: when the run ended; harmed: runs in which a user was granted twice, or told of a grant that does not exist",
        count(Finding::Confirmed),
        count(Finding::Contradicted),
        count(Finding::Unseen),
    )
}

fn json(tallies: &[Tally]) -> String {
    let total = Total::of(tallies);
    let cell = |tally: &Tally| -> Value {
        json!({
            "hazard": tally.cell.hazard.name(),
            "offer": tally.cell.offer.name(),
            "promise": tally.cell.verdict().name(),
            "runs": tally.runs,
            "runs-unmet": tally.runs_unmet,
            "hazard-effects": tally.hazard_effects,
            "effects": tally.effects,
            "parked": tally.parked,
            "violations": tally.violations,
            "runs-harmed": tally.runs_harmed,
            "finding": tally.finding().name(),
        })
    };
    let document = json!({
        "schema": SCHEMA,
        "cells": tallies.iter().map(cell).collect::<Vec<Value>>(),
        "runs": total.runs,
        "violations": total.violations,
        "bound-95": total.bound(),
    });
    format!("{document:#}\n")
}

/// Says what is not confirmed, with the commands that repeat it.
fn complain(tallies: &[Tally], args: &PromiseArgs, terminal: &Terminal) -> Exit {
    let mut exit = Exit::Pass;
    for tally in tallies {
        let name = tally.cell.name();
        match tally.finding() {
            Finding::Confirmed => {}
            Finding::Contradicted => {
                let (seed, evidence) = tally.first.clone().unwrap_or((args.seed, String::new()));
                let promise = tally.cell.verdict().name();
                let repeat =
                    format!("hookproof promise --cell {name} --seed {seed} > {name}.toml; hookproof run {name}.toml");
                terminal.complain(&format!("{name} should be \"{promise}\": {evidence}; to repeat it: {repeat}"));
                exit = exit.min(Exit::Violated);
            }
            Finding::Unseen => {
                let runs = tally.runs + tally.runs_unmet;
                let promise = tally.cell.verdict().name();
                terminal.complain(&format!("{name}: \"{promise}\" was not seen in {runs} runs; ask for more --runs"));
                exit = exit.min(Exit::Inconclusive);
            }
        }
    }
    exit
}
