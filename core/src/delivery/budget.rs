//! How many retries a process may cause: a token bucket that only postpones.
//!
//! Every retry takes tokens, every success returns some. An empty bucket does not drop a retry: it is put on a floor of
//! one retry a second, so a budget that only success could refill cannot starve a lane (nor rewrite the same row over and
//! over while it waits: `LOAD-4`).

use std::time::Duration;

use crate::classify::RetryCause;
use crate::time::Instant;

/// What a transient failure's retry costs.
const TRANSIENT_COST: u32 = 14;
/// What a throttled request's retry costs.
const THROTTLED_COST: u32 = 5;
/// The spacing of retries that an empty bucket lets through.
const FLOOR_SPACING: Duration = Duration::from_secs(1);

/// The bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    tokens: u32,
    tokens_max: u32,
    wait_max: Duration,
    floor_at: Instant,
}

impl Budget {
    /// A full bucket of `tokens_max` tokens; no retry is put off longer than `wait_max`, or a long queue for the floor
    /// would outlast the keys' windows.
    pub const fn new(tokens_max: u32, wait_max: Duration) -> Self {
        Self { tokens: tokens_max, tokens_max, wait_max, floor_at: Instant::ORIGIN }
    }

    /// Takes what a retry costs and returns the earliest time it may go out.
    pub fn take(&mut self, now: Instant, cause: RetryCause) -> Instant {
        let cost = match cause {
            RetryCause::Transient => TRANSIENT_COST,
            RetryCause::Throttled | RetryCause::InProgress => THROTTLED_COST,
        };
        if let Some(rest) = self.tokens.checked_sub(cost) {
            self.tokens = rest;
            return now;
        }
        self.floor_at = (self.floor_at.max(now) + FLOOR_SPACING).min(now + self.wait_max);
        self.floor_at
    }

    /// A success returns one token, and what a retry had cost if it was one.
    pub fn refund(&mut self, attempts: u32) {
        let tokens = if attempts > 1 { TRANSIENT_COST } else { 1 };
        self.tokens = self.tokens.saturating_add(tokens).min(self.tokens_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_postpones_to_one_retry_a_second_and_drops_none() {
        let mut budget = Budget::new(28, Duration::from_secs(3));
        let now = Instant::from_nanos(5_000_000_000);
        let times: Vec<_> = (0..7).map(|_| budget.take(now, RetryCause::Transient).since(now).as_secs()).collect();
        assert_eq!(times, [0, 0, 1, 2, 3, 3, 3]);
    }

    #[test]
    fn success_refills_up_to_the_maximum() {
        let mut budget = Budget::new(14, Duration::from_secs(60));
        let now = Instant::ORIGIN;
        assert_eq!(budget.take(now, RetryCause::Transient), now);
        assert!(budget.take(now, RetryCause::Throttled) > now);
        budget.refund(2);
        budget.refund(1);
        assert_eq!(budget.take(now, RetryCause::Transient), now);
        assert!(budget.take(now, RetryCause::Transient) > now);
    }
}
