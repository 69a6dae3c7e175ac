//! What each chart over a run's time shows: its curves, its limits and its text alternative, taken from one run.

use crate::chart::{Ink, Mark, Span};
use crate::record::{Expectation, Level, Limit, Run, Verdict};
use crate::table::text::counted;

use super::definition::{digits, unit};
use super::words::{about, about_seconds, limit, listed};

const NO_SERIES: &str = "This record has no such series.";
const EXACT: &str = "Every clock showed the true time throughout.";

/// The charts over time, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Load,
    Goodput,
    Backlog,
    OverAllocated,
    Switches,
    Limit,
    Breakers,
    Clocks,
}

/// A curve of a panel.
pub(crate) struct Curve {
    /// A name of ours.
    pub(crate) name: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) ink: u8,
}

/// One chart of one run.
#[derive(Default)]
pub(crate) struct Panel {
    pub(crate) curves: Vec<Curve>,
    /// Capacity, limits of expectations, bars.
    pub(crate) marks: Vec<Mark>,
    /// The greatest value of `marks` that the chart should reach, if it is not far above everything else.
    pub(crate) wanted: Vec<f64>,
    /// What the chart says, in words: its text alternative.
    pub(crate) says: Vec<String>,
    /// The expectations that are drawn, in words, and whether they hold.
    pub(crate) limits: Vec<(String, Verdict)>,
    /// Names of the bars' inks.
    pub(crate) bars: Vec<(&'static str, u8)>,
    /// Why there is no chart.
    pub(crate) absent: Option<String>,
}

impl Topic {
    pub(crate) const ALL: [Self; 8] = [
        Self::Load,
        Self::Goodput,
        Self::Backlog,
        Self::OverAllocated,
        Self::Switches,
        Self::Limit,
        Self::Breakers,
        Self::Clocks,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Load => "Load on the quota service against its capacity",
            Self::Goodput => "Goodput against arrivals",
            Self::Backlog => "Backlog",
            Self::OverAllocated => "Over-allocated users",
            Self::Switches => "Switches by restart",
            Self::Limit => "The fleet's limit and requests in flight",
            Self::Breakers => "Circuit breakers",
            Self::Clocks => "Clock offsets",
        }
    }

    /// What is drawn.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Load => "Calls in a whole second: from the least to the most of each bin.",
            Self::Goodput => "New entitlements, and first effects that somebody still wanted: how many in each bin.",
            Self::Backlog => {
                "Grants accepted and not yet settled, and requests waiting at the quota service: from the least to the most of each bin."
            }
            Self::OverAllocated => "Users who hold more than their own intended cap at that time.",
            Self::Switches => {
                "For each restart the users seen on both sides of it, and those of them whose variant differs."
            }
            Self::Limit => "Requests under way, and how many may be: from the least to the most of each bin.",
            Self::Breakers => "Instances whose circuit breaker is open: from the least to the most of each bin.",
            Self::Clocks => "Wall clock minus true time, for clocks that were ever wrong.",
        }
    }

    /// The metrics whose limits have a place in the chart.
    const fn metrics(self) -> &'static [(&'static str, Place)] {
        match self {
            Self::Load => &[("upstream.peak-rps", Place::Value), ("upstream.mean-rps", Place::Value)],
            Self::Goodput => &[
                ("upstream.goodput", Place::PerBin),
                ("upstream.goodput-ratio", Place::OfArrivals),
                ("upstream.recovery-seconds", Place::Words),
            ],
            Self::Backlog => &[("grant.backlog-peak", Place::Value)],
            Self::OverAllocated => &[("over-allocation.users", Place::Value)],
            Self::Switches => &[
                ("group-switching.users", Place::Words),
                ("group-switching.rate", Place::Words),
                ("group-switching.restart-rate", Place::Words),
                ("group-switching.restart-rate-returning", Place::Words),
            ],
            Self::Limit | Self::Breakers | Self::Clocks => &[],
        }
    }

    /// The chart of a run.
    pub(crate) fn panel(self, run: &Run) -> Panel {
        let mut panel = match self {
            Self::Load => load(run),
            Self::Goodput => counts(run, &[("new entitlements", "entitlements"), ("goodput", "goodput")]),
            Self::Backlog => levels(run, &[("open grants", "backlog"), ("waiting requests", "queued")]),
            Self::OverAllocated => levels(run, &[("users above their cap", "over-allocated-users")]),
            Self::Switches => switches(run),
            Self::Limit => levels(run, &[("limit", "fleet-limit"), ("in flight", "in-flight")]),
            Self::Breakers => levels(run, &[("open breakers", "breakers-open")]),
            Self::Clocks => return clocks(run),
        };
        let end = end(run);
        for expectation in &run.expectations {
            let place = self.metrics().iter().find(|(metric, _)| *metric == expectation.metric);
            if let Some((_, place)) = place {
                panel.limit(run, expectation, end, *place);
            }
        }
        panel
    }
}

/// Where a limit stands in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At its value.
    Value,
    /// A rate per second among counts: at what comes to it in a bin.
    PerBin,
    /// A share of the arrivals: at that share of their mean in a bin of the stretch.
    OfArrivals,
    /// Below the chart, which has no such quantity.
    Words,
}

/// The end of what the series cover, or of the run if there are none, in seconds.
pub(crate) fn end(run: &Run) -> f64 {
    let counts = run.series.counts.values().map(Vec::len);
    let levels = run.series.levels.values().map(|level| level.greatest.len());
    let bins = counts.chain(levels).max().unwrap_or(0);
    let phases = run.phases.storm.0.saturating_add(run.phases.calm.0).as_secs_f64();
    if bins > 0 { bins as f64 * run.series.bin.0.as_secs_f64() } else { phases }
}

impl Panel {
    fn absent(why: &str) -> Self {
        Self { absent: Some(why.to_owned()), ..Self::default() }
    }

    /// A curve, and in words how far it goes; one that is zero throughout is words alone.
    fn curve(&mut self, run: &Run, name: &str, ink: u8, spans: Vec<Span>, show: &dyn Fn(f64) -> String) {
        let some = || spans.iter().enumerate().filter_map(|(bin, span)| span.map(|span| (bin, span)));
        let least = some().map(|(_, (least, _))| least).min_by(f64::total_cmp);
        // The first of the greatest.
        let most = some().map(|(bin, (_, greatest))| (bin, greatest));
        let most = most.reduce(|one, other| if other.1.total_cmp(&one.1).is_gt() { other } else { one });
        let (Some(least), Some((bin, most))) = (least, most) else {
            self.says.push(format!("{name}: nothing was measured"));
            return;
        };
        let at = about_seconds(bin as f64 * run.series.bin.0.as_secs_f64());
        if least.total_cmp(&most).is_eq() {
            self.says.push(format!("{name}: {} throughout", show(most)));
        } else {
            self.says.push(format!("{name}: {} to {}, the most first at about {at}", show(least), show(most)));
        }
        if least != 0.0 || most != 0.0 {
            self.curves.push(Curve { name: name.to_owned(), spans, ink });
        }
    }

    /// Says why there is nothing to draw, if there is nothing.
    fn settled(mut self) -> Self {
        if self.curves.is_empty() && self.marks.is_empty() {
            let why = if self.says.is_empty() { NO_SERIES.to_owned() } else { self.words() };
            self.absent = Some(why);
        }
        self
    }

    /// What the chart says.
    pub(crate) fn words(&self) -> String {
        format!("{}.", self.says.join("; "))
    }

    /// The expectation in words, and its limits as lines over the stretches that it is about.
    fn limit(&mut self, run: &Run, expectation: &Expectation, end: f64, place: Place) {
        let Expectation { metric, during, value, verdict, line, .. } = expectation;
        let unit = unit(metric);
        let value = value.map_or_else(|| "no value".to_owned(), |value| unit.show(value));
        let when = if during == "run" { String::new() } else { format!(" during {during}") };
        let text = format!("{metric} {}{when} (line {line}): {value}", limit(expectation.limit, unit));
        self.limits.push((text, *verdict));
        if self.absent.is_some() {
            return;
        }
        let lane = run.lanes.iter().find(|lane| lane.name == *during);
        let stretches: Vec<(f64, f64)> = match lane {
            _ if during == "run" => vec![(0.0, end)],
            Some(lane) => lane.stretches.iter().map(|(from, to)| (from.0.as_secs_f64(), to.0.as_secs_f64())).collect(),
            None => Vec::new(),
        };
        for (from, to) in stretches {
            let times = match place {
                Place::Value => 1.0,
                Place::PerBin => run.series.bin.0.as_secs_f64(),
                Place::OfArrivals => arrivals(run, from, to),
                Place::Words => return,
            };
            for at in ends(expectation.limit).into_iter().map(|at| at * times) {
                self.wanted.push(at);
                self.marks.push(Mark::Rule { from, to, at, ink: Ink::Limit });
            }
        }
    }
}

/// The mean of the new entitlements in the bins that begin in a stretch.
fn arrivals(run: &Run, from: f64, to: f64) -> f64 {
    let bin = run.series.bin.0.as_secs_f64();
    let counts = run.series.counts.get("entitlements").map(Vec::as_slice).unwrap_or_default();
    let begins = |index: &usize| (from..to).contains(&(*index as f64 * bin));
    let within: Vec<u64> =
        counts.iter().enumerate().filter(|(index, _)| begins(index)).map(|(_, count)| *count).collect();
    within.iter().sum::<u64>() as f64 / within.len().max(1) as f64
}

/// The finite ends of a limit.
pub(crate) fn ends(limit: Limit) -> Vec<f64> {
    let ends = match limit {
        Limit::AtMost(end) | Limit::AtLeast(end) | Limit::Equals(end) => vec![end],
        Limit::Between(low, high) => vec![low, high],
    };
    ends.into_iter().filter_map(crate::number::Number::value).collect()
}

fn spans(level: &Level, times: f64) -> Vec<Span> {
    let both =
        |(least, greatest): (&Option<i64>, &Option<i64>)| Some(((*least)? as f64 * times, (*greatest)? as f64 * times));
    level.least.iter().zip(&level.greatest).map(both).collect()
}

fn levels(run: &Run, named: &[(&str, &str)]) -> Panel {
    let mut panel = Panel::default();
    for (ink, (name, key)) in (0..).zip(named) {
        if let Some(level) = run.series.levels.get(*key) {
            panel.curve(run, name, ink, spans(level, 1.0), &digits);
        }
    }
    panel.settled()
}

fn counts(run: &Run, named: &[(&str, &str)]) -> Panel {
    let mut panel = Panel::default();
    for (ink, (name, key)) in (0..).zip(named) {
        if let Some(counts) = run.series.counts.get(*key) {
            let spans = counts.iter().map(|count| Some((*count as f64, *count as f64))).collect();
            panel.curve(run, name, ink, spans, &digits);
            let sum: u64 = counts.iter().sum();
            panel.says.push(format!("{} in all", digits(sum as f64)));
        }
    }
    panel.settled()
}

fn load(run: &Run) -> Panel {
    let mut panel = Panel::default();
    let show = |value: f64| format!("{} a second", digits(value));
    if let Some(level) = run.series.levels.get("calls-per-second") {
        panel.curve(run, "calls", 0, spans(level, 1.0), &show);
    } else if let Some(counts) = run.series.counts.get("calls") {
        let width = run.series.bin.0.as_secs_f64().max(1e-9);
        let mean = |count: &u64| Some((*count as f64 / width, *count as f64 / width));
        panel.curve(run, "calls, mean over the bin", 0, counts.iter().map(mean).collect(), &show);
    }
    panel = panel.settled();
    match run.capacity_per_second.and_then(crate::number::Number::value) {
        Some(capacity) => {
            panel.says.push(format!("capacity: {}", show(capacity)));
            if panel.absent.is_none() {
                panel.wanted.push(capacity);
                panel.marks.push(Mark::Rule { from: 0.0, to: end(run), at: capacity, ink: Ink::Capacity });
            }
        }
        None => panel.says.push("capacity: no bound is modelled".to_owned()),
    }
    panel
}

fn switches(run: &Run) -> Panel {
    if run.restarts.is_empty() {
        return Panel::absent("No restart was recorded.");
    }
    let (returning, switched) = run
        .restarts
        .iter()
        .fold((0, 0), |(returning, switched), restart| (returning + restart.returning, switched + restart.switched));
    let mut panel = Panel { bars: vec![("users seen on both sides", 1), ("of them switched", 0)], ..Panel::default() };
    let most = run.restarts.iter().reduce(|one, other| if other.switched > one.switched { other } else { one });
    panel.says.push(format!(
        "{}, {} of {} users seen on both sides switched",
        counted(run.restarts.len() as u64, "restart"),
        digits(switched as f64),
        digits(returning as f64)
    ));
    panel.says.extend(most.map(|most| format!("most at {}: {}", about(most.at), digits(most.switched as f64))));
    let half = end(run) / 200.0;
    for restart in &run.restarts {
        let at = restart.at.0.as_secs_f64();
        for (count, ink) in [(restart.returning, 1), (restart.switched, 0)] {
            let (up_to, ink) = (count as f64, Ink::Series(ink));
            panel.wanted.push(up_to);
            panel.marks.push(Mark::Bar { from: at - half, to: at + half, up_to, ink });
        }
    }
    panel
}

/// The offsets of all clocks in one unit that fits the largest.
fn clocks(run: &Run) -> Panel {
    const PREFIX: &str = "clock-offset-us.";
    let all = || run.series.levels.iter().filter_map(|(key, level)| Some((key.strip_prefix(PREFIX)?, level)));
    let size = |level: &Level| {
        let both = level.least.iter().chain(&level.greatest).flatten();
        both.map(|value| value.unsigned_abs()).max().unwrap_or(0)
    };
    let largest = all().map(|(_, level)| size(level)).max();
    // Clocks that were never wrong may be left out of a record that has levels at all.
    let largest = match largest {
        Some(0) => return Panel::absent(EXACT),
        None if !run.series.levels.is_empty() => return Panel::absent(EXACT),
        None => return Panel::absent(NO_SERIES),
        Some(largest) => largest,
    };
    let (unit, times) = match largest {
        0..1_000 => ("µs", 1.0),
        1_000..1_000_000 => ("ms", 1e-3),
        1_000_000..7_200_000_000 => ("s", 1e-6),
        _ => ("h", 1e-6 / 3_600.0),
    };
    let mut panel = Panel::default();
    let mut wrong: Vec<(&str, &Level)> = all().filter(|(_, level)| size(level) > 0).collect();
    let exact: Vec<String> = all().filter(|(_, level)| size(level) == 0).map(|(name, _)| name.to_owned()).collect();
    wrong.sort_by_key(|(_, level)| std::cmp::Reverse(size(level)));
    for (ink, (name, level)) in (0..).zip(&wrong) {
        panel.curve(run, &format!("{name}, {unit}"), ink, spans(level, times), &digits);
    }
    if !exact.is_empty() {
        panel.says.push(format!("exact throughout: {}", listed(&exact)));
    }
    panel
}
