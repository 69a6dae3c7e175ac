//! Durations counted with three significant digits, from a nanosecond to ten minutes.

use std::time::Duration;

use hdrhistogram::Histogram;

/// What a longer one counts as.
const LONGEST: Duration = Duration::from_secs(600);

/// Counted durations. Quantiles are those of Tene's HdrHistogram: the value below which so many lie, within a thousandth.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("ten minutes are less than 584 years");
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are permitted"))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantile `share`, of 0 to 1; `None` of nothing.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.0.value_at_quantile(share)))
    }

    /// The longest; `None` of nothing.
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.0.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        (1..=1_000).for_each(|micros| latency.record(Duration::from_micros(micros)));
        for (share, micros) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let quantile = latency.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!((quantile / micros - 1.0).abs() < 0.002, "{share}: {quantile}");
        }
        assert_eq!(latency.count(), 1_000);
        latency.record(Duration::from_secs(3_600));
        assert!(latency.max().unwrap() >= Duration::from_secs(599));
    }
}
