//! How many requests may be in flight: additive increase, multiplicative decrease.
//!
//! AIMD after D. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
//! Networks", 1989. Fixed point (1/65,536), no floats: the state is hashed and compared. The fleet's limits are divided by
//! the number of instances; an instance always may have one request in flight.
//!
//! * `LOAD-1`: in flight ≤ limit; asserted by `Delivery` at every send.

/// One request, in fixed point.
const ONE: u32 = 1 << 16;

/// The adaptive limit of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limiter {
    limit: u32,
    limit_max: u32,
}

impl Limiter {
    /// This instance's share of the fleet's initial limit and maximum. All arguments are at least 1.
    pub fn new(initial_fleet: u16, max_fleet: u16, instances: u16) -> Self {
        let share = |fleet: u16| (u32::from(fleet) * ONE / u32::from(instances.max(1))).max(ONE);
        let limit_max = share(max_fleet);
        Self { limit: share(initial_fleet).min(limit_max), limit_max }
    }

    /// Whole requests that may be in flight.
    pub fn slots(&self) -> u16 {
        u16::try_from(self.limit >> 16).expect("a u32 shifted by 16 fits in u16")
    }

    /// A success with `in_flight` requests under way, itself included: one more per limit's worth of successes, unless
    /// less than half of the limit is in use (then the limit is not what holds the load back).
    pub fn on_success(&mut self, in_flight: u16) {
        if u64::from(in_flight) * 2 * u64::from(ONE) >= u64::from(self.limit) {
            // ONE² ÷ limit: one more request after as many successes as the limit has places.
            let step = u32::try_from(u64::from(ONE) * u64::from(ONE) / u64::from(self.limit)).expect("at most ONE");
            self.limit = (self.limit + step).min(self.limit_max);
        }
    }

    /// A timeout: nine tenths.
    pub fn on_timeout(&mut self) {
        self.limit = (self.limit / 10 * 9).max(ONE);
    }

    /// Begins again from one request: after an outage the upstream is cold.
    pub fn slow_start(&mut self) {
        self.limit = ONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleets_limit_is_divided_and_never_below_one() {
        assert_eq!(Limiter::new(4, 64, 1).slots(), 4);
        assert_eq!(Limiter::new(4, 64, 4).slots(), 1);
        let mut limiter = Limiter::new(4, 64, 32);
        for _ in 0..1_000 {
            limiter.on_success(2);
        }
        assert_eq!(limiter.slots(), 2);
        assert_eq!(Limiter::new(4, 64, 1_000).slots(), 1);
    }

    #[test]
    fn it_grows_by_about_one_per_limits_worth_of_successes() {
        let mut limiter = Limiter::new(10, 64, 1);
        for _ in 0..11 {
            limiter.on_success(10);
        }
        assert_eq!(limiter.slots(), 11);
    }

    #[test]
    fn it_does_not_grow_while_under_half_is_used() {
        let mut limiter = Limiter::new(10, 64, 1);
        for _ in 0..1_000 {
            limiter.on_success(4);
        }
        assert_eq!(limiter.slots(), 10);
    }

    #[test]
    fn any_number_in_flight_is_compared_without_overflow() {
        let mut limiter = Limiter::new(u16::MAX, u16::MAX, 1);
        limiter.on_success(u16::MAX);
        assert_eq!(limiter.slots(), u16::MAX);
    }

    #[test]
    fn timeouts_shrink_it_to_one_and_not_below() {
        let mut limiter = Limiter::new(64, 64, 1);
        limiter.on_timeout();
        assert_eq!(limiter.slots(), 57);
        for _ in 0..100 {
            limiter.on_timeout();
        }
        assert_eq!(limiter.slots(), 1);
    }
}
