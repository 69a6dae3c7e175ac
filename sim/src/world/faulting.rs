//! Faults switching on and off, and the fleet's own restarts.

use std::sync::Arc;
use std::time::Duration;

use hookproof_core::time::Instant;

use super::{Event, World};
use crate::metrics::reached::Reached;
use crate::scenario::{ClockShift, FaultKind, RestartMode, Target};

/// The fleet's own schedule as the cause of a restart.
const FLEET: u32 = u32::MAX;
/// How long an instance is down for a new version where the fleet has no downtime of its own.
const DEPLOY_DOWNTIME: Duration = Duration::from_secs(2);

/// Which edge of a fault's stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl World<'_> {
    pub(super) fn schedule_faults(&mut self) {
        let storm = self.scenario.duration;
        for (fault, index) in self.scenario.faults.iter().zip(0..) {
            for start in fault.starts(storm) {
                let length =
                    if fault.waits_until_the_storm_ends() { storm.saturating_sub(start) } else { fault.length };
                self.queue.push(Instant::ORIGIN + start, Event::FaultStarts(index));
                self.queue.push(Instant::ORIGIN + start + length, Event::FaultEnds(index));
            }
        }
    }

    pub(super) fn schedule_restarts(&mut self) {
        let Some(restart) = &self.scenario.fleet.restart else { return };
        let mut at = restart.every;
        while at < self.scenario.duration && !restart.every.is_zero() {
            self.queue.push(Instant::ORIGIN + at, Event::FleetRestarts);
            at += restart.every;
        }
    }

    pub(super) fn on_fleet_restarts(&mut self, now: Instant) {
        let Some(restart) = &self.scenario.fleet.restart else { return };
        let gap = match restart.mode {
            RestartMode::AllAtOnce => Duration::ZERO,
            RestartMode::Rolling => restart.downtime,
        };
        self.roll(now, gap, restart.downtime, FLEET);
    }

    /// Takes all instances down in turn, `gap` apart.
    fn roll(&mut self, now: Instant, gap: Duration, downtime: Duration, fault: u32) {
        let instances = self.scenario.fleet.instances;
        self.recorder.rolling(now + gap * u32::from(instances) + downtime);
        for instance in 0..instances {
            self.queue.push(now + gap * u32::from(instance), Event::GoesDown { instance, fault });
        }
    }

    pub(super) fn on_goes_down(&mut self, now: Instant, instance: u16, fault: u32) {
        let fleet_downtime = self.scenario.fleet.restart.as_ref().map(|restart| restart.downtime);
        let cause = self.scenario.faults.get(fault as usize).map(|fault| &fault.kind);
        let mut downtime = fleet_downtime.unwrap_or(DEPLOY_DOWNTIME);
        if let Some(FaultKind::ProcessRollingRestart { downtime: own }) = cause {
            downtime = *own;
        }
        if let Some(FaultKind::ProcessDeploy { experiment, .. }) = cause {
            self.instances[usize::from(instance)].experiment = Arc::new((**experiment).clone());
        }
        self.crash(now, instance);
        self.queue.push(now + downtime, Event::ComesUp(instance));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are asked for by what they touch")]
    pub(super) fn on_fault_starts(&mut self, now: Instant, index: usize) {
        self.faults.start(index);
        let fault = self.faults.fault(index).clone();
        match fault.kind {
            FaultKind::ClockOffset { .. }
            | FaultKind::ClockDrift { .. }
            | FaultKind::ClockStep { .. }
            | FaultKind::ClockFreeze => self.change_clocks(now, index, &fault.kind, Edge::Start),
            FaultKind::ProcessCrash { downtime, when: None } => self.crash_targets(now, index, downtime),
            FaultKind::ProcessPause { when: None } => self.pause_targets(now, index),
            FaultKind::ProcessRollingRestart { downtime } => {
                self.faults.take(index, 0, now.as_nanos() >> 20);
                self.roll(now, downtime, downtime, u32::try_from(index).unwrap_or(FLEET));
            }
            FaultKind::ProcessDeploy { .. } => {
                self.faults.take(index, 0, now.as_nanos() >> 20);
                let gap = fault.length / u32::from(self.scenario.fleet.instances);
                self.roll(now, gap, Duration::ZERO, u32::try_from(index).unwrap_or(FLEET));
            }
            FaultKind::QuotaRestart => {
                self.faults.take(index, 0, now.as_nanos() >> 20);
                self.quota.lose_keys();
            }
            FaultKind::StoreOutage => {
                self.faults.take(index, 0, now.as_nanos() >> 20);
                self.store.crash();
            }
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds leave nothing to mend")]
    pub(super) fn on_fault_ends(&mut self, now: Instant, index: usize) {
        self.faults.end(index);
        match self.faults.fault(index).kind.clone() {
            kind @ (FaultKind::ClockOffset { .. } | FaultKind::ClockDrift { .. } | FaultKind::ClockFreeze) => {
                self.change_clocks(now, index, &kind, Edge::End);
            }
            FaultKind::ProcessPause { when: None } => {
                for instance in self.target_instances(index) {
                    self.resume(now, instance, index);
                }
            }
            FaultKind::StoreOutage => self.store.recover(),
            _ => {}
        }
    }

    fn target_instances(&self, index: usize) -> Vec<u16> {
        (0..self.scenario.fleet.instances)
            .filter(|instance| self.faults.targets(index, Target::Instance(*instance)))
            .collect()
    }

    fn crash_targets(&mut self, now: Instant, index: usize, downtime: Duration) {
        for instance in self.target_instances(index) {
            if self.is_up(instance) && self.faults.take(index, u64::from(instance), now.as_nanos() >> 20) {
                self.recorder.reach(Reached::Crashes);
                self.crash(now, instance);
                self.queue.push(now + downtime, Event::ComesUp(instance));
            }
        }
    }

    fn pause_targets(&mut self, now: Instant, index: usize) {
        for instance in self.target_instances(index) {
            if self.faults.take(index, u64::from(instance), now.as_nanos() >> 20) {
                self.recorder.reach(Reached::ProcessPauses);
                self.pause(instance, index);
            }
        }
    }

    fn change_clocks(&mut self, now: Instant, index: usize, kind: &FaultKind, edge: Edge) {
        let instances = (0..self.scenario.fleet.instances).map(Target::Instance);
        for target in instances.chain([Target::Store, Target::Quota]) {
            if !self.faults.targets(index, target) {
                continue;
            }
            if edge == Edge::Start {
                self.faults.take(index, 0, now.as_nanos() >> 20);
                self.recorder.reach(Reached::ClockChanges);
            }
            let clock = match target {
                Target::Instance(instance) => &mut self.instances[usize::from(instance)].clock,
                Target::Store => &mut self.store.clock.clock,
                Target::Quota => &mut self.quota.clock,
            };
            match (kind, edge) {
                (FaultKind::ClockOffset { by } | FaultKind::ClockStep { by }, Edge::Start) => clock.step(now, *by),
                (FaultKind::ClockOffset { by }, Edge::End) => clock.step(now, ClockShift::reversed(*by)),
                (FaultKind::ClockDrift { ppm }, Edge::Start) => clock.drift(now, *ppm),
                (FaultKind::ClockDrift { ppm }, Edge::End) => clock.drift(now, -*ppm),
                (FaultKind::ClockFreeze, Edge::Start) => clock.freeze(now),
                (FaultKind::ClockFreeze, Edge::End) => clock.thaw(now),
                _ => {}
            }
        }
    }
}
