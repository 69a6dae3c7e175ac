//! The matrix for people, on a terminal and in Markdown.

use super::{Ablation, AblationRow, Broken, Harm, HarmCell, Unit};
use crate::number::Number;
use crate::record::Verdict;
use crate::sweep::section::{Row, Section, Table, human, markdown};
use crate::table::text::counted;
use crate::table::{Form, Palette};

const MARK: char = '!';

/// The matrix in 80 columns, and below it what breaks.
pub fn render_ablation(ablation: &Ablation, palette: &Palette) -> String {
    human(&sections(ablation), palette)
}

/// The matrix in Markdown, as for the summary page of a CI run.
pub fn render_ablation_markdown(ablation: &Ablation) -> String {
    markdown(&sections(ablation))
}

fn sections(ablation: &Ablation) -> Vec<Section> {
    let seeds = ablation.seeds.range();
    let seeds = match seeds.end.saturating_sub(seeds.start) {
        0 | 1 => format!("seed {}", seeds.start),
        count => format!("{count} seeds, {} to {}", seeds.start, seeds.end - 1),
    };
    let mut out = vec![Section::Title(format!("{} ({seeds}): {}", ablation.scenario.name, ablation.scenario.title))];
    out.push(matrix(ablation));
    out.push(Section::Line(None, legend(ablation)));
    out.push(Section::Line(Some(ablation.verdict), with_every_protection(ablation)));
    for row in &ablation.removed {
        out.extend(broken(row, ablation));
    }
    out.push(Section::Line(None, summary(ablation)));
    out
}

fn matrix(ablation: &Ablation) -> Section {
    let head = std::iter::once("without").chain(ablation.harms.iter().map(|harm| harm.short.as_str()));
    let row = |row: &AblationRow| {
        let name = if row.without.is_empty() { "nothing" } else { &row.without };
        let cells = ablation.harms.iter().zip(&row.cells).map(|(harm, cell)| shown(harm, cell));
        Row { verdict: None, cells: std::iter::once(name.to_owned()).chain(cells).collect() }
    };
    let rows = std::iter::once(&ablation.complete).chain(&ablation.removed).map(row).collect();
    // The place of the mark is kept free, so that digits stand below digits.
    let head = head.enumerate().map(|(at, text)| if at == 0 { text.to_owned() } else { format!("{text} ") });
    Section::Table(Table { head: head.collect(), rows })
}

fn shown(harm: &Harm, cell: &HarmCell) -> String {
    format!("{}{}", in_cell(harm, cell), if cell.worse > 0 { MARK } else { ' ' })
}

/// The value of a cell.
pub(crate) fn in_cell(harm: &Harm, cell: &HarmCell) -> String {
    cell.value.map_or_else(|| "-".to_owned(), |value| value_of(harm.unit, value))
}

/// At most five columns wherever three digits are enough.
fn value_of(unit: Unit, value: Number) -> String {
    match (unit, value.value()) {
        (Unit::Ratio, Some(ratio)) if (9.995..99.95).contains(&ratio) => format!("{ratio:.1}"),
        (Unit::Ratio, _) => Form::Ratio.show(value),
        (Unit::Count, _) => Form::Count.show(value),
    }
}

fn legend(ablation: &Ablation) -> String {
    let harms: Vec<String> = ablation.harms.iter().map(|harm| format!("{}: {}", harm.short, harm.means)).collect();
    let over = if is_single(ablation) { "" } else { " under some seed; a cell is the worst over the seeds" };
    let mark = "more than a tenth above the first row, or above zero where that is zero";
    format!("{}. {MARK}: {mark}{over}.", harms.join("; "))
}

fn is_single(ablation: &Ablation) -> bool {
    ablation.seeds.to - ablation.seeds.from <= 1
}

/// What came of the complete hook.
pub(crate) fn with_every_protection(ablation: &Ablation) -> String {
    let hook = &ablation.hook;
    let found: Vec<String> = ablation.complete.breaks.iter().map(|one| on_seeds(one, ablation)).collect();
    match ablation.verdict {
        Verdict::Pass => format!("{hook}: with every protection all holds"),
        Verdict::Inconclusive => {
            format!("{hook}: with every protection not all could be judged; `hookproof run` says what")
        }
        Verdict::Violated => format!("{hook}: with every protection does not hold: {}", found.join("; ")),
    }
}

/// What was found, and under how many seeds.
pub(crate) fn on_seeds(broken: &Broken, ablation: &Ablation) -> String {
    if is_single(ablation) {
        return broken.found.clone();
    }
    let seeds = counted(ablation.seeds.to - ablation.seeds.from, "seed");
    format!("{} [{} of {seeds}, first {}]", broken.found, broken.seeds, broken.first_seed)
}

/// What breaks without a protection, or that nothing does.
fn broken(row: &AblationRow, ablation: &Ablation) -> Vec<Section> {
    let AblationRow { without, means, breaks, .. } = row;
    if breaks.is_empty() {
        return vec![Section::Line(None, format!("without {without} ({means}) nothing breaks that holds with it"))];
    }
    let found = breaks.iter().map(|one| Section::Item(on_seeds(one, ablation)));
    std::iter::once(Section::Line(None, format!("without {without} ({means}):"))).chain(found).collect()
}

/// How many protections are seen to matter, and which are not.
pub(crate) fn summary(ablation: &Ablation) -> String {
    let all = ablation.removed.len();
    let idle: Vec<&str> = ablation.idle().map(|row| row.without.as_str()).collect();
    let matter = ablation.matter().count();
    let rest = if idle.is_empty() { String::new() } else { format!("; not seen to matter: {}", idle.join(", ")) };
    format!(
        "{matter} of {all} protections are seen to matter: something breaks without them that holds with them{rest}"
    )
}
