//! When a process stops sending altogether: a circuit breaker over a sliding window.
//!
//! After M. Nygard, "Release It!", 2007. Closed: failures are counted over the window. Open: nothing is sent, for a time
//! that doubles with every failed probe. Half-open: one request probes. What is a failure is the lane's to say: throttles and
//! conflicts are none, nor is an answer that a key may have kept.

use std::time::Duration;

use crate::time::{Instant, nanos};

/// Parts of the window that are forgotten one at a time.
const SLICES: usize = 10;

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BreakerConfig {
    /// Length of the sliding window.
    pub window: Duration,
    /// Calls in the window below which it never opens.
    pub min_calls: u32,
    /// Failures ÷ calls from which it opens, in parts per million.
    pub failure_ppm: u32,
    /// How long it stays open at first.
    pub open: Duration,
    /// How long it stays open at most.
    pub open_cap: Duration,
}

/// What the breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Everything.
    Closed,
    /// One request.
    Probe,
    /// Nothing before this time.
    OpenUntil(Instant),
}

/// What a result did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Nothing.
    None,
    /// It opened.
    Opened,
    /// A probe succeeded: it closed.
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Slice {
    number: u64,
    calls: u32,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Closed,
    Open { until: Instant, length: Duration },
    Probing { length: Duration },
}

/// The breaker of one lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breaker {
    config: BreakerConfig,
    slices: [Slice; SLICES],
    state: State,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, slices: [Slice::default(); SLICES], state: State::Closed }
    }

    /// What may be sent at `now`.
    pub fn gate(&self, now: Instant) -> Gate {
        match self.state {
            State::Closed => Gate::Closed,
            State::Open { until, .. } if now < until => Gate::OpenUntil(until),
            State::Open { .. } => Gate::Probe,
            State::Probing { .. } => Gate::OpenUntil(Instant::MAX),
        }
    }

    /// A request goes out. An open breaker whose time is over thereby waits for its result.
    pub fn on_send(&mut self, now: Instant) {
        if let (State::Open { length, .. }, Gate::Probe) = (self.state, self.gate(now)) {
            self.state = State::Probing { length };
        }
    }

    /// The service did what it should, or refused for reasons of its own.
    pub fn on_success(&mut self, now: Instant) -> Change {
        if let State::Probing { .. } = self.state {
            self.state = State::Closed;
            self.slices = [Slice::default(); SLICES];
            return Change::Closed;
        }
        self.slice(now).calls += 1;
        Change::None
    }

    /// An answer that says nothing about the service's health (a throttle, a conflict) frees a probe's place: the next probe may
    /// follow at once.
    pub fn on_neutral(&mut self, now: Instant) {
        if let State::Probing { length } = self.state {
            self.state = State::Open { until: now, length };
        }
    }

    /// The service failed.
    pub fn on_failure(&mut self, now: Instant) -> Change {
        match self.state {
            State::Probing { length } => {
                let length = length.saturating_mul(2).min(self.config.open_cap);
                self.state = State::Open { until: now + length, length };
                Change::Opened
            }
            State::Open { .. } => Change::None,
            State::Closed => {
                let slice = self.slice(now);
                slice.calls += 1;
                slice.failures += 1;
                let (calls, failures) = self.totals(now);
                let over = u64::from(failures) * 1_000_000 >= u64::from(calls) * u64::from(self.config.failure_ppm);
                if calls < self.config.min_calls || !over {
                    return Change::None;
                }
                let length = self.config.open;
                self.state = State::Open { until: now + length, length };
                Change::Opened
            }
        }
    }

    /// The number of the slice of time that holds `now`.
    fn number(&self, now: Instant) -> u64 {
        now.as_nanos() / (nanos(self.config.window) / SLICES as u64).max(1)
    }

    fn slice(&mut self, now: Instant) -> &mut Slice {
        let number = self.number(now);
        #[expect(clippy::cast_possible_truncation, reason = "a remainder below SLICES")]
        let slice = &mut self.slices[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice
    }

    fn totals(&self, now: Instant) -> (u32, u32) {
        let newest = self.number(now);
        self.slices
            .iter()
            .filter(|slice| newest.saturating_sub(slice.number) < SLICES as u64)
            .fold((0, 0), |(calls, failures), slice| (calls + slice.calls, failures + slice.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        window: Duration::from_secs(30),
        min_calls: 20,
        failure_ppm: 500_000,
        open: Duration::from_secs(5),
        open_cap: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(CONFIG);
        for _ in 0..19 {
            assert_eq!(breaker.on_failure(at(100)), Change::None);
        }
        assert_eq!(breaker.on_failure(at(100)), Change::Opened);
        breaker
    }

    #[test]
    fn it_opens_at_half_of_twenty_calls() {
        assert_eq!(opened().gate(at(104)), Gate::OpenUntil(at(105)));
    }

    #[test]
    fn calls_older_than_the_window_do_not_count() {
        let mut breaker = Breaker::new(CONFIG);
        for _ in 0..19 {
            breaker.on_failure(at(100));
        }
        assert_eq!(breaker.on_failure(at(131)), Change::None);
    }

    #[test]
    fn one_probe_decides_and_the_open_time_doubles_up_to_the_cap() {
        let mut breaker = opened();
        let mut now = at(105);
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(breaker.gate(now), Gate::Probe);
            breaker.on_send(now);
            assert_eq!(breaker.gate(now), Gate::OpenUntil(Instant::MAX));
            assert_eq!(breaker.on_failure(now), Change::Opened);
            now = now + Duration::from_secs(seconds);
        }
        breaker.on_send(now);
        assert_eq!(breaker.on_success(now), Change::Closed);
        assert_eq!(breaker.gate(now), Gate::Closed);
    }

    #[test]
    fn a_throttled_probe_neither_closes_nor_blocks_it() {
        let mut breaker = opened();
        breaker.on_send(at(105));
        breaker.on_neutral(at(106));
        assert_eq!(breaker.gate(at(106)), Gate::Probe);
    }
}
