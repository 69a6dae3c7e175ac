//! `[[traffic]]`: open arrivals and what multiplies them.
//!
//! Owns the kinds of traffic and their keys, and the choice of users. What a trace's file must look like is `trace`'s.

use std::time::Duration;

use super::super::{Popularity, Probability, Rhythm, Selection, Spacing, Traffic, TrafficKind};
use super::names::Names;
use super::timing::check_ends;
use super::trace::{Files, trace};
use super::tree::{Flaw, Reader};
use super::units::{self, written};
use super::words::list;

#[derive(Clone, Copy)]
enum Kind {
    Steady,
    Ramp,
    Burst,
    Diurnal,
    Trace,
    Spike,
}

const KINDS: [(&str, Kind); 6] = [
    ("steady", Kind::Steady),
    ("spike", Kind::Spike),
    ("ramp", Kind::Ramp),
    ("diurnal", Kind::Diurnal),
    ("burst", Kind::Burst),
    ("trace", Kind::Trace),
];

/// The names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|(name, _)| name)
}

/// Which kinds have a key that not all have.
const KEYS: [(&str, &[&str]); 16] = [
    ("rate", &["steady", "burst", "diurnal"]),
    ("spacing", &["steady", "ramp", "burst", "diurnal", "trace"]),
    ("users", &["steady", "ramp", "burst", "diurnal", "trace"]),
    ("from", &["ramp"]),
    ("to", &["ramp"]),
    ("idle-rate", &["burst"]),
    ("length", &["burst"]),
    ("every", &["burst"]),
    ("rhythm", &["burst"]),
    ("peak", &["diurnal"]),
    ("peak-at", &["diurnal"]),
    ("period", &["diurnal"]),
    ("file", &["trace"]),
    ("scale", &["trace"]),
    ("speed", &["trace"]),
    ("factor", &["spike"]),
];

/// Bursts of one traffic.
const BURSTS_MAX: f64 = 10_000.0;

/// What a trace may be scaled by, and by how much it may be sped up.
const MULTIPLES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// The most arrivals of a traffic that are kept in mind for those who return.
const RECENT_MAX: u32 = 1_000_000;

/// What traffic is read with.
pub(super) struct Frame<'f, 'r> {
    /// The storm's length.
    pub(super) duration: Duration,
    /// Whether the file has `[users]`.
    pub(super) has_users: bool,
    /// Where traces are read.
    pub(super) files: &'f mut Files<'r>,
}

/// Reads all `[[traffic]]`.
pub(super) fn traffic(readers: Vec<Reader<'_>>, names: &mut Names, frame: &mut Frame<'_, '_>) -> Vec<Traffic> {
    let mut all = Vec::new();
    for (index, mut reader) in readers.into_iter().enumerate() {
        let name = names.name_of(&mut reader, &format!("traffic-{}", index + 1));
        all.extend(one(reader, name, frame));
    }
    all
}

fn one(mut reader: Reader<'_>, name: String, frame: &mut Frame<'_, '_>) -> Option<Traffic> {
    let chosen = reader.need("kind", "\"steady\"", units::choice("a kind of traffic", KINDS))?;
    let (kind, selection) = match chosen {
        Kind::Spike => (spike(&mut reader, frame.duration), Selection::UNIFORM),
        Kind::Steady | Kind::Ramp | Kind::Burst | Kind::Diurnal | Kind::Trace => {
            let selection = selection(reader.table("users", "`users` of [[traffic]]"), frame.has_users);
            let spacings = [("poisson", Spacing::Poisson), ("even", Spacing::Even)];
            let spacing = reader.get("spacing", units::choice("a spacing", spacings)).unwrap_or(Spacing::Poisson);
            (open(&mut reader, chosen, spacing, frame), selection)
        }
    };
    reader.finish_with(of_another_kind);
    Some(Traffic { name, kind: kind?, selection })
}

fn of_another_kind(key: &str) -> Option<Flaw> {
    let (_, kinds) = KEYS.iter().find(|(known, _)| *known == key)?;
    let cause = format!("`{key}` is a key of {} traffic", list(kinds.iter().copied(), "and"));
    Some(Flaw::new(cause, format!("remove it, or set `kind = \"{}\"`", kinds[0])))
}

/// Reads traffic with arrivals of its own.
fn open(reader: &mut Reader<'_>, kind: Kind, spacing: Spacing, frame: &mut Frame<'_, '_>) -> Option<TrafficKind> {
    let at = reader.get("at", units::duration).unwrap_or(Duration::ZERO);
    let given = reader.get("for", units::positive_duration);
    let length = given.unwrap_or(frame.duration.saturating_sub(at));
    if !matches!(kind, Kind::Trace) {
        check_ends(reader, at, at + length, frame.duration);
    }
    match kind {
        Kind::Spike => None,
        Kind::Steady => {
            let rate_per_second = reader.need("rate", "\"30/s\"", units::rate)?;
            Some(TrafficKind::Steady { rate_per_second, spacing, at, length })
        }
        Kind::Ramp => {
            let from = reader.need("from", "\"0/s\"", units::rate);
            let to = reader.need("to", "\"60/s\"", units::rate);
            Some(TrafficKind::Ramp { from_per_second: from?, to_per_second: to?, spacing, at, length })
        }
        Kind::Burst => burst(reader, spacing, at, length),
        Kind::Diurnal => diurnal(reader, spacing, at, length),
        Kind::Trace => recorded(reader, spacing, at, given, frame),
    }
}

fn burst(reader: &mut Reader<'_>, spacing: Spacing, at: Duration, length: Duration) -> Option<TrafficKind> {
    let rate = reader.need("rate", "\"100/s\"", units::rate);
    let idle_per_second = reader.get("idle-rate", units::rate).unwrap_or(0.0);
    let burst = reader.need_placed("length", "\"5s\"", units::positive_duration);
    let every = reader.need_placed("every", "\"1m\"", units::positive_duration);
    let rhythms = [("regular", Rhythm::Regular), ("random", Rhythm::Random)];
    let rhythm = reader.get("rhythm", units::choice("a rhythm", rhythms)).unwrap_or(Rhythm::Regular);
    let (burst, every) = (burst?, every?);
    if burst.value > every.value {
        let cause = format!("a burst of {} is longer than `every` {}", written(burst.value), written(every.value));
        reader.sink().flaw(&burst.place, Flaw::new(cause, "shorten the bursts, or lengthen `every`"));
        return None;
    }
    if length.as_secs_f64() / every.value.as_secs_f64() > BURSTS_MAX {
        let cause = format!("there would be more than {BURSTS_MAX} bursts");
        reader.sink().flaw(&every.place, Flaw::new(cause, "lengthen `every`, or shorten the traffic with `for`"));
        return None;
    }
    Some(TrafficKind::Burst {
        rate_per_second: rate?,
        idle_per_second,
        burst: burst.value,
        every: every.value,
        rhythm,
        spacing,
        at,
        length,
    })
}

fn diurnal(reader: &mut Reader<'_>, spacing: Spacing, at: Duration, length: Duration) -> Option<TrafficKind> {
    let rate = reader.need("rate", "\"30/s\"", units::rate);
    let peak = reader.need_placed("peak", "\"50/s\"", units::rate);
    let period = reader.get("period", units::positive_duration).unwrap_or(Duration::from_secs(86_400));
    let peak_at = reader.get("peak-at", units::duration).unwrap_or(period / 2);
    let (rate, peak) = (rate?, peak?);
    // Rates of a minute or an hour are rounded to a second's.
    if !(rate..=2.0 * rate * (1.0 + 1e-12)).contains(&peak.value) {
        let cause = "`peak` is not between `rate` and twice that";
        let remedy = "`rate` is the mean over a period: the rate swings as far below it as above, and can't be less than nothing";
        reader.sink().flaw(&peak.place, Flaw::new(cause, remedy));
        return None;
    }
    let (rate_per_second, peak_per_second) = (rate, peak.value);
    Some(TrafficKind::Diurnal { rate_per_second, peak_per_second, period, peak_at, spacing, at, length })
}

fn recorded(
    reader: &mut Reader<'_>,
    spacing: Spacing,
    at: Duration,
    given: Option<Duration>,
    frame: &mut Frame<'_, '_>,
) -> Option<TrafficKind> {
    let scale = reader.get("scale", units::number_in(MULTIPLES)).unwrap_or(1.0);
    let speed = reader.placed("speed", units::number_in(MULTIPLES));
    let trace = trace(reader, frame.files)?;
    let place = speed.as_ref().map_or_else(|| reader.place_of("file"), |speed| speed.place.clone());
    let speed = speed.map_or(1.0, |speed| speed.value);
    let played = |offset: u64| crate::traffic::played(offset, speed);
    if trace.shortest_ns() as f64 / speed < 1e3 {
        let cause = "at this speed an interval of the trace is shorter than a microsecond";
        reader.sink().flaw(&place, Flaw::new(cause, "lower `speed`, or merge the trace's rows"));
        return None;
    }
    let whole = Duration::from_nanos(played(hookproof_core::time::nanos(trace.length())));
    let length = given.unwrap_or(whole);
    if length > whole {
        let cause = format!("the trace is over after {}", written(whole));
        reader.sink().flaw(&reader.place_of("for"), Flaw::new(cause, "shorten `for`, or lower `speed`"));
    }
    if given.is_none() && at < frame.duration && at + length > frame.duration {
        let cause =
            format!("the trace ends at {}, after the storm of {}", written(at + length), written(frame.duration));
        let remedy = "play a part of it with `for`, raise `speed`, or lengthen the scenario's `duration`";
        reader.sink().flaw(&reader.place_of("file"), Flaw::new(cause, remedy));
    } else {
        check_ends(reader, at, at + length, frame.duration);
    }
    Some(TrafficKind::Trace { trace, scale, speed, spacing, at, length })
}

fn spike(reader: &mut Reader<'_>, duration: Duration) -> Option<TrafficKind> {
    let at = reader.need("at", "\"60s\"", units::duration);
    let length = reader.need("for", "\"30s\"", units::positive_duration);
    let factor = reader.need("factor", "2.5", units::number_in(0.0..=1e6));
    if let (Some(at), Some(length)) = (at, length) {
        check_ends(reader, at, at + length, duration);
    }
    Some(TrafficKind::Spike { at: at?, length: length?, factor: factor? })
}

/// Reads `users`: who arrives.
fn selection(mut reader: Reader<'_>, has_users: bool) -> Selection {
    let hot = reader.placed("hot", units::probability);
    let arrivals = match &hot {
        Some(_) => reader.need("hot-arrivals", "0.5", units::probability),
        None => reader.get("hot-arrivals", units::probability),
    };
    let zipf = reader.placed("zipf", units::number_in(0.01..=10.0));
    let returning = reader.get("returning", units::probability).unwrap_or(Probability::ZERO);
    let recent = reader.get("recent", units::integer(1..=RECENT_MAX)).unwrap_or(Selection::RECENT);
    for key in ["hot", "zipf"].into_iter().filter(|key| reader.has(key) && !has_users) {
        let cause = format!("`{key}` chooses among [users], and there are none");
        let remedy = "add `[users]` with a `population`, or let users come again with `returning`";
        reader.sink().flaw(&reader.place_of(key), Flaw::new(cause, remedy));
    }
    if reader.has("hot") && reader.has("zipf") {
        let flaw = Flaw::new("`hot` and `zipf` both say who is popular", "remove one of the two");
        reader.sink().flaw(&reader.place_of("zipf"), flaw);
    }
    for (key, other) in [("hot-arrivals", "hot"), ("recent", "returning")] {
        if reader.has(key) && !reader.has(other) {
            let flaw =
                Flaw::new(format!("`{key}` means nothing without `{other}`"), format!("add `{other}`, or remove it"));
            reader.sink().flaw(&reader.place_of(key), flaw);
        }
    }
    reader.finish();
    let popularity = match (zipf, hot, arrivals) {
        (Some(exponent), _, _) => Popularity::Zipf { exponent: exponent.value },
        (None, Some(users), Some(arrivals)) => Popularity::Hot { users: users.value, arrivals },
        (None, _, _) => Popularity::Uniform,
    };
    Selection { popularity, returning, recent }
}
