//! The table proper: one row for each hook, two where its seeds differ.

use std::ops::Range;

use super::Row;
use super::cell::Form;
use super::palette::Palette;
use super::text::{WIDTH, centred, left, right, truncated, width, word};
use crate::record::Role;

/// One metric's column.
struct Column {
    heading: &'static str,
    metric: &'static str,
    form: Form,
}

/// Neighbouring columns that answer one question.
struct Group {
    heading: &'static str,
    columns: &'static [Column],
}

const GROUPS: [Group; 4] = [
    Group {
        heading: "who got too much",
        columns: &[
            Column { heading: "cap", metric: "over-allocation.worst-cap-ratio", form: Form::Ratio },
            Column { heading: "own", metric: "over-allocation.worst-ratio", form: Form::Ratio },
            Column { heading: "users", metric: "over-allocation.users", form: Form::Count },
            Column { heading: "$/month", metric: "over-allocation.monthly-cost-usd", form: Form::Dollars },
        ],
    },
    Group {
        heading: "switched",
        columns: &[Column { heading: "restart", metric: "group-switching.restart-rate", form: Form::Share }],
    },
    Group {
        heading: "upstream bore",
        columns: &[
            Column { heading: "calls", metric: "upstream.amplification", form: Form::Ratio },
            Column { heading: "goodput", metric: "upstream.goodput-ratio", form: Form::Ratio },
        ],
    },
    Group { heading: "wait", columns: &[Column { heading: "p99", metric: "hook.latency-p99-us", form: Form::Micros }] },
];
const HOOK_AT_LEAST: usize = 8;

/// Widths that fit all rows of a record.
pub(crate) struct Grid {
    verdict: usize,
    hook: usize,
    /// One for each column, groups joined.
    cells: Vec<usize>,
    gaps: Gaps,
}

/// Spaces between neighbours.
#[derive(Clone, Copy)]
struct Gaps {
    /// Before the hook and before each group.
    between: usize,
    /// Before each further column of a group.
    within: usize,
}

/// From the widest; the first that fits is taken.
const GAPS: [Gaps; 3] =
    [Gaps { between: 2, within: 2 }, Gaps { between: 2, within: 1 }, Gaps { between: 1, within: 1 }];

impl Grid {
    /// The widths that `rows` need, within [`WIDTH`].
    pub(crate) fn measure<'a>(rows: impl Iterator<Item = &'a Row<'a>>) -> Self {
        let mut grid = Self { verdict: 7, hook: HOOK_AT_LEAST, cells: Vec::new(), gaps: GAPS[0] };
        grid.cells = columns().map(|column| width(column.heading)).collect();
        for row in rows {
            grid.verdict = grid.verdict.max(width(word(row.verdict())));
            grid.hook = grid.hook.max(width(&name(row)));
            for (cell, values) in grid.cells.iter_mut().zip(cells(row)) {
                *cell = (*cell).max(width(&values.low)).max(width(&values.high));
            }
        }
        let narrow = grid.cells.clone();
        for gaps in GAPS {
            grid.gaps = gaps;
            grid.cells.clone_from(&narrow);
            grid.widen_for_headings();
            if grid.total() <= WIDTH {
                break;
            }
        }
        let over = grid.total().saturating_sub(WIDTH);
        grid.hook = grid.hook.saturating_sub(over).max(HOOK_AT_LEAST);
        grid
    }

    /// A group's first column takes what its heading needs beyond its columns.
    fn widen_for_headings(&mut self) {
        for (group, columns) in groups() {
            let span = self.span(&columns);
            self.cells[columns.start] += width(group.heading).saturating_sub(span);
        }
    }

    /// The width of neighbouring columns of one group.
    fn span(&self, columns: &Range<usize>) -> usize {
        self.cells[columns.clone()].iter().sum::<usize>() + self.gaps.within * (columns.len() - 1)
    }

    fn total(&self) -> usize {
        self.verdict
            + self.gaps.between
            + self.hook
            + groups().map(|(_, columns)| self.gaps.between + self.span(&columns)).sum::<usize>()
    }

    /// Writes headings and rows.
    pub(crate) fn render(&self, out: &mut String, rows: &[Row<'_>], palette: &Palette) {
        out.push_str(&palette.aside.paint(&self.headings()));
        out.push('\n');
        let headings: Vec<String> = columns().map(|column| column.heading.to_owned()).collect();
        out.push_str(&palette.aside.paint(&self.line(&left("verdict", self.verdict), "hook", &headings)));
        out.push('\n');
        for row in rows {
            let verdict = left(word(row.verdict()), self.verdict);
            let cells: Vec<Cell> = cells(row).collect();
            let lows: Vec<String> = cells.iter().map(|cell| cell.low.clone()).collect();
            out.push_str(&self.line(&palette.of(row.verdict()).paint(&verdict), &name(row), &lows));
            out.push('\n');
            if cells.iter().any(|cell| cell.low != cell.high) {
                let high = |cell: &Cell| if cell.low == cell.high { String::new() } else { cell.high.clone() };
                let highs: Vec<String> = cells.iter().map(high).collect();
                out.push_str(&self.line(&left("", self.verdict), "     to", &highs));
                out.push('\n');
            }
        }
    }

    fn headings(&self) -> String {
        let mut line = " ".repeat(self.verdict + self.gaps.between + self.hook);
        for (group, columns) in groups() {
            line.push_str(&" ".repeat(self.gaps.between));
            let span = self.span(&columns);
            line.push_str(&if columns.len() == 1 { right(group.heading, span) } else { centred(group.heading, span) });
        }
        line.trim_end().to_owned()
    }

    /// `verdict` is already as wide as its column: its colour has no width.
    fn line(&self, verdict: &str, hook: &str, cells: &[String]) -> String {
        let between = " ".repeat(self.gaps.between);
        let mut line = format!("{verdict}{between}{}", left(&truncated(hook, self.hook), self.hook));
        for (_, columns) in groups() {
            let fields = columns.clone().map(|index| right(&cells[index], self.cells[index]));
            line.push_str(&between);
            line.push_str(&fields.collect::<Vec<_>>().join(&" ".repeat(self.gaps.within)));
        }
        line.trim_end().to_owned()
    }
}

/// The groups and which columns are theirs.
fn groups() -> impl Iterator<Item = (&'static Group, Range<usize>)> {
    GROUPS.iter().scan(0, |first, group| {
        let columns = *first..*first + group.columns.len();
        *first = columns.end;
        Some((group, columns))
    })
}

fn columns() -> impl Iterator<Item = &'static Column> {
    GROUPS.iter().flat_map(|group| group.columns)
}

/// The hook's name, with a star for a reference.
pub(crate) fn name(row: &Row<'_>) -> String {
    let mark = match row.first.role {
        Role::Judged => "",
        Role::Reference => "*",
    };
    super::text::clean(&format!("{}{mark}", row.first.hook))
}

/// A metric's lowest and highest value over a hook's seeds.
pub(crate) struct Cell {
    pub(crate) low: String,
    pub(crate) high: String,
}

/// One for each column.
pub(crate) fn cells<'a>(row: &'a Row<'a>) -> impl Iterator<Item = Cell> + 'a {
    columns().map(|column| {
        let values = || row.runs.iter().filter_map(|run| run.metrics.get(column.metric));
        if let (Some(low), Some(high)) = (values().min(), values().max()) {
            return Cell { low: column.form.show(*low), high: column.form.show(*high) };
        }
        let unsupported = row.runs.iter().any(|run| run.unsupported.iter().any(|name| name == column.metric));
        let text = if unsupported { "n/a" } else { "-" }.to_owned();
        Cell { low: text.clone(), high: text }
    })
}
