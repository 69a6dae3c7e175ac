//! What an operator sees of a hook: counts and durations for Prometheus, one log line for each event.
//!
//! Owns the metrics' names, which are documented in `docs/sidecar.md`, and how users stand in logs. Decides nothing, and no decision
//! reads it. Durations are recorded of failures, too: a service that times out is seen in them.

mod users;

use std::time::Duration;

use hookproof_core::audit::AuditEvent;
use hookproof_core::classify::{AnswerClass, Doubt};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{Reply, Resolution};
use hookproof_core::upstream::{Answer, Ask};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::hook::{Basis, VisitError, Visited};
use crate::store::{Backlog, ReadError, User};

pub use self::users::{KeyTooShort, Shown};

/// A metric by one label, whose values are few and fixed.
type By = Family<[(&'static str, &'static str); 1], Counter>;

/// The metrics of one hook.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    shown: Shown,
    visits: By,
    visit_seconds: Histogram,
    commits: By,
    commit_seconds: Histogram,
    commit_commands: Histogram,
    attempts: By,
    attempt_seconds: Histogram,
    /// In doubt, repeated on purpose.
    repeats: Counter,
    reads: By,
    in_flight: Gauge,
    grants: By,
    parked: By,
    is_breaker_open: Gauge,
    lane_pauses: Counter,
    effect_caps: Counter,
    store_refusals: Counter,
    resolved: By,
    backlog: Family<[(&'static str, &'static str); 1], Gauge>,
    /// Of the sidecar, by route and class of the status.
    requests: Family<[(&'static str, &'static str); 2], Counter>,
    shed: By,
}

impl Telemetry {
    pub(crate) fn new(shown: Shown) -> Self {
        let histogram = |first| Histogram::new(exponential_buckets(first, 2.0, 22));
        let mut telemetry = Self {
            registry: Registry::with_prefix("hookproof"),
            shown,
            visits: By::default(),
            // From 1 µs, what a repeated visit takes, to 2 s.
            visit_seconds: histogram(1e-6),
            commits: By::default(),
            // From 10 µs to 21 s.
            commit_seconds: histogram(1e-5),
            commit_commands: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            attempts: By::default(),
            // From 100 µs to 3.5 min.
            attempt_seconds: histogram(1e-4),
            repeats: Counter::default(),
            reads: By::default(),
            in_flight: Gauge::default(),
            grants: By::default(),
            parked: By::default(),
            is_breaker_open: Gauge::default(),
            lane_pauses: Counter::default(),
            effect_caps: Counter::default(),
            store_refusals: Counter::default(),
            resolved: By::default(),
            backlog: Family::default(),
            requests: Family::default(),
            shed: By::default(),
        };
        telemetry.register();
        telemetry
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("visits", "Visits by what their answer rests on", self.visits.clone());
        let seconds = || Unit::Seconds;
        registry.register_with_unit("visit", "What a visit took", seconds(), self.visit_seconds.clone());
        registry.register("commits", "Commits by outcome", self.commits.clone());
        registry.register_with_unit("commit", "What a commit took", seconds(), self.commit_seconds.clone());
        registry.register("commit_commands", "Commands that shared a commit", self.commit_commands.clone());
        registry.register("attempts", "Requests to the quota service by how they ended", self.attempts.clone());
        registry.register_with_unit("attempt", "What a request took", seconds(), self.attempt_seconds.clone());
        registry.register("repeats", "Requests for a grant that an earlier one may have applied", self.repeats.clone());
        registry.register("reads", "Grants looked up at the service by how that ended", self.reads.clone());
        registry.register("in_flight", "Requests to the quota service under way", self.in_flight.clone());
        registry.register("grants", "Grants that came into a state", self.grants.clone());
        registry.register("parked", "Grants that wait for a human by reason", self.parked.clone());
        registry.register("breaker_open", "1 while the circuit breaker is open", self.is_breaker_open.clone());
        registry.register("lane_pauses", "How often the service asked to be left alone", self.lane_pauses.clone());
        registry.register("effect_caps", "How often the cap on effects a minute was reached", self.effect_caps.clone());
        registry.register("store_refusals", "The store belongs to somebody else", self.store_refusals.clone());
        registry.register("resolved", "Parked grants about which a human has decided", self.resolved.clone());
        registry.register("backlog", "Grants in the store by state, at this look", self.backlog.clone());
        registry.register("requests", "Requests to the sidecar by route and status", self.requests.clone());
        registry.register("shed", "What the sidecar turned away because it had too much", self.shed.clone());
    }

    /// All metrics in the text format of OpenMetrics 1.0, which Prometheus reads.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes whatever is written to it");
        text
    }

    pub(crate) fn visit_begins(&self) -> VisitTimer<'_> {
        VisitTimer { telemetry: self, began_at: Instant::now() }
    }

    pub(crate) fn on_commit(&self, took: Duration, commands: usize, reply: &Reply) {
        let outcome = match reply {
            Reply::Committed { .. } => "committed",
            Reply::Refused => "refused",
            Reply::Unknown => "unknown",
        };
        self.commits.get_or_create(&[("outcome", outcome)]).inc();
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_commands.observe(commands as f64);
    }

    pub(crate) fn on_resolved(&self, user: &User, grant: GrantId, resolution: Resolution) {
        self.resolved.get_or_create(&[("as", resolution.name())]).inc();
        let (name, correlation) = self.line(user);
        tracing::warn!(user = name(), correlation, %grant, resolution = resolution.name(), "resolved by an operator");
    }

    /// What a look into the store has found; a look that failed leaves no number behind that would be taken for one.
    pub(crate) fn on_backlog(&self, backlog: &Result<Backlog, ReadError>) {
        match backlog {
            Ok(Backlog { pending, claimed, parked }) => {
                for (state, count) in [("pending", pending), ("claimed", claimed), ("parked", parked)] {
                    self.backlog.get_or_create(&[("state", state)]).set(i64::try_from(*count).unwrap_or(i64::MAX));
                }
            }
            Err(error) => {
                self.backlog.clear();
                tracing::warn!(%error, "the backlog is not known");
            }
        }
    }

    pub(crate) fn on_request(&self, route: &'static str, status: &'static str) {
        self.requests.get_or_create(&[("route", route), ("status", status)]).inc();
    }

    pub(crate) fn on_shed(&self, what: &'static str) {
        self.shed.get_or_create(&[("what", what)]).inc();
    }

    pub(crate) fn on_attempt_begins(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn on_attempt_ends(&self, took: Duration, ask: Ask, answer: Answer) {
        self.in_flight.dec();
        self.attempt_seconds.observe(took.as_secs_f64());
        let ended = match ask {
            Ask::Apply => &self.attempts,
            Ask::Read => &self.reads,
        };
        ended.get_or_create(&[("class", AnswerClass::of(answer).name())]).inc();
    }

    /// Counts and logs what the machines say of themselves.
    pub(crate) fn on_audit<'a>(&self, event: AuditEvent, user_of: impl Fn(UserHandle) -> &'a User) {
        let grants = |state| self.grants.get_or_create(&[("state", state)]).inc();
        match event {
            AuditEvent::Exposed { user, variant } => {
                let (name, correlation) = self.line(user_of(user));
                tracing::info!(user = name(), correlation, variant = variant.index(), "exposed");
            }
            AuditEvent::Provisional { user, variant } => {
                let (name, correlation) = self.line(user_of(user));
                tracing::warn!(user = name(), correlation, variant = variant.index(), "answered without a record");
            }
            AuditEvent::Sent { ask, user, grant, attempt, doubt } => {
                if ask == Ask::Apply && doubt == Doubt::InDoubt {
                    self.repeats.inc();
                }
                let (name, correlation) = self.line(user_of(user));
                let is_in_doubt = doubt == Doubt::InDoubt;
                tracing::info!(user = name(), correlation, %grant, attempt, is_in_doubt, ask = ?ask, "sent");
            }
            AuditEvent::Answered { ask, user, grant, attempt, answer } => {
                let (name, correlation) = self.line(user_of(user));
                tracing::info!(user = name(), correlation, %grant, attempt, ask = ?ask, class = answer.name(), "answered");
            }
            AuditEvent::Delivered { user, grant } => {
                grants("delivered");
                self.log_grant(user_of(user), grant, "delivered");
            }
            AuditEvent::Rejected { user, grant } => {
                grants("rejected");
                self.log_grant(user_of(user), grant, "rejected");
            }
            AuditEvent::Absent { user, grant } => {
                grants("absent");
                self.log_grant(user_of(user), grant, "proved absent");
            }
            AuditEvent::Released { user, grant } => {
                grants("released");
                self.log_grant(user_of(user), grant, "released unsent");
            }
            AuditEvent::Parked { user, grant, reason } => {
                grants("parked");
                self.parked.get_or_create(&[("reason", reason.name())]).inc();
                let (name, correlation) = self.line(user_of(user));
                tracing::error!(user = name(), correlation, %grant, reason = reason.name(), "parked: a human must look");
            }
            AuditEvent::LanePaused { .. } => {
                self.lane_pauses.inc();
                tracing::warn!("the quota service asks to be left alone");
            }
            AuditEvent::BreakerOpened => {
                self.is_breaker_open.set(1);
                tracing::warn!("the breaker opens");
            }
            AuditEvent::BreakerClosed => {
                self.is_breaker_open.set(0);
                tracing::info!("the breaker closes");
            }
            AuditEvent::EffectCapReached { .. } => {
                self.effect_caps.inc();
                tracing::error!("the cap on effects a minute is reached");
            }
            AuditEvent::StoreRefused => {
                self.store_refusals.inc();
                tracing::error!("the store belongs to another lineage, mode or secret: nothing is admitted or sent");
            }
        }
    }

    fn log_grant(&self, user: &User, grant: GrantId, what: &str) {
        let (name, correlation) = self.line(user);
        tracing::info!(user = name(), correlation, %grant, "{what}");
    }

    /// What shows a user in a log line, and the correlation. A pseudonym is computed for a line that is written, and no other.
    fn line<'a>(&self, user: &'a User) -> (impl Fn() -> String, Option<&'a str>) {
        (move || self.shown.name(&user.id), user.correlation.as_deref())
    }

    fn on_visit(&self, took: Duration, answer: &Result<Visited, VisitError>) {
        let basis = match answer {
            Ok(visited) => visited.basis.name(),
            Err(VisitError::InvalidUserId(_)) => "invalid",
            Err(VisitError::ShuttingDown) => "shutting-down",
        };
        self.visits.get_or_create(&[("basis", basis)]).inc();
        self.visit_seconds.observe(took.as_secs_f64());
    }
}

/// Measures one visit.
pub(crate) struct VisitTimer<'a> {
    telemetry: &'a Telemetry,
    began_at: Instant,
}

impl VisitTimer<'_> {
    pub(crate) fn ends(self, answer: &Result<Visited, VisitError>) {
        self.telemetry.on_visit(self.began_at.elapsed(), answer);
    }
}

impl Basis {
    /// The name in metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstExposure => "first-exposure",
            Self::Recorded => "recorded",
            Self::NotEnrolled => "not-enrolled",
            Self::Blocked => "blocked",
            Self::Provisional => "provisional",
        }
    }
}
