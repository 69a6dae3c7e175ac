//! From a finished run's counts to metrics, over the whole run or one named stretch of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hookproof_core::store::Image;
use hookproof_core::time::Instant;

use super::Metric;
use super::allocation::Allocation;
use super::recorder::{Epoch, RECOVERY_WINDOW, Recorder, Recovery, Stretch};
use crate::outcome::Value;
use crate::scenario::{HookKind, Scenario};

/// Goodput ÷ entitlements from which a service has recovered.
const RECOVERED: f64 = 0.95;
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
        !is_hardened && STORE_ONLY.contains(metric)
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
    values.switching(scenario, recorder, stretch);
    values.load(scenario, recorder, stretch, index == 0);
    values.hook_and_grants(stretch);
    let in_it = |at: &Instant| stretch.contains(*at);
    let unexplained = recorder.acks.as_ref().map_or(0, |acks| acks.unexplained().filter(in_it).count());
    values.count(Metric::AuditUnexplained, unexplained as u64);
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

    /// A value that may be absent; an infinite one is "never".
    fn maybe(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(value) = value {
            self.0.insert(metric, if value.is_finite() { Value::Number(value) } else { Value::Never });
        }
    }

    fn ratio(&mut self, metric: Metric, part: u64, whole: u64) {
        if whole > 0 {
            self.number(metric, part as f64 / whole as f64);
        }
    }

    fn allocation(&mut self, allocation: &Allocation, scenario: &Scenario) {
        self.maybe(Metric::OverAllocationWorstRatio, allocation.worst_ratio);
        self.maybe(Metric::OverAllocationWorstCapRatio, allocation.worst_cap_ratio);
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
        self.maybe(Metric::ExperimentSrmP, allocation.srm_p);
        self.ratio(Metric::ExperimentContaminatedRate, allocation.contaminated_users, allocation.exposed);
        self.maybe(Metric::ExperimentLiftBias, allocation.lift.map(|lift| lift.bias));
    }

    fn switching(&mut self, scenario: &Scenario, recorder: &Recorder, stretch: &Stretch) {
        // What a fault took down comes up at its end at the latest: that restart is the fault's.
        let restarts = stretch.span.fault.is_some_and(|index| scenario.faults[index].restarts_processes());
        let inside = |epoch: &Epoch| {
            let at = epoch.at.since(Instant::ORIGIN);
            stretch.span.stretches.iter().any(|(from, to)| (*from..*to).contains(&at) || restarts && at == *to)
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
        for (metric, ppm) in [
            (Metric::HookLatencyP50Us, 500_000),
            (Metric::HookLatencyP99Us, 990_000),
            (Metric::HookLatencyP999Us, 999_000),
            (Metric::HookLatencyMaxUs, 1_000_000),
        ] {
            if let Some(value) = quantile(&stretch.latency_us, ppm) {
                self.count(metric, value);
            }
        }
        self.count(Metric::HookErrors, stretch.errors);
        self.count(Metric::HookProvisional, stretch.provisional);
        for (metric, ppm) in [
            (Metric::GrantDelayP50Ms, 500_000),
            (Metric::GrantDelayP99Ms, 990_000),
            (Metric::GrantDelayMaxMs, 1_000_000),
        ] {
            if let Some(value) = delay_ms(&stretch.delay_us, stretch.entitlements, ppm) {
                self.0.insert(metric, value);
            }
        }
        self.count(Metric::GrantBacklogPeak, stretch.backlog_peak);
        self.count(Metric::GrantParked, stretch.parked);
        self.count(Metric::GrantRejected, stretch.rejected);
        self.count(Metric::AuditUnexposedEffects, stretch.unexposed_effects);
        self.count(Metric::ExposureLogged, stretch.exposures);
        self.count(Metric::ExposureDuplicates, stretch.duplicates);
    }

    fn whole_run(&mut self, recorder: &Recorder, stretch: &Stretch, images: &[&Image]) {
        if let Some(allocation) = &stretch.allocation {
            self.ratio(Metric::UpstreamAmplification, stretch.calls, allocation.entitled_called);
        }
        if let Some(mismatches) = &recorder.mismatches {
            self.count(Metric::AssignmentMismatchUsers, mismatches.len() as u64);
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
fn delay_ms(delays_us: &Histogram<u64>, entitled: u64, ppm: u32) -> Option<Value> {
    if entitled == 0 {
        return None;
    }
    let value = at_rank(delays_us, nearest_rank(entitled, ppm));
    Some(value.map_or(Value::Never, |value| Value::Number(value as f64 / 1_000.0)))
}

/// The rank of a quantile among `count` values, from 1: the smallest below which that share of them lies, itself included.
fn nearest_rank(count: u64, ppm: u32) -> u64 {
    let rank = (u128::from(count) * u128::from(ppm)).div_ceil(1_000_000);
    u64::try_from(rank).expect("a share of a count").max(1)
}

/// The value of this rank, if there are so many.
fn at_rank(values: &Histogram<u64>, rank: u64) -> Option<u64> {
    // Half a rank below, so that rounding cannot reach the next one.
    (rank <= values.len()).then(|| values.value_at_quantile((rank as f64 - 0.5) / values.len() as f64))
}

/// A quantile of a histogram, in parts per million, by nearest rank; `None` of nothing.
pub fn quantile(values: &Histogram<u64>, ppm: u32) -> Option<u64> {
    at_rank(values, nearest_rank(values.len(), ppm))
}

/// Whole seconds of overload that a stretch touches, each once.
fn overload_seconds(overload: &[(u64, u64)], stretch: &Stretch) -> u64 {
    let (mut seconds, mut counted_to) = (0, 0);
    for (start, end) in stretch.span.stretches.iter().filter(|(start, end)| start < end) {
        let (first, last) = (start.as_secs().max(counted_to), end.as_nanos().div_ceil(1_000_000_000));
        let last = u64::try_from(last).unwrap_or(u64::MAX);
        seconds += overload.iter().map(|(from, to)| (to + 1).min(last).saturating_sub((*from).max(first))).sum::<u64>();
        counted_to = counted_to.max(last);
    }
    seconds
}

/// From the trigger's end to the first 30 s in which goodput keeps up with new entitlements; absent if there are no 30 s.
pub(crate) fn recovery_seconds(recovery: &Recovery) -> Option<Value> {
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
