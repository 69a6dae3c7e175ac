//! Sample-ratio mismatch: whether users were first exposed to the variants in the proportions that were declared.
//!
//! Owns the declared shares of every version and the test of what was observed against them: Pearson's chi-square without
//! correction. It knows nothing of users; who was exposed to what is counted by `allocation`. A p-value stands in records that
//! are equal on every machine, so it is computed from the closed forms of the distribution with functions of the `libm`
//! crate, never with a platform's own.

use hookproof_core::experiment::Experiment;

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
        let mut arms = vec![(0_u64, 0.0_f64); self.names.len()];
        for (slots, counts) in self.versions.iter().zip(&exposures.0) {
            let exposed: u64 = counts.iter().sum();
            for (slot, count) in slots.iter().zip(counts) {
                let (observed, expected) = &mut arms[slot.arm];
                *observed += count;
                *expected += exposed as f64 * slot.share;
            }
        }
        let met = |(observed, expected): &&(u64, f64)| *observed > 0 || *expected > 0.0;
        let terms = arms.iter().filter(met).map(|(observed, expected)| {
            let difference = *observed as f64 - expected;
            // Where nobody is expected, one is infinitely too many.
            difference * difference / expected
        });
        let degrees = u32::try_from(terms.clone().count()).expect("a scenario declares fewer than 2^32 variants");
        (degrees > 1).then(|| chi_square_tail(terms.sum(), degrees - 1))
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
mod tests {
    use super::*;

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
