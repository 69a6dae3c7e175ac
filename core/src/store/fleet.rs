//! What the processes of a fleet share about one destination: limit, effect cap and pause.
//!
//! Owns one row of the store. That row is the fleet's only authority on how many requests may be under way: a claim is given
//! no more grants than the limit leaves beside those that are claimed already, whoever holds them, so many small fleets of
//! one limiter each cannot add up to a stampede, and a process that dies gives its part back when its leases end. What the
//! attempts met comes in with their settlements. It is soft state: a store may lose it and begin again from the initial limit.
//!
//! AIMD after D. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
//! Networks", 1989. Fixed point (1/65,536), no floats: the state is hashed and compared.
//!
//! * `LOAD-1`: claimed ≤ limit whenever a claim is granted; asserted by [`super::Image`].

use std::time::Duration;

use crate::time::{WallTime, nanos};

/// One request, in fixed point.
const ONE: u32 = 1 << 16;
/// The effect cap counts by whole minutes of the store's clock.
const MINUTE: Duration = Duration::from_secs(60);

/// The fleet's limits, as its processes are configured; each claim carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetLimits {
    /// Requests in flight at first; at least 1.
    pub initial_in_flight: u16,
    /// Requests in flight at most; at least 1.
    pub max_in_flight: u16,
    /// Claims in a whole minute of the store's clock at most, whatever becomes of them; at least 1.
    pub effects_per_minute: u32,
}

/// What an attempt met, as far as the fleet's limit is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Load {
    /// Nothing that tells of load.
    #[default]
    Unknown,
    /// An answer in time.
    Answered,
    /// No answer in time.
    TimedOut,
}

/// Why a claim was given fewer grants than were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// As many requests are under way as the fleet may have.
    Full,
    /// The service has asked to be left alone until this time.
    Paused(WallTime),
    /// The cap on effects a minute is reached until this time.
    Capped(WallTime),
}

/// The row. A store that keeps it elsewhere reads and writes all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fleet {
    /// Requests that the fleet may have under way, in 65,536ths of one; 0 before the first claim.
    pub limit: u32,
    /// The last claim's [`FleetLimits::max_in_flight`].
    pub max_in_flight: u16,
    /// The last claim's [`FleetLimits::effects_per_minute`].
    pub effects_per_minute: u32,
    /// Nothing is given out before this time: the service said so.
    pub paused_until: WallTime,
    /// Start of the minute in which claims are counted.
    pub minute_start: WallTime,
    /// Claims in it.
    pub claimed_in_minute: u32,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            limit: 0,
            max_in_flight: u16::MAX,
            effects_per_minute: u32::MAX,
            paused_until: WallTime::UNIX_EPOCH,
            minute_start: WallTime::UNIX_EPOCH,
            claimed_in_minute: 0,
        }
    }
}

impl Fleet {
    /// Takes over the limits that a claim carries.
    pub fn configure(&mut self, limits: FleetLimits) {
        let max_in_flight = limits.max_in_flight.max(1);
        if self.limit == 0 {
            self.limit = u32::from(limits.initial_in_flight.max(1)) * ONE;
        }
        self.limit = self.limit.min(u32::from(max_in_flight) * ONE);
        self.max_in_flight = max_in_flight;
        self.effects_per_minute = limits.effects_per_minute.max(1);
    }

    /// What holds a claim back at `now` while `claimed` grants are claimed.
    pub fn hold(&self, now: WallTime, claimed: u64) -> Option<Hold> {
        if now < self.paused_until {
            Some(Hold::Paused(self.paused_until))
        } else if now < self.capped_until() {
            Some(Hold::Capped(self.capped_until()))
        } else if self.is_full(claimed) {
            Some(Hold::Full)
        } else {
            None
        }
    }

    /// How many further requests may be under way beside `claimed` grants.
    pub fn room(&self, claimed: u64) -> u64 {
        if self.limit == 0 { u64::MAX } else { u64::from(self.limit >> 16).saturating_sub(claimed) }
    }

    /// Whether no further request may be under way beside `claimed` grants.
    pub fn is_full(&self, claimed: u64) -> bool {
        self.room(claimed) == 0
    }

    /// Before this time nothing is given out, whatever is under way.
    pub fn opens_at(&self) -> WallTime {
        self.paused_until.max(self.capped_until())
    }

    /// A grant is claimed.
    pub fn on_claim(&mut self, now: WallTime) {
        if now.since(self.minute_start) >= MINUTE {
            let minute = nanos(MINUTE);
            self.minute_start = WallTime::from_unix_nanos(now.as_unix_nanos() / minute * minute);
            self.claimed_in_minute = 0;
        }
        self.claimed_in_minute += 1;
    }

    /// An attempt has ended while `claimed` grants were claimed, itself included; nobody sends for `pause`.
    ///
    /// One request more for as many answers as the limit has places, unless less than half of it is in use (then the limit
    /// is not what holds the load back); nine tenths at a timeout.
    pub fn on_settled(&mut self, now: WallTime, claimed: u64, load: Load, pause: Duration) {
        if !pause.is_zero() {
            self.paused_until = self.paused_until.max(now + pause);
        }
        match load {
            Load::Answered if self.limit > 0 && claimed.saturating_mul(2 * u64::from(ONE)) >= u64::from(self.limit) => {
                let step = u64::from(ONE) * u64::from(ONE) / u64::from(self.limit);
                let limit_max = u32::from(self.max_in_flight) * ONE;
                self.limit = self.limit.saturating_add(u32::try_from(step).unwrap_or(ONE)).min(limit_max);
            }
            Load::TimedOut if self.limit > 0 => self.limit = (self.limit / 10 * 9).max(ONE),
            Load::Unknown | Load::Answered | Load::TimedOut => {}
        }
    }

    /// Whole requests that the fleet may have under way; 0 before the first claim.
    pub fn limit(&self) -> u16 {
        u16::try_from(self.limit >> 16).expect("a u32 shifted by 16 fits in u16")
    }

    fn capped_until(&self) -> WallTime {
        if self.claimed_in_minute >= self.effects_per_minute {
            self.minute_start + MINUTE
        } else {
            WallTime::UNIX_EPOCH
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_nanos(90_000_000_000);

    fn fleet(initial_in_flight: u16) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.configure(FleetLimits { initial_in_flight, max_in_flight: 64, effects_per_minute: 3 });
        fleet
    }

    fn answered(fleet: &mut Fleet, times: usize, claimed: u64) {
        for _ in 0..times {
            fleet.on_settled(NOW, claimed, Load::Answered, Duration::ZERO);
        }
    }

    #[test]
    fn it_grows_by_about_one_per_limits_worth_of_answers_up_to_the_maximum() {
        let mut fleet = fleet(10);
        answered(&mut fleet, 11, 10);
        assert_eq!(fleet.limit(), 11);
        answered(&mut fleet, 100_000, 64);
        assert_eq!(fleet.limit(), 64);
    }

    #[test]
    fn it_does_not_grow_while_under_half_is_used() {
        let mut fleet = fleet(10);
        answered(&mut fleet, 1_000, 4);
        assert_eq!(fleet.limit(), 10);
    }

    #[test]
    fn timeouts_shrink_it_to_one_and_not_below() {
        let mut fleet = fleet(64);
        fleet.on_settled(NOW, 64, Load::TimedOut, Duration::ZERO);
        assert_eq!(fleet.limit(), 57);
        for _ in 0..100 {
            fleet.on_settled(NOW, 64, Load::TimedOut, Duration::ZERO);
        }
        assert_eq!(fleet.limit(), 1);
        assert!(!fleet.is_full(0) && fleet.is_full(1));
    }

    #[test]
    fn the_cap_holds_until_the_minute_ends() {
        let mut fleet = fleet(10);
        let minute_end = WallTime::from_unix_nanos(120_000_000_000);
        (0..3).for_each(|_| fleet.on_claim(NOW));
        assert_eq!(fleet.hold(NOW, 3), Some(Hold::Capped(minute_end)));
        assert_eq!(fleet.opens_at(), minute_end);
        assert_eq!(fleet.hold(minute_end, 3), None);
    }

    #[test]
    fn a_pause_holds_everybody_and_only_grows() {
        let mut fleet = fleet(10);
        fleet.on_settled(NOW, 1, Load::Unknown, Duration::from_secs(30));
        fleet.on_settled(NOW, 1, Load::Unknown, Duration::from_secs(10));
        assert_eq!(fleet.hold(NOW, 0), Some(Hold::Paused(NOW + Duration::from_secs(30))));
        assert_eq!(fleet.hold(NOW + Duration::from_secs(30), 0), None);
    }

    #[test]
    fn limits_that_change_are_taken_over_without_growth() {
        let mut fleet = fleet(10);
        let limits = FleetLimits { initial_in_flight: 4, max_in_flight: 2, effects_per_minute: 1 };
        fleet.configure(limits);
        assert_eq!(fleet.limit(), 2);
        fleet.configure(FleetLimits { max_in_flight: u16::MAX, ..limits });
        assert_eq!(fleet.limit(), 2);
    }
}
