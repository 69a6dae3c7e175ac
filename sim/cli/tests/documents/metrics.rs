//! The names of metrics are the same in the two places that have them: the simulator, which measures, and the report, which
//! says what they mean.

use std::collections::BTreeSet;

use hookproof_sim::metrics::Metric;

#[test]
fn the_report_defines_every_metric_of_the_simulator_and_no_other() {
    let measured: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let defined: BTreeSet<&str> = hookproof_reports::defined_metrics().collect();
    assert_eq!(defined, measured);
}
