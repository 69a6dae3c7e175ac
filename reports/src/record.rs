//! The run record, schema `hookproof.run/1`.
//!
//! Owns the shape and the names of everything a run leaves behind. It holds no wall time, host name or path: the same
//! scenario and seed give the same bytes anywhere. Keys may be added within a schema; none is renamed or dropped.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ablation::Ablation;
use crate::length::Length;
use crate::number::Number;
use crate::pseudonym::UserIds;

/// The schema that this version writes.
pub const SCHEMA: &str = "hookproof.run/1";

/// What one command ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: String,
    /// What wrote it.
    pub tool: Tool,
    /// Whether the runs' time was virtual or real.
    pub clock: ClockKind,
    /// Whether ids of users stand in it, or pseudonyms. Older records have ids.
    #[serde(default, rename = "user-ids")]
    pub user_ids: UserIds,
    /// One entry for each scenario, hook and seed, in this order.
    pub runs: Vec<Run>,
    /// What each protection of a hook prevents, one entry for each scenario; left out where none was removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablations: Vec<Ablation>,
}

/// The program that wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `hookproof`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Whose time the runs lived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    /// Simulated: a figure in it is a function of scenario and seed.
    Virtual,
    /// The machine's own: figures depend on the machine.
    Real,
}

/// One hook in one scenario with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// The scenario.
    pub scenario: ScenarioId,
    /// Name of the hook.
    pub hook: String,
    /// Whether its invariants are enforced.
    pub role: Role,
    /// The seed.
    pub seed: u64,
    /// Rolling digest of the run's events, 32 hexadecimal digits: equal digests, equal runs.
    pub digest: String,
    /// Over all expectations and, for a judged hook, all invariants.
    pub verdict: Verdict,
    /// Why nothing could be judged, where neither an expectation nor an invariant says so; left out otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Values over the whole run by metric. Ratios, quantiles and maxima over nothing are absent.
    pub metrics: BTreeMap<String, Number>,
    /// Metrics that this run cannot measure.
    pub unsupported: Vec<String>,
    /// The expectations about this hook, in the file's order.
    pub expectations: Vec<Expectation>,
    /// The invariants, violated or not.
    pub invariants: Vec<Invariant>,
    /// The scenario's faults, in the file's order.
    pub faults: Vec<Fault>,
    /// What the run came across, by name: the counts beside which a zero means something.
    pub reached: BTreeMap<String, u64>,
    /// How the run's time is divided. Absent in older records, as are the keys below that may be empty.
    #[serde(default)]
    pub phases: Phases,
    /// Faults, spikes and windows as they lay in time.
    #[serde(default)]
    pub lanes: Vec<LaneOfRun>,
    /// Counts and levels over time.
    pub series: Series,
    /// Requests a second that the quota service can work off; `null` if it has no such bound.
    #[serde(default)]
    pub capacity_per_second: Option<Number>,
    /// The restarts, in order, each with who switched variant across it.
    #[serde(default)]
    pub restarts: Vec<Restart>,
    /// How many users hold how many effects, ascending; users with none are left out.
    #[serde(default)]
    pub grants_per_user: Vec<GrantsPerUser>,
    /// Visit latency.
    pub latency: Latency,
    /// Users with the largest held ÷ own cap above one, worst first, at most ten.
    pub worst_users: Vec<WorstUser>,
    /// Grants that wait for a human, by user, at most ten. Older records have none.
    #[serde(default)]
    pub parked: Vec<ParkedGrant>,
    /// What the experiment would have concluded. Older records, and runs in which nobody was exposed, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Experiment>,
    /// What happened to the users worth telling of, step by step; empty unless stories were asked for.
    #[serde(default)]
    pub stories: Vec<Story>,
    /// The command that repeats this run, with the scenario's file name without its folder.
    pub repro: String,
}

/// Which scenario a run belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioId {
    /// The file's name without folder and ending.
    pub name: String,
    /// The scenario's `title`.
    pub title: String,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub digest: String,
}

/// Whether a hook's invariants are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Enforced.
    Judged,
    /// Shown for comparison.
    Reference,
}

/// What was found; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Something does not hold.
    Violated,
    /// Something could not be judged, and nothing is violated.
    Inconclusive,
    /// All holds.
    Pass,
}

/// One judged expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// The metric.
    pub metric: String,
    /// The hook it was judged for.
    pub hook: String,
    /// Name of the stretch of time, `"run"` for the whole run.
    pub during: String,
    /// What the value must be.
    pub limit: Limit,
    /// The value; `null` if there was nothing to measure.
    pub value: Option<Number>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Line of the `[[expect]]` in the scenario file, from 1.
    pub line: u32,
    /// Why it is inconclusive; left out otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What a metric must be, as `{"at-most": 1}`; `between` has both ends, included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Not above it.
    AtMost(Number),
    /// Not below it.
    AtLeast(Number),
    /// Exactly it.
    Equals(Number),
    /// Neither below the first nor above the second.
    Between(Number, Number),
}

/// One named invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invariant {
    /// Its name, such as `GRANT-1`.
    pub id: String,
    /// What it says.
    pub says: String,
    /// How often it was checked; 0 proves nothing.
    pub checked: u64,
    /// How often it was violated.
    pub violations: u64,
    /// Checks that could not be judged.
    pub inconclusive: u64,
    /// The first violation; `null` if there is none.
    pub first: Option<Violation>,
}

/// Where an invariant was first violated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Time since the run's origin.
    pub at: Length,
    /// The user it concerns; `null` if none.
    pub user: Option<String>,
    /// What was seen.
    pub evidence: String,
}

/// What a fault could touch and did touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// Its kind, such as `quota.lost-reply`.
    pub kind: String,
    /// First start, since the run's origin.
    pub at: Length,
    /// Length; `"0s"` for a point fault.
    #[serde(rename = "for")]
    pub length: Length,
    /// Chances to do something; with 0, what names the fault is inconclusive.
    pub opportunities: u64,
    /// Chances taken.
    pub effects: u64,
    /// Whether this world can do it at all.
    pub supported: bool,
}

/// How a run's time is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// Length of the storm, from the run's origin.
    pub storm: Length,
    /// Length of the calm after it.
    pub calm: Length,
}

/// Something of the scenario that lasts, as it lay in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaneOfRun {
    /// Its name.
    pub name: String,
    /// A fault's kind, or `traffic`, `window`, `restart`.
    pub kind: String,
    /// From, and up to but not including; equal ends are a moment. In order of their beginnings.
    pub stretches: Vec<(Length, Length)>,
}

/// Counts and levels over time, in bins of equal width from the run's origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Width of a bin.
    pub bin: Length,
    /// How often something happened in each bin, by name.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// What something was, by name.
    #[serde(default)]
    pub levels: BTreeMap<String, Level>,
}

/// The least and the greatest that something was in each bin, one that lasted a nanosecond included; `null` where it was not
/// at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// One for each bin.
    pub least: Vec<Option<i64>>,
    /// One for each bin.
    pub greatest: Vec<Option<i64>>,
}

/// One restart: starts of instances at most 10 s apart, or a whole roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restart {
    /// Its first start, since the run's origin.
    pub at: Length,
    /// Users seen between it and the one before, or between it and the next, each counted once.
    pub users: u64,
    /// Users seen in both.
    pub returning: u64,
    /// Users whose last variant before differs from the first after.
    pub switched: u64,
}

/// So many users hold so many effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantsPerUser {
    /// Effects.
    pub effects: u32,
    /// Users.
    pub users: u64,
}

/// What happened to one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Story {
    /// The user.
    pub user: String,
    /// Why it is told.
    pub why: Why,
    /// Number of effects.
    pub effects: u32,
    /// Units held.
    pub held: u64,
    /// The user's own intended cap, in units.
    pub intended: u64,
    /// In order of time.
    pub steps: Vec<Step>,
    /// Steps that are left out after the last one told.
    pub left_out: u64,
}

/// Why a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// An invariant was first violated by what happened to this user.
    Violation,
    /// The user holds more than intended.
    OverAllocated,
    /// Somebody asked for it.
    Asked,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// True time since the run's origin.
    pub at: Length,
    /// Where: `caller`, an instance such as `app-2`, `store`, `quota`, or `run` for what concerns all.
    pub place: String,
    /// What the clock of that place showed, UTC; `null` where it has none.
    pub shown: Option<String>,
    /// What kind of step: `visit`, `answer`, `exposure`, `claim`, `attempt`, `effect`, `receipt`, `settled`, `restart`, `fault`, …
    pub kind: String,
    /// In plain words.
    pub text: String,
    /// Joins the steps of one visit, from its beginning to the receipt; `null` for what belongs to none.
    pub correlation: Option<String>,
    /// Invariants that this step was the first to violate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violates: Vec<String>,
}

/// Visit latency in the run's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Ascending.
    pub quantiles: Vec<Quantile>,
}

/// One quantile of a distribution of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Quantile {
    /// Which one, in parts per million: 990000 is the 99th percentile.
    pub quantile_ppm: u32,
    /// Its value in microseconds.
    pub latency_us: u64,
}

/// A user who holds more than intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorstUser {
    /// The user.
    pub user: String,
    /// Number of effects.
    pub effects: u32,
    /// Units held.
    pub held: u64,
    /// The user's own intended cap, in units.
    pub intended: u64,
}

/// A grant that can be neither sent nor proved: what is known of it, and what a human should look up. Times are UTC by the
/// store's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ParkedGrant {
    /// The user.
    pub user: String,
    /// The grant's id, which is its idempotency key.
    pub grant: String,
    /// Why.
    pub reason: String,
    /// What a human should look up, and what follows from it.
    pub look_up: String,
    /// Sends.
    pub attempts: u32,
    /// The last answer; absent if there was none.
    pub answer: Option<String>,
    /// When the first send that may have been applied was decided; absent if that is not known.
    pub first_sent_at: Option<String>,
    /// No send was decided after this time.
    pub sent_until: String,
    /// When it was parked.
    pub parked_at: String,
}

/// An experiment as an analyst sees it when the run is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// The variants, by the users whose first exposure they were.
    pub arms: Vec<Arm>,
    /// Exposed users.
    pub exposed: u64,
    /// Those in both groups, or first exposed to a control and with an effect.
    pub contaminated: u64,
    /// Whether the arms have as many users as was declared.
    pub srm: SampleRatio,
    /// The lift; `null` if none was planted, or a group is empty.
    pub lift: Option<Lift>,
}

/// Users of one variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Arm {
    /// The variant.
    pub variant: String,
    /// Users who were first exposed to it.
    pub exposed: u64,
    /// How many were to be expected by the weights in force.
    pub expected: Number,
}

/// p-values of the declared sample ratio; `null` where only one variant could be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SampleRatio {
    /// Chi-square without correction, as `experiment.srm-p`.
    pub chi_square_p: Option<Number>,
    /// The exact multinomial test, where fewer than five users are expected in an arm; `null` elsewhere.
    pub exact_p: Option<Number>,
    /// The sequential test, looked at after every first exposure.
    pub sequential_p: Option<Number>,
}

/// What an analyst estimates of a lift that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Lift {
    /// What an effect really adds to the outcome.
    pub planted: Number,
    /// The difference of the groups' means, by the last logged variant.
    pub estimated: Number,
    /// (estimated − planted) ÷ planted.
    pub bias: Number,
    /// Of the estimate; `null` if a group is of one user.
    pub standard_error: Option<Number>,
    /// Users counted as control.
    pub control: u64,
    /// Users counted as treated.
    pub treatment: u64,
}

/// The command that repeats one run of the scenario file `path`, ready for a shell.
pub fn repro_command(path: &str, hook: &str, seed: u64) -> String {
    format!("hookproof run {} --hook {hook} --seed {seed}", quoted(path))
}

/// The path as one word of a shell.
pub(crate) fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&byte);
    if !path.is_empty() && !path.starts_with('-') && path.bytes().all(plain) {
        return path.to_owned();
    }
    let inside = path.replace('\'', r"'\''");
    if path.starts_with('-') { format!("'./{inside}'") } else { format!("'{inside}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repro_survives_a_shell() {
        assert_eq!(repro_command("a/b.toml", "hardened", 7), "hookproof run a/b.toml --hook hardened --seed 7");
        assert!(repro_command("it's here.toml", "x", 1).starts_with(r"hookproof run 'it'\''s here.toml' --hook"));
        assert!(repro_command("-a.toml", "x", 1).starts_with("hookproof run './-a.toml' --hook"));
    }
}
