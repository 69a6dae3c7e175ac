//! A trace played back: exactly as many arrivals as were counted.
//!
//! Owns the arithmetic of scale, speed and spikes, and where within its interval an arrival lies. An interval with n arrivals is
//! a Poisson process of which n is known: the arrivals are uniform in it, drawn in order one from the other, so that no
//! interval is ever held sorted. With a scale or a spike, an interval's share is what the rounded running total grows by
//! in it; so no rounding adds up, and the total is that of all arrivals times the scale, to the nearest whole number.
//!
//! * `PLAYBACK-1`: pieces are in order, do not overlap and hold at least one arrival each; arrival number n lies in the first
//!   piece whose running total exceeds n.

use crate::scenario::{Spacing, Trace};
use crate::seed::exponential;

use super::warp::Warp;

/// How a trace is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tape<'t> {
    pub(super) trace: &'t Trace,
    pub(super) scale: f64,
    pub(super) speed: f64,
    /// Start, in nanoseconds from the run's origin.
    pub(super) at: u64,
    /// No arrival at or after it.
    pub(super) end: u64,
}

/// Arrivals by stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Playback {
    pieces: Vec<Piece>,
    end: u64,
}

/// A stretch with its arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: u64,
    end: u64,
    /// Arrivals up to its end.
    total: u64,
}

/// A moment of a trace, as it is played: `offset_ns` at `speed`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a positive number")]
pub(crate) fn played(offset_ns: u64, speed: f64) -> u64 {
    // Exact at the speed that most traces are played at: a float holds whole nanoseconds of 104 days only.
    if speed.total_cmp(&1.0).is_eq() { offset_ns } else { (offset_ns as f64 / speed) as u64 }
}

impl Tape<'_> {
    /// Expected arrivals in order, by stretches of one factor each: `(start, end, arrivals)`. The last interval is whole, even
    /// where the playing ends within it.
    fn stretches<'w>(&'w self, warp: &'w Warp) -> impl Iterator<Item = (u64, u64, f64)> + 'w {
        let intervals = self.trace.intervals();
        let ends = intervals[1..].iter().map(|interval| interval.offset_ns);
        let ends = ends.chain([hookproof_core::time::nanos(self.trace.length())]);
        let moment = |offset: u64| self.at.saturating_add(played(offset, self.speed));
        let played = intervals.iter().zip(ends).map(move |(interval, end)| {
            (moment(interval.offset_ns), moment(end), f64::from(interval.arrivals) * self.scale)
        });
        let sounding = played.filter(|(_, _, arrivals)| *arrivals > 0.0);
        sounding.flat_map(move |(start, end, arrivals)| {
            let density = arrivals / (end - start) as f64;
            warp.pieces(start, end).map(move |(from, to, factor)| {
                let is_whole = (from, to) == (start, end);
                let share = if is_whole { arrivals } else { density * (to - from) as f64 };
                (from, to, share * factor)
            })
        })
    }

    /// Expected arrivals, at most.
    pub(super) fn expected(&self, warp: &Warp) -> f64 {
        self.stretches(warp).map(|(_, _, arrivals)| arrivals).sum()
    }
}

impl Playback {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a saturating cast of a positive number"
    )]
    pub(super) fn new(tape: &Tape<'_>, warp: &Warp) -> Self {
        let mut pieces = Vec::new();
        let (mut running, mut total) = (0.0, 0);
        for (start, end, arrivals) in tape.stretches(warp) {
            running += arrivals;
            let rounded = libm::floor(running + 0.5) as u64;
            if rounded > total {
                total = rounded;
                pieces.push(Piece { start, end, total });
            }
        }
        Self { pieces, end: tape.end }
    }

    /// Expected arrivals in `[from, to)`.
    pub(super) fn expected_between(&self, from: u64, to: u64) -> f64 {
        let first = self.pieces.partition_point(|piece| piece.end <= from);
        let mut before = first.checked_sub(1).map_or(0, |index| self.pieces[index].total);
        let mut expected = 0.0;
        for piece in self.pieces[first..].iter().take_while(|piece| piece.start < to.min(self.end)) {
            let overlap = piece.end.min(to).min(self.end).saturating_sub(piece.start.max(from));
            expected += (piece.total - before) as f64 * overlap as f64 / (piece.end - piece.start) as f64;
            before = piece.total;
        }
        expected
    }

    /// When arrival number `n`, from 0, takes place, the one before being at `from`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a stretch")]
    pub(super) fn arrival(&self, from: u64, n: u64, draw: u64, spacing: Spacing) -> Option<u64> {
        let index = self.pieces.partition_point(|piece| piece.total <= n);
        let piece = self.pieces.get(index)?;
        let before = if index == 0 { 0 } else { self.pieces[index - 1].total };
        let at = match spacing {
            Spacing::Poisson => {
                // The least of m uniforms exceeds x with probability (1 − x)^m.
                let left = (piece.total - n) as f64;
                let share = -libm::expm1(-exponential(draw) / left);
                let low = from.clamp(piece.start, piece.end - 1);
                low + (((piece.end - low) as f64 * share) as u64).min(piece.end - 1 - low)
            }
            Spacing::Even => {
                let length = u128::from(piece.end - piece.start);
                let passed = length * u128::from(n - before) / u128::from(piece.total - before);
                piece.start + u64::try_from(passed).expect("a share of a stretch")
            }
        };
        (at < self.end).then_some(at)
    }
}
