//! What came of one run: one hook, one scenario, one seed.
//!
//! Owns plain data only; the command line maps it to the versioned record of `hookproof-reports`. Everything here is
//! in virtual time and a pure function of (scenario, hook, seed), so two equal runs compare equal.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_core::store::Evidence;

use crate::metrics::Metric;
use crate::metrics::lift::Lift;
use crate::metrics::srm::Arm;
use crate::scenario::{HookKind, Limit};

/// One finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The hook that was driven.
    pub hook: HookKind,
    /// Whether its invariants are enforced.
    pub role: Role,
    /// The seed.
    pub seed: u64,
    /// Rolling digest of the run's semantic events.
    pub digest: u128,
    /// Verdict over expectations and, for a judged hook, invariants.
    pub verdict: Verdict,
    /// Values over the whole run. A metric over nothing is absent from both this and [`Outcome::unsupported`].
    pub metrics: BTreeMap<Metric, Value>,
    /// Metrics this run cannot measure.
    pub unsupported: Vec<Metric>,
    /// The expectations about this hook, in file order.
    pub expectations: Vec<Expectation>,
    /// All invariants, in a fixed order.
    pub invariants: Vec<Invariant>,
    /// The scenario's faults, in file order.
    pub faults: Vec<FaultAccount>,
    /// What the run came across, by name: the counts beside which a zero means something.
    pub reached: BTreeMap<&'static str, u64>,
    /// Grants that a hook's store holds parked when the run ends; `grant.parked` also counts those that a late receipt has
    /// ended since.
    pub grants_parked: u64,
    /// Counts and levels by time bin, by name.
    pub series: Series,
    /// Requests a second that the quota service can work off; `None` if nothing bounds it.
    pub capacity_per_second: Option<f64>,
    /// The restarts in order of time.
    pub restarts: Vec<Restart>,
    /// How many users hold how many effects, by effects; who holds none is left out.
    pub grants_per_user: BTreeMap<u16, u64>,
    /// Quantiles of visit latency in microseconds, as (quantile in parts per million, value).
    pub latency_us: Vec<(u32, u64)>,
    /// The users with the largest held ÷ own cap above one, worst first, at most ten.
    pub worst_users: Vec<WorstUser>,
    /// Grants that wait for a human, by user, at most ten, with what is known of each.
    pub parked: Vec<Parked>,
    /// What the experiment would have concluded, if anybody was exposed.
    pub experiment: Option<Experiment>,
    /// Simulated hook calls (tries), for throughput figures.
    pub hook_calls: u64,
    /// Those of them that were answered before their deadline.
    pub calls_answered: u64,
    /// Events processed.
    pub events: u64,
}

/// The experiment as an analyst sees it when the run is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Users by the variant of the first exposure.
    pub arms: Vec<Arm>,
    /// Exposed users.
    pub exposed: u64,
    /// Those in both groups, or first exposed to a control and with an effect.
    pub contaminated: u64,
    /// See `experiment.srm-p`.
    pub srm_p: Option<f64>,
    /// The exact test, where few users are expected in an arm.
    pub srm_exact_p: Option<f64>,
    /// The sequential test, looked at after every first exposure.
    pub srm_sequential_p: Option<f64>,
    /// The lift, if one was planted and both groups have users.
    pub lift: Option<Lift>,
}

/// Whether a hook's invariants are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Enforced.
    Judged,
    /// Shown, not enforced.
    Reference,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All holds.
    Pass,
    /// Something does not hold.
    Violated,
    /// Something could not be judged, and nothing is violated.
    Inconclusive,
}

/// A metric's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// It never happened: infinite.
    Never,
}

/// One judged `[[expect]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The metric.
    pub metric: Metric,
    /// Name of the stretch, `"run"` for the whole run.
    pub during: String,
    /// The limit.
    pub limit: Limit,
    /// The value; absent if there was nothing to measure.
    pub value: Option<Value>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Why it is inconclusive; empty otherwise.
    pub note: String,
    /// Line of the `[[expect]]` in the scenario file.
    pub line: u32,
}

/// One named invariant.
#[derive(Clone, Debug, PartialEq)]
pub struct Invariant {
    /// Its name, such as `GRANT-1`.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// How often it was checked; 0 proves nothing.
    pub checked: u64,
    /// How often it was violated.
    pub violations: u64,
    /// Checks that could not be judged (a calm too short for the backlog).
    pub inconclusive: u64,
    /// The first violation.
    pub first: Option<Violation>,
}

/// Where an invariant was first violated.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Virtual time since the run's origin.
    pub at: Duration,
    /// The user it concerns, as `user-N`.
    pub user: Option<String>,
    /// What was seen.
    pub evidence: String,
}

/// What a fault could touch and did touch.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultAccount {
    /// Its name.
    pub name: String,
    /// Its kind, as in the contract.
    pub kind: &'static str,
    /// First start.
    pub at: Duration,
    /// Length.
    pub length: Duration,
    /// Chances to do something.
    pub opportunities: u64,
    /// Chances taken.
    pub effects: u64,
    /// Whether this world can do it: the simulated one can do all kinds.
    pub supported: bool,
}

/// Counts and levels by time bin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Width of a bin.
    pub bin: Duration,
    /// By name: one count a bin from the run's origin.
    pub counts: BTreeMap<&'static str, Vec<u64>>,
    /// By name: what something was.
    pub levels: BTreeMap<String, Level>,
}

/// What something was, by time bin from the run's origin; `None` where it was not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Level {
    /// The least of each bin.
    pub least: Vec<Option<i64>>,
    /// The greatest of each bin.
    pub greatest: Vec<Option<i64>>,
}

/// One restart, and who was seen around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Its first start.
    pub at: Duration,
    /// Users seen in either of the epochs that it divides.
    pub users: u64,
    /// Users seen in both.
    pub returning: u64,
    /// Users whose last variant before differs from the first after.
    pub switched: u64,
}

/// A user who holds more than intended.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstUser {
    /// `user-N`.
    pub user: String,
    /// Number of effects.
    pub effects: u32,
    /// Units held.
    pub held: u64,
    /// Own intended cap.
    pub intended: u64,
}

/// A grant that waits for a human.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Whose it is.
    pub user: u32,
    /// What the store knows of it.
    pub evidence: Evidence,
}
