//! The kinds of `[[fault]]`, one row each: its name, how long it lasts, its keys, and how they are read.
//!
//! Owns the table [`KINDS`]. A kind's keys stand beside its reader so that a key which belongs to another kind can be
//! named as such.

use std::time::Duration;

use super::super::{FaultKind, Moment, OutageMode};
use super::experiment;
use super::fault::Frame;
use super::timing::Shape;
use super::tree::Reader;
use super::units;

/// Reads the parameters of one kind; nothing if one of them is wrong or missing.
type Read = fn(&mut Reader<'_>, &Frame<'_>) -> Option<FaultKind>;

/// One kind of fault.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) reach: Reach,
    pub(super) keys: &'static [&'static str],
    pub(super) read: Read,
}

/// What `on` can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Clocks, processes, or what single instances send and ask.
    Targets,
    /// Nothing: it happens to the service or the store as a whole.
    Whole,
}

const DOWNTIME: Duration = Duration::from_secs(2);

const MOMENTS: [(&str, Moment); 3] =
    [("claimed", Moment::Claimed), ("sent", Moment::Sent), ("applied", Moment::Applied)];

const OUTAGES: [(&str, OutageMode); 4] = [
    ("refused", OutageMode::Refused),
    ("503", OutageMode::Unavailable),
    ("401", OutageMode::Unauthorised),
    ("hang", OutageMode::Hang),
];

const fn interval(name: &'static str, keys: &'static [&'static str], read: Read) -> Kind {
    Kind { name, shape: Shape::Interval, reach: Reach::Targets, keys, read }
}

const fn point(name: &'static str, keys: &'static [&'static str], read: Read) -> Kind {
    Kind { name, shape: Shape::Point, reach: Reach::Targets, keys, read }
}

/// The same, of the service or store as a whole.
const fn whole(kind: Kind) -> Kind {
    Kind { reach: Reach::Whole, ..kind }
}

/// All kinds.
pub(super) const KINDS: [Kind; 34] = [
    interval("clock.offset", &["by"], |reader, _| {
        Some(FaultKind::ClockOffset { by: reader.need("by", "\"-30s\"", units::shift)? })
    }),
    interval("clock.drift", &["ppm"], |reader, _| {
        Some(FaultKind::ClockDrift { ppm: reader.need("ppm", "200", units::integer(-999_999..=1_000_000))? })
    }),
    point("clock.step", &["by"], |reader, _| {
        Some(FaultKind::ClockStep { by: reader.need("by", "\"-30s\"", units::shift)? })
    }),
    interval("clock.freeze", &[], |_, _| Some(FaultKind::ClockFreeze)),
    interval("clock.strobe", &["by", "period"], |reader, _| {
        let by = reader.need("by", "\"-30s\"", units::shift);
        let period = reader.need("period", "\"1s\"", units::positive_duration);
        Some(FaultKind::ClockStrobe { by: by?, period: period? })
    }),
    Kind {
        name: "process.crash",
        shape: Shape::Crash,
        reach: Reach::Targets,
        keys: &["downtime", "when"],
        read: |reader, _| Some(FaultKind::ProcessCrash { downtime: downtime(reader), when: when(reader) }),
    },
    interval("process.pause", &["when"], |reader, _| Some(FaultKind::ProcessPause { when: when(reader) })),
    Kind {
        name: "process.rolling-restart",
        shape: Shape::RollOut,
        reach: Reach::Targets,
        keys: &["downtime"],
        read: |reader, _| Some(FaultKind::ProcessRollingRestart { downtime: downtime(reader) }),
    },
    Kind {
        name: "process.deploy",
        shape: Shape::RollOut,
        reach: Reach::Targets,
        keys: &["version", "experiment"],
        read: deploy,
    },
    interval("network.latency", &["add"], |reader, _| {
        Some(FaultKind::NetworkLatency { add: reader.need("add", "\"100ms\"", units::positive_duration)? })
    }),
    interval("network.loss", &[], |_, _| Some(FaultKind::NetworkLoss)),
    interval("network.lost-reply", &[], |_, _| Some(FaultKind::NetworkLostReply)),
    interval("network.duplicate", &[], |_, _| Some(FaultKind::NetworkDuplicate)),
    interval("network.reorder", &[], |_, _| Some(FaultKind::NetworkReorder)),
    interval("network.partition", &[], |_, _| Some(FaultKind::NetworkPartition)),
    interval("network.reset", &[], |_, _| Some(FaultKind::NetworkReset)),
    interval("quota.outage", &["mode"], |reader, _| {
        let mode = reader.get("mode", units::choice("an outage mode", OUTAGES));
        Some(FaultKind::QuotaOutage { mode: mode.unwrap_or(OutageMode::Refused) })
    }),
    interval("quota.error-before", &[], |_, _| Some(FaultKind::QuotaErrorBefore)),
    interval("quota.error-after", &[], |_, _| Some(FaultKind::QuotaErrorAfter)),
    interval("quota.lost-reply", &[], |_, _| Some(FaultKind::QuotaLostReply)),
    interval("quota.throttle", &["retry-after"], |reader, _| {
        Some(FaultKind::QuotaThrottle { retry_after: reader.get("retry-after", units::duration) })
    }),
    interval("quota.slow", &["factor"], |reader, _| {
        Some(FaultKind::QuotaSlow { factor: reader.need("factor", "5.0", units::number_in(1e-3..=1e6))? })
    }),
    whole(point("quota.restart", &[], |_, _| Some(FaultKind::QuotaRestart))),
    interval("quota.key-lag", &["lag"], |reader, _| {
        Some(FaultKind::QuotaKeyLag { lag: reader.need("lag", "\"2s\"", units::positive_duration)? })
    }),
    interval("quota.replay", &["delay"], |reader, _| {
        Some(FaultKind::QuotaReplay { delay: reader.need("delay", "\"10s\"", units::duration)? })
    }),
    interval("quota.false-ack", &[], |_, _| Some(FaultKind::QuotaFalseAck)),
    interval("quota.malformed", &[], |_, _| Some(FaultKind::QuotaMalformed)),
    interval("store.latency", &["add"], |reader, _| {
        Some(FaultKind::StoreLatency { add: reader.need("add", "\"100ms\"", units::positive_duration)? })
    }),
    interval("store.error", &[], |_, _| Some(FaultKind::StoreError)),
    whole(interval("store.outage", &[], |_, _| Some(FaultKind::StoreOutage))),
    whole(interval("store.read-only", &[], |_, _| Some(FaultKind::StoreReadOnly))),
    interval("store.lost-ack", &[], |_, _| Some(FaultKind::StoreLostAck)),
    whole(point("store.failover", &["lost", "silent"], |reader, _| {
        let lost = reader.need("lost", "\"5s\"", units::duration);
        let silent = reader.get("silent", units::boolean).unwrap_or(false);
        Some(FaultKind::StoreFailover { lost: lost?, silent })
    })),
    whole(interval("store.full", &[], |_, _| Some(FaultKind::StoreFull))),
];

fn downtime(reader: &mut Reader<'_>) -> Duration {
    reader.get("downtime", units::duration).unwrap_or(DOWNTIME)
}

fn when(reader: &mut Reader<'_>) -> Option<Moment> {
    reader.get("when", units::choice("a moment", MOMENTS))
}

fn deploy(reader: &mut Reader<'_>, frame: &Frame<'_>) -> Option<FaultKind> {
    let version = reader.need_placed("version", "2", units::version);
    let changes = reader.table("experiment", "`experiment` of [[fault]]");
    let (version, before) = (version?, frame.deployed?);
    let experiment = experiment::changed(changes, before, &version)?;
    Some(FaultKind::ProcessDeploy { version: version.value, experiment: Box::new(experiment) })
}
