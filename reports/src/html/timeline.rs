//! The charts over time of one scenario: one row for each topic, the hooks side by side on one scale, and the same shaded
//! lanes behind every chart, with letters that the legend explains.

use std::time::Duration;

use maud::{Markup, PreEscaped, html};

use crate::chart::{Axis, Chart, Ink, Mark, SIZE, Shade, draw};
use crate::record::{LaneOfRun, Run};

use super::panel::{Panel, Topic, end};
use super::words::{Shown, about, hook, verdict};

/// A chart whose greatest value is below this share of the row's has a scale of its own.
const OWN_SCALE_BELOW: f64 = 0.1;
/// A limit so many times above every value is told and not drawn.
const LIMIT_TIMES_MAX: f64 = 4.0;
/// A lane with more stretches is summed up in the legend.
const STRETCHES_MAX: usize = 3;

/// The section of a scenario; `runs` are those that are charted, one for each hook, and `key` begins the ids.
pub(crate) fn render(runs: &[&Run], key: &str) -> Markup {
    let lanes = lanes(runs);
    html! {
        h3 #{ (key) "-time" } { "Timelines" }
        (legend(&lanes))
        @if runs.iter().any(|run| calm_of(run).is_some()) {
            (swatches(&[(format!("k{}", Ink::Calm.code()), "the end of the storm: then faults are healed and nobody new comes".to_owned())]))
        }
        @for (index, topic) in Topic::ALL.into_iter().enumerate() {
            (row(topic, runs, &lanes, &format!("{key}-t{index}")))
        }
    }
}

/// The lanes of all runs, each once.
fn lanes<'a>(runs: &[&'a Run]) -> Vec<&'a LaneOfRun> {
    let mut lanes: Vec<&LaneOfRun> = Vec::new();
    for lane in runs.iter().flat_map(|run| &run.lanes) {
        if !lanes.iter().any(|known| (&known.name, &known.kind) == (&lane.name, &lane.kind)) {
            lanes.push(lane);
        }
    }
    lanes
}

/// A, B, … Z, A2, B2, …
fn letter(index: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(index % 26).unwrap_or(0));
    let round = index / 26 + 1;
    if round == 1 { letter.to_string() } else { format!("{letter}{round}") }
}

fn legend(lanes: &[&LaneOfRun]) -> Markup {
    if lanes.is_empty() {
        return html! { p .note { "Nothing is shaded: this record has no faults, spikes or windows in time." } };
    }
    html! {
        p .note { "Shaded in every chart, with the same letters; darker where several overlap; traffic, windows and what lasts throughout are faint:" }
        ul .lanes {
            @for (index, lane) in lanes.iter().enumerate() {
                li { b { (letter(index)) } " " (Shown(&lane.name)) " " small { (Shown(&lane.kind)) ", " (times(lane)) } }
            }
        }
    }
}

fn times(lane: &LaneOfRun) -> String {
    let one = |(from, to): &(crate::length::Length, crate::length::Length)| {
        if from == to { about(*from) } else { format!("{} – {}", about(*from), about(*to)) }
    };
    match lane.stretches.as_slice() {
        [] => "never".to_owned(),
        few if few.len() <= STRETCHES_MAX => few.iter().map(one).collect::<Vec<_>>().join(", "),
        [first, .., last] => format!("{} times, first {}, last {}", lane.stretches.len(), one(first), one(last)),
        [only] => one(only),
    }
}

fn shades(run: &Run, lanes: &[&LaneOfRun]) -> Vec<Shade> {
    let of = |lane: &LaneOfRun| {
        let index = lanes.iter().position(|known| (&known.name, &known.kind) == (&lane.name, &lane.kind)).unwrap_or(0);
        let seconds = |at: crate::length::Length| at.0.as_secs_f64();
        let faint = ["traffic", "window"].contains(&lane.kind.as_str());
        lane.stretches
            .iter()
            .map(|(from, to)| Shade { from: seconds(*from), to: seconds(*to), letter: letter(index), faint })
            .collect::<Vec<_>>()
    };
    let mut shades: Vec<Shade> = run.lanes.iter().flat_map(of).collect();
    shades.sort_by(|one, other| one.from.total_cmp(&other.from));
    shades
}

/// The charts of all hooks for one topic.
fn row(topic: Topic, runs: &[&Run], lanes: &[&LaneOfRun], key: &str) -> Markup {
    let panels: Vec<(&Run, Panel)> = runs.iter().map(|run| (*run, topic.panel(run))).collect();
    let most = panels.iter().map(|(_, panel)| reach(panel).1).fold(0.0, f64::max);
    let least = panels.iter().map(|(_, panel)| reach(panel).0).fold(0.0, f64::min);
    html! {
        section .topic {
            h4 { (topic.title()) }
            p .note { (topic.about()) }
            div .charts {
                @for (index, (run, panel)) in panels.iter().enumerate() {
                    (figure(topic, run, panel, lanes, (least, most), &format!("{key}-{index}")))
                }
            }
            (key_of(&panels))
        }
    }
}

/// The least and the greatest value that a panel wants to show; a limit far above all values is not among them.
fn reach(panel: &Panel) -> (f64, f64) {
    let values = || panel.curves.iter().flat_map(|curve| curve.spans.iter().flatten());
    let least = values().map(|(least, _)| *least).fold(0.0, f64::min);
    let bars = panel.marks.iter().map(|mark| match mark {
        Mark::Bar { up_to, .. } => *up_to,
        Mark::Curve { .. } | Mark::Rule { .. } | Mark::Wall { .. } => 0.0,
    });
    let values = values().map(|(_, greatest)| *greatest).chain(bars).fold(0.0, f64::max);
    let near = panel.wanted.iter().copied().filter(|wanted| *wanted <= values * LIMIT_TIMES_MAX);
    (least, near.fold(values, f64::max))
}

/// One chart with its words.
fn figure(
    topic: Topic,
    run: &Run,
    panel: &Panel,
    lanes: &[&LaneOfRun],
    (least, most): (f64, f64),
    key: &str,
) -> Markup {
    let own = reach(panel);
    let alone = own.1 < most * OWN_SCALE_BELOW && own.0 >= least * OWN_SCALE_BELOW;
    let (low, high) = if alone { own } else { (least, most) };
    let shades = shades(run, lanes);
    let above = panel.wanted.iter().any(|wanted| *wanted > high);
    html! {
        figure {
            figcaption { (hook(&run.hook, run.role)) }
            @if let Some(absent) = &panel.absent {
                p .empty { (Shown(absent)) }
            } @else {
                (svg(&time_chart(run, panel, &shades, (low, high)), key, topic.title(), &run.hook, &panel.words()))
                p .says {
                    (Shown(&panel.words()))
                    @if alone { " Drawn on a scale of its own." }
                    @if above { " A limit or the capacity lies above the chart." }
                }
            }
            @for (text, holds) in &panel.limits {
                p .says { (verdict(*holds)) " " (Shown(text)) }
            }
        }
    }
}

/// When the storm ends, if that is within the chart.
fn calm_of(run: &Run) -> Option<f64> {
    Some(run.phases.storm.0.as_secs_f64()).filter(|at| *at > 0.0 && *at < end(run))
}

fn time_chart<'a>(run: &Run, panel: &Panel, shades: &'a [Shade], (low, high): (f64, f64)) -> Chart<'a> {
    let bin = run.series.bin.0.as_secs_f64();
    let curves =
        panel.curves.iter().map(|curve| Mark::Curve { spans: curve.spans.clone(), bin, ink: Ink::Series(curve.ink) });
    let drawn = |mark: &&Mark| match mark {
        Mark::Rule { at, .. } => *at <= high && *at >= low,
        Mark::Bar { .. } | Mark::Curve { .. } | Mark::Wall { .. } => true,
    };
    let marks = panel.marks.iter().filter(drawn).cloned();
    let calm = calm_of(run).map(|at| Mark::Wall { at, ink: Ink::Calm });
    let end = Duration::try_from_secs_f64(end(run)).unwrap_or(Duration::MAX);
    let mut values = panel.curves.iter().flat_map(|curve| curve.spans.iter().flatten());
    let are_whole = values.all(|(least, greatest)| least.fract() == 0.0 && greatest.fract() == 0.0);
    let y = if are_whole { Axis::whole(low, high) } else { Axis::linear(low, high) };
    Chart { x: Axis::time(end), y, shades, marks: calm.into_iter().chain(curves).chain(marks).collect() }
}

/// A chart as an image with a name and a description.
pub(crate) fn svg(chart: &Chart<'_>, key: &str, title: &str, hook: &str, says: &str) -> Markup {
    let (width, height) = SIZE;
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-labelledby={ (key) "n " (key) "d" } {
            title #{ (key) "n" } { (title) ", " (Shown(hook)) }
            desc #{ (key) "d" } { (Shown(says)) }
            (PreEscaped(draw(chart)))
        }
    }
}

/// Which curve is which, for all charts of a row.
fn key_of(panels: &[(&Run, Panel)]) -> Markup {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut add = |class: String, name: &str| {
        let entry = (class, name.to_owned());
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    };
    for (_, panel) in panels {
        panel.curves.iter().for_each(|curve| add(format!("k{}", Ink::Series(curve.ink).code()), &curve.name));
        panel.bars.iter().for_each(|(name, ink)| add(format!("f{}", Ink::Series(*ink).code()), name));
        for mark in &panel.marks {
            match mark {
                Mark::Rule { ink: Ink::Capacity, .. } => add("kc".to_owned(), "capacity"),
                Mark::Rule { ink: Ink::Limit, .. } => add("kx".to_owned(), "limit of an expectation"),
                Mark::Rule { .. } | Mark::Curve { .. } | Mark::Bar { .. } | Mark::Wall { .. } => {}
            }
        }
    }
    swatches(&entries)
}

/// A legend: classes of the style sheet and what they stand for.
pub(crate) fn swatches(entries: &[(String, String)]) -> Markup {
    html! {
        @if !entries.is_empty() {
            ul .key {
                @for (class, name) in entries {
                    li {
                        svg viewBox="0 0 48 16" aria-hidden="true" {
                            @if class.starts_with('f') { rect class=(class) x="2" y="1" width="44" height="14" {} }
                            @else { path class=(class) d="M2 8h44" {} }
                        }
                        (Shown(name))
                    }
                }
            }
        }
    }
}
