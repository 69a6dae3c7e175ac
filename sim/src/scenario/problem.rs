//! What is wrong with a scenario file, and how it is shown.
//!
//! Owns positions (line and column of a byte range) and the rendering with source line and remedy. It knows nothing of
//! scenarios: whoever finds something hands over a byte range, a cause and a remedy.
//!
//! * `PROBLEM-1`: every problem names a position inside the file, shows its line and says what to do.
//! * `PROBLEM-2`: problems come in file order, none twice, at most [`PROBLEMS_MAX`]; the rest is counted.
//!
//! Neither time nor chance enters. The snapshots of `tests/scenarios/files.rs` show every message.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Problems shown of one file; further ones are only counted.
pub const PROBLEMS_MAX: usize = 50;

/// Where a mark may start in a line of which the start is shown.
const EXCERPT_START_MAX: usize = 1_000;

/// Bytes of a source line shown before (in longer lines) and after the start of a mark.
const EXCERPT_BEFORE: usize = 100;
const EXCERPT_AFTER: usize = 200;

/// One thing that is wrong with a scenario file or with a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the file, as it is shown.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    excerpt: Excerpt,
}

/// What is shown of a source line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// Bytes of the text that the problem is about.
    mark: Range<usize>,
    /// Whether the line's start is left out, because the line is very long.
    starts_late: bool,
}

/// Everything that is wrong with one scenario file. Remedy: each [`Problem`] carries its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    path: String,
    problems: Vec<Problem>,
    omitted_count: usize,
}

/// Something found wrong at a byte range of the source, before it is located.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl ScenarioError {
    /// Locates `findings` in `source`; `omitted_count` more were not even written down.
    pub(super) fn new(path: &str, source: &str, findings: BTreeSet<Finding>, omitted_count: usize) -> Self {
        let omitted_count = omitted_count + findings.len().saturating_sub(PROBLEMS_MAX);
        let lines = Lines::new(source);
        let problems = findings.into_iter().take(PROBLEMS_MAX).map(|finding| lines.locate(path, finding)).collect();
        Self { path: path.to_owned(), problems, omitted_count }
    }

    /// Adds what is wrong with files that the file names. The cap is one for all.
    pub(super) fn with_files(mut self, in_files: Vec<Self>) -> Self {
        for error in in_files {
            self.problems.extend(error.problems);
            self.omitted_count += error.omitted_count;
        }
        self.omitted_count += self.problems.len().saturating_sub(PROBLEMS_MAX);
        self.problems.truncate(PROBLEMS_MAX);
        self
    }

    /// The file's path as it was given to [`decode`](super::decode).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The problems in file order, those of files that the file names last; at most [`PROBLEMS_MAX`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many further problems are not listed.
    pub const fn omitted_count(&self) -> usize {
        self.omitted_count
    }

    /// Every problem with its position, source line and remedy, in terminal colours if `color`.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let render = |problem: &Problem| renderer.render(&[problem.group()]).trim_end().to_owned();
        let mut parts: Vec<_> = self.problems.iter().map(render).collect();
        if self.omitted_count > 0 {
            parts.push(format!("… and {} more", self.omitted_count));
        }
        parts.join("\n\n")
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for ScenarioError {}

impl Problem {
    fn group(&self) -> Group<'_> {
        let path = self.path.as_str();
        let mark = AnnotationKind::Primary.span(self.excerpt.mark.clone());
        let snippet = Snippet::source(self.excerpt.text.as_str()).line_start(self.line).annotation(mark);
        let title = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        let located = if self.excerpt.starts_late {
            title.element(Origin::path(path).line(self.line).char_column(self.column)).element(snippet)
        } else {
            title.element(snippet.path(path))
        };
        located.element(Level::HELP.message(self.remedy.as_str()))
    }
}

/// The lines of a source text.
#[derive(Debug)]
pub(super) struct Lines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Lines<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    /// The line, from 0, that the byte at `at` is on.
    pub(super) fn index(&self, at: usize) -> usize {
        self.starts.partition_point(|&line_start| line_start <= at) - 1
    }

    /// Turns the byte range of a finding into line, column and an excerpt of that line.
    fn locate(&self, path: &str, finding: Finding) -> Problem {
        let start = boundary(self.source, finding.start);
        let index = self.index(start);
        let line_start = self.starts[index];
        let line = self.source[line_start..].lines().next().unwrap_or_default();
        let mark_start = boundary(line, start - line_start);
        let mark_end = boundary(line, finding.end.saturating_sub(line_start).max(mark_start));

        let starts_late = mark_start > EXCERPT_START_MAX;
        let from = if starts_late { boundary(line, mark_start - EXCERPT_BEFORE) } else { 0 };
        let to = boundary(line, mark_start + EXCERPT_AFTER);
        let mark = mark_start - from..mark_end.min(to) - from;
        Problem {
            path: path.to_owned(),
            line: index + 1,
            column: line[..mark_start].chars().count() + 1,
            message: finding.message,
            remedy: finding.remedy,
            excerpt: Excerpt { text: line[from..to].to_owned(), mark, starts_late },
        }
    }
}

/// The last character boundary of `text` at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
