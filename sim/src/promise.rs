//! The promise matrix on the simulator: each cell as a small scenario, run and judged from outside.
//!
//! Owns what a run of a cell must show and how runs add up to a finding about the cell. The verdicts come from
//! [`hookproof_core::promise`] alone; nothing here repeats one. It does not know how a hazard is made: [`source`] does.
//!
//! * *holds*: no invariant is broken, nothing is parked in the end (a late receipt may still end a parked grant), each
//!   entitled user has one effect.
//! * *detected and parked*: the same, but grants may be parked, and over the runs some are.
//! * *impossible*: over the runs some user is harmed: granted twice, or told of a grant that does not exist.
//!
//! A run in which the hazard touched nothing proves nothing and is not counted. Chance is keyed by the run's seed. Read
//! next: `tests/promise/matrix.rs`.

mod cell;

use hookproof_core::promise::{Hazard, Offer, Verdict, promise};

pub use self::cell::source;
use crate::metrics::Metric;
use crate::outcome::{Invariant, Outcome, Value};
use crate::run;
use crate::scenario::{HookKind, ScenarioError, decode};

/// The invariants that the promise is made of.
const PROMISED: [&str; 5] = ["GRANT-1", "GRANT-2", "GRANT-3", "AUDIT-1", "ASSIGN-1"];

/// A cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What happens.
    pub hazard: Hazard,
    /// What the service offers against doubles.
    pub offer: Offer,
}

impl Cell {
    /// All cells, row by row.
    pub fn all() -> impl Iterator<Item = Self> {
        Hazard::ALL.into_iter().flat_map(|hazard| Offer::ALL.into_iter().map(move |offer| Self { hazard, offer }))
    }

    /// What the matrix says of it.
    pub const fn verdict(self) -> Verdict {
        promise(self.offer, self.hazard)
    }

    /// Its name in messages and file names.
    pub fn name(self) -> String {
        format!("{}-{}", self.hazard.name(), self.offer.name())
    }

    /// The scenario that shows how the promise falls, below the repository's root; only an impossible cell has one.
    pub fn counterexample(self) -> Option<String> {
        match self.verdict() {
            Verdict::Impossible => Some(format!("scenarios/promise/{}.toml", self.name())),
            Verdict::Holds | Verdict::Parked => None,
        }
    }
}

/// What one run of a cell showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRun {
    /// The cell.
    pub cell: Cell,
    /// The seed.
    pub seed: u64,
    /// How often the hazard happened; 0 proves nothing. A hazard that is how things are, not an event, counts once.
    pub hazard_effects: u64,
    /// Users who were promised a grant.
    pub entitled: u64,
    /// Effects in the service's ledger.
    pub effects: u64,
    /// Grants that are parked with their evidence when the run ends.
    pub parked: u64,
    /// Breaches of the promise as the cell states it.
    pub violations: u64,
    /// The first of them.
    pub evidence: Option<String>,
    /// Whether a user was granted twice or told of a grant that does not exist.
    pub is_harmed: bool,
}

/// Runs the cell's scenario with `seed` on the hardened hook and judges it.
///
/// # Errors
/// The scenario's text is not one: a mistake of this module.
pub fn confirm(cell: Cell, seed: u64) -> Result<CellRun, ScenarioError> {
    let source = source(cell, seed);
    let scenario = decode(&cell.name(), &format!("{}.toml", cell.name()), source.as_bytes())?;
    let outcome = run(&scenario, HookKind::Hardened, seed, &mut |_| {});
    Ok(judge(cell, seed, &outcome))
}

fn judge(cell: Cell, seed: u64, outcome: &Outcome) -> CellRun {
    let promised = || outcome.invariants.iter().filter(|invariant| PROMISED.contains(&invariant.id));
    let broken = |invariant: &Invariant| invariant.violations + invariant.inconclusive;
    let mut violations: u64 = promised().map(broken).sum();
    let mut evidence = promised().find(|invariant| broken(invariant) > 0).map(describe);
    let (entitled, effects) = (total(outcome, "entitlements"), total(outcome, "effects"));
    let parked = outcome.grants_parked;
    if cell.verdict() == Verdict::Holds && violations == 0 {
        violations = parked + entitled.abs_diff(effects);
        evidence =
            (violations > 0).then(|| format!("{entitled} users entitled, {effects} effects, {parked} grants parked"));
    }
    CellRun {
        cell,
        seed,
        hazard_effects: hazard_effects(outcome),
        entitled,
        effects,
        parked,
        violations,
        evidence,
        is_harmed: is_harmed(outcome),
    }
}

/// Whether some user was granted twice, or told of a grant that does not exist.
pub fn is_harmed(outcome: &Outcome) -> bool {
    let is_told_wrong = |invariant: &Invariant| invariant.id == "AUDIT-1" && invariant.violations > 0;
    count(outcome, Metric::OverAllocationMaxGrants) >= 2 || outcome.invariants.iter().any(is_told_wrong)
}

fn describe(invariant: &Invariant) -> String {
    let first = invariant.first.as_ref();
    let user = first.and_then(|first| first.user.as_deref()).unwrap_or("the run");
    let at_ms = first.map_or(0, |first| first.at.as_millis());
    let what = first.map_or(invariant.says, |first| first.evidence.as_str());
    format!("{} {} times, first {user} at {at_ms} ms: {what}", invariant.id, invariant.violations)
}

/// Effects of the faults that are the hazard, or 1 where it is in the settings and not in a fault.
fn hazard_effects(outcome: &Outcome) -> u64 {
    let mut hazards = outcome.faults.iter().filter(|fault| fault.name.starts_with(cell::HAZARD)).peekable();
    if hazards.peek().is_none() { 1 } else { hazards.map(|fault| fault.effects).sum() }
}

fn total(outcome: &Outcome, series: &str) -> u64 {
    outcome.series.counts.get(series).map_or(0, |counts| counts.iter().sum())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is whole and not negative")]
fn count(outcome: &Outcome, metric: Metric) -> u64 {
    match outcome.metrics.get(&metric) {
        Some(Value::Number(number)) => *number as u64,
        Some(Value::Never) | None => 0,
    }
}

/// What the runs of one cell add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The cell.
    pub cell: Cell,
    /// Runs in which the hazard happened; nothing else is counted.
    pub runs: u64,
    /// Runs in which it did not.
    pub runs_unmet: u64,
    /// How often it happened.
    pub hazard_effects: u64,
    /// Effects in the ledger.
    pub effects: u64,
    /// Grants parked when the run ended.
    pub parked: u64,
    /// Breaches of the promise, as the cell states it.
    pub violations: u64,
    /// Runs in which a user was harmed.
    pub runs_harmed: u64,
    /// The first breach, with its seed.
    pub first: Option<(u64, String)>,
}

/// What the runs say of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// What the matrix says was seen, and nothing else.
    Confirmed,
    /// Something else was seen.
    Contradicted,
    /// What the matrix says was not seen: too few runs.
    Unseen,
}

impl Finding {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Contradicted => "contradicted",
            Self::Unseen => "not seen",
        }
    }
}

impl Tally {
    /// Nothing counted yet.
    pub const fn new(cell: Cell) -> Self {
        Self {
            cell,
            runs: 0,
            runs_unmet: 0,
            hazard_effects: 0,
            effects: 0,
            parked: 0,
            violations: 0,
            runs_harmed: 0,
            first: None,
        }
    }

    /// Counts a run.
    pub fn add(&mut self, run: &CellRun) {
        if run.hazard_effects == 0 {
            self.runs_unmet += 1;
            return;
        }
        self.runs += 1;
        self.hazard_effects += run.hazard_effects;
        self.effects += run.effects;
        self.parked += run.parked;
        self.violations += run.violations;
        self.runs_harmed += u64::from(run.is_harmed);
        if let (None, Some(evidence)) = (&self.first, &run.evidence) {
            self.first = Some((run.seed, evidence.clone()));
        }
    }

    /// What the runs say of the cell.
    pub const fn finding(&self) -> Finding {
        let (is_seen, is_broken) = match self.cell.verdict() {
            Verdict::Holds => (self.runs > 0 && self.effects > 0, self.violations > 0),
            Verdict::Parked => (self.parked > 0, self.violations > 0),
            Verdict::Impossible => (self.runs_harmed > 0, false),
        };
        match (is_broken, is_seen) {
            (true, _) => Finding::Contradicted,
            (false, true) => Finding::Confirmed,
            (false, false) => Finding::Unseen,
        }
    }
}
