//! Who visits when.
//!
//! Owns the arrival processes. Every process is a Poisson process (or a metronome) in *operational* time, and a spike is a
//! warp of it: during a spike of factor f a process ages f times as fast. So a spike on a closed population speeds up each
//! user's own visits, and removing the spike leaves every user's draws as they were.

use std::time::Duration;

use hookproof_core::time::{Instant, nanos};

use crate::scenario::{Scenario, Spacing, Traffic, TrafficKind, Users};
use crate::seed::{Concern, Draws, below, exponential, gamma};

/// The speed of operational time, piecewise constant.
#[derive(Clone, Debug)]
struct Warp {
    /// Starts of pieces with the factor that holds from there; the first starts at 0.
    pieces: Vec<(u64, f64)>,
    /// The storm's end: no arrival at or after it.
    end: u64,
}

impl Warp {
    fn new(scenario: &Scenario) -> Self {
        let spikes: Vec<(u64, u64, f64)> = scenario
            .traffic
            .iter()
            .filter_map(|traffic| match traffic.kind {
                TrafficKind::Spike { at, length, factor } => Some((nanos(at), nanos(at + length), factor)),
                TrafficKind::Steady { .. } => None,
            })
            .collect();
        let mut starts: Vec<u64> =
            std::iter::once(0).chain(spikes.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
        starts.sort_unstable();
        starts.dedup();
        let factor_at = |start: u64| {
            spikes.iter().filter(|(from, to, _)| (*from..*to).contains(&start)).map(|(_, _, f)| f).product()
        };
        let pieces = starts.into_iter().map(|start| (start, factor_at(start))).collect();
        Self { pieces, end: nanos(scenario.duration) }
    }

    /// The time `gap` seconds of operational time after `from`, if it lies before `end`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a gap in range")]
    fn after(&self, from: Instant, mut gap: f64, end: u64) -> Option<Instant> {
        let end = end.min(self.end);
        let mut at = from.as_nanos();
        let mut piece = self.pieces.partition_point(|(start, _)| *start <= at) - 1;
        loop {
            let (_, factor) = self.pieces[piece];
            let next = self.pieces.get(piece + 1).map_or(u64::MAX, |(start, _)| *start);
            let reach = gap / factor * 1e9;
            if factor > 0.0 && reach < (next - at) as f64 {
                // At least a nanosecond, or time would stand still at a rate beyond 10⁹ a second.
                let arrival = at.saturating_add((reach as u64).max(1));
                return (arrival < end).then(|| Instant::from_nanos(arrival));
            }
            gap -= (next - at) as f64 * 1e-9 * factor;
            at = next;
            piece += 1;
            if at >= end {
                return None;
            }
        }
    }
}

/// The arrivals of a scenario.
#[derive(Clone, Debug)]
pub struct Arrivals {
    draws: Draws,
    warp: Warp,
    users: Option<Users>,
    open: Vec<Traffic>,
}

impl Arrivals {
    /// The arrivals of `scenario` under `draws`.
    pub fn new(scenario: &Scenario, draws: Draws) -> Self {
        let is_open = |traffic: &&Traffic| matches!(traffic.kind, TrafficKind::Steady { .. });
        Self {
            draws,
            warp: Warp::new(scenario),
            users: scenario.users.clone(),
            open: scenario.traffic.iter().filter(is_open).cloned().collect(),
        }
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
        self.warp.after(from, exponential(draw) / f64::from(rate), u64::MAX)
    }

    /// When the open process number `process` begins.
    pub fn open_start(&self, process: u16) -> Instant {
        match self.open[usize::from(process)].kind {
            TrafficKind::Steady { at, .. } | TrafficKind::Spike { at, .. } => Instant::ORIGIN + at,
        }
    }

    /// When the open process number `process` has its `n`th arrival, the one before being at `from`.
    pub fn next_open(&self, from: Instant, process: u16, n: u64) -> Option<Instant> {
        let TrafficKind::Steady { rate_per_second, spacing, at, length } = self.open[usize::from(process)].kind else {
            return None;
        };
        if rate_per_second <= 0.0 {
            return None;
        }
        let [draw, _] = self.draws.draw(Concern::Arrival, OPEN | u64::from(process), n);
        let gap = match spacing {
            Spacing::Poisson => exponential(draw),
            // A metronome's first beat is its start, so that it beats rate · length times.
            Spacing::Even if n == 0 => return Some(from),
            Spacing::Even => 1.0,
        };
        self.warp.after(from, gap / rate_per_second, nanos(at + length))
    }

    /// Which of the population the `n`th arrival of an open process is; `None`: somebody new.
    pub fn open_user(&self, process: u16, n: u64) -> Option<u32> {
        let [draw, _] = self.draws.draw(Concern::ArrivalUser, u64::from(process), n);
        let population = self.population();
        (population > 0).then(|| u32::try_from(below(draw, u64::from(population))).expect("below a u32"))
    }

    /// Where the last spike ends.
    pub fn last_spike_end(scenario: &Scenario) -> Option<Duration> {
        let end = |traffic: &Traffic| match traffic.kind {
            TrafficKind::Spike { at, length, .. } => Some(at + length),
            TrafficKind::Steady { .. } => None,
        };
        scenario.traffic.iter().filter_map(end).max()
    }
}

/// Keeps the draws of open processes apart from those of users, whose numbers have 32 bits.
const OPEN: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn warp() -> Warp {
        Warp { pieces: vec![(0, 1.0), (10_000_000_000, 4.0), (20_000_000_000, 1.0)], end: 100_000_000_000 }
    }

    fn after(from_s: u64, gap: f64) -> Option<f64> {
        let at = warp().after(Instant::from_nanos(from_s * 1_000_000_000), gap, u64::MAX)?;
        Some(at.as_nanos() as f64 * 1e-9)
    }

    #[test]
    fn a_spike_ages_arrivals_by_its_factor() {
        assert_eq!(after(0, 5.0), Some(5.0));
        assert_eq!(after(0, 12.0), Some(10.5));
        assert_eq!(after(10, 39.0), Some(19.75));
        assert_eq!(after(0, 52.0), Some(22.0));
        assert_eq!(after(30, 60.0), Some(90.0));
    }

    #[test]
    fn nothing_arrives_after_the_storm() {
        assert_eq!(after(30, 70.0), None);
        assert_eq!(after(0, 1e300), None);
    }

    #[test]
    fn time_without_arrivals_is_skipped() {
        let warp = Warp { pieces: vec![(0, 1.0), (1_000_000_000, 0.0), (3_000_000_000, 1.0)], end: u64::MAX };
        let at = warp.after(Instant::ORIGIN, 2.0, u64::MAX).unwrap();
        assert_eq!(at, Instant::from_nanos(4_000_000_000));
    }
}
