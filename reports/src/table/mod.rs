//! The verdict table on a terminal: what a run found, at a glance and in 80 columns.
//!
//! Three questions side by side for each hook (who got too much, who switched groups, what did the upstream bear), then
//! what does not hold and the command that repeats it, then, for each judged hook, its zeros beside what the run came
//! across. The worst comes first: scenarios, hooks and findings are sorted by verdict, judged hooks before references.
//!
//! * No line is wider than [`WIDTH`], but for the command that repeats a run, which stays on one line to be copied.
//! * Colour repeats what a word says; with [`Palette::plain`] nothing is lost.

mod cell;
mod finding;
mod grid;
mod palette;
pub(crate) mod text;

use std::collections::BTreeMap;

use crate::record::{Run, RunRecord, ScenarioId, Verdict};

pub(crate) use cell::Form;
pub(crate) use finding::{Broken, Missed, accounts, broken, findings, limit, missed, note, open, sentence, violation};
pub(crate) use grid::{cells, name};
pub use palette::{Palette, Style};
pub use text::WIDTH;
pub(crate) use text::{left, truncated, width, wrapped};

/// Where a scenario file lies, by the digest of its bytes, as its user can name it. A scenario that is not listed is called by
/// its file name.
pub type ScenarioPaths = BTreeMap<String, String>;

/// What a scenario's file is called.
pub(crate) fn path_of(paths: &ScenarioPaths, scenario: &ScenarioId) -> String {
    paths.get(&scenario.digest).cloned().unwrap_or_else(|| format!("{}.toml", scenario.name))
}

/// How a table is shown.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Colours.
    pub palette: Palette,
    /// Where scenario files lie.
    pub paths: ScenarioPaths,
}

/// Renders the record as a verdict table with everything that does not hold; see the module's header.
pub fn render_table(record: &RunRecord, options: &TableOptions) -> String {
    let mut blocks = blocks(record);
    blocks.sort_by_key(Block::verdict);
    let grid = grid::Grid::measure(blocks.iter().flat_map(|block| &block.rows));
    let mut out = String::new();
    for block in &blocks {
        let title = format!("{} ({}): {}", block.scenario.name, block.seeds(), block.scenario.title);
        let title = text::truncated(&text::clean(&title), WIDTH);
        out.push_str(&options.palette.title.paint(&title));
        out.push_str("\n\n");
        grid.render(&mut out, &block.rows, &options.palette);
        finding::render(&mut out, block, options);
        out.push('\n');
    }
    if !blocks.is_empty() {
        text::paragraph(&mut out, &options.palette.aside, 0, &legend(&blocks));
    }
    text::paragraph(&mut out, &Style::default(), 0, &summary(record));
    out
}

/// One scenario's runs.
pub(crate) struct Block<'a> {
    pub(crate) scenario: &'a ScenarioId,
    /// One for each hook, worst first.
    pub(crate) rows: Vec<Row<'a>>,
}

/// One hook's runs of a scenario, at least one, in order of seed.
pub(crate) struct Row<'a> {
    pub(crate) first: &'a Run,
    pub(crate) runs: Vec<&'a Run>,
}

impl Block<'_> {
    /// The worst of its rows.
    pub(crate) fn verdict(&self) -> Verdict {
        self.rows.iter().map(Row::verdict).min().unwrap_or(Verdict::Pass)
    }

    /// "seed 7" or "20 seeds, 1 to 20".
    pub(crate) fn seeds(&self) -> String {
        let seeds = || self.rows.iter().flat_map(|row| row.runs.iter().map(|run| run.seed));
        match (seeds().min(), seeds().max()) {
            (Some(low), Some(high)) if low < high => {
                let count = self.rows.iter().map(|row| row.runs.len()).max().unwrap_or(0);
                format!("{count} seeds, {low} to {high}")
            }
            (Some(seed), _) => format!("seed {seed}"),
            (None, _) => "no seed".to_owned(),
        }
    }
}

impl Row<'_> {
    /// The worst of its runs.
    pub(crate) fn verdict(&self) -> Verdict {
        self.runs.iter().map(|run| run.verdict).min().unwrap_or(Verdict::Pass)
    }
}

/// Groups neighbouring runs of the same scenario. A hook and seed that come again begin another block: that is a second
/// file with the same content.
pub(crate) fn blocks(record: &RunRecord) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for run in &record.runs {
        let again = |row: &Row<'_>| row.runs.iter().any(|other| (&other.hook, other.seed) == (&run.hook, run.seed));
        let block = match blocks.last_mut() {
            Some(block) if *block.scenario == run.scenario && !block.rows.iter().any(again) => block,
            Some(_) | None => {
                blocks.push(Block { scenario: &run.scenario, rows: Vec::new() });
                blocks.last_mut().expect("pushed on the line above")
            }
        };
        match block.rows.iter_mut().find(|row| row.first.hook == run.hook) {
            Some(row) => row.runs.push(run),
            None => block.rows.push(Row { first: run, runs: vec![run] }),
        }
    }
    for block in &mut blocks {
        block.rows.sort_by_key(|row| (row.verdict(), row.first.role));
    }
    blocks
}

/// What the columns mean.
pub(crate) fn legend(blocks: &[Block<'_>]) -> String {
    let rows = || blocks.iter().flat_map(|block| &block.rows);
    let mut legend =
        "cap, own: the most that one user holds ÷ the cap for all, ÷ that user's own cap; users: above their own \
         cap; restart: share in another group after a restart; calls: per granted user; goodput: per new entitlement; \
         p99: of a visit's wait."
            .to_owned();
    if rows().any(|row| row.first.role == crate::record::Role::Reference) {
        legend.push_str(" *: a reference, shown for comparison; only expectations about it count.");
    }
    if rows().any(|row| row.runs.len() > 1) {
        legend.push_str(" Two lines of one hook: lowest and highest over its seeds.");
    }
    legend
}

/// The verdict over all runs, and their counts.
pub(crate) fn summary(record: &RunRecord) -> String {
    let count = |verdict| record.runs.iter().filter(|run| run.verdict == verdict).count();
    let of = |verdict: Verdict, words: &str| match count(verdict) {
        0 => String::new(),
        some => format!(", {some} {words}"),
    };
    let worst = record.runs.iter().map(|run| run.verdict).min();
    let Some(worst) = worst else { return "nothing ran".to_owned() };
    format!(
        "{}: {}{}{}{}",
        text::word(worst),
        text::counted(record.runs.len() as u64, "run"),
        of(Verdict::Violated, "violated"),
        of(Verdict::Inconclusive, "inconclusive"),
        of(Verdict::Pass, "as expected"),
    )
}
