//! A scenario: what is driven through a hook, what goes wrong meanwhile, and what must come of it.
//!
//! Owns the resolved form: every default filled in, every name checked, every unit a type. `decode` turns a file's text
//! into it and reports *all* that is wrong with the file. Nothing here knows how a scenario is run.

mod decode;
mod delivery;
pub mod form;
mod hook_file;
mod limits;
mod placement;
mod problem;
mod trace;
mod traffic;

pub use decode::{
    Attached, decode, decode_experiment, decode_hook, decode_lineage, decode_with_files, fault_kinds, format,
};
pub use hook_file::{HookFile, Secret, ServerSettings, StoreChoice, Surroundings, UpstreamTarget, Whereabouts};
pub use limits::{Estimate, LimitError, Limits};
pub use problem::{PROBLEMS_MAX, Problem, ScenarioError};
pub use trace::{Interval, Trace};
pub use traffic::{Popularity, Rhythm, Selection, Spacing, Traffic, TrafficKind};

use std::time::Duration;

use hookproof_core::experiment::Experiment;
/// `capability` of `[upstream]`.
pub use hookproof_core::promise::Offer as Capability;
use hookproof_core::time::WallTime;

use crate::metrics::Metric;

/// A whole scenario, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's name without folder and ending; names the scenario in records.
    pub name: String,
    /// SHA-256 of the file's bytes; with traces, SHA-256 of that and of each trace's own, in file order.
    pub digest: [u8; 32],
    /// `title`.
    pub title: String,
    /// `about`; empty if not given.
    pub about: String,
    /// `seed`; default 1.
    pub seed: u64,
    /// `start`: UTC time of the run's origin; default 2026-01-01T00:00:00Z.
    pub start: WallTime,
    /// `duration` of the storm.
    pub duration: Duration,
    /// `calm` after it; default 10 min.
    pub calm: Duration,
    /// `hooks`, without repetition, in file order.
    pub hooks: Vec<HookKind>,
    /// `judge`: hooks whose invariants are enforced; default all of `hooks` but `original` and `published`.
    pub judge: Vec<HookKind>,
    /// `excuse`: whom the judgement leaves out, by what has befallen them; default nobody.
    pub excuses: Vec<Excuse>,
    /// `[experiment]`, validated.
    pub experiment: Experiment,
    /// `true-lift` of `[experiment]`: a user's outcome is 1 + this (if an effect is held) + N(0, 1); default 0.
    pub true_lift: f64,
    /// `[quota]`.
    pub quota: Quota,
    /// `[users]`.
    pub users: Option<Users>,
    /// `[[traffic]]`.
    pub traffic: Vec<Traffic>,
    /// `[caller]`.
    pub caller: Caller,
    /// `[fleet]`.
    pub fleet: Fleet,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[upstream]`: what is true of the quota service.
    pub upstream: Upstream,
    /// `[hardened]`, over the defaults of the core.
    pub hardened: Hardened,
    /// `[[fault]]`.
    pub faults: Vec<Fault>,
    /// `[[window]]`.
    pub windows: Vec<Window>,
    /// `[[expect]]`.
    pub expects: Vec<Expect>,
}

/// A hook under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// The post-mortem's first program.
    Original,
    /// The program the post-mortem published as the cure.
    Published,
    /// The real `hookproof-core`.
    Hardened,
}

impl HookKind {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 3] = [Self::Original, Self::Published, Self::Hardened];

    /// The name in scenario files and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Published => "published",
            Self::Hardened => "hardened",
        }
    }

    /// Whether it claims to assign by the specified hash, so that it can be held to it.
    pub const fn claims_specified_hash(self) -> bool {
        match self {
            Self::Original | Self::Published => false,
            Self::Hardened => true,
        }
    }

    /// Whether it keeps its grants in a store, and so can be held to what the store has answered.
    pub const fn keeps_store(self) -> bool {
        match self {
            Self::Original | Self::Published => false,
            Self::Hardened => true,
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What may excuse the hook from what it owes a user. Only a scenario that says so excuses, and the record counts whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Excuse {
    /// `false-ack`: the service said yes to a request for the user and did nothing, which no hook can know.
    FalseAck,
    /// `lost-exposure`: the store lost the record of the user's exposure after it had acknowledged it, and the user has not
    /// been exposed again since, so that nobody knows of the promise.
    LostExposure,
}

impl Excuse {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::FalseAck, Self::LostExposure];

    /// The name in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FalseAck => "false-ack",
            Self::LostExposure => "lost-exposure",
        }
    }
}

/// A probability in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u32);

impl Probability {
    /// Certain.
    pub const ONE: Self = Self(1_000_000);
    /// Impossible.
    pub const ZERO: Self = Self(0);

    /// From parts per million; `None` above one.
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= 1_000_000 { Some(Self(ppm)) } else { None }
    }

    /// Parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether an event of this probability happens under the uniformly drawn `draw`.
    pub const fn happens(self, draw: u64) -> bool {
        (((draw as u128) * 1_000_000) >> 64) < self.0 as u128
    }
}

/// `[quota]`: what over-allocation costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Unit for display; default "units".
    pub unit: String,
    /// A user's cap before the experiment; default 100.
    pub base: u32,
    /// The service refuses beyond it; default none.
    pub hard_limit: Option<u32>,
    /// USD per unit and month; default 0.
    pub price_per_unit_month: f64,
    /// Share of the excess that is really consumed; default 1.
    pub utilisation: f64,
}

/// `[users]`: a closed population.
#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    /// Number of users.
    pub population: u32,
    /// Their own visits, if they come by themselves.
    pub visits: Option<Visits>,
}

/// `visits`: Poisson, with a Gamma-distributed rate of each user.
#[derive(Clone, Debug, PartialEq)]
pub struct Visits {
    /// Mean number per `per`.
    pub mean: f64,
    /// The time `mean` refers to.
    pub per: Duration,
    /// Shape of the Gamma distribution of the rates; default infinite (all users alike).
    pub shape: Option<f64>,
}

/// `[caller]`: the web tier that calls the hook and retries.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// How long a try is waited for; default 5 s.
    pub deadline: Duration,
    /// Retries after the first try; `None` is unlimited; default 0.
    pub retries: Option<u32>,
    /// Pause before a retry is uniform in `pause_from ..= pause_to`; default 500 ms.
    pub pause_from: Duration,
    /// See `pause_from`; default 1,500 ms.
    pub pause_to: Duration,
    /// Probability to leave before each retry; default 0.
    pub give_up: Probability,
}

/// `[fleet]`: the hook's processes, named `app-1`, `app-2`, ….
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Number of instances; default 1.
    pub instances: u16,
    /// Scheduled restarts.
    pub restart: Option<Restart>,
}

/// A schedule of restarts at k·`every` < `duration`, k = 1, 2, ….
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// Period.
    pub every: Duration,
    /// All at once or one after another.
    pub mode: RestartMode,
    /// How long an instance is down; default 2 s.
    pub downtime: Duration,
}

/// How a fleet restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartMode {
    /// All instances go down together.
    AllAtOnce,
    /// The next goes down when the one before is up.
    Rolling,
}

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// Lognormal through two quantiles.
    Lognormal {
        /// Median.
        p50: Duration,
        /// 99th percentile, not below the median.
        p99: Duration,
    },
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    /// Round trip of a command; default constant 1 ms.
    pub latency: Latency,
    /// Added until a write is durable; default 4 ms.
    pub latency_commit: Duration,
    /// Declared bound of the store clock's error; default 500 ms.
    pub clock_error: Duration,
    /// Who has the say; default one store.
    pub authority: Authority,
}

/// `authority` of `[store]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One store for the whole fleet.
    One,
    /// An embedded store in each instance: several authorities over one lineage, which no promise survives.
    PerInstance,
}

/// `[upstream]`: the quota service as it truly is, and what the hook believes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Requests it works on at once; default 16.
    pub workers: u32,
    /// Time a worker needs for a request; default constant 50 ms.
    pub service_time: Latency,
    /// Requests that may wait; `None` is unbounded (the default).
    pub queue: Option<u32>,
    /// What is true.
    pub truth: UpstreamFacts,
    /// What the hook believes; default the truth.
    pub believed: UpstreamFacts,
    /// Vendor profile of idempotency keys; default strict. It means nothing under another capability.
    pub profile: Profile,
    /// A request without a key gets 400; default false.
    pub require_key: bool,
}

/// Facts that a hook's safety rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// What the service offers against doubles; default idempotency key.
    pub capability: Capability,
    /// How long a key is remembered; default 24 h.
    pub key_ttl: Duration,
    /// How far reads under `read-back` lie behind the ledger; default 0.
    pub read_back_lag: Duration,
    /// Longest time from sending to execution, as declared; default 60 s. The service does not enforce it.
    pub request_lifetime: Duration,
}

/// `profile` of `[upstream]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 409 in progress, 422 on another body, only final answers are stored.
    Strict,
    /// Every answer of an execution is stored, 500 too.
    StripeV1,
    /// Only 2xx answers are stored.
    Only2xxCached,
    /// Keys are ignored.
    KeysIgnored,
    /// A key with another body is replayed.
    NoBodyCompare,
}

/// `[hardened]`: settings that replace the core's defaults. `None` keeps the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hardened {
    /// `max-in-flight` of the fleet.
    pub max_in_flight: Option<u32>,
    /// `lease`.
    pub lease: Option<Duration>,
    /// `connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// `attempt-timeout`.
    pub attempt_timeout: Option<Duration>,
    /// `backoff-base`.
    pub backoff_base: Option<Duration>,
    /// `backoff-cap`.
    pub backoff_cap: Option<Duration>,
    /// `retry-after-cap`.
    pub retry_after_cap: Option<Duration>,
    /// `retry-budget`, tokens.
    pub retry_budget: Option<u32>,
    /// `breaker-window`.
    pub breaker_window: Option<Duration>,
    /// `breaker-min-calls`.
    pub breaker_min_calls: Option<u32>,
    /// `breaker-failure-ratio`.
    pub breaker_failure_ratio: Option<Probability>,
    /// `breaker-open`.
    pub breaker_open: Option<Duration>,
    /// `breaker-open-cap`.
    pub breaker_open_cap: Option<Duration>,
    /// `effects-per-minute`.
    pub effects_per_minute: Option<u32>,
    /// `store-patience`.
    pub store_patience: Option<Duration>,
    /// `commit-batch`.
    pub commit_batch: Option<u32>,
}

/// One `[[fault]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Unique name; default the kind, with `-2`, `-3` … where it is taken.
    pub name: String,
    /// What happens.
    pub kind: FaultKind,
    /// First start; with `every` alone, `every`. Zero if the seed decides.
    pub at: Duration,
    /// Who decides when it starts first.
    pub placement: Placement,
    /// `for`; zero for a point fault, and for a crash with `when` that may hit until the storm's end.
    pub length: Duration,
    /// Repeats at `at + k · every` while that lies within the storm.
    pub every: Option<Duration>,
    /// Share of the opportunities it touches; default 1.
    pub probability: Probability,
    /// Targets; default all.
    pub on: Targets,
}

/// Who decides when a fault starts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The file.
    Fixed,
    /// The seed: `at = "random"`. See [`Scenario::placed`].
    Random,
}

impl Fault {
    /// When it starts, repetitions included, in a storm that lasts `duration`: as long as it ends within the storm.
    pub fn starts(&self, duration: Duration) -> impl Iterator<Item = Duration> {
        let repeated = std::iter::successors(Some(self.at), move |at| Some(*at + self.every?));
        repeated.take_while(move |at| *at < duration && *at + self.lasts() <= duration)
    }

    /// The stretches it stands for in `during`. What happens at a point in time lasts: a crash until its downtime is over,
    /// anything else until it happens again or the storm ends.
    pub fn stretches(&self, duration: Duration) -> Vec<(Duration, Duration)> {
        let starts: Vec<Duration> = self.starts(duration).collect();
        let next = starts.iter().skip(1).copied().chain([duration]);
        let lasts = self.lasts();
        let end = |start: Duration, next: Duration| if lasts.is_zero() { next } else { (start + lasts).min(duration) };
        starts.iter().zip(next).map(|(start, next)| (*start, end(*start, next))).collect()
    }

    /// How long it lasts from each start: a crash until its downtime is over, anything else for its `for`.
    pub fn lasts(&self) -> Duration {
        if let FaultKind::ProcessCrash { downtime, when: None } = self.kind { downtime } else { self.length }
    }

    /// Whether it rolls a version out.
    pub const fn is_deploy(&self) -> bool {
        matches!(self.kind, FaultKind::ProcessDeploy { .. })
    }

    /// Whether processes start again because of it.
    pub const fn restarts_processes(&self) -> bool {
        use FaultKind::{ProcessCrash, ProcessDeploy, ProcessRollingRestart};
        matches!(self.kind, ProcessCrash { .. } | ProcessRollingRestart { .. } | ProcessDeploy { .. })
    }

    /// Whether it waits for a moment, and may hit until the storm ends.
    pub const fn waits_until_the_storm_ends(&self) -> bool {
        matches!(self.kind, FaultKind::ProcessCrash { when: Some(_), .. }) && self.length.is_zero()
    }
}

/// Which clocks or processes a fault touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// All instances.
    All,
    /// These.
    Only(Vec<Target>),
}

/// One target of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Instance number, from 0 (`app-1` is 0).
    Instance(u16),
    /// `store`: its clock.
    Store,
    /// `quota`: the quota service's clock.
    Quota,
}

/// A signed duration in nanoseconds: what a clock is moved by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockShift {
    /// Nanoseconds, forward if positive.
    pub nanos: i64,
}

/// A moment in a call's life that a process fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// About to send: decided and recorded, not sent.
    Claimed,
    /// Just sent.
    Sent,
    /// Just applied by the service, the answer not yet received.
    Applied,
}

/// How an outage shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageMode {
    /// Connections are refused.
    Refused,
    /// Every request gets 503.
    Unavailable,
    /// Every request gets 401: our credentials are not accepted.
    Unauthorised,
    /// Connections are accepted and never answered.
    Hang,
}

/// What a fault does, with its parameters.
///
/// `ProcessDeploy` carries the whole new experiment, `version` included; its fault's `length` is the roll-out's, zero
/// meaning all instances at once. A `ProcessRollingRestart` without `for` is as long as one downtime of each instance
/// after another. A `ProcessPause` lasts its fault's stretch, with `when` from that moment on.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is one kind of the contract, under its name there")]
pub enum FaultKind {
    ClockOffset { by: ClockShift },
    ClockDrift { ppm: i32 },
    ClockStep { by: ClockShift },
    ClockFreeze,
    ClockStrobe { by: ClockShift, period: Duration },
    ProcessCrash { downtime: Duration, when: Option<Moment> },
    ProcessPause { when: Option<Moment> },
    ProcessRollingRestart { downtime: Duration },
    ProcessDeploy { version: String, experiment: Box<Experiment> },
    NetworkLatency { add: Duration },
    NetworkLoss,
    NetworkLostReply,
    NetworkDuplicate,
    NetworkReorder,
    NetworkPartition,
    NetworkReset,
    QuotaOutage { mode: OutageMode },
    QuotaErrorBefore,
    QuotaErrorAfter,
    QuotaLostReply,
    QuotaThrottle { retry_after: Option<Duration> },
    QuotaSlow { factor: f64 },
    QuotaRestart,
    QuotaKeyLag { lag: Duration },
    QuotaReplay { delay: Duration },
    QuotaFalseAck,
    QuotaMalformed,
    StoreLatency { add: Duration },
    StoreError,
    StoreOutage,
    StoreReadOnly,
    StoreFailover { lost: Duration, silent: bool },
    StoreLostAck,
    StoreFull,
}

/// One `[[window]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Unique name.
    pub name: String,
    /// Start.
    pub at: Duration,
    /// Length.
    pub length: Duration,
}

/// One `[[expect]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// The hook it is about; `None` means every hook of the file.
    pub hook: Option<HookKind>,
    /// The metric.
    pub metric: Metric,
    /// What it must be.
    pub limit: Limit,
    /// Which stretch of the run.
    pub during: Span,
    /// Line of the `[[expect]]` header in the file, from 1.
    pub line: u32,
}

/// A limit of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// `at-most`.
    AtMost(f64),
    /// `at-least`.
    AtLeast(f64),
    /// `equals`.
    Equals(f64),
    /// `between`, both ends included.
    Between(f64, f64),
}

/// A named stretch `[from, to)` of a run; a repeated fault has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The name as written in `during`; `"run"` for the whole run.
    pub name: String,
    /// Its stretches, in order of time.
    pub stretches: Vec<(Duration, Duration)>,
    /// The fault of that name, as an index into [`Scenario::faults`].
    pub fault: Option<usize>,
}
