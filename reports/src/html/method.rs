//! How it was measured: what repeats each run, what it is recognised by, and what the figures mean.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::pseudonym::UserIds;
use crate::record::{ClockKind, RunRecord};
use crate::table::Block;

use super::definition::definition;
use super::findings::{head, table};
use super::words::{Shown, about, hook, listed};

/// The runs of a scenario: seed, digest, command.
pub(crate) fn repeat(block: &Block<'_>, key: &str) -> Markup {
    let runs = || block.rows.iter().flat_map(|row| &row.runs);
    let storm = block.rows.first().map(|row| row.first.phases).unwrap_or_default();
    html! {
        h3 #{ (key) "-repeat" } { "Repeat it" }
        p .note {
            @if !storm.storm.0.is_zero() { "A storm of " (about(storm.storm)) ", then a calm of " (about(storm.calm)) ". " }
            "Equal digests, equal runs. SHA-256 of the scenario file: " code { (Shown(&block.scenario.digest)) }
        }
        (table(&format!("{key}-dc"), "Each run and the command that repeats it", &html! {
            (head(&["Hook", "Seed", "Digest of all events", "Command"]))
            tbody {
                @for run in runs() {
                    tr {
                        th scope="row" { (hook(&run.hook, run.role)) } td .n { (run.seed) }
                        td { code { (Shown(&run.digest)) } } td { code { (Shown(&run.repro)) } }
                    }
                }
            }
        }))
        @for run in runs().filter(|run| !run.unsupported.is_empty()) {
            p .note { "Not measured for " (hook(&run.hook, run.role)) ", seed " (run.seed) ": " (Shown(&listed(&run.unsupported))) "." }
        }
    }
}

/// The tool, the clock and the definitions of all metrics that the record has.
pub(crate) fn render(record: &RunRecord) -> Markup {
    let clock = match record.clock {
        ClockKind::Virtual => {
            "virtual: every figure is a function of scenario and seed, and says nothing about a machine's speed"
        }
        ClockKind::Real => "real: figures depend on the machine",
    };
    let metrics: BTreeSet<&String> = record
        .runs
        .iter()
        .flat_map(|run| run.metrics.keys().chain(run.expectations.iter().map(|expectation| &expectation.metric)))
        .collect();
    let ids = match record.user_ids {
        UserIds::Shown => "User ids are shown.",
        UserIds::ScenarioKey => {
            "User ids are pseudonyms under a key that follows from the scenario: they hide ids from a reader, not from somebody who tries all ids that there may be."
        }
        UserIds::SecretKey => "User ids are pseudonyms under a key that is not in this report.",
    };
    html! {
        h2 #method { "Method" }
        p {
            "Written by " (Shown(&record.tool.name)) " " (Shown(&record.tool.version)) " from a record of schema "
            code { (Shown(&record.schema)) } ". The clock is " (clock) ". " (ids)
        }
        p {
            "One function measures every hook: from the quota service's ledger and from what users saw, never from a hook's own account of itself. "
            "Charts join neighbouring moments by their least and greatest value, so that what lasted a moment is drawn. "
            "Quantiles are nearest-rank. "
            em { "Never" } " is infinite. A count is 0 where nothing came; a ratio or quantile over nothing has no value."
        }
        @if !metrics.is_empty() {
            (table("definitions", "What the metrics mean, and their values", &html! {
                (head(&["Metric", "Means"]))
                tbody {
                    @for metric in metrics {
                        tr {
                            th scope="row" { code { (Shown(metric)) } }
                            td { (definition(metric).map_or("not known to this version", |definition| definition.means)) }
                        }
                    }
                }
            }))
        }
    }
}
