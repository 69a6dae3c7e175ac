//! The harms of a matrix: what a user, the service or an operator suffers, each measured by a metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::record::Run;

/// A column of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Harm {
    /// The metric, or `upstream.peak-load`: `upstream.peak-rps` ÷ what the service can do in a second.
    pub name: String,
    /// A heading of one word.
    pub short: String,
    /// What it counts.
    pub means: String,
    /// What kind of value it has.
    pub unit: Unit,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A whole number.
    Count,
    /// A quotient.
    Ratio,
}

const PEAK_LOAD: &str = "upstream.peak-load";

const CATALOGUE: [(&str, &str, Unit, &str); 8] = [
    ("over-allocation.users", "over", Unit::Count, "users above their own cap"),
    ("group-switching.users", "moved", Unit::Count, "users who were shown two variants"),
    ("undelivered.users", "owed", Unit::Count, "users who were promised a grant and hold none"),
    ("grant.parked", "parked", Unit::Count, "grants that wait for a human"),
    ("upstream.amplification", "calls", Unit::Ratio, "calls for each user with a call or grant"),
    (PEAK_LOAD, "peak", Unit::Ratio, "most calls in a second ÷ what the service can do in one"),
    ("upstream.recovery-seconds", "heal", Unit::Count, "seconds until goodput is back after the last trigger"),
    ("store.writes-per-grant", "rows", Unit::Ratio, "rows that delivery writes for each grant"),
];

impl Harm {
    /// All harms, in the order of the columns.
    pub(crate) fn all() -> Vec<Self> {
        let harm = |(name, short, unit, means): (&str, &str, Unit, &str)| Self {
            name: name.to_owned(),
            short: short.to_owned(),
            means: means.to_owned(),
            unit,
        };
        CATALOGUE.into_iter().map(harm).collect()
    }

    /// How large it is in a run; `None` where there is nothing to measure.
    pub(crate) fn of(&self, run: &Run) -> Option<Number> {
        if self.name != PEAK_LOAD {
            return run.metrics.get(&self.name).copied();
        }
        let peak = run.metrics.get("upstream.peak-rps")?.value()?;
        let capacity = run.capacity_per_second?.value().filter(|capacity| *capacity > 0.0)?;
        Number::finite(peak / capacity)
    }
}
