//! What counts of seeds say: the upper bound of a share, and the sign test.
//!
//! Both rest on the binomial distribution. Logarithms are those of `libm`, which are the same on every machine, and results
//! are rounded to three significant digits.

use serde::{Deserialize, Serialize};

use crate::number::Number;

/// One minus the confidence.
const ALPHA: f64 = 0.05;
/// Halvings of an interval: enough for the last bit of a share.
const HALVINGS: u32 = 100;

/// Seeds by verdict, with the bound that follows from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct Verdicts {
    /// All holds.
    pub pass: u64,
    /// Something does not hold.
    pub violated: u64,
    /// Not judged.
    pub inconclusive: u64,
}

impl Verdicts {
    /// All seeds.
    pub const fn seeds(self) -> u64 {
        self.pass + self.violated + self.inconclusive
    }

    /// The seeds that were judged.
    pub const fn judged(self) -> u64 {
        self.pass + self.violated
    }

    /// With 95 % confidence at most this share of such seeds is violated; `None` if no seed was judged.
    pub fn bound_95(self) -> Option<Number> {
        upper_bound_95(self.violated, self.judged()).and_then(Number::finite)
    }
}

/// The counts in JSON, with the bound for readers.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    pass: u64,
    violated: u64,
    inconclusive: u64,
    #[serde(rename = "bound-95", default)]
    bound_95: Option<Number>,
}

impl From<Verdicts> for Stored {
    fn from(verdicts: Verdicts) -> Self {
        let Verdicts { pass, violated, inconclusive } = verdicts;
        Self { pass, violated, inconclusive, bound_95: verdicts.bound_95() }
    }
}

impl From<Stored> for Verdicts {
    fn from(Stored { pass, violated, inconclusive, .. }: Stored) -> Self {
        Self { pass, violated, inconclusive }
    }
}

/// The one-sided upper 95 % bound of a share of which `hits` in `trials` were seen; `None` without trials.
///
/// At zero it is 3/N, the rule of three (Hanley and Lippman-Hand, JAMA 249:1743, 1983), at most one. Above, it is the exact
/// one of Clopper and Pearson (Biometrika 26:404, 1934), rounded up.
pub fn upper_bound_95(hits: u64, trials: u64) -> Option<f64> {
    if trials == 0 {
        return None;
    }
    if hits == 0 {
        return Some((3.0 / trials as f64).min(1.0));
    }
    if hits >= trials {
        return Some(1.0);
    }
    let (mut low, mut high) = (hits as f64 / trials as f64, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at_most(hits, trials, middle) > ALPHA {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(three_digits_up(high).min(1.0))
}

/// The two-sided sign test: how likely it is that two hooks which are equally good differ as unevenly as this. `None` if
/// they never differ.
pub fn sign_test(lower: u64, higher: u64) -> Option<f64> {
    let trials = lower.checked_add(higher).filter(|trials| *trials > 0)?;
    let fewer = lower.min(higher);
    if trials - fewer == fewer {
        return Some(1.0);
    }
    let text = format!("{:.2e}", (2.0 * at_most(fewer, trials, 0.5)).min(1.0));
    text.parse().ok()
}

/// P(X ≤ hits) for a binomial X with this share, which is at least `hits / trials`: then the terms fall from `hits`
/// downwards, and the sum ends when they no longer matter.
fn at_most(hits: u64, trials: u64, share: f64) -> f64 {
    let (k, n) = (hits as f64, trials as f64);
    let factorials = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    let largest = libm::exp(factorials + k * libm::log(share) + (n - k) * libm::log1p(-share));
    let mut relative = 1.0;
    let mut sum = 0.0;
    let mut i = k;
    while relative > sum * 1e-18 && i >= 0.0 {
        sum += relative;
        relative *= i / (n - i + 1.0) * ((1.0 - share) / share);
        i -= 1.0;
    }
    largest * sum
}

/// Not below the value, with three significant digits.
fn three_digits_up(value: f64) -> f64 {
    let parse = |text: &str| text.parse::<f64>().expect("what was written as a number is one");
    let text = format!("{value:.2e}");
    let nearest = parse(&text);
    if nearest >= value {
        return nearest;
    }
    let (digits, power) = text.split_once('e').expect("the form has an exponent");
    let more = parse(digits) + 0.01;
    parse(&format!("{more:.2}e{power}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_zero_the_bound_is_three_by_n() {
        assert_eq!(upper_bound_95(0, 0), None);
        for (trials, bound) in [(1, 1.0), (3, 1.0), (100, 0.03), (100_000, 3e-5)] {
            assert_eq!(upper_bound_95(0, trials).map(f64::to_bits), Some(f64::to_bits(bound)), "{trials}");
        }
    }

    /// Values of the 0.95 quantile of Beta(k + 1, n − k), from tables.
    #[test]
    fn above_zero_the_bound_is_that_of_clopper_and_pearson() {
        let cases =
            [(1, 10, 0.394_163), (5, 10, 0.777_559), (1, 100, 0.046_559), (10, 1_000, 0.016_903), (9, 10, 0.994_884)];
        for (hits, trials, exact) in cases {
            let bound = upper_bound_95(hits, trials).unwrap();
            assert!(bound >= exact - 1e-6 && bound <= exact * 1.011, "{hits} of {trials}: {bound}, not {exact}");
        }
        assert_eq!(upper_bound_95(7, 7), Some(1.0));
        let large = upper_bound_95(50_000, 100_000).unwrap();
        assert!((0.5026..0.5040).contains(&large), "{large}");
    }

    #[test]
    fn the_sign_test_is_that_of_the_binomial() {
        assert_eq!(sign_test(0, 0), None);
        for (lower, higher, p) in [(0, 1, 1.0), (0, 5, 0.0625), (5, 0, 0.0625), (2, 8, 0.109), (4, 4, 1.0), (3, 4, 1.0)]
        {
            assert_eq!(sign_test(lower, higher), Some(p), "{lower} {higher}");
        }
        assert!(sign_test(0, 10_000).unwrap() < 1e-300);
    }

    #[test]
    fn rounding_up_never_goes_below() {
        for (value, text) in [(0.012_341, "0.0124"), (0.0123, "0.0123"), (9.996e-5, "0.0001"), (0.999_1, "1")] {
            assert_eq!(three_digits_up(value).to_string(), text);
        }
    }
}
