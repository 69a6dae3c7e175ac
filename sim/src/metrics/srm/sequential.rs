//! A test of the declared shares that may be looked at after every user.
//!
//! M. Lindon and A. Malek, "Anytime-Valid Inference for Multinomial Count Data", 2022: the Bayes factor of shares that are
//! Dirichlet distributed around the declared ones, with concentration `CONCENTRATION`, against the declared ones. While these are
//! true it is a martingale that begins at one, so by Ville's inequality it ever reaches 1/α with probability α at most: one
//! divided by its largest value so far is a p-value at all times. Where versions declare different shares, each user's factor is
//! the alternative's share of the arm ÷ that of the version in force, which keeps the martingale.
//!
//! Only sums, products and quotients are used, which are the same on every machine.

use super::Arms;

/// How far from the declared shares the alternative looks: with two equal arms its standard deviation is 5 percentage points. A gross
/// mismatch is then found within some hundred users. That n users are many more costs ½ ln(n ÷ 100) in the logarithm, so a small one is
/// found all the same, only later.
pub(super) const CONCENTRATION: f64 = 100.0;

/// The test under way.
#[derive(Clone, Debug)]
pub struct Sequence<'a> {
    arms: &'a Arms,
    /// By version: the declared share of each arm.
    shares: Vec<Vec<f64>>,
    counts: Vec<f64>,
    expected: Vec<f64>,
    /// The Bayes factor; infinite once somebody came where nobody can be.
    factor: f64,
    largest: f64,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(arms: &'a Arms) -> Self {
        let none = vec![0.0; arms.names.len()];
        let shares = arms.versions.iter().map(|slots| arms.shares(slots)).collect();
        Self { arms, shares, counts: none.clone(), expected: none, factor: 1.0, largest: 1.0 }
    }

    /// A user was first exposed to this variant of this version.
    pub fn observe(&mut self, version: u8, variant: u8) {
        let Some(slots) = self.arms.versions.get(usize::from(version)) else { return };
        let Some(observed) = slots.get(usize::from(variant)) else { return };
        let shares = &self.shares[usize::from(version)];
        // By how much an arm has had more than its due so far.
        let tilt = |arm: usize| {
            let prior = CONCENTRATION * shares[arm];
            (prior + self.counts[arm]) / (prior + self.expected[arm])
        };
        let whole: f64 = (0..shares.len()).filter(|arm| shares[*arm] > 0.0).map(|arm| shares[arm] * tilt(arm)).sum();
        let gain = if shares[observed.arm] > 0.0 { tilt(observed.arm) / whole } else { f64::INFINITY };
        self.factor *= gain;
        self.largest = self.largest.max(self.factor);
        self.counts[observed.arm] += 1.0;
        for (expected, share) in self.expected.iter_mut().zip(shares) {
            *expected += share;
        }
    }

    /// The probability, at most, that declared shares give so large a mismatch at any look up to here.
    pub fn p_value(&self) -> f64 {
        1.0 / self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::super::chi_square_tail;
    use super::super::tests::{arms, halves};
    use super::*;
    use crate::seed::{Concern, Draws, unit};

    /// Experiments, and users of each.
    const TRIALS: u64 = 2_000;
    const USERS: u64 = 2_000;
    const ALPHA: f64 = 0.05;

    /// A draw from 0 to one.
    fn draw(trial: u64, user: u64) -> f64 {
        unit(Draws::new(trial).draw(Concern::Outcome, user, 0)[0])
    }

    /// By hand: two users of one arm have 1 and 51/101 ÷ 1/2; a third in the other arm 50/102 ÷ 1/2.
    #[test]
    fn the_bayes_factor_is_the_ratio_of_predictions() {
        let arms = halves();
        let mut sequence = Sequence::new(&arms);
        for (variant, factor) in [(0, 1.0), (0, 102.0 / 101.0), (1, 100.0 / 101.0)] {
            sequence.observe(0, variant);
            assert!((sequence.factor - factor).abs() < 1e-12, "{} {factor}", sequence.factor);
        }
        assert!((sequence.p_value() - 101.0 / 102.0).abs() < 1e-12, "the largest counts, not the last");
    }

    /// Γ(K) ÷ Γ(K + n) · Π Γ(Kθ + x) ÷ (Γ(Kθ) θ^x), whatever the order of the users is.
    #[test]
    fn the_bayes_factor_is_that_of_dirichlet_and_multinomial() {
        let arms = arms(&[&[("a", 50), ("b", 30), ("c", 20)]]);
        let (counts, shares) = ([70_u32, 10, 20], [0.5, 0.3, 0.2]);
        let mut sequence = Sequence::new(&arms);
        for (variant, count) in (0..).zip(counts) {
            (0..count).for_each(|_| sequence.observe(0, variant));
        }
        let mut log = libm::lgamma(CONCENTRATION) - libm::lgamma(CONCENTRATION + 100.0);
        for (count, share) in counts.into_iter().zip(shares) {
            let (count, prior) = (f64::from(count), CONCENTRATION * share);
            log += libm::lgamma(prior + count) - libm::lgamma(prior) - count * libm::log(share);
        }
        assert!((sequence.factor / libm::exp(log) - 1.0).abs() < 1e-9, "{} {}", sequence.factor, libm::exp(log));
    }

    /// How many of the experiments ever look mismatched, to the sequential test and to chi-square, if the first arm gets this share.
    fn alarms(share: f64) -> (u64, u64) {
        let arms = halves();
        let (mut sequential, mut naive) = (0, 0);
        for trial in 0..TRIALS {
            let mut sequence = Sequence::new(&arms);
            let (mut first, mut is_naive) = (0_u32, false);
            for user in 0..USERS {
                let is_first = draw(trial, user) < share;
                first += u32::from(is_first);
                sequence.observe(0, u8::from(!is_first));
                let (first, half) = (f64::from(first), (user + 1) as f64 / 2.0);
                let difference = first - half;
                // From ten users on each arm expects five.
                is_naive |= user >= 9 && chi_square_tail(2.0 * difference * difference / half, 1) <= ALPHA;
            }
            sequential += u64::from(sequence.p_value() <= ALPHA);
            naive += u64::from(is_naive);
        }
        (sequential, naive)
    }

    #[test]
    fn who_looks_after_every_user_is_misled_by_chi_square_and_not_by_the_sequential_test() {
        let (sequential, naive) = alarms(0.5);
        assert!(sequential as f64 <= ALPHA * TRIALS as f64, "{sequential} of {TRIALS} sound experiments");
        assert!(naive as f64 > 4.0 * ALPHA * TRIALS as f64, "{naive} of {TRIALS} sound experiments");
    }

    /// Of the second arm's users 12 % are counted in the first, as in the post-mortem: 56 to 44.
    #[test]
    fn a_real_mismatch_is_found() {
        let (sequential, _) = alarms(0.56);
        assert!(sequential as f64 >= 0.95 * TRIALS as f64, "{sequential} of {TRIALS}");
    }

    /// Weights change from 50:50 to 90:10 on the way, and users follow: no mismatch in either.
    #[test]
    fn shares_that_change_are_no_mismatch_where_users_follow_them() {
        let arms = arms(&[&[("a", 50), ("b", 50)], &[("a", 90), ("b", 10)]]);
        let found = |follows: bool| {
            let alarmed = |trial: &u64| {
                let mut sequence = Sequence::new(&arms);
                for user in 0..USERS {
                    let version = u8::from(user >= USERS / 2);
                    let share = if version == 1 && follows { 0.9 } else { 0.5 };
                    sequence.observe(version, u8::from(draw(*trial, user) >= share));
                }
                sequence.p_value() <= ALPHA
            };
            (0..TRIALS / 4).filter(alarmed).count() as u64
        };
        assert!(found(true) as f64 <= ALPHA * (TRIALS / 4) as f64, "{}", found(true));
        assert_eq!(found(false), TRIALS / 4, "users who do not follow are found in every trial");
    }

    #[test]
    fn who_comes_where_nobody_can_be_leaves_no_doubt() {
        let arms = arms(&[&[("a", 1), ("b", 0)]]);
        let mut sequence = Sequence::new(&arms);
        sequence.observe(0, 0);
        assert_eq!(sequence.p_value().to_bits(), 1.0_f64.to_bits());
        sequence.observe(0, 1);
        sequence.observe(0, 0);
        assert_eq!(sequence.p_value().to_bits(), 0);
    }
}
