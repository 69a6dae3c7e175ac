//! The process's monotonic clock.

use hookproof_core::time::Instant;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// It runs while the machine sleeps: a lease that ended meanwhile must be seen to have ended. Elsewhere than on Linux there is no
/// such clock, and a machine that sleeps with the hook on it breaks the rule.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A clock that starts at [`Instant::ORIGIN`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootClock {
    origin: u64,
}

impl BootClock {
    pub(crate) fn start() -> Self {
        Self { origin: nanos(clock_gettime(CLOCK)) }
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(nanos(clock_gettime(CLOCK)).saturating_sub(self.origin))
    }
}

/// Nanoseconds since the machine was started, which is never negative.
fn nanos(time: Timespec) -> u64 {
    time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.unsigned_abs())
}
