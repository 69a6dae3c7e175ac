//! The page of one incident.

use std::fmt::Write as _;

use crate::explanation::Section;
use crate::html::{QUESTIONS, Question, limit_in_words, unit};
use crate::length::Length;
use crate::markdown::text::{command as block, escaped};
use crate::number::Number;
use crate::record::{Expectation, Invariant, Role, Run, Step, Verdict, Violation};
use crate::table::text::{counted, grouped};
use crate::timeline::{Charset, Lane, Marks, Timeline, render_timeline};

use super::{GENERATED, Incident, KnownValue, Origin};

/// What a page asks besides the three questions: a hook can also harm by doing too little.
const LET_DOWN: Question = Question {
    asks: "Who was let down?",
    answers: &[
        ("hook.errors", "tries of visits that failed"),
        ("hook.provisional", "visits answered without a record"),
        ("undelivered.users", "users without the grant they were promised"),
        ("grant.parked", "of them, left to a human"),
        ("grant.delay-p50-ms", "wait for a grant, median"),
        ("grant.delay-max-ms", "wait for a grant, longest"),
    ],
};

/// Columns of the time line, and parts of the storm in it.
const COLUMNS: usize = 100;
const PARTS: usize = 70;

/// Steps of a story on a page.
const STEPS_MAX: usize = 10;

/// Renders one incident.
pub fn render_incident(incident: &Incident) -> String {
    let explanation = &incident.explanation;
    let (what_happened, sources) = about(&explanation.about);
    let mut out = format!("{GENERATED}# {}\n", escaped(&explanation.scenario.title));
    for paragraph in what_happened {
        let _ = writeln!(out, "\n{}", escaped(&paragraph));
    }
    values(&mut out, &incident.values);
    outcome(&mut out, &incident.runs);
    time(&mut out, incident);
    for run in &incident.runs {
        broken(&mut out, run);
    }
    shape(&mut out, &explanation.sections);
    let _ =
        write!(out, "\n## Run it\n\n{}", block(&format!("hookproof run {}", crate::record::quoted(&incident.path))));
    if !sources.is_empty() {
        out.push_str("\n## Sources\n\n");
    }
    for source in sources {
        let _ = writeln!(out, "- {}", linked(&source));
    }
    out
}

/// The paragraphs, and the sources, each beginning with its number in brackets.
fn about(text: &str) -> (Vec<String>, Vec<String>) {
    let (body, sources) = text.split_once("Sources:").unwrap_or((text, ""));
    let joined = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let paragraphs = body.split("\n\n").map(joined).filter(|paragraph| !paragraph.is_empty()).collect();
    let mut all: Vec<String> = Vec::new();
    for line in sources.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match all.last_mut() {
            Some(last) if !line.starts_with('[') => *last = format!("{last} {line}"),
            Some(_) | None => all.push(line.to_owned()),
        }
    }
    (paragraphs, all)
}

/// A source, in which a word that is an address becomes a link.
fn linked(source: &str) -> String {
    let is_address = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(c);
        word.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
    };
    let word = |word: &str| if is_address(word) { format!("<{word}>") } else { escaped(word) };
    source.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn values(out: &mut String, values: &[KnownValue]) {
    let of = |origin: Origin| values.iter().filter(move |value| value.origin == origin);
    if values.is_empty() {
        return;
    }
    out.push_str("\n## What is published\n\n");
    if of(Origin::Published).next().is_none() {
        out.push_str("None of the file's values.\n");
    } else {
        out.push_str("| where | setting | published |\n| --- | --- | --- |\n");
    }
    for KnownValue { place, setting, says, .. } in of(Origin::Published) {
        let _ = writeln!(out, "| {} | `{}` | {} |", escaped(place), in_code(setting), escaped(says));
    }
    for (origin, title) in [(Origin::Fitted, "Fitted to a published figure"), (Origin::Assumed, "Assumed")] {
        let list: Vec<String> = of(origin).map(in_a_list).collect();
        if !list.is_empty() {
            let _ = writeln!(out, "\n{title}: {}.", list.join("; "));
        }
    }
}

fn in_a_list(value: &KnownValue) -> String {
    let KnownValue { place, setting, says, .. } = value;
    let place = if place.is_empty() { String::new() } else { format!("{} ", escaped(place)) };
    let says = if says.is_empty() { String::new() } else { format!(" ({})", escaped(says)) };
    format!("{place}`{}`{says}", in_code(setting))
}

/// Text between backticks, in a cell of a table.
fn in_code(text: &str) -> String {
    crate::table::text::clean(text).replace('`', "'").replace('|', "\\|")
}

fn outcome(out: &mut String, runs: &[Run]) {
    out.push_str("\n## What each hook made of it\n\n");
    let heads: Vec<String> = runs.iter().map(|run| format!("{}{}", escaped(&run.hook), marked(run.role))).collect();
    let _ = writeln!(out, "| | {} |\n| --- |{}", heads.join(" | "), " --: |".repeat(runs.len()));
    row(out, "as the file expects", runs.iter().map(as_expected));
    row(out, "invariants broken", runs.iter().map(invariants));
    for question in QUESTIONS.iter().chain([&LET_DOWN]) {
        row(out, &format!("**{}**", question.asks), runs.iter().map(|_| String::new()));
        for (metric, words) in question.answers {
            row(out, words, runs.iter().map(|run| escaped(&value(run, metric))));
        }
    }
    out.push_str("\n\\*: a reference, shown for comparison. `docs/metrics.md` defines each figure.\n");
    expectations(out, runs);
}

/// The mark of a reference.
const fn marked(role: Role) -> &'static str {
    match role {
        Role::Reference => "\\*",
        Role::Judged => "",
    }
}

fn row(out: &mut String, head: &str, cells: impl Iterator<Item = String>) {
    let _ = writeln!(out, "| {head} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn as_expected(run: &Run) -> String {
    let all = run.expectations.len();
    let hold = run.expectations.iter().filter(|one| one.verdict == Verdict::Pass).count();
    match run.verdict {
        Verdict::Pass => format!("yes, {hold} of {all}"),
        Verdict::Violated => format!("**no**, {hold} of {all}"),
        Verdict::Inconclusive => format!("**not judged**, {hold} of {all}"),
    }
}

fn invariants(run: &Run) -> String {
    let broken: Vec<&str> = run.invariants.iter().filter(|one| one.violations > 0).map(|one| one.id.as_str()).collect();
    if broken.is_empty() { "none".to_owned() } else { escaped(&broken.join(", ")) }
}

fn value(run: &Run, metric: &str) -> String {
    match run.metrics.get(metric) {
        Some(value) => unit(metric).show(*value),
        None if run.unsupported.iter().any(|name| name == metric) => "not measured".to_owned(),
        None => "–".to_owned(),
    }
}

fn expectations(out: &mut String, runs: &[Run]) {
    out.push_str("\n| the file expects | of | is |\n| --- | --- | --: |\n");
    for Expectation { metric, hook, during, limit, value, verdict, .. } in runs.iter().flat_map(|run| &run.expectations)
    {
        let unit = unit(metric);
        let during = if during == "run" { String::new() } else { format!(" during {}", escaped(during)) };
        let is = value.map_or_else(|| "no value".to_owned(), |value| unit.show(value));
        let holds = match verdict {
            Verdict::Pass => "",
            Verdict::Violated => ": **violated**",
            Verdict::Inconclusive => ": **inconclusive**",
        };
        let must = escaped(&limit_in_words(*limit, unit));
        let _ = writeln!(out, "| `{}`{during} {must} | {} | {}{holds} |", in_code(metric), escaped(hook), escaped(&is));
    }
}

/// What was offered and what went wrong, and below it what each hook did, on one axis.
fn time(out: &mut String, incident: &Incident) {
    let Timeline { storm, calm, lanes } = &incident.explanation.timeline;
    let mut lanes = lanes.clone();
    for run in &incident.runs {
        let levels = [("calls-per-second", "calls /s"), ("over-allocated-users", "over cap"), ("backlog", "unsettled")];
        lanes.extend(levels.into_iter().filter_map(|(level, words)| lane(run, level, words, *storm)));
    }
    let drawn = render_timeline(&Timeline { storm: *storm, calm: *calm, lanes }, COLUMNS, Charset::Unicode);
    let _ = write!(
        out,
        "\n## On one time line\n\nEach line of figures has its own scale; at its end stands its greatest value in the storm. *Over cap* are users who \
         hold too much, *unsettled* are grants that were promised and are not delivered, rejected or parked.\n\n```text\n{drawn}```\n"
    );
}

/// The greatest of a level in equal parts of the storm; `None` where there was nothing.
fn lane(run: &Run, level: &str, words: &str, storm: Length) -> Option<Lane> {
    let values = &run.series.levels.get(level)?.greatest;
    let (bin, storm) = (run.series.bin.0.as_secs_f64(), storm.0.as_secs_f64());
    let of_part = |part: usize| {
        let (from, to) = (part as f64 * storm / PARTS as f64, (part + 1) as f64 * storm / PARTS as f64);
        let overlaps = |(index, value): (usize, &Option<i64>)| {
            let (begins, ends) = (index as f64 * bin, (index + 1) as f64 * bin);
            value.filter(|_| begins < to && ends > from)
        };
        values.iter().enumerate().filter_map(overlaps).max().unwrap_or(0).max(0)
    };
    let parts: Vec<i64> = (0..PARTS).map(of_part).collect();
    let most = parts.iter().copied().max().filter(|most| *most > 0)?;
    let rates = parts.iter().filter_map(|part| Number::finite(*part as f64)).collect();
    let note = grouped(most.unsigned_abs());
    Some(Lane { name: format!("{}: {words}", run.hook), marks: Marks::Rates(rates), note })
}

/// What a hook breaks, and how the first harm came about.
fn broken(out: &mut String, run: &Run) {
    let broken: Vec<(&Invariant, &Violation)> =
        run.invariants.iter().filter_map(|one| Some((one, one.first.as_ref()?))).collect();
    if broken.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## What {} breaks\n", escaped(&run.hook));
    for (invariant, first) in &broken {
        let Invariant { id, says, violations, .. } = invariant;
        let (times, at) = (counted(*violations, "time"), crate::html::moment(first.at));
        let evidence = escaped(&without_user(&first.evidence, first.user.as_deref()));
        let _ = writeln!(out, "- **{}** ({}): {times}, first at {at}: {evidence}", escaped(id), escaped(says));
    }
    // A wait is less than a grant too many.
    let told = |id: &str| run.stories.iter().find_map(|story| Some((id.to_owned(), steps(&story.steps, id)?)));
    let ids = || broken.iter().map(|(invariant, _)| invariant.id.as_str());
    let story = ids().filter(|id| id.starts_with("GRANT")).chain(ids()).find_map(told);
    if let Some((id, (left_out, steps))) = story {
        let _ = write!(out, "\nHow {} was first broken", escaped(&id));
        let before =
            if left_out > 0 { format!(", after {}", counted(left_out, "earlier step")) } else { String::new() };
        let _ = writeln!(out, "{before}:\n\n| at | where | what |\n| --- | --- | --- |");
        for step in steps {
            let (at, place) = (crate::html::moment(step.at), escaped(&step.place));
            let _ = writeln!(out, "| {at} | {place} | {} |", escaped(&step.text));
        }
    }
}

/// The last steps up to the one that first violates an invariant, and how many came before them.
fn steps<'s>(steps: &'s [Step], id: &str) -> Option<(u64, &'s [Step])> {
    let hit = steps.iter().position(|step| step.violates.iter().any(|violated| violated == id))?;
    let from = (hit + 1).saturating_sub(STEPS_MAX);
    Some((from as u64, &steps[from..=hit]))
}

/// Pages name nobody.
fn without_user(evidence: &str, user: Option<&str>) -> String {
    user.map_or_else(|| evidence.to_owned(), |user| evidence.replace(user, "the user"))
}

/// What the file resolves to.
fn shape(out: &mut String, sections: &[Section]) {
    out.push_str("\n## What the file resolves to\n");
    for Section { title, lines } in sections {
        let _ = writeln!(out, "\n**{}**\n", escaped(title));
        for line in lines {
            let _ = writeln!(out, "- {}", escaped(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_parted_from_the_sources() {
        let (paragraphs, sources) = about("One\ntwo.\n\nThree.\n\nSources:\n[1] A, \"B\",\nhttps://a.b/c_d\n[2] C\n");
        assert_eq!(paragraphs, ["One two.", "Three."]);
        assert_eq!(sources, ["[1] A, \"B\", https://a.b/c_d", "[2] C"]);
        assert_eq!(about("All.\n"), (vec!["All.".to_owned()], Vec::new()));
    }

    #[test]
    fn only_an_address_becomes_a_link() {
        assert_eq!(linked("[1] <b>, https://a.b/c_d"), "\\[1\\] \\<b\\>, <https://a.b/c_d>");
        for word in ["https://", "https://a>b", "javascript:x", "http://a.b"] {
            assert!(!linked(word).starts_with('<'), "{word}");
        }
    }
}
