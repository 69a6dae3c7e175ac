//! One part of a sweep, and which seeds are its.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Part `index` of `count`, written `2/4`; parts count from 1.
///
/// Seeds are dealt like cards: shard `I/N` of `A..B` has the seeds `A + I − 1`, `A + I − 1 + N`, and so on. Each seed
/// belongs to exactly one shard, and no shard has more than one seed more than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    index: u64,
    count: u64,
}

/// The text or the numbers are no shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidShard(String);

impl fmt::Display for InvalidShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no shard: I/N with 1 <= I <= N is needed, as in 1/4 to 4/4", self.0)
    }
}

impl std::error::Error for InvalidShard {}

impl Shard {
    /// The whole.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Part `index` of `count`, from 1.
    ///
    /// # Errors
    /// There is no such part.
    pub fn new(index: u64, count: u64) -> Result<Self, InvalidShard> {
        if index == 0 || index > count {
            return Err(InvalidShard(format!("{index}/{count}")));
        }
        Ok(Self { index, count })
    }

    /// From 1.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// Number of parts.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// How many of these seeds are its.
    pub fn len(self, seeds: &Range<u64>) -> u64 {
        let all = seeds.end.saturating_sub(seeds.start);
        all / self.count + u64::from(self.index <= all % self.count)
    }

    /// Whether a seed is one of its seeds of these.
    pub fn holds(self, seeds: &Range<u64>, seed: u64) -> bool {
        seeds.contains(&seed) && (seed - seeds.start) % self.count == self.index - 1
    }

    /// Its seed number `n` of these seeds, from 0; `n` is below [`Shard::len`].
    pub fn seed(self, seeds: &Range<u64>, n: u64) -> u64 {
        let seed = seeds.start + (self.index - 1) + n * self.count;
        assert!(seed < seeds.end, "a shard has as many seeds as it says");
        seed
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let refused = || InvalidShard(format!("{text:?}"));
        let (index, count) = text.split_once('/').ok_or_else(refused)?;
        let number = |digits: &str| -> Result<u64, InvalidShard> {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or_else(refused)
        };
        Self::new(number(index)?, number(count)?)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_belongs_to_one_shard_and_shards_are_even() {
        for (from, to, count) in [(0, 10, 3), (7, 8, 1), (5, 105, 7), (u64::MAX - 9, u64::MAX, 4)] {
            let seeds = from..to;
            let shards: Vec<Shard> = (1..=count).map(|index| Shard::new(index, count).unwrap()).collect();
            let mut dealt: Vec<u64> =
                shards.iter().flat_map(|shard| (0..shard.len(&seeds)).map(|n| shard.seed(&seeds, n))).collect();
            for (one, other) in shards.iter().flat_map(|one| shards.iter().map(move |other| (one, other))) {
                assert!((0..other.len(&seeds)).all(|n| one.holds(&seeds, other.seed(&seeds, n)) == (one == other)));
            }
            dealt.sort_unstable();
            assert_eq!(dealt, seeds.clone().collect::<Vec<_>>());
            let sizes = || shards.iter().map(|shard| shard.len(&seeds));
            assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
        for text in ["", "2", "0/4", "5/4", "1/0", "+1/4", "1/ 4", "a/b", "1/99999999999999999999", "-1/4", "1/4/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
