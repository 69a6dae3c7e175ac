//! A lull: in some seeds the storm goes on when all trouble is over, with nothing but ordinary traffic.
//!
//! `LOAD-3` is judged only where the storm outlasts the stated time of recovery and 30 s more. In two minutes full of trouble it
//! hardly ever does.

use std::time::Duration;

use super::chance::Chance;
use crate::scenario::{Fault, Scenario, Traffic, TrafficKind};

/// Share of the seeds that have a lull. At least one seed in twenty is to be judged; half of these may fall out, since the cap
/// on effects, a hard limit, a failover or an ended experiment takes the measure away. And it doubles what such a seed costs.
const PERCENT: u64 = 12;

/// Longest stated time of recovery from the drawn settings: 25 s of an open breaker, 20 s of backoff, 12 s of lease, 5 s of grace,
/// 60 s of refused credentials, 60 s of the cap on effects and 12 s until the limit has grown; and the 30 s over which goodput is
/// looked at. What is left is for the backlog.
const LENGTH: Duration = Duration::from_secs(240);

/// Goodput is measured by who is newly entitled, and a small population is exposed when the lull begins. So there are this many
/// times as many users …
const CROWD: u32 = 20;
/// … who come so much more rarely that new entitlements leave room below the smallest cap on effects, two a second.
const RARER: f64 = 40.0;

/// Lengthens the storm, after the faults were drawn for a shorter one.
///
/// Scheduled restarts are trouble, too, and would go on: there are none.
pub(super) fn draw(scenario: &mut Scenario, chance: Chance) {
    if !chance.of("lull").chance(PERCENT) {
        return;
    }
    let trouble = scenario.duration;
    scenario.duration += LENGTH;
    scenario.fleet.restart = None;
    for traffic in &mut scenario.traffic {
        go_on(traffic, trouble);
    }
    if let Some(users) = &mut scenario.users {
        users.population = users.population.saturating_mul(CROWD);
        if let Some(visits) = &mut users.visits {
            visits.mean /= RARER;
        }
    }
    scenario.faults = scenario.faults.iter().flat_map(|fault| each(fault, trouble)).collect();
}

/// What would have ended with the storm ends with it. A ramp and a trace have a shape of their own.
fn go_on(traffic: &mut Traffic, trouble: Duration) {
    match &mut traffic.kind {
        TrafficKind::Steady { at, length, .. }
        | TrafficKind::Burst { at, length, .. }
        | TrafficKind::Diurnal { at, length, .. } => {
            if *at + *length == trouble {
                *length += LENGTH;
            }
        }
        TrafficKind::Ramp { .. } | TrafficKind::Trace { .. } | TrafficKind::Spike { .. } => {}
    }
}

/// The occurrences of a fault within the first `trouble` of the storm, each a fault of its own: repetitions and what waits for
/// its moment would last to the storm's end.
fn each(fault: &Fault, trouble: Duration) -> Vec<Fault> {
    let waits = fault.waits_until_the_storm_ends();
    let length = |at| if waits { trouble.saturating_sub(at) } else { fault.length };
    fault.starts(trouble).map(|at| Fault { at, length: length(at), every: None, ..fault.clone() }).collect()
}
