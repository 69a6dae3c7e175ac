//! Who visits when.
//!
//! Owns the arrival processes. Each has a rate over time (`curve`) or is a trace (`playback`), and a spike is a warp of its
//! time (`warp`): during a spike of factor f a process ages f times as fast. So a spike on a closed population speeds up each
//! user's own visits, and removing the spike leaves every user's draws as they were. Which user an arrival is, `whom` draws.
//!
//! * `TRAFFIC-1`: an arrival is a function of the seed, its process and its number; no process knows of another.
//!
//! Time enters as the moment of the arrival before. Tests: `tests/simulation/traffic.rs` counts arrivals against the integrated rate.

mod curve;
mod playback;
mod warp;
mod whom;

use std::ops::Range;
use std::time::Duration;

use hookproof_core::time::{Instant, nanos};

use self::curve::{Curve, Ramp, Sine, Steps};
pub(crate) use self::playback::played;
use self::playback::{Playback, Tape};
use self::warp::Warp;
use self::whom::Chooser;
pub use self::whom::Whom;
use crate::scenario::{Rhythm, Scenario, Spacing, Traffic, TrafficKind, Users};
use crate::seed::{Concern, Draws, exponential, gamma};

/// One open arrival process.
#[derive(Clone, Debug)]
struct Process {
    at: u64,
    end: u64,
    spacing: Spacing,
    flow: Flow,
    /// Beats of a metronome.
    beats: u64,
    chooser: Chooser,
}

/// How a process's arrivals are spread.
#[derive(Clone, Debug)]
enum Flow {
    /// At this many a second times the curve.
    Rate(f64, Curve),
    /// As recorded.
    Recorded(Playback),
}

/// The arrivals of a scenario.
#[derive(Clone, Debug)]
pub struct Arrivals {
    draws: Draws,
    warp: Warp,
    users: Option<Users>,
    open: Vec<Process>,
}

impl Arrivals {
    /// The arrivals of `scenario` under `draws`.
    pub fn new(scenario: &Scenario, draws: Draws) -> Self {
        let warp = Warp::new(scenario);
        let population = scenario.users.as_ref().map_or(0, |users| users.population);
        let open = scenario.traffic.iter().filter(|traffic| traffic.kind.is_open());
        let process = |(number, traffic): (u16, &Traffic)| {
            let (at, length) = traffic.kind.stretch();
            let chooser = Chooser::new(number, population, traffic.selection);
            let (spacing, flow) =
                flow(&traffic.kind, &warp, |n| draws.draw(Concern::Arrival, BURST | u64::from(number), n))?;
            let (at, end) = (nanos(at), nanos(at + length));
            Some(Process { at, end, spacing, beats: beats(&flow, &warp, at, end), flow, chooser })
        };
        let open = (0..).zip(open).filter_map(process).collect();
        Self { draws, users: scenario.users.clone(), open, warp }
    }

    /// Size of the closed population; 0 if every open arrival is a new user.
    pub fn population(&self) -> u32 {
        self.users.as_ref().map_or(0, |users| users.population)
    }

    /// Number of open arrival processes.
    pub fn open_count(&self) -> u16 {
        u16::try_from(self.open.len()).expect("a scenario file holds fewer than 2^16 traffics")
    }

    /// The visits a second of user number `user` by their own rate; 0 if they do not come by themselves.
    #[expect(clippy::cast_possible_truncation, reason = "a rate needs no more than 24 bits")]
    pub fn rate(&self, user: u32) -> f32 {
        let Some(visits) = self.users.as_ref().and_then(|users| users.visits.as_ref()) else { return 0.0 };
        let mean = visits.mean / visits.per.as_secs_f64();
        let draw = |n| self.draws.draw(Concern::VisitRate, u64::from(user), n);
        (mean * visits.shape.map_or(1.0, |shape| gamma(shape, draw))) as f32
    }

    /// When a user of this rate visits next, for the `n`th time.
    pub fn next_visit(&self, from: Instant, user: u32, rate: f32, n: u64) -> Option<Instant> {
        if rate <= 0.0 {
            return None;
        }
        let [draw, _] = self.draws.draw(Concern::Arrival, u64::from(user), n);
        self.warp.after(&Curve::Constant, from, exponential(draw) / f64::from(rate), u64::MAX)
    }

    /// When the open process number `process` begins.
    pub fn open_start(&self, process: u16) -> Instant {
        Instant::from_nanos(self.open[usize::from(process)].at)
    }

    /// When the open process number `process` has its arrival number `n`, from 0, the one before being at `from`.
    pub fn next_open(&self, from: Instant, process: u16, n: u64) -> Option<Instant> {
        let Process { at, end, spacing, flow, beats, .. } = &self.open[usize::from(process)];
        let draw = || self.draws.draw(Concern::Arrival, OPEN | u64::from(process), n)[0];
        let (rate, curve) = match flow {
            Flow::Recorded(playback) => {
                return playback.arrival(from.as_nanos(), n, draw(), *spacing).map(Instant::from_nanos);
            }
            Flow::Rate(rate, curve) => (*rate, curve),
        };
        if rate <= 0.0 {
            return None;
        }
        match (spacing, curve) {
            (Spacing::Poisson, _) => self.warp.after(curve, from, exponential(draw()) / rate, *end),
            (Spacing::Even, _) if n >= *beats => None,
            // A metronome's first beat is its start, so that it beats rate · length times.
            (Spacing::Even, _) if n == 0 => Some(from),
            // A walk from the start over all bursts would take too long for each beat.
            (Spacing::Even, Curve::Steps(_)) => self.warp.after(curve, from, 1.0 / rate, *end),
            // Counted from the start, so that no rounding adds up.
            (Spacing::Even, _) => self.warp.after(curve, Instant::from_nanos(*at), n as f64 / rate, *end),
        }
    }

    /// Who arrival number `n`, from 1, of an open process is.
    pub fn open_user(&self, process: u16, n: u64) -> Whom {
        self.open[usize::from(process)].chooser.whom(self.draws, n)
    }

    /// How many arrivals back [`Whom::Before`] may reach in an open process; 0 if it never does.
    pub fn recent(&self, process: u16) -> u32 {
        self.open[usize::from(process)].chooser.recent()
    }

    /// Expected arrivals of an open process in `[from, to)`.
    pub fn expected(&self, process: u16, from: Instant, to: Instant) -> f64 {
        let Process { at, end, flow, .. } = &self.open[usize::from(process)];
        let (from, to) = (from.as_nanos().max(*at), to.as_nanos().min(*end));
        match flow {
            _ if from >= to => 0.0,
            Flow::Rate(rate, curve) => rate * self.warp.age(curve, from, to),
            Flow::Recorded(playback) => playback.expected_between(from, to),
        }
    }

    /// Seconds by which users of the closed population age in `[from, to)`.
    pub fn age(&self, from: Instant, to: Instant) -> f64 {
        self.warp.age(&Curve::Constant, from.as_nanos(), to.as_nanos())
    }

    /// The share of an open process's arrivals that draw a user afresh, rather than return one.
    pub fn fresh(&self, process: u16) -> f64 {
        self.open[usize::from(process)].chooser.fresh()
    }

    /// The share of an open process's fresh draws that fall on the users of a range.
    pub fn share(&self, process: u16, users: &Range<u32>) -> f64 {
        self.open[usize::from(process)].chooser.share(users)
    }

    /// Where users end whom an open process draws with one probability.
    pub fn edges(&self) -> impl Iterator<Item = u32> {
        self.open.iter().filter_map(|process| process.chooser.edge())
    }

    /// Where the last spike ends.
    pub fn last_spike_end(scenario: &Scenario) -> Option<Duration> {
        let end = |traffic: &Traffic| {
            let (at, length) = traffic.kind.stretch();
            traffic.kind.spike_factor().map(|_| at + length)
        };
        scenario.traffic.iter().filter_map(end).max()
    }
}

/// What a scenario's arrivals will come to, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Seconds by which users of the closed population age.
    pub operational_seconds: f64,
    /// Arrivals of `[[traffic]]`.
    pub open: f64,
}

impl Expected {
    /// Of `scenario`, worked out without anything that grows with it.
    pub fn of(scenario: &Scenario) -> Self {
        let warp = Warp::new(scenario);
        let open = scenario.traffic.iter().map(|traffic| expected(&traffic.kind, &warp)).sum();
        Self { operational_seconds: warp.age(&Curve::Constant, 0, nanos(scenario.duration)), open }
    }
}

/// Beats of a metronome: as many as arrivals are expected, the first at the start. What is a beat more by rounding alone would lie
/// at the very end, which is not part of the stretch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a positive number")]
fn beats(flow: &Flow, warp: &Warp, at: u64, end: u64) -> u64 {
    match flow {
        Flow::Rate(rate, curve) => {
            let expected = rate * warp.age(curve, at, end);
            libm::ceil(expected - 1e-9 * expected.max(1.0)) as u64
        }
        Flow::Recorded(_) => u64::MAX,
    }
}

fn expected(kind: &TrafficKind, warp: &Warp) -> f64 {
    let (at, length) = kind.stretch();
    let (from, to) = (nanos(at), nanos(at + length));
    let constant = |rate: f64| rate * warp.age(&Curve::Constant, from, to);
    match kind {
        TrafficKind::Spike { .. } => 0.0,
        TrafficKind::Burst { rate_per_second, idle_per_second, burst, every, rhythm: Rhythm::Random, .. } => {
            let share = burst.as_secs_f64() / every.as_secs_f64();
            // The first burst is there from the start, which an average over all time does not know.
            constant(share * rate_per_second + (1.0 - share) * idle_per_second)
                + rate_per_second * burst.min(&length).as_secs_f64()
        }
        TrafficKind::Trace { trace, scale, speed, .. } => {
            Tape { trace, scale: *scale, speed: *speed, at: from, end: to }.expected(warp)
        }
        TrafficKind::Steady { .. }
        | TrafficKind::Ramp { .. }
        | TrafficKind::Burst { rhythm: Rhythm::Regular, .. }
        | TrafficKind::Diurnal { .. } => match flow(kind, warp, |_| [0; 2]) {
            Some((_, Flow::Rate(rate, curve))) => rate * warp.age(&curve, from, to),
            Some((_, Flow::Recorded(_))) | None => 0.0,
        },
    }
}

/// How the arrivals of a kind are spread; nothing for a spike, which has none. `draws` are those of burst lengths.
fn flow(kind: &TrafficKind, warp: &Warp, draws: impl Fn(u64) -> [u64; 2]) -> Option<(Spacing, Flow)> {
    let (at, length) = kind.stretch();
    let (start, end) = (nanos(at), nanos(at + length));
    Some(match kind {
        TrafficKind::Spike { .. } => return None,
        TrafficKind::Steady { rate_per_second, spacing, .. } => {
            (*spacing, Flow::Rate(*rate_per_second, Curve::Constant))
        }
        TrafficKind::Ramp { from_per_second, to_per_second, spacing, .. } => {
            let ramp = Ramp { start, end, from: *from_per_second, to: *to_per_second };
            (*spacing, Flow::Rate(1.0, Curve::Ramp(ramp)))
        }
        TrafficKind::Burst { rate_per_second, idle_per_second, burst, every, rhythm, spacing, .. } => {
            let edges = match rhythm {
                Rhythm::Regular => regular_edges(start..end, nanos(*burst), nanos(*every)),
                Rhythm::Random => random_edges(start..end, nanos(*burst), nanos(*every), draws),
            };
            let steps = Steps { edges, high: *rate_per_second, low: *idle_per_second };
            (*spacing, Flow::Rate(1.0, Curve::Steps(steps)))
        }
        TrafficKind::Diurnal { rate_per_second, peak_per_second, period, peak_at, spacing, .. } => {
            let swing = (peak_per_second - rate_per_second).min(*rate_per_second);
            let sine = Sine { mean: *rate_per_second, swing, period: nanos(*period), peak_at: nanos(*peak_at) };
            (*spacing, Flow::Rate(1.0, Curve::Sine(sine)))
        }
        TrafficKind::Trace { trace, scale, speed, spacing, .. } => {
            let tape = Tape { trace, scale: *scale, speed: *speed, at: start, end };
            (*spacing, Flow::Recorded(Playback::new(&tape, warp)))
        }
    })
}

/// Starts and ends of bursts of one length. Where a burst is as long as `every`, there is only the first start.
fn regular_edges(stretch: Range<u64>, burst: u64, every: u64) -> Vec<u64> {
    if burst >= every {
        return vec![stretch.start];
    }
    let starts = std::iter::successors(Some(stretch.start), |start| start.checked_add(every));
    starts.take_while(|start| *start < stretch.end).flat_map(|start| [start, start.saturating_add(burst)]).collect()
}

/// Starts and ends of bursts of exponential lengths, `every` and `burst` being means.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a positive number")]
fn random_edges(stretch: Range<u64>, burst: u64, every: u64, draws: impl Fn(u64) -> [u64; 2]) -> Vec<u64> {
    let silence = every - burst;
    if silence == 0 {
        return vec![stretch.start];
    }
    let (mut edges, mut at) = (Vec::new(), stretch.start);
    for n in 0.. {
        if at >= stretch.end {
            break;
        }
        let [loud, quiet] = draws(n).map(exponential);
        let until = at.saturating_add((burst as f64 * loud) as u64).saturating_add(1);
        edges.extend([at, until]);
        at = until.saturating_add((silence as f64 * quiet) as u64).saturating_add(1);
    }
    edges
}

/// Keeps the draws of open processes apart from those of users, whose numbers have 32 bits.
const OPEN: u64 = 1 << 32;

/// The same for the lengths of bursts.
const BURST: u64 = 1 << 33;
