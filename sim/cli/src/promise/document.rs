//! The tables as a whole: on a terminal, as JSON, and as `docs/promise.md`.

use hookproof_core::classify::{AnswerClass, Classification, Doubt, classify_read};
use hookproof_core::promise::{Hazard, Offer, promise};
use hookproof_sim::promise::Cell;
use serde_json::{Map, Value, json};

use super::tables::{self, Links};
use super::words;

/// The name of the JSON's form.
const SCHEMA: &str = "hookproof.promise/1";

/// For a terminal.
pub(super) fn human() -> String {
    format!(
        "What can be promised: hazards, any number of times, by what the quota service offers\n\n{}\n\
         What the hook does with each offer\n\n{}\n\
         What an answer to a request says of the effect, and what follows (before: whether an earlier attempt may have been \
         applied)\n\n{}\n\
         What an answer to a read says of a grant in doubt\n\n{}",
        tables::matrix(Links::None).human(),
        tables::policies().human(),
        tables::sends().human(),
        tables::reads().human(),
    )
}

/// `docs/promise.md`.
pub(super) fn markdown() -> String {
    format!(
        "{INTRODUCTION}\n{}\n{POLICIES}\n{}\n{CONFIRMATION}\n{SENDS}\n{}\n{READS}\n{}",
        tables::matrix(Links::Markdown).markdown(),
        tables::policies().markdown(),
        tables::sends().markdown(),
        tables::reads().markdown(),
    )
}

const INTRODUCTION: &str = "\
<!-- Generated: cargo run --release -- promise --format markdown > docs/promise.md -->
# The promise

A grant raises a user's quota for good, and the network between the hook and the quota service loses requests and answers. What can be
promised then depends on what the service offers against doubles, and on what goes wrong. This page is printed from the tables that the hook
itself is built on (`core/src/promise.rs`, `core/src/classify.rs`); a test holds it to them.

- **holds**: in the end each grant is applied exactly once, and none is left parked.
- ***detected and parked***: a grant is applied at most once, and never silently less. What cannot be proved waits for a human, with its
  evidence: what was sent, when, how often, and what came back. A receipt that arrives later still ends it.
- **impossible**: no client that may send at all can keep the promise. The link leads to a short scenario that shows how it falls.

## Fault model and preconditions

A cell is about one kind of hazard, any number of times, beside any that its column holds against; everything else is as declared:

- The store loses no acknowledged commit (RPO 0). If it does, its epoch changes (`store-rollback`); else see `silent-rollback`. An exposure that was lost
  comes back with the user's next visit, under the version of that time: whoever never returns is granted nothing, and whoever returns after a
  re-weighting may meet another variant.
- One store has the say over a lineage. An embedded store in each of several instances is several authorities (`two-stores`).
- `request-lifetime` is declared, and no request executes later after its sending, wherever it waits: in a socket, a proxy, the service's queue.
- `key-ttl` and `read-back-lag` are declared, and true of the service.
- `clock-error` of the store is declared, and its clock errs by no more. Instances' clocks may show anything.

A precondition that is wrong is itself a row below.

## The matrix
";

const POLICIES: &str = "\
## What the hook does with each capability
";

const CONFIRMATION: &str = "\
## What confirms it

| what | covers | command |
|---|---|---|
| model check | the shipped machines against every order of events, small bounds | `cargo run --release -p hookproof-model -- --bound large` |
| simulation | each cell as a scenario with chosen times and strengths, judged from outside | `cargo run --release -- promise --runs 40000` |
| test | the same, about a thousand runs | `cargo test -p hookproof-sim --test promise matrix::` |
| counterexamples | each impossible cell falls in `scenarios/promise/` | `cargo run --release -- run scenarios/promise` |

In simulated runs a cell that holds must end with each entitled user granted once and nothing parked; a cell that parks with nobody granted twice,
everybody granted or parked, and somebody parked; an impossible cell must be seen to fall. Zero violations in N runs say, with 95 % confidence,
that fewer than 3 in N such runs have one; 40,000 runs, of which more than 20,000 are of cells that hold, take about 20 s on two cores. `hookproof promise --cell NAME --seed N` prints the scenario of any run, to be saved, looked at and run.
";

const SENDS: &str = "\
## The classification: answers to a request

Each entry says whether *this attempt* was applied, and what follows. *Before* is what was known of earlier attempts: `in doubt` if one may have been
applied. Doubt is sticky, so a grant in doubt is never rejected.
";

const READS: &str = "\
## The classification: answers to a read

A read is made so late that absence is proof: after the last request's lifetime, the clock's error and the reads' lag.
";

/// For programs.
pub(super) fn json() -> String {
    let matrix: Vec<Value> = Hazard::ALL.into_iter().map(hazard).collect();
    let sends = AnswerClass::ALL.into_iter().flat_map(|class| Doubt::ALL.map(|doubt| send(class, doubt)));
    let reads = AnswerClass::ALL
        .into_iter()
        .map(|class| json!({ "answer": words::class(class), "classification": classification(classify_read(class)) }));
    let offers = Offer::ALL.map(|offer| json!({ "name": offer.name(), "policy": offer.policy() }));
    let document = json!({
        "schema": SCHEMA,
        "offers": offers,
        "matrix": matrix,
        "sends": sends.collect::<Vec<Value>>(),
        "reads": reads.collect::<Vec<Value>>(),
    });
    format!("{document:#}\n")
}

/// An object with a member for each offer.
fn by_offer(member: impl Fn(Offer) -> Value) -> Value {
    Value::Object(Offer::ALL.into_iter().map(|offer| (offer.name().to_owned(), member(offer))).collect::<Map<_, _>>())
}

fn hazard(hazard: Hazard) -> Value {
    let cell = |offer| {
        json!({
            "verdict": promise(offer, hazard).name(),
            "counterexample": Cell { hazard, offer }.counterexample(),
        })
    };
    json!({ "hazard": hazard.name(), "says": hazard.says(), "offers": by_offer(cell) })
}

fn send(class: AnswerClass, doubt: Doubt) -> Value {
    let before = match doubt {
        Doubt::Clear => "clear",
        Doubt::InDoubt => "in-doubt",
    };
    let member = |offer| classification(tables::send(offer, class, doubt));
    json!({ "answer": words::class(class), "before": before, "offers": by_offer(member) })
}

fn classification(row: Classification) -> Value {
    json!({
        "applied": words::applied(row.applied),
        "action": words::action(row.action),
        "reason": words::reason(row.action),
    })
}
