//! What something was over time, in the bins of a run's series: the least and the greatest of each.
//!
//! A level that lasts a nanosecond is in its bin, so a chart of many days hides no single violation. It judges nothing and
//! no metric is made of it.

use std::collections::BTreeMap;

use crate::outcome::Level;

/// What has a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`name` says it")]
pub enum Gauged {
    Backlog,
    CallsPerSecond,
    InFlight,
    Queued,
    OverAllocatedUsers,
    FleetLimit,
    BreakersOpen,
}

impl Gauged {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Backlog,
        Self::CallsPerSecond,
        Self::InFlight,
        Self::Queued,
        Self::OverAllocatedUsers,
        Self::FleetLimit,
        Self::BreakersOpen,
    ];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::CallsPerSecond => "calls-per-second",
            Self::InFlight => "in-flight",
            Self::Queued => "queued",
            Self::OverAllocatedUsers => "over-allocated-users",
            Self::FleetLimit => "fleet-limit",
            Self::BreakersOpen => "breakers-open",
        }
    }

    /// What it is before anything has happened; `None` where that is not known.
    const fn at_first(self) -> Option<i64> {
        match self {
            Self::FleetLimit => None,
            Self::Backlog
            | Self::CallsPerSecond
            | Self::InFlight
            | Self::Queued
            | Self::OverAllocatedUsers
            | Self::BreakersOpen => Some(0),
        }
    }
}

/// One level over time.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// What it is; `None` until it is known.
    value: Option<i64>,
    /// The least and the greatest of each bin so far.
    bins: Vec<Option<(i64, i64)>>,
}

impl Gauge {
    const fn new(value: Option<i64>) -> Self {
        Self { value, bins: Vec::new() }
    }

    /// It is `value` from here on, a moment of the bin `bin`; bins never go back.
    #[inline]
    pub fn set(&mut self, bin: usize, value: i64) {
        if self.bins.len() <= bin {
            self.last_until(bin);
        }
        self.value = Some(value);
        let (least, greatest) = self.bins[bin].get_or_insert((value, value));
        *least = (*least).min(value);
        *greatest = (*greatest).max(value);
    }

    /// It has been what it was up to and into `bin`.
    #[cold]
    fn last_until(&mut self, bin: usize) {
        self.bins.resize(bin + 1, self.value.map(|value| (value, value)));
    }

    fn level(&self, bins: usize) -> Level {
        let mut whole = self.clone();
        if let Some(last) = bins.checked_sub(1).filter(|last| whole.bins.len() <= *last) {
            whole.last_until(last);
        }
        let of = |part: fn((i64, i64)) -> i64| whole.bins.iter().take(bins).map(|bin| bin.map(part)).collect();
        Level { least: of(|(least, _)| least), greatest: of(|(_, greatest)| greatest) }
    }
}

/// All levels of a run.
#[derive(Clone, Debug)]
pub struct Levels {
    gauges: [Gauge; Gauged::ALL.len()],
    /// Microseconds by which the wall clock of each instance, then of the store and of the quota service, is ahead.
    clocks: Vec<Gauge>,
}

impl Levels {
    /// Nothing has happened yet to a fleet of so many instances.
    pub fn new(instances: u16) -> Self {
        Self {
            gauges: Gauged::ALL.map(|gauged| Gauge::new(gauged.at_first())),
            clocks: vec![Gauge::new(Some(0)); usize::from(instances) + 2],
        }
    }

    /// See [`Gauge::set`].
    #[inline]
    pub fn set(&mut self, gauged: Gauged, bin: usize, value: i64) {
        self.gauges[gauged as usize].set(bin, value);
    }

    /// How far each clock is ahead, in microseconds, in the order of their names.
    pub fn set_clocks(&mut self, bin: usize, ahead_us: impl Iterator<Item = i64>) {
        for (gauge, ahead_us) in self.clocks.iter_mut().zip(ahead_us) {
            gauge.set(bin, ahead_us);
        }
    }

    /// By name, each of so many bins. What was never known is left out, and so are clocks that were always right.
    pub fn named(&self, bins: usize) -> BTreeMap<String, Level> {
        let gauges = Gauged::ALL.into_iter().zip(&self.gauges).filter(|(_, gauge)| gauge.value.is_some());
        let gauges = gauges.map(|(gauged, gauge)| (gauged.name().to_owned(), gauge.level(bins)));
        let instances = self.clocks.len() - 2;
        let names = (1..=instances).map(|number| format!("app-{number}")).chain(["store".into(), "quota".into()]);
        let is_wrong = |gauge: &Gauge| gauge.bins.iter().flatten().any(|bin| *bin != (0, 0));
        let clocks = names.zip(&self.clocks).filter(|(_, gauge)| is_wrong(gauge));
        gauges.chain(clocks.map(|(name, gauge)| (format!("clock-offset-us.{name}"), gauge.level(bins)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_lasts_a_moment_is_seen_and_one_that_lasts_fills_the_bins_between() {
        let mut gauge = Gauge::new(Some(0));
        gauge.set(1, 5);
        gauge.set(1, 2);
        gauge.set(4, 3);
        let level = gauge.level(6);
        assert_eq!(level.least, [0, 0, 2, 2, 2, 3].map(Some));
        assert_eq!(level.greatest, [0, 5, 2, 2, 3, 3].map(Some));
    }

    #[test]
    fn what_is_not_known_at_first_has_no_level_until_it_is() {
        let mut gauge = Gauge::new(None);
        gauge.set(2, 64);
        assert_eq!(gauge.level(4).least, [None, None, Some(64), Some(64)]);
        let levels = Levels::new(1).named(3);
        assert!(!levels.contains_key("fleet-limit") && !levels.contains_key("clock-offset-us.app-1"));
        assert_eq!(levels["backlog"].greatest, [Some(0); 3]);
    }
}
