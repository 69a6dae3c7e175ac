//! A comparison for people and for programs: what got worse first, and equal values only counted.

use super::{Change, Changed, ChangedExpectation, Comparison, Finding, PairedRun, RunName};
use crate::number::Number;
use crate::record::{ClockKind, Verdict};
use crate::sweep::section::{Row, Section, Table, human, markdown};
use crate::table::text::{counted, word};
use crate::table::{Palette, limit};

/// Runs without a partner that are named; the record has all.
const NAMED_MAX: usize = 10;

/// The comparison in 80 columns.
pub fn render_comparison(comparison: &Comparison, palette: &Palette) -> String {
    human(&sections(comparison), palette)
}

/// The comparison in Markdown, as for the summary page of a CI run.
pub fn render_comparison_markdown(comparison: &Comparison) -> String {
    markdown(&sections(comparison))
}

/// The comparison for programs, laid out like a run record. Equal comparisons give equal bytes.
pub fn render_comparison_json(comparison: &Comparison) -> String {
    crate::json::laid_out(comparison)
}

fn sections(comparison: &Comparison) -> Vec<Section> {
    let mut out = Vec::new();
    let mut pairs: Vec<&PairedRun> = comparison.pairs.iter().filter(|pair| differs(pair)).collect();
    pairs.sort_by_key(|pair| pair.regressions == 0);
    for pair in pairs {
        paired(&mut out, pair);
    }
    let sides =
        [("only in the first record", &comparison.only_before), ("only in the second record", &comparison.only_after)];
    if sides.iter().any(|(_, runs)| !runs.is_empty()) {
        out.push(Section::Title("Not compared".to_owned()));
    }
    out.extend(sides.iter().filter_map(|(words, runs)| alone(words, runs)));
    if !comparison.metrics_compared {
        let real = |clock| if clock == ClockKind::Real { "real" } else { "virtual" };
        let (before, after) = (real(comparison.before.clock), real(comparison.after.clock));
        let text = format!(
            "Only verdicts and invariants were compared: metrics of real time depend on the machine, and the clocks are {before} and {after}"
        );
        out.push(Section::Line(None, text));
    }
    out.extend(comparison.left_out.iter().map(|reason| Section::Line(None, format!("Not compared: {reason}"))));
    out.push(closing(comparison));
    out
}

/// Whether there is anything to show of it.
pub(crate) fn differs(pair: &PairedRun) -> bool {
    pair.digest_changed
        || pair.scenario_changed
        || pair.verdict.change != Change::Equal
        || pair.metrics.values().any(|metric| metric.change != Change::Equal)
        || pair.invariants.values().any(|invariant| invariant.change != Change::Equal)
        || !pair.expectations.is_empty()
}

fn paired(out: &mut Vec<Section>, pair: &PairedRun) {
    out.push(Section::Title(name(&pair.run)));
    if pair.scenario_changed {
        out.push(Section::Line(None, "The scenario files differ: a difference may be theirs.".to_owned()));
    }
    let Changed { before, after, change } = pair.verdict;
    if change != Change::Equal {
        let text = format!("the run's verdict is {} and was {}", word(after), word(before));
        out.push(Section::Line(judged(change), text));
    }
    out.extend(pair.expectations.iter().map(expectation));
    let metrics = pair.metrics.iter().filter(|(_, metric)| metric.change != Change::Equal);
    let mut rows: Vec<(Change, Row)> =
        metrics.map(|(name, metric)| (metric.change, metric_row(name, metric))).collect();
    let invariants = pair.invariants.iter().filter(|(_, invariant)| invariant.change != Change::Equal);
    rows.extend(invariants.map(|(id, invariant)| (invariant.change, invariant_row(id, invariant))));
    rows.sort_by_key(|(change, _)| *change);
    let equal = pair.metrics.values().filter(|metric| metric.change == Change::Equal).count();
    if rows.is_empty() {
        let same = if pair.metrics.is_empty() { "" } else { ", and every metric is equal" };
        let digest = if pair.digest_changed { "The digests differ: the events do" } else { "The digests are equal" };
        out.push(Section::Line(None, format!("{digest}{same}.")));
    } else {
        let head = ["metric or invariant", "before", "after", "change", "is"].map(str::to_owned).into();
        out.push(Section::Table(Table { head, rows: rows.into_iter().map(|(_, row)| row).collect() }));
        if equal > 0 {
            out.push(Section::Line(None, format!("{} equal.", counted(equal as u64, "other metric"))));
        }
    }
}

/// A verdict for a change, where it is one.
fn judged(change: Change) -> Option<Verdict> {
    match change {
        Change::Worse => Some(Verdict::Violated),
        Change::Better => Some(Verdict::Pass),
        Change::Tolerated | Change::Other | Change::Equal => None,
    }
}

fn expectation(expectation: &ChangedExpectation) -> Section {
    let ChangedExpectation { metric, during, limit: bound, verdict, line } = expectation;
    let during = if during == "run" { String::new() } else { format!(" during {during}") };
    let (is, was) = (word(verdict.after), word(verdict.before));
    let text = format!("{metric}{during} must be {} (line {line}): is {is} and was {was}", limit(*bound));
    Section::Line(judged(verdict.change), text)
}

fn metric_row(name: &str, metric: &Changed<Option<Number>>) -> Row {
    let (before, after) = match (metric.before.map(short), metric.after.map(short)) {
        // Too close for six digits.
        (Some(before), Some(after)) if before == after => (exact(metric.before), exact(metric.after)),
        (before, after) => (before.unwrap_or_else(absent), after.unwrap_or_else(absent)),
    };
    let values = metric.before.and_then(Number::value).zip(metric.after.and_then(Number::value));
    let change = values.map_or_else(String::new, |(before, after)| relative(before, after));
    row(name, [before, after, change], metric.change)
}

fn invariant_row(id: &str, invariant: &Changed<u64>) -> Row {
    let Changed { before, after, change } = *invariant;
    let relative = relative(before as f64, after as f64);
    row(&format!("{id} violations"), [before.to_string(), after.to_string(), relative], change)
}

fn row(name: &str, cells: [String; 3], change: Change) -> Row {
    let is = match change {
        Change::Worse => "worse",
        Change::Tolerated => "tolerated",
        Change::Other => "other",
        Change::Better => "better",
        Change::Equal => "equal",
    };
    let cells = std::iter::once(name.to_owned()).chain(cells).chain([is.to_owned()]).collect();
    Row { verdict: None, cells }
}

fn absent() -> String {
    "-".to_owned()
}

fn exact(number: Option<Number>) -> String {
    number.map_or_else(absent, |number| number.to_string())
}

/// In six digits.
fn short(number: Number) -> String {
    let value = number.value().and_then(|value| format!("{value:.5e}").parse().ok()).and_then(Number::finite);
    value.unwrap_or(number).to_string()
}

/// The change in per cent of the value before.
fn relative(before: f64, after: f64) -> String {
    if before == 0.0 {
        return String::new();
    }
    let percent = (after - before) / before.abs() * 100.0;
    match percent.abs() {
        size if size < 0.05 => format!("{}0.1%", if percent < 0.0 { ">-" } else { "<+" }),
        size if size < 9_999.5 => format!("{percent:+.1}%"),
        _ => format!("{:+.0}x", after / before),
    }
}

fn name(run: &RunName) -> String {
    format!("{}, {}, seed {}", run.scenario, run.hook, run.seed)
}

fn alone(words: &str, runs: &[RunName]) -> Option<Section> {
    let listed: Vec<String> = runs.iter().take(NAMED_MAX).map(name).collect();
    let more = match runs.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let count = counted(runs.len() as u64, "run");
    (!runs.is_empty()).then(|| Section::Line(None, format!("{count} {words}: {}{more}", listed.join("; "))))
}

fn closing(comparison: &Comparison) -> Section {
    let pairs = counted(comparison.pairs.len() as u64, "pair");
    let regressions: u64 = comparison.pairs.iter().map(|pair| pair.regressions).sum();
    let worse = comparison.pairs.iter().filter(|pair| pair.regressions > 0).count();
    let differ = comparison.pairs.iter().filter(|pair| pair.digest_changed).count();
    let (verdict, text) = match comparison.finding {
        Finding::NothingPaired => {
            let text = "no run of one record has its like in the other: same scenario name, hook and seed";
            (Verdict::Inconclusive, text.to_owned())
        }
        Finding::Regression => {
            let things = counted(regressions, "regression");
            (Verdict::Violated, format!("{things} in {worse} of {pairs}, of which {differ} ran differently"))
        }
        Finding::NoRegression => {
            (Verdict::Pass, format!("no regression in {pairs}, of which {differ} ran differently"))
        }
    };
    Section::Line(Some(verdict), text)
}
