//! `at = "random"`: the seed says when a fault starts first.
//!
//! Owns the rule: uniform over all starts from which the fault still ends within the storm, and with `every` over those of one
//! period, which makes it a phase. The draw is keyed by the fault's name, so that it moves no other fault.

use std::borrow::Cow;
use std::time::Duration;

use hookproof_core::time::nanos;
use xxhash_rust::xxh3::xxh3_64;

use super::{Fault, Placement, Scenario};
use crate::seed::{Concern, Draws, below};

impl Scenario {
    /// The scenario as `seed` places its faults; what `during` says of such a fault follows it. Every run begins with this.
    pub fn placed(&self, seed: u64) -> Cow<'_, Self> {
        let is_random = |fault: &&mut Fault| fault.placement == Placement::Random;
        if self.faults.iter().all(|fault| fault.placement == Placement::Fixed) {
            return Cow::Borrowed(self);
        }
        let mut placed = self.clone();
        for fault in placed.faults.iter_mut().filter(is_random) {
            fault.at = first_start(fault, self.duration, Draws::new(seed));
        }
        for during in placed.expects.iter_mut().map(|expect| &mut expect.during) {
            if let Some(fault) = during.fault.map(|index| &placed.faults[index]) {
                during.stretches = fault.stretches(self.duration);
            }
        }
        Cow::Owned(placed)
    }
}

fn first_start(fault: &Fault, storm: Duration, draws: Draws) -> Duration {
    let latest = storm.saturating_sub(fault.lasts().max(Duration::from_nanos(1)));
    let latest = fault.every.map_or(latest, |every| latest.min(every.saturating_sub(Duration::from_nanos(1))));
    let [draw, _] = draws.draw(Concern::Placement, xxh3_64(fault.name.as_bytes()), 0);
    Duration::from_nanos(below(draw, nanos(latest).saturating_add(1)))
}
