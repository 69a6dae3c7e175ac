//! Which faults strike, when, how long, how often, and whom.

use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::promise::{Hazard, Offer, Verdict, promise};

use super::chance::{Chance, Stream};
use super::kinds::{KINDS, Kind};
use crate::scenario::{Fault, FaultKind, Placement, Probability, Scenario, Target, Targets};
use crate::seed::exponential;

/// The most kinds of fault that strike beside the bursts.
const KINDS_MAX: u64 = 12;

/// Largest weight of a kind that is not left out.
const WEIGHT_MAX: u64 = 9;

/// What a draw of faults depends on.
pub(super) struct Frame {
    /// What the service truly offers, and what the hook believes of it: the promise of both must hold.
    offers: [Offer; 2],
    pub(super) storm: Duration,
    pub(super) instances: u16,
    pub(super) experiment: Experiment,
}

impl Frame {
    pub(super) fn of(scenario: &Scenario) -> Self {
        Self {
            offers: [scenario.upstream.truth.capability, scenario.upstream.believed.capability],
            storm: scenario.duration,
            instances: scenario.fleet.instances,
            experiment: scenario.experiment.clone(),
        }
    }

    /// Whether the promise stands against `hazard`.
    pub(super) fn bears(&self, hazard: Hazard) -> bool {
        self.offers.iter().all(|offer| promise(*offer, hazard) != Verdict::Impossible)
    }

    /// A random part of the instances, or all.
    pub(super) fn some_instances(&self, stream: &mut Stream) -> Targets {
        if self.instances == 1 || stream.chance(50) {
            return Targets::All;
        }
        let first = stream.between(0, u64::from(self.instances) - 1);
        let count = stream.between(1, u64::from(self.instances) - 1);
        let target = |n| Target::Instance(u16::try_from(n % u64::from(self.instances)).unwrap_or_default());
        Targets::Only((first..first + count).map(target).collect())
    }
}

/// What a kind makes of its stream: the fault without its place in time.
pub(super) struct Drawn {
    pub(super) kind: FaultKind,
    pub(super) on: Targets,
    pub(super) length: Length,
}

/// How long a drawn fault lasts, and whether it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// A point that keeps something busy for so long.
    Point(Duration),
    /// A stretch of about a tenth of the storm, at most this long.
    Stretch { most: Duration },
    /// A stretch that comes once and lasts so long.
    Once(Duration),
    /// Until the storm ends, at the first opportunity.
    Waiting,
}

/// The faults of one seed, bursts excepted.
pub(super) fn faults(frame: &Frame, chance: Chance) -> Vec<Fault> {
    let mut candidates: Vec<(f64, &Kind)> = KINDS
        .iter()
        .filter(|kind| kind.hazards.iter().all(|hazard| frame.bears(*hazard)))
        .filter_map(|kind| Some((rank(kind, frame, chance)?, kind)))
        .collect();
    candidates.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let count = usize::try_from(chance.of("number of faults").between(0, KINDS_MAX)).unwrap_or_default();
    let struck: Vec<&Kind> = candidates.into_iter().take(count).map(|(_, kind)| kind).collect();
    // In the table's order, so that a seed's faults are read in the same order as the documentation's.
    let mut faults: Vec<Fault> = Vec::new();
    for kind in KINDS.iter().filter(|kind| struck.iter().any(|struck| struck.name == kind.name)) {
        let mut stream = chance.of(kind.name);
        let drawn = (kind.draw)(frame, &mut stream);
        faults.push(place(kind.name, drawn, frame.storm, &mut stream));
    }
    let deploys = super::deploy::draw(frame, &faults, chance);
    faults.extend(deploys);
    faults
}

/// The place of a kind in the order of choice: exponential with the kind's weight as its rate, so that the first n of them are
/// a weighted sample without replacement (P. Efraimidis and P. Spirakis, 2006). Nothing for a kind of weight zero: half of them.
///
/// A lag is met by a read alone, and a read is made after doubt alone, under one offer of four: where it can be met it is left
/// out less often, or hardly a seed in fifty would meet it.
fn rank(kind: &Kind, frame: &Frame, chance: Chance) -> Option<f64> {
    let mut stream = chance.of(&format!("weight of {}", kind.name));
    let is_sought = kind.name == "quota.key-lag" && frame.offers[0] == Offer::ReadBack;
    let (left_out, times) = if is_sought { (20, 4) } else { (50, 1) };
    let weight = if stream.chance(left_out) { 0 } else { times * stream.between(1, WEIGHT_MAX) };
    (weight > 0).then(|| exponential(stream.word()) / weight as f64)
}

/// Puts a fault into the storm.
fn place(name: &str, drawn: Drawn, storm: Duration, stream: &mut Stream) -> Fault {
    let Drawn { kind, on, length } = drawn;
    let is_certain = stream.chance(40);
    let probability = if is_certain { Probability::ONE } else { stream.percent(5, 90) };
    let timing = match length {
        Length::Point(busy) => repeated(busy.max(Duration::from_millis(1)), storm, stream),
        Length::Stretch { most } => {
            let length = stream.span(Duration::from_millis(200), most.min(storm / 3));
            repeated(length, storm, stream)
        }
        Length::Once(length) => {
            let at = stream.span(Duration::ZERO, storm.saturating_sub(length));
            Timing { at, length, every: None }
        }
        Length::Waiting => {
            let at = stream.span(Duration::ZERO, storm * 3 / 4);
            Timing { at, length: Duration::ZERO, every: None }
        }
    };
    let length = if let Length::Point(_) = length { Duration::ZERO } else { timing.length };
    Fault {
        name: name.into(),
        kind,
        at: timing.at,
        placement: Placement::Fixed,
        length,
        every: timing.every,
        probability,
        on,
    }
}

struct Timing {
    at: Duration,
    length: Duration,
    every: Option<Duration>,
}

/// Once, or several times with more peace between them than trouble.
fn repeated(length: Duration, storm: Duration, stream: &mut Stream) -> Timing {
    let fits = (storm.as_nanos() / (3 * length).as_nanos().max(1)).min(8);
    let most = u64::try_from(fits).unwrap_or(1).max(1);
    let times = if stream.chance(50) { 1 } else { stream.between(1, most) };
    let period = storm / u32::try_from(times).unwrap_or(1);
    let at = stream.span(Duration::ZERO, period.saturating_sub(length + Duration::from_millis(1)));
    Timing { at, length, every: (times > 1).then_some(period) }
}
