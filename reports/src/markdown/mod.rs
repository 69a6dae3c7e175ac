//! A run record as GitHub Markdown, for the summary page of a CI run.
//!
//! What does not hold stands first: each scenario with its table, its findings with their evidence, and the command that
//! repeats it. Scenarios in which all holds share one table, folded if something else needs the reader's eye. No text of a
//! record can become markup of its own ([`text::escaped`]).
//!
//! * A page is at most [`BYTES_MAX`] long, since GitHub drops a longer one whole; what is left out is counted.

pub(crate) mod text;

use std::fmt::Write as _;

use crate::conclusion::{bound, sentence};
use crate::record::{RunRecord, Verdict, repro_command};
use crate::table::{
    Block, Row, ScenarioPaths, accounts, blocks, cells, findings, legend, name, path_of, summary, text as words,
};
use text::{command, escaped};

/// A step's summary may be 1 MiB; some of it is left to others that write there.
const BYTES_MAX: usize = 900 * 1024;

/// The three questions and a visit's wait, in the order of the table on a terminal. Dollars are named in the heading: two
/// dollar signs in a line may be taken for a formula.
const HEADINGS: &str = "who got too much:<br>most held ÷ cap | ÷ own cap | users | USD a month | \
    who switched:<br>share at restarts | upstream bore:<br>calls per grant | goodput | wait:<br>p99";
const RULE: &str = "--: | --: | --: | --: | --: | --: | --: | --:";

/// Renders the record as GitHub Markdown; see the module's header.
pub fn render_markdown(record: &RunRecord, paths: &ScenarioPaths) -> String {
    let mut blocks = blocks(record);
    blocks.sort_by_key(Block::verdict);
    let (bad, good): (Vec<&Block<'_>>, Vec<&Block<'_>>) =
        blocks.iter().partition(|block| block.verdict() != Verdict::Pass);
    let mut out = format!("## Hookproof: {}\n", escaped(&summary(record)));
    let mut left_out = 0;
    for block in &bad {
        let part = not_as_expected(block, paths);
        if out.len() + part.len() > BYTES_MAX {
            left_out += 1;
            continue;
        }
        out += &part;
    }
    left_out += as_expected(&mut out, &good, bad.is_empty());
    if left_out > 0 {
        let more = words::counted(left_out, "more scenario");
        let _ = writeln!(out, "\n**{more}** left out: a summary page holds no more. The run record has all.");
    }
    if !blocks.is_empty() {
        let _ = writeln!(out, "\n<sub>{}</sub>", escaped(&legend(&blocks)));
    }
    out
}

fn not_as_expected(block: &Block<'_>, paths: &ScenarioPaths) -> String {
    let path = path_of(paths, block.scenario);
    let mut out = String::new();
    let _ = writeln!(out, "\n### {}", title(block));
    let _ = writeln!(out, "\n| verdict | hook | {HEADINGS} |\n| :-- | :-- | {RULE} |");
    for row in &block.rows {
        let _ = writeln!(out, "| {} | {} |", row_head(row), row_cells(row));
    }
    for row in &block.rows {
        let lines = findings(row, &path);
        if !lines.is_empty() {
            out.push('\n');
        }
        for line in lines {
            let _ = writeln!(out, "- **{}** {}", words::word(line.verdict), escaped(&line.text));
        }
        if let Some(run) = row.runs.iter().find(|run| run.verdict == Verdict::Violated) {
            let _ = write!(out, "\nTo repeat it:\n\n{}", command(&repro_command(&path, &run.hook, run.seed)));
        }
    }
    let accounts = accounts(block);
    if !accounts.is_empty() {
        out.push('\n');
    }
    for account in accounts {
        let _ = writeln!(out, "- {}", escaped(&account));
    }
    out
}

/// One table of all scenarios in which all holds; returns how many found no room.
fn as_expected(out: &mut String, blocks: &[&Block<'_>], open: bool) -> u64 {
    if blocks.is_empty() {
        return 0;
    }
    let open = if open { " open" } else { "" };
    let scenarios = words::counted(blocks.len() as u64, "scenario");
    let _ = writeln!(out, "\n<details{open}><summary>{scenarios} as expected</summary>");
    let _ = writeln!(out, "\n| scenario | verdict | hook | {HEADINGS} |\n| :-- | :-- | :-- | {RULE} |");
    let mut left_out = 0;
    for block in blocks {
        let rows = block.rows.iter().fold(String::new(), |rows, row| {
            rows + &format!("| {} | {} | {} |\n", title(block), row_head(row), row_cells(row))
        });
        if out.len() + rows.len() > BYTES_MAX {
            left_out += 1;
            continue;
        }
        *out += &rows;
    }
    out.push_str("\n</details>\n");
    claims(out, blocks);
    left_out
}

/// What scenarios in which all holds say beyond their runs: of seeds that were not run, and of the experiment.
fn claims(out: &mut String, blocks: &[&Block<'_>]) {
    let mut lines = String::new();
    for block in blocks {
        let bounds = |row| bound(row).map(|text| format!("{}: {text}", row.first.hook));
        for text in block.rows.iter().flat_map(|row| bounds(row).into_iter().chain(sentence(row))) {
            let _ = writeln!(lines, "- {}: {}", escaped(&block.scenario.name), escaped(&text));
        }
    }
    if !lines.is_empty() && out.len() + lines.len() < BYTES_MAX {
        let _ = write!(out, "\n{lines}");
    }
}

fn title(block: &Block<'_>) -> String {
    let scenario = block.scenario;
    escaped(&format!("{} ({}): {}", scenario.name, block.seeds(), scenario.title))
}

fn row_head(row: &Row<'_>) -> String {
    format!("**{}** | {}", words::word(row.verdict()), escaped(&name(row)))
}

/// A value, or the lowest and the highest of a hook's seeds.
fn row_cells(row: &Row<'_>) -> String {
    let shown = cells(row).map(|cell| {
        let text = if cell.low == cell.high { cell.low } else { format!("{} to {}", cell.low, cell.high) };
        escaped(&text.replace('$', ""))
    });
    shown.collect::<Vec<_>>().join(" | ")
}
