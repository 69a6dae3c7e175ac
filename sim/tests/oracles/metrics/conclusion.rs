//! What the experiment would have concluded, of a scenario in which a lift of 0.5 is planted.

use hookproof_sim::outcome::Experiment;
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

fn experiment(hook: HookKind) -> Experiment {
    let source = include_bytes!("../../../../scenarios/requirements/metrics.toml");
    let scenario = decode("metrics", "metrics.toml", source).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario, hook, scenario.seed, &mut |_| {}).experiment.expect("somebody is exposed")
}

/// Standard errors between the estimate and the planted lift.
fn errors_off(experiment: &Experiment) -> f64 {
    let lift = experiment.lift.expect("a lift is planted");
    (lift.estimated - lift.planted) / lift.standard_error.expect("the groups are large")
}

/// Users switch after their first exposure, so the sample ratio is sound, and the experiment is not.
#[test]
fn no_test_of_the_sample_ratio_sees_the_users_who_switch_and_the_interval_misses_the_truth() {
    let published = experiment(HookKind::Published);
    assert!(2 * published.contaminated > published.exposed, "{published:?}");
    for p in [published.srm_p, published.srm_sequential_p] {
        assert!(p.is_some_and(|p| p > 0.001), "{published:?}");
    }
    assert_eq!(published.srm_exact_p, None, "thousands are expected in each arm");
    assert!(errors_off(&published) < -10.0, "{published:?}");
}

#[test]
fn without_contamination_the_interval_holds_the_planted_lift() {
    let hardened = experiment(HookKind::Hardened);
    assert_eq!(hardened.contaminated, 0);
    assert!(errors_off(&hardened).abs() < 1.96, "{hardened:?}");
    let exposed: u64 = hardened.arms.iter().map(|arm| arm.exposed).sum();
    let expected: f64 = hardened.arms.iter().map(|arm| arm.expected).sum();
    assert_eq!(exposed, hardened.exposed);
    assert!((expected - exposed as f64).abs() < 1e-6, "{expected} {exposed}");
}
