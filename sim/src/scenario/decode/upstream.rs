//! `[upstream]`: what is true of the quota service, and what the hook believes of it.
//!
//! Owns the keys, defaults and ranges of that table. `believed` holds the same facts; what it leaves out is believed as
//! it is.

use std::time::Duration;

use toml::de::DeValue;

use super::super::form::Form;
use super::super::{Capability, Latency, Profile, Upstream, UpstreamFacts};
use super::settings::latency;
use super::tree::{Flaw, Reader};
use super::units;

const WORKERS_MAX: u32 = 1_000_000;

const CAPABILITIES: [(&str, Capability); 4] = [
    ("put-by-id", Capability::PutById),
    ("idempotency-key", Capability::IdempotencyKey),
    ("read-back", Capability::ReadBack),
    ("none", Capability::None),
];

const PROFILES: [(&str, Profile); 5] = [
    ("strict", Profile::Strict),
    ("stripe-v1", Profile::StripeV1),
    ("only-2xx-cached", Profile::Only2xxCached),
    ("keys-ignored", Profile::KeysIgnored),
    ("no-body-compare", Profile::NoBodyCompare),
];

const FACTS: UpstreamFacts = UpstreamFacts {
    capability: Capability::IdempotencyKey,
    key_ttl: Duration::from_secs(24 * 3600),
    read_back_lag: Duration::ZERO,
    request_lifetime: Duration::from_secs(60),
};

/// Reads `[upstream]`.
pub(super) fn upstream(mut reader: Reader<'_>) -> Upstream {
    let workers = reader.get("workers", units::integer(1..=WORKERS_MAX)).unwrap_or(16);
    let service_time = service_time(&mut reader);
    let queue = match reader.node("queue").and_then(|node| node.get_ref().as_str()) {
        Some("unbounded") => None,
        Some(_) | None => reader.get("queue", count_or_unbounded),
    };
    let profile = reader.get("profile", units::choice("a profile", PROFILES)).unwrap_or(Profile::Strict);
    let require_key = reader.get("require-key", units::boolean).unwrap_or(false);
    let truth = facts(&mut reader, FACTS);
    let mut believing = reader.table("believed", "`believed` of [upstream]");
    let believed = facts(&mut believing, truth);
    believing.finish();
    reader.finish();
    Upstream { workers, service_time, queue, truth, believed, profile, require_key }
}

/// What a hook in production believes of its quota service: whether a repeated request is safe is no guess of ours.
pub(super) fn believed(reader: &mut Reader<'_>) -> UpstreamFacts {
    let _: Option<Capability> =
        reader.need("capability", "\"idempotency-key\"", units::choice("a capability", CAPABILITIES));
    facts(reader, FACTS)
}

fn facts(reader: &mut Reader<'_>, otherwise: UpstreamFacts) -> UpstreamFacts {
    let capability = reader.get("capability", units::choice("a capability", CAPABILITIES));
    UpstreamFacts {
        capability: capability.unwrap_or(otherwise.capability),
        key_ttl: reader.get("key-ttl", units::duration).unwrap_or(otherwise.key_ttl),
        read_back_lag: reader.get("read-back-lag", units::duration).unwrap_or(otherwise.read_back_lag),
        request_lifetime: reader
            .get("request-lifetime", units::positive_duration)
            .unwrap_or(otherwise.request_lifetime),
    }
}

fn service_time(reader: &mut Reader<'_>) -> Latency {
    let Some(read) = latency(reader, "service-time") else {
        return Latency::Constant(Duration::from_millis(50));
    };
    if read.value == Latency::Constant(Duration::ZERO) {
        let remedy = "write a service time longer than zero, such as \"1us\"";
        reader.sink().flaw(&read.place, Flaw::new("a service time of zero is an endless capacity", remedy));
    }
    read.value
}

fn count_or_unbounded(value: &DeValue<'_>) -> Result<u32, Flaw> {
    let remedy = "write how many requests may wait, or \"unbounded\"";
    let form = || Form::Any(vec![Form::Integer { low: 0, high: u32::MAX.into() }, Form::Word(vec!["unbounded"])]);
    units::integer(0..=u32::MAX)(value).map_err(|flaw| Flaw::new(flaw.cause, remedy).taking(form()))
}
