//! Which way of a metric is the better one.

/// What a change of a metric means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Less is better: harm, load, delay.
    Lower,
    /// More is better.
    Higher,
    /// Nearer to zero is better.
    Nearer,
    /// A change says nothing by itself: more visits, or a p-value that a sound experiment draws anew.
    Neither,
}

/// Every metric, in the order of records and tables.
pub const DIRECTIONS: [(&str, Direction); 43] = [
    ("over-allocation.worst-ratio", Direction::Lower),
    ("over-allocation.worst-cap-ratio", Direction::Lower),
    ("over-allocation.users", Direction::Lower),
    ("over-allocation.units", Direction::Lower),
    ("over-allocation.monthly-cost-usd", Direction::Lower),
    ("over-allocation.max-grants", Direction::Lower),
    ("under-allocation.users", Direction::Lower),
    ("undelivered.users", Direction::Lower),
    ("wrong-allocation.users", Direction::Lower),
    ("assignment.mismatch-users", Direction::Lower),
    ("group-switching.users", Direction::Lower),
    ("group-switching.rate", Direction::Lower),
    ("group-switching.restart-rate", Direction::Lower),
    ("group-switching.restart-rate-returning", Direction::Lower),
    ("upstream.attempts", Direction::Lower),
    ("upstream.calls", Direction::Lower),
    ("upstream.amplification", Direction::Lower),
    ("upstream.peak-rps", Direction::Lower),
    ("upstream.mean-rps", Direction::Lower),
    ("upstream.goodput", Direction::Higher),
    ("upstream.goodput-ratio", Direction::Higher),
    ("upstream.overload-seconds", Direction::Lower),
    ("upstream.recovery-seconds", Direction::Lower),
    ("hook.latency-p50-us", Direction::Lower),
    ("hook.latency-p99-us", Direction::Lower),
    ("hook.latency-p999-us", Direction::Lower),
    ("hook.latency-max-us", Direction::Lower),
    ("hook.errors", Direction::Lower),
    ("hook.provisional", Direction::Lower),
    ("grant.delay-p50-ms", Direction::Lower),
    ("grant.delay-p99-ms", Direction::Lower),
    ("grant.delay-max-ms", Direction::Lower),
    ("grant.backlog-peak", Direction::Lower),
    ("grant.parked", Direction::Lower),
    ("grant.rejected", Direction::Lower),
    ("exposure.logged", Direction::Neither),
    ("exposure.duplicates", Direction::Lower),
    ("experiment.srm-p", Direction::Neither),
    ("experiment.contaminated-rate", Direction::Lower),
    ("experiment.lift-bias", Direction::Nearer),
    ("store.writes-per-grant", Direction::Lower),
    ("audit.unexplained", Direction::Lower),
    ("audit.unexposed-effects", Direction::Lower),
];

/// The better way of a metric; [`Direction::Neither`] for one that a later version brought.
pub(super) fn of(metric: &str) -> Direction {
    DIRECTIONS.iter().find(|(name, _)| *name == metric).map_or(Direction::Neither, |(_, direction)| *direction)
}
