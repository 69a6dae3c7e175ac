//! What the hardened hook may rely on, and what it promises against each fault of the file.

use std::collections::BTreeMap;

use hookproof_core::promise::{Hazard, Offer, promise};
use hookproof_reports::Promise;
use hookproof_sim::hazards;
use hookproof_sim::scenario::{Capability, Scenario, UpstreamFacts};

use super::words::{length, list};

/// What is no fault, but how things are.
const SETTINGS: &str = "the settings";

/// The rows of the matrix that apply, by cause.
pub(super) fn of(scenario: &Scenario) -> Vec<Promise> {
    let offer = scenario.upstream.believed.capability;
    let of_faults = scenario
        .faults
        .iter()
        .flat_map(|fault| hazards::of_fault(scenario, fault).into_iter().map(|hazard| row(&fault.name, offer, hazard)));
    let standing = hazards::standing(scenario).into_iter().map(|hazard| row(SETTINGS, offer, hazard));
    of_faults.chain(standing).collect()
}

fn row(cause: &str, offer: Offer, hazard: Hazard) -> Promise {
    Promise {
        cause: cause.to_owned(),
        hazard: hazard.name().to_owned(),
        says: hazard.says().to_owned(),
        verdict: promise(offer, hazard).name().to_owned(),
    }
}

pub(super) fn lines(scenario: &Scenario, promises: &[Promise]) -> Vec<String> {
    let (truth, believed) = (scenario.upstream.truth, scenario.upstream.believed);
    let capability = believed.capability;
    let mut lines =
        vec![format!("It takes the service for one with {}: it {}.", capability.name(), capability.policy())];
    lines.extend(window(scenario));
    lines.extend(false_beliefs(truth, believed));

    // One line for each verdict and hazard, with all that can bring it about.
    let mut causes: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for promise in promises {
        let key = (promise.verdict.as_str(), promise.hazard.as_str(), promise.says.as_str());
        let of_row = causes.entry(key).or_default();
        if !of_row.contains(&promise.cause.as_str()) {
            of_row.push(&promise.cause);
        }
    }
    if causes.is_empty() {
        lines.push("Nothing in the file puts a grant in doubt.".to_owned());
    }
    for ((verdict, hazard, says), causes) in causes {
        lines.push(format!("{hazard}: {verdict} ({says}; by {}).", list(&causes)));
    }
    lines
}

/// For how long it may repeat itself.
fn window(scenario: &Scenario) -> Option<String> {
    let (window, believed) = (hazards::key_window(scenario)?, scenario.upstream.believed);
    let [ttl, lifetime, error] =
        [believed.key_ttl, believed.request_lifetime, scenario.store.clock_error * 2].map(length);
    let margin = format!("{ttl} less {lifetime} that a request may be under way and {error} that the clock may err");
    if window.is_zero() {
        return Some(format!("Its keys are never certain to be known ({margin}): what is in doubt is parked at once."));
    }
    Some(format!(
        "A grant in doubt is asked for again with the same key until {} after its first send ({margin}); then it is parked.",
        length(window)
    ))
}

fn false_beliefs(truth: UpstreamFacts, believed: UpstreamFacts) -> Vec<String> {
    let mut lines = Vec::new();
    if truth.capability != believed.capability {
        let (truth, believed) = (truth.capability.name(), believed.capability.name());
        let text =
            format!("In truth the service is one with {truth}, not {believed}: what is said below does not hold");
        lines.push(format!("{text}, unless the truth offers more."));
    }
    let keys = [
        ("key-ttl", truth.key_ttl, believed.key_ttl, truth.capability == Capability::IdempotencyKey),
        ("read-back-lag", truth.read_back_lag, believed.read_back_lag, truth.capability == Capability::ReadBack),
        ("request-lifetime", truth.request_lifetime, believed.request_lifetime, true),
    ];
    for (key, truth, believed, matters) in keys {
        if truth != believed && matters {
            lines.push(format!("It believes {key} to be {}; in truth it is {}.", length(believed), length(truth)));
        }
    }
    lines
}
