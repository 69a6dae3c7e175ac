//! Correlated trouble: at one moment the fleet restarts, its clocks jump, and everybody comes at once.

use std::time::Duration;

use super::chance::Chance;
use super::draw::Frame;
use crate::scenario::{
    ClockShift, Fault, FaultKind, Placement, Probability, Scenario, Selection, Targets, Traffic, TrafficKind,
};

/// Spikes and faults that a seed adds.
pub(super) struct Bursts {
    pub(super) faults: Vec<Fault>,
    pub(super) spikes: Vec<Traffic>,
}

/// Up to two bursts, and up to two spikes of their own.
pub(super) fn draw(frame: &Frame, scenario: &Scenario, chance: Chance) -> Bursts {
    let mut bursts = Bursts { faults: Vec::new(), spikes: Vec::new() };
    let has_arrivals = !scenario.traffic.is_empty() || scenario.users.as_ref().is_some_and(|u| u.visits.is_some());
    let mut stream = chance.of("bursts");
    let count = stream.pick([0, 0, 1, 1, 2]);
    for n in 1..=count {
        let mut stream = chance.of(&format!("burst {n}"));
        let downtime = stream.ms(0, 4_000);
        let length = stream.ms(2_000, 15_000).min(frame.storm / 4);
        let at = stream.span(Duration::ZERO, frame.storm.saturating_sub(length.max(downtime)));
        let by = ClockShift::forward(stream.ms(500, 7_200_000));
        let by = if stream.chance(70) { by.reversed() } else { by };
        let point = |what: &str, kind| Fault {
            name: format!("burst-{n}-{what}"),
            kind,
            at,
            placement: Placement::Fixed,
            length: Duration::ZERO,
            every: None,
            probability: Probability::ONE,
            on: Targets::All,
        };
        bursts.faults.push(point("step", FaultKind::ClockStep { by }));
        bursts.faults.push(point("restart", FaultKind::ProcessCrash { downtime, when: None }));
        if has_arrivals {
            let factor = f64::from(stream.count(2, 12));
            let kind = TrafficKind::Spike { at, length, factor };
            bursts.spikes.push(Traffic { name: format!("burst-{n}-spike"), kind, selection: Selection::UNIFORM });
        }
    }
    let mut stream = chance.of("spikes");
    for n in 1..=stream.pick([0, 0, 0, 1, 2]) {
        let length = stream.span(frame.storm / 60, frame.storm / 6);
        let at = stream.span(Duration::ZERO, frame.storm.saturating_sub(length));
        let factor = f64::from(stream.pick([0, 2, 5, 10]));
        if has_arrivals {
            let kind = TrafficKind::Spike { at, length, factor };
            bursts.spikes.push(Traffic { name: format!("spike-{n}"), kind, selection: Selection::UNIFORM });
        }
    }
    bursts
}
