//! A length of time, or a moment as the time since the run's origin, written for people and read back without loss.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Units from the largest, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// A single unit is kept for up to four digits.
const SINGLE_BELOW: u128 = 10_000;

/// A [`Duration`] as text.
///
/// Written with the largest unit that divides it, if its number then has at most four digits (`"17d"`, `"90s"`,
/// `"1500ms"`, `"0s"`); otherwise as a sum, largest unit first, parts of zero left out (`"17d 2h 250ms"`). Units are `d`,
/// `h`, `m`, `s`, `ms`, `us`, `ns`. The sum of the parts is the duration to the nanosecond, and equal durations have
/// equal text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(pub Duration);

/// The text is no length of time: a number and a unit are needed, as in `"90s"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLength(String);

impl fmt::Display for InvalidLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no length of time, such as \"90s\" or \"17d 2h 250ms\"", self.0)
    }
}

impl std::error::Error for InvalidLength {}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let single = UNITS.iter().find(|(_, size)| nanos.is_multiple_of(*size));
        if let Some((unit, size)) = single.filter(|(_, size)| nanos / size < SINGLE_BELOW) {
            return write!(f, "{}{unit}", nanos / size);
        }
        let mut rest = nanos;
        let mut gap = "";
        for (unit, size) in UNITS.iter().filter(|(_, size)| nanos >= *size) {
            if rest >= *size {
                write!(f, "{gap}{}{unit}", rest / size)?;
                gap = " ";
            }
            rest %= size;
        }
        Ok(())
    }
}

impl FromStr for Length {
    type Err = InvalidLength;

    fn from_str(text: &str) -> Result<Self, InvalidLength> {
        let refused = || InvalidLength(text.to_owned());
        let mut total: u128 = 0;
        let mut parts = 0;
        for part in text.split(' ') {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = part.split_at(digits);
            let number: u64 = number.parse().map_err(|_| refused())?;
            let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
            total = total.checked_add(u128::from(number) * size).ok_or_else(refused)?;
            parts += 1;
        }
        let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| refused())?;
        let nanos = u32::try_from(total % 1_000_000_000).map_err(|_| refused())?;
        if parts == 0 { Err(refused()) } else { Ok(Self(Duration::new(seconds, nanos))) }
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_short_and_reads_back_to_the_nanosecond() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(17 * 86_400), "17d"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_secs(7_200), "2h"),
            (Duration::from_millis(1500), "1500ms"),
            (Duration::from_secs(86_399), "23h 59m 59s"),
            (Duration::new(1_476_003, 250_000_007), "17d 2h 3s 250ms 7ns"),
            (Duration::new(0, 12_345), "12us 345ns"),
            (Duration::MAX, "213503982334601d 7h 15s 999ms 999us 999ns"),
        ];
        for (duration, text) in cases {
            assert_eq!(Length(duration).to_string(), text);
            assert_eq!(text.parse(), Ok(Length(duration)));
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "90", "s", "-1s", "1.5s", "1 s", "2w", "1s ", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(text.parse::<Length>().is_err(), "{text:?}");
        }
    }
}
