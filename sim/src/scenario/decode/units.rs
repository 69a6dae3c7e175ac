//! Single values: from a TOML value to a typed one, or the cause and remedy.
//!
//! Pure leaves. Each function takes one value and knows neither its key nor its place. Numbers of durations are exact:
//! no float is involved, and what is finer than a nanosecond is refused rather than rounded.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use hookproof_core::time::WallTime;
use toml::de::DeValue;

use super::super::form::Form;
use super::super::{ClockShift, Probability};
use super::tree::Flaw;
use super::words::{clip, list, nearest};

/// The longest duration: 100 years of 365.25 days.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// Units of durations in nanoseconds, longest first.
const UNITS: [(&str, u128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Arrivals a second; nothing can offer more.
const RATE_MAX: f64 = 1e9;

const TEXT_BYTES_MAX: usize = 10_000;

/// What a value is, in plain words.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", clip(text)),
        DeValue::Integer(integer) => format!("the integer {}", clip(&integer.to_string())),
        DeValue::Float(float) => format!("the float {}", clip(float.as_str())),
        DeValue::Boolean(boolean) => format!("the boolean {boolean}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn expected(what: &str, value: &DeValue<'_>, remedy: &str) -> Flaw {
    Flaw::new(format!("expected {what}, found {}", found(value)), remedy)
}

/// A string.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, Flaw> {
    let refused = || expected("a string", value, "put it in double quotes").taking(Form::Text);
    let text = value.as_str().ok_or_else(refused)?;
    if text.len() > TEXT_BYTES_MAX {
        let cause = format!("a string of {} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        return Err(Flaw::new(cause, "shorten it"));
    }
    Ok(text.to_owned())
}

/// A string that is not empty.
pub(super) fn filled_text(value: &DeValue<'_>) -> Result<String, Flaw> {
    let text = text(value).map_err(|flaw| flaw.taking(Form::FilledText))?;
    if text.trim().is_empty() { Err(Flaw::new("the string is empty", "write something in it")) } else { Ok(text) }
}

/// A name that can be referred to.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, Flaw> {
    let text = filled_text(value).map_err(|flaw| flaw.taking(Form::Name))?;
    if text.len() > 100 || text.chars().any(char::is_control) || text.trim() != text {
        let cause = format!("\"{}\" can't be a name", clip(&text));
        return Err(Flaw::new(cause, "use at most 100 bytes without control characters or spaces at the ends"));
    }
    Ok(text)
}

/// A version: a string or an integer, kept as text.
pub(super) fn version(value: &DeValue<'_>) -> Result<String, Flaw> {
    if value.is_integer() {
        let number: i64 = integer(i64::MIN..=i64::MAX)(value)?;
        return Ok(number.to_string());
    }
    let remedy = "write the version as an integer or a string";
    value.as_str().ok_or_else(|| expected("an integer or a string", value, remedy).taking(Form::Version))?;
    filled_text(value)
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Flaw> {
    value.as_bool().ok_or_else(|| expected("true or false", value, "write `true` or `false`, without quotes"))
}

/// An array of at most `count_max` strings, each with its index.
pub(super) fn texts(count_max: usize) -> impl Fn(&DeValue<'_>) -> Result<Vec<String>, Flaw> {
    move |value| {
        let remedy = "write it as `[\"…\", \"…\"]`";
        let form = || Form::List(Box::new(Form::Text), count_max);
        let array = value.as_array().ok_or_else(|| expected("an array of strings", value, remedy).taking(form()))?;
        if array.len() > count_max {
            let cause = format!("an array of {} entries; at most {count_max} make sense", array.len());
            return Err(Flaw::new(cause, "shorten it"));
        }
        array.iter().map(|entry| text(entry.get_ref())).collect()
    }
}

/// An integer in `range`.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, Flaw>
where
    T: Copy + Display + PartialOrd + TryFrom<i128> + Into<i128>,
{
    move |value| {
        let (low, high) = (range.start(), range.end());
        let remedy = format!("write an integer from {low} to {high}");
        let Some(integer) = value.as_integer() else {
            let form = Form::Integer { low: (*low).into(), high: (*high).into() };
            return Err(expected("an integer", value, &remedy).taking(form));
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(expected(&format!("an integer from {low} to {high}"), value, &remedy)),
        }
    }
}

/// A finite number, integer or float.
pub(super) fn number(value: &DeValue<'_>) -> Result<f64, Flaw> {
    let remedy = "write a number such as 1.5, without quotes";
    let text = match value {
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().to_owned(),
        DeValue::Integer(_)
        | DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            let form = Form::Number { low: f64::NEG_INFINITY, high: f64::INFINITY };
            return Err(expected("a number", value, remedy).taking(form));
        }
    };
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(expected("a finite number", value, remedy)),
    }
}

/// A number in `range`.
pub(super) fn number_in(range: RangeInclusive<f64>) -> impl Fn(&DeValue<'_>) -> Result<f64, Flaw> {
    move |value| {
        let form = Form::Number { low: *range.start(), high: *range.end() };
        let number = number(value).map_err(|flaw| flaw.taking(form))?;
        if range.contains(&number) {
            return Ok(number);
        }
        let what = format!("a number from {} to {}", range.start(), range.end());
        Err(expected(&what, value, &format!("write {what}")))
    }
}

/// A probability, rounded to parts per million.
pub(super) fn probability(value: &DeValue<'_>) -> Result<Probability, Flaw> {
    let remedy = "write a number from 0 to 1, such as 0.05";
    let refused = |flaw: Flaw| Flaw::new(flaw.cause, remedy).taking(Form::Probability);
    let share = number_in(0.0..=1.0)(value).map_err(refused)?;
    if share > 0.0 && share < 1e-6 {
        let cause = format!("{} is finer than one in a million", found(value));
        return Err(Flaw::new(cause, "write 0, or at least 0.000001"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0..=1,000,000 by the check above"
    )]
    let ppm = (share * 1e6).round() as u32;
    Probability::from_ppm(ppm).ok_or_else(|| expected("a probability", value, remedy))
}

/// A duration of zero or more.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Flaw> {
    let text = duration_text(value)?;
    if text.starts_with('-') {
        let cause = format!("\"{}\" is negative", clip(text));
        return Err(Flaw::new(cause, "write a duration of zero or more; only `by` of a clock fault may be negative"));
    }
    parse_duration(text)
}

/// A duration longer than zero.
pub(super) fn positive_duration(value: &DeValue<'_>) -> Result<Duration, Flaw> {
    let duration = duration(value).map_err(|flaw| flaw.taking(Form::PositiveDuration))?;
    if duration.is_zero() {
        return Err(Flaw::new("the duration is zero", "write a duration longer than zero, such as \"30s\""));
    }
    Ok(duration)
}

/// What a clock is moved by: a duration that may be negative, but not zero.
pub(super) fn shift(value: &DeValue<'_>) -> Result<ClockShift, Flaw> {
    let text = duration_text(value).map_err(|flaw| flaw.taking(Form::Shift))?;
    let (size, is_back) = match text.strip_prefix('-') {
        Some(size) => (size, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let size = parse_duration(size)?;
    let nanos = i64::try_from(size.as_nanos()).unwrap_or(i64::MAX);
    if nanos == 0 {
        return Err(Flaw::new("the clock is moved by nothing", "write a duration such as \"30s\" or \"-30s\""));
    }
    Ok(ClockShift { nanos: if is_back { -nanos } else { nanos } })
}

fn duration_text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Flaw> {
    let number = match value {
        DeValue::String(text) => return Ok(text),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => String::new(),
    };
    // What is proposed is taken: no exponent, no `nan`, nothing that would be too long or too fine.
    let in_seconds = format!("{}s", number.strip_prefix('-').unwrap_or(&number));
    if parse_duration(&in_seconds).is_err() {
        let flaw = expected("a duration", value, "write a string with a unit, such as \"90s\" or \"1h30m\"");
        return Err(flaw.taking(Form::Duration));
    }
    let number = clip(&number);
    Err(Flaw::new(
        format!("a duration needs a unit, found the bare number {number}"),
        format!("write a string with a unit: \"{number}s\" if seconds are meant"),
    ))
}

/// Parses `1h30m`, `1.5s`, `250ms`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Flaw> {
    let malformed = || {
        let cause = format!("\"{}\" is not a duration", clip(text));
        Flaw::new(
            cause,
            "write numbers with units, longest first, without spaces, such as \"250ms\", \"1.5s\", \"1h30m\"",
        )
    };
    let too_long = || Flaw::new(format!("\"{}\" is longer than 100 years", clip(text)), "write at most \"36525d\"");

    let too_fine = || Flaw::new(format!("\"{}\" is finer than a nanosecond", clip(text)), "write fewer decimals");

    let (mut rest, mut total, mut units_left) = (text, 0_u128, UNITS.as_slice());
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);

        if number.is_empty() {
            return Err(malformed());
        }
        let unit_index = unit_index(unit, units_left).ok_or_else(|| unit_flaw(text, unit).unwrap_or_else(malformed))?;
        let nanos_per_unit = units_left[unit_index].1;
        let (whole, part) = decimal(number).ok_or_else(malformed)?;
        let nanos = scaled(whole, part, nanos_per_unit).ok_or_else(too_fine)?;
        total = total.checked_add(nanos).filter(|&sum| sum <= DURATION_MAX.as_nanos()).ok_or_else(too_long)?;
        units_left = &units_left[unit_index + 1..];
        rest = after;
    }
    if text.is_empty() {
        return Err(malformed());
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| too_long())
}

fn unit_index(unit: &str, units: &[(&str, u128)]) -> Option<usize> {
    let unit = if unit == "µs" || unit == "μs" { "us" } else { unit };
    units.iter().position(|(name, _)| *name == unit)
}

/// Why `unit` is no unit at all; nothing if it only stands in the wrong order.
fn unit_flaw(text: &str, unit: &str) -> Option<Flaw> {
    if unit_index(unit, &UNITS).is_some() || text.contains(char::is_whitespace) {
        return None;
    }
    if matches!(unit, "e" | "E" | "e-" | "E-" | "e+" | "E+") {
        let cause = format!("\"{}\" has an exponent", clip(text));
        return Some(Flaw::new(cause, "write the number in full, or in another unit"));
    }
    let cause = match unit {
        "" => format!("\"{}\" has a number without a unit", clip(text)),
        unit => format!("`{}` in \"{}\" is not a unit of time", clip(unit), clip(text)),
    };
    Some(Flaw::new(cause, format!("the units are {}", list(UNITS.iter().rev().map(|(name, _)| *name), "and"))))
}

/// Whole part and decimals of an unsigned number such as `12` or `1.5`. Too large a whole part saturates.
fn decimal(number: &str) -> Option<(u128, &str)> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    Some((whole.parse().unwrap_or(u128::MAX), decimals.trim_end_matches('0')))
}

/// `whole.decimals` times `scale`, if that is a whole number.
fn scaled(whole: u128, decimals: &str, scale: u128) -> Option<u128> {
    let denominator = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let numerator = if decimals.is_empty() { 0 } else { decimals.parse::<u128>().ok()? };
    let part = numerator.checked_mul(scale)?;
    let is_whole = part % denominator == 0;
    is_whole.then(|| whole.saturating_mul(scale).saturating_add(part / denominator))
}

/// A rate such as "30/s", in arrivals a second.
pub(super) fn rate(value: &DeValue<'_>) -> Result<f64, Flaw> {
    let remedy = "write a number per unit of time, such as \"30/s\", \"5/m\", \"2/h\" or \"100/d\"";
    let text = value.as_str().ok_or_else(|| expected("a rate", value, remedy).taking(Form::Rate))?;
    let malformed = || Flaw::new(format!("\"{}\" is not a rate", clip(text)), remedy);
    let (count, unit) = text.split_once('/').ok_or_else(malformed)?;
    if !count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(malformed());
    }
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(malformed()),
    };
    let rate = count.parse::<f64>().map_err(|_| malformed())? / seconds;
    if rate <= RATE_MAX {
        return Ok(rate);
    }
    Err(Flaw::new(format!("\"{}\" is more than a thousand million a second", clip(text)), "write a smaller rate"))
}

/// A UTC time of the years 1970 to 2399.
pub(super) fn start(value: &DeValue<'_>) -> Result<WallTime, Flaw> {
    let remedy = "write a time with an offset, such as \"2026-03-01T00:00:00Z\"";
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(expected("an RFC 3339 time", value, remedy).taking(Form::Moment));
        }
    };
    let malformed = || Flaw::new(format!("\"{}\" is not an RFC 3339 time", clip(&text)), remedy);
    let time: jiff::Timestamp =
        if text.len() > 40 { return Err(malformed()) } else { text.parse().map_err(|_| malformed())? };
    let is_in_range = (0..YEAR_2400_SECONDS).contains(&time.as_second()) && time.as_nanosecond() >= 0;
    let nanos = u64::try_from(time.as_nanosecond()).ok().filter(|_| is_in_range);
    let outside = || Flaw::new(format!("\"{}\" lies outside the years 1970 to 2399", clip(&text)), remedy);
    nanos.map(WallTime::from_unix_nanos).ok_or_else(outside)
}

/// 2400-01-01T00:00:00Z.
const YEAR_2400_SECONDS: i64 = 13_569_465_600;

/// One of a closed set of words; `what` names the set in messages.
pub(super) fn choice<T: Copy, const N: usize>(
    what: &'static str,
    words: [(&'static str, T); N],
) -> impl Fn(&DeValue<'_>) -> Result<T, Flaw> {
    move |value| {
        let names = || words.iter().map(|(name, _)| *name);
        let quoted: Vec<_> = names().map(|name| format!("\"{name}\"")).collect();
        let all = format!("write one of {}", quoted.join(", "));
        let form = || Form::Word(names().collect());
        let word = value.as_str().ok_or_else(|| expected(what, value, &all).taking(form()))?;
        if let Some((_, chosen)) = words.iter().find(|(name, _)| *name == word) {
            return Ok(*chosen);
        }
        Err(Flaw::new(format!("\"{}\" is not {what}", clip(word)), meant(word, names(), &all)))
    }
}

/// The same parser, of which more is known than it says itself.
pub(super) fn taking<T>(
    form: Form,
    parse: impl Fn(&DeValue<'_>) -> Result<T, Flaw>,
) -> impl Fn(&DeValue<'_>) -> Result<T, Flaw> {
    move |value| parse(value).map_err(|flaw| flaw.taking(form.clone()))
}

/// "did you mean …?", or `otherwise`.
pub(super) fn meant<'n>(word: &str, names: impl IntoIterator<Item = &'n str>, otherwise: &str) -> String {
    nearest(word, names).map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
}

/// A duration as it is written in a scenario file.
pub(super) fn written(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanos) in UNITS.into_iter().filter(|(unit, _)| *unit != "w") {
        if rest >= nanos {
            text += &(rest / nanos).to_string();
            text += unit;
            rest %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
