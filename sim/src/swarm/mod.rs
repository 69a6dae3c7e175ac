//! Swarms: from one scenario and a seed to another scenario, in which chance has chosen what goes wrong.
//!
//! Owns the choice of faults, their strength, place and repetition, of the fleet, the callers, the store and the quota
//! service. Each seed leaves many kinds of fault out altogether (weight zero) and gives the others random weights, since
//! what one fault shows another one hides: a store that refuses everything lets no reply be lost (A. Groce and others, "Swarm
//! Testing", ISSTA 2012). Restart, clock step and spike may strike at one moment. Knows nothing of how a scenario is run.
//!
//! * `SWARM-1`: nothing is drawn that the promise matrix calls impossible for the drawn capability, but for
//!   `quota.false-ack`, whose victims the scenario excuses by name of the cause.
//! * `SWARM-2`: what is declared of the service and of the store's clock is true. `declare` makes it so, from what was drawn.
//! * `SWARM-3`: what is drawn is a pure function of (base, seed), keyed by what the draw is for.
//!
//! Read next: `tests/promise/swarm.rs`, and "Swarms" in `docs/scenarios.md`.

mod burst;
mod chance;
mod declare;
mod deploy;
mod draw;
mod kinds;
mod lull;
mod surroundings;

use std::collections::BTreeSet;
use std::time::Duration;

use self::chance::Chance;
use self::draw::Frame;
use crate::scenario::{Excuse, Expect, Fault, Scenario, Traffic};

/// The scenario that a swarm makes of `base` under `seed`.
///
/// It keeps the experiment, the quota (but for a hard limit), the users, the steady traffic, the storm (but that a lull lengthens it,
/// with more users who come more rarely) and what is expected, but for expectations about a fault or spike of the base, since those
/// are replaced. Everything else is drawn.
pub fn vary(base: &Scenario, seed: u64) -> Scenario {
    let chance = Chance::new(seed);
    let mut scenario = Scenario { seed, ..base.clone() };
    scenario.faults.clear();
    scenario.traffic.retain(|traffic| traffic.kind.is_open());
    scenario.excuses = vec![Excuse::FalseAck, Excuse::LostExposure];

    surroundings::draw(&mut scenario, chance);
    let frame = Frame::of(&scenario);
    scenario.faults = draw::faults(&frame, chance);
    let bursts = burst::draw(&frame, &scenario, chance);
    scenario.faults.extend(bursts.faults);
    scenario.traffic.extend(bursts.spikes);
    lull::draw(&mut scenario, chance);
    name_all(&mut scenario);
    declare::make_true(&mut scenario, chance);
    keep_expectations(&mut scenario, base);
    scenario
}

/// Names must be unique across faults, traffic and windows; a drawn one gives way.
fn name_all(scenario: &mut Scenario) {
    let mut taken: BTreeSet<String> = scenario.windows.iter().map(|window| window.name.clone()).collect();
    let mut free = |name: &str| {
        let numbered = (2..).map(|n: u32| format!("{name}-{n}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        candidates.find(|candidate| taken.insert(candidate.clone())).expect("one of endlessly many names is free")
    };
    for Traffic { name, .. } in &mut scenario.traffic {
        *name = free(name);
    }
    for Fault { name, .. } in &mut scenario.faults {
        *name = free(name);
    }
}

/// What is expected of a stretch that is still there.
fn keep_expectations(scenario: &mut Scenario, base: &Scenario) {
    let gone: BTreeSet<&str> =
        base.traffic.iter().filter(|traffic| !traffic.kind.is_open()).map(|traffic| traffic.name.as_str()).collect();
    let is_kept = |expect: &Expect| expect.during.fault.is_none() && !gone.contains(expect.during.name.as_str());
    scenario.expects.retain(is_kept);
    // Storm and calm may have become longer; every other stretch lies within the base's storm.
    let (storm, end) = (scenario.duration, scenario.duration + scenario.calm);
    for during in scenario.expects.iter_mut().map(|expect| &mut expect.during) {
        match during.name.as_str() {
            "run" => during.stretches = vec![(Duration::ZERO, end)],
            "storm" => during.stretches = vec![(Duration::ZERO, storm)],
            "calm" => during.stretches = vec![(storm, end)],
            _ => {}
        }
    }
}
