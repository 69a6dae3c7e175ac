//! What of a scenario lasts, as it lies in time: for the time line of `explain` and for the charts of a report.

use std::time::Duration;

use hookproof_sim::fault::kind_name;
use hookproof_sim::scenario::{RestartMode, Scenario};

/// Stretches of one lane; repeated ones beyond are a band anyway.
const STRETCHES_MAX: usize = 1_000;

/// Something that lasts, once or again and again.
pub(crate) struct Stretches {
    /// Its name.
    pub(crate) name: String,
    /// A fault's kind, or `traffic`, `restart`, `window`.
    pub(crate) kind: &'static str,
    /// From, and up to but not including, in order.
    pub(crate) at: Vec<(Duration, Duration)>,
}

/// Traffic first, then restarts, faults by their beginning, and windows. The faults must have been placed.
pub(crate) fn of(scenario: &Scenario) -> Vec<Stretches> {
    let storm = scenario.duration;
    let mut all: Vec<Stretches> = Vec::new();
    for traffic in &scenario.traffic {
        let (at, length) = traffic.kind.stretch();
        all.push(stretches(&traffic.name, "traffic", [(at, at + length)]));
    }
    if let Some(restart) = &scenario.fleet.restart {
        let rounds = match restart.mode {
            RestartMode::AllAtOnce => 1,
            RestartMode::Rolling => u32::from(scenario.fleet.instances),
        };
        let starts = (1_u32..).map(|n| restart.every.saturating_mul(n)).take_while(|at| *at < storm);
        all.push(stretches("restarts", "restart", starts.map(|at| (at, at + restart.downtime * rounds))));
    }
    let mut faults: Vec<_> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| fault.at);
    for fault in faults {
        let end = |start: Duration| if fault.waits_until_the_storm_ends() { storm } else { start + fault.lasts() };
        let at = fault.starts(storm).map(|start| (start, end(start)));
        all.push(stretches(&fault.name, kind_name(&fault.kind), at));
    }
    for window in &scenario.windows {
        all.push(stretches(&window.name, "window", [(window.at, window.at + window.length)]));
    }
    all
}

fn stretches(name: &str, kind: &'static str, at: impl IntoIterator<Item = (Duration, Duration)>) -> Stretches {
    Stretches { name: name.to_owned(), kind, at: at.into_iter().take(STRETCHES_MAX).collect() }
}
