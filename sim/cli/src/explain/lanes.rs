//! The lanes of the time line.

use std::time::Duration;

use hookproof_reports::{Lane, Length, Marks, Timeline};
use hookproof_sim::demand::{Demand, Slice};
use hookproof_sim::scenario::Scenario;

use super::words::number;
use crate::stretches;

/// Parts of the storm that a rate is given for.
const PARTS: u32 = 200;

pub(super) fn timeline(scenario: &Scenario, demand: &Demand) -> Timeline {
    let storm = scenario.duration;
    let grants = demand.grants_per_user();
    let mut lanes = vec![
        rates("visits /s", storm, demand, |slice| slice.visits),
        rates("new grants /s", storm, demand, |slice| slice.new_users * grants),
    ];
    lanes.extend(stretches::of(scenario).into_iter().map(|stretches| {
        let marks = stretches.at.into_iter().map(|(from, to)| (Length(from), Length(to))).collect();
        Lane { name: stretches.name, marks: Marks::Stretches(marks), note: String::new() }
    }));
    Timeline { storm: Length(storm), calm: Length(scenario.calm), lanes }
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
    Lane { name: name.to_owned(), marks: Marks::Rates(marks), note: String::new() }
}
