//! What was judged: expectations, invariants with their first violations, faults, and what was reached.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::record::{Expectation, Fault, Invariant, Run, Verdict};
use crate::table::text::{counted, grouped};

use super::definition::unit;
use super::users::story_of;
use super::words::{Shown, about, hook, limit, listed, moment, verdict};

/// A table that scrolls in itself where it finds no room.
pub(crate) fn table(id: &str, caption: &str, content: &Markup) -> Markup {
    html! {
        div .scroll role="region" tabindex="0" aria-labelledby=(id) {
            table { caption id=(id) { (caption) } (content) }
        }
    }
}

/// The cells of a head.
pub(crate) fn head(columns: &[&str]) -> Markup {
    html! { thead { tr { @for column in columns { th scope="col" { (column) } } } } }
}

/// The section of a scenario's findings.
pub(crate) fn render(runs: &[&Run], path: &str, key: &str) -> Markup {
    html! {
        (expectations(runs, path, key))
        (invariants(runs, key))
        (faults(runs, key))
        (reached(runs, key))
        (parked(runs, key))
    }
}

fn expectations(runs: &[&Run], path: &str, key: &str) -> Markup {
    let mut all: Vec<&Expectation> = runs.iter().flat_map(|run| &run.expectations).collect();
    all.sort_by_key(|expectation| expectation.verdict);
    html! {
        h3 #{ (key) "-expect" } { "Expectations" }
        @if all.is_empty() { p .empty { "The scenario states none about these hooks." } } @else {
            (table(&format!("{key}-ec"), "What the scenario expects, what does not hold first", &html! {
                (head(&["Verdict", "Hook", "Metric", "During", "Must be", "Is", "Where"]))
                tbody {
                    @for expectation in all { (expected(expectation, path)) }
                }
            }))
        }
    }
}

fn expected(expectation: &Expectation, path: &str) -> Markup {
    let Expectation { metric, hook, during, limit: must, value, verdict: holds, line, note } = expectation;
    let unit = unit(metric);
    html! {
        tr {
            td { (verdict(*holds)) }
            td { (Shown(hook)) }
            th scope="row" { code { (Shown(metric)) } }
            td { @if during == "run" { "whole run" } @else { (Shown(during)) } }
            td .n { (limit(*must, unit)) }
            td .n {
                @match value { Some(value) => { (unit.show(*value)) }, None => { "no value" } }
                @if !note.is_empty() { br; small { (Shown(note)) } }
            }
            td { (Shown(path)) ":" (line) }
        }
    }
}

fn invariants(runs: &[&Run], key: &str) -> Markup {
    let mut ids: Vec<&Invariant> = Vec::new();
    for invariant in runs.iter().flat_map(|run| &run.invariants) {
        if !ids.iter().any(|known| known.id == invariant.id) {
            ids.push(invariant);
        }
    }
    html! {
        h3 #{ (key) "-invariants" } { "Invariants" }
        p .note { "Violations out of checks; what was never checked proves nothing. A reference's violations are shown, and not held against it." }
        @if ids.is_empty() { p .empty { "This record has none." } } @else {
            (table(&format!("{key}-ic"), "Violations and checks of each invariant", &html! {
                thead { tr { th scope="col" { "Invariant" } @for run in runs { th scope="col" { (hook(&run.hook, run.role)) } } } }
                tbody {
                    @for invariant in &ids {
                        tr {
                            th scope="row" { code { (Shown(&invariant.id)) } " " small { (Shown(&invariant.says)) } }
                            @for run in runs { td .n { (checks(run, &invariant.id)) } }
                        }
                    }
                }
            }))
        }
        @for (index, run) in runs.iter().enumerate() { (first_violations(run, &format!("{key}-{index}"))) }
    }
}

fn checks(run: &Run, id: &str) -> Markup {
    html! {
        @match run.invariants.iter().find(|invariant| invariant.id == id) {
            None => { "—" },
            Some(Invariant { checked: 0, violations: 0, .. }) => { small { "never checked" } },
            Some(Invariant { checked, violations, inconclusive, .. }) => {
                @if *violations > 0 { strong .bad { span aria-hidden="true" { "✗ " } (grouped(*violations)) " violated" } }
                @else { span .good { span aria-hidden="true" { "✓ " } "0" } }
                " of " (grouped(*checked))
                @if *inconclusive > 0 { br; small { (grouped(*inconclusive)) " not judged" } }
            },
        }
    }
}

/// The first violation of each invariant, and where the story of its user is told.
fn first_violations(run: &Run, key: &str) -> Markup {
    let first = || run.invariants.iter().filter_map(|invariant| Some((invariant, invariant.first.as_ref()?)));
    html! {
        @if first().next().is_some() {
            h4 { "First violations: " (hook(&run.hook, run.role)) }
            ul .firsts {
                @for (invariant, violation) in first() {
                    li {
                        strong .bad { (Shown(&invariant.id)) } " at " (moment(violation.at))
                        @if let Some(user) = &violation.user { ", " (Shown(user)) }
                        ": " (Shown(&violation.evidence)) "."
                        @if let Some(story) = violation.user.as_deref().and_then(|user| story_of(run, user)) {
                            " " a href={ "#" (key) "-s" (story) } { "What led to it" } "."
                        }
                    }
                }
            }
        }
    }
}

fn faults(runs: &[&Run], key: &str) -> Markup {
    let mut known: Vec<&Fault> = Vec::new();
    for fault in runs.iter().flat_map(|run| &run.faults) {
        if !known.iter().any(|other| (&other.name, &other.kind) == (&fault.name, &fault.kind)) {
            known.push(fault);
        }
    }
    html! {
        h3 #{ (key) "-faults" } { "Faults" }
        @if known.is_empty() { p .empty { "The scenario has none." } } @else {
            (table(&format!("{key}-fc"), "What each fault did, out of its opportunities", &html! {
                thead {
                    tr {
                        th scope="col" { "Fault" } th scope="col" { "Kind" } th scope="col" { "First at" } th scope="col" { "For" }
                        @for run in runs { th scope="col" { (hook(&run.hook, run.role)) } }
                    }
                }
                tbody {
                    @for fault in known {
                        tr {
                            th scope="row" { (Shown(&fault.name)) } td { code { (Shown(&fault.kind)) } }
                            td { (about(fault.at)) } td { @if fault.length.0.is_zero() { "a moment" } @else { (about(fault.length)) } }
                            @for run in runs { td .n { (effects(run, fault)) } }
                        }
                    }
                }
            }))
        }
    }
}

fn effects(run: &Run, fault: &Fault) -> Markup {
    html! {
        @match run.faults.iter().find(|other| (&other.name, &other.kind) == (&fault.name, &fault.kind)) {
            None => { "—" },
            Some(Fault { supported: false, .. }) => { strong .open { "? not simulated" } },
            Some(Fault { opportunities: 0, .. }) => { strong .open { "? no opportunity" } },
            Some(Fault { effects, opportunities, .. }) => { (grouped(*effects)) " of " (grouped(*opportunities)) },
        }
    }
}

fn reached(runs: &[&Run], key: &str) -> Markup {
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in runs.iter().flat_map(|run| &run.reached) {
        *names.entry(name).or_default() += count;
    }
    let spoken = |name: &str| name.replace('-', " ");
    let never: Vec<String> = names.iter().filter(|(_, count)| **count == 0).map(|(name, _)| spoken(name)).collect();
    html! {
        h3 #{ (key) "-reached" } { "What was reached" }
        p .note { "Counts beside which a zero elsewhere means something." }
        @if names.values().any(|count| *count > 0) {
            (table(&format!("{key}-xc"), "What the runs came across", &html! {
                thead { tr { th scope="col" { "Met" } @for run in runs { th scope="col" { (hook(&run.hook, run.role)) } } } }
                tbody {
                    @for (name, _) in names.iter().filter(|(_, count)| **count > 0) {
                        tr {
                            th scope="row" { (Shown(&spoken(name))) }
                            @for run in runs { td .n { (run.reached.get(*name).map_or_else(|| "—".to_owned(), |count| grouped(*count))) } }
                        }
                    }
                }
            }))
        } @else { p .empty { "Nothing that is counted." } }
        @if !never.is_empty() { p .note { "Never reached: " @for (index, name) in never.iter().enumerate() { @if index > 0 { ", " } (Shown(name)) } "." } }
    }
}

/// Grants that wait for a human.
fn parked(runs: &[&Run], key: &str) -> Markup {
    html! {
        @if runs.iter().any(|run| !run.parked.is_empty()) {
            h3 #{ (key) "-parked" } { "Grants that wait for a human" }
            (table(&format!("{key}-pc"), "Parked grants, at most ten of each run; times are UTC by the store's clock", &html! {
                (head(&["User", "Hook", "Grant", "Why", "What to look up", "Sends", "Last answer", "First sent", "Sent until", "Parked"]))
                tbody {
                    @for (run, grant) in runs.iter().flat_map(|run| run.parked.iter().map(move |grant| (run, grant))) {
                        tr {
                            th scope="row" { (Shown(&grant.user)) } td { (Shown(&run.hook)) } td { code { (Shown(&grant.grant)) } }
                            td { (Shown(&grant.reason)) } td { (Shown(&grant.look_up)) } td .n { (grant.attempts) }
                            td { (Shown(grant.answer.as_deref().unwrap_or("none"))) }
                            td { (Shown(grant.first_sent_at.as_deref().unwrap_or("not known"))) }
                            td { (Shown(&grant.sent_until)) } td { (Shown(&grant.parked_at)) }
                        }
                    }
                }
            }))
        }
    }
}

/// "2 violated, 1 inconclusive" or that all hold, of a scenario's runs, in words.
pub(crate) fn tally(runs: &[&Run]) -> String {
    let count =
        |verdict| runs.iter().flat_map(|run| &run.expectations).filter(|entry| entry.verdict == verdict).count();
    let all: usize = runs.iter().map(|run| run.expectations.len()).sum();
    let bad = [(count(Verdict::Violated), "violated"), (count(Verdict::Inconclusive), "inconclusive")];
    let bad: Vec<String> = bad.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let all = counted(all as u64, "expectation");
    if bad.is_empty() { format!("{all}, all hold") } else { format!("{all}, {}", listed(&bad)) }
}
