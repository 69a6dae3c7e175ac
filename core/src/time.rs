//! Points in time as the hook sees them.
//!
//! Owns the two kinds of time and keeps them apart: [`Instant`] is a monotonic clock's reading inside one process,
//! [`WallTime`] is UTC. It knows no clock: time enters every machine as an argument ([`Now`]).
//!
//! * `TIME-1`: no decision reads an instance's wall clock. A machine gets [`Now`], whose only UTC value is an upper
//!   bound of the *store's* clock, worked out by [`StoreClock`] from the store's replies and monotonic time alone.
//!
//! Units: nanoseconds throughout. 64 bits of them are 584 years, so sums saturate only on absurd input.

use std::ops::Add;
use std::time::Duration;

/// A [`Duration`] in whole nanoseconds, saturating at 584 years.
pub const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// A reading of a monotonic clock that also runs while the machine is suspended: nanoseconds since an origin that the
/// driver chooses (a run's or a process's start).
///
/// The standard library's type is not used, because it has no origin and its constructor reads a real clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Self = Self(0);
    /// Later than every real reading.
    pub const MAX: Self = Self(u64::MAX);

    /// The reading `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// A point in UTC: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time). Times before 1970
/// are not representable; arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// Later than every real time; as a due time, it means never.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// What a machine is told about time with each input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// The process's monotonic clock: deadlines, pauses, windows of the breaker.
    pub mono: Instant,
    /// An upper bound of the true time, worked out from the store's durable clock: key windows and leases. See
    /// [`StoreClock`].
    pub store_upper: WallTime,
}

/// Bounds the true time from above by the store's durable clock, without reading any wall clock.
///
/// The bound is the store's time in its last reply, plus the monotonic time since that request was *sent* (the reply's
/// time was taken after the sending, so this can only overestimate), plus the declared error of the store's clock, which may
/// have been behind by as much.
///
/// Replies may overtake each other, and the store's clock may have been stepped between two of them. Of two that were
/// under way at once, the one with the later store time was taken last, so an earlier one never replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreClock {
    /// In nanoseconds.
    error: u64,
    /// When the request was sent whose reply is used.
    sent_at: Instant,
    /// When that reply arrived.
    heard_at: Instant,
    read: WallTime,
}

impl StoreClock {
    /// A clock that has heard nothing yet: until the first reply its bound is [`WallTime::MAX`], which refuses
    /// everything that needs a window or a lease.
    pub const fn new(error: Duration) -> Self {
        Self { error: nanos(error), sent_at: Instant::ORIGIN, heard_at: Instant::ORIGIN, read: WallTime::MAX }
    }

    /// Takes the time `store_time` of a reply that arrives at `mono` to a request that was sent at `sent_at`.
    pub fn observe(&mut self, mono: Instant, sent_at: Instant, store_time: WallTime) {
        let is_certainly_later = sent_at >= self.heard_at;
        if is_certainly_later || store_time >= self.read {
            *self = Self { error: self.error, sent_at, heard_at: mono, read: store_time };
        }
    }

    /// The bounds at `mono`.
    pub fn now(&self, mono: Instant) -> Now {
        let passed = mono.0.saturating_sub(self.sent_at.0);
        Now { mono, store_upper: WallTime(self.read.0.saturating_add(passed).saturating_add(self.error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOS_PER_SECOND: u64 = 1_000_000_000;

    fn mono(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * NANOS_PER_SECOND)
    }

    fn wall(seconds: u64) -> WallTime {
        WallTime::from_unix_nanos(seconds * NANOS_PER_SECOND)
    }

    #[test]
    fn the_stores_clock_is_bounded_from_the_moment_of_sending() {
        let mut clock = StoreClock::new(Duration::from_millis(500));
        assert_eq!(clock.now(Instant::from_nanos(7)).store_upper, WallTime::MAX);
        clock.observe(mono(2), mono(1), wall(100));
        assert_eq!(clock.now(mono(3)).store_upper, wall(102) + Duration::from_millis(500));
    }

    #[test]
    fn an_overtaken_reply_does_not_take_the_bound_back_before_a_step_of_the_stores_clock() {
        let mut clock = StoreClock::new(Duration::ZERO);
        // 1. Two requests are under way. 2. The store takes 100 for the first, steps by 50 s, takes 151 for the second.
        clock.observe(mono(3), mono(2), wall(151));
        clock.observe(mono(4), mono(1), wall(100));
        assert_eq!(clock.now(mono(4)).store_upper, wall(153));
    }

    #[test]
    fn a_request_sent_after_the_last_reply_is_believed_whatever_it_says() {
        let mut clock = StoreClock::new(Duration::ZERO);
        clock.observe(mono(2), mono(1), WallTime::MAX);
        clock.observe(mono(4), mono(3), wall(7));
        assert_eq!(clock.now(mono(5)).store_upper, wall(9));
    }

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(WallTime::MAX + Duration::MAX, WallTime::MAX);
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
    }
}
