//! What each metric means, in one sentence, and in which unit it is read. The simulator's list of metrics has the same
//! names, which a test of the command line holds.

use crate::number::Number;
use crate::table::text::{grouped, whole};

use super::words::{micros, seconds};

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Ratio,
    Share,
    Dollars,
    PerSecond,
    Seconds,
    Millis,
    Micros,
}

impl Unit {
    /// The value for people: a few digits and the unit.
    pub(crate) fn show(self, value: Number) -> String {
        let Some(value) = value.value() else { return "never".to_owned() };
        match self {
            Self::Count if value >= 0.0 && value.fract() == 0.0 => grouped(whole(value)),
            Self::Count | Self::Ratio => digits(value),
            Self::Share => format!("{} %", digits(value * 100.0)),
            Self::Dollars => format!("${}", if value < 1_000.0 { format!("{value:.2}") } else { digits(value) }),
            Self::PerSecond => format!("{}/s", digits(value)),
            Self::Seconds => seconds(value),
            Self::Millis => micros(value * 1e3),
            Self::Micros => micros(value),
        }
    }
}

/// Four significant digits; a large number in full, and what is not zero never as zero.
pub(crate) fn digits(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => "0".to_owned(),
        _ if size >= 1e15 => format!("{value:.3e}"),
        _ if size >= 1_000.0 => grouped(whole(size)),
        _ if size >= 100.0 => format!("{size:.1}"),
        _ if size >= 10.0 => format!("{size:.2}"),
        _ if size >= 1.0 => format!("{size:.3}"),
        _ if size >= 0.001 => format!("{size:.4}"),
        _ => return "under 0.001".to_owned(),
    };
    let text = if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text.as_str()
    };
    if value < 0.0 { format!("\u{2212}{text}") } else { text.to_owned() }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    pub(crate) metric: &'static str,
    pub(crate) unit: Unit,
    pub(crate) means: &'static str,
}

/// The definition of a metric; `None` for one of another version.
pub(crate) fn definition(metric: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.metric == metric)
}

/// The unit of a metric; a ratio's plain digits for one that is not known.
pub(crate) fn unit(metric: &str) -> Unit {
    definition(metric).map_or(Unit::Ratio, |definition| definition.unit)
}

/// The names of the metrics whose definition a report can show, in alphabetical order.
pub fn defined_metrics() -> impl Iterator<Item = &'static str> {
    DEFINITIONS.iter().map(|definition| definition.metric)
}

const fn d(metric: &'static str, unit: Unit, means: &'static str) -> Definition {
    Definition { metric, unit, means }
}

const DEFINITIONS: [Definition; 43] = [
    d(
        "assignment.mismatch-users",
        Unit::Count,
        "users whose recorded variant differs from an independent computation of the specified hash",
    ),
    d("audit.unexplained", Unit::Count, "effects that no call explains, and successful answers without an effect"),
    d("audit.unexposed-effects", Unit::Count, "effects of users who had not been exposed when the effect came"),
    d(
        "experiment.contaminated-rate",
        Unit::Share,
        "users in both groups, or first exposed to a control and with an effect, ÷ exposed users",
    ),
    d("experiment.lift-bias", Unit::Share, "(estimated − true lift) ÷ true lift"),
    d(
        "experiment.srm-p",
        Unit::Ratio,
        "p-value of a sample-ratio mismatch: how likely so uneven a split is if the weights hold",
    ),
    d("exposure.duplicates", Unit::Count, "exposure records beyond the first of a user"),
    d("exposure.logged", Unit::Count, "exposure records: that a user met the variant"),
    d("grant.backlog-peak", Unit::Count, "most grants that were owed and neither delivered, parked nor rejected"),
    d(
        "grant.delay-max-ms",
        Unit::Millis,
        "longest time from a user's first, treated exposure to the first effect; never if one has none",
    ),
    d("grant.delay-p50-ms", Unit::Millis, "median of that time over entitled users"),
    d("grant.delay-p99-ms", Unit::Millis, "99th percentile of that time"),
    d("grant.parked", Unit::Count, "grants set aside by the hook, with evidence, for a human"),
    d("grant.rejected", Unit::Count, "grants that the quota service refused for good"),
    d("group-switching.rate", Unit::Share, "users who saw two variants ÷ exposed users"),
    d(
        "group-switching.restart-rate",
        Unit::Share,
        "users whose variant after a restart differs from that before ÷ users seen on either side of it; the mean over restarts",
    ),
    d("group-switching.restart-rate-returning", Unit::Share, "the same ÷ users seen on both sides of it"),
    d("group-switching.users", Unit::Count, "users who saw two variants"),
    d("hook.errors", Unit::Count, "tries answered with an error, refused, reset, or not answered before the deadline"),
    d(
        "hook.latency-max-us",
        Unit::Micros,
        "longest wait of a visit, from its intended start to its answer or the caller's leaving",
    ),
    d("hook.latency-p50-us", Unit::Micros, "median of a visit's wait"),
    d("hook.latency-p99-us", Unit::Micros, "99th percentile of a visit's wait"),
    d("hook.latency-p999-us", Unit::Micros, "99.9th percentile of a visit's wait"),
    d(
        "hook.provisional",
        Unit::Count,
        "visits answered without a durable record: nobody is exposed, nothing is granted",
    ),
    d("over-allocation.max-grants", Unit::Count, "largest number of effects that one user received"),
    d(
        "over-allocation.monthly-cost-usd",
        Unit::Dollars,
        "what is held above the intended caps × utilisation × price, a month",
    ),
    d("over-allocation.units", Unit::Count, "sum of what users hold above their own intended caps"),
    d(
        "over-allocation.users",
        Unit::Count,
        "users who hold more than their own intended cap: base + grant if their first exposure was a treatment, else base",
    ),
    d(
        "over-allocation.worst-cap-ratio",
        Unit::Ratio,
        "most that one user holds ÷ (base + largest grant), one cap for all",
    ),
    d(
        "over-allocation.worst-ratio",
        Unit::Ratio,
        "most that was asked for one user, refused for a hard limit included, ÷ that user's own intended cap",
    ),
    d("store.writes-per-grant", Unit::Ratio, "rows written by claims and settlements ÷ grants"),
    d("undelivered.users", Unit::Count, "entitled users without an effect, parked and rejected grants included"),
    d(
        "under-allocation.users",
        Unit::Count,
        "entitled users without an effect, whose grant was not parked or rejected",
    ),
    d(
        "upstream.amplification",
        Unit::Ratio,
        "calls ÷ entitled users with a call or an effect: 1 is no more than needed",
    ),
    d("upstream.attempts", Unit::Count, "requests sent to the quota service"),
    d("upstream.calls", Unit::Count, "those of them that may have arrived"),
    d(
        "upstream.goodput",
        Unit::PerSecond,
        "first effects of entitled users while somebody still wanted the answer, a second",
    ),
    d("upstream.goodput-ratio", Unit::Ratio, "such effects ÷ new entitlements"),
    d("upstream.mean-rps", Unit::PerSecond, "calls ÷ length of the storm"),
    d(
        "upstream.overload-seconds",
        Unit::Seconds,
        "seconds in which more requests waited than the service can do in one second",
    ),
    d("upstream.peak-rps", Unit::PerSecond, "most calls in a whole second of the run"),
    d(
        "upstream.recovery-seconds",
        Unit::Seconds,
        "from the end of the last fault or spike until goodput keeps up with new entitlements for 30 s",
    ),
    d("wrong-allocation.users", Unit::Count, "users who were first exposed to a control and hold an effect"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_in_order_and_each_metric_has_one() {
        assert!(DEFINITIONS.is_sorted_by(|one, other| one.metric < other.metric));
    }

    #[test]
    fn a_value_is_read_with_its_unit_and_no_harm_is_rounded_away() {
        let cases = [
            (Unit::Count, 7_423.0, "7,423"),
            (Unit::Ratio, 2.4, "2.4"),
            (Unit::Ratio, 0.000_1, "under 0.001"),
            (Unit::Ratio, -0.5, "−0.5"),
            (Unit::Share, 0.127_655, "12.77 %"),
            (Unit::Dollars, 13_886.25, "$13,886"),
            (Unit::Dollars, 0.0, "$0.00"),
            (Unit::PerSecond, 0.003_475, "0.0035/s"),
            (Unit::Seconds, 90.0, "90 s"),
            (Unit::Millis, 531.455, "531.5 ms"),
            (Unit::Micros, 812.0, "812 µs"),
        ];
        for (unit, value, text) in cases {
            assert_eq!(unit.show(Number::finite(value).unwrap()), text);
        }
        assert_eq!(Unit::Seconds.show(Number::NEVER), "never");
    }
}
