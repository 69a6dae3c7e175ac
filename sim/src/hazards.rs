//! Which hazards of the promise matrix a scenario's faults and beliefs amount to.
//!
//! Owns the mapping from a fault with its parameters to rows of [`hookproof_core::promise`]. The verdicts are the core's
//! alone. It tells what a fault *can* come to: a fault that meets nothing harms nobody. Where a fault's length decides (a
//! stall within the request's lifetime or beyond it), what the hook believes is the measure, since its guards go by that.
//!
//! No time, no chance. Tests: below.

use std::time::Duration;

use hookproof_core::promise::Hazard;

use crate::scenario::{
    Authority, Capability, ClockShift, Fault, FaultKind, Moment, Probability, Profile, Scenario, Target, Targets,
};

/// What a fault of `scenario` can come to; nothing where nothing is in doubt after it.
pub fn of_fault(scenario: &Scenario, fault: &Fault) -> Vec<Hazard> {
    let mut hazards = of_kind(scenario, fault);
    let is_total = fault.probability == Probability::ONE;
    if is_total && keeps_requests_away(&fault.kind) && outlasts_the_window(scenario, fault.lasts()) {
        hazards.push(Hazard::OutlastedWindow);
    }
    hazards
}

/// What the scenario's settings come to by themselves, all the time.
pub fn standing(scenario: &Scenario) -> Vec<Hazard> {
    let (truth, believed) = (scenario.upstream.truth, scenario.upstream.believed);
    let has_keys = believed.capability == Capability::IdempotencyKey;
    let rows = [
        (scenario.store.authority == Authority::PerInstance && scenario.fleet.instances > 1, Hazard::TwoStores),
        (has_keys && believed.key_ttl > truth.key_ttl, Hazard::KeyLost),
        (has_keys && scenario.upstream.profile == Profile::KeysIgnored, Hazard::KeyLost),
        (believed.read_back_lag < truth.read_back_lag, Hazard::ReadLag),
        (believed.request_lifetime < truth.request_lifetime, Hazard::OverlongStall),
    ];
    let mut hazards: Vec<Hazard> = rows.into_iter().filter(|(holds, _)| *holds).map(|(_, hazard)| hazard).collect();
    hazards.dedup();
    hazards
}

/// For how long after its first send a key may be sent again; nothing under another capability.
///
/// The request may execute a whole lifetime after it was sent, and each of the two readings of the store's clock may be wrong
/// by its declared error (`GRANT-4`).
pub fn key_window(scenario: &Scenario) -> Option<Duration> {
    let believed = scenario.upstream.believed;
    let margin = believed.request_lifetime.saturating_add(scenario.store.clock_error.saturating_mul(2));
    (believed.capability == Capability::IdempotencyKey).then(|| believed.key_ttl.saturating_sub(margin))
}

fn outlasts_the_window(scenario: &Scenario, length: Duration) -> bool {
    key_window(scenario).is_some_and(|window| length >= window)
}

/// Whether a grant in doubt waits for the fault's end.
const fn keeps_requests_away(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::NetworkLoss
            | FaultKind::NetworkLostReply
            | FaultKind::NetworkPartition
            | FaultKind::NetworkReset
            | FaultKind::QuotaOutage { .. }
            | FaultKind::QuotaErrorBefore
            | FaultKind::QuotaErrorAfter
            | FaultKind::QuotaLostReply
            | FaultKind::QuotaThrottle { .. }
            | FaultKind::QuotaMalformed
            | FaultKind::StoreError
            | FaultKind::StoreOutage
            | FaultKind::StoreReadOnly
            | FaultKind::StoreFull
    )
}

#[expect(clippy::match_same_arms, reason = "a table has one row for each kind")]
fn of_kind(scenario: &Scenario, fault: &Fault) -> Vec<Hazard> {
    let clock = |shift: Shift| of_clock(scenario, fault, shift);
    match &fault.kind {
        FaultKind::ClockOffset { by } | FaultKind::ClockStep { by } | FaultKind::ClockStrobe { by, .. } => {
            clock(Shift::of(*by))
        }
        FaultKind::ClockDrift { ppm } => {
            clock(Shift { size: fault.length.mul_f64(f64::from(ppm.unsigned_abs()) / 1e6), is_ahead: *ppm > 0 })
        }
        FaultKind::ClockFreeze => clock(Shift { size: fault.length, is_ahead: false }),
        FaultKind::ProcessCrash { when: Some(Moment::Claimed), .. } => vec![Hazard::CrashBeforeSend],
        FaultKind::ProcessCrash { when: Some(Moment::Sent | Moment::Applied), .. } => vec![Hazard::CrashAfterSend],
        FaultKind::ProcessCrash { when: None, .. } => vec![Hazard::CrashBeforeSend, Hazard::CrashAfterSend],
        FaultKind::ProcessPause { .. } if fault.length < scenario.upstream.believed.request_lifetime => {
            vec![Hazard::Stall]
        }
        FaultKind::ProcessPause { .. } => vec![Hazard::OverlongStall],
        FaultKind::ProcessRollingRestart { .. } | FaultKind::ProcessDeploy { .. } => {
            vec![Hazard::CrashBeforeSend, Hazard::CrashAfterSend]
        }
        FaultKind::NetworkLatency { .. } => vec![Hazard::LostReply],
        FaultKind::NetworkLoss => vec![Hazard::LostRequest],
        FaultKind::NetworkLostReply => vec![Hazard::LostReply],
        FaultKind::NetworkDuplicate => vec![Hazard::Duplicate],
        FaultKind::NetworkReorder => vec![Hazard::Stall],
        FaultKind::NetworkPartition => Vec::new(),
        FaultKind::NetworkReset => vec![Hazard::LostRequest],
        FaultKind::QuotaOutage { .. } => Vec::new(),
        FaultKind::QuotaErrorBefore => vec![Hazard::LostReply],
        FaultKind::QuotaErrorAfter => vec![Hazard::LostReply],
        FaultKind::QuotaLostReply => vec![Hazard::LostReply],
        FaultKind::QuotaThrottle { .. } => Vec::new(),
        FaultKind::QuotaSlow { .. } => vec![Hazard::LostReply],
        FaultKind::QuotaRestart => vec![Hazard::KeyLost],
        FaultKind::QuotaKeyLag { .. } => vec![Hazard::KeyLost, Hazard::ReadLag],
        FaultKind::QuotaReplay { delay } if *delay < scenario.upstream.believed.request_lifetime => {
            vec![Hazard::Duplicate]
        }
        FaultKind::QuotaReplay { .. } => vec![Hazard::Replay],
        FaultKind::QuotaFalseAck => vec![Hazard::FalseAck],
        FaultKind::QuotaMalformed => vec![Hazard::LostReply],
        FaultKind::StoreLatency { .. } => vec![Hazard::CommitUnknown],
        FaultKind::StoreError | FaultKind::StoreReadOnly | FaultKind::StoreFull => vec![Hazard::StoreOutage],
        FaultKind::StoreOutage => vec![Hazard::StoreOutage, Hazard::CommitUnknown],
        FaultKind::StoreFailover { silent: true, .. } => vec![Hazard::SilentRollback],
        FaultKind::StoreFailover { silent: false, .. } => vec![Hazard::StoreRollback, Hazard::CommitUnknown],
        FaultKind::StoreLostAck => vec![Hazard::CommitUnknown],
    }
}

/// How far a clock goes wrong.
#[derive(Clone, Copy)]
struct Shift {
    size: Duration,
    is_ahead: bool,
}

impl Shift {
    const fn of(by: ClockShift) -> Self {
        Self { size: Duration::from_nanos(by.nanos.unsigned_abs()), is_ahead: by.nanos > 0 }
    }
}

/// The store's clock has a declared bound. Instances' clocks have none, and need none. A service whose clock is ahead
/// forgets its keys early.
fn of_clock(scenario: &Scenario, fault: &Fault, shift: Shift) -> Vec<Hazard> {
    let hazard = |target: &Target| match target {
        Target::Store if shift.size > scenario.store.clock_error => Some(Hazard::ClockBeyondBound),
        Target::Store | Target::Instance(_) => Some(Hazard::ClockError),
        Target::Quota => shift.is_ahead.then_some(Hazard::KeyLost),
    };
    let mut hazards: Vec<Hazard> = match &fault.on {
        Targets::All => vec![Hazard::ClockError],
        Targets::Only(targets) => targets.iter().filter_map(hazard).collect(),
    };
    hazards.sort_unstable();
    hazards.dedup();
    hazards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::decode;
    use hookproof_core::promise::{Offer, Verdict, promise};

    fn scenario(fault: &str, upstream: &str) -> Scenario {
        let text = format!(
            "schema = 1\ntitle = 't'\nduration = '10m'\nusers = {{ population = 1, visits = {{ mean = 1, per = '1s' }} }}\n\
             [experiment]\nid = 'x'\nvariant = [{{ name = 'a', weight = 1 }}, {{ name = 'b', weight = 1, grant = 1 }}]\n\
             [upstream]\n{upstream}\n[[fault]]\nat = '10s'\n{fault}\n"
        );
        decode("hazards", "hazards.toml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn hazards(fault: &str, upstream: &str) -> Vec<Hazard> {
        let scenario = scenario(fault, upstream);
        of_fault(&scenario, &scenario.faults[0])
    }

    #[test]
    fn length_and_target_decide_what_a_fault_comes_to() {
        let short = "key-ttl = '2m'\nrequest-lifetime = '10s'";
        let cases = [
            ("kind = 'process.pause'\nfor = '9s'", vec![Hazard::Stall]),
            ("kind = 'process.pause'\nfor = '10s'", vec![Hazard::OverlongStall]),
            ("kind = 'quota.outage'\nfor = '108s'", vec![]),
            ("kind = 'quota.outage'\nfor = '109s'", vec![Hazard::OutlastedWindow]),
            ("kind = 'quota.outage'\nfor = '109s'\nprobability = 0.9", vec![]),
            ("kind = 'clock.step'\nby = '1h'", vec![Hazard::ClockError]),
            ("kind = 'clock.step'\nby = '400ms'\non = ['store']", vec![Hazard::ClockError]),
            ("kind = 'clock.step'\nby = '-1s'\non = ['store']", vec![Hazard::ClockBeyondBound]),
            ("kind = 'clock.step'\nby = '-1s'\non = ['quota']", vec![]),
            ("kind = 'clock.step'\nby = '1s'\non = ['quota']", vec![Hazard::KeyLost]),
            ("kind = 'quota.replay'\nfor = '1s'\ndelay = '5s'", vec![Hazard::Duplicate]),
            ("kind = 'quota.replay'\nfor = '1s'\ndelay = '5m'", vec![Hazard::Replay]),
        ];
        for (fault, expected) in cases {
            assert_eq!(hazards(fault, short), expected, "{fault}");
        }
    }

    #[test]
    fn beliefs_that_are_wrong_are_hazards_by_themselves() {
        let fault = "kind = 'network.loss'\nfor = '1s'";
        let of = |upstream: &str| standing(&scenario(fault, upstream));
        assert_eq!(of(""), []);
        assert_eq!(of("key-ttl = '1h'\nbelieved = { key-ttl = '24h' }"), [Hazard::KeyLost]);
        assert_eq!(of("request-lifetime = '2m'\nbelieved = { request-lifetime = '1m' }"), [Hazard::OverlongStall]);
        assert_eq!(of("read-back-lag = '1s'\nbelieved = { read-back-lag = '0s' }"), [Hazard::ReadLag]);
    }

    /// The scenarios that show how a promise falls, and the ones that show it holding, are named after their hazard.
    #[test]
    fn the_scenarios_of_the_matrix_are_recognised() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/promise");
        let mut recognised = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let scenario =
                decode(&name, &name, &std::fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
            let offer = Offer::ALL.into_iter().find(|offer| name.ends_with(offer.name())).unwrap();
            let of_faults = scenario.faults.iter().flat_map(|fault| of_fault(&scenario, fault));
            let falls = |hazard: Hazard| promise(offer, hazard) == Verdict::Impossible;
            assert!(of_faults.chain(standing(&scenario)).any(falls), "{name}: nothing impossible was found in it");
            recognised += 1;
        }
        assert!(recognised >= 20, "{recognised} scenarios");
    }
}
