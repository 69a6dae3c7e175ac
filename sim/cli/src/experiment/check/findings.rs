//! What a reviewer would ask about an experiment that is valid.

use hookproof_core::experiment::{Experiment, HashSpec};

use crate::explain::words::percent;

/// What scenarios have where they name no namespace.
const NAMESPACE_OF_SCENARIOS: &str = "sim";

/// Fewer bytes of a secret can be guessed.
const SECRET_BYTES_MIN: usize = 32;

/// A variant with a smaller share of all users tells little.
const SHARE_MIN: f64 = 0.01;

/// Something that is permitted, and perhaps not meant.
pub(super) struct Warning {
    /// Its name, for scripts.
    pub(super) id: &'static str,
    pub(super) cause: String,
    pub(super) remedy: &'static str,
}

/// All warnings, in a fixed order.
pub(super) fn warnings(experiment: &Experiment) -> Vec<Warning> {
    [identity(experiment), hash(experiment), reach(experiment), arms(experiment)].into_iter().flatten().collect()
}

fn warning(id: &'static str, cause: impl Into<String>, remedy: &'static str) -> Warning {
    Warning { id, cause: cause.into(), remedy }
}

fn identity(experiment: &Experiment) -> Vec<Warning> {
    let mut found = Vec::new();
    if experiment.namespace() == NAMESPACE_OF_SCENARIOS {
        let cause = format!("the namespace is {NAMESPACE_OF_SCENARIOS:?}, the default of scenarios");
        let remedy = "name the deployment, such as `namespace = \"production\"`, so that no other shares its grants";
        found.push(warning("default-namespace", cause, remedy));
    }
    if experiment.spec().lineage.is_none() {
        let remedy = "write `lineage` down; with it the experiment can be renamed without a second grant for anybody";
        found.push(warning("default-lineage", "the lineage is the experiment's id, by default", remedy));
    }
    found
}

fn hash(experiment: &Experiment) -> Vec<Warning> {
    match &experiment.spec().hash {
        HashSpec::Sha256V1 => {
            let cause = "the hash has no key: whoever can choose a user id can choose a variant";
            let remedy =
                "use `hash = \"hmac-sha256-v1\"` with a secret of 32 random bytes, unless ids are given out by you";
            vec![warning("unkeyed-hash", cause, remedy)]
        }
        HashSpec::HmacSha256V1 { secret } if secret.len() < SECRET_BYTES_MIN => {
            let cause = format!("the secret has {} bytes and may be guessed", secret.len());
            vec![warning("short-secret", cause, "use at least 32 random bytes")]
        }
        HashSpec::HmacSha256V1 { .. } => Vec::new(),
    }
}

fn reach(experiment: &Experiment) -> Vec<Warning> {
    let mut found = Vec::new();
    if experiment.is_ended() {
        let remedy = "write `phase = \"running\"` if it is to take in users";
        found.push(warning("ended", "the experiment has ended: nobody new is exposed", remedy));
    } else if experiment.coverage_ppm() == 0 {
        found.push(warning("nobody", "the coverage is 0: nobody takes part", "raise `coverage`"));
    }
    if experiment.blocks_exposed() {
        let cause = format!("users exposed before generation {} see the baseline", experiment.generation());
        found.push(warning("blocks-exposed", cause, "leave it so if that is meant; it can't be lifted"));
    }
    found
}

fn arms(experiment: &Experiment) -> Vec<Warning> {
    let total: f64 = experiment.variants().iter().map(|variant| f64::from(variant.weight)).sum();
    let coverage = f64::from(experiment.coverage_ppm()) / 1e6;
    let mut found = Vec::new();
    for variant in experiment.variants().iter().filter(|variant| variant.weight > 0) {
        let share = f64::from(variant.weight) / total * coverage;
        if coverage > 0.0 && share < SHARE_MIN {
            let cause = format!("{:?} gets {} of all users, too few to tell much", variant.name, percent(share));
            found.push(warning("tiny-arm", cause, "raise its `weight`, or `coverage`"));
        }
    }
    let gets_users = |has_grant: bool| {
        experiment.variants().iter().any(|variant| variant.weight > 0 && variant.grant.is_some() == has_grant)
    };
    if !gets_users(true) {
        let cause = "no user is treated: no variant with a `grant` has a weight";
        found.push(warning("no-treatment", cause, "add `grant` to the treatment, or give it a weight"));
    }
    if !gets_users(false) {
        let cause = "no user is a control: every variant with a weight has a `grant`";
        found.push(warning("no-control", cause, "add a variant without `grant` and give it a weight"));
    }
    found
}
