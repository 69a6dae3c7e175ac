//! How long a retry waits: exponential with full jitter.
//!
//! Full jitter (uniform between zero and the exponential bound) spreads a herd best at equal load: M. Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Chance is an argument.

use std::time::Duration;

use crate::time::nanos;

/// A uniform delay in `0 ..= min(cap, base · 2^(attempts − 1))`.
pub fn full_jitter(base: Duration, cap: Duration, attempts: u32, draw: u64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(63);
    let bound = nanos(base).saturating_mul(1 << doublings).min(nanos(cap));
    let scaled = (u128::from(draw) * (u128::from(bound) + 1)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).expect("the upper half of a product with a 64-bit factor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(60);

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        for (attempts, bound_ms) in [(1, 100), (2, 200), (3, 400), (10, 51_200), (11, 60_000), (u32::MAX, 60_000)] {
            assert_eq!(full_jitter(BASE, CAP, attempts, u64::MAX), Duration::from_millis(bound_ms));
            assert_eq!(full_jitter(BASE, CAP, attempts, 0), Duration::ZERO);
        }
    }

    #[test]
    fn the_delay_is_proportional_to_the_draw() {
        assert_eq!(full_jitter(BASE, CAP, 1, 1 << 63), Duration::from_millis(50));
    }
}
