//! A metric's value: a finite number, or never.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

const NEVER: &str = "never";
/// Below it every integer has its own `f64`.
const INTEGERS_EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// A finite number, or "never": an event that did not come, which exceeds every limit.
///
/// In JSON a number with an integral value below 2^53 is written as an integer (`1`, not `1.0`), any other as the
/// shortest decimal that reads back as the same `f64`; never is the string `"never"`.
#[derive(Clone, Copy, Debug)]
pub struct Number(f64);

impl Number {
    /// It never happened.
    pub const NEVER: Self = Self(f64::INFINITY);

    /// A finite number; `None` for an infinite one and for what is no number.
    pub fn finite(value: f64) -> Option<Self> {
        // Minus zero is zero, so that equal numbers have equal bytes.
        value.is_finite().then_some(Self(if value == 0.0 { 0.0 } else { value }))
    }

    /// The number; `None` if it is never.
    pub fn value(self) -> Option<f64> {
        self.0.is_finite().then_some(self.0)
    }

    fn integer(self) -> Option<i64> {
        if self.0.abs() < INTEGERS_EXACT_BELOW && self.0.fract() == 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53, compared just above")]
            let integer = self.0 as i64;
            return Some(integer);
        }
        None
    }
}

impl From<u32> for Number {
    fn from(count: u32) -> Self {
        Self(f64::from(count))
    }
}

impl Ord for Number {
    /// By size; never is the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "{value}"),
            None => f.write_str(NEVER),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value(), self.integer()) {
            (None, _) => serializer.serialize_str(NEVER),
            (Some(_), Some(integer)) => serializer.serialize_i64(integer),
            (Some(value), None) => serializer.serialize_f64(value),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or \"never\"")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
        Number::finite(value).ok_or_else(|| E::custom("a number is finite"))
    }

    #[expect(clippy::cast_precision_loss, reason = "a record's integers are written below 2^53")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
        self.visit_f64(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a record's integers are written below 2^53")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        if text == NEVER { Ok(Number::NEVER) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_shortest_and_read_back_equal() {
        let cases = [
            (1.0, "1"),
            (-0.0, "0"),
            (-3.0, "-3"),
            (0.1, "0.1"),
            (2.4, "2.4"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1e300, "1e+300"),
        ];
        for (value, text) in cases {
            let number = Number::finite(value).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
            assert_eq!(serde_json::from_str::<Number>(text).unwrap(), number);
        }
    }

    #[test]
    fn never_is_a_word_and_the_largest() {
        assert_eq!(serde_json::to_string(&Number::NEVER).unwrap(), "\"never\"");
        assert_eq!(serde_json::from_str::<Number>("\"never\"").unwrap(), Number::NEVER);
        assert!(Number::NEVER > Number::finite(f64::MAX).unwrap());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Number::finite(f64::NAN), None);
        assert_eq!(Number::finite(f64::INFINITY), None);
        for text in ["\"soon\"", "null", "true", "[1]", "1e999"] {
            assert!(serde_json::from_str::<Number>(text).is_err(), "{text}");
        }
    }
}
