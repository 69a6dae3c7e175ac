//! The lanes of the time line.

use std::time::Duration;

use hookproof_reports::{Lane, Length, Marks, Timeline};
use hookproof_sim::demand::{Demand, Slice};
use hookproof_sim::scenario::{RestartMode, Scenario};

use super::words::number;

/// Parts of the storm that a rate is given for.
const PARTS: u32 = 200;

/// Stretches of one lane; repeated ones beyond are a band anyway.
const STRETCHES_MAX: usize = 1_000;

pub(super) fn timeline(scenario: &Scenario, demand: &Demand) -> Timeline {
    let storm = scenario.duration;
    let grants = demand.grants_per_user();
    let mut lanes = vec![
        rates("visits /s", storm, demand, |slice| slice.visits),
        rates("new grants /s", storm, demand, |slice| slice.new_users * grants),
    ];
    lanes.extend(scenario.traffic.iter().map(|traffic| {
        let (at, length) = traffic.kind.stretch();
        stretches(&traffic.name, [(at, at + length)])
    }));
    if let Some(restart) = &scenario.fleet.restart {
        let rounds = match restart.mode {
            RestartMode::AllAtOnce => 1,
            RestartMode::Rolling => u32::from(scenario.fleet.instances),
        };
        let starts = (1_u32..).map(|n| restart.every.saturating_mul(n)).take_while(|at| *at < storm);
        lanes.push(stretches("restarts", starts.map(|at| (at, at + restart.downtime * rounds))));
    }
    let mut faults: Vec<_> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| fault.at);
    lanes.extend(faults.into_iter().map(|fault| {
        let end = |start: Duration| if fault.waits_until_the_storm_ends() { storm } else { start + fault.lasts() };
        stretches(&fault.name, fault.starts(storm).map(|start| (start, end(start))))
    }));
    lanes.extend(
        scenario.windows.iter().map(|window| stretches(&window.name, [(window.at, window.at + window.length)])),
    );
    Timeline { storm: Length(storm), calm: Length(scenario.calm), lanes }
}

fn stretches(name: &str, stretches: impl IntoIterator<Item = (Duration, Duration)>) -> Lane {
    let stretches = stretches.into_iter().take(STRETCHES_MAX);
    let marks = stretches.map(|(from, to)| (Length(from), Length(to))).collect();
    Lane { name: name.to_owned(), marks: Marks::Stretches(marks) }
}

fn rates(name: &str, storm: Duration, demand: &Demand, count: impl Fn(&Slice) -> f64) -> Lane {
    let width = storm.as_secs_f64() / f64::from(PARTS);
    let mut counts = vec![0.0; PARTS as usize];
    for slice in &demand.slices {
        let (from, to) = (slice.from.as_secs_f64(), slice.to.as_secs_f64());
        let rate = count(slice) / (to - from);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the storm's few")]
        let (first, last) = ((from / width) as usize, (to / width) as usize);
        for (part, sum) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = to.min((part + 1) as f64 * width) - from.max(part as f64 * width);
            *sum += rate * overlap.max(0.0);
        }
    }
    let marks = counts.into_iter().map(|count| number(count / width)).collect();
    Lane { name: name.to_owned(), marks: Marks::Rates(marks) }
}
