//! The kinds of fault that a swarm draws, one row each: what the matrix calls them, and how strong they are.
//!
//! Owns the map from faults to hazards. A row is drawn only if the promise stands against all its hazards; where a kind's
//! strength decides which hazard it is, the row draws within what is borne, and `declare` makes true what it rests on.

use std::time::Duration;

use hookproof_core::promise::Hazard;

use super::chance::Stream;
use super::draw::{Drawn, Frame, Length};
use crate::scenario::{ClockShift, FaultKind, Moment, OutageMode, Target, Targets};

/// One kind, or one of the ways in which a kind strikes.
pub(super) struct Kind {
    /// Names it in draws and, for want of another name, in the scenario.
    pub(super) name: &'static str,
    pub(super) hazards: &'static [Hazard],
    pub(super) draw: fn(&Frame, &mut Stream) -> Drawn,
}

/// Clocks of instances may show anything; the store's errs within what `declare` then declares.
const CLOCK: &[Hazard] = &[Hazard::ClockError];
const PROCESS: &[Hazard] = &[Hazard::CrashBeforeSend, Hazard::CrashAfterSend];
const IN_DOUBT: &[Hazard] = &[Hazard::LostReply];
const NOT_APPLIED: &[Hazard] = &[];

/// Longest stretch of an ordinary fault.
const LONG: Duration = Duration::from_secs(60);

fn stretch(kind: FaultKind) -> Drawn {
    Drawn { kind, on: Targets::All, length: Length::Stretch { most: LONG } }
}

/// A fault of requests that may hit only what some instances send or ask.
fn some(frame: &Frame, stream: &mut Stream, kind: FaultKind) -> Drawn {
    let on = if stream.chance(75) { Targets::All } else { frame.some_instances(stream) };
    Drawn { kind, on, length: Length::Stretch { most: LONG } }
}

/// All kinds but `process.deploy`, which needs to know what else was drawn.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "clock.offset",
        hazards: CLOCK,
        draw: |frame, stream| {
            let clock = Clock::draw(frame, stream);
            let kind = FaultKind::ClockOffset { by: clock.shift(stream) };
            Drawn { kind, on: clock.on, length: Length::Stretch { most: LONG } }
        },
    },
    Kind {
        name: "clock.drift",
        hazards: CLOCK,
        draw: |frame, stream| {
            let clock = Clock::draw(frame, stream);
            // The store's drift adds up to a fifth of a second in a minute at most.
            let most = if clock.is_store { 3_000 } else { 400_000 };
            let size = i32::try_from(stream.between(1, most)).unwrap_or(1);
            let ppm = if stream.chance(50) { size } else { -size };
            Drawn { kind: FaultKind::ClockDrift { ppm }, on: clock.on, length: Length::Stretch { most: LONG } }
        },
    },
    Kind {
        name: "clock.step",
        hazards: CLOCK,
        draw: |frame, stream| {
            let clock = Clock::draw(frame, stream);
            let kind = FaultKind::ClockStep { by: clock.shift(stream) };
            Drawn { kind, on: clock.on, length: Length::Point(Duration::ZERO) }
        },
    },
    Kind {
        name: "clock.freeze",
        hazards: CLOCK,
        draw: |frame, stream| {
            let clock = Clock::draw(frame, stream);
            let most = if clock.is_store { Duration::from_millis(400) } else { LONG };
            Drawn { kind: FaultKind::ClockFreeze, on: clock.on, length: Length::Stretch { most } }
        },
    },
    Kind {
        name: "clock.strobe",
        hazards: CLOCK,
        draw: |frame, stream| {
            let clock = Clock::draw(frame, stream);
            let kind = FaultKind::ClockStrobe { by: clock.shift(stream), period: stream.ms(50, 3_000) };
            Drawn { kind, on: clock.on, length: Length::Stretch { most: LONG } }
        },
    },
    Kind {
        name: "process.crash",
        hazards: PROCESS,
        draw: |frame, stream| {
            let downtime = stream.ms(0, 5_000);
            let kind = FaultKind::ProcessCrash { downtime, when: None };
            Drawn { kind, on: frame.some_instances(stream), length: Length::Point(downtime) }
        },
    },
    Kind {
        name: "process.crash-at-a-moment",
        hazards: PROCESS,
        draw: |frame, stream| {
            let when = Some(moment(stream));
            let kind = FaultKind::ProcessCrash { downtime: stream.ms(0, 3_000), when };
            let length = if stream.chance(30) { Length::Waiting } else { Length::Stretch { most: LONG } };
            Drawn { kind, on: frame.some_instances(stream), length }
        },
    },
    Kind {
        name: "process.pause",
        hazards: &[Hazard::Stall],
        draw: |frame, stream| {
            let kind = FaultKind::ProcessPause { when: stream.chance(60).then(|| moment(stream)) };
            // Once: pauses that follow on each other would add up to a stall without bound.
            Drawn { kind, on: frame.some_instances(stream), length: Length::Once(stream.ms(300, 15_000)) }
        },
    },
    Kind {
        name: "process.rolling-restart",
        hazards: PROCESS,
        draw: |frame, stream| {
            let downtime = stream.ms(0, 2_000);
            let length = stream.span(downtime * u32::from(frame.instances), frame.storm / 3);
            let kind = FaultKind::ProcessRollingRestart { downtime };
            Drawn { kind, on: Targets::All, length: Length::Once(length) }
        },
    },
    Kind {
        name: "network.latency",
        hazards: IN_DOUBT,
        draw: |frame, stream| {
            let add = stream.ms(1, 6_000);
            some(frame, stream, FaultKind::NetworkLatency { add })
        },
    },
    Kind {
        name: "network.loss",
        hazards: &[Hazard::LostRequest],
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkLoss),
    },
    Kind {
        name: "network.lost-reply",
        hazards: IN_DOUBT,
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkLostReply),
    },
    Kind {
        name: "network.duplicate",
        hazards: &[Hazard::Duplicate],
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkDuplicate),
    },
    Kind {
        name: "network.reorder",
        hazards: IN_DOUBT,
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkReorder),
    },
    Kind {
        name: "network.partition",
        hazards: NOT_APPLIED,
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkPartition),
    },
    Kind {
        name: "network.reset",
        hazards: &[Hazard::LostRequest],
        draw: |frame, stream| some(frame, stream, FaultKind::NetworkReset),
    },
    Kind {
        name: "quota.outage",
        hazards: IN_DOUBT,
        draw: |frame, stream| {
            let mode =
                stream.pick([OutageMode::Refused, OutageMode::Unavailable, OutageMode::Hang, OutageMode::Unauthorised]);
            some(frame, stream, FaultKind::QuotaOutage { mode })
        },
    },
    Kind { name: "quota.error-before", hazards: IN_DOUBT, draw: |_, _| stretch(FaultKind::QuotaErrorBefore) },
    Kind { name: "quota.error-after", hazards: IN_DOUBT, draw: |_, _| stretch(FaultKind::QuotaErrorAfter) },
    Kind { name: "quota.lost-reply", hazards: IN_DOUBT, draw: |_, _| stretch(FaultKind::QuotaLostReply) },
    Kind {
        name: "quota.throttle",
        hazards: NOT_APPLIED,
        draw: |frame, stream| {
            let retry_after = stream.chance(60).then(|| stream.ms(0, 30_000));
            some(frame, stream, FaultKind::QuotaThrottle { retry_after })
        },
    },
    Kind {
        name: "quota.slow",
        hazards: IN_DOUBT,
        draw: |_, stream| stretch(FaultKind::QuotaSlow { factor: f64::from(stream.count(2, 40)) }),
    },
    Kind {
        name: "quota.restart",
        hazards: &[Hazard::KeyLost],
        draw: |_, _| Drawn { kind: FaultKind::QuotaRestart, on: Targets::All, length: Length::Point(Duration::ZERO) },
    },
    // Where reads are asked for, a lag is within what `declare` declares, and no hazard. A key's lag is.
    Kind {
        name: "quota.key-lag",
        hazards: &[Hazard::KeyLost],
        // Long, since a read comes late, and only after doubt.
        draw: |frame, stream| {
            let kind = FaultKind::QuotaKeyLag { lag: stream.ms(10, 30_000) };
            let length = Length::Once(stream.span(frame.storm / 2, frame.storm));
            Drawn { kind, on: Targets::All, length }
        },
    },
    // Within the key's life, as `declare` makes it; where there is no key, a second execution is a second effect.
    Kind {
        name: "quota.replay",
        hazards: &[Hazard::Duplicate],
        draw: |_, stream| stretch(FaultKind::QuotaReplay { delay: stream.ms(0, 90_000) }),
    },
    // Impossible for every offer: drawn all the same, and its victims are excused by name.
    Kind { name: "quota.false-ack", hazards: NOT_APPLIED, draw: |_, _| stretch(FaultKind::QuotaFalseAck) },
    Kind { name: "quota.malformed", hazards: IN_DOUBT, draw: |_, _| stretch(FaultKind::QuotaMalformed) },
    Kind {
        name: "store.latency",
        hazards: &[Hazard::CommitUnknown],
        draw: |frame, stream| {
            let add = stream.ms(5, 5_000);
            some(frame, stream, FaultKind::StoreLatency { add })
        },
    },
    Kind {
        name: "store.error",
        hazards: &[Hazard::StoreOutage],
        draw: |frame, stream| some(frame, stream, FaultKind::StoreError),
    },
    Kind {
        name: "store.outage",
        hazards: &[Hazard::StoreOutage, Hazard::CommitUnknown],
        draw: |_, _| stretch(FaultKind::StoreOutage),
    },
    Kind { name: "store.read-only", hazards: &[Hazard::StoreOutage], draw: |_, _| stretch(FaultKind::StoreReadOnly) },
    Kind { name: "store.full", hazards: &[Hazard::StoreOutage], draw: |_, _| stretch(FaultKind::StoreFull) },
    Kind {
        name: "store.failover",
        hazards: &[Hazard::StoreRollback, Hazard::CommitUnknown],
        draw: |frame, stream| {
            let silent = frame.bears(Hazard::SilentRollback) && stream.chance(30);
            let lost = if stream.chance(30) { Duration::ZERO } else { stream.ms(1, 40_000) };
            let kind = FaultKind::StoreFailover { lost, silent };
            Drawn { kind, on: Targets::All, length: Length::Point(Duration::ZERO) }
        },
    },
    Kind {
        name: "store.lost-ack",
        hazards: &[Hazard::CommitUnknown],
        draw: |frame, stream| some(frame, stream, FaultKind::StoreLostAck),
    },
];

fn moment(stream: &mut Stream) -> Moment {
    stream.pick([Moment::Claimed, Moment::Sent, Moment::Applied])
}

/// Whose clocks err.
struct Clock {
    on: Targets,
    is_store: bool,
}

impl Clock {
    fn draw(frame: &Frame, stream: &mut Stream) -> Self {
        match stream.between(0, 9) {
            0..=1 => Self { on: Targets::Only(vec![Target::Store]), is_store: true },
            2..=3 => Self { on: Targets::Only(vec![Target::Quota]), is_store: false },
            _ => Self { on: frame.some_instances(stream), is_store: false },
        }
    }

    /// A quarter of a second for the store, up to two hours for the others.
    fn shift(&self, stream: &mut Stream) -> ClockShift {
        let most = if self.is_store { 250 } else { stream.pick([1_000, 60_000, 7_200_000]) };
        let by = ClockShift::forward(stream.ms(1, most));
        if stream.chance(50) { by } else { by.reversed() }
    }
}
