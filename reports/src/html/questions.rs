//! The first screen: the verdict, and the three questions with the hooks side by side.

use maud::{Markup, html};

use crate::conclusion::bound;
use crate::number::Number;
use crate::record::{Role, Run, Verdict};
use crate::table::Block;
use crate::table::text::{counted, grouped};

use super::definition::{digits, unit};
use super::words::{Shown, hook, verdict};

/// More hooks than this stand below each other, as runs do.
const COLUMNS_MAX: usize = 6;

/// One of the three questions and the metrics that answer it.
pub(crate) struct Question {
    pub(crate) asks: &'static str,
    pub(crate) answers: &'static [(&'static str, &'static str)],
}

/// What a reader asks first.
pub(crate) const QUESTIONS: [Question; 3] = [
    Question {
        asks: "Who got too much?",
        answers: &[
            ("over-allocation.users", "users above their own cap"),
            ("over-allocation.worst-ratio", "the worst, as a multiple of that user's cap"),
            ("over-allocation.max-grants", "most grants to one user"),
            ("over-allocation.monthly-cost-usd", "cost a month"),
        ],
    },
    Question {
        asks: "Who switched?",
        answers: &[
            ("group-switching.users", "users who saw two variants"),
            ("group-switching.restart-rate", "share in another group after a restart"),
        ],
    },
    Question {
        asks: "What did the upstream bear?",
        answers: &[
            ("upstream.peak-rps", "most calls in one second"),
            ("upstream.amplification", "calls for each granted user"),
            ("upstream.overload-seconds", "overloaded for"),
            ("upstream.recovery-seconds", "until goodput was back"),
        ],
    },
];

/// The counts of runs by verdict, in words, after the worst of them.
pub(crate) fn banner(runs: &[&Run]) -> Markup {
    let count = |verdict| runs.iter().filter(|run| run.verdict == verdict).count() as u64;
    let worst = runs.iter().map(|run| run.verdict).min();
    let parts = [
        (count(Verdict::Violated), "violated"),
        (count(Verdict::Inconclusive), "inconclusive"),
        (count(Verdict::Pass), "passed"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", grouped(*n))).collect();
    html! {
        p .banner {
            @match worst {
                Some(worst) => { (verdict(worst)) " " (counted(runs.len() as u64, "run")) ": " (parts.join(", ")) "." },
                None => { "This record holds no run." },
            }
        }
    }
}

/// The questions with one column for each hook's charted run.
pub(crate) fn questions(runs: &[&Run], key: &str) -> Markup {
    html! {
        @for (part, runs) in runs.chunks(COLUMNS_MAX).enumerate() {
            div .scroll role="region" tabindex="0" aria-labelledby={ (key) "-q" (part) } {
                table .questions {
                    caption #{ (key) "-q" (part) } { "Who got too much, who switched, what did the upstream bear" }
                    thead { tr { td {} @for run in runs { th scope="col" { (hook(&run.hook, run.role)) } } } }
                    tbody {
                        tr { th scope="row" { "Verdict" } @for run in runs { td { (judged(run)) } } }
                    }
                    @for question in QUESTIONS { (answers(&question, runs)) }
                }
            }
        }
    }
}

/// The verdict; beside a reference's the invariants that it breaks, which are not held against it.
fn judged(run: &Run) -> Markup {
    let broken = run.invariants.iter().filter(|invariant| invariant.violations > 0).count() as u64;
    html! {
        (verdict(run.verdict))
        @if !run.note.is_empty() { br; small { (Shown(&run.note)) } }
        @if run.role == Role::Reference && run.verdict == Verdict::Pass && broken > 0 {
            br; small { "as the scenario expects of it, but breaks " (counted(broken, "invariant")) }
        }
    }
}

fn answers(question: &Question, runs: &[&Run]) -> Markup {
    html! {
        tbody {
            tr .asks { th scope="rowgroup" colspan=(runs.len() + 1) { (question.asks) } }
            @for (metric, words) in question.answers {
                tr {
                    th scope="row" { (words) }
                    @for run in runs { td .n { (cell(run, metric)) } }
                }
            }
        }
    }
}

/// A metric's value, beside a peak the capacity, and what is missing in words.
fn cell(run: &Run, metric: &str) -> Markup {
    let capacity = run.capacity_per_second.and_then(Number::value).filter(|_| metric == "upstream.peak-rps");
    html! {
        @match run.metrics.get(metric) {
            Some(value) => {
                span .big { (unit(metric).show(*value)) }
                @if let Some(capacity) = capacity { br; small { "of " (digits(capacity)) "/s it can do" } }
            },
            None if run.unsupported.iter().any(|name| name == metric) => { small { "not measured" } },
            None => { small { "nothing to measure" } },
        }
    }
}

/// One row for each run, if some hook has several.
pub(crate) fn runs(block: &Block<'_>, key: &str) -> Markup {
    let columns: Vec<&str> =
        QUESTIONS.iter().flat_map(|question| question.answers).map(|(metric, _)| *metric).collect();
    html! {
        @if block.rows.iter().any(|row| row.runs.len() > 1) {
            h3 #{ (key) "-runs" } { "Every run" }
            p .note { "Charts, users and findings below are of each hook's worst run: the worst verdict, then the most violations, then the largest excess, then the lowest seed." }
            @for row in &block.rows {
                @if let Some(bound) = bound(row) { p .note { (hook(&row.first.hook, row.first.role)) ": " (bound) "." } }
            }
            div .scroll role="region" tabindex="0" aria-labelledby={ (key) "-rc" } {
                table {
                    caption #{ (key) "-rc" } { "Each hook and seed" }
                    thead {
                        tr {
                            th scope="col" { "Hook" } th scope="col" { "Seed" } th scope="col" { "Verdict" }
                            @for metric in &columns { th scope="col" { code { (metric) } } }
                        }
                    }
                    tbody {
                        @for run in block.rows.iter().flat_map(|row| &row.runs) {
                            tr {
                                th scope="row" { (hook(&run.hook, run.role)) } td .n { (run.seed) } td { (verdict(run.verdict)) }
                                @for metric in &columns { td .n { (cell(run, metric)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
