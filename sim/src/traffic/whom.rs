//! Who arrives.
//!
//! Owns the choice of a user for an arrival: all alike, a hot few, by Zipf's law, or somebody seen a moment ago. A choice is a
//! pure function of the arrival's number; who the last ones were is the world's knowledge.
//!
//! Zipf's law is drawn by rejection-inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates
//! from monotone discrete distributions", ACM TOMACS 6, 1996): exact, a constant number of draws on average, no table.

use std::ops::Range;

use crate::scenario::{Popularity, Probability, Selection};
use crate::seed::{Concern, Draws, below, unit};

/// Who an arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A user of the population.
    Known(u32),
    /// Somebody who was never there.
    New,
    /// Whoever came so many arrivals of the same traffic before, from 1.
    Before(u32),
}

/// Draws users for one arrival process.
#[derive(Clone, Debug)]
pub(super) struct Chooser {
    process: u16,
    population: u32,
    crowd: Crowd,
    returning: Probability,
    recent: u32,
}

#[derive(Clone, Debug)]
enum Crowd {
    Uniform,
    Hot { count: u32, arrivals: Probability },
    Zipf(Zipf),
}

impl Chooser {
    /// Chooses among `population` users, numbered from 0; with 0, everybody is new.
    pub(super) fn new(process: u16, population: u32, selection: Selection) -> Self {
        let crowd = match selection.popularity {
            Popularity::Uniform => Crowd::Uniform,
            Popularity::Hot { users, arrivals } => Crowd::Hot { count: hot_count(population, users), arrivals },
            Popularity::Zipf { exponent } => Crowd::Zipf(Zipf::new(population, exponent)),
        };
        Self { process, population, crowd, returning: selection.returning, recent: selection.recent }
    }

    /// How many arrivals back a choice may reach; 0 if never.
    pub(super) fn recent(&self) -> u32 {
        if self.returning == Probability::ZERO { 0 } else { self.recent }
    }

    /// The share of arrivals that draw a user afresh, rather than return one.
    pub(super) fn fresh(&self) -> f64 {
        1.0 - f64::from(self.returning.ppm()) / 1e6
    }

    /// The share of fresh draws that fall on the users of a range.
    pub(super) fn share(&self, users: &Range<u32>) -> f64 {
        let length = |range: Range<u32>| f64::from(range.end.saturating_sub(range.start));
        let all = f64::from(self.population);
        match &self.crowd {
            Crowd::Hot { count, arrivals } if *count < self.population => {
                let hot = f64::from(arrivals.ppm()) / 1e6;
                let among_hot = length(users.start..users.end.min(*count));
                let among_others = length(users.start.max(*count)..users.end);
                among_hot / f64::from(*count) * hot + among_others / (all - f64::from(*count)) * (1.0 - hot)
            }
            Crowd::Uniform | Crowd::Hot { .. } => length(users.clone()) / all,
            Crowd::Zipf(zipf) => zipf.share(users),
        }
    }

    /// Where users of one probability end, if there is such an edge.
    pub(super) fn edge(&self) -> Option<u32> {
        if let Crowd::Hot { count, .. } = &self.crowd { Some(*count) } else { None }
    }

    /// Who arrival number `n` is, from 1.
    pub(super) fn whom(&self, draws: Draws, n: u64) -> Whom {
        let draw = |round: u64| draws.draw(Concern::ArrivalUser, u64::from(self.process) | round << 16, n);
        let window = u64::from(self.recent()).min(n - 1);
        if window > 0 {
            let [coin, back] = draw(1);
            if self.returning.happens(coin) {
                return Whom::Before(number(below(back, window)) + 1);
            }
        }
        if self.population == 0 {
            return Whom::New;
        }
        let [first, second] = draw(0);
        let all = u64::from(self.population);
        Whom::Known(match &self.crowd {
            Crowd::Uniform => number(below(first, all)),
            Crowd::Hot { count, arrivals } => {
                let hot = u64::from(*count);
                let is_hot = arrivals.happens(second) || hot == all;
                number(if is_hot { below(first, hot) } else { hot + below(first, all - hot) })
            }
            Crowd::Zipf(zipf) => zipf.rank(|round| draw(round + 2)[0]) - 1,
        })
    }
}

fn number(user: u64) -> u32 {
    u32::try_from(user).expect("below a u32")
}

/// A share of the population, rounded up to a whole user.
fn hot_count(population: u32, share: Probability) -> u32 {
    let scaled = (u64::from(population) * u64::from(share.ppm())).div_ceil(1_000_000);
    number(scaled).clamp(1, population.max(1))
}

/// Zipf's law over the ranks 1 to `count`. The names are those of the paper: `H` is the integral of `h(x) = x^−exponent`.
#[derive(Clone, Debug)]
struct Zipf {
    count: u32,
    exponent: f64,
    /// H(1.5) − 1 and H(count + 0.5): a uniform between them is inverted.
    from: f64,
    to: f64,
    /// Below this distance from its rank a candidate needs no test.
    shortcut: f64,
}

impl Zipf {
    fn new(count: u32, exponent: f64) -> Self {
        let mut zipf = Self { count, exponent, from: 0.0, to: 0.0, shortcut: 0.0 };
        zipf.from = zipf.integral(1.5) - 1.0;
        zipf.to = zipf.integral(f64::from(count) + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.height(2.0));
        zipf
    }

    fn height(&self, x: f64) -> f64 {
        libm::exp(-self.exponent * libm::log(x))
    }

    /// (x^(1−s) − 1) ÷ (1 − s), which is ln x at s = 1.
    fn integral(&self, x: f64) -> f64 {
        let log = libm::log(x);
        let scaled = (1.0 - self.exponent) * log;
        log * if libm::fabs(scaled) > 1e-8 { libm::expm1(scaled) / scaled } else { 1.0 + scaled / 2.0 }
    }

    fn inverse(&self, value: f64) -> f64 {
        // Rounding may carry the argument below −1, where no logarithm is.
        let scaled = ((1.0 - self.exponent) * value).max(-1.0);
        let log = if libm::fabs(scaled) > 1e-8 { libm::log1p(scaled) / scaled } else { 1.0 - scaled / 2.0 };
        libm::exp(log * value)
    }

    /// The share of ranks `users.start + 1 ..= users.end`, sums taken as integrals.
    fn share(&self, users: &Range<u32>) -> f64 {
        let up_to = |rank: u32| if rank == 0 { self.from } else { self.integral(f64::from(rank) + 0.5) };
        (up_to(users.end) - up_to(users.start)) / (self.to - self.from)
    }

    /// `draw` gives fresh bits for each round.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast, clamped to a rank")]
    fn rank(&self, mut draw: impl FnMut(u64) -> u64) -> u32 {
        let mut round = 0;
        loop {
            let uniform = self.to + unit(draw(round)) * (self.from - self.to);
            let x = self.inverse(uniform);
            let rank = ((x + 0.5) as u32).clamp(1, self.count);
            let middle = f64::from(rank);
            if middle - x <= self.shortcut || uniform >= self.integral(middle + 0.5) - self.height(middle) {
                return rank;
            }
            round += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_and_its_inverse_agree_on_both_sides_of_one() {
        for exponent in [0.01, 0.5, 0.999_999_999, 1.0, 1.000_000_001, 1.1, 3.0] {
            let zipf = Zipf::new(1_000_000, exponent);
            for x in [1.5, 2.0, 77.25, 1_000.0] {
                let back = zipf.inverse(zipf.integral(x));
                assert!((back - x).abs() < x * 1e-6, "{exponent}: {x} came back as {back}");
            }
        }
        assert!((Zipf::new(10, 1.0).integral(5.0) - libm::log(5.0)).abs() < 1e-15);
        // By hand: (√5 − 1) ÷ 0.5.
        assert!((Zipf::new(10, 0.5).integral(5.0) - 2.472_135_954_999_58).abs() < 1e-12);
    }

    #[test]
    fn the_corners_of_zipfs_law_end_after_a_few_rounds() {
        for exponent in [0.01, 1.0, 10.0] {
            for count in [1, 2, 3, 4_000_000_000] {
                let zipf = Zipf::new(count, exponent);
                for draw in [0, 1, u64::MAX / 3, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                    let mut rounds = 0;
                    let rank = zipf.rank(|round| {
                        rounds = round;
                        draw.wrapping_add(round.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                    });
                    assert!((1..=count).contains(&rank) && rounds < 30, "{exponent} {count} {draw}: {rank}");
                }
            }
        }
    }

    #[test]
    fn the_shares_of_all_users_add_up_to_one_and_hot_ones_have_theirs() {
        let half = Probability::from_ppm(500_000).unwrap();
        let tenth = Probability::from_ppm(100_000).unwrap();
        let choosers = [
            Popularity::Uniform,
            Popularity::Hot { users: tenth, arrivals: half },
            Popularity::Hot { users: Probability::ONE, arrivals: half },
            Popularity::Zipf { exponent: 1.0 },
        ]
        .map(|popularity| Chooser::new(0, 1_000, Selection { popularity, ..Selection::UNIFORM }));
        for chooser in &choosers {
            let parts: f64 = [0..1, 1..100, 100..400, 400..1_000].iter().map(|part| chooser.share(part)).sum();
            assert!((parts - 1.0).abs() < 1e-12, "{chooser:?}: {parts}");
        }
        assert!((choosers[1].share(&(0..100)) - 0.5).abs() < 1e-12);
        // The harmonic number of 1,000 is 7.4855.
        assert!((choosers[3].share(&(0..1)) - 1.0 / 7.4855).abs() < 0.005);
    }

    #[test]
    fn a_hot_share_is_at_least_one_user_and_at_most_all() {
        let share = |ppm| Probability::from_ppm(ppm).unwrap();
        assert_eq!(hot_count(1_000, share(10_000)), 10);
        assert_eq!(hot_count(1_001, share(10_000)), 11);
        assert_eq!(hot_count(5, share(1)), 1);
        assert_eq!(hot_count(5, Probability::ONE), 5);
    }
}
