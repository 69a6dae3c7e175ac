//! The report as one HTML file that needs nothing else: no network, no script, no font.
//!
//! The first screen has the verdict and three questions with the hooks side by side; then, for each scenario, charts over
//! time, users and their stories, what was judged and what was reached, and how it was measured.
//!
//! * The template escapes by construction, and text of a record stands in no attribute: ids and links are numbered.
//! * The page's policy allows its one style sheet, by its hash, and nothing else. There is no style attribute.
//! * Colour repeats what a word, a sign, a letter or a dash says.

mod ablation;
mod comparison;
mod definition;
mod experiment;
mod findings;
mod method;
mod panel;
mod questions;
mod timeline;
mod users;
mod words;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::number::Number;
use crate::record::{Run, RunRecord};
use crate::table::{Block, Row, blocks};

pub use comparison::render_comparison_html;
pub use definition::defined_metrics;
pub(crate) use definition::unit;
pub(crate) use questions::{QUESTIONS, Question};
use words::Shown;
pub(crate) use words::{limit as limit_in_words, moment};

/// The page's only style sheet, and the hash by which the page's policy allows it; a test holds one to the other.
const STYLE: &str = include_str!("style.css");
const STYLE_HASH: &str = "sha256-UMbiN8DeQ3rYPNSt+mik3NjzZ61D3VXpsdcdfOll7NU=";

/// How a record becomes a page.
#[derive(Clone, Debug, Default)]
pub struct HtmlOptions {
    /// Where a scenario file lies, by the digest of its bytes, as its user can name it. A scenario that is not listed is
    /// called by its file name.
    pub paths: BTreeMap<String, String>,
}

/// Renders the record as one self-contained page; see the module's header. Same record and options, same bytes.
pub fn render_html(record: &RunRecord, options: &HtmlOptions) -> String {
    let mut blocks = blocks(record);
    blocks.sort_by_key(Block::verdict);
    let all: Vec<&Run> = record.runs.iter().collect();
    let title = match blocks.as_slice() {
        [only] => only.scenario.title.as_str(),
        _ => "Report of several scenarios",
    };
    let header = html! {
        h1 { (Shown(title)) }
        (questions::banner(&all))
    };
    let main = html! {
        @for (number, ablation) in record.ablations.iter().enumerate() { (ablation::render(ablation, &format!("a{number}"))) }
        @if blocks.len() == 1 {
            @for block in &blocks { (only(block, options)) }
        } @else {
            (index(&blocks))
            (blank("Summary", "summary"))
            @for (number, block) in blocks.iter().enumerate() { (scenario(block, options, &format!("s{number}"))) }
        }
        (blank("Actions", "actions"))
        (method::render(record))
    };
    document(title, &header, &main)
}

/// A page with this title: its policy, its style sheet and nothing from anywhere else.
fn document(title: &str, header: &Markup, main: &Markup) -> String {
    let policy = format!("default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Hookproof: " (Shown(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (header) }
                main { (main) }
            }
        }
    };
    page.into_string()
}

impl<'a> Row<'a> {
    /// The run that is charted: the worst verdict, then the most violations, then the largest excess, then the lowest seed.
    fn worst(&self) -> &'a Run {
        let violations = |run: &Run| run.invariants.iter().map(|invariant| invariant.violations).sum::<u64>();
        let excess = |run: &Run| run.metrics.get("over-allocation.worst-ratio").copied().unwrap_or(Number::from(0));
        let badness = |run: &&'a Run| {
            let run = *run;
            (run.verdict, std::cmp::Reverse(violations(run)), std::cmp::Reverse(excess(run)), run.seed)
        };
        self.runs.iter().copied().min_by_key(badness).unwrap_or(self.first)
    }
}

/// The hooks' charted runs, the judged before the references, each kind in the record's order.
fn charted<'a>(block: &Block<'a>) -> Vec<&'a Run> {
    let mut runs: Vec<&Run> = block.rows.iter().map(Row::worst).collect();
    runs.sort_by(|one, other| (one.role, &one.hook).cmp(&(other.role, &other.hook)));
    runs
}

/// Which scenarios there are, worst first.
fn index(blocks: &[Block<'_>]) -> Markup {
    html! {
        h2 #index { "Scenarios" }
        (findings::table("index-c", "Every scenario, the worst verdict first", &html! {
            (findings::head(&["Verdict", "Scenario", "Hooks", "Seeds", "Expectations"]))
            tbody {
                @for (number, block) in blocks.iter().enumerate() {
                    tr {
                        td { (words::verdict(block.verdict())) }
                        th scope="row" { a href={ "#s" (number) } { (Shown(&block.scenario.title)) } br; small { (Shown(&block.scenario.name)) } }
                        td { @for (index, run) in charted(block).iter().enumerate() { @if index > 0 { ", " } (Shown(&run.hook)) } }
                        td { (block.seeds()) }
                        td { (findings::tally(&block.rows.iter().flat_map(|row| row.runs.iter().copied()).collect::<Vec<_>>())) }
                    }
                }
            }
        }))
    }
}

/// The page's only scenario: its questions come first, then the room for a summary.
fn only(block: &Block<'_>, options: &HtmlOptions) -> Markup {
    html! {
        h2 #s0 { "Three questions" }
        p .note { (Shown(&block.scenario.name)) ", " (block.seeds()) }
        (questions::questions(&charted(block), "s0"))
        (contents("s0"))
        (blank("Summary", "summary"))
        h2 { "What happened" }
        (details(block, options, "s0"))
    }
}

fn scenario(block: &Block<'_>, options: &HtmlOptions, key: &str) -> Markup {
    html! {
        section .scenario {
            h2 id=(key) { (Shown(&block.scenario.title)) }
            p .note { (Shown(&block.scenario.name)) ", " (block.seeds()) ". " a href="#index" { "All scenarios" } }
            (questions::questions(&charted(block), key))
            (contents(key))
            (details(block, options, key))
        }
    }
}

/// Links to the parts of a scenario.
fn contents(key: &str) -> Markup {
    let parts = [
        ("time", "Timelines"),
        ("latency", "Latency"),
        ("grants", "Grants per user"),
        ("users", "Worst users"),
        ("experiment", "Experiment"),
        ("expect", "Expectations"),
        ("invariants", "Invariants"),
        ("faults", "Faults"),
        ("reached", "Reached"),
        ("stories", "Stories"),
        ("repeat", "Repeat it"),
    ];
    html! {
        nav aria-label="Parts of this scenario" {
            ul { @for (part, words) in parts { li { a href={ "#" (key) "-" (part) } { (words) } } } }
        }
    }
}

fn details(block: &Block<'_>, options: &HtmlOptions, key: &str) -> Markup {
    let charted = charted(block);
    let fallback = format!("{}.toml", block.scenario.name);
    let path = options.paths.get(&block.scenario.digest).unwrap_or(&fallback);
    html! {
        (questions::runs(block, key))
        (timeline::render(&charted, key))
        (users::render(&charted, key))
        (experiment::render(&charted, key))
        (findings::render(&charted, path, key))
        (users::stories(&charted, key))
        (method::repeat(block, key))
    }
}

/// Room for people to write in.
fn blank(title: &str, id: &str) -> Markup {
    html! {
        section .blank {
            h2 id=(id) { (title) }
            p .note { "Left blank for people to fill in." }
            div .ruled {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn the_policy_allows_this_style_sheet() {
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        assert_eq!(STYLE_HASH, format!("sha256-{hash}"), "write this hash into STYLE_HASH");
    }

    #[test]
    fn the_style_sheet_asks_for_nothing_and_ends_nothing() {
        for refused in ["url(", "@import", "</", "<!--", "\r"] {
            assert!(!STYLE.contains(refused), "{refused}");
        }
    }
}
