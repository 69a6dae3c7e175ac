//! The distribution of a metric over seeds: exact under merging, bounded in size.
//!
//! * `SWEEP-1`: adding and merging are commutative and associative to the byte. Nothing depends on the order in which seeds
//!   arrive: counts are integers, the sum is one of integers, minima and maxima are what they are.
//! * Up to [`DISTINCT_MAX`] distinct values are kept as they are; beyond, every value is rounded to three significant
//!   digits (an error of at most 0.5 %). Whether that happened follows from the set of all values alone: it has more than
//!   so many members, or it has not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::number::Number;

/// Distinct values that are kept without rounding.
const DISTINCT_MAX: usize = 256;
/// A value's part in the sum is rounded to one billionth …
const NANO: f64 = 1e9;
/// … and cut at this many billionths, so that no sum over [`SEEDS_MAX`] seeds leaves 128 bits.
const NANO_MAX: f64 = 1e25;
/// Above any value's part in the sum.
const NANO_ABOVE: u128 = 2 * 10_u128.pow(25);
/// More than any sweep has; what a file says beyond it is damage.
const SEEDS_MAX: u64 = 1 << 40;

/// How often a metric had which value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Distribution {
    absent: u64,
    never: u64,
    /// Finite values and how often each was seen.
    values: BTreeMap<Number, u64>,
    is_rounded: bool,
    /// The smallest and largest finite value, never rounded.
    ends: Option<(Number, Number)>,
    sum_nano: i128,
}

impl Distribution {
    /// Of this many seeds without a value.
    pub fn of_absent(seeds: u64) -> Self {
        Self { absent: seeds, ..Self::default() }
    }

    /// Counts one seed's value; `None` if the seed has none.
    pub fn add(&mut self, value: Option<Number>) {
        let Some(number) = value else {
            self.absent += 1;
            return;
        };
        if number == Number::NEVER {
            self.never += 1;
            return;
        }
        self.sum_nano += nano(number);
        self.stretch(number, number);
        self.count(number, 1);
        self.round_if_many();
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.absent += other.absent;
        self.never += other.never;
        self.sum_nano += other.sum_nano;
        if let Some((low, high)) = other.ends {
            self.stretch(low, high);
        }
        if other.is_rounded {
            self.round();
        }
        for (value, count) in &other.values {
            self.count(*value, *count);
        }
        self.round_if_many();
    }

    fn stretch(&mut self, low: Number, high: Number) {
        let (least, most) = self.ends.unwrap_or((low, high));
        self.ends = Some((least.min(low), most.max(high)));
    }

    fn count(&mut self, value: Number, count: u64) {
        let key = if self.is_rounded { rounded(value) } else { value };
        *self.values.entry(key).or_default() += count;
    }

    fn round_if_many(&mut self) {
        if self.values.len() > DISTINCT_MAX {
            self.round();
        }
    }

    fn round(&mut self) {
        if !self.is_rounded {
            self.is_rounded = true;
            for (value, count) in std::mem::take(&mut self.values) {
                self.count(value, count);
            }
        }
    }

    /// Seeds with a value, "never" included.
    pub fn present(&self) -> u64 {
        self.never + self.finite()
    }

    /// Seeds without a value.
    pub const fn absent(&self) -> u64 {
        self.absent
    }

    fn finite(&self) -> u64 {
        self.values.values().sum()
    }

    /// The value of which at least this share (in parts per million) of the seeds is not above: nearest rank. Never is the
    /// largest. `None` if no seed has a value.
    pub fn quantile(&self, ppm: u64) -> Option<Number> {
        let present = u128::from(self.present());
        let rank = (present * u128::from(ppm)).div_ceil(1_000_000).max(1);
        if present == 0 {
            return None;
        }
        let (low, high) = self.ends.unwrap_or((Number::NEVER, Number::NEVER));
        let mut below: u128 = 0;
        for (value, count) in &self.values {
            below += u128::from(*count);
            if below >= rank {
                return Some((*value).clamp(low, high));
            }
        }
        Some(Number::NEVER)
    }

    /// The smallest value.
    pub fn min(&self) -> Option<Number> {
        self.ends.map(|(low, _)| low).or((self.never > 0).then_some(Number::NEVER))
    }

    /// The largest value.
    pub fn max(&self) -> Option<Number> {
        if self.never > 0 { Some(Number::NEVER) } else { self.ends.map(|(_, high)| high) }
    }

    /// The mean; `None` if there is no value or one is never.
    pub fn mean(&self) -> Option<Number> {
        let count = self.finite();
        if count == 0 || self.never > 0 {
            return None;
        }
        Number::finite(self.sum_nano as f64 / NANO / count as f64)
    }

    /// The one value of all seeds that have one; `None` if they differ.
    pub fn constant(&self) -> Option<Number> {
        self.min().filter(|min| Some(*min) == self.max())
    }
}

/// A finite value's part in the sum.
fn nano(number: Number) -> i128 {
    let finite = number.value().expect("never is counted apart");
    #[expect(clippy::cast_possible_truncation, reason = "clamped to what an i128 holds with ease")]
    let nano = (finite * NANO).round().clamp(-NANO_MAX, NANO_MAX) as i128;
    nano
}

/// Three significant decimal digits.
fn rounded(value: Number) -> Number {
    let finite = value.value().expect("never is counted apart");
    let text = format!("{finite:.2e}");
    let short: f64 = text.parse().expect("what was written as a number is one");
    // Only the largest numbers of all round up to infinity.
    Number::finite(short).unwrap_or(value)
}

/// A distribution in JSON. What can be worked out from the rest is there for readers; it is not read back.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    present: u64,
    absent: u64,
    never: u64,
    min: Option<Number>,
    p10: Option<Number>,
    median: Option<Number>,
    p90: Option<Number>,
    p99: Option<Number>,
    max: Option<Number>,
    mean: Option<Number>,
    #[serde(rename = "finite-min")]
    finite_min: Option<Number>,
    #[serde(rename = "finite-max")]
    finite_max: Option<Number>,
    /// In billionths, as text: 128 bits.
    #[serde(rename = "sum-nano")]
    sum_nano: String,
    rounded: bool,
    values: Vec<Number>,
    counts: Vec<u64>,
}

impl From<Distribution> for Stored {
    fn from(distribution: Distribution) -> Self {
        Self {
            present: distribution.present(),
            absent: distribution.absent,
            never: distribution.never,
            min: distribution.min(),
            p10: distribution.quantile(100_000),
            median: distribution.quantile(500_000),
            p90: distribution.quantile(900_000),
            p99: distribution.quantile(990_000),
            max: distribution.max(),
            mean: distribution.mean(),
            finite_min: distribution.ends.map(|(low, _)| low),
            finite_max: distribution.ends.map(|(_, high)| high),
            sum_nano: distribution.sum_nano.to_string(),
            rounded: distribution.is_rounded,
            counts: distribution.values.values().copied().collect(),
            values: distribution.values.into_keys().collect(),
        }
    }
}

impl TryFrom<Stored> for Distribution {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let refused = |what: &str| format!("a distribution's {what}");
        let Stored { present, absent, never, finite_min, finite_max, rounded, values, counts, .. } = stored;
        if values.len() != counts.len() || !values.is_sorted_by(|a, b| a < b) || values.contains(&Number::NEVER) {
            return Err(refused("values and counts do not belong together"));
        }
        let total = counts.iter().try_fold(never, |sum, count| sum.checked_add(*count));
        if total != Some(present) || present.max(absent) > SEEDS_MAX || counts.contains(&0) {
            return Err(refused("counts do not add up to the seeds with a value"));
        }
        let ends = match (finite_min, finite_max) {
            (Some(low), Some(high)) if low <= high && high < Number::NEVER && !values.is_empty() => Some((low, high)),
            (None, None) if values.is_empty() => None,
            _ => return Err(refused("finite-min and finite-max do not fit its values")),
        };
        let sum_nano: i128 = stored.sum_nano.parse().map_err(|_| refused("sum-nano is no whole number"))?;
        if sum_nano.unsigned_abs() > NANO_ABOVE * u128::from(present) {
            return Err(refused("sum-nano is out of range"));
        }
        let values: BTreeMap<Number, u64> = values.into_iter().zip(counts).collect();
        let kept = |value: Number| if rounded { self::rounded(value) } else { value };
        let lowest_and_highest = values.keys().next().copied().zip(values.keys().next_back().copied());
        if lowest_and_highest != ends.map(|(low, high)| (kept(low), kept(high)))
            || values.keys().any(|key| kept(*key) != *key)
        {
            return Err(refused("values are not those between finite-min and finite-max"));
        }
        let sum: i128 = values.iter().map(|(value, count)| nano(*value) * i128::from(*count)).sum();
        if !rounded && (sum != sum_nano || values.len() > DISTINCT_MAX) {
            return Err(refused("sum-nano is not the sum of its values"));
        }
        Ok(Self { absent, never, values, is_rounded: rounded, ends, sum_nano })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[Option<f64>]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(value.map(|value| Number::finite(value).unwrap_or(Number::NEVER)));
        }
        distribution
    }

    fn shown(number: Option<Number>) -> String {
        number.map_or_else(|| "-".to_owned(), |number| number.to_string())
    }

    #[test]
    fn quantiles_are_nearest_rank_and_never_is_the_largest() {
        let hundred: Vec<Option<f64>> = (1..=100).map(|n| Some(f64::from(n))).collect();
        let distribution = of(&hundred);
        let found = [0, 500_000, 990_000, 1_000_000].map(|ppm| shown(distribution.quantile(ppm)));
        assert_eq!(found, ["1", "50", "99", "100"]);
        assert_eq!(shown(distribution.mean()), "50.5");
        let never = of(&[Some(2.0), Some(f64::INFINITY), None]);
        let found = [never.min(), never.quantile(500_000), never.quantile(990_000), never.max(), never.mean()];
        assert_eq!(found.map(shown), ["2", "2", "never", "never", "-"]);
        assert_eq!((never.present(), never.absent()), (2, 1));
        assert_eq!(of(&[None]).quantile(500_000), None);
    }

    #[test]
    fn many_values_are_rounded_to_three_digits_but_the_ends_are_not() {
        let distribution = of(&(0..2_000).map(|n| Some(1_000.5 + f64::from(n))).collect::<Vec<_>>());
        assert_eq!(shown(distribution.min()), "1000.5");
        assert_eq!(shown(distribution.max()), "2999.5");
        assert_eq!(shown(distribution.mean()), "2000");
        let median = distribution.quantile(500_000).and_then(Number::value).unwrap();
        assert!((median / 2_000.0 - 1.0).abs() <= 0.005, "{median}");
        assert!(distribution.values.len() < 300, "{}", distribution.values.len());
    }

    #[test]
    fn a_constant_is_one_value_in_every_seed_that_has_one() {
        assert_eq!(shown(of(&[Some(3.0), Some(3.0), None]).constant()), "3");
        assert_eq!(shown(of(&[Some(f64::INFINITY)]).constant()), "never");
        assert_eq!(of(&[Some(3.0), Some(4.0)]).constant(), None);
        assert_eq!(of(&[Some(3.0), Some(f64::INFINITY)]).constant(), None);
        assert_eq!(of(&[None]).constant(), None);
    }

    #[test]
    fn a_damaged_distribution_is_refused() {
        let json = serde_json::to_string(&of(&[Some(1.0), Some(2.0), None])).unwrap();
        assert!(serde_json::from_str::<Distribution>(&json).is_ok());
        let damages = [
            ("\"counts\":[1,1]", "\"counts\":[1,2]"),
            ("\"counts\":[1,1]", "\"counts\":[2]"),
            ("\"values\":[1,2]", "\"values\":[2,1]"),
            ("\"finite-max\":2", "\"finite-max\":null"),
            ("3000000000", "three"),
            ("3000000000", "3000000001"),
            ("\"finite-min\":1", "\"finite-min\":0.5"),
            ("\"values\":[1,2]", "\"values\":[1,2.5]"),
        ];
        for (from, to) in damages {
            let damaged = json.replace(from, to);
            assert_ne!(damaged, json, "{from}");
            assert!(serde_json::from_str::<Distribution>(&damaged).is_err(), "{to}");
        }
    }

    fn values() -> impl Strategy<Value = Vec<Option<f64>>> {
        let value = prop_oneof![
            4 => (0_u32..400).prop_map(|n| Some(f64::from(n))),
            4 => (-1e6_f64..1e6).prop_map(Some),
            1 => prop::num::f64::NORMAL.prop_map(Some),
            1 => Just(Some(f64::INFINITY)),
            1 => Just(None),
        ];
        prop::collection::vec(value, 0..500)
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative_and_equals_counting_at_once(
            a in values(), b in values(), c in values(),
        ) {
            let all = of(&[a.clone(), b.clone(), c.clone()].concat());
            let (a, b, c) = (of(&a), of(&b), of(&c));
            let merged = |parts: [&Distribution; 3]| {
                let mut sum = Distribution::default();
                for part in parts {
                    sum.merge(part);
                }
                sum
            };
            let mut right = b.clone();
            right.merge(&c);
            let mut nested = a.clone();
            nested.merge(&right);
            for other in [merged([&a, &b, &c]), merged([&c, &a, &b]), merged([&b, &c, &a]), nested] {
                prop_assert_eq!(&other, &all);
            }
            let json = serde_json::to_string(&all).unwrap();
            let read: Distribution = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
    }
}
