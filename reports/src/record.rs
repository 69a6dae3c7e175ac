//! The run record, schema `hookproof.run/1`.
//!
//! Owns the shape and the names of everything a run leaves behind. It holds no wall time, host name or path: the same
//! scenario and seed give the same bytes anywhere. Keys may be added within a schema; none is renamed or dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::length::Length;
use crate::number::Number;

/// The schema that this version writes.
pub const SCHEMA: &str = "hookproof.run/1";

/// What one command ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: String,
    /// What wrote it.
    pub tool: Tool,
    /// Whether the runs' time was virtual or real.
    pub clock: ClockKind,
    /// One entry for each scenario, hook and seed, in this order.
    pub runs: Vec<Run>,
}

/// The program that wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `hookproof`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Whose time the runs lived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    /// Simulated: a figure in it is a function of scenario and seed.
    Virtual,
    /// The machine's own: figures depend on the machine.
    Real,
}

/// One hook in one scenario with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Counts over time.
    pub series: Series,
    /// Visit latency.
    pub latency: Latency,
    /// Users with the largest held ÷ own cap above one, worst first, at most ten.
    pub worst_users: Vec<WorstUser>,
    /// Grants that wait for a human, by user, at most ten. Older records have none.
    #[serde(default)]
    pub parked: Vec<ParkedGrant>,
    /// The command that repeats this run, with the scenario's file name without its folder.
    pub repro: String,
}

/// Which scenario a run belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioId {
    /// The file's name without folder and ending.
    pub name: String,
    /// The scenario's `title`.
    pub title: String,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub digest: String,
}

/// Whether a hook's invariants are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Enforced.
    Judged,
    /// Shown for comparison.
    Reference,
}

/// What was found; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Time since the run's origin.
    pub at: Length,
    /// The user it concerns; `null` if none.
    pub user: Option<String>,
    /// What was seen.
    pub evidence: String,
}

/// What a fault could touch and did touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Counts over time, in bins of equal width from the run's origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Width of a bin.
    pub bin: Length,
    /// One count a bin, by name.
    pub counts: BTreeMap<String, Vec<u64>>,
}

/// Visit latency in the run's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Ascending.
    pub quantiles: Vec<Quantile>,
}

/// One quantile of a distribution of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quantile {
    /// Which one, in parts per million: 990000 is the 99th percentile.
    pub quantile_ppm: u32,
    /// Its value in microseconds.
    pub latency_us: u64,
}

/// A user who holds more than intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
