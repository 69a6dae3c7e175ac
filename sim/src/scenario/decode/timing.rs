//! When a fault happens: `at`, `for`, `every`.
//!
//! Owns the rule that everything ends within the storm, repetitions too, and that the stretches of one fault do not
//! overlap.
//!
//! * `TIMING-1`: a decoded fault has at most [`REPETITIONS_MAX`] stretches, all inside the storm, none overlapping.

use std::time::Duration;

use toml::de::DeValue;

use super::super::Placement;
use super::super::form::{Form, Need};
use super::tree::{Flaw, Placed, Reader};
use super::units::{self, written};

/// Stretches of one repeated fault.
const REPETITIONS_MAX: u128 = 10_000;

/// How long a kind of fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// For `for`, which is needed.
    Interval,
    /// A point in time; `for` is refused.
    Point,
    /// A point, or with `when` a stretch in which it may hit; without `for` until the storm's end.
    Crash,
    /// A roll-out over `for`; without it as long as one downtime of each instance after another.
    RollOut,
}

/// When a fault starts, how long it lasts, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) at: Duration,
    pub(super) placement: Placement,
    pub(super) length: Duration,
    pub(super) every: Option<Duration>,
}

/// What the timing of a fault depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) shape: Shape,
    /// Whether the fault waits for a moment (`when`).
    pub(super) waits: bool,
    /// How long one hit lasts by itself.
    pub(super) downtime: Duration,
    /// Length of a roll-out without `for`.
    pub(super) roll_out: Duration,
}

/// Reads `at`, `for` and `every` of a fault in a storm that lasts `duration`.
pub(super) fn timing(reader: &mut Reader<'_>, extent: Extent, duration: Duration) -> Option<Timing> {
    let every = reader.placed("every", units::positive_duration);
    let start = first_start(reader, every.as_ref());
    let length = length(reader, extent, every.is_some());
    let ((at, placement), length) = (start?, length?);

    let busy = if extent.shape == Shape::Crash && !extent.waits { extent.downtime } else { length };
    let last_at = match &every {
        Some(every) => check_repetitions(reader, every, at, busy, duration)?,
        None => at,
    };
    match placement {
        Placement::Fixed => check_ends(reader, last_at, last_at + busy, duration),
        // The seed places it so that it ends within the storm, if there is such a place.
        Placement::Random => check_ends(reader, Duration::ZERO, busy, duration),
    }
    Some(Timing { at, placement, length, every: every.map(|every| every.value) })
}

/// The first start, zero if the seed decides.
fn first_start(reader: &mut Reader<'_>, every: Option<&Placed<Duration>>) -> Option<(Duration, Placement)> {
    reader.needs(Need::Some(&["at", "every"]));
    if let Some(node) = reader.node("at") {
        if is_random(node.get_ref()) {
            return Some((Duration::ZERO, Placement::Random));
        }
        let form = Form::Any(vec![Form::Duration, Form::Word(vec!["random"])]);
        return Some((reader.get("at", units::taking(form, units::duration))?, Placement::Fixed));
    }
    if every.is_none() && !reader.has("every") {
        let cause = format!("`at` is missing in {}", reader.name());
        let remedy = "add `at = \"2m\"` or `at = \"random\"`, or `every = \"10m\"` to repeat it";
        reader.sink().gap(reader.place(), Flaw::new(cause, remedy));
    }
    every.map(|every| (every.value, Placement::Fixed))
}

/// Whether an `at` leaves the start to the seed.
pub(super) fn is_random(at: &DeValue<'_>) -> bool {
    matches!(at, DeValue::String(text) if text == "random")
}

fn length(reader: &mut Reader<'_>, extent: Extent, repeats: bool) -> Option<Duration> {
    match (extent.shape, extent.waits) {
        (Shape::Interval, _) => reader.need("for", "\"90s\"", units::positive_duration),
        (Shape::RollOut, _) => match reader.node("for") {
            Some(_) => reader.get("for", units::duration),
            None => Some(extent.roll_out),
        },
        (Shape::Crash, true) if repeats => reader.need("for", "\"90s\"", units::positive_duration),
        (Shape::Crash, true) => match reader.node("for") {
            Some(_) => reader.get("for", units::positive_duration),
            None => Some(Duration::ZERO),
        },
        (Shape::Point | Shape::Crash, _) => {
            refuse_for(reader, extent.shape);
            Some(Duration::ZERO)
        }
    }
}

fn refuse_for(reader: &mut Reader<'_>, shape: Shape) {
    let remedy = match shape {
        Shape::Crash => "remove `for`: `downtime` says how long the process is away; with `when`, `for` is allowed",
        Shape::Point | Shape::Interval | Shape::RollOut => "remove `for`; `every` repeats it",
    };
    if let Some(node) = reader.node("for") {
        let cause = format!("`for` means nothing in {}, a point in time", reader.name());
        reader.sink().flaw(&node.span(), Flaw::new(cause, remedy));
    }
}

/// Checks how the stretches of a repeated fault lie, and gives the start of the last one.
fn check_repetitions(
    reader: &Reader<'_>,
    every: &Placed<Duration>,
    at: Duration,
    busy: Duration,
    duration: Duration,
) -> Option<Duration> {
    let period = every.value.as_nanos();
    let repetitions = duration.saturating_sub(at).as_nanos().saturating_sub(1) / period;
    if repetitions >= REPETITIONS_MAX {
        let cause = format!("the fault would repeat more than {REPETITIONS_MAX} times");
        reader.sink().flaw(&every.place, Flaw::new(cause, "lengthen `every`, or use one fault with a `probability`"));
        return None;
    }
    if busy > every.value {
        let cause = format!("the fault lasts {}, longer than `every`, so that it would overlap itself", written(busy));
        reader.sink().flaw(&every.place, Flaw::new(cause, "lengthen `every` or shorten the fault"));
        return None;
    }
    Some(at + every.value * u32::try_from(repetitions).ok()?)
}

/// Checks that the last stretch `[start, end)` of an entry lies within the storm.
pub(super) fn check_ends(reader: &Reader<'_>, start: Duration, end: Duration, duration: Duration) {
    if start >= duration {
        let cause = format!("it starts at {}, not within the storm of {}", written(start), written(duration));
        let place = reader.place_of("at");
        reader.sink().flaw(&place, Flaw::new(cause, "start it earlier, or lengthen the scenario's `duration`"));
    } else if end > duration {
        let cause = format!("it ends at {}, after the storm of {}", written(end), written(duration));
        let place = ["for", "downtime", "every", "at"].into_iter().find(|key| reader.has(key));
        let remedy = "shorten it, start it earlier, or lengthen the scenario's `duration`";
        reader.sink().flaw(&reader.place_of(place.unwrap_or("at")), Flaw::new(cause, remedy));
    }
}
