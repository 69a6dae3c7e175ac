//! A run record as workflow commands of GitHub Actions: what does not hold, at its own line of the scenario file.
//!
//! GitHub shows ten errors, ten warnings and ten notices of a step and drops the rest without a word; so the worst come
//! first, and one notice counts what is left out. Errors are what is violated, warnings what could not be judged.
//!
//! * Each annotation is one line, whatever its texts hold: line breaks and what delimits a command are encoded.

use std::fmt::Write as _;

use crate::record::{Role, RunRecord, Verdict, repro_command};
use crate::table::text::{clean, counted};
use crate::table::{
    Block, Broken, Missed, Row, ScenarioPaths, blocks, broken, limit, missed, note, open, path_of, sentence, violation,
};

/// Annotations of one type that GitHub shows for a step.
const SHOWN_MAX: usize = 10;

/// Renders the record as annotations, one a line; nothing if all holds.
pub fn render_github(record: &RunRecord, paths: &ScenarioPaths) -> String {
    let blocks = blocks(record);
    let mut annotations: Vec<Annotation> = blocks.iter().flat_map(|block| of_block(block, paths)).collect();
    annotations.sort_by_key(|annotation| annotation.kind);
    let mut out = String::new();
    let mut left_out = Vec::new();
    for (verdict, noun) in [(Verdict::Violated, "error"), (Verdict::Inconclusive, "warning")] {
        let of_type: Vec<&Annotation> = annotations.iter().filter(|one| one.kind.0 == verdict).collect();
        for annotation in of_type.iter().take(SHOWN_MAX) {
            annotation.render(&mut out, noun);
        }
        if let Some(more @ 1..) = of_type.len().checked_sub(SHOWN_MAX) {
            left_out.push(counted(more as u64, &format!("more {noun}")));
        }
    }
    if !left_out.is_empty() {
        let message = format!("{} are not shown: GitHub shows ten of each for a step", left_out.join(" and "));
        let _ = writeln!(out, "::notice title={}::{}", property("Hookproof"), data(&message));
    }
    out
}

/// What comes first: the verdict, then invariants before expectations before remarks on a run.
type Kind = (Verdict, Rank);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Invariant,
    Expectation,
    Note,
}

struct Annotation {
    kind: Kind,
    file: String,
    line: Option<u32>,
    title: String,
    message: String,
}

impl Annotation {
    fn render(&self, out: &mut String, command: &str) {
        let line = self.line.map_or_else(String::new, |line| format!(",line={line}"));
        let (file, title) = (property(&self.file), property(&self.title));
        let _ = writeln!(out, "::{command} file={file}{line},title={title}::{}", data(&self.message));
    }
}

fn of_block(block: &Block<'_>, paths: &ScenarioPaths) -> Vec<Annotation> {
    let path = path_of(paths, block.scenario);
    block.rows.iter().flat_map(|row| of_row(row, &path)).collect()
}

fn of_row(row: &Row<'_>, path: &str) -> Vec<Annotation> {
    // GitHub looks a file up from the repository's root, where a leading `./` matches nothing.
    let file = path.strip_prefix("./").unwrap_or(path);
    let at = |kind, line, title, message| Annotation { kind, file: file.to_owned(), line, title, message };
    let mut all = Vec::new();
    for Missed { verdict, run, expectation, seeds } in missed(row) {
        let title = format!("{}: {} must be {}", run.hook, expectation.metric, limit(expectation.limit));
        let repro = repro_command(path, &run.hook, run.seed);
        let message = format!("{}{seeds}\nTo repeat it: {repro}", sentence(expectation, path));
        all.push(at((verdict, Rank::Expectation), Some(expectation.line), title, message));
    }
    let judged = broken(row).filter(|_| row.first.role == Role::Judged);
    for Broken { verdict, run, invariant, seeds } in judged {
        let (what, text) = match verdict {
            Verdict::Violated | Verdict::Pass => ("is violated", violation(invariant)),
            Verdict::Inconclusive => ("could not be judged", open(invariant)),
        };
        let title = format!("{}: {} {what}", run.hook, invariant.id);
        let message = format!("{text}{seeds}\nTo repeat it: {}", repro_command(path, &run.hook, run.seed));
        all.push(at((verdict, Rank::Invariant), None, title, message));
    }
    if let Some(line) = note(row) {
        let title = format!("{}: nothing could be judged", row.first.hook);
        all.push(at((line.verdict, Rank::Note), None, title, line.text));
    }
    all
}

/// A command's message; its line breaks are kept, encoded.
fn data(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(clean).collect();
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A command's property, in which a comma and a colon would end it.
fn property(text: &str) -> String {
    data(&clean(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_delimits_a_command_is_encoded() {
        assert_eq!(data("100 %: a,b\nc\rd\u{1b}[31m%0A"), "100 %25: a,b%0Ac d [31m%250A");
        assert_eq!(property("a:b,c\n::error::%"), "a%3Ab%2Cc %3A%3Aerror%3A%3A%25");
    }
}
