//! Operational time: during a spike of factor f every arrival process ages f times as fast.
//!
//! Owns the pieces of the storm with one factor each. It knows no process: a process brings its curve and asks where it has aged
//! by so much.
//!
//! * `WARP-1`: neighbouring pieces have different factors, so that a spike of factor 1 leaves no mark.

use hookproof_core::time::{Instant, nanos};

use super::curve::Curve;
use crate::scenario::Scenario;

/// The speed of operational time, piecewise constant.
#[derive(Clone, Debug)]
pub(super) struct Warp {
    /// Starts of pieces with the factor that holds from there; the first starts at 0.
    pieces: Vec<(u64, f64)>,
    /// The storm's end: no arrival at or after it.
    end: u64,
}

impl Warp {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let spikes: Vec<(u64, u64, f64)> = scenario
            .traffic
            .iter()
            .filter_map(|traffic| {
                let (at, length) = traffic.kind.stretch();
                Some((nanos(at), nanos(at + length), traffic.kind.spike_factor()?))
            })
            .collect();
        let mut starts: Vec<u64> =
            std::iter::once(0).chain(spikes.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
        starts.sort_unstable();
        starts.dedup();
        let factor_at = |start: u64| -> f64 {
            spikes.iter().filter(|(from, to, _)| (*from..*to).contains(&start)).map(|(_, _, f)| f).product()
        };
        let mut pieces: Vec<(u64, f64)> = starts.into_iter().map(|start| (start, factor_at(start))).collect();
        pieces.dedup_by(|later, earlier| later.1.total_cmp(&earlier.1).is_eq());
        Self { pieces, end: nanos(scenario.duration) }
    }

    /// The pieces of `[from, to)` within the storm, with their factors.
    pub(super) fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64, f64)> {
        let to = to.min(self.end);
        let first = self.pieces.partition_point(|(start, _)| *start <= from) - 1;
        let ends = self.pieces[first + 1..].iter().map(|(start, _)| *start).chain(std::iter::once(u64::MAX));
        let pieces = self.pieces[first..].iter().zip(ends);
        let pieces = pieces.map(move |((start, factor), end)| (from.max(*start), to.min(end), *factor));
        pieces.take_while(move |(start, _, _)| *start < to)
    }

    /// By how much a process ages within `[from, to)` and the storm: its expected arrivals, if the curve is its rate.
    pub(super) fn age(&self, curve: &Curve, from: u64, to: u64) -> f64 {
        self.pieces(from, to).map(|(from, to, factor)| curve.area(from, to) * factor).sum()
    }

    /// When a process has aged by `gap` after `from`, if that is before `end`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a gap in range")]
    pub(super) fn after(&self, curve: &Curve, from: Instant, mut gap: f64, end: u64) -> Option<Instant> {
        let end = end.min(self.end);
        let mut at = from.as_nanos();
        let mut piece = self.pieces.partition_point(|(start, _)| *start <= at) - 1;
        while at < end {
            let (_, factor) = self.pieces[piece];
            let next = self.pieces.get(piece + 1).map_or(end, |(start, _)| end.min(*start));
            if factor > 0.0 {
                if let Some(reach) = curve.reach(at, gap / factor, next) {
                    // At least a nanosecond, or time would stand still at a rate beyond 10⁹ a second.
                    let arrival = at.saturating_add((reach as u64).max(1));
                    return (arrival < end).then(|| Instant::from_nanos(arrival));
                }
                gap = (gap - curve.area(at, next) * factor).max(0.0);
            }
            at = next;
            piece += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warp() -> Warp {
        Warp { pieces: vec![(0, 1.0), (10_000_000_000, 4.0), (20_000_000_000, 1.0)], end: 100_000_000_000 }
    }

    fn after(from_s: u64, gap: f64) -> Option<f64> {
        let at = warp().after(&Curve::Constant, Instant::from_nanos(from_s * 1_000_000_000), gap, u64::MAX)?;
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
        let at = warp.after(&Curve::Constant, Instant::ORIGIN, 2.0, u64::MAX).unwrap();
        assert_eq!(at, Instant::from_nanos(4_000_000_000));
    }

    #[test]
    fn a_stretch_ages_by_the_factors_of_its_pieces() {
        let age = |from: u64, to: u64| warp().age(&Curve::Constant, from * 1_000_000_000, to * 1_000_000_000);
        assert!((age(0, 10) - 10.0).abs() < 1e-9);
        assert!((age(5, 25) - 50.0).abs() < 1e-9);
        assert!((age(90, 200) - 10.0).abs() < 1e-9, "nothing ages beyond the storm");
    }
}
