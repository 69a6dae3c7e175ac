//! What goes wrong, and the account of it.
//!
//! Owns which faults are on, whom they touch, and how often they could have done something and did. What a fault *does*
//! lies with the part of the world it happens to. A draw is keyed by the fault's name and by what it touches, so removing
//! one fault leaves the others' effects as they were.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::outcome::FaultAccount;
use crate::scenario::{Fault, FaultKind, Moment, OutageMode, Probability, Scenario, Target, Targets};
use crate::seed::{Concern, Draws};

/// What asks whether a fault touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each class is the fault kind of that name")]
pub enum Class {
    Clock,
    CrashAtClaimed,
    CrashAtSent,
    CrashAtApplied,
    PauseAtClaimed,
    PauseAtSent,
    PauseAtApplied,
    Process,
    NetworkLatency,
    NetworkLoss,
    NetworkLostReply,
    NetworkDuplicate,
    NetworkReorder,
    NetworkPartition,
    NetworkReset,
    QuotaRefused,
    QuotaUnavailable,
    QuotaUnauthorised,
    QuotaHang,
    QuotaErrorBefore,
    QuotaErrorAfter,
    QuotaLostReply,
    QuotaThrottle,
    QuotaSlow,
    QuotaRestart,
    QuotaKeyLag,
    QuotaReplay,
    QuotaFalseAck,
    QuotaMalformed,
    StoreLatency,
    StoreError,
    StoreOutage,
    StoreLostAck,
    StoreChange,
}

/// Number of classes.
const CLASSES: usize = Class::StoreChange as usize + 1;

impl Class {
    /// The class of a crash at a moment.
    pub const fn crash_at(moment: Moment) -> Self {
        match moment {
            Moment::Claimed => Self::CrashAtClaimed,
            Moment::Sent => Self::CrashAtSent,
            Moment::Applied => Self::CrashAtApplied,
        }
    }

    /// The class of a pause at a moment.
    pub const fn pause_at(moment: Moment) -> Self {
        match moment {
            Moment::Claimed => Self::PauseAtClaimed,
            Moment::Sent => Self::PauseAtSent,
            Moment::Applied => Self::PauseAtApplied,
        }
    }

    const fn of(kind: &FaultKind) -> Self {
        match kind {
            FaultKind::ClockOffset { .. }
            | FaultKind::ClockDrift { .. }
            | FaultKind::ClockStep { .. }
            | FaultKind::ClockFreeze
            | FaultKind::ClockStrobe { .. } => Self::Clock,
            FaultKind::ProcessCrash { when: Some(moment), .. } => Self::crash_at(*moment),
            FaultKind::ProcessPause { when: Some(moment) } => Self::pause_at(*moment),
            FaultKind::ProcessCrash { when: None, .. }
            | FaultKind::ProcessPause { when: None }
            | FaultKind::ProcessRollingRestart { .. }
            | FaultKind::ProcessDeploy { .. } => Self::Process,
            FaultKind::NetworkLatency { .. } => Self::NetworkLatency,
            FaultKind::NetworkLoss => Self::NetworkLoss,
            FaultKind::NetworkLostReply => Self::NetworkLostReply,
            FaultKind::NetworkDuplicate => Self::NetworkDuplicate,
            FaultKind::NetworkReorder => Self::NetworkReorder,
            FaultKind::NetworkPartition => Self::NetworkPartition,
            FaultKind::NetworkReset => Self::NetworkReset,
            FaultKind::QuotaOutage { mode: OutageMode::Refused } => Self::QuotaRefused,
            FaultKind::QuotaOutage { mode: OutageMode::Unavailable } => Self::QuotaUnavailable,
            FaultKind::QuotaOutage { mode: OutageMode::Unauthorised } => Self::QuotaUnauthorised,
            FaultKind::QuotaOutage { mode: OutageMode::Hang } => Self::QuotaHang,
            FaultKind::QuotaErrorBefore => Self::QuotaErrorBefore,
            FaultKind::QuotaErrorAfter => Self::QuotaErrorAfter,
            FaultKind::QuotaLostReply => Self::QuotaLostReply,
            FaultKind::QuotaThrottle { .. } => Self::QuotaThrottle,
            FaultKind::QuotaSlow { .. } => Self::QuotaSlow,
            FaultKind::QuotaRestart => Self::QuotaRestart,
            FaultKind::QuotaKeyLag { .. } => Self::QuotaKeyLag,
            FaultKind::QuotaReplay { .. } => Self::QuotaReplay,
            FaultKind::QuotaFalseAck => Self::QuotaFalseAck,
            FaultKind::QuotaMalformed => Self::QuotaMalformed,
            FaultKind::StoreLatency { .. } => Self::StoreLatency,
            FaultKind::StoreError => Self::StoreError,
            FaultKind::StoreOutage => Self::StoreOutage,
            FaultKind::StoreLostAck => Self::StoreLostAck,
            FaultKind::StoreReadOnly | FaultKind::StoreFull | FaultKind::StoreFailover { .. } => Self::StoreChange,
        }
    }
}

/// The name of a fault's kind in scenario files.
pub const fn kind_name(kind: &FaultKind) -> &'static str {
    match kind {
        FaultKind::ClockOffset { .. } => "clock.offset",
        FaultKind::ClockDrift { .. } => "clock.drift",
        FaultKind::ClockStep { .. } => "clock.step",
        FaultKind::ClockFreeze => "clock.freeze",
        FaultKind::ClockStrobe { .. } => "clock.strobe",
        FaultKind::ProcessCrash { .. } => "process.crash",
        FaultKind::ProcessPause { .. } => "process.pause",
        FaultKind::ProcessRollingRestart { .. } => "process.rolling-restart",
        FaultKind::ProcessDeploy { .. } => "process.deploy",
        FaultKind::NetworkLatency { .. } => "network.latency",
        FaultKind::NetworkLoss => "network.loss",
        FaultKind::NetworkLostReply => "network.lost-reply",
        FaultKind::NetworkDuplicate => "network.duplicate",
        FaultKind::NetworkReorder => "network.reorder",
        FaultKind::NetworkPartition => "network.partition",
        FaultKind::NetworkReset => "network.reset",
        FaultKind::QuotaOutage { .. } => "quota.outage",
        FaultKind::QuotaErrorBefore => "quota.error-before",
        FaultKind::QuotaErrorAfter => "quota.error-after",
        FaultKind::QuotaLostReply => "quota.lost-reply",
        FaultKind::QuotaThrottle { .. } => "quota.throttle",
        FaultKind::QuotaSlow { .. } => "quota.slow",
        FaultKind::QuotaRestart => "quota.restart",
        FaultKind::QuotaKeyLag { .. } => "quota.key-lag",
        FaultKind::QuotaReplay { .. } => "quota.replay",
        FaultKind::QuotaFalseAck => "quota.false-ack",
        FaultKind::QuotaMalformed => "quota.malformed",
        FaultKind::StoreLatency { .. } => "store.latency",
        FaultKind::StoreError => "store.error",
        FaultKind::StoreOutage => "store.outage",
        FaultKind::StoreReadOnly => "store.read-only",
        FaultKind::StoreFailover { .. } => "store.failover",
        FaultKind::StoreFull => "store.full",
        FaultKind::StoreLostAck => "store.lost-ack",
    }
}

/// One fault with its account.
#[derive(Clone, Debug)]
struct Entry {
    fault: Fault,
    class: Class,
    /// Stands for the name in draws.
    name: u64,
    opportunities: u64,
    effects: u64,
    /// A crash at a moment without `for` hits once, then never again.
    is_spent: bool,
}

/// All faults of a run.
#[derive(Clone, Debug)]
pub struct Faults {
    draws: Draws,
    entries: Vec<Entry>,
    active: [Vec<usize>; CLASSES],
}

impl Faults {
    /// The faults of a scenario, none of them on.
    pub fn new(scenario: &Scenario, draws: Draws) -> Self {
        let entry = |fault: &Fault| Entry {
            class: Class::of(&fault.kind),
            name: xxh3_64(fault.name.as_bytes()),
            opportunities: 0,
            effects: 0,
            is_spent: false,
            fault: fault.clone(),
        };
        Self { draws, entries: scenario.faults.iter().map(entry).collect(), active: [const { Vec::new() }; CLASSES] }
    }

    /// The kind of fault number `index`.
    pub fn fault(&self, index: usize) -> &Fault {
        &self.entries[index].fault
    }

    /// Switches a fault on.
    pub fn start(&mut self, index: usize) {
        let class = self.entries[index].class as usize;
        if !self.active[class].contains(&index) {
            self.active[class].push(index);
            self.active[class].sort_unstable();
        }
    }

    /// Switches a fault off.
    pub fn end(&mut self, index: usize) {
        self.active[self.entries[index].class as usize].retain(|other| *other != index);
    }

    /// Whether any fault of `class` is on.
    pub const fn is_active(&self, class: Class) -> bool {
        !self.active[class as usize].is_empty()
    }

    /// Whether an active fault of `class` touches this opportunity at an instance; the first that does is returned.
    ///
    /// `who` and `which` name the opportunity within the class, for the draw.
    pub fn touch(&mut self, class: Class, instance: u16, who: u64, which: u64) -> Option<usize> {
        let mut hit = None;
        for position in 0..self.active[class as usize].len() {
            let index = self.active[class as usize][position];
            let target = Target::Instance(instance);
            // All of them are asked, so that each account tells what that fault alone would have touched.
            if self.targets(index, target) && self.take(index, who, which) {
                hit = hit.or(Some(index));
            }
        }
        hit
    }

    /// Whether fault number `index` takes an opportunity, by its probability; it is entered into the account.
    pub fn take(&mut self, index: usize, who: u64, which: u64) -> bool {
        let entry = &mut self.entries[index];
        if entry.is_spent {
            return false;
        }
        entry.opportunities += 1;
        let is_certain = entry.fault.probability == Probability::ONE;
        let is_hit = is_certain || {
            let [draw, _] = self.draws.draw(Concern::Fault, entry.name ^ who.rotate_left(32), which);
            entry.fault.probability.happens(draw)
        };
        if is_hit {
            entry.effects += 1;
            let has_moment = matches!(entry.fault.kind, FaultKind::ProcessCrash { when: Some(_), .. });
            entry.is_spent = has_moment && entry.fault.length.is_zero();
        }
        is_hit
    }

    /// Whether fault number `index` is aimed at `target`.
    pub fn targets(&self, index: usize, target: Target) -> bool {
        match &self.entries[index].fault.on {
            Targets::All => matches!(target, Target::Instance(_)),
            Targets::Only(targets) => targets.contains(&target),
        }
    }

    /// What each fault could do and did.
    pub fn accounts(&self) -> Vec<FaultAccount> {
        let account = |entry: &Entry| FaultAccount {
            name: entry.fault.name.clone(),
            kind: kind_name(&entry.fault.kind),
            at: entry.fault.at,
            length: entry.fault.length,
            opportunities: entry.opportunities,
            effects: entry.effects,
            supported: true,
        };
        self.entries.iter().map(account).collect()
    }
}

/// A fault's place in the scenario, as events and entries hold it.
pub fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a scenario file holds fewer than 2^32 faults")
}

/// Whether any fault of a scenario moves a clock.
pub fn moves_clocks(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| Class::of(&fault.kind) == Class::Clock)
}

/// When the last fault of a scenario ends.
pub fn last_end(scenario: &Scenario) -> Option<Duration> {
    let end = |fault: &Fault| {
        let last = fault.starts(scenario.duration).last()?;
        let is_open = fault.waits_until_the_storm_ends();
        Some(if is_open { scenario.duration } else { last + fault.lasts() })
    };
    scenario.faults.iter().filter_map(end).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Placement, decode};

    fn fault(name: &str, kind: FaultKind, ppm: u32) -> Fault {
        Fault {
            name: name.into(),
            kind,
            at: Duration::ZERO,
            placement: Placement::Fixed,
            length: Duration::from_secs(10),
            every: None,
            probability: Probability::from_ppm(ppm).expect("a probability"),
            on: Targets::All,
        }
    }

    /// Which of many requests each fault of the list touches, by its name.
    fn touched(faults: &[Fault], name: &str) -> Vec<bool> {
        let source = include_bytes!("../../scenarios/swarm.toml");
        let mut scenario = decode("swarm", "swarm.toml", source).unwrap_or_else(|error| panic!("{error}"));
        scenario.faults = faults.to_vec();
        let mut on = Faults::new(&scenario, Draws::new(5));
        (0..faults.len()).for_each(|index| on.start(index));
        let index = faults.iter().position(|fault| fault.name == name).expect("a fault of the list");
        let request = |n: u64| {
            let before = on.entries[index].effects;
            for class in [Class::NetworkLoss, Class::QuotaThrottle] {
                on.touch(class, 0, n % 50, n);
            }
            on.entries[index].effects > before
        };
        (0..2_000).map(request).collect()
    }

    #[test]
    fn removing_or_moving_a_fault_leaves_the_draws_of_the_others_as_they_were() {
        let loss = fault("loss", FaultKind::NetworkLoss, 300_000);
        let same_kind = fault("more loss", FaultKind::NetworkLoss, 500_000);
        let throttle = fault("throttle", FaultKind::QuotaThrottle { retry_after: None }, 400_000);
        let alone = touched(std::slice::from_ref(&throttle), "throttle");
        assert!((600..1_000).contains(&alone.iter().filter(|hit| **hit).count()), "two in five");
        let all = [loss.clone(), same_kind.clone(), throttle.clone()];
        assert_eq!(touched(&all, "throttle"), alone);
        assert_eq!(touched(&[throttle, same_kind.clone(), loss.clone()], "throttle"), alone);
        // Of one kind, each account tells what that fault alone would have touched.
        assert_eq!(touched(&all, "loss"), touched(std::slice::from_ref(&loss), "loss"));
        assert_eq!(touched(&all, "more loss"), touched(&[same_kind], "more loss"));
        assert_ne!(touched(&all, "loss"), touched(&all, "more loss"));
    }
}
