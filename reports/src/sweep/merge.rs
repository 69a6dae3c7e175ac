//! Parts of one sweep become the whole, or it is said why they are not.

use std::collections::BTreeMap;
use std::fmt;

use super::consistency::contradiction;
use super::record::{Pair, SweepRecord};
use super::shard::Shard;
use crate::record::{Role, ScenarioId};

/// A part and what its user calls it: the file's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPart {
    /// For messages.
    pub name: String,
    /// What it holds.
    pub record: SweepRecord,
}

/// Why parts cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// There are no parts.
    Nothing,
    /// A part's numbers contradict each other; it was edited or damaged. Run it again.
    Damaged {
        /// The part.
        part: String,
        /// What is wrong.
        why: String,
    },
    /// Two parts come from different sweeps.
    Differ {
        /// One.
        part: String,
        /// The other.
        other: String,
        /// In what.
        what: &'static str,
    },
    /// Two parts are the same shard.
    Overlap {
        /// One.
        part: String,
        /// The other.
        other: String,
        /// Which.
        shard: Shard,
    },
    /// Shards are missing; run them, then merge.
    Missing {
        /// Which, at least one.
        shards: Vec<Shard>,
        /// How many more.
        more: u64,
    },
}

/// Missing shards that a message lists.
const MISSING_LISTED: usize = 10;

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no part was named"),
            Self::Damaged { part, why } => write!(f, "{part}: {why}; it was damaged or edited, run this part again"),
            Self::Differ { part, other, what } => {
                write!(f, "{part} and {other} are not of one sweep: they have different {what}")
            }
            Self::Overlap { part, other, shard } => {
                write!(f, "{part} and {other} are both shard {shard}; name each shard once")
            }
            Self::Missing { shards, more } => {
                let listed: Vec<String> = shards.iter().map(Shard::to_string).collect();
                let listed = listed.join(", ");
                let rest = if *more > 0 { format!(" and {more} more") } else { String::new() };
                write!(f, "missing: shard {listed}{rest}; run what is missing, then merge all parts")
            }
        }
    }
}

impl std::error::Error for MergeError {}

/// The whole that the parts make, in whatever order they come. The whole alone is itself.
///
/// # Errors
/// The parts are not exactly the shards of one sweep.
pub fn merge_sweeps(parts: &[NamedPart]) -> Result<SweepRecord, MergeError> {
    let first = parts.first().ok_or(MergeError::Nothing)?;
    for part in parts {
        check(part)?;
        if let Some(what) = difference(&first.record, &part.record) {
            return Err(MergeError::Differ { part: first.name.clone(), other: part.name.clone(), what });
        }
        if let Some(why) = contradiction(&part.record) {
            return Err(MergeError::Damaged { part: part.name.clone(), why });
        }
    }
    let mut by_shard: BTreeMap<Shard, &NamedPart> = BTreeMap::new();
    for part in parts {
        let shard = part.record.part();
        if let Some(other) = by_shard.insert(shard, part) {
            let (part, other) = (other.name.clone(), part.name.clone());
            return Err(MergeError::Overlap { part, other, shard });
        }
    }
    let count = first.record.part().count();
    let missing =
        || (1..=count).filter_map(|index| Shard::new(index, count).ok()).filter(|it| !by_shard.contains_key(it));
    let shards: Vec<Shard> = missing().take(MISSING_LISTED).collect();
    if !shards.is_empty() {
        let more = count - by_shard.len() as u64 - shards.len() as u64;
        return Err(MergeError::Missing { shards, more });
    }
    let mut merged = SweepRecord { shard: None, ..first.record.clone() };
    for part in by_shard.values().filter(|part| part.record.part() != first.record.part()) {
        for (scenario, more) in merged.scenarios.iter_mut().zip(&part.record.scenarios) {
            scenario.merge(more);
        }
    }
    Ok(merged)
}

/// Whether a part says of itself what a part can say.
fn check(NamedPart { name, record }: &NamedPart) -> Result<(), MergeError> {
    let damaged = |why: String| Err(MergeError::Damaged { part: name.clone(), why });
    let seeds = record.seeds.range();
    let shard = record.part();
    if record.shard == Some(Shard::WHOLE) || seeds.is_empty() || shard.count() > seeds.end - seeds.start {
        return damaged(format!("shard {shard} of the seeds {}..{}", seeds.start, seeds.end));
    }
    let wanted = shard.len(&seeds);
    if let Some(empty) = record.scenarios.iter().find(|scenario| scenario.hooks.is_empty()) {
        return damaged(format!("{} has no hook", empty.scenario.name));
    }
    for hook in record.scenarios.iter().flat_map(|scenario| &scenario.hooks) {
        let verdicts = hook.seeds;
        let sum = verdicts.pass.checked_add(verdicts.violated).and_then(|sum| sum.checked_add(verdicts.inconclusive));
        if sum != Some(wanted) {
            return damaged(format!("{} has other seeds than the {wanted} of shard {shard}", hook.hook));
        }
        let metrics = hook.metrics.iter();
        if let Some((metric, _)) = metrics.clone().find(|(_, all)| all.present() + all.absent() != wanted) {
            return damaged(format!("{metric} of {} has other seeds than the {wanted} of shard {shard}", hook.hook));
        }
    }
    Ok(())
}

/// What tells that two parts are of different sweeps.
fn difference(one: &SweepRecord, other: &SweepRecord) -> Option<&'static str> {
    let scenarios = |record: &SweepRecord| -> Vec<ScenarioId> {
        record.scenarios.iter().map(|sweep| sweep.scenario.clone()).collect()
    };
    let hooks = |record: &SweepRecord| -> Vec<(usize, String, Role)> {
        let numbered = record.scenarios.iter().enumerate();
        numbered
            .flat_map(|(at, sweep)| sweep.hooks.iter().map(move |hook| (at, hook.hook.clone(), hook.role)))
            .collect()
    };
    let pairs = |record: &SweepRecord| -> Vec<(usize, String, String)> {
        let numbered = record.scenarios.iter().enumerate();
        let named = |at, pair: &Pair| (at, pair.hook.clone(), pair.against.clone());
        numbered.flat_map(|(at, sweep)| sweep.pairs.iter().map(move |pair| named(at, pair))).collect()
    };
    let checks = [
        (one.tool != other.tool, "versions of hookproof"),
        (one.seeds != other.seeds, "seeds"),
        (one.swarm != other.swarm, "settings of --swarm"),
        (scenarios(one) != scenarios(other), "scenarios"),
        (hooks(one) != hooks(other) || pairs(one) != pairs(other), "hooks"),
        (one.part().count() != other.part().count(), "numbers of shards"),
    ];
    checks.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
}
