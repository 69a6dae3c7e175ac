//! A trace: arrivals as they were counted, interval by interval.
//!
//! Owns the recorded numbers, shared by whoever clones the scenario. How a file becomes a trace is `decode`'s business, how a
//! trace becomes arrivals `crate::traffic`'s.
//!
//! * `TRACE-1`: intervals follow each other without a gap, none is empty of time, and they hold at least one arrival.

use std::sync::Arc;
use std::time::Duration;

/// What a trace file says.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    file: String,
    intervals: Arc<[Interval]>,
    length: Duration,
}

/// Arrivals from one offset to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Where it begins, in nanoseconds from the trace's start.
    pub offset_ns: u64,
    /// Arrivals in it.
    pub arrivals: u32,
}

impl Trace {
    /// The trace that `file` holds. The last interval is as long as the one before; a single one lasts a second.
    pub(super) fn new(file: String, intervals: Vec<Interval>) -> Self {
        let offsets = || intervals.iter().rev().map(|interval| interval.offset_ns);
        let last = offsets().next().unwrap_or_default();
        let length_ns = offsets().nth(1).map_or(1_000_000_000, |before| last - before);
        Self { file, intervals: intervals.into(), length: Duration::from_nanos(last.saturating_add(length_ns)) }
    }

    /// The file as the scenario names it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The intervals in order.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Where the last interval ends, as recorded.
    pub const fn length(&self) -> Duration {
        self.length
    }

    /// The shortest interval, in nanoseconds.
    pub(super) fn shortest_ns(&self) -> u64 {
        let gap = |pair: &[Interval]| pair[1].offset_ns - pair[0].offset_ns;
        self.intervals.windows(2).map(gap).min().unwrap_or(1_000_000_000)
    }

    /// All arrivals, as recorded.
    pub fn arrivals(&self) -> u64 {
        self.intervals.iter().map(|interval| u64::from(interval.arrivals)).sum()
    }
}

impl std::fmt::Debug for Trace {
    /// Figures, not the million rows.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Trace")
            .field("file", &self.file)
            .field("intervals", &self.intervals.len())
            .field("arrivals", &self.arrivals())
            .field("length", &self.length)
            .finish()
    }
}
