//! Expectations held against metrics.

use std::collections::BTreeMap;

use crate::metrics::Metric;
use crate::metrics::measure::WHOLE_RUN_ONLY;
use crate::outcome::{Expectation, FaultAccount, Value, Verdict};
use crate::scenario::{Expect, Limit};

/// What can be said of one stretch.
pub(crate) struct Measured<'m> {
    pub metrics: &'m BTreeMap<Metric, Value>,
    pub unsupported: &'m [Metric],
    pub faults: &'m [FaultAccount],
}

/// Judges one `[[expect]]`.
pub(crate) fn judge(expect: &Expect, measured: &Measured<'_>) -> Expectation {
    let value = measured.metrics.get(&expect.metric).copied();
    let idle = expect.during.fault.map(|index| &measured.faults[index]).filter(|fault| fault.opportunities == 0);
    let (verdict, note) = match (value, idle) {
        (_, Some(fault)) if !fault.supported => {
            (Verdict::Inconclusive, format!("this version does not simulate {}", fault.kind))
        }
        (_, Some(fault)) => (Verdict::Inconclusive, format!("the fault {:?} had no opportunity", fault.name)),
        (None, None) if measured.unsupported.contains(&expect.metric) => {
            (Verdict::Inconclusive, "this run cannot measure it".into())
        }
        (None, None) if expect.during.name != "run" && WHOLE_RUN_ONLY.contains(&expect.metric) => {
            (Verdict::Inconclusive, "it is measured over the whole run only".into())
        }
        (None, None) => (Verdict::Inconclusive, "there was nothing to measure".into()),
        (Some(value), None) => {
            (if holds(expect.limit, value) { Verdict::Pass } else { Verdict::Violated }, String::new())
        }
    };
    Expectation {
        metric: expect.metric,
        during: expect.during.name.clone(),
        limit: expect.limit,
        value,
        verdict,
        note,
        line: expect.line,
    }
}

/// Whether a value is within a limit. "Never" is infinite.
fn holds(limit: Limit, value: Value) -> bool {
    let value = match value {
        Value::Number(number) => number,
        Value::Never => f64::INFINITY,
    };
    match limit {
        Limit::AtMost(limit) => value <= limit,
        Limit::AtLeast(limit) => value >= limit,
        #[expect(clippy::float_cmp, reason = "equality is what the scenario asks for")]
        Limit::Equals(limit) => value == limit,
        Limit::Between(low, high) => (low..=high).contains(&value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_ends_and_never_exceeds_every_at_most() {
        let number = Value::Number;
        for (limit, value, expected) in [
            (Limit::AtMost(1.0), number(1.0), true),
            (Limit::AtMost(1.0), number(1.01), false),
            (Limit::AtMost(f64::MAX), Value::Never, false),
            (Limit::AtLeast(0.95), number(0.95), true),
            (Limit::AtLeast(0.95), number(0.94), false),
            (Limit::AtLeast(5.0), Value::Never, true),
            (Limit::Equals(0.0), number(0.0), true),
            (Limit::Equals(0.0), number(1.0), false),
            (Limit::Between(2.2, 2.4), number(2.4), true),
            (Limit::Between(2.2, 2.4), number(2.5), false),
            (Limit::Between(2.2, 2.4), Value::Never, false),
        ] {
            assert_eq!(holds(limit, value), expected, "{limit:?} {value:?}");
        }
    }
}
