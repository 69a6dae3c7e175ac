//! The exact multinomial test, for samples too small for chi-square.
//!
//! The p-value is the probability, if the shares are as declared, of every sample that is no more probable than the one
//! observed. Logarithms, exponentials and log-gamma are those of the `libm` crate, the same on every machine.

/// More outcomes than this are not looked at one by one.
const OUTCOMES_MAX: f64 = 100_000.0;
/// Two outcomes are equally probable if their probabilities differ by less than this share: as `binom.test` of R has it, so that
/// rounding does not part what is equal.
const EQUAL: f64 = 1e-7;

/// The p-value of these counts under these shares, which sum to one. `None` where there is nobody or there are more outcomes
/// than can be looked at; 0 if somebody is where nobody can be.
pub(super) fn multinomial(counts: &[u64], shares: &[f64]) -> Option<f64> {
    let possible = || counts.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let total: u64 = counts.iter().sum();
    if total == 0 || outcomes(total, possible().count()) > OUTCOMES_MAX {
        return None;
    }
    if counts.iter().zip(shares).any(|(count, share)| *share <= 0.0 && *count > 0) {
        return Some(0.0);
    }
    let arms = possible().map(|(_, share)| Arm::new(*share, total)).collect();
    let all = Outcomes { arms, scale: libm::lgamma(total as f64 + 1.0) };
    let observed: f64 = possible().zip(&all.arms).map(|((count, _), arm)| arm.terms[index(*count)]).sum();
    Some(all.no_more_probable(observed + EQUAL, index(total), 0.0, 0).min(1.0))
}

/// How many ways there are to deal out `total` users to so many arms.
fn outcomes(total: u64, arms: usize) -> f64 {
    (1..arms).fold(1.0, |ways, arm| ways * (total as f64 + arm as f64) / arm as f64)
}

fn index(count: u64) -> usize {
    usize::try_from(count).expect("there are at most OUTCOMES_MAX users, or only one arm")
}

/// An arm's part in the logarithm of an outcome's probability, by the number of its users.
struct Arm {
    terms: Vec<f64>,
}

impl Arm {
    fn new(share: f64, total: u64) -> Self {
        let log_share = libm::log(share);
        let term = |count: u64| count as f64 * log_share - libm::lgamma(count as f64 + 1.0);
        Self { terms: (0..=total).map(term).collect() }
    }
}

struct Outcomes {
    arms: Vec<Arm>,
    /// What all outcomes have in common.
    scale: f64,
}

impl Outcomes {
    /// The probability of the outcomes whose arms from `next` on share `left` users and whose logarithm, with that of the arms
    /// before in `so_far`, is at most `limit`.
    fn no_more_probable(&self, limit: f64, left: usize, so_far: f64, next: usize) -> f64 {
        let terms = &self.arms[next].terms;
        if next + 1 == self.arms.len() {
            let log = so_far + terms[left];
            return if log <= limit { libm::exp(self.scale + log) } else { 0.0 };
        }
        (0..=left).map(|count| self.no_more_probable(limit, left - count, so_far + terms[count], next + 1)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Binomial, Discrete as _};

    fn assert_near(counts: &[u64], shares: &[f64], expected: f64, within: f64) {
        let found = multinomial(counts, shares).unwrap();
        assert!((found - expected).abs() <= within, "{counts:?} {shares:?}: {found}, not {expected}");
    }

    /// By hand: of 27 outcomes of three users and three equal arms, 3 are (3,0,0), 18 like (2,1,0), 6 (1,1,1).
    #[test]
    fn three_users_in_three_arms_are_counted_by_hand() {
        let thirds = [1.0 / 3.0; 3];
        assert_near(&[3, 0, 0], &thirds, 3.0 / 27.0, 1e-12);
        assert_near(&[0, 2, 1], &thirds, 21.0 / 27.0, 1e-12);
        assert_near(&[1, 1, 1], &thirds, 1.0, 1e-12);
    }

    /// The example of R's `binom.test`, after W. J. Conover, Practical Nonparametric Statistics, 1971, p. 97: 682 tall of 925 plants
    /// where three quarters are expected, p = 0.3825. The others are sums of binomial coefficients: 2 ÷ 2⁵, 112 ÷ 2¹⁰.
    #[test]
    fn two_arms_give_the_two_sided_binomial_test() {
        assert_near(&[682, 243], &[0.75, 0.25], 0.3825, 5e-5);
        assert_near(&[0, 5], &[0.5, 0.5], 0.0625, 1e-12);
        assert_near(&[2, 8], &[0.5, 0.5], 112.0 / 1024.0, 1e-12);
        assert_near(&[4, 4], &[0.5, 0.5], 1.0, 1e-12);
    }

    #[test]
    fn an_independent_binomial_gives_the_same() {
        for (count, total, share) in [(0_u64, 30_u64, 0.1), (7, 40, 0.1), (1, 400, 0.01), (12, 1_000, 0.004)] {
            let binomial = Binomial::new(share, total).unwrap();
            let limit = binomial.pmf(count) * (1.0 + EQUAL);
            let p: f64 = (0..=total).map(|other| binomial.pmf(other)).filter(|pmf| *pmf <= limit).sum();
            assert_near(&[count, total - count], &[share, 1.0 - share], p, 1e-9);
        }
    }

    #[test]
    fn nobody_too_many_outcomes_and_an_impossible_arm() {
        assert_eq!(multinomial(&[0, 0], &[0.5, 0.5]), None);
        assert_eq!(multinomial(&[1_000; 5], &[0.2; 5]), None);
        assert_eq!(multinomial(&[10, 1], &[1.0, 0.0]), Some(0.0));
        assert_eq!(multinomial(&[10, 0], &[1.0, 0.0]), Some(1.0));
    }
}
