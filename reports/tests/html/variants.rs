//! A small record, and what an older version wrote.

use std::collections::BTreeMap;

use hookproof_reports::{
    Ablation, Phases, Removed, Role, Run, RunRecord, Series, Tolerances, Verdict, compare, render_comparison_html,
};

use crate::record::{number, record, run};

/// A judged and a reference hook in four bins, with every key in use.
pub fn small() -> RunRecord {
    record(vec![run("hardened", Role::Judged, 4, 600, 2), run("original", Role::Reference, 4, 600, 2)])
}

/// The same run as an older version wrote it, without the keys that came later.
pub fn older(run: &Run) -> Run {
    Run {
        phases: Phases::default(),
        lanes: Vec::new(),
        series: Series { levels: BTreeMap::new(), ..run.series.clone() },
        capacity_per_second: None,
        restarts: Vec::new(),
        grants_per_user: Vec::new(),
        parked: Vec::new(),
        experiment: None,
        stories: Vec::new(),
        ..run.clone()
    }
}

/// Other runs than a record's, as an older version wrote them.
pub fn older_of(whole: &RunRecord) -> RunRecord {
    let other = |run: &Run| Run { digest: "0".repeat(32), ..older(run) };
    RunRecord { runs: whole.runs.iter().map(other).collect(), ..whole.clone() }
}

/// The small record with what got better, worse and other, and a run that is in it alone.
pub fn changed() -> RunRecord {
    let mut record = small();
    for run in &mut record.runs {
        run.digest = "f".repeat(32);
        run.scenario.digest = "e".repeat(64);
        run.metrics.insert("upstream.amplification".to_owned(), number(1.5));
        run.metrics.insert("over-allocation.users".to_owned(), number(0.5));
        run.metrics.insert("upstream.recovery-seconds".to_owned(), number(11.0));
        run.metrics.insert("exposure.logged".to_owned(), number(7.0));
        run.metrics.remove("hook.errors");
        run.expectations[1].verdict = Verdict::Violated;
        run.invariants[0].violations += 3;
        run.faults[0].effects += 1;
    }
    record.runs.push(Run { seed: 2, ..record.runs[0].clone() });
    record
}

/// The small record with a matrix: one protection without which something breaks, and one without which nothing does.
pub fn ablated() -> RunRecord {
    let complete = small().runs.remove(0);
    let mut broken = complete.clone();
    broken.metrics.insert("over-allocation.users".to_owned(), number(7_423.0));
    broken.invariants[0].violations = 3;
    let removed = |name: &str, run: &Run| Removed {
        name: name.to_owned(),
        means: format!("the hook does without {name}"),
        runs: vec![run.clone()],
    };
    let removed = [removed("stable-key", &broken), removed("jitter", &complete)];
    let ablation = Ablation::of(std::slice::from_ref(&complete), &removed).expect("there is a run");
    RunRecord { ablations: vec![ablation], ..record(vec![complete]) }
}

/// The page of a comparison with one tolerance.
pub fn comparison(before: &RunRecord, after: &RunRecord) -> String {
    let tolerances: Tolerances = [("upstream.amplification".to_owned(), number(50.0))].into();
    render_comparison_html(&compare(before, after, &tolerances), before, after, &tolerances)
}
