//! What is judged when a run is over: receipts, rows and recovery.
//!
//! Owns the bounds of `GRANT-5` (no receipt is lost), `LOAD-3` and `LOAD-4`, derived from the settings; "Invariants" in
//! `docs/metrics.md` tells how. It only reads what the run has left.

use std::time::Duration;

use hookproof_core::store::Image;
use hookproof_core::time::{Instant, nanos};

use super::World;
use crate::metrics::measure::recovery_seconds;
use crate::metrics::reached::Reached;
use crate::metrics::recorder::RECOVERY_WINDOW;
use crate::network::ONE_WAY;
use crate::oracle::Rule;
use crate::outcome::Value;
use crate::scenario::{Capability, FaultKind, OutageMode};

/// A receipt that was heard less than this before the end may still be on its way into the store.
const SETTLING: Duration = Duration::from_secs(60);
/// Rows for each attempt and each grant: a claim and a settlement for every attempt, and as many for a grant that is claimed
/// and given back; twice that, since a lane that closes between claim and reply gives back what it was given.
const ROWS_PER_ATTEMPT: u64 = 4;
/// How long a grant may be overdue before another process than the one that recorded it asks for it.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// The store's part of an attempt, generously: a claim and a settlement.
const STORE_PART: Duration = Duration::from_millis(100);
/// Of requests that nothing hinders, the share that the service may outlast the client with: with more, goodput is low without a trigger.
const SLOW_SHARE_MAX: f64 = 0.01;
/// So many such requests, as expected, are none.
const SLOW_MAX: f64 = 1e-6;

impl World<'_> {
    /// What can be judged only when the run is over.
    pub(super) fn judge_books(&mut self, end: Instant) {
        if self.keeps_store() {
            self.judge_receipts(end);
            self.judge_rows(end);
        }
        self.judge_recovery(end);
    }

    /// `GRANT-5`: every receipt that a living process has heard is recorded.
    fn judge_receipts(&mut self, end: Instant) {
        let settled_by = Instant::from_nanos(end.as_nanos().saturating_sub(nanos(SETTLING)));
        for user in self.judging.claims.unrecorded(settled_by) {
            self.oracles.check(Rule::Grant5, end, Some(user), false, || {
                "a living process heard that the grant is applied, and it was never recorded".into()
            });
        }
    }

    /// `LOAD-4`: rows written for claims and settlements follow attempts and grants; what fails at the store is written again.
    fn judge_rows(&mut self, end: Instant) {
        let rows = self.rows_written();
        let grants: u64 = self.store.images().map(|image| image.counts().admitted).sum();
        if grants == 0 {
            return;
        }
        let attempts = self.recorder.stretches[0].attempts;
        let again = u64::from(self.judging.batch_max) * self.recorder.count_of(Reached::StoreFailures);
        let lost_claims = self.recorder.count_of(Reached::Restarts)
            + self.recorder.count_of(Reached::ProcessPauses)
            + u64::from(self.scenario.fleet.instances);
        // Users whose record a failover has lost come back, and with them their grants.
        let grants =
            grants.max(self.recorder.stretches[0].entitlements) * (1 + self.recorder.count_of(Reached::Failovers));
        let most = ROWS_PER_ATTEMPT * (attempts + grants) + again + lost_claims * self.in_flight_max;
        self.oracles.check(Rule::Load4, end, None, rows <= most, || {
            format!("{rows} rows written for {attempts} attempts of {grants} grants, at most {most} are needed")
        });
    }

    /// Rows that the store has written for claims and settlements.
    fn rows_written(&self) -> u64 {
        self.store.images().map(Image::rows_written).sum()
    }

    /// `LOAD-3`, where the storm leaves room for it, the service could keep up, and somebody was newly entitled all the while.
    fn judge_recovery(&mut self, end: Instant) {
        let Some(recovery) = &self.recorder.recovery else { return };
        let seconds = recovery.seconds.len() as u64;
        let Some(rate) = recovery.entitlement_rate() else { return };
        let cap = f64::from(self.judging.delivery.fleet.effects_per_minute) / 60.0;
        let spare = self.capacity.min(cap) - rate;
        let could_keep_up =
            spare > 0.2 * rate && !self.recorder.has(Reached::HardLimitRefusals) && !self.parks_for_good();
        let slow = self.share_too_slow();
        let mut stated = self.stated_recovery(spare);
        if slow * rate * stated.as_secs_f64() > SLOW_MAX {
            // One of them fails each window that it is in, where there are few others.
            stated = stated.saturating_add(Duration::from_secs(RECOVERY_WINDOW as u64));
        }
        if !could_keep_up
            || slow > SLOW_SHARE_MAX
            || !self.judging.store_clock_is_honest
            || stated.as_secs() + RECOVERY_WINDOW as u64 >= seconds
        {
            return;
        }
        let Some(recovered) = recovery_seconds(recovery) else { return };
        let holds = match recovered {
            Value::Number(after) => after <= stated.as_secs_f64(),
            Value::Never => false,
        };
        // Where nobody is newly entitled, goodput has nothing to be measured by: it may be back and not be seen.
        if !holds && recovery.is_silent_before(stated) {
            return;
        }
        self.oracles.check(Rule::Load3, end, None, holds, || {
            let after = match recovered {
                Value::Number(after) => format!("{after:.0} s after the last trigger"),
                Value::Never => "never".into(),
            };
            format!("goodput was back {after}; {} s are stated", stated.as_secs())
        });
    }

    /// The share of requests that the service works on for longer than the client waits, though nothing hinders it.
    fn share_too_slow(&self) -> f64 {
        let waited = self.judging.delivery.attempt_timeout.saturating_sub(2 * ONE_WAY);
        self.scenario.upstream.service_time.share_beyond(waited)
    }

    /// Whether everything parks since the store has lost commits, for want of a service that knows what was applied.
    fn parks_for_good(&self) -> bool {
        let knows = match self.scenario.upstream.believed.capability {
            Capability::PutById | Capability::ReadBack => true,
            Capability::IdempotencyKey | Capability::None => false,
        };
        !knows && self.recorder.has(Reached::Failovers)
    }

    /// The time within which goodput returns, from the settings: what was put off comes due, whoever died is replaced, the limit
    /// grows back, and the service works off what waited.
    fn stated_recovery(&self, spare_per_second: f64) -> Duration {
        let delivery = &self.judging.delivery;
        let round_trip = self.scenario.upstream.service_time.mean_seconds();
        let round_trip = Duration::try_from_secs_f64(round_trip).unwrap_or(Duration::MAX) + 2 * ONE_WAY + STORE_PART;
        let limit_grows = round_trip.saturating_mul(u32::try_from(self.in_flight_max).unwrap_or(u32::MAX));
        let waited = self.judging.backlog_at_trigger_end.unwrap_or_default() as f64 / spare_per_second;
        let worked_off = Duration::try_from_secs_f64(waited).unwrap_or(Duration::MAX);
        [
            delivery.breaker.open_cap,
            delivery.backoff_cap,
            delivery.lease,
            ORPHAN_GRACE,
            self.asked_to_wait(),
            self.proof_takes(),
            self.capped_for(),
            limit_grows,
            worked_off,
        ]
        .into_iter()
        .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// For how long nothing is sent after a failover: where everything is in doubt and the service can be read, until a read that
    /// finds nothing is proof.
    fn proof_takes(&self) -> Duration {
        let believed = self.scenario.upstream.believed;
        let waits = match believed.capability {
            Capability::ReadBack => self.recorder.has(Reached::Failovers),
            Capability::PutById | Capability::IdempotencyKey | Capability::None => false,
        };
        let error = self.scenario.store.clock_error.saturating_mul(2);
        let until_shown = [self.judging.delivery.lease, believed.request_lifetime, error, believed.read_back_lag];
        if waits { until_shown.into_iter().fold(Duration::ZERO, Duration::saturating_add) } else { Duration::ZERO }
    }

    /// For how long the cap on effects may hold everything back: to the end of a minute. It can have been reached only if the
    /// service could do more in a minute, and the store has written more rows in all.
    fn capped_for(&self) -> Duration {
        let cap = self.judging.delivery.fleet.effects_per_minute;
        let binds = f64::from(cap) < 60.0 * self.capacity && self.rows_written() > u64::from(cap);
        if binds { Duration::from_secs(60) } else { Duration::ZERO }
    }

    /// The longest that the service asks to be left alone, or our credentials are not tried.
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else asks us to wait")]
    fn asked_to_wait(&self) -> Duration {
        let delivery = &self.judging.delivery;
        let asked = self.scenario.faults.iter().map(|fault| match &fault.kind {
            FaultKind::QuotaThrottle { retry_after } => retry_after.unwrap_or_default().min(delivery.retry_after_cap),
            FaultKind::QuotaOutage { mode: OutageMode::Unauthorised } => delivery.credentials_pause,
            _ => Duration::ZERO,
        });
        asked.max().unwrap_or_default()
    }
}
