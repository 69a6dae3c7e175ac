//! The tables with one value a key: `[quota]`, `[users]`, `[caller]`, `[fleet]`, `[store]`, `[hardened]`.
//!
//! Owns their keys, defaults and ranges. A table that is missing reads as an empty one, so each default stands once.

use std::time::Duration;

use super::super::form::Form;
use super::super::{
    Authority, Caller, Fleet, Hardened, Latency, Probability, Quota, Restart, RestartMode, StoreSettings, Users, Visits,
};
use super::tree::{Flaw, Placed, Reader};
use super::units::{self, written};

/// The most instances of a fleet.
pub(super) const INSTANCES_MAX: u16 = 1_000;

/// Scheduled restarts of one run.
const RESTARTS_MAX: u128 = 100_000;

const POPULATION_MAX: u32 = 4_000_000_000;

/// Reads `[quota]`.
pub(super) fn quota(mut reader: Reader<'_>) -> Quota {
    let unit = reader.get("unit", units::filled_text).unwrap_or_else(|| "units".to_owned());
    let base = reader.get("base", units::integer(0..=u32::MAX)).unwrap_or(100);
    let hard_limit = reader.placed("hard-limit", units::integer(1..=u32::MAX));
    let price_per_unit_month = reader.get("price-per-unit-month", units::number_in(0.0..=1e12)).unwrap_or(0.0);
    let utilisation = reader.get("utilisation", units::number_in(0.0..=1.0)).unwrap_or(1.0);
    if let Some(limit) = hard_limit.as_ref().filter(|limit| limit.value < base) {
        let cause = format!("`hard-limit` {} is below `base` {base}", limit.value);
        reader.sink().flaw(&limit.place, Flaw::new(cause, "raise `hard-limit` or lower `base`"));
    }
    reader.finish();
    Quota { unit, base, hard_limit: hard_limit.map(|limit| limit.value), price_per_unit_month, utilisation }
}

/// Reads `[users]`, if it is there and whole.
pub(super) fn users(mut reader: Reader<'_>) -> Option<Users> {
    let population = reader.need("population", "20_000", units::integer(1..=POPULATION_MAX));
    let has_visits = reader.has("visits");
    let visits = visits(reader.table("visits", "`visits` of [users]"));
    reader.finish();
    if has_visits && visits.is_none() {
        return None;
    }
    Some(Users { population: population?, visits })
}

fn visits(mut reader: Reader<'_>) -> Option<Visits> {
    let mean = reader.need("mean", "1.9", units::number_in(1e-9..=1e9));
    let per = reader.need("per", "\"28d\"", units::positive_duration);
    let shape = reader.get("shape", units::number_in(1e-3..=1e6));
    reader.finish();
    Some(Visits { mean: mean?, per: per?, shape })
}

/// Reads `[caller]`.
pub(super) fn caller(mut reader: Reader<'_>) -> Caller {
    let deadline = reader.get("deadline", units::positive_duration).unwrap_or(Duration::from_secs(5));
    let retries = match reader.node("retries").and_then(|node| node.get_ref().as_str()) {
        Some("unlimited") => None,
        Some(_) | None => Some(reader.get("retries", count_or_unlimited).unwrap_or(0)),
    };
    let mut pause = reader.table("pause", "`pause` of [caller]");
    let pause_from = pause.placed("from", units::duration);
    let pause_to = pause.placed("to", units::duration);
    pause.finish();
    let from = pause_from.as_ref().map_or(Duration::from_millis(500), |from| from.value);
    let to = pause_to.as_ref().map_or(Duration::from_millis(1500), |to| to.value);
    if from > to {
        let cause = format!("the pause goes from {} to {}", written(from), written(to));
        reader.sink().flaw(&reader.place_of("pause"), Flaw::new(cause, "let `from` be at most `to`"));
    } else if to.is_zero() && retries.is_none() {
        let remedy = "let `to` be longer than zero, or limit `retries`";
        let flaw = Flaw::new("unlimited retries without a pause would let no time pass", remedy);
        reader.sink().flaw(&reader.place_of("pause"), flaw);
    }
    let give_up = reader.get("give-up", units::probability).unwrap_or(Probability::ZERO);
    reader.finish();
    Caller { deadline, retries, pause_from: from, pause_to: to, give_up }
}

fn count_or_unlimited(value: &toml::de::DeValue<'_>) -> Result<u32, Flaw> {
    let remedy = "write a number of retries, or \"unlimited\"";
    let form = || Form::Any(vec![Form::Integer { low: 0, high: u32::MAX.into() }, Form::Word(vec!["unlimited"])]);
    units::integer(0..=u32::MAX)(value).map_err(|flaw| Flaw::new(flaw.cause, remedy).taking(form()))
}

/// Reads `[fleet]`.
pub(super) fn fleet(mut reader: Reader<'_>, duration: Duration) -> Fleet {
    // A number that is wrong reads as the largest, so that no name in `on` is refused for it.
    let otherwise = if reader.has("instances") { INSTANCES_MAX } else { 1 };
    let instances = reader.get("instances", units::integer(1..=INSTANCES_MAX));
    let restart = restart(reader.table("restart", "`restart` of [fleet]"), instances.unwrap_or(1), duration);
    reader.finish();
    Fleet { instances: instances.unwrap_or(otherwise), restart }
}

fn restart(mut reader: Reader<'_>, instances: u16, duration: Duration) -> Option<Restart> {
    let modes = [("all-at-once", RestartMode::AllAtOnce), ("rolling", RestartMode::Rolling)];
    let every = reader.need_placed("every", "\"7d\"", units::positive_duration);
    let mode = reader.get("mode", units::choice("a restart mode", modes)).unwrap_or(RestartMode::AllAtOnce);
    let downtime = reader.get("downtime", units::duration).unwrap_or(Duration::from_secs(2));
    reader.finish();
    let every = every?;
    check_restarts_fit(&reader, &every, downtime * rounds(mode, instances), duration);
    Some(Restart { every: every.value, mode, downtime })
}

/// How many downtimes a restart of the whole fleet takes.
const fn rounds(mode: RestartMode, instances: u16) -> u32 {
    match mode {
        RestartMode::AllAtOnce => 1,
        RestartMode::Rolling => instances as u32,
    }
}

fn check_restarts_fit(reader: &Reader<'_>, every: &Placed<Duration>, length: Duration, duration: Duration) {
    if length >= every.value {
        let cause = format!("a restart of the fleet takes {}, not less than `every`", written(length));
        reader.sink().flaw(&every.place, Flaw::new(cause, "lengthen `every` or shorten `downtime`"));
    }
    if duration.as_nanos() / every.value.as_nanos() > RESTARTS_MAX {
        let cause = format!("the fleet would restart more than {RESTARTS_MAX} times");
        reader.sink().flaw(&every.place, Flaw::new(cause, "lengthen `every`"));
    }
}

const AUTHORITIES: [(&str, Authority); 2] = [("one", Authority::One), ("per-instance", Authority::PerInstance)];

/// Reads `[store]`.
pub(super) fn store(mut reader: Reader<'_>) -> StoreSettings {
    let latency = latency(&mut reader, "latency").map(|latency| latency.value);
    let settings = StoreSettings {
        latency: latency.unwrap_or(Latency::Constant(Duration::from_millis(1))),
        latency_commit: reader.get("latency-commit", units::duration).unwrap_or(Duration::from_millis(4)),
        clock_error: reader.get("clock-error", units::duration).unwrap_or(Duration::from_millis(500)),
        authority: reader.get("authority", units::choice("an authority", AUTHORITIES)).unwrap_or(Authority::One),
    };
    reader.finish();
    settings
}

#[derive(Clone, Copy)]
enum Distribution {
    Constant,
    Exponential,
    Lognormal,
}

/// Reads a distribution of durations: a table, or a string for a constant.
pub(super) fn latency(parent: &mut Reader<'_>, key: &'static str) -> Option<Placed<Latency>> {
    parent.takes(key, Form::Latency);
    let node = parent.node(key)?;
    if node.get_ref().as_table().is_none() {
        let constant = parent.placed(key, units::duration)?;
        return Some(Placed { value: Latency::Constant(constant.value), place: constant.place });
    }
    let name = format!("`{key}` of {}", parent.name());
    let mut reader = parent.table(key, name);
    let names = [
        ("constant", Distribution::Constant),
        ("exponential", Distribution::Exponential),
        ("lognormal", Distribution::Lognormal),
    ];
    let distribution = match reader.node("distribution") {
        Some(_) => reader.get("distribution", units::choice("a distribution", names))?,
        None if reader.has("p50") || reader.has("p99") => Distribution::Lognormal,
        None => Distribution::Constant,
    };
    let latency = distributed(&mut reader, distribution);
    reader.finish_with(|key| match key {
        "mean" => Some(Flaw::new("`mean` is not a key of a lognormal distribution", "write `p50` and `p99`")),
        "p50" | "p99" => {
            let remedy = "add `distribution = \"lognormal\"`, or write `mean`";
            Some(Flaw::new(format!("`{key}` is a key of a lognormal distribution only"), remedy))
        }
        _ => None,
    });
    Some(Placed { value: latency?, place: node.span() })
}

fn distributed(reader: &mut Reader<'_>, distribution: Distribution) -> Option<Latency> {
    match distribution {
        Distribution::Constant => Some(Latency::Constant(reader.need("mean", "\"50ms\"", units::duration)?)),
        Distribution::Exponential => {
            Some(Latency::Exponential { mean: reader.need("mean", "\"50ms\"", units::positive_duration)? })
        }
        Distribution::Lognormal => {
            let p50 = reader.need("p50", "\"1ms\"", units::positive_duration);
            let p99 = reader.need_placed("p99", "\"8ms\"", units::positive_duration);
            let (p50, p99) = (p50?, p99?);
            if p99.value < p50 {
                let cause = format!("`p99` {} is below `p50` {}", written(p99.value), written(p50));
                reader.sink().flaw(&p99.place, Flaw::new(cause, "let `p99` be at least `p50`"));
            }
            Some(Latency::Lognormal { p50, p99: p99.value })
        }
    }
}

/// Reads `[hardened]`.
pub(super) fn hardened(mut reader: Reader<'_>) -> Hardened {
    let settings = Hardened {
        max_in_flight: reader.get("max-in-flight", units::integer(1..=u32::from(u16::MAX))),
        lease: reader.get("lease", units::positive_duration),
        connect_timeout: reader.get("connect-timeout", units::positive_duration),
        attempt_timeout: reader.get("attempt-timeout", units::positive_duration),
        backoff_base: reader.get("backoff-base", units::positive_duration),
        backoff_cap: reader.get("backoff-cap", units::positive_duration),
        retry_after_cap: reader.get("retry-after-cap", units::positive_duration),
        retry_budget: reader.get("retry-budget", units::integer(0..=u32::MAX)),
        breaker_window: reader.get("breaker-window", units::positive_duration),
        breaker_min_calls: reader.get("breaker-min-calls", units::integer(1..=u32::MAX)),
        breaker_failure_ratio: reader.get("breaker-failure-ratio", units::probability),
        breaker_open: reader.get("breaker-open", units::positive_duration),
        breaker_open_cap: reader.get("breaker-open-cap", units::positive_duration),
        effects_per_minute: reader.get("effects-per-minute", units::integer(1..=u32::MAX)),
        store_patience: reader.get("store-patience", units::positive_duration),
        commit_batch: reader.get("commit-batch", units::integer(1..=u32::from(u16::MAX))),
    };
    check_cap(&reader, ("backoff-base", settings.backoff_base), ("backoff-cap", settings.backoff_cap));
    check_cap(&reader, ("breaker-open", settings.breaker_open), ("breaker-open-cap", settings.breaker_open_cap));
    reader.finish();
    settings
}

type Named<'k> = (&'k str, Option<Duration>);

fn check_cap(reader: &Reader<'_>, (base_key, base): Named<'_>, (cap_key, cap): Named<'_>) {
    if let (Some(base), Some(cap)) = (base, cap)
        && cap < base
    {
        let cause = format!("`{cap_key}` {} is below `{base_key}` {}", written(cap), written(base));
        reader.sink().flaw(&reader.place_of(cap_key), Flaw::new(cause, format!("raise `{cap_key}`")));
    }
}
