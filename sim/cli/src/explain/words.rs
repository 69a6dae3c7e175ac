//! Numbers, lengths and lists as they stand in a sentence.

use std::time::Duration;

use hookproof_reports::{Length, Number};

/// "a, b and c".
pub(crate) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// A length of time, or a moment from the run's origin: `"90s"`, but `"17d 2h"` rather than `"410h"`.
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 600 || duration.subsec_nanos() > 0 {
        return Length(duration).to_string();
    }
    let units = [("d", 86_400, u64::MAX), ("h", 3_600, 24), ("m", 60, 60), ("s", 1, 60)];
    let parts = units.map(|(unit, size, of)| (seconds / size % of, unit));
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    parts.collect::<Vec<_>>().join(" ")
}

/// A length that was worked out: to three digits or so.
pub(crate) fn about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let step = match seconds {
        0..10 => Duration::from_millis(10),
        10..600 => Duration::from_secs(1),
        600..36_000 => Duration::from_secs(60),
        36_000..864_000 => Duration::from_secs(3_600),
        864_000.. => Duration::from_secs(86_400),
    };
    let steps = duration.as_nanos().div_ceil(step.as_nanos());
    u32::try_from(steps).map_or_else(|_| "for ever".to_owned(), |steps| length(step * steps))
}

/// A quantity: whole from a hundred on, two significant digits or a tenth below.
pub(crate) fn amount(value: f64) -> String {
    if !value.is_finite() {
        return "without limit".to_owned();
    }
    if value >= 99.95 {
        return grouped(value);
    }
    let text = if value >= 9.995 {
        format!("{value:.1}")
    } else if value >= 0.0995 || value == 0.0 {
        format!("{value:.2}")
    } else if value >= 0.000_1 {
        format!("{value:.4}")
    } else {
        return "almost 0".to_owned();
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The whole number nearest to `value`, with commas between thousands; three digits and a power of ten from 10^15 on, where the
/// last digits of a float mean nothing.
pub(crate) fn grouped(value: f64) -> String {
    if value >= 1e15 {
        return format!("{value:.2e}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.000_05 {
        return "<0.01 %".to_owned();
    }
    format!("{} %", amount(share * 100.0))
}

/// One of something, or several.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(count as f64)) }
}

/// A value for programs, to six significant digits: more would not be stable across changes of the model's slices.
pub(crate) fn number(value: f64) -> Number {
    let rounded = format!("{value:.5e}").parse().unwrap_or(value);
    Number::finite(rounded).unwrap_or(Number::NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([999e12, 1e15, 1.537_228e18].map(grouped), ["999,000,000,000,000", "1.00e15", "1.54e18"]);
        let amounts = [0.0, 0.000_01, 0.012_34, 0.5, 2.345, 12.345, 99.96, 1_234_567.8, f64::INFINITY].map(amount);
        assert_eq!(amounts, ["0", "almost 0", "0.0123", "0.5", "2.35", "12.3", "100", "1,234,568", "without limit"]);
        assert_eq!([0.0, 0.000_01, 0.125, 1.0].map(percent), ["0 %", "<0.01 %", "12.5 %", "100 %"]);
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn long_lengths_are_sums() {
        let length = |seconds| length(Duration::from_secs(seconds));
        assert_eq!([0, 90, 1_476_000, 86_339, 604_800].map(length), ["0s", "90s", "17d 2h", "23h 58m 59s", "7d"]);
        assert_eq!(super::length(Duration::from_millis(1_500)), "1500ms");
    }

    #[test]
    fn lengths_that_were_worked_out_are_rounded_up() {
        let about = |millis: u64| about(Duration::from_millis(millis));
        assert_eq!([0, 1_234, 59_001, 700_000, 40_000_000].map(about), ["0s", "1240ms", "1m", "12m", "12h"]);
        assert_eq!(super::about(Duration::MAX), "for ever");
    }
}
