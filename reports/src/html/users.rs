//! What visits and users experienced: latency, grants per user, the worst users and their stories.

use maud::{Markup, html};

use crate::chart::{Axis, Chart, Ink, Mark, Span};
use crate::record::{Expectation, Run, Step, Story, Why, WorstUser};
use crate::table::text::{counted, grouped};

use super::definition::{digits, unit};
use super::findings::{head, table};
use super::panel::ends;
use super::timeline::{svg, swatches};
use super::words::{Shown, hook, limit, micros, moment, verdict};

/// So many steps of a scenario's stories are told together; a single story has at least [`STEPS_MIN`].
const STEPS_ALL: usize = 420;
const STEPS_MIN: usize = 12;
const STEPS_MAX: usize = 80;
/// Numbers of effects beyond so many share a bar.
const BARS: usize = 24;
const MAX_GRANTS: &str = "over-allocation.max-grants";

/// The section of a scenario.
pub(crate) fn render(runs: &[&Run], key: &str) -> Markup {
    html! {
        (latency(runs, key))
        (grants(runs, key))
        (worst(runs, key))
    }
}

/// "p50", "p99.9", "max".
fn quantile_name(ppm: u32) -> String {
    match ppm {
        0 => "min".to_owned(),
        1_000_000 => "max".to_owned(),
        _ => format!("p{}", digits(f64::from(ppm) / 10_000.0)),
    }
}

fn latency(runs: &[&Run], key: &str) -> Markup {
    let mut ppms: Vec<u32> = runs.iter().flat_map(|run| &run.latency.quantiles).map(|one| one.quantile_ppm).collect();
    ppms.sort_unstable();
    ppms.dedup();
    let at = |run: &Run, ppm: u32| {
        run.latency.quantiles.iter().find(|one| one.quantile_ppm == ppm).map(|one| one.latency_us)
    };
    html! {
        h3 #{ (key) "-latency" } { "Latency of visits" }
        p .note { "From a visit's intended start to its answer, retries and pauses included, in the run's own time. The chart's scale is by powers of ten; what is below 1 µs lies on its floor." }
        @if ppms.is_empty() { p .empty { "No visit was measured." } } @else {
            div .charts { (latency_chart(runs, &ppms, key)) }
            (table(&format!("{key}-lc"), "Latency percentiles", &html! {
                thead { tr { th scope="col" { "Hook" } @for ppm in &ppms { th scope="col" { (quantile_name(*ppm)) } } } }
                tbody {
                    @for run in runs {
                        tr {
                            th scope="row" { (hook(&run.hook, run.role)) }
                            @for ppm in &ppms { td .n { (at(run, *ppm).map_or_else(|| "—".to_owned(), |us| micros(us as f64))) } }
                        }
                    }
                }
            }))
        }
    }
}

/// The quantile that a metric of latency is about.
fn place(metric: &str) -> Option<u32> {
    match metric {
        "hook.latency-p50-us" => Some(500_000),
        "hook.latency-p99-us" => Some(990_000),
        "hook.latency-p999-us" => Some(999_000),
        "hook.latency-max-us" => Some(1_000_000),
        _ => None,
    }
}

fn latency_chart(runs: &[&Run], ppms: &[u32], key: &str) -> Markup {
    let value = |run: &Run, ppm: u32| -> Span {
        let quantile = run.latency.quantiles.iter().find(|one| one.quantile_ppm == ppm)?;
        let us = (quantile.latency_us as f64).max(1.0);
        Some((us, us))
    };
    let mut marks: Vec<Mark> = (0..)
        .zip(runs)
        .map(|(ink, run)| Mark::Curve {
            spans: ppms.iter().map(|ppm| value(run, *ppm)).collect(),
            bin: 1.0,
            ink: Ink::Series(ink),
        })
        .collect();
    let expectations = || runs.iter().flat_map(|run| &run.expectations).filter(|entry| entry.during == "run");
    let mut said = Vec::new();
    let mut values: Vec<f64> =
        runs.iter().flat_map(|run| &run.latency.quantiles).map(|one| one.latency_us as f64).collect();
    for expectation in expectations() {
        let Expectation { metric, limit: must, .. } = expectation;
        let Some(index) = place(metric).and_then(|ppm| ppms.iter().position(|other| *other == ppm)) else { continue };
        said.push(format!("{}: {}", expectation.hook, sentence(expectation)));
        for at in ends(*must) {
            values.push(at);
            marks.push(Mark::Rule { from: index as f64, to: index as f64 + 1.0, at: at.max(1.0), ink: Ink::Limit });
        }
    }
    let least = values.iter().copied().filter(|value| *value >= 1.0).fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(1.0, f64::max);
    let y = Axis::powers(if least.is_finite() { least } else { 1.0 }, most, micros);
    let chart = Chart { x: Axis::places(ppms.iter().map(|ppm| quantile_name(*ppm)).collect()), y, shades: &[], marks };
    let mut entries: Vec<(String, String)> =
        (0..).zip(runs).map(|(ink, run)| (format!("k{}", Ink::Series(ink).code()), run.hook.clone())).collect();
    if !said.is_empty() {
        entries.push(("kx".to_owned(), "limit of an expectation".to_owned()));
    }
    html! {
        figure {
            figcaption { "All hooks" }
            (svg(&chart, &format!("{key}-lat"), "Latency percentiles", "all hooks", "The values are those of the table that follows."))
            (swatches(&entries))
            @for text in &said { p .says { (Shown(text)) } }
        }
    }
}

fn grants(runs: &[&Run], key: &str) -> Markup {
    let mut counts: Vec<u32> = runs.iter().flat_map(|run| &run.grants_per_user).map(|entry| entry.effects).collect();
    counts.sort_unstable();
    counts.dedup();
    let most = runs.iter().flat_map(|run| &run.grants_per_user).map(|entry| entry.users).max().unwrap_or(1);
    let limited = runs.iter().flat_map(|run| &run.expectations).any(|entry| entry.metric == MAX_GRANTS);
    html! {
        h3 #{ (key) "-grants" } { "Grants per user" }
        p .note { "How many users hold how many effects; who holds none is left out. The scale is by powers of ten, so that a single user is seen." }
        div .charts {
            @for (index, run) in runs.iter().enumerate() { (grants_figure(run, &counts, most, &format!("{key}-g{index}"))) }
        }
        @if limited { (swatches(&[("kx".to_owned(), "limit of an expectation".to_owned())])) }
    }
}

fn grants_figure(run: &Run, counts: &[u32], most: u64, key: &str) -> Markup {
    let entries = &run.grants_per_user;
    let told = entries.iter().take(BARS);
    let mut says: Vec<String> = told
        .map(|entry| format!("{} with {}", counted(entry.users, "user"), grouped(u64::from(entry.effects))))
        .collect();
    let rest: u64 = entries.iter().skip(BARS).map(|entry| entry.users).sum();
    if rest > 0 {
        says.push(format!("{} with more", counted(rest, "user")));
    }
    let says = format!("{}.", says.join(", "));
    html! {
        figure {
            figcaption { (hook(&run.hook, run.role)) }
            @if entries.is_empty() { p .empty { "No user holds an effect, or an older record does not say." } } @else {
                (svg(&grants_chart(run, counts, most), key, "Users by number of effects", &run.hook, &says))
                p .says { (says) }
            }
            @for expectation in run.expectations.iter().filter(|entry| entry.metric == MAX_GRANTS) {
                p .says { (verdict(expectation.verdict)) " " (Shown(&sentence(expectation))) }
            }
        }
    }
}

/// An expectation and its line, without the value.
fn sentence(expectation: &Expectation) -> String {
    let Expectation { metric, limit: must, line, .. } = expectation;
    format!("{metric} {} (line {line})", limit(*must, unit(metric)))
}

/// One bar for each number of effects that some hook's users hold, the last for all beyond [`BARS`] of them.
fn grants_chart(run: &Run, counts: &[u32], most: u64) -> Chart<'static> {
    let mut labels: Vec<String> = counts.iter().take(BARS).map(u32::to_string).collect();
    if counts.len() > BARS {
        labels.push("more".to_owned());
    }
    let mut users = vec![0_u64; labels.len()];
    for entry in &run.grants_per_user {
        let place = counts.iter().position(|count| *count == entry.effects).unwrap_or(0).min(BARS);
        users[place] += entry.users;
    }
    let bar = |(index, users): (usize, &u64)| {
        let from = index as f64 + 0.15;
        Mark::Bar { from, to: from + 0.7, up_to: *users as f64, ink: Ink::Series(0) }
    };
    let mut marks: Vec<Mark> = users.iter().enumerate().filter(|(_, users)| **users > 0).map(bar).collect();
    let limits = run.expectations.iter().filter(|entry| entry.metric == MAX_GRANTS);
    for at in limits.flat_map(|entry| ends(entry.limit)) {
        let within = counts.iter().take(BARS).filter(|count| f64::from(**count) <= at).count();
        marks.push(Mark::Wall { at: within as f64, ink: Ink::Limit });
    }
    let y = Axis::powers(0.5, most as f64, |value| if value < 1.0 { String::new() } else { digits(value) });
    Chart { x: Axis::places(labels), y, shades: &[], marks }
}

fn worst(runs: &[&Run], key: &str) -> Markup {
    html! {
        h3 #{ (key) "-users" } { "Worst users" }
        @if runs.iter().all(|run| run.worst_users.is_empty()) { p .empty { "Nobody holds more than intended." } } @else {
            (table(&format!("{key}-uc"), "Who holds more than intended, worst first, at most ten of each hook", &html! {
                (head(&["User", "Hook", "Effects", "Held", "Intended", "Times", "Story"]))
                tbody {
                    @for (index, run) in runs.iter().enumerate() {
                        @for user in &run.worst_users { (worst_user(run, user, &format!("{key}-{index}"))) }
                    }
                }
            }))
        }
    }
}

fn worst_user(run: &Run, user: &WorstUser, key: &str) -> Markup {
    let WorstUser { user, effects, held, intended } = user;
    let times = if *intended == 0 { "never intended".to_owned() } else { digits(*held as f64 / *intended as f64) };
    html! {
        tr {
            th scope="row" { (Shown(user)) } td { (hook(&run.hook, run.role)) }
            td .n { (effects) } td .n { (grouped(*held)) } td .n { (grouped(*intended)) } td .n { (times) }
            td { @if let Some(story) = story_of(run, user) { a href={ "#" (key) "-s" (story) } { "step by step" } } @else { "not told" } }
        }
    }
}

/// Which of a run's stories is about this user.
pub(crate) fn story_of(run: &Run, user: &str) -> Option<usize> {
    run.stories.iter().position(|story| story.user == user)
}

/// The stories that a scenario's charted runs tell.
pub(crate) fn stories(runs: &[&Run], key: &str) -> Markup {
    let count: usize = runs.iter().map(|run| run.stories.len()).sum();
    let steps_max = (STEPS_ALL / count.max(1)).clamp(STEPS_MIN, STEPS_MAX);
    html! {
        h3 #{ (key) "-stories" } { "Stories, step by step" }
        @if count == 0 { p .empty { "This record tells none." } } @else {
            p .note { "Times are true times since the run's origin; beside them what the clock of the place showed." }
            @for (index, run) in runs.iter().enumerate() {
                @for (number, story) in run.stories.iter().enumerate() {
                    (tale(run, story, steps_max, &format!("{key}-{index}-s{number}")))
                }
            }
        }
    }
}

fn tale(run: &Run, story: &Story, steps_max: usize, id: &str) -> Markup {
    let why = match story.why {
        Why::Violation => "an invariant was first violated by what happened to this user",
        Why::OverAllocated => "holds more than intended",
        Why::Asked => "asked for",
    };
    let told = told(&story.steps, steps_max);
    html! {
        section .story #(id) {
            h4 { (Shown(&story.user)) ", " (hook(&run.hook, run.role)) }
            p .note {
                (why) "; " (counted(u64::from(story.effects), "effect")) "; " (grouped(story.held)) " units held, " (grouped(story.intended)) " intended."
            }
            (table(&format!("{id}c"), "What happened, in order of time", &html! {
                (head(&["At", "Where", "What", "Visit"]))
                tbody {
                    @for (before, step) in &told {
                        @if *before > 0 { (gap(*before as u64)) }
                        (row(step))
                    }
                }
            }))
            @let after = (story.steps.len() - told.iter().map(|(before, _)| before + 1).sum::<usize>()) as u64 + story.left_out;
            @if after > 0 { p .note { (counted(after, "later step")) " left out." } }
        }
    }
}

fn gap(steps: u64) -> Markup {
    html! { tr { td colspan="4" { small { (counted(steps, "step")) " left out" } } } }
}

/// The steps that are told, each with how many are left out before it: the beginning, and what leads to each violation.
fn told(steps: &[Step], most: usize) -> Vec<(usize, &Step)> {
    let violating: Vec<usize> = (0..steps.len()).filter(|index| !steps[*index].violates.is_empty()).collect();
    let late: Vec<usize> = violating.into_iter().filter(|index| *index >= most / 2).take(3).collect();
    let (head, tail) = if late.is_empty() { (most, 0) } else { (most / 2, (most / 2 / late.len()).max(1)) };
    let near = |index: usize| late.iter().any(|violation| index <= *violation && index + tail > *violation);
    let mut told = Vec::new();
    let mut before = 0;
    for (index, step) in steps.iter().enumerate() {
        if index < head || near(index) {
            told.push((std::mem::take(&mut before), step));
        } else {
            before += 1;
        }
    }
    told
}

fn row(step: &Step) -> Markup {
    let Step { at, place, shown, kind, text, correlation, violates } = step;
    html! {
        tr .hit[!violates.is_empty()] {
            td .at { (moment(*at)) @if let Some(shown) = shown { br; small { (Shown(shown)) } } }
            td { (Shown(place)) }
            td {
                b { (Shown(kind)) } " " (Shown(text))
                @for id in violates { " " strong .bad { span aria-hidden="true" { "✗ " } "violates " (Shown(id)) } }
            }
            td { @if let Some(correlation) = correlation { small { (Shown(correlation)) } } }
        }
    }
}
