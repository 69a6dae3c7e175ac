//! Two records side by side as one page: what got worse first, then each run that differs with its metrics, findings and charts,
//! and what could not be compared. It has the report's style sheet, policy and way with text.

use maud::{Markup, html};

use crate::compare::{
    Change, Changed, ChangedExpectation, Comparison, Finding, PairedRun, RunName, Tolerances, differs,
};
use crate::number::Number;
use crate::record::{ClockKind, Fault, Run, RunRecord, Verdict};
use crate::table::text::{counted, grouped};

use super::definition::{digits, unit};
use super::findings::{head, table};
use super::words::{Shown, limit, verdict};
use super::{document, timeline};

/// Pairs whose charts are shown: a page of many more would be too large to open.
const CHARTED_MAX: usize = 6;

/// Renders a comparison with the records that it is of. Same arguments, same bytes.
pub fn render_comparison_html(
    comparison: &Comparison,
    before: &RunRecord,
    after: &RunRecord,
    tolerances: &Tolerances,
) -> String {
    let mut pairs: Vec<&PairedRun> = comparison.pairs.iter().filter(|pair| differs(pair)).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.regressions));
    let header = html! {
        h1 { "Comparison of two runs" }
        p .banner { (finding(comparison)) }
        (sides(comparison))
    };
    let main = html! {
        (index(comparison, &pairs))
        (left_out(comparison))
        @for (number, pair) in pairs.iter().enumerate() {
            (section(pair, &format!("p{number}"), tolerances))
            @if let Some((a, b)) = both(pair, before, after) {
                (faults(&a, &b, &format!("p{number}")))
                @if number < CHARTED_MAX { (charts(&a, &b, &format!("p{number}"))) }
                @else { p .note { "Charts are left out beyond the first " (CHARTED_MAX) " runs that differ; a report of each record has them." } }
            }
        }
        (method(comparison))
    };
    document("Comparison of two runs", &header, &main)
}

fn finding(comparison: &Comparison) -> Markup {
    let regressions: u64 = comparison.pairs.iter().map(|pair| pair.regressions).sum();
    let compared = counted(comparison.pairs.len() as u64, "run");
    html! {
        @match comparison.finding {
            Finding::Regression => {
                strong .verdict.bad { span aria-hidden="true" { "✗" } " Regression" } " "
                (counted(regressions, "thing")) " got worse in " (compared) " compared."
            },
            Finding::NoRegression => {
                strong .verdict.good { span aria-hidden="true" { "✓" } " No regression" } " Nothing got worse in " (compared) " compared."
            },
            Finding::NothingPaired => {
                strong .verdict.open { span aria-hidden="true" { "?" } " Nothing to compare" } " The records have no run in common."
            },
        }
    }
}

const fn clock(clock: ClockKind) -> &'static str {
    match clock {
        ClockKind::Virtual => "virtual",
        ClockKind::Real => "real",
    }
}

fn sides(comparison: &Comparison) -> Markup {
    let sides = [("A, before", &comparison.before), ("B, after", &comparison.after)];
    table(
        "sides",
        "The two records",
        &html! {
            (head(&["Record", "Written by", "Clock", "Runs"]))
            tbody {
                @for (name, side) in sides {
                    tr {
                        th scope="row" { (name) }
                        td { (Shown(&side.tool.name)) " " (Shown(&side.tool.version)) }
                        td { (clock(side.clock)) } td .n { (grouped(side.runs)) }
                    }
                }
            }
        },
    )
}

/// A change as a word with a sign, in its colour.
fn change(change: Change) -> Markup {
    let (class, sign, word) = match change {
        Change::Worse => ("bad", "✗", "worse"),
        Change::Tolerated => ("open", "≈", "worse, tolerated"),
        Change::Other => ("open", "≠", "different"),
        Change::Better => ("good", "✓", "better"),
        Change::Equal => ("note", "=", "equal"),
    };
    html! { span .verdict.(class) { span aria-hidden="true" { (sign) } " " (word) } }
}

fn name(run: &RunName) -> Markup {
    html! { (Shown(&run.scenario)) ", " (Shown(&run.hook)) ", seed " (run.seed) }
}

fn counts(pair: &PairedRun) -> String {
    let all = || {
        let metrics = pair.metrics.values().map(|metric| metric.change);
        let others = pair.expectations.iter().map(|one| one.verdict.change);
        metrics.chain(others).chain(pair.invariants.values().map(|one| one.change)).chain([pair.verdict.change])
    };
    let words = [
        (Change::Worse, "worse"),
        (Change::Tolerated, "tolerated"),
        (Change::Better, "better"),
        (Change::Other, "different"),
    ];
    let count = |(change, word): (Change, &str)| {
        let count = all().filter(|one| *one == change).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let counts: Vec<String> = words.into_iter().filter_map(count).collect();
    if counts.is_empty() { "nothing that is measured".to_owned() } else { counts.join(", ") }
}

/// Every run that differs, with a link.
fn index(comparison: &Comparison, pairs: &[&PairedRun]) -> Markup {
    let equal = (comparison.pairs.len() - pairs.len()) as u64;
    html! {
        h2 #index { "What differs" }
        @if pairs.is_empty() { p .empty {
            @if equal == 0 { "No run is in both files." } @else { "Nothing: " (counted(equal, "run")) " compared, and all are equal." }
        } } @else {
            (table("index-c", "Runs that differ, most regressions first", &html! {
                (head(&["Run", "Verdict", "Changes", "Files", "Events"]))
                tbody {
                    @for (number, pair) in pairs.iter().enumerate() {
                        tr {
                            th scope="row" { a href={ "#p" (number) } { (name(&pair.run)) } }
                            td { (verdicts(pair.verdict)) }
                            td { (counts(pair)) }
                            td { @if pair.scenario_changed { "differ" } @else { "equal" } }
                            td { @if pair.digest_changed { "differ" } @else { "equal" } }
                        }
                    }
                }
            }))
            @if equal > 0 { p .note { (counted(equal, "other run")) " equal." } }
        }
    }
}

fn verdicts(changed: Changed<Verdict>) -> Markup {
    html! {
        @if changed.change == Change::Equal { (verdict(changed.after)) }
        @else { (verdict(changed.before)) " → " (verdict(changed.after)) }
    }
}

/// What can't be compared, and why.
fn left_out(comparison: &Comparison) -> Markup {
    let alone = [("A", &comparison.only_before), ("B", &comparison.only_after)];
    let reasons = comparison.left_out.len() + usize::from(!comparison.metrics_compared);
    html! {
        @if reasons > 0 || alone.iter().any(|(_, runs)| !runs.is_empty()) {
            h2 #left-out { "What is not compared" }
            ul .firsts {
                @if !comparison.metrics_compared {
                    li {
                        "Metrics: the clocks are " (clock(comparison.before.clock)) " and " (clock(comparison.after.clock))
                        ", and a figure of real time depends on the machine. Verdicts and invariants are compared."
                    }
                }
                @for reason in &comparison.left_out { li { (Shown(reason)) } }
                @for (side, runs) in alone {
                    @for run in runs { li { (name(run)) ": only in " (side) } }
                }
            }
        }
    }
}

fn section(pair: &PairedRun, key: &str, tolerances: &Tolerances) -> Markup {
    html! {
        section .scenario {
            h2 id=(key) { (name(&pair.run)) }
            p { (verdicts(pair.verdict)) ". " (counts(pair)) "." }
            @if pair.scenario_changed { p .note { "The scenario files differ: a difference may be theirs." } }
            @if !pair.digest_changed { p .note { "The digests are equal: the events of both runs are the same." } }
            (expectations(&pair.expectations, key))
            (metrics(pair, key, tolerances))
            (invariants(pair, key))
        }
    }
}

fn expectations(changed: &[ChangedExpectation], key: &str) -> Markup {
    html! {
        @if !changed.is_empty() {
            h3 { "Expectations" }
            (table(&format!("{key}-e"), "Expectations whose verdict differs", &html! {
                (head(&["Metric", "During", "Must be", "A", "B", "Line in B"]))
                tbody {
                    @for one in changed {
                        tr {
                            th scope="row" { code { (Shown(&one.metric)) } }
                            td { @if one.during == "run" { "whole run" } @else { (Shown(&one.during)) } }
                            td .n { (limit(one.limit, unit(&one.metric))) }
                            td { (verdict(one.verdict.before)) } td { (verdict(one.verdict.after)) } td .n { (one.line) }
                        }
                    }
                }
            }))
        }
    }
}

fn metrics(pair: &PairedRun, key: &str, tolerances: &Tolerances) -> Markup {
    let mut rows: Vec<(&String, &Changed<Option<Number>>)> = pair.metrics.iter().collect();
    rows.sort_by_key(|(_, metric)| metric.change);
    let equal = rows.split_off(rows.partition_point(|(_, metric)| metric.change != Change::Equal));
    let value =
        |name: &str, value: Option<Number>| value.map_or_else(|| "no value".to_owned(), |value| unit(name).show(value));
    let tolerance = |name: &str| {
        let percent = tolerances.get(name).and_then(|percent| percent.value());
        percent.map_or_else(|| "none".to_owned(), |percent| format!("{} %", digits(percent)))
    };
    html! {
        h3 { "Metrics" }
        @if rows.is_empty() { p .empty { "None differs." } } @else {
            (table(&format!("{key}-m"), "Metrics that differ, what got worse first", &html! {
                (head(&["Metric", "Is", "A", "B", "Difference", "Tolerance"]))
                tbody {
                    @for (metric, changed) in rows {
                        tr {
                            th scope="row" { code { (Shown(metric)) } } td { (change(changed.change)) }
                            td .n { (value(metric, changed.before)) } td .n { (value(metric, changed.after)) }
                            td .n { (difference(metric, changed)) } td .n { (tolerance(metric)) }
                        }
                    }
                }
            }))
        }
        @if !equal.is_empty() {
            details {
                summary { (counted(equal.len() as u64, "metric")) " equal" }
                (table(&format!("{key}-q"), "Metrics that are equal in both runs", &html! {
                    (head(&["Metric", "A and B"]))
                    tbody {
                        @for (metric, changed) in equal {
                            tr { th scope="row" { code { (Shown(metric)) } } td .n { (value(metric, changed.after)) } }
                        }
                    }
                }))
            }
        }
    }
}

/// By how much, in the metric's unit and as a share of the value before.
fn difference(metric: &str, changed: &Changed<Option<Number>>) -> String {
    let values = changed.before.and_then(Number::value).zip(changed.after.and_then(Number::value));
    let Some((before, after)) = values.filter(|(before, after)| before.total_cmp(after).is_ne()) else {
        return if changed.before == changed.after { String::new() } else { "—".to_owned() };
    };
    let sign = if after < before { "\u{2212}" } else { "+" };
    let size = (after - before).abs();
    let shown = Number::finite(size).map_or_else(|| digits(size), |size| unit(metric).show(size));
    let share = size / before.abs() * 100.0;
    let share = if share.is_finite() { format!(" ({sign}{} %)", digits(share)) } else { String::new() };
    format!("{sign}{shown}{share}")
}

fn invariants(pair: &PairedRun, key: &str) -> Markup {
    let changed = || pair.invariants.iter().filter(|(_, one)| one.change != Change::Equal);
    html! {
        h3 { "Invariants" }
        @if changed().next().is_none() { p .empty { "Every invariant is violated as often in both runs." } } @else {
            (table(&format!("{key}-i"), "Violations of invariants that differ", &html! {
                (head(&["Invariant", "A", "B", "Is"]))
                tbody {
                    @for (id, one) in changed() {
                        tr {
                            th scope="row" { code { (Shown(id)) } }
                            td .n { (grouped(one.before)) } td .n { (grouped(one.after)) } td { (change(one.change)) }
                        }
                    }
                }
            }))
        }
    }
}

/// Both runs of a pair, named by their sides. A name that comes again has the first run of that name.
fn both(pair: &PairedRun, before: &RunRecord, after: &RunRecord) -> Option<(Run, Run)> {
    let find = |record: &RunRecord, side: &str| {
        let RunName { scenario, hook, seed } = &pair.run;
        let is_it = |run: &&Run| (&run.scenario.name, &run.hook, &run.seed) == (scenario, hook, seed);
        record.runs.iter().find(is_it).map(|run| Run { hook: format!("{side}: {}", run.hook), ..run.clone() })
    };
    Some((find(before, "A")?, find(after, "B")?))
}

/// Faults that did other things; another effect is the first place to look for the cause of a difference.
fn faults(a: &Run, b: &Run, key: &str) -> Markup {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for fault in a.faults.iter().chain(&b.faults) {
        if !names.contains(&(&fault.name, &fault.kind)) {
            names.push((&fault.name, &fault.kind));
        }
    }
    let of = |run: &Run, (name, kind): &(&str, &str)| {
        let fault = run.faults.iter().find(|fault| (fault.name.as_str(), fault.kind.as_str()) == (*name, *kind));
        fault
            .map(|Fault { effects, opportunities, .. }| format!("{} of {}", grouped(*effects), grouped(*opportunities)))
    };
    names.retain(|name| of(a, name) != of(b, name));
    html! {
        h3 { "Faults" }
        @if names.is_empty() { p .empty { "Every fault did as much, out of as many opportunities, in both runs." } } @else {
            (table(&format!("{key}-f"), "Faults that did other things: effects out of opportunities", &html! {
                (head(&["Fault", "Kind", "A", "B"]))
                tbody {
                    @for name in &names {
                        tr {
                            th scope="row" { (Shown(name.0)) } td { code { (Shown(name.1)) } }
                            @for run in [a, b] { td .n { (of(run, name).unwrap_or_else(|| "not in it".to_owned())) } }
                        }
                    }
                }
            }))
        }
    }
}

fn charts(a: &Run, b: &Run, key: &str) -> Markup {
    html! {
        @if a.digest == b.digest { p .note { "No charts: those of equal runs are equal." } } @else {
            (timeline::render(&[a, b], key))
        }
    }
}

fn method(comparison: &Comparison) -> Markup {
    html! {
        h2 #method { "Method" }
        p {
            "Runs are paired by scenario, hook and seed. In virtual time a metric is a function of these and of the code, so every difference "
            "has a cause, and values are compared exactly. Worse is what the metric's better way says; a tolerance lets it get worse by so many per cent of "
            "its value in A. More violations of an invariant count for a judged hook only."
        }
        p .note { "Schema: " code { (Shown(&comparison.schema)) } }
    }
}
