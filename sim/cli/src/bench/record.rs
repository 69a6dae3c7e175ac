//! The record of a `bench`; `docs/bench.md` explains every key.

use hookproof_live::latency::Latency;
use hookproof_live::offer::Waits;
use hookproof_reports::{ClockKind, Length, Tool};
use serde::Serialize;

/// The version of this form.
pub(super) const SCHEMA: &str = "hookproof.bench/1";

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct BenchRecord {
    pub(super) schema: String,
    pub(super) tool: Tool,
    pub(super) clock: ClockKind,
    pub(super) settings: Settings,
    pub(super) host: Host,
    pub(super) hooks: Vec<HookRecord>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) rate_per_second: f64,
    #[serde(rename = "for")]
    pub(super) length: Length,
    pub(super) warm_up: Length,
    pub(super) users: u64,
    pub(super) first_visits: f64,
    pub(super) upstream: String,
    pub(super) seed: u64,
    pub(super) max_lag: Length,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) cores: usize,
    pub(super) os: String,
}

/// One hook.
#[derive(Debug, Serialize)]
pub(super) struct HookRecord {
    pub(super) hook: String,
    /// Why the figures say little; empty if nothing speaks against them.
    pub(super) notes: Vec<String>,
    pub(super) offered_count: u64,
    pub(super) recorded_count: u64,
    pub(super) provisional_count: u64,
    pub(super) failed_count: u64,
    pub(super) offered_per_second: f64,
    pub(super) recorded_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<Visits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeated: Option<Visits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<Disk>,
}

/// Visits of one kind.
#[derive(Debug, Serialize)]
pub(super) struct Visits {
    /// From the intended start.
    pub(super) wait: Quantiles,
    /// From the call.
    pub(super) call: Quantiles,
}

impl Visits {
    /// `None` if there were none.
    pub(super) fn of(waits: &Waits) -> Option<Self> {
        Some(Self { wait: Quantiles::of(&waits.wait)?, call: Quantiles::of(&waits.call)? })
    }
}

/// The disk by itself.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    /// What the hook's commits wrote on average.
    pub(super) commit_bytes: usize,
    /// To write as much and make it durable.
    pub(super) fsync: Quantiles,
}

/// Quantiles in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) max_ns: u64,
}

impl Quantiles {
    /// `None` of nothing.
    pub(super) fn of(latency: &Latency) -> Option<Self> {
        let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let quantile = |share| latency.quantile(share).map(nanos);
        Some(Self {
            count: latency.count(),
            p50_ns: quantile(0.5)?,
            p90_ns: quantile(0.9)?,
            p99_ns: quantile(0.99)?,
            p999_ns: quantile(0.999)?,
            max_ns: latency.max().map(nanos)?,
        })
    }
}
