//! From a finished run's counts to metrics, over the whole run or one named stretch of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hookproof_core::store::Image;

use super::Metric;
use super::allocation::Allocation;
use super::recorder::{Epoch, Recorder, Recovery, Stretch};
use crate::outcome::Value;
use crate::scenario::{HookKind, Scenario};

/// Goodput ÷ entitlements from which a service has recovered.
const RECOVERED: f64 = 0.95;
/// Seconds over which recovery is looked at.
const RECOVERY_WINDOW: usize = 30;

/// Metrics this version cannot measure for any hook.
const NEVER_MEASURED: [Metric; 2] = [Metric::ExperimentSrmP, Metric::ExperimentLiftBias];
/// Metrics that only a hook with a store of its own has.
const STORE_ONLY: [Metric; 1] = [Metric::StoreWritesPerGrant];
/// Metrics of hooks that claim the specified hash.
const CLAIMED_HASH_ONLY: [Metric; 1] = [Metric::AssignmentMismatchUsers];

/// Metrics that belong to a run as a whole, not to a stretch of it.
pub const WHOLE_RUN_ONLY: [Metric; 4] = [
    Metric::UpstreamAmplification,
    Metric::UpstreamRecoverySeconds,
    Metric::AssignmentMismatchUsers,
    Metric::StoreWritesPerGrant,
];

/// The metrics that a run of `hook` cannot measure.
pub fn unsupported(hook: HookKind) -> Vec<Metric> {
    let is_hardened = hook == HookKind::Hardened;
    let lacks = |metric: &Metric| {
        NEVER_MEASURED.contains(metric)
            || !is_hardened && STORE_ONLY.contains(metric)
            || !hook.claims_specified_hash() && CLAIMED_HASH_ONLY.contains(metric)
    };
    Metric::ALL.into_iter().filter(lacks).collect()
}

/// Measures one stretch of a run, the whole run being stretch 0. What there is nothing to measure of is absent.
pub fn measure(scenario: &Scenario, recorder: &Recorder, images: &[&Image], index: usize) -> BTreeMap<Metric, Value> {
    let stretch = &recorder.stretches[index];
    let mut values = Values::default();
    if let Some(allocation) = &stretch.allocation {
        values.allocation(allocation, scenario);
    }
    values.switching(recorder, stretch);
    values.load(scenario, recorder, stretch, index == 0);
    values.hook_and_grants(stretch);
    if index == 0 {
        values.whole_run(recorder, stretch, images);
    }
    values.0
}

#[derive(Default)]
struct Values(BTreeMap<Metric, Value>);

impl Values {
    fn number(&mut self, metric: Metric, value: f64) {
        self.0.insert(metric, Value::Number(value));
    }

    fn count(&mut self, metric: Metric, value: u64) {
        self.number(metric, value as f64);
    }

    fn ratio(&mut self, metric: Metric, part: u64, whole: u64) {
        if whole > 0 {
            self.number(metric, part as f64 / whole as f64);
        }
    }

    fn allocation(&mut self, allocation: &Allocation, scenario: &Scenario) {
        if allocation.worst_ratio > 0.0 {
            self.number(Metric::OverAllocationWorstRatio, allocation.worst_ratio);
            self.number(Metric::OverAllocationWorstCapRatio, allocation.worst_cap_ratio);
        }
        self.count(Metric::OverAllocationUsers, allocation.over_users);
        self.count(Metric::OverAllocationUnits, allocation.over_units);
        let quota = &scenario.quota;
        let cost = allocation.over_units as f64 * quota.utilisation * quota.price_per_unit_month;
        self.number(Metric::OverAllocationMonthlyCostUsd, cost);
        self.count(Metric::OverAllocationMaxGrants, allocation.max_grants.into());
        self.count(Metric::UnderAllocationUsers, allocation.under_users);
        self.count(Metric::UndeliveredUsers, allocation.undelivered_users);
        self.count(Metric::WrongAllocationUsers, allocation.wrong_users);
        self.count(Metric::GroupSwitchingUsers, allocation.switched_users);
        self.ratio(Metric::GroupSwitchingRate, allocation.switched_users, allocation.exposed);
        self.ratio(Metric::ExperimentContaminatedRate, allocation.contaminated_users, allocation.exposed);
    }

    fn switching(&mut self, recorder: &Recorder, stretch: &Stretch) {
        let inside = |epoch: &Epoch| {
            let at = epoch.at.since(hookproof_core::time::Instant::ORIGIN);
            stretch.span.stretches.iter().any(|(from, to)| (*from..*to).contains(&at))
        };
        let pairs: Vec<(&Epoch, &Epoch)> =
            recorder.epochs.iter().zip(recorder.epochs.iter().skip(1)).filter(|(_, after)| inside(after)).collect();
        let either =
            pairs.iter().map(|(before, after)| (after.switched, before.seen + after.seen - after.seen_in_both));
        let both = pairs.iter().map(|(_, after)| (after.switched, after.seen_in_both));
        self.mean(Metric::GroupSwitchingRestartRate, either);
        self.mean(Metric::GroupSwitchingRestartRateReturning, both);
    }

    /// The mean of the ratios whose denominator is not 0.
    fn mean(&mut self, metric: Metric, ratios: impl Iterator<Item = (u64, u64)>) {
        let ratios: Vec<f64> =
            ratios.filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 / whole as f64).collect();
        if !ratios.is_empty() {
            self.number(metric, ratios.iter().sum::<f64>() / ratios.len() as f64);
        }
    }

    fn load(&mut self, scenario: &Scenario, recorder: &Recorder, stretch: &Stretch, is_whole: bool) {
        // Over the whole run, a rate is that of the storm: nothing new arrives in the calm.
        let (seconds, calls, goodput) = if is_whole {
            (scenario.duration, recorder.storm_calls, recorder.storm_goodput)
        } else {
            (stretch.length(), stretch.calls, stretch.goodput)
        };
        let seconds = seconds.as_secs_f64();
        self.count(Metric::UpstreamAttempts, stretch.attempts);
        self.count(Metric::UpstreamCalls, stretch.calls);
        self.count(Metric::UpstreamPeakRps, stretch.peak_rps);
        if seconds > 0.0 {
            self.number(Metric::UpstreamMeanRps, calls as f64 / seconds);
            self.number(Metric::UpstreamGoodput, goodput as f64 / seconds);
        }
        self.ratio(Metric::UpstreamGoodputRatio, stretch.goodput, stretch.entitlements);
        self.count(Metric::UpstreamOverloadSeconds, overload_seconds(&recorder.overload.seconds, stretch));
    }

    fn hook_and_grants(&mut self, stretch: &Stretch) {
        let latency = &stretch.latency_us;
        if !latency.is_empty() {
            self.count(Metric::HookLatencyP50Us, latency.value_at_quantile(0.5));
            self.count(Metric::HookLatencyP99Us, latency.value_at_quantile(0.99));
            self.count(Metric::HookLatencyP999Us, latency.value_at_quantile(0.999));
            self.count(Metric::HookLatencyMaxUs, latency.max());
        }
        self.count(Metric::HookErrors, stretch.errors);
        self.count(Metric::HookProvisional, stretch.provisional);
        for (metric, quantile) in
            [(Metric::GrantDelayP50Ms, 0.5), (Metric::GrantDelayP99Ms, 0.99), (Metric::GrantDelayMaxMs, 1.0)]
        {
            if let Some(value) = delay_ms(&stretch.delay_us, stretch.entitlements, quantile) {
                self.0.insert(metric, value);
            }
        }
        self.count(Metric::GrantBacklogPeak, stretch.backlog_peak);
        self.count(Metric::GrantParked, stretch.parked);
        self.count(Metric::GrantRejected, stretch.rejected);
        self.count(Metric::AuditUnexplained, stretch.false_acks);
        self.count(Metric::AuditUnexposedEffects, stretch.unexposed_effects);
        self.count(Metric::ExposureLogged, stretch.exposures);
        self.count(Metric::ExposureDuplicates, stretch.duplicates);
    }

    fn whole_run(&mut self, recorder: &Recorder, stretch: &Stretch, images: &[&Image]) {
        if let Some(allocation) = &stretch.allocation {
            self.ratio(Metric::UpstreamAmplification, stretch.calls, allocation.entitled_called);
        }
        if let Some(mismatches) = recorder.mismatches {
            self.count(Metric::AssignmentMismatchUsers, mismatches);
        }
        if !images.is_empty() {
            let rows_written = images.iter().map(|image| image.rows_written()).sum();
            let admitted = images.iter().map(|image| image.counts().admitted).sum();
            self.ratio(Metric::StoreWritesPerGrant, rows_written, admitted);
        }
        if let Some(value) = recorder.recovery.as_ref().and_then(recovery_seconds) {
            self.0.insert(Metric::UpstreamRecoverySeconds, value);
        }
    }
}

/// Nearest rank over all entitled users; who was not delivered waits for ever.
fn delay_ms(delays_us: &Histogram<u64>, entitled: u64, quantile: f64) -> Option<Value> {
    if entitled == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank between 1 and a count")]
    let rank = ((entitled as f64 * quantile).ceil() as u64).max(1);
    if rank > delays_us.len() {
        return Some(Value::Never);
    }
    // Half a rank below, so that rounding cannot reach the next one.
    let value = delays_us.value_at_quantile((rank as f64 - 0.5) / delays_us.len() as f64);
    Some(Value::Number(value as f64 / 1_000.0))
}

/// Whole seconds of overload inside a stretch.
fn overload_seconds(overload: &[(u64, u64)], stretch: &Stretch) -> u64 {
    let mut seconds = 0;
    for (from, to) in overload {
        for (start, end) in &stretch.span.stretches {
            let (first, last) = (start.as_secs(), end.as_nanos().div_ceil(1_000_000_000));
            let last = u64::try_from(last).unwrap_or(u64::MAX);
            seconds += (to + 1).min(last).saturating_sub((*from).max(first));
        }
    }
    seconds
}

/// From the trigger's end to the first 30 s in which goodput keeps up with new entitlements; absent if there are no 30 s.
fn recovery_seconds(recovery: &Recovery) -> Option<Value> {
    let has_entitlements = recovery.seconds.iter().any(|(_, entitlements)| *entitlements > 0);
    if recovery.seconds.len() < RECOVERY_WINDOW || !has_entitlements {
        return None;
    }
    let recovered = recovery.seconds.windows(RECOVERY_WINDOW).position(|window| {
        let (goodput, entitlements) = window.iter().fold((0u64, 0u64), |(goodput, entitlements), second| {
            (goodput + u64::from(second.0), entitlements + u64::from(second.1))
        });
        entitlements > 0 && goodput as f64 >= RECOVERED * entitlements as f64
    });
    let seconds = |position| (recovery.first_second + position as u64) as f64 - recovery.trigger_end.as_secs_f64();
    Some(recovered.map_or(Value::Never, |position| Value::Number(seconds(position))))
}
