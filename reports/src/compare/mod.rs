//! Two records side by side: what got better and worse from one to the other, run by run and metric by metric.
//!
//! Runs are paired by scenario name, hook and seed. In virtual time a metric is a function of these and of the code, so that
//! any difference is one: values are compared exactly. In real time it is not, so that a record with the clock `real` has only
//! its verdicts compared. A regression is a verdict that got worse, of a run or of an expectation, a metric that got worse
//! beyond the tolerance given for it, or more violations of an invariant by a judged hook.

mod direction;
mod summary;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::number::Number;
use crate::record::{ClockKind, Expectation, Limit, Role, Run, RunRecord, Tool, Verdict};

pub use direction::{DIRECTIONS, Direction};
pub(crate) use summary::differs;
pub use summary::{render_comparison, render_comparison_json, render_comparison_markdown};

/// The schema of a comparison.
pub const COMPARE_SCHEMA: &str = "hookproof.compare/1";

/// What two records say of each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// [`COMPARE_SCHEMA`].
    pub schema: String,
    /// What came of it.
    pub finding: Finding,
    /// The first record.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// Whether metrics were compared: not if either record's time was real.
    pub metrics_compared: bool,
    /// Runs that are in both, in the order of the first.
    pub pairs: Vec<PairedRun>,
    /// Runs that the second does not have.
    pub only_before: Vec<RunName>,
    /// Runs that the first does not have.
    pub only_after: Vec<RunName>,
    /// What else is not compared, and why; sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Something got worse.
    Regression,
    /// Nothing did.
    NoRegression,
    /// There was nothing to compare.
    NothingPaired,
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// What wrote it.
    pub tool: Tool,
    /// Whose time its runs lived in.
    pub clock: ClockKind,
    /// Its runs.
    pub runs: u64,
}

/// What a run is paired by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RunName {
    /// The scenario's name.
    pub scenario: String,
    /// The hook.
    pub hook: String,
    /// The seed.
    pub seed: u64,
}

/// One run in both records.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PairedRun {
    /// Which one.
    pub run: RunName,
    /// Its role in the second record.
    pub role: Role,
    /// Whether the scenario files differ, so that a difference may be theirs.
    pub scenario_changed: bool,
    /// Whether the digests of the runs differ; if not, nothing does.
    pub digest_changed: bool,
    /// The runs' verdicts.
    pub verdict: Changed<Verdict>,
    /// All metrics of either run.
    pub metrics: BTreeMap<String, Changed<Option<Number>>>,
    /// Expectations whose verdict differs, in the second file's order.
    pub expectations: Vec<ChangedExpectation>,
    /// Violations of each invariant of either run; 0 where it is not known.
    pub invariants: BTreeMap<String, Changed<u64>>,
    /// What got worse.
    pub regressions: u64,
}

/// A value in both records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Changed<T> {
    /// In the first.
    pub before: T,
    /// In the second.
    pub after: T,
    /// What that means.
    pub change: Change,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A regression.
    Worse,
    /// Worse within the tolerance that was given.
    Tolerated,
    /// Other, and neither better nor worse.
    Other,
    /// Better.
    Better,
    /// None.
    Equal,
}

/// An expectation of both files whose verdict differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangedExpectation {
    /// The metric.
    pub metric: String,
    /// Name of the stretch of time.
    pub during: String,
    /// What is expected.
    pub limit: Limit,
    /// The verdicts.
    pub verdict: Changed<Verdict>,
    /// Its line in the second file.
    pub line: u32,
}

/// By how many per cent of its value before a metric may get worse, by name.
pub type Tolerances = BTreeMap<String, Number>;

/// Compares two records; see the module's header.
pub fn compare(before: &RunRecord, after: &RunRecord, tolerances: &Tolerances) -> Comparison {
    let metrics_compared = [before, after].iter().all(|record| record.clock == ClockKind::Virtual);
    let tolerances = metrics_compared.then_some(tolerances);
    let mut rest: BTreeMap<RunName, Vec<&Run>> = BTreeMap::new();
    for run in after.runs.iter().rev() {
        rest.entry(named(run)).or_default().push(run);
    }
    let (mut pairs, mut only_before) = (Vec::new(), Vec::new());
    for run in &before.runs {
        match rest.get_mut(&named(run)).and_then(Vec::pop) {
            Some(again) => pairs.push(pair(run, again, tolerances)),
            None => only_before.push(named(run)),
        }
    }
    let only_after: Vec<RunName> = rest.into_values().flatten().map(named).collect();
    let finding = if pairs.is_empty() {
        Finding::NothingPaired
    } else if pairs.iter().any(|pair| pair.regressions > 0) {
        Finding::Regression
    } else {
        Finding::NoRegression
    };
    Comparison {
        schema: COMPARE_SCHEMA.to_owned(),
        finding,
        before: side(before),
        after: side(after),
        metrics_compared,
        pairs,
        only_before,
        only_after,
        left_out: left_out(before, after),
    }
}

fn left_out(before: &RunRecord, after: &RunRecord) -> Vec<String> {
    let has = [before, after].iter().any(|record| !record.ablations.is_empty());
    let reason = "The matrices of ablations: what breaks without a protection is neither better nor worse; a report of each record shows its own.";
    if has { vec![reason.to_owned()] } else { Vec::new() }
}

fn side(record: &RunRecord) -> Side {
    Side { tool: record.tool.clone(), clock: record.clock, runs: record.runs.len() as u64 }
}

fn named(run: &Run) -> RunName {
    RunName { scenario: run.scenario.name.clone(), hook: run.hook.clone(), seed: run.seed }
}

/// `tolerances` is `None` where metrics are not compared.
fn pair(before: &Run, after: &Run, tolerances: Option<&Tolerances>) -> PairedRun {
    let verdict = verdict(before.verdict, after.verdict);
    let metrics = tolerances.map_or_else(BTreeMap::new, |tolerances| metrics(before, after, tolerances));
    let expectations = expectations(before, after);
    let invariants = invariants(before, after);
    let changes = std::iter::once(verdict.change)
        .chain(metrics.values().map(|metric| metric.change))
        .chain(expectations.iter().map(|expectation| expectation.verdict.change))
        .chain(invariants.values().map(|invariant| invariant.change));
    let regressions = changes.filter(|change| *change == Change::Worse).count() as u64;
    PairedRun {
        run: named(before),
        role: after.role,
        scenario_changed: before.scenario.digest != after.scenario.digest,
        digest_changed: before.digest != after.digest,
        verdict,
        metrics,
        expectations,
        invariants,
        regressions,
    }
}

/// The worst verdict comes first.
fn verdict(before: Verdict, after: Verdict) -> Changed<Verdict> {
    let change = match after.cmp(&before) {
        std::cmp::Ordering::Less => Change::Worse,
        std::cmp::Ordering::Equal => Change::Equal,
        std::cmp::Ordering::Greater => Change::Better,
    };
    Changed { before, after, change }
}

fn metrics(before: &Run, after: &Run, tolerances: &Tolerances) -> BTreeMap<String, Changed<Option<Number>>> {
    let names = before.metrics.keys().chain(after.metrics.keys());
    let each = names.map(|name| {
        let (before, after) = (before.metrics.get(name).copied(), after.metrics.get(name).copied());
        let change = metric(direction::of(name), before, after, tolerances.get(name).copied());
        (name.clone(), Changed { before, after, change })
    });
    each.collect()
}

fn metric(direction: Direction, before: Option<Number>, after: Option<Number>, tolerance: Option<Number>) -> Change {
    let (Some(before), Some(after)) = (before, after) else {
        return if before == after { Change::Equal } else { Change::Other };
    };
    let size = |number: Number| number.value().and_then(|value| Number::finite(value.abs())).unwrap_or(number);
    let order = match direction {
        Direction::Lower => after.cmp(&before),
        Direction::Higher => before.cmp(&after),
        Direction::Nearer => size(after).cmp(&size(before)),
        Direction::Neither => return if before == after { Change::Equal } else { Change::Other },
    };
    match order {
        std::cmp::Ordering::Less => Change::Better,
        std::cmp::Ordering::Greater if tolerated(before, after, tolerance) => Change::Tolerated,
        std::cmp::Ordering::Greater => Change::Worse,
        std::cmp::Ordering::Equal if before == after => Change::Equal,
        std::cmp::Ordering::Equal => Change::Other,
    }
}

/// Whether the difference is at most so many per cent of the value before.
fn tolerated(before: Number, after: Number, tolerance: Option<Number>) -> bool {
    let values = (before.value(), after.value(), tolerance.and_then(Number::value));
    let (Some(before), Some(after), Some(percent)) = values else { return false };
    (after - before).abs() * 100.0 <= before.abs() * percent
}

/// Expectations are the same if they ask the same of the same stretch; of several such ones the first is paired with the first.
fn expectations(before: &Run, after: &Run) -> Vec<ChangedExpectation> {
    let same = |one: &Expectation, other: &Expectation| {
        (&one.metric, &one.during, one.limit) == (&other.metric, &other.during, other.limit)
    };
    let mut rest: Vec<&Expectation> = before.expectations.iter().collect();
    let mut changed = Vec::new();
    for now in &after.expectations {
        let Some(place) = rest.iter().position(|then| same(then, now)) else { continue };
        let verdict = verdict(rest.remove(place).verdict, now.verdict);
        if verdict.change != Change::Equal {
            let Expectation { metric, during, limit, line, .. } = now.clone();
            changed.push(ChangedExpectation { metric, during, limit, verdict, line });
        }
    }
    changed
}

/// Of a reference nothing is asked, so that nothing it breaks is a regression.
fn invariants(before: &Run, after: &Run) -> BTreeMap<String, Changed<u64>> {
    let count = |run: &Run, id: &str| {
        run.invariants.iter().find(|invariant| invariant.id == id).map_or(0, |invariant| invariant.violations)
    };
    let ids = before.invariants.iter().chain(&after.invariants).map(|invariant| &invariant.id);
    let each = ids.map(|id| {
        let (then, now) = (count(before, id), count(after, id));
        let change = match (now.cmp(&then), after.role) {
            (std::cmp::Ordering::Equal, _) => Change::Equal,
            (_, Role::Reference) => Change::Other,
            (std::cmp::Ordering::Greater, Role::Judged) => Change::Worse,
            (std::cmp::Ordering::Less, Role::Judged) => Change::Better,
        };
        (id.clone(), Changed { before: then, after: now, change })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> Option<Number> {
        Number::finite(value)
    }

    #[test]
    fn a_change_is_judged_by_the_better_way_of_its_metric() {
        use Direction::{Higher, Lower, Nearer, Neither};
        let never = Some(Number::NEVER);
        let cases = [
            (Lower, number(1.0), number(1.0), Change::Equal),
            (Lower, number(1.0), number(1.000_000_000_000_000_2), Change::Worse),
            (Lower, number(1.0), number(0.0), Change::Better),
            (Lower, number(9.0), never, Change::Worse),
            (Lower, never, number(9.0), Change::Better),
            (Lower, never, never, Change::Equal),
            (Higher, number(0.98), number(0.97), Change::Worse),
            (Higher, number(0.98), number(0.99), Change::Better),
            (Nearer, number(-0.2), number(0.1), Change::Better),
            (Nearer, number(0.1), number(-0.2), Change::Worse),
            (Nearer, number(0.1), number(-0.1), Change::Other),
            (Neither, number(1.0), number(2.0), Change::Other),
            (Lower, None, number(1.0), Change::Other),
            (Lower, number(1.0), None, Change::Other),
            (Lower, None, None, Change::Equal),
        ];
        for (direction, before, after, change) in cases {
            assert_eq!(metric(direction, before, after, None), change, "{direction:?} {before:?} {after:?}");
        }
    }

    #[test]
    fn a_tolerance_is_a_share_of_the_value_before_and_its_end_belongs_to_it() {
        let worse = |before, after, percent| metric(Direction::Lower, number(before), number(after), number(percent));
        assert_eq!(worse(100.0, 105.0, 5.0), Change::Tolerated);
        assert_eq!(worse(100.0, 105.1, 5.0), Change::Worse);
        assert_eq!(worse(100.0, 95.0, 5.0), Change::Better);
        assert_eq!(worse(0.0, 0.1, 50.0), Change::Worse);
        assert_eq!(metric(Direction::Lower, number(1.0), Some(Number::NEVER), number(900.0)), Change::Worse);
    }
}
