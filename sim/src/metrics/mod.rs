//! Metric names, and how a finished run is measured.
//!
//! Owns the closed set of metric names shared by `[[expect]]`, records and reports. What a metric means is stated once,
//! on its variant of [`Metric`]; harm is worked out by one function over ledger and visits, the same for every hook.

pub mod acks;
pub mod allocation;
pub mod levels;
pub mod lift;
pub mod measure;
pub mod reached;
pub mod recorder;
pub mod srm;

/// A metric of a run, named as in `[[expect]]` and in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// `over-allocation.worst-ratio`: max over users of held ÷ own intended cap, unclipped by the hard limit; infinite where
    /// the cap is 0 and something is held.
    OverAllocationWorstRatio,
    /// `over-allocation.worst-cap-ratio`: max held ÷ (base + largest grant), one cap for all.
    OverAllocationWorstCapRatio,
    /// `over-allocation.users`: users above their own intended cap.
    OverAllocationUsers,
    /// `over-allocation.units`: Σ held excess.
    OverAllocationUnits,
    /// `over-allocation.monthly-cost-usd`: Σ held excess × utilisation × price.
    OverAllocationMonthlyCostUsd,
    /// `over-allocation.max-grants`: largest number of effects one user received.
    OverAllocationMaxGrants,
    /// `under-allocation.users`: entitled users with no effect at the end, not rejected or parked.
    UnderAllocationUsers,
    /// `undelivered.users`: entitled users with no effect at the end, parked and rejected included.
    UndeliveredUsers,
    /// `wrong-allocation.users`: users whose first exposure was control and who hold an effect.
    WrongAllocationUsers,
    /// `assignment.mismatch-users`: exposed users whose variant differs from the specified hash.
    AssignmentMismatchUsers,
    /// `group-switching.users`: users exposed to two variants.
    GroupSwitchingUsers,
    /// `group-switching.rate`: users exposed to two variants ÷ exposed users.
    GroupSwitchingRate,
    /// `group-switching.restart-rate`: switched over a restart ÷ users seen in either adjacent epoch, mean over restarts.
    GroupSwitchingRestartRate,
    /// `group-switching.restart-rate-returning`: switched over a restart ÷ users seen in both adjacent epochs, mean over restarts.
    GroupSwitchingRestartRateReturning,
    /// `upstream.attempts`: requests sent.
    UpstreamAttempts,
    /// `upstream.calls`: requests that may have arrived.
    UpstreamCalls,
    /// `upstream.amplification`: calls ÷ entitled users with a call or effect.
    UpstreamAmplification,
    /// `upstream.peak-rps`: largest number of calls in a whole second.
    UpstreamPeakRps,
    /// `upstream.mean-rps`: calls a second over the storm.
    UpstreamMeanRps,
    /// `upstream.goodput`: first effects for entitled users, still wanted, a second.
    UpstreamGoodput,
    /// `upstream.goodput-ratio`: goodput ÷ new entitlements a second.
    UpstreamGoodputRatio,
    /// `upstream.overload-seconds`: seconds in which the backlog exceeds one second of capacity.
    UpstreamOverloadSeconds,
    /// `upstream.recovery-seconds`: from the last trigger's end to the first 30 s of goodput ≥ 95 % of new entitlements.
    UpstreamRecoverySeconds,
    /// `hook.latency-p50-us`: a visit's wait from its intended start, median.
    HookLatencyP50Us,
    /// `hook.latency-p99-us`: the same, 99th percentile.
    HookLatencyP99Us,
    /// `hook.latency-p999-us`: the same, 99.9th percentile.
    HookLatencyP999Us,
    /// `hook.latency-max-us`: the same, maximum.
    HookLatencyMaxUs,
    /// `hook.errors`: tries answered with an error or not before the deadline.
    HookErrors,
    /// `hook.provisional`: visits answered without a durable record.
    HookProvisional,
    /// `grant.delay-p50-ms`: first treated exposure to first effect, median.
    GrantDelayP50Ms,
    /// `grant.delay-p99-ms`: the same, 99th percentile.
    GrantDelayP99Ms,
    /// `grant.delay-max-ms`: the same, maximum.
    GrantDelayMaxMs,
    /// `grant.backlog-peak`: most grants accepted and not yet delivered, parked or rejected.
    GrantBacklogPeak,
    /// `grant.parked`: grants parked with evidence.
    GrantParked,
    /// `grant.rejected`: grants the service refused for good.
    GrantRejected,
    /// `exposure.logged`: exposure records.
    ExposureLogged,
    /// `exposure.duplicates`: exposure records beyond the first of a user.
    ExposureDuplicates,
    /// `experiment.srm-p`: sample-ratio mismatch of users by first exposure, p-value of chi-square without correction.
    ExperimentSrmP,
    /// `experiment.contaminated-rate`: users in both groups, or control-first with an effect, ÷ exposed.
    ExperimentContaminatedRate,
    /// `experiment.lift-bias`: (estimated − true lift) ÷ true lift, by last logged variant.
    ExperimentLiftBias,
    /// `store.writes-per-grant`: rows written by delivery ÷ grants.
    StoreWritesPerGrant,
    /// `audit.unexplained`: effects no call explains, and 2xx answers with no effect.
    AuditUnexplained,
    /// `audit.unexposed-effects`: effects of users with no earlier exposure.
    AuditUnexposedEffects,
}

impl Metric {
    /// All metrics, in the order of records and tables.
    pub const ALL: [Self; 43] = [
        Self::OverAllocationWorstRatio,
        Self::OverAllocationWorstCapRatio,
        Self::OverAllocationUsers,
        Self::OverAllocationUnits,
        Self::OverAllocationMonthlyCostUsd,
        Self::OverAllocationMaxGrants,
        Self::UnderAllocationUsers,
        Self::UndeliveredUsers,
        Self::WrongAllocationUsers,
        Self::AssignmentMismatchUsers,
        Self::GroupSwitchingUsers,
        Self::GroupSwitchingRate,
        Self::GroupSwitchingRestartRate,
        Self::GroupSwitchingRestartRateReturning,
        Self::UpstreamAttempts,
        Self::UpstreamCalls,
        Self::UpstreamAmplification,
        Self::UpstreamPeakRps,
        Self::UpstreamMeanRps,
        Self::UpstreamGoodput,
        Self::UpstreamGoodputRatio,
        Self::UpstreamOverloadSeconds,
        Self::UpstreamRecoverySeconds,
        Self::HookLatencyP50Us,
        Self::HookLatencyP99Us,
        Self::HookLatencyP999Us,
        Self::HookLatencyMaxUs,
        Self::HookErrors,
        Self::HookProvisional,
        Self::GrantDelayP50Ms,
        Self::GrantDelayP99Ms,
        Self::GrantDelayMaxMs,
        Self::GrantBacklogPeak,
        Self::GrantParked,
        Self::GrantRejected,
        Self::ExposureLogged,
        Self::ExposureDuplicates,
        Self::ExperimentSrmP,
        Self::ExperimentContaminatedRate,
        Self::ExperimentLiftBias,
        Self::StoreWritesPerGrant,
        Self::AuditUnexplained,
        Self::AuditUnexposedEffects,
    ];

    /// The metric's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OverAllocationWorstRatio => "over-allocation.worst-ratio",
            Self::OverAllocationWorstCapRatio => "over-allocation.worst-cap-ratio",
            Self::OverAllocationUsers => "over-allocation.users",
            Self::OverAllocationUnits => "over-allocation.units",
            Self::OverAllocationMonthlyCostUsd => "over-allocation.monthly-cost-usd",
            Self::OverAllocationMaxGrants => "over-allocation.max-grants",
            Self::UnderAllocationUsers => "under-allocation.users",
            Self::UndeliveredUsers => "undelivered.users",
            Self::WrongAllocationUsers => "wrong-allocation.users",
            Self::AssignmentMismatchUsers => "assignment.mismatch-users",
            Self::GroupSwitchingUsers => "group-switching.users",
            Self::GroupSwitchingRate => "group-switching.rate",
            Self::GroupSwitchingRestartRate => "group-switching.restart-rate",
            Self::GroupSwitchingRestartRateReturning => "group-switching.restart-rate-returning",
            Self::UpstreamAttempts => "upstream.attempts",
            Self::UpstreamCalls => "upstream.calls",
            Self::UpstreamAmplification => "upstream.amplification",
            Self::UpstreamPeakRps => "upstream.peak-rps",
            Self::UpstreamMeanRps => "upstream.mean-rps",
            Self::UpstreamGoodput => "upstream.goodput",
            Self::UpstreamGoodputRatio => "upstream.goodput-ratio",
            Self::UpstreamOverloadSeconds => "upstream.overload-seconds",
            Self::UpstreamRecoverySeconds => "upstream.recovery-seconds",
            Self::HookLatencyP50Us => "hook.latency-p50-us",
            Self::HookLatencyP99Us => "hook.latency-p99-us",
            Self::HookLatencyP999Us => "hook.latency-p999-us",
            Self::HookLatencyMaxUs => "hook.latency-max-us",
            Self::HookErrors => "hook.errors",
            Self::HookProvisional => "hook.provisional",
            Self::GrantDelayP50Ms => "grant.delay-p50-ms",
            Self::GrantDelayP99Ms => "grant.delay-p99-ms",
            Self::GrantDelayMaxMs => "grant.delay-max-ms",
            Self::GrantBacklogPeak => "grant.backlog-peak",
            Self::GrantParked => "grant.parked",
            Self::GrantRejected => "grant.rejected",
            Self::ExposureLogged => "exposure.logged",
            Self::ExposureDuplicates => "exposure.duplicates",
            Self::ExperimentSrmP => "experiment.srm-p",
            Self::ExperimentContaminatedRate => "experiment.contaminated-rate",
            Self::ExperimentLiftBias => "experiment.lift-bias",
            Self::StoreWritesPerGrant => "store.writes-per-grant",
            Self::AuditUnexplained => "audit.unexplained",
            Self::AuditUnexposedEffects => "audit.unexposed-effects",
        }
    }

    /// The metric of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}
