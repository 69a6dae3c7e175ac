//! Roll-outs of new versions: legal changes of the base's experiment, spread so that versions run side by side.

use std::collections::BTreeSet;
use std::time::Duration;

use hookproof_core::experiment::{Experiment, Exposed, Phase, Spec, change};

use super::chance::{Chance, Stream};
use super::draw::Frame;
use crate::scenario::{Fault, FaultKind, Placement, Probability, Targets};

/// Up to two roll-outs, one after the other.
///
/// None beside a failover that loses commits: what is lost may be exposed again under the version of that time, and to another
/// variant, which is a precondition of the promise and no failure of it (`docs/promise.md`).
pub(super) fn draw(frame: &Frame, faults: &[Fault], chance: Chance) -> Vec<Fault> {
    let mut stream = chance.of("process.deploy");
    let count = if stream.chance(75) { 0 } else { stream.count(1, 2) };
    let loses = |fault: &Fault| matches!(fault.kind, FaultKind::StoreFailover { lost, .. } if !lost.is_zero());
    if faults.iter().any(loses) {
        return Vec::new();
    }
    let mut before = frame.experiment.clone();
    let mut deploys = Vec::new();
    for n in 1..=count {
        let room = frame.storm / count.max(1);
        let Some(after) = changed(&before, n, &mut stream) else { continue };
        let length = if stream.chance(30) { Duration::ZERO } else { stream.span(room / 20, room / 2) };
        let at = room * (n - 1) + stream.span(Duration::ZERO, room.saturating_sub(length) / 2);
        let kind =
            FaultKind::ProcessDeploy { version: after.version().to_owned(), experiment: Box::new(after.clone()) };
        deploys.push(Fault {
            name: "process.deploy".into(),
            kind,
            at,
            placement: Placement::Fixed,
            length,
            every: None,
            probability: Probability::ONE,
            on: if stream.chance(80) { Targets::All } else { frame.some_instances(&mut stream) },
        });
        before = after;
    }
    deploys
}

/// A ramp, a re-weighting, or both; one in four blocks who was exposed before, one in ten takes in nobody any more. Nothing if the
/// core refuses it.
fn changed(before: &Experiment, n: u32, stream: &mut Stream) -> Option<Experiment> {
    let mut spec: Spec = before.spec().clone();
    spec.lineage.get_or_insert_with(|| before.id().to_owned());
    spec.salt.get_or_insert_with(|| before.id().to_owned());
    spec.operations = BTreeSet::new();
    spec.version = format!("{}-swarm-{n}", before.version());
    let [ramps, reweights] = stream.pick([[true, false], [false, true], [true, true]]);
    if ramps {
        spec.coverage_ppm = stream.count(1, 20) * 50_000;
    }
    if reweights {
        for variant in &mut spec.variants {
            variant.weight = stream.count(1, 100);
        }
    }
    if stream.chance(25) {
        spec.exposed = Exposed::Block;
        spec.generation = spec.generation.saturating_add(1);
    }
    if stream.chance(10) {
        spec.phase = Phase::Ended;
    }
    let after = Experiment::new(spec).ok()?;
    change::between(before, &after).ok()?;
    Some(after)
}
