//! How the rate of an arrival process runs over time, and its integral both ways.
//!
//! Owns the shapes. An arrival process of rate λ(t) is a Poisson process of rate 1 in the time Λ(t) = ∫λ: the next arrival
//! comes where Λ has grown by an exponential of mean 1. So each shape gives the integral over a stretch, and the stretch over
//! which the integral grows by a given amount. Both are in closed form, but for the sine, whose inverse is found by Newton's
//! method within a bracket, to a tenth of a nanosecond. (Thinning by P. Lewis and G. Shedler, 1979, would take several draws for
//! an arrival; one draw an arrival keeps runs of different rates comparable draw by draw.)
//!
//! * `CURVE-1`: `reach` inverts `area`: what is reached within a stretch lies in it.
//!
//! No chance here but in the edges of random bursts, which are given. Tests: below, and `tests/simulation/traffic.rs`.

use core::f64::consts::PI;

/// A rate over time. Moments are nanoseconds from the run's origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Curve {
    /// 1 at all times.
    Constant,
    /// From one rate to another.
    Ramp(Ramp),
    /// Two rates in turn.
    Steps(Steps),
    /// A sine around a mean.
    Sine(Sine),
}

/// A rate that changes linearly from `start` to `end`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ramp {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// `high` from the first edge on, `low` from the second, and so on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) edges: Vec<u64>,
    pub(super) high: f64,
    pub(super) low: f64,
}

/// `mean + swing · cos(2π (t − peak_at) ÷ period)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sine {
    pub(super) mean: f64,
    pub(super) swing: f64,
    pub(super) period: u64,
    pub(super) peak_at: u64,
}

impl Curve {
    /// The integral over `[from, to)`.
    pub(super) fn area(&self, from: u64, to: u64) -> f64 {
        match self {
            Self::Constant => seconds(from, to),
            Self::Ramp(ramp) => f64::midpoint(ramp.rate(from), ramp.rate(to)) * seconds(from, to),
            Self::Steps(steps) => steps.pieces(from, to).map(|(from, to, rate)| rate * seconds(from, to)).sum(),
            Self::Sine(sine) => sine.area(from, seconds(from, to)),
        }
    }

    /// How many nanoseconds after `from` the integral has grown by `need`, if that is before `to`.
    pub(super) fn reach(&self, from: u64, need: f64, to: u64) -> Option<f64> {
        let span = (to - from) as f64;
        let reached = match self {
            Self::Constant => need * 1e9,
            Self::Ramp(ramp) => ramp.reach(from, need)?,
            Self::Steps(steps) => steps.reach(from, need, to)?,
            Self::Sine(sine) => sine.reach(from, need)?,
        };
        (reached < span).then_some(reached)
    }
}

fn seconds(from: u64, to: u64) -> f64 {
    (to - from) as f64 * 1e-9
}

impl Ramp {
    fn rate(&self, at: u64) -> f64 {
        let share = at.saturating_sub(self.start) as f64 / (self.end - self.start) as f64;
        self.from + (self.to - self.from) * share
    }

    /// The root of `rate · x + slope · x² ÷ 2 = need`, in the form that does not cancel; a falling ramp may end before.
    fn reach(&self, from: u64, need: f64) -> Option<f64> {
        let rate = self.rate(from);
        let slope = (self.to - self.from) / seconds(self.start, self.end);
        let discriminant = rate * rate + 2.0 * slope * need;
        if discriminant < 0.0 {
            return None;
        }
        Some(2.0 * need / (rate + libm::sqrt(discriminant)) * 1e9)
    }
}

impl Steps {
    /// Stretches of one rate that make up `[from, to)`.
    fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64, f64)> {
        let first = self.edges.partition_point(|edge| *edge <= from);
        let starts = std::iter::once(from).chain(self.edges[first..].iter().copied());
        let ends = self.edges[first..].iter().copied().chain(std::iter::once(u64::MAX));
        let rates = (first..).map(|index| if index % 2 == 1 { self.high } else { self.low });
        let pieces = starts.zip(ends).zip(rates).map(move |((start, end), rate)| (start, end.min(to), rate));
        pieces.take_while(move |(start, _, _)| *start < to)
    }

    fn reach(&self, from: u64, mut need: f64, to: u64) -> Option<f64> {
        for (start, end, rate) in self.pieces(from, to) {
            let area = rate * seconds(start, end);
            if need < area {
                return Some((start - from) as f64 + need / rate * 1e9);
            }
            need -= area;
        }
        None
    }
}

impl Sine {
    /// Where `at` lies within the period, as an angle from the peak.
    fn angle(&self, at: u64) -> f64 {
        let phase = (u128::from(at) + u128::from(self.period) - u128::from(self.peak_at % self.period))
            % u128::from(self.period);
        2.0 * PI * (phase as f64 / self.period as f64)
    }

    fn period_seconds(&self) -> f64 {
        self.period as f64 * 1e-9
    }

    /// The integral over `x` seconds from `from`; the difference of two sines is taken as a product, which keeps short
    /// stretches exact.
    fn area(&self, from: u64, x: f64) -> f64 {
        let half = PI * x / self.period_seconds();
        let wave = libm::cos(self.angle(from) + half) * libm::sin(half);
        self.mean * x + self.swing * self.period_seconds() / PI * wave
    }

    fn reach(&self, from: u64, need: f64) -> Option<f64> {
        if self.mean <= 0.0 {
            return None;
        }
        // The wave is off the mean's line by at most this many seconds.
        let wave = self.swing * self.period_seconds() / (PI * self.mean);
        let line = need / self.mean;
        let (mut low, mut high) = ((line - wave).max(0.0), line + wave);
        let angle = self.angle(from);
        let mut x = line;
        // The bracket halves wherever Newton's step leaves it, so that a hundred steps are more than are ever needed.
        for _ in 0..100 {
            let off = self.area(from, x) - need;
            if off > 0.0 {
                high = x;
            } else {
                low = x;
            }
            let rate = self.mean + self.swing * libm::cos(angle + 2.0 * PI * x / self.period_seconds());
            let newton = x - off / rate;
            let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
            let moved = libm::fabs(next - x);
            x = next;
            if moved < 1e-10 {
                break;
            }
        }
        Some(x * 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[test]
    fn a_ramp_is_inverted_as_by_hand() {
        // From 0 to 10 a second within 10 s: x² ÷ 2 arrivals within x seconds.
        let ramp = Curve::Ramp(Ramp { start: 5 * S, end: 15 * S, from: 0.0, to: 10.0 });
        assert_near(ramp.area(5 * S, 15 * S), 50.0);
        assert_near(ramp.area(7 * S, 9 * S), 6.0);
        assert_near(ramp.reach(5 * S, 8.0, 15 * S).unwrap(), 4e9);
        assert_near(ramp.reach(7 * S, 6.0, 15 * S).unwrap(), 2e9);
        assert_eq!(ramp.reach(5 * S, 50.1, 15 * S), None);
        // Down to nothing: the last arrival is never reached.
        let down = Curve::Ramp(Ramp { start: 0, end: 10 * S, from: 10.0, to: 0.0 });
        assert_near(down.reach(0, 42.0, 10 * S).unwrap(), 6e9);
        assert_eq!(down.reach(0, 50.5, 10 * S), None);
        // Level, it is a constant rate.
        let level = Curve::Ramp(Ramp { start: 0, end: 10 * S, from: 4.0, to: 4.0 });
        assert_near(level.reach(S, 2.0, 10 * S).unwrap(), 5e8);
    }

    #[test]
    fn steps_are_walked_in_turn() {
        let steps = Curve::Steps(Steps { edges: vec![S, 2 * S, 5 * S, 6 * S], high: 10.0, low: 2.0 });
        assert_near(steps.area(S, 6 * S), 26.0);
        assert_near(steps.area(0, S), 2.0);
        assert_near(steps.area(3 * S / 2, 4 * S), 9.0);
        assert_near(steps.reach(S, 5.0, 9 * S).unwrap(), 5e8);
        assert_near(steps.reach(S, 14.0, 9 * S).unwrap(), 3e9);
        assert_near(steps.reach(S, 17.0, 9 * S).unwrap(), 4.1e9);
        assert_eq!(steps.reach(S, 17.0, 5 * S), None);
        let silent = Curve::Steps(Steps { edges: vec![0, S, 10 * S], high: 1.0, low: 0.0 });
        assert_near(silent.reach(0, 1.5, 20 * S).unwrap(), 1.05e10);
    }

    #[test]
    fn a_sine_has_the_area_of_its_mean_over_whole_periods_and_more_at_its_peak() {
        let sine = Sine { mean: 3.0, swing: 3.0, period: 60 * S, peak_at: 30 * S };
        let curve = Curve::Sine(sine.clone());
        assert_near(curve.area(7 * S, 127 * S), 360.0);
        // The half around the peak: mean · 30 + swing · period ÷ π.
        assert_near(curve.area(15 * S, 45 * S), 90.0 + 180.0 / PI);
        assert_near(curve.area(45 * S, 75 * S), 90.0 - 180.0 / PI);
        assert_eq!(Curve::Sine(Sine { mean: 0.0, swing: 0.0, ..sine }).reach(0, 1.0, S), None);
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive moments")]
    fn a_sine_is_inverted_to_the_nanosecond_wherever_it_begins() {
        for (mean, swing, period) in [(3.0, 3.0, 60.0), (1e-7, 1e-7, 86_400.0), (1e9, 5e8, 3e9), (40.0, 0.0, 1.0)] {
            let period = (period * 1e9) as u64;
            let curve = Curve::Sine(Sine { mean, swing, period, peak_at: period / 3 });
            for step in 0..40_u64 {
                let from = period / 40 * step;
                for need in [1e-12, 0.3, 1.0, 17.0, mean * period as f64 * 1e-9 * 2.5] {
                    let Some(reached) = curve.reach(from, need, u64::MAX) else { panic!("{mean} {need}") };
                    let area = curve.area(from, from + reached as u64);
                    // Cut to a nanosecond, the area is less by at most the largest rate times two of them, or by rounding.
                    let slack = (mean + swing) * 2e-9 + need * 1e-9;
                    assert!((area - need).abs() <= slack, "{mean} {swing} from {from}: {need} is {area}");
                }
            }
        }
    }
}
