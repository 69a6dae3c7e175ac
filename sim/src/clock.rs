//! Clocks that err: one for each instance, one for the store, one for the quota service.
//!
//! Owns the map from true (virtual) time to what a clock shows. Wall and monotonic are apart: a step or a freeze moves the
//! wall clock only, drift is the oscillator's and moves both. A wall clock never shows a time before 1970.

use std::time::Duration;

use hookproof_core::time::{Instant, WallTime};

use crate::scenario::ClockShift;

/// Parts per million.
const MILLION: i128 = 1_000_000;

/// One clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// True time of the last change; from here on the clock runs at `rate`.
    changed_at: Instant,
    wall: i128,
    mono: i128,
    drift_ppm: i32,
    /// Freezes under way.
    freezes: u32,
}

impl Clock {
    /// A right clock; `start` is the wall time of the run's origin.
    pub fn new(start: WallTime) -> Self {
        Self { changed_at: Instant::ORIGIN, wall: i128::from(start.as_unix_nanos()), mono: 0, drift_ppm: 0, freezes: 0 }
    }

    /// What the wall clock shows at true time `at`.
    pub fn wall(&self, at: Instant) -> WallTime {
        if self.freezes == 0
            && let Some(nanos) = self.undrifted(self.wall, at)
        {
            return WallTime::from_unix_nanos(nanos.min(u64::MAX - 1));
        }
        let passed = if self.freezes > 0 { 0 } else { self.passed(at) };
        // The last nanosecond of 64 bits means never.
        let nanos = (self.wall + passed).clamp(0, i128::from(u64::MAX - 1));
        WallTime::from_unix_nanos(u64::try_from(nanos).expect("clamped to u64"))
    }

    /// What the monotonic clock shows at true time `at`.
    pub fn mono(&self, at: Instant) -> Instant {
        if let Some(nanos) = self.undrifted(self.mono, at) {
            return Instant::from_nanos(nanos);
        }
        let nanos = (self.mono + self.passed(at)).clamp(0, i128::from(u64::MAX));
        Instant::from_nanos(u64::try_from(nanos).expect("clamped to u64"))
    }

    /// The true time at which the monotonic clock reaches `mono`, if nothing changes until then.
    pub fn when_mono(&self, mono: Instant) -> Instant {
        let ahead = (i128::from(mono.as_nanos()) - self.mono).max(0);
        let rate = self.rate();
        let passed = if self.drift_ppm == 0 { ahead } else { (ahead * MILLION + rate - 1) / rate };
        let at = i128::from(self.changed_at.as_nanos()) + passed;
        Instant::from_nanos(u64::try_from(at).unwrap_or(u64::MAX))
    }

    /// Moves the wall clock.
    pub fn step(&mut self, at: Instant, by: ClockShift) {
        self.rebase(at);
        self.wall += i128::from(by.nanos);
    }

    /// Changes the drift by `ppm`.
    pub fn drift(&mut self, at: Instant, ppm: i32) {
        self.rebase(at);
        self.drift_ppm += ppm;
    }

    /// Stops the wall clock.
    pub fn freeze(&mut self, at: Instant) {
        self.rebase(at);
        self.freezes += 1;
    }

    /// Lets the wall clock run again from what it shows.
    pub fn thaw(&mut self, at: Instant) {
        self.rebase(at);
        self.freezes = self.freezes.saturating_sub(1);
    }

    fn rebase(&mut self, at: Instant) {
        let passed = self.passed(at);
        self.mono += passed;
        if self.freezes == 0 {
            self.wall += passed;
        }
        self.changed_at = at;
    }

    /// Parts per million of true time at which it runs; several drifts together cannot stop it.
    fn rate(&self) -> i128 {
        (MILLION + i128::from(self.drift_ppm)).max(1)
    }

    /// What has `shown` at the last change and runs at the right rate shows at `at`: nearly every reading, without the general
    /// one's 128 bits. `None` where it takes them.
    fn undrifted(&self, shown: i128, at: Instant) -> Option<u64> {
        if self.drift_ppm != 0 {
            return None;
        }
        let passed = at.as_nanos().saturating_sub(self.changed_at.as_nanos());
        u64::try_from(shown).ok().map(|shown| shown.saturating_add(passed))
    }

    /// Nanoseconds this clock has counted since the last change.
    fn passed(&self, at: Instant) -> i128 {
        let nanos = i128::from(at.as_nanos().saturating_sub(self.changed_at.as_nanos()));
        if self.drift_ppm == 0 { nanos } else { nanos * self.rate() / MILLION }
    }
}

/// The store's durable clock: what its wall clock shows, but never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableClock {
    /// The clock it reads.
    pub clock: Clock,
    high_water: WallTime,
}

impl DurableClock {
    /// A durable clock over `clock`.
    pub const fn new(clock: Clock) -> Self {
        Self { clock, high_water: WallTime::UNIX_EPOCH }
    }

    /// The time at true time `at`; recorded, so that no later reading lies before it.
    pub fn read(&mut self, at: Instant) -> WallTime {
        self.high_water = self.high_water.max(self.clock.wall(at));
        self.high_water
    }
}

/// A shift as its size and direction.
impl ClockShift {
    /// Forward by `duration`.
    pub fn forward(duration: Duration) -> Self {
        Self { nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }

    /// The opposite shift.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { nanos: self.nanos.saturating_neg() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    fn clock() -> Clock {
        Clock::new(WallTime::from_unix_nanos(1_000 * SECOND))
    }

    fn wall_s(clock: &Clock, seconds: u64) -> u64 {
        clock.wall(at(seconds)).as_unix_nanos() / SECOND
    }

    #[test]
    fn a_step_moves_the_wall_and_not_the_monotonic_clock() {
        let mut clock = clock();
        clock.step(at(10), ClockShift::forward(Duration::from_secs(30)).reversed());
        assert_eq!(wall_s(&clock, 15), 985);
        assert_eq!(clock.mono(at(15)), at(15));
    }

    #[test]
    fn drift_moves_both_and_a_timer_is_as_late_as_the_clock_is_slow() {
        let mut clock = clock();
        clock.drift(at(0), -200_000);
        assert_eq!(clock.mono(at(10)), at(8));
        assert_eq!(wall_s(&clock, 10), 1_008);
        assert_eq!(clock.when_mono(at(8)), at(10));
    }

    #[test]
    fn a_frozen_wall_clock_stands_and_goes_on_from_there() {
        let mut clock = clock();
        clock.freeze(at(5));
        assert_eq!(wall_s(&clock, 20), 1_005);
        assert_eq!(clock.mono(at(20)), at(20));
        clock.thaw(at(20));
        assert_eq!(wall_s(&clock, 22), 1_007);
    }

    #[test]
    fn a_clock_never_shows_a_time_before_1970() {
        let mut clock = clock();
        clock.step(at(0), ClockShift { nanos: i64::MIN });
        assert_eq!(wall_s(&clock, 1), 0);
    }

    #[test]
    fn the_durable_clock_does_not_go_back() {
        let mut durable = DurableClock::new(clock());
        let before = durable.read(at(10));
        durable.clock.step(at(10), ClockShift::forward(Duration::from_secs(30)).reversed());
        assert_eq!(durable.read(at(20)), before);
        assert!(durable.read(at(50)) > before);
    }
}
