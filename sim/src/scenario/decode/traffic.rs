//! `[[traffic]]`: open arrivals and what multiplies them.
//!
//! Owns the kinds of traffic and their keys. Kinds of the scenario format that this version does not offer are known by
//! name and refused as such.

use std::time::Duration;

use super::super::{Spacing, Traffic, TrafficKind};
use super::names::Names;
use super::timing::check_ends;
use super::tree::{Flaw, Reader};
use super::units;

#[derive(Clone, Copy)]
enum Kind {
    Steady,
    Spike,
    Unsupported,
}

const KINDS: [(&str, Kind); 6] = [
    ("steady", Kind::Steady),
    ("spike", Kind::Spike),
    ("ramp", Kind::Unsupported),
    ("diurnal", Kind::Unsupported),
    ("burst", Kind::Unsupported),
    ("trace", Kind::Unsupported),
];

const STEADY_KEYS: [&str; 2] = ["rate", "spacing"];
const SPIKE_KEYS: [&str; 1] = ["factor"];

/// Reads all `[[traffic]]` of a storm that lasts `duration`.
pub(super) fn traffic(readers: Vec<Reader<'_>>, names: &mut Names, duration: Duration) -> Vec<Traffic> {
    let numbered = readers.into_iter().enumerate();
    let read = numbered.map(|(index, mut reader)| {
        let name = names.name_of(&mut reader, &format!("traffic-{}", index + 1));
        Some(Traffic { name, kind: kind(reader, duration)? })
    });
    read.collect::<Vec<_>>().into_iter().flatten().collect()
}

fn kind(mut reader: Reader<'_>, duration: Duration) -> Option<TrafficKind> {
    match reader.need("kind", "\"steady\"", units::choice("a kind of traffic", KINDS))? {
        Kind::Steady => steady(reader, duration),
        Kind::Spike => spike(reader, duration),
        Kind::Unsupported => {
            let cause = "this kind of traffic is not supported by this version";
            let remedy = "use `steady` and `spike`";
            reader.sink().flaw(&reader.place_of("kind"), Flaw::new(cause, remedy));
            None
        }
    }
}

fn steady(mut reader: Reader<'_>, duration: Duration) -> Option<TrafficKind> {
    let spacings = [("poisson", Spacing::Poisson), ("even", Spacing::Even)];
    let rate_per_second = reader.need("rate", "\"30/s\"", units::rate);
    let spacing = reader.get("spacing", units::choice("a spacing", spacings)).unwrap_or(Spacing::Poisson);
    let at = reader.get("at", units::duration).unwrap_or(Duration::ZERO);
    let length = reader.get("for", units::positive_duration).unwrap_or(duration.saturating_sub(at));
    check_ends(&reader, at, at + length, duration);
    reader.finish_with(|key| SPIKE_KEYS.contains(&key).then(|| of_another_kind(key, "spike")));
    Some(TrafficKind::Steady { rate_per_second: rate_per_second?, spacing, at, length })
}

fn spike(mut reader: Reader<'_>, duration: Duration) -> Option<TrafficKind> {
    let at = reader.need("at", "\"60s\"", units::duration);
    let length = reader.need("for", "\"30s\"", units::positive_duration);
    let factor = reader.need("factor", "2.5", units::number_in(0.0..=1e6));
    if let (Some(at), Some(length)) = (at, length) {
        check_ends(&reader, at, at + length, duration);
    }
    reader.finish_with(|key| STEADY_KEYS.contains(&key).then(|| of_another_kind(key, "steady")));
    Some(TrafficKind::Spike { at: at?, length: length?, factor: factor? })
}

fn of_another_kind(key: &str, kind: &str) -> Flaw {
    Flaw::new(format!("`{key}` is a key of `{kind}` traffic"), format!("remove it, or set `kind = \"{kind}\"`"))
}
