//! The experiment in words: shares, treatments, how users are drawn, and what deploys change.

use hookproof_core::assignment::HashMode;
use hookproof_core::experiment::Experiment;
use hookproof_sim::scenario::{FaultKind, Scenario};

use super::change;
use super::words::{counted, grouped, length, list, percent};

pub(super) fn lines(scenario: &Scenario) -> Vec<String> {
    let experiment = &scenario.experiment;
    let mut lines = vec![head(experiment), shares(scenario, experiment), identity(experiment)];
    let mut deploys: Vec<_> = scenario
        .faults
        .iter()
        .filter_map(|fault| {
            let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind else { return None };
            Some((fault, experiment))
        })
        .collect();
    deploys.sort_by_key(|(fault, _)| fault.at);
    let mut before = experiment;
    for (fault, after) in deploys {
        let over = if fault.length.is_zero() { "at once".to_owned() } else { format!("over {}", length(fault.length)) };
        lines.push(format!(
            "At {} version {:?} is rolled out {over}: {}",
            length(fault.at),
            after.version(),
            change::sentence(before, after)
        ));
        before = after;
    }
    lines
}

fn head(experiment: &Experiment) -> String {
    let taking_part = match (experiment.is_ended(), experiment.coverage_ppm()) {
        (true, _) => "it has ended: nobody new is exposed".to_owned(),
        (false, 1_000_000) => "everybody takes part".to_owned(),
        (false, ppm) => format!("{} of the users take part", percent(f64::from(ppm) / 1e6)),
    };
    let blocked = if experiment.blocks_exposed() {
        format!("; users exposed before generation {} see the baseline", experiment.generation())
    } else {
        String::new()
    };
    format!("{:?}, version {:?}: {taking_part}{blocked}.", experiment.id(), experiment.version())
}

fn shares(scenario: &Scenario, experiment: &Experiment) -> String {
    let total: f64 = experiment.variants().iter().map(|variant| f64::from(variant.weight)).sum();
    let variants: Vec<String> = experiment
        .variants()
        .iter()
        .map(|variant| {
            let share = percent(f64::from(variant.weight) / total);
            match &variant.grant {
                Some(grant) => {
                    let units = grouped(f64::from(grant.units));
                    format!(
                        "{share} {:?} (a treatment: {units} {} more, effect {:?})",
                        variant.name, scenario.quota.unit, grant.effect
                    )
                }
                None => format!("{share} {:?}", variant.name),
            }
        })
        .collect();
    let quota = &scenario.quota;
    let limit = quota.hard_limit.map_or_else(
        || "no hard limit".to_owned(),
        |limit| format!("the service refuses beyond {}", grouped(f64::from(limit))),
    );
    let base = grouped(f64::from(quota.base));
    format!("Of those: {}. A user starts with {base} {}; {limit}.", list(&variants), quota.unit)
}

fn identity(experiment: &Experiment) -> String {
    let hash = match experiment.mode() {
        HashMode::Sha256V1 => "a plain hash of the salt",
        HashMode::HmacSha256V1 => "a hash keyed with a secret, over the salt",
    };
    let variants = counted(experiment.variants().len(), "variant");
    format!(
        "{variants}, drawn by {hash} {:?} ({}). Grants are identified by {:?}: whoever got one in this lineage gets no second.",
        experiment.salt(),
        experiment.mode().name(),
        experiment.framed_lineage()
    )
}
