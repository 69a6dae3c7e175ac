//! A check for programs: `hookproof.experiment-check/1`. Same input, same bytes; no path is in it.

use serde::Serialize;

use super::{Check, SAMPLE_COUNT};
use crate::explain::words::number;
use hookproof_reports::Number;

const SCHEMA: &str = "hookproof.experiment-check/1";

#[derive(Serialize)]
struct Document<'e> {
    schema: &'static str,
    experiment: Declared<'e>,
    verdict: &'static str,
    failures: Vec<String>,
    warnings: Vec<Warned<'e>>,
    vectors: Compared,
    sample: Sample<'e>,
}

#[derive(Serialize)]
struct Declared<'e> {
    id: &'e str,
    version: &'e str,
    generation: u8,
    lineage: &'e str,
    hash: &'static str,
}

#[derive(Serialize)]
struct Warned<'e> {
    id: &'static str,
    cause: &'e str,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Compared {
    count: u64,
    equal: bool,
}

#[derive(Serialize)]
struct Sample<'e> {
    count: u32,
    /// Whether the second implementation assigns all of them alike.
    equal: bool,
    shares: Vec<Share<'e>>,
}

#[derive(Serialize)]
struct Share<'e> {
    of: &'e str,
    expected: Number,
    found: u32,
    deviations: Number,
}

pub(super) fn render(check: &Check<'_>) -> String {
    let experiment = check.experiment;
    let document = Document {
        schema: SCHEMA,
        experiment: Declared {
            id: experiment.id(),
            version: experiment.version(),
            generation: experiment.generation(),
            lineage: experiment.framed_lineage(),
            hash: experiment.mode().name(),
        },
        verdict: if check.is_passed() { "pass" } else { "violated" },
        failures: check.failures(),
        warnings: check
            .warnings
            .iter()
            .map(|warning| Warned { id: warning.id, cause: &warning.cause, remedy: warning.remedy })
            .collect(),
        vectors: Compared { count: check.vectors, equal: check.vectors_difference.is_none() },
        sample: Sample {
            count: SAMPLE_COUNT,
            equal: check.sample.disagreement.is_none(),
            shares: check
                .sample
                .shares
                .iter()
                .map(|share| Share {
                    of: &share.of,
                    expected: number(share.expected),
                    found: share.found,
                    deviations: number(share.deviations()),
                })
                .collect(),
        },
    };
    serde_json::to_string_pretty(&document).expect("texts, numbers and lists are always JSON") + "\n"
}
