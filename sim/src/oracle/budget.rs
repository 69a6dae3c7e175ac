//! The retry budget as its settings state it, kept a second time from outside: `LOAD-2`.
//!
//! Owns one bucket for each process and the retries that are put off. A process begins with `retry-budget` tokens. A failed
//! attempt that will be made again takes 14, a throttled one 5; a receipt returns 14 if its grant had failed before, else 1.
//! Where the bucket has too little, the retry waits for its turn on a floor of one a second, but no longer than
//! `backoff-cap`. So over any stretch of `t` seconds the fleet's calls are at most
//!
//! > grants + processes · (`retry-budget` ÷ 5 + t) + receipts · 14 ÷ 5 + open grants · t ÷ `backoff-cap`
//!
//! and each single retry that was put off has a time before which it must not be sent, which is what is checked.
//! It knows only what went over the borders. Its clock is the process's own, since the floor's seconds are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookproof_core::classify::RetryCause;
use hookproof_core::time::Instant;

const TRANSIENT_COST: u32 = 14;
const THROTTLED_COST: u32 = 5;
const FLOOR: Duration = Duration::from_secs(1);

/// One process's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    tokens: u32,
    tokens_max: u32,
    wait_max: Duration,
    floor_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(tokens_max: u32, wait_max: Duration) -> Self {
        Self { tokens: tokens_max, tokens_max, wait_max, floor_at: Instant::ORIGIN }
    }

    /// A retry is to be made. Returns for how long it is put off.
    pub fn take(&mut self, mono: Instant, cause: RetryCause) -> Duration {
        let cost = match cause {
            RetryCause::Transient => TRANSIENT_COST,
            RetryCause::Throttled | RetryCause::InProgress => THROTTLED_COST,
        };
        if self.tokens >= cost {
            self.tokens -= cost;
            return Duration::ZERO;
        }
        let turn = self.floor_at.max(mono) + FLOOR;
        self.floor_at = turn.min(mono + self.wait_max);
        self.floor_at.since(mono)
    }

    /// A receipt was heard.
    pub fn refund(&mut self, is_first: bool) {
        let tokens = if is_first { 1 } else { TRANSIENT_COST };
        self.tokens = self.tokens.saturating_add(tokens).min(self.tokens_max);
    }
}

/// Which requests of one process were asked for under a claim that was not their grant's first: their receipts return more.
///
/// It is the claim at the asking that counts: a process that sleeps between that and the sending, or the answer, may find that
/// the grant has been claimed again meanwhile, by itself or by another. A first attempt leaves no trace.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    /// Users whose last claim by this process was not their grant's first.
    claimed: BTreeSet<u32>,
    /// Requests under way, by token.
    asked: BTreeSet<u64>,
}

impl Repeats {
    /// The store answers a claim of this process.
    pub fn claimed(&mut self, user: u32, is_first: bool) {
        if !is_first {
            self.claimed.insert(user);
        } else if !self.claimed.is_empty() {
            self.claimed.remove(&user);
        }
    }

    /// The process asks for a request.
    pub fn asked(&mut self, user: u32, token: u64) {
        if !self.claimed.is_empty() && self.claimed.remove(&user) {
            self.asked.insert(token);
        }
    }

    /// The process hears how a request ended. Returns whether it was its grant's first attempt.
    pub fn heard(&mut self, token: u64) -> bool {
        self.asked.is_empty() || !self.asked.remove(&token)
    }
}

/// Retries that are put off, by user.
#[derive(Clone, Debug, Default)]
pub struct Postponed(BTreeMap<u32, Instant>);

impl Postponed {
    /// A retry is not to be sent before `until`.
    pub fn put_off(&mut self, user: u32, until: Instant) {
        self.0.insert(user, until);
    }

    /// Whether any retry is put off.
    pub fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Nothing is known of when the retry is due: its claim has lapsed.
    pub fn forget(&mut self, user: u32) {
        if !self.0.is_empty() {
            self.0.remove(&user);
        }
    }

    /// The store has forgotten when anything is due.
    pub fn forget_all(&mut self) {
        self.0.clear();
    }

    /// Until when the request that is sent was put off, if it was.
    pub fn sent(&mut self, user: u32) -> Option<Instant> {
        self.0.remove(&user)
    }
}

#[cfg(test)]
mod tests {
    use hookproof_core::delivery::budget::Budget;

    use super::*;
    use crate::seed::{Concern, Draws, below};

    #[test]
    fn the_second_copy_of_the_budget_agrees_with_the_hooks() {
        let wait_max = Duration::from_secs(20);
        let (mut bucket, mut budget) = (Bucket::new(100, wait_max), Budget::new(100, wait_max));
        let mut now = Instant::ORIGIN;
        let mut waits = 0;
        for step in 0..5_000 {
            let [what, gap] = Draws::new(1).draw(Concern::Answer, 0, step);
            now = now + Duration::from_millis(below(gap, 400));
            match below(what, 4) {
                0 => {
                    let is_first = below(what << 8, 2) == 0;
                    bucket.refund(is_first);
                    budget.refund(if is_first { 1 } else { 2 });
                }
                1 => assert_eq!(
                    bucket.take(now, RetryCause::Throttled),
                    budget.take(now, RetryCause::Throttled).since(now)
                ),
                _ => {
                    let wait = bucket.take(now, RetryCause::Transient);
                    assert_eq!(wait, budget.take(now, RetryCause::Transient).since(now));
                    waits += u32::from(!wait.is_zero());
                }
            }
        }
        assert!(waits > 100, "the bucket was empty {waits} times");
    }

    #[test]
    fn a_request_is_a_repetition_by_the_claim_under_which_it_was_asked_for() {
        let mut repeats = Repeats::default();
        repeats.claimed(1, true);
        repeats.asked(1, 10);
        repeats.claimed(1, false);
        repeats.asked(1, 11);
        assert_eq!((repeats.heard(11), repeats.heard(10)), (false, true));
        repeats.claimed(2, false);
        repeats.claimed(2, true);
        repeats.asked(2, 12);
        assert!(repeats.heard(12), "the store has lost the claim before");
    }

    #[test]
    fn a_retry_that_was_put_off_is_remembered_until_it_is_sent_or_its_claim_lapses() {
        let until = Instant::from_nanos(5);
        let mut postponed = Postponed::default();
        postponed.put_off(1, until);
        postponed.put_off(2, until);
        assert_eq!((postponed.sent(1), postponed.sent(1)), (Some(until), None));
        postponed.forget(2);
        assert_eq!(postponed.sent(2), None);
    }
}
