//! A deterministic virtual-time world that proves an experiment hook.

pub mod metrics;
pub mod outcome;
pub mod scenario;

use outcome::Outcome;
use scenario::{HookKind, Scenario};

/// Runs one hook through one scenario with one seed. `progress` is called now and then with the share of virtual time
/// that has passed (0 to 1).
pub fn run(_scenario: &Scenario, _hook: HookKind, _seed: u64, _progress: &mut dyn FnMut(f64)) -> Outcome {
    todo!()
}
