//! When visits arrive, and whose they are: drawn before anything runs, so that no answer can put off a later visit.
//!
//! Invariant: equal plans have equal arrivals. Chance is the seed's alone; time is an offset from the run's start.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Visits a second on average; their distances are exponential.
    pub per_second: f64,
    /// Offered first, and not measured.
    pub warm_up: Duration,
    /// What is measured.
    pub length: Duration,
    /// Users who have come before; at least one.
    pub users: u64,
    /// The share of visits by somebody who has never come.
    pub first_visits: f64,
    /// Of all draws.
    pub seed: u64,
}

/// Who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// One of [`Plan::users`].
    Returning(u64),
    /// The first, second, … new one.
    New(u64),
}

impl Visitor {
    /// The user's id.
    pub fn id(self) -> String {
        match self {
            Self::Returning(number) => format!("returning-{number}"),
            Self::New(number) => format!("new-{number}"),
        }
    }
}

/// A visit to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the start of the warm-up.
    pub at: Duration,
    /// Who.
    pub visitor: Visitor,
    /// Whether it comes after the warm-up.
    pub is_measured: bool,
}

impl Plan {
    /// All visits in their order.
    pub fn arrivals(self) -> impl Iterator<Item = Arrival> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let end = self.warm_up + self.length;
        let (mut at, mut new_count) = (Duration::ZERO, 0);
        std::iter::from_fn(move || {
            // Of (0, 1], whose logarithm is finite.
            let wait = -(1.0 - share(&mut rng)).ln() / self.per_second;
            at += Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX).min(end);
            let (is_new, who) = (share(&mut rng) < self.first_visits, rng.next_u64());
            let visitor = if is_new { Visitor::New(new_count) } else { Visitor::Returning(who % self.users.max(1)) };
            new_count += u64::from(is_new);
            (at < end).then_some(Arrival { at, visitor, is_measured: at >= self.warm_up })
        })
    }
}

/// Uniform in [0, 1).
fn share(rng: &mut ChaCha8Rng) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        per_second: 1_000.0,
        warm_up: Duration::from_secs(1),
        length: Duration::from_secs(20),
        users: 50,
        first_visits: 0.25,
        seed: 7,
    };

    #[test]
    fn arrivals_are_as_many_and_as_new_as_planned() {
        let arrivals: Vec<Arrival> = PLAN.arrivals().collect();
        // Poisson: within five standard deviations of 21,000 and of 5,250.
        assert!((20_275..21_725).contains(&arrivals.len()), "{}", arrivals.len());
        let new = arrivals.iter().filter(|arrival| matches!(arrival.visitor, Visitor::New(_))).count();
        assert!((4_888..5_613).contains(&new), "{new}");
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        let measured = arrivals.iter().filter(|arrival| arrival.is_measured).count();
        assert_eq!(measured, arrivals.iter().filter(|arrival| arrival.at >= PLAN.warm_up).count());
        assert!(measured < arrivals.len());
    }

    #[test]
    fn distances_are_exponential_rather_than_even() {
        let at: Vec<f64> = PLAN.arrivals().map(|arrival| arrival.at.as_secs_f64()).collect();
        let mean = 1.0 / PLAN.per_second;
        let short = at.windows(2).filter(|pair| pair[1] - pair[0] < mean).count() as f64 / at.len() as f64;
        // 1 - 1/e of them are shorter than the mean.
        assert!((short - 0.632).abs() < 0.02, "{short}");
    }

    #[test]
    fn equal_plans_have_equal_arrivals_and_other_seeds_others() {
        let seeded = |seed| Plan { seed, ..PLAN }.arrivals().take(100).collect::<Vec<_>>();
        assert_eq!(seeded(7), seeded(7));
        assert_ne!(seeded(7), seeded(8));
    }

    #[test]
    fn nobody_is_new_of_a_share_of_none_and_everybody_of_all() {
        let all = |first_visits| {
            let mut arrivals = Plan { first_visits, ..PLAN }.arrivals().take(1_000);
            arrivals.all(|arrival| matches!(arrival.visitor, Visitor::New(_)) == (first_visits > 0.5))
        };
        assert!(all(0.0) && all(1.0));
    }
}
