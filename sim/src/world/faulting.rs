//! Faults switching on and off, and the fleet's own restarts.

use std::time::Duration;

use hookproof_core::time::Instant;

use super::{Event, World};
use crate::chronicle::{Happening, Place};
use crate::clock::Clock;
use crate::fault;
use crate::metrics::reached::Reached;
use crate::scenario::{ClockShift, FaultKind, RestartMode, Target};
use crate::store::{Failover, ReadOnly};
use crate::users::User;

/// The fleet's own schedule as the cause of a restart.
const FLEET: u32 = u32::MAX;
/// How long an instance is down for a new version where the fleet has no downtime of its own.
const DEPLOY_DOWNTIME: Duration = Duration::from_secs(2);

/// A roll-out: how long it takes in all, how long each instance is down, and what causes it.
#[derive(Clone, Copy, Debug)]
struct Roll {
    length: Duration,
    downtime: Duration,
    cause: u32,
}

/// Names a fault's start in draws, in the 56 bits they have: the time in units of 256 ns.
const fn start_name(now: Instant) -> u64 {
    now.as_nanos() >> 8
}

/// A strobe that is on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strobe {
    until: Instant,
    side: Side,
}

/// Where the clocks of a strobe are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Where they were before.
    Home,
    /// Shifted.
    Away,
}

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
        let instances: Vec<u16> = (0..self.scenario.fleet.instances).collect();
        let length = match restart.mode {
            RestartMode::AllAtOnce => Duration::ZERO,
            RestartMode::Rolling => restart.downtime * u32::from(self.scenario.fleet.instances),
        };
        self.roll(now, &instances, Roll { length, downtime: restart.downtime, cause: FLEET });
    }

    /// Takes instances down in turn, evenly, so that the last is up again when the roll-out's length is over.
    fn roll(&mut self, now: Instant, instances: &[u16], roll: Roll) {
        let steps = u32::try_from(instances.len()).expect("instances are numbered by u16").saturating_sub(1);
        let gap = roll.length.saturating_sub(roll.downtime) / steps.max(1);
        // All starts of a roll-out are one restart, the last one included.
        self.recorder.rolling(now + gap * steps + roll.downtime + Duration::from_nanos(1));
        for (instance, step) in instances.iter().zip(0..) {
            self.queue.push(now + gap * step, Event::GoesDown { instance: *instance, fault: roll.cause });
        }
    }

    /// Begins a fault's roll-out on the instances it is aimed at, if its probability lets it.
    fn roll_fault(&mut self, now: Instant, index: usize, downtime: Duration) {
        if self.happens(now, index) {
            let length = self.faults.fault(index).length;
            let cause = fault::number(index);
            self.roll(now, &self.target_instances(index), Roll { length, downtime, cause });
        }
    }

    /// Whether a fault that happens as a whole does so at this start.
    fn happens(&mut self, now: Instant, index: usize) -> bool {
        self.faults.take(index, 0, start_name(now))
    }

    /// The version that a roll-out brings.
    fn version_of(&self, fault: u32) -> u8 {
        let deploys = self.scenario.faults.iter().take(fault as usize + 1).filter(|fault| fault.is_deploy()).count();
        u8::try_from(deploys).expect("a scenario file holds at most 255 roll-outs")
    }

    /// How long an instance is down for a new version.
    fn deploy_downtime(&self) -> Duration {
        self.scenario.fleet.restart.as_ref().map_or(DEPLOY_DOWNTIME, |restart| restart.downtime)
    }

    pub(super) fn on_goes_down(&mut self, now: Instant, instance: u16, fault: u32) {
        let cause = self.scenario.faults.get(fault as usize).map(|fault| &fault.kind);
        let mut downtime = self.deploy_downtime();
        if let Some(FaultKind::ProcessRollingRestart { downtime: own }) = cause {
            downtime = *own;
        }
        if let Some(FaultKind::ProcessDeploy { .. }) = cause {
            self.instances[usize::from(instance)].version = self.version_of(fault);
        }
        self.take_down(now, instance, downtime);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are asked for by what they touch")]
    pub(super) fn on_fault_starts(&mut self, now: Instant, index: usize) {
        self.faults.start(index);
        self.tell_all(now, Place::Run, Happening::FaultStarts { fault: fault::number(index) });
        let fault = self.faults.fault(index).clone();
        match fault.kind {
            FaultKind::ClockOffset { .. }
            | FaultKind::ClockDrift { .. }
            | FaultKind::ClockStep { .. }
            | FaultKind::ClockFreeze => self.change_clocks(now, index, &fault.kind, Edge::Start),
            FaultKind::ClockStrobe { period, .. } => {
                self.change_clocks(now, index, &fault.kind, Edge::Start);
                self.strobes.insert(index, Strobe { until: now + fault.length, side: Side::Away });
                self.schedule_strobe(now + period, index);
            }
            FaultKind::ProcessCrash { downtime, when: None } => self.crash_targets(now, index, downtime),
            FaultKind::ProcessPause { when: None } => self.pause_targets(now, index),
            FaultKind::ProcessRollingRestart { downtime } => self.roll_fault(now, index, downtime),
            FaultKind::ProcessDeploy { .. } => self.roll_fault(now, index, self.deploy_downtime()),
            FaultKind::QuotaRestart if self.happens(now, index) => self.quota.lose_keys(),
            FaultKind::StoreOutage if self.happens(now, index) => {
                self.store_outages.insert(index);
                self.store.crash();
            }
            FaultKind::StoreFailover { lost, silent } if self.happens(now, index) => {
                let failover = if silent { Failover::Silent } else { Failover::Announced };
                self.recorder.reach(Reached::Failovers);
                self.overtaken(now);
                self.note_failover(now);
                for user in self.store.fail_over(now, lost, failover) {
                    self.recorder.user_mut(user).set(User::FORGOTTEN);
                    self.judging.claims.forgotten(user);
                }
            }
            FaultKind::StoreReadOnly | FaultKind::StoreFull if self.happens(now, index) => {
                self.store_read_only.insert(index);
                self.store.set_read_only(ReadOnly::Begins);
            }
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds leave nothing to mend")]
    pub(super) fn on_fault_ends(&mut self, now: Instant, index: usize) {
        self.faults.end(index);
        self.tell_all(now, Place::Run, Happening::FaultEnds { fault: fault::number(index) });
        match self.faults.fault(index).kind.clone() {
            kind @ (FaultKind::ClockOffset { .. } | FaultKind::ClockDrift { .. } | FaultKind::ClockFreeze) => {
                self.change_clocks(now, index, &kind, Edge::End);
            }
            kind @ FaultKind::ClockStrobe { .. } => {
                if self.strobes.remove(&index).is_some_and(|strobe| strobe.side == Side::Away) {
                    self.change_clocks(now, index, &kind, Edge::End);
                }
                self.moved_clocks.retain(|(fault, _)| *fault != index);
            }
            FaultKind::ProcessPause { when: None } => {
                for instance in self.target_instances(index) {
                    self.resume(now, instance, index);
                }
            }
            FaultKind::StoreOutage if self.store_outages.remove(&index) && self.store_outages.is_empty() => {
                self.store.recover();
            }
            FaultKind::StoreReadOnly | FaultKind::StoreFull if self.store_read_only.remove(&index) => {
                self.store.set_read_only(ReadOnly::Ends);
            }
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
            if self.is_up(instance) && self.faults.take(index, u64::from(instance), start_name(now)) {
                self.recorder.reach(Reached::Crashes);
                self.take_down(now, instance, downtime);
            }
        }
    }

    fn pause_targets(&mut self, now: Instant, index: usize) {
        for instance in self.target_instances(index) {
            if self.is_up(instance) && self.faults.take(index, u64::from(instance), start_name(now)) {
                self.recorder.reach(Reached::ProcessPauses);
                let until = now + self.faults.fault(index).length;
                self.pause(now, instance, index, until);
            }
        }
    }

    /// Whether a fault that starts moves this clock; if so, its end will move it back.
    fn touches_clock(&mut self, now: Instant, index: usize, target: Target) -> bool {
        let who = match target {
            Target::Instance(instance) => u64::from(instance),
            Target::Store => 1 << 16,
            Target::Quota => 2 << 16,
        };
        let is_hit = self.faults.targets(index, target) && self.faults.take(index, who, start_name(now));
        if is_hit {
            self.moved_clocks.insert((index, target));
            self.recorder.reach(Reached::ClockChanges);
            let is_drift = matches!(self.faults.fault(index).kind, FaultKind::ClockDrift { .. });
            if matches!(target, Target::Instance(_)) && !is_drift {
                self.recorder.reach(Reached::WallClockChanges);
            }
        }
        is_hit
    }

    /// The next jump of a strobe, if it comes before the strobe ends.
    fn schedule_strobe(&mut self, at: Instant, index: usize) {
        if self.strobes.get(&index).is_some_and(|strobe| at < strobe.until) {
            self.queue.push(at, Event::Strobes(fault::number(index)));
        }
    }

    /// The clocks that a strobe has taken jump to its other side.
    pub(super) fn on_strobes(&mut self, now: Instant, index: usize) {
        let FaultKind::ClockStrobe { by, period } = self.faults.fault(index).kind else { return };
        let Some(strobe) = self.strobes.get_mut(&index) else { return };
        let (side, jump) = match strobe.side {
            Side::Home => (Side::Away, by),
            Side::Away => (Side::Home, by.reversed()),
        };
        strobe.side = side;
        let taken = self.moved_clocks.range((index, Target::Instance(0))..=(index, Target::Quota));
        let taken: Vec<Target> = taken.map(|(_, target)| *target).collect();
        for target in taken {
            self.clock(target).step(now, jump);
        }
        self.see_clocks(now);
        self.schedule_strobe(now + period, index);
    }

    /// Enters how far each clock is ahead.
    pub(super) fn see_clocks(&mut self, now: Instant) {
        let right = i128::from((self.scenario.start + now.since(Instant::ORIGIN)).as_unix_nanos());
        let instances = self.instances.iter().map(|instance| &instance.clock);
        let ahead_us = instances.chain([&self.store.clock.clock, &self.quota.clock]).map(|clock| {
            let ahead = (i128::from(clock.wall(now).as_unix_nanos()) - right) / 1_000;
            i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX })
        });
        self.recorder.clocks_ahead(now, ahead_us);
        self.clocks_seen_at = self.recorder.bin_end(now);
    }

    fn clock(&mut self, target: Target) -> &mut Clock {
        match target {
            Target::Instance(instance) => &mut self.instances[usize::from(instance)].clock,
            Target::Store => &mut self.store.clock.clock,
            Target::Quota => &mut self.quota.clock,
        }
    }

    fn change_clocks(&mut self, now: Instant, index: usize, kind: &FaultKind, edge: Edge) {
        // What a fault takes back was as wrong as ever until this moment.
        self.see_clocks(now);
        let instances = (0..self.scenario.fleet.instances).map(Target::Instance);
        for target in instances.chain([Target::Store, Target::Quota]) {
            let is_due = match edge {
                Edge::Start => self.touches_clock(now, index, target),
                Edge::End => self.moved_clocks.remove(&(index, target)),
            };
            if !is_due {
                continue;
            }
            let clock = self.clock(target);
            match (kind, edge) {
                (
                    FaultKind::ClockOffset { by } | FaultKind::ClockStep { by } | FaultKind::ClockStrobe { by, .. },
                    Edge::Start,
                ) => clock.step(now, *by),
                (FaultKind::ClockOffset { by } | FaultKind::ClockStrobe { by, .. }, Edge::End) => {
                    clock.step(now, ClockShift::reversed(*by));
                }
                (FaultKind::ClockDrift { ppm }, Edge::Start) => clock.drift(now, *ppm),
                (FaultKind::ClockDrift { ppm }, Edge::End) => clock.drift(now, -*ppm),
                (FaultKind::ClockFreeze, Edge::Start) => clock.freeze(now),
                (FaultKind::ClockFreeze, Edge::End) => clock.thaw(now),
                _ => {}
            }
            if let (FaultKind::ClockDrift { .. }, Target::Instance(instance)) = (kind, target) {
                self.reset_timers(now, instance);
            }
        }
        self.see_clocks(now);
    }
}

#[cfg(test)]
mod tests {
    use hookproof_core::time::WallTime;

    use super::*;
    use crate::scenario::{HookKind, Scenario};
    use crate::world::small;

    fn scenario(faults: &str) -> Scenario {
        let users = "[users]\npopulation = 20\nvisits = { mean = 3, per = \"1m\" }\n[fleet]\ninstances = 2\n";
        small::scenario("60s", &format!("{users}{faults}"))
    }

    fn world(scenario: &Scenario) -> World<'_> {
        let mut world = small::world(scenario, HookKind::Hardened);
        world.begin();
        world
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// Lets everything happen that is due until then; the end of a storm, which does nothing here, marks the place.
    fn run_until(world: &mut World<'_>, until: Instant) {
        world.queue.push(until, Event::StormEnds);
        while let Some((at, event)) = world.next_event() {
            world.handle(at, event);
            if at == until && matches!(event, Event::StormEnds) {
                return;
            }
        }
    }

    /// By how much a clock is ahead of the truth, in milliseconds.
    fn ahead_ms(world: &mut World<'_>, target: Target, now: Instant) -> i64 {
        let truth = world.scenario.start + now.since(Instant::ORIGIN);
        let ms = |wall: WallTime| i64::try_from(wall.as_unix_nanos() / 1_000_000).expect("before the year 292 million");
        ms(world.clock(target).wall(now)) - ms(truth)
    }

    #[test]
    fn a_strobe_jumps_to_and_fro_and_comes_home_for_every_target() {
        for (on, target) in [("app-1", Target::Instance(0)), ("store", Target::Store), ("quota", Target::Quota)] {
            let scenario = scenario(&format!(
                "[[fault]]\nkind = \"clock.strobe\"\nat = \"10s\"\nfor = \"5s\"\nby = \"-30s\"\nperiod = \"2s\"\n\
                 every = \"20s\"\non = [\"{on}\"]\n"
            ));
            let mut world = world(&scenario);
            let mut seen = Vec::new();
            for ms in [9_500, 10_500, 12_500, 14_500, 15_500, 29_500, 30_500, 32_500, 35_500] {
                run_until(&mut world, at(ms));
                seen.push(ahead_ms(&mut world, target, at(ms)) / 1_000);
                assert_eq!(ahead_ms(&mut world, Target::Instance(1), at(ms)), 0, "nobody else is touched");
            }
            assert_eq!(seen, [0, -30, 0, -30, 0, 0, -30, 0, 0], "{on}");
            let account = world.faults.accounts().remove(0);
            assert_eq!((account.opportunities, account.effects), (2, 2), "one for each start");
        }
    }

    /// The machine restarts, and its wall clock is an hour back when the process comes up: the process has lost its memory, the
    /// machine keeps its clock, and the monotonic clock goes on.
    #[test]
    fn a_restart_into_the_past_keeps_the_clock_and_loses_the_process() {
        let scenario = scenario(
            "[[fault]]\nkind = \"process.crash\"\nat = \"20s\"\ndowntime = \"2s\"\non = [\"app-1\"]\n\
             [[fault]]\nkind = \"clock.step\"\nat = \"21s\"\nby = \"-1h\"\non = [\"app-1\"]\n",
        );
        let mut world = world(&scenario);
        run_until(&mut world, at(19_999));
        let before = world.process_of(0);
        run_until(&mut world, at(21_500));
        assert!(!world.is_up(0), "it is down");
        run_until(&mut world, at(23_000));
        assert!(world.is_up(0) && world.process_of(0) == before + 1, "another process");
        assert_eq!(ahead_ms(&mut world, Target::Instance(0), at(23_000)), -3_600_000);
        assert_eq!(world.clock(Target::Instance(0)).mono(at(23_000)), at(23_000));
        assert_eq!(ahead_ms(&mut world, Target::Instance(1), at(23_000)), 0);
    }
}
