//! The matrix of an ablation: protections by harms, and what breaks without each.

use maud::{Markup, html};

use crate::ablation::{Ablation, AblationRow, Harm, HarmCell, in_cell, on_seeds, summary, with_every_protection};
use crate::table::text::counted;

use super::findings::table;
use super::words::{Shown, verdict};

/// The section of one ablation; `key` begins the ids.
pub(super) fn render(ablation: &Ablation, key: &str) -> Markup {
    let seeds = ablation.seeds.to.saturating_sub(ablation.seeds.from);
    let over = if seeds > 1 { " under some seed; a value is the worst over the seeds" } else { "" };
    html! {
        section .scenario {
            h2 id=(key) { "Which protection prevents which harm" }
            p .note {
                (Shown(&ablation.scenario.title)) ", " (Shown(&ablation.hook)) ", " (counted(seeds, "seed")) " from " (ablation.seeds.from)
                ": all of it once with every protection, and once without each."
            }
            p { (verdict(ablation.verdict)) " " (Shown(&with_every_protection(ablation))) "." }
            (table(&format!("{key}-m"), "Protections that are missing, by the harm that comes of it", &html! {
                thead {
                    tr {
                        th scope="col" { "Without" }
                        @for harm in &ablation.harms { th scope="col" { (Shown(&harm.means)) } }
                        th scope="col" { "Breaks" }
                    }
                }
                tbody {
                    (row(&ablation.complete, &ablation.harms))
                    @for removed in &ablation.removed { (row(removed, &ablation.harms)) }
                }
            }))
            p .note { "▲: more than a tenth above the first row, or above zero where that is zero" (over) ". A harm that is worse may be a price; only what breaks says that a protection is seen to matter." }
            p { (Shown(&summary(ablation))) "." }
            @for removed in &ablation.removed { (broken(removed, ablation)) }
        }
    }
}

fn row(row: &AblationRow, harms: &[Harm]) -> Markup {
    html! {
        tr {
            th scope="row" { @if row.without.is_empty() { "nothing" } @else { code { (Shown(&row.without)) } } }
            @for (harm, cell) in harms.iter().zip(&row.cells) { td .n { (value(harm, cell)) } }
            td {
                @match row.breaks.len() as u64 {
                    0 => { span .note { "nothing" } },
                    count => { strong .verdict.bad { span aria-hidden="true" { "✗ " } (counted(count, "rule")) } },
                }
            }
        }
    }
}

fn value(harm: &Harm, cell: &HarmCell) -> Markup {
    let value = in_cell(harm, cell);
    html! { @if cell.worse > 0 { strong .bad { "▲ " (value) } } @else { (value) } }
}

fn broken(row: &AblationRow, ablation: &Ablation) -> Markup {
    html! {
        h3 { "Without " code { (Shown(&row.without)) } }
        p .note { (Shown(&row.means)) "." }
        @if row.breaks.is_empty() { p .empty { "Nothing breaks here that holds with it." } } @else {
            ul .firsts { @for one in &row.breaks { li { strong { (Shown(&one.name)) } ": " (Shown(&on_seeds(one, ablation))) } } }
        }
    }
}
