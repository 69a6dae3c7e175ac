//! Tables of values and what they are read as.

use std::time::Duration;

use toml::de::DeValue;

use super::*;

fn value(text: &str) -> DeValue<'_> {
    DeValue::parse(text).unwrap().into_inner()
}

fn read<T>(text: &str, parse: impl FnOnce(&DeValue<'_>) -> Result<T, Flaw>) -> Option<T> {
    parse(&value(text)).ok()
}

#[test]
fn durations_are_exact_to_the_nanosecond() {
    let cases = [
        ("\"250ms\"", Some(250_000_000)),
        ("\"1h30m\"", Some(5_400_000_000_000)),
        ("\"1.5s\"", Some(1_500_000_000)),
        ("\"0.1s\"", Some(100_000_000)),
        ("\"1w1d1h1m1s1ms1us1ns\"", Some(694_861_001_001_001)),
        ("\"3µs\"", Some(3_000)),
        ("\"007s\"", Some(7_000_000_000)),
        ("\"1.500000000000s\"", Some(1_500_000_000)),
        ("\"36525d\"", Some(3_155_760_000_000_000_000)),
        ("\"36525d1ns\"", None),
        ("\"0.0000000001s\"", None),
        ("\"1.s\"", None),
        ("\"s\"", None),
        ("\"1m1h\"", None),
        ("\"1 h\"", None),
        ("\"1S\"", None),
        ("\"-1s\"", None),
        ("\"99999999999999999999999999999999999999999999999w\"", None),
        ("90", None),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text, duration), expected.map(Duration::from_nanos), "{text}");
    }
}

#[test]
fn only_shifts_of_clocks_may_be_negative() {
    let nanos = |text| read(text, shift).map(|shift| shift.nanos);
    assert_eq!(nanos("\"-1.5s\""), Some(-1_500_000_000));
    assert_eq!(nanos("\"+2s\""), Some(2_000_000_000));
    assert_eq!(nanos("\"0s\""), None);
    assert_eq!(nanos("\"--1s\""), None);
    assert_eq!(nanos("\"+-1s\""), None);
}

#[test]
fn probabilities_are_rounded_to_parts_per_million() {
    let ppm = |text| read(text, probability).map(Probability::ppm);
    let cases = [
        ("0", Some(0)),
        ("1", Some(1_000_000)),
        ("1.0", Some(1_000_000)),
        ("0.05", Some(50_000)),
        ("0.0000014", Some(1)),
        ("0.000001", Some(1)),
        ("0.0000009", None),
        ("1.0000001", None),
        ("-0.1", None),
        ("nan", None),
        ("inf", None),
        ("\"0.5\"", None),
    ];
    for (text, expected) in cases {
        assert_eq!(ppm(text), expected, "{text}");
    }
}

#[test]
fn rates_are_a_second() {
    let cases = [
        ("\"30/s\"", Some(30.0)),
        ("\"30/m\"", Some(0.5)),
        ("\"7200/h\"", Some(2.0)),
        ("\"86400/d\"", Some(1.0)),
        ("\"0.25/s\"", Some(0.25)),
        ("\"0/s\"", Some(0.0)),
        ("\"/s\"", None),
        ("\"1/\"", None),
        ("\"1.2.3/s\"", None),
        ("\"1e9/s\"", None),
        ("\"1/s/s\"", None),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text, rate), expected, "{text}");
    }
}

#[test]
fn integers_are_no_floats_and_stay_in_range() {
    let read = |text| read(text, integer(1..=10_u32));
    assert_eq!(read("0b11"), Some(3));
    assert_eq!(read("+1_0"), Some(10));
    assert_eq!(read("1.0"), None);
    assert_eq!(read("11"), None);
    assert_eq!(read("99999999999999999999999999999999999999999"), None);
}

#[test]
fn start_is_utc_within_the_range_of_our_times() {
    let seconds = |text| read(text, start).map(|time| time.as_unix_nanos() / 1_000_000_000);
    assert_eq!(seconds("\"1970-01-01T00:00:00Z\""), Some(0));
    assert_eq!(seconds("1970-01-01T01:00:00+01:00"), Some(0));
    assert_eq!(seconds("\"2399-12-31T23:59:59Z\""), Some(13_569_465_599));
    assert_eq!(seconds("\"1969-12-31T23:59:59.5Z\""), None);
    assert_eq!(seconds("2400-01-01T00:00:00Z"), None);
    assert_eq!(seconds("2026-01-01"), None);
    assert_eq!(seconds("1767225600"), None);
}

#[test]
fn a_written_duration_reads_as_itself() {
    for nanos in [0, 1, 999, 1_500_000_000, 90_000_000_000, 694_861_001_001_001, 3_155_760_000_000_000_000] {
        let duration = Duration::from_nanos(nanos);
        assert_eq!(parse_duration(&written(duration)), Ok(duration));
    }
    assert_eq!(written(Duration::from_secs(28 * 86_400)), "28d");
}
