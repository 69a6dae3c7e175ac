//! A change for programs: `hookproof.experiment-diff/1`. Same input, same bytes; no path is in it.

use hookproof_core::experiment::Experiment;
use hookproof_core::experiment::change::{Effect, Misnaming};
use serde::Serialize;

use super::{Assumption, Diff, Origin};

const SCHEMA: &str = "hookproof.experiment-diff/1";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'e> {
    schema: &'static str,
    old: Declared<'e>,
    new: Declared<'e>,
    verdict: &'static str,
    refusals: Vec<Refused>,
    operations: Vec<Found>,
    /// Named, though they do not happen.
    absent: Vec<&'static str>,
    units: Vec<Units<'e>>,
    users: Users,
    views: Vec<Counts>,
}

#[derive(Serialize)]
struct Declared<'e> {
    id: &'e str,
    version: &'e str,
    generation: u8,
}

#[derive(Serialize)]
struct Refused {
    cause: String,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    named: bool,
}

#[derive(Serialize)]
struct Units<'e> {
    variant: &'e str,
    from: Option<u32>,
    to: Option<u32>,
}

#[derive(Serialize)]
struct Users {
    source: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct Counts {
    assumption: &'static str,
    recorded: Recorded,
    unexposed: Unexposed,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Recorded {
    total: u64,
    unchanged: u64,
    held: u64,
    blocked: u64,
    blocked_before: u64,
}

#[derive(Serialize)]
struct Unexposed {
    total: u64,
    unchanged: u64,
    moved: u64,
    enrolled: u64,
    unreachable: u64,
    outside: u64,
}

pub(super) fn render(diff: &Diff<'_>) -> String {
    let permitted = diff.judgement.as_ref().ok();
    let refusals = diff.judgement.as_ref().err().into_iter().flatten();
    let operations = permitted.into_iter().flat_map(|permitted| &permitted.change.operations);
    let misnamings = permitted.into_iter().flat_map(|permitted| &permitted.misnamings);
    let units = permitted.into_iter().flat_map(|permitted| &permitted.change.units);
    let units_of =
        |experiment: &Experiment, index: usize| experiment.variants()[index].grant.as_ref().map(|grant| grant.units);
    let document = Document {
        schema: SCHEMA,
        old: declared(diff.old),
        new: declared(diff.new),
        verdict: if diff.is_permitted_and_named() { "pass" } else { "violated" },
        refusals: refusals.map(|refusal| Refused { cause: refusal.to_string(), remedy: refusal.remedy() }).collect(),
        operations: operations
            .map(|operation| Found { name: operation.name(), named: diff.new.operations().contains(operation) })
            .collect(),
        absent: misnamings
            .filter_map(|misnaming| match misnaming {
                Misnaming::Absent(operation) => Some(operation.name()),
                Misnaming::Unnamed(_) => None,
            })
            .collect(),
        units: units
            .map(|variant| Units {
                variant: &diff.new.variants()[variant.index()].name,
                from: units_of(diff.old, variant.index()),
                to: units_of(diff.new, variant.index()),
            })
            .collect(),
        users: Users {
            source: match diff.people.origin {
                Origin::Sample => "sample",
                Origin::Given => "given",
            },
            count: diff.people.ids.len(),
        },
        views: permitted
            .into_iter()
            .flat_map(|permitted| &permitted.views)
            .map(|view| counts(view.assumption, &view.effect))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&document).expect("texts, numbers and lists are always JSON");
    text + "\n"
}

fn declared(experiment: &Experiment) -> Declared<'_> {
    Declared { id: experiment.id(), version: experiment.version(), generation: experiment.generation() }
}

fn counts(assumption: Assumption, effect: &Effect) -> Counts {
    let (recorded, unexposed) = (effect.recorded, effect.unexposed);
    Counts {
        assumption: match assumption {
            Assumption::Known => "known",
            Assumption::AllEnrolled => "all-enrolled-by-old",
            Assumption::Nobody => "nobody",
        },
        recorded: Recorded {
            total: recorded.total(),
            unchanged: recorded.unchanged,
            held: recorded.held,
            blocked: recorded.blocked,
            blocked_before: recorded.blocked_before,
        },
        unexposed: Unexposed {
            total: unexposed.total(),
            unchanged: unexposed.unchanged,
            moved: unexposed.moved,
            enrolled: unexposed.enrolled,
            unreachable: unexposed.unreachable,
            outside: unexposed.outside,
        },
    }
}
