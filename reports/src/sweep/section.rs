//! Sections of a summary, and their two forms: a terminal's and Markdown.

use std::fmt::Write as _;

use crate::markdown::text::{command, escaped};
use crate::record::Verdict;
use crate::table::text::{clean, judgement, left, paragraph, right, truncated, width, word};
use crate::table::{Palette, Style, WIDTH};

/// One thing to show.
pub(crate) enum Section {
    /// A scenario's title.
    Title(String),
    /// A sentence, under a verdict if it is one.
    Line(Option<Verdict>, String),
    /// A sentence about the line before it, or one of several.
    Item(String),
    /// A command to copy.
    Command(String),
    /// Columns.
    Table(Table),
}

/// A table: the first column is text, the others are numbers.
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A row; its verdict, if it has one, stands before its cells.
pub(crate) struct Row {
    pub(crate) verdict: Option<Verdict>,
    pub(crate) cells: Vec<String>,
}

const INDENT: usize = 2;
const GAP: usize = 2;
const VERDICT: &str = "verdict";

impl Table {
    fn has_verdicts(&self) -> bool {
        self.rows.iter().any(|row| row.verdict.is_some())
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(self.rows.iter().map(|row| &row.cells))
    }

    fn human(&self, out: &mut String, palette: &Palette) {
        let verdicts = self.rows.iter().filter_map(|row| row.verdict).map(|verdict| width(word(verdict)));
        let verdict_width = verdicts.chain([width(VERDICT)]).max().unwrap_or(0);
        let mut widths = vec![0; self.head.len()];
        for line in self.lines() {
            for (widest, cell) in widths.iter_mut().zip(line) {
                *widest = width(cell).max(*widest);
            }
        }
        let indent = if self.has_verdicts() { verdict_width + GAP } else { INDENT };
        let numbers: usize = widths.iter().skip(1).map(|wide| wide + GAP).sum();
        widths[0] = widths[0].min(WIDTH.saturating_sub(indent + numbers)).max(8);
        let cells = |cells: &[String]| {
            let first = left(&truncated(&clean(&cells[0]), widths[0]), widths[0]);
            let gap = " ".repeat(GAP);
            let others = cells.iter().zip(&widths).skip(1).map(|(cell, wide)| gap.clone() + &right(cell, *wide));
            format!("{first}{}", others.collect::<String>())
        };
        let before = if self.has_verdicts() { left(VERDICT, indent) } else { " ".repeat(indent) };
        let _ = writeln!(out, "{}", palette.aside.paint(&format!("{before}{}", cells(&self.head))));
        for row in &self.rows {
            let before = row.verdict.map_or_else(
                || " ".repeat(indent),
                |verdict| {
                    let gap = " ".repeat(indent - width(word(verdict)));
                    palette.of(verdict).paint(word(verdict)) + &gap
                },
            );
            let _ = writeln!(out, "{before}{}", cells(&row.cells).trim_end());
        }
    }

    fn markdown(&self, out: &mut String) {
        let verdict = |text: &str| if self.has_verdicts() { format!("| {text} ") } else { String::new() };
        let line = |out: &mut String, verdict: String, cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(out, "{verdict}| {} |", cells.join(" | "));
        };
        line(out, verdict(VERDICT), &self.head);
        let rule: Vec<String> =
            (0..self.head.len()).map(|column| if column == 0 { "---" } else { "--:" }.to_owned()).collect();
        line(out, verdict("---"), &rule);
        for row in &self.rows {
            line(out, verdict(row.verdict.map_or("", word)), &row.cells);
        }
    }
}

/// For a terminal of [`WIDTH`] columns.
pub(crate) fn human(sections: &[Section], palette: &Palette) -> String {
    let mut out = String::new();
    let mut before: Option<&Section> = None;
    for section in sections {
        if before.is_some_and(|before| !belongs(before, section)) {
            out.push('\n');
        }
        match section {
            Section::Title(title) => {
                let _ = writeln!(out, "{}", palette.title.paint(&truncated(&clean(title), WIDTH)));
            }
            Section::Line(None, text) => paragraph(&mut out, &Style::default(), INDENT, text),
            Section::Line(Some(verdict), text) => judgement(&mut out, palette, *verdict, text),
            Section::Item(text) => paragraph(&mut out, &Style::default(), 2 * INDENT, text),
            Section::Command(command) => {
                let _ = writeln!(out, "    {command}");
            }
            Section::Table(table) => table.human(&mut out, palette),
        }
        before = Some(section);
    }
    out
}

/// For a CI summary.
pub(crate) fn markdown(sections: &[Section]) -> String {
    let mut out = String::new();
    for (index, section) in sections.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let _ = match section {
            Section::Title(title) => writeln!(out, "## {}", escaped(title)),
            Section::Line(None, text) => writeln!(out, "{}", escaped(text)),
            Section::Line(Some(verdict), text) => writeln!(out, "**{}** {}", word(*verdict), escaped(text)),
            Section::Item(text) => writeln!(out, "- {}", escaped(text)),
            Section::Command(line) => write!(out, "{}", command(&clean(line))),
            Section::Table(table) => {
                table.markdown(&mut out);
                Ok(())
            }
        };
    }
    out
}

/// Whether two sections stand without an empty line between them.
fn belongs(before: &Section, section: &Section) -> bool {
    use Section::{Command, Item, Line};
    matches!(
        (before, section),
        (Line(..), Command(_))
            | (Command(_) | Line(Some(_), _), Line(Some(_), _))
            | (Line(None, _), Line(None, _))
            | (Line(..) | Item(_), Item(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_shows_what_was_meant_and_not_more() {
        let sections = [
            Section::Title("a | b".to_owned()),
            Section::Line(Some(Verdict::Pass), "<b>*no*\n".to_owned()),
            Section::Table(Table {
                head: vec!["x".to_owned(), "n".to_owned()],
                rows: vec![Row { verdict: None, cells: vec!["a|b".to_owned(), "1".to_owned()] }],
            }),
        ];
        let expected = "## a \\| b\n\n**PASS** \\<b\\>\\*no\\* \n\n| x | n |\n| --- | --: |\n| a\\|b | 1 |\n";
        assert_eq!(markdown(&sections), expected);
    }
}
