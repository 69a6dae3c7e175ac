//! A scenario and outcomes for tests of the commands that run scenarios: nothing is simulated.

use std::collections::BTreeMap;

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Role, Series, Value, Verdict};
use hookproof_sim::scenario::{HookKind, decode};

use crate::scenarios::Loaded;

const SCENARIO: &str = r#"
    schema = 1
    title = "Nothing is simulated here"
    duration = "60s"
    hooks = ["original", "hardened"]
    experiment = { id = "x", variant = [{ name = "a", weight = 1 }, { name = "b", weight = 1, grant = 25 }] }
    users = { population = 10, visits = { mean = 1, per = "60s" } }
"#;

/// The scenario, as a file of that name.
pub(crate) fn file(name: &str) -> Loaded {
    let path = format!("{name}.toml");
    Loaded { scenario: decode(name, &path, SCENARIO.as_bytes()).expect("it is valid"), path }
}

/// What a run might have come to, with this many users above their cap.
pub(crate) fn outcome(hook: HookKind, seed: u64, users: f64) -> Outcome {
    Outcome {
        hook,
        role: Role::Judged,
        seed,
        digest: 7,
        verdict: Verdict::Pass,
        metrics: BTreeMap::from([(Metric::OverAllocationUsers, Value::Number(users))]),
        unsupported: Vec::new(),
        expectations: Vec::new(),
        invariants: Vec::new(),
        faults: Vec::new(),
        reached: BTreeMap::new(),
        grants_parked: 0,
        series: Series::default(),
        capacity_per_second: None,
        restarts: Vec::new(),
        grants_per_user: BTreeMap::new(),
        latency_us: Vec::new(),
        worst_users: Vec::new(),
        parked: Vec::new(),
        experiment: None,
        hook_calls: 1,
        calls_answered: 1,
        events: 0,
    }
}
