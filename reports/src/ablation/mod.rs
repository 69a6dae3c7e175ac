//! A hook with each of its protections removed in turn, beside the hook with all of them: which one prevents which harm.
//!
//! Owns the comparison. Runs are paired by seed: whatever is drawn by chance is drawn alike in both, so that a difference is the
//! protection's. Two things are told apart: a harm that is *worse*, which may be a price or an accident of the scenario, and
//! something that *breaks*: an invariant or an expectation that holds with every protection and not without this one.
//! Only what breaks says that a protection is seen to matter.

mod harm;
mod show;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::record::{Expectation, Invariant, Run, ScenarioId, Verdict};
use crate::sweep::Seeds;
use crate::table::{sentence, violation};

pub use harm::{Harm, Unit};
pub(crate) use show::{in_cell, on_seeds, summary, with_every_protection};
pub use show::{render_ablation, render_ablation_markdown};

/// A harm is worse if it exceeds the one with every protection by more than this share of it, so anything above zero does.
const TOLERANCE: f64 = 0.1;

/// One scenario's matrix: protections by harms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Ablation {
    /// The scenario.
    pub scenario: ScenarioId,
    /// The hook whose protections were removed.
    pub hook: String,
    /// The seeds, each run with every row.
    pub seeds: Seeds,
    /// Of the hook with every protection: the worst of its runs.
    pub verdict: Verdict,
    /// The columns.
    pub harms: Vec<Harm>,
    /// With every protection.
    pub complete: AblationRow,
    /// Without one, in the order in which they were removed.
    pub removed: Vec<AblationRow>,
}

/// One row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AblationRow {
    /// The protection that is missing; empty for the row of the complete hook.
    pub without: String,
    /// What it protects from, or how the hook is without it; a sentence.
    pub means: String,
    /// One for each harm.
    pub cells: Vec<HarmCell>,
    /// What breaks; in the row of the complete hook, what does not hold.
    pub breaks: Vec<Broken>,
}

/// How large a harm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HarmCell {
    /// The worst over the seeds; `null` if there was nothing to measure.
    pub value: Option<Number>,
    /// Seeds in which it is worse than with every protection.
    pub worse: u64,
}

/// An invariant or an expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// The invariant's name, or the expectation's metric and stretch.
    pub name: String,
    /// Seeds in which it does not hold.
    pub seeds: u64,
    /// The first of them.
    pub first_seed: u64,
    /// What was found there.
    pub found: String,
    /// The user whom that names; left out if it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A protection and the runs without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Removed {
    /// The protection's name.
    pub name: String,
    /// As [`AblationRow::means`].
    pub means: String,
    /// One run for each seed, in the order of the complete hook's runs.
    pub runs: Vec<Run>,
}

impl Ablation {
    /// The matrix of one scenario's runs, one for each seed, ascending; `None` if there are none.
    pub fn of(complete: &[Run], removed: &[Removed]) -> Option<Self> {
        let (first, last) = (complete.first()?, complete.last()?);
        let harms = Harm::all();
        let row = |without: &str, means: &str, runs: &[Run], breaks| AblationRow {
            without: without.to_owned(),
            means: means.to_owned(),
            cells: harms.iter().map(|harm| cell(harm, complete, runs)).collect(),
            breaks,
        };
        Some(Self {
            scenario: first.scenario.clone(),
            hook: first.hook.clone(),
            seeds: Seeds { from: first.seed, to: last.seed.saturating_add(1) },
            verdict: complete.iter().map(|run| run.verdict).min()?,
            complete: row("", "every protection is on", complete, broken(complete, None)),
            removed: removed
                .iter()
                .map(|one| row(&one.name, &one.means, &one.runs, broken(&one.runs, Some(complete))))
                .collect(),
            harms,
        })
    }

    /// The protections without which something breaks that holds with all of them.
    pub fn matter(&self) -> impl Iterator<Item = &AblationRow> {
        self.removed.iter().filter(|row| !row.breaks.is_empty())
    }

    /// The protections without which nothing breaks here.
    pub fn idle(&self) -> impl Iterator<Item = &AblationRow> {
        self.removed.iter().filter(|row| row.breaks.is_empty())
    }
}

fn cell(harm: &Harm, complete: &[Run], runs: &[Run]) -> HarmCell {
    let worse = |(with, without): &(&Run, &Run)| match (harm.of(with), harm.of(without)) {
        (Some(with), Some(without)) => is_worse(with, without),
        (None, _) | (_, None) => false,
    };
    HarmCell {
        value: runs.iter().filter_map(|run| harm.of(run)).max(),
        worse: complete.iter().zip(runs).filter(worse).count() as u64,
    }
}

fn is_worse(with: Number, without: Number) -> bool {
    match (with.value(), without.value()) {
        (Some(with), Some(without)) => without > with * (1.0 + TOLERANCE),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// What does not hold in these runs; beside the complete hook's, only what holds there under the same seed.
fn broken(runs: &[Run], complete: Option<&[Run]>) -> Vec<Broken> {
    let Some(first) = runs.first() else { return Vec::new() };
    let with = |index: usize| complete.and_then(|complete| complete.get(index));
    let invariants = (0..first.invariants.len()).filter_map(|at| {
        let found = |index: usize, run: &Run| {
            let one = run.invariants.get(at).filter(|one| one.violations > 0)?;
            let held = with(index).is_none_or(|run| run.invariants.get(at).is_some_and(|one| one.violations == 0));
            held.then(|| (one.id.clone(), found_of_invariant(one), user_of(one)))
        };
        collected(runs, found)
    });
    let expectations = (0..first.expectations.len()).filter_map(|at| {
        let found = |index: usize, run: &Run| {
            let one = run.expectations.get(at).filter(|one| one.verdict == Verdict::Violated)?;
            let with = with(index).and_then(|run| run.expectations.get(at));
            let held = with.is_none_or(|one| one.verdict == Verdict::Pass);
            held.then(|| (name_of(one), found_of_expectation(one, with, &run.scenario), None))
        };
        collected(runs, found)
    });
    invariants.chain(expectations).collect()
}

/// The seeds in which something is found, with what was found in the first.
fn collected(runs: &[Run], found: impl Fn(usize, &Run) -> Option<(String, String, Option<String>)>) -> Option<Broken> {
    let mut all = runs.iter().enumerate().filter_map(|(index, run)| Some((run.seed, found(index, run)?)));
    let (first_seed, (name, found, user)) = all.next()?;
    Some(Broken { name, seeds: 1 + all.count() as u64, first_seed, found, user })
}

fn user_of(invariant: &Invariant) -> Option<String> {
    invariant.first.as_ref()?.user.clone()
}

fn found_of_invariant(invariant: &Invariant) -> String {
    violation(invariant)
}

fn name_of(expectation: &Expectation) -> String {
    let Expectation { metric, during, .. } = expectation;
    if during == "run" { metric.clone() } else { format!("{metric} during {during}") }
}

fn found_of_expectation(without: &Expectation, with: Option<&Expectation>, scenario: &ScenarioId) -> String {
    let found = sentence(without, &format!("{}.toml", scenario.name));
    match with.and_then(|with| with.value) {
        Some(value) => format!("{found}; with every protection it is {value}"),
        None => found,
    }
}
