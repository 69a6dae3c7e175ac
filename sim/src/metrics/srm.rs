//! Sample-ratio mismatch: whether users were first exposed to the variants in the proportions that were declared.
//!
//! Owns the declared shares of every version and the tests of what was observed against them: Pearson's chi-square without
//! correction, an [`exact`] one for small samples, and a [`sequential`] one for repeated looks. It knows nothing of users; who was
//! exposed to what is counted by `allocation`. A p-value stands in records that are equal on every machine, so it is computed from
//! the closed forms of the distribution with functions of the `libm` crate, never with a platform's own. (A crate of
//! distributions that uses the standard library's logarithms would give other last digits on another platform; statrs is the
//! second opinion of the tests.)

pub mod exact;
pub mod sequential;

use hookproof_core::experiment::Experiment;

use sequential::Sequence;

/// Below this expected number of users in an arm chi-square is no good approximation: W. G. Cochran, "Some Methods for Strengthening
/// the Common χ² Tests", Biometrics 10:417, 1954.
const EXPECTED_LEAST: f64 = 5.0;

/// A variant of one version.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    /// Its place among the names of all versions.
    arm: usize,
    /// Its weight ÷ the version's total.
    share: f64,
}

/// The variants of all versions by name, and the share that each version gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arms {
    names: Vec<String>,
    versions: Vec<Vec<Slot>>,
}

/// Users of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The variant's name.
    pub name: String,
    /// Users who were first exposed to it.
    pub exposed: u64,
    /// How many were to be expected.
    pub expected: f64,
}

/// First exposures by version and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposures(Vec<Vec<u64>>);

impl Arms {
    /// The arms of these versions. Variants of one name are one arm, whatever place they take.
    pub fn new<'e>(versions: impl IntoIterator<Item = &'e Experiment>) -> Self {
        let mut arms = Self::default();
        for experiment in versions {
            let total: u64 = experiment.variants().iter().map(|variant| u64::from(variant.weight)).sum();
            let mut slots = Vec::new();
            for variant in experiment.variants() {
                let share = f64::from(variant.weight) / total as f64;
                slots.push(Slot { arm: arms.arm(&variant.name), share });
            }
            arms.versions.push(slots);
        }
        arms
    }

    fn arm(&mut self, name: &str) -> usize {
        self.names.iter().position(|other| other == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// Nobody exposed to any of them yet.
    pub fn no_exposures(&self) -> Exposures {
        Exposures(self.versions.iter().map(|slots| vec![0; slots.len()]).collect())
    }

    /// The p-value of what was observed: each exposure is expected by the shares of the version that made it. `None` where
    /// nobody is exposed, or where only one arm could be met.
    pub fn p_value(&self, exposures: &Exposures) -> Option<f64> {
        let arms = self.met(exposures);
        let terms = arms.iter().map(|arm| {
            let difference = arm.exposed as f64 - arm.expected;
            // Where nobody is expected, one is infinitely too many.
            difference * difference / arm.expected
        });
        let degrees = u32::try_from(arms.len()).expect("a scenario declares fewer than 2^32 variants");
        (degrees > 1).then(|| chi_square_tail(terms.sum(), degrees - 1))
    }

    /// The arms that somebody met or was to meet, in the order of their first mention.
    pub fn met(&self, exposures: &Exposures) -> Vec<Arm> {
        let named = |name: &String| Arm { name: name.clone(), exposed: 0, expected: 0.0 };
        let mut arms: Vec<Arm> = self.names.iter().map(named).collect();
        for (slots, counts) in self.versions.iter().zip(&exposures.0) {
            let exposed: u64 = counts.iter().sum();
            for (slot, count) in slots.iter().zip(counts) {
                let arm = &mut arms[slot.arm];
                arm.exposed += count;
                arm.expected += exposed as f64 * slot.share;
            }
        }
        arms.retain(|arm| arm.exposed > 0 || arm.expected > 0.0);
        arms
    }

    /// The p-value of the exact test where chi-square is no good approximation. `None` where it is, where there are too many
    /// outcomes to look at, where only one arm could be met, or where exposures fell under different shares, so that they are no
    /// multinomial sample.
    pub fn exact_p_value(&self, exposures: &Exposures) -> Option<f64> {
        let arms = self.met(exposures);
        if arms.len() < 2 || arms.iter().all(|arm| arm.expected >= EXPECTED_LEAST) {
            return None;
        }
        let in_force =
            self.versions.iter().zip(&exposures.0).filter(|(_, counts)| counts.iter().any(|count| *count > 0));
        let mut shares = in_force.map(|(slots, _)| self.shares(slots));
        let first = shares.next()?;
        let counts = |name: &String| arms.iter().find(|arm| arm.name == *name).map_or(0, |arm| arm.exposed);
        let counts: Vec<u64> = self.names.iter().map(counts).collect();
        if shares.all(|other| other == first) { exact::multinomial(&counts, &first) } else { None }
    }

    /// The share of each arm, by its place among the names.
    fn shares(&self, slots: &[Slot]) -> Vec<f64> {
        let mut shares = vec![0.0; self.names.len()];
        for slot in slots {
            shares[slot.arm] += slot.share;
        }
        shares
    }

    /// A test that may be looked at after every user.
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence::new(self)
    }
}

impl Exposures {
    /// Counts a user by the version and variant of the first exposure.
    pub fn count(&mut self, version: u8, variant: u8) {
        if let Some(count) =
            self.0.get_mut(usize::from(version)).and_then(|counts| counts.get_mut(usize::from(variant)))
        {
            *count += 1;
        }
    }
}

/// The probability that chi-square with so many degrees of freedom exceeds `value`: M. Abramowitz and I. Stegun, Handbook of
/// Mathematical Functions, 1964, formulas 26.4.4 (odd) and 26.4.5 (even). All terms are positive, so nothing cancels; below
/// 10⁻³⁰⁰ the result is 0.
fn chi_square_tail(value: f64, degrees: u32) -> f64 {
    let half = value / 2.0;
    if half.is_infinite() {
        return 0.0;
    }
    // Q(x | n) = Q(x | n - 2) + e^(-x/2) (x/2)^(n/2 - 1) / Γ(n/2), from n = 1 or 2 upwards.
    let is_odd = degrees % 2 == 1;
    let (mut tail, mut term, mut order) = if is_odd {
        (libm::erfc(libm::sqrt(half)), libm::exp(-half) / libm::sqrt(core::f64::consts::PI * half), 0.5)
    } else {
        (libm::exp(-half), libm::exp(-half), 1.0)
    };
    if half > 0.0 {
        for _ in 0..(degrees - 1) / 2 {
            term *= half / order;
            tail += term;
            order += 1.0;
        }
    }
    tail.min(1.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use statrs::distribution::{ChiSquared, ContinuousCDF as _};

    use super::*;

    /// Arms of versions with these names and weights.
    pub(crate) fn arms(versions: &[&[(&str, u32)]]) -> Arms {
        let mut arms = Arms::default();
        for variants in versions {
            let total: u32 = variants.iter().map(|(_, weight)| weight).sum();
            let share = |weight: u32| f64::from(weight) / f64::from(total);
            let slots = variants.iter().map(|(name, weight)| Slot { arm: arms.arm(name), share: share(*weight) });
            let slots = slots.collect();
            arms.versions.push(slots);
        }
        arms
    }

    /// One version, half and half.
    pub(crate) fn halves() -> Arms {
        arms(&[&[("a", 1), ("b", 1)]])
    }

    #[test]
    fn an_independent_chi_square_gives_the_same() {
        for degrees in [1, 2, 3, 4, 7, 20] {
            for value in [0.01, 0.5, 1.0, 3.0, 10.0, 40.0] {
                let (found, other) =
                    (chi_square_tail(value, degrees), ChiSquared::new(degrees.into()).unwrap().sf(value));
                assert!((found - other).abs() <= 1e-9 * other, "{degrees} {value}: {found}, {other}");
            }
        }
    }

    /// Chi-square of 3 against 7 expected as 5 each is 1.6, p = 0.2059; of the exact test 2 · (1 + 10 + 45 + 120) ÷ 2¹⁰. With
    /// four users two are expected, and only the exact one is good.
    #[test]
    fn the_exact_test_stands_in_where_few_are_expected() {
        let halves = halves();
        let p_values = |counts: [u64; 2]| {
            let exposures = Exposures(vec![counts.to_vec()]);
            (halves.p_value(&exposures).unwrap(), halves.exact_p_value(&exposures))
        };
        let (chi_square, exact) = p_values([3, 7]);
        assert!((chi_square - 0.205_903).abs() < 1e-6, "{chi_square}");
        assert_eq!(exact, None, "five are expected of each");
        let (chi_square, exact) = p_values([0, 4]);
        assert!((chi_square - 0.045_500).abs() < 1e-6, "{chi_square} would be a mismatch at 0.05");
        assert!((exact.unwrap() - 0.125).abs() < 1e-12, "{exact:?}");
        assert_eq!(halves.exact_p_value(&Exposures(vec![vec![0, 0]])), None);
    }

    #[test]
    fn exposures_under_different_shares_are_no_multinomial_sample() {
        let changed = arms(&[&[("a", 1), ("b", 1)], &[("a", 9), ("b", 1)]]);
        assert!(changed.exact_p_value(&Exposures(vec![vec![1, 2], vec![0, 0]])).is_some(), "only one was in force");
        assert_eq!(changed.exact_p_value(&Exposures(vec![vec![1, 2], vec![1, 0]])), None);
        let renamed = arms(&[&[("a", 1), ("b", 1)], &[("b", 2), ("a", 2)]]);
        assert!(renamed.exact_p_value(&Exposures(vec![vec![1, 2], vec![1, 0]])).is_some(), "the shares are the same");
    }

    /// Upper quantiles of the published tables (Abramowitz and Stegun, table 26.8), to their five digits.
    #[test]
    fn the_tail_of_chi_square_is_that_of_the_tables() {
        for (degrees, value, tail) in [
            (1, 0.0, 1.0),
            (2, 0.0, 1.0),
            (3, 0.0, 1.0),
            (1, 3.84146, 0.05),
            (1, 10.8276, 0.001),
            (2, 5.99146, 0.05),
            (3, 7.81473, 0.05),
            (4, 9.48773, 0.05),
            (5, 4.35146, 0.5),
            (9, 16.9190, 0.05),
            (10, 18.3070, 0.05),
            (30, 59.7031, 0.001),
            (100, 124.342, 0.05),
        ] {
            let found = chi_square_tail(value, degrees);
            assert!((found - tail).abs() <= 2e-5 * tail, "{degrees} {value}: {found}, {tail} is right");
        }
    }

    /// With two degrees of freedom the tail is e^(-x/2).
    #[test]
    fn far_tails_are_no_rounding_error() {
        assert_eq!(chi_square_tail(1_000.0, 2).to_bits(), libm::exp(-500.0).to_bits());
        // erfc(√50) = 1.5240e-23, from the asymptotic series e^-50 / √(50 π) · (1 - 1/100 + 3/10⁴ - 15/10⁶).
        let far = chi_square_tail(100.0, 1);
        assert!((far / 1.523_97e-23 - 1.0).abs() < 1e-5, "{far}");
        assert_eq!(chi_square_tail(1e9, 1).to_bits(), 0);
        assert_eq!(chi_square_tail(f64::INFINITY, 3).to_bits(), 0);
    }
}
