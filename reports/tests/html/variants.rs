//! A small record, and what an older version wrote.

use std::collections::BTreeMap;

use hookproof_reports::{Phases, Role, Run, RunRecord, Series};

use crate::record::{record, run};

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
        stories: Vec::new(),
        ..run.clone()
    }
}
