//! A run record as JUnit XML, which CI servers show as test results.
//!
//! A suite is one scenario, hook and seed; a case is an expectation, or an invariant of a judged hook. Violated is a
//! failure; what could not be judged, or was never checked, is skipped and says why. A reference's invariants are no cases,
//! since nothing is asked of them; what it broke stands in the suite's output.
//!
//! * The form is the one that Jenkins, GitLab and others read: `tests/data/junit.xsd` of this crate describes it.
//! * Whatever a record's texts hold, the file is XML 1.0: a character that it forbids is replaced.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use crate::record::{Expectation, Invariant, Role, Run, RunRecord, Verdict, repro_command};
use crate::table::{ScenarioPaths, limit, open, path_of, sentence, violation};

/// Renders the record as JUnit XML; see the module's header.
pub fn render_junit(record: &RunRecord, paths: &ScenarioPaths) -> String {
    let mut report = Report::new(xml(&record.tool.name));
    report.add_test_suites(record.runs.iter().map(|run| suite(run, paths)));
    report.to_string().expect("memory takes every byte, and the texts are UTF-8")
}

fn suite(run: &Run, paths: &ScenarioPaths) -> TestSuite {
    let path = path_of(paths, &run.scenario);
    let class = format!("{}.{}", run.scenario.name, run.hook);
    let mut suite = TestSuite::new(xml(&format!("{}, {}, seed {}", run.scenario.name, run.hook, run.seed)));
    let repro = repro_command(&path, &run.hook, run.seed);
    let properties = [
        ("scenario", path.clone()),
        ("title", run.scenario.title.clone()),
        ("hook", run.hook.clone()),
        ("role", role(run.role).to_owned()),
        ("seed", run.seed.to_string()),
        ("digest", run.digest.clone()),
        ("repro", repro),
    ];
    suite.add_properties(properties.map(|(name, value)| (xml(name), xml(&value))));
    let mut cases = Vec::new();
    if !run.note.is_empty() {
        cases.push(("the run can be judged".to_owned(), skipped(&run.note)));
    }
    let mut names = Names::default();
    cases.extend(run.expectations.iter().map(|one| (names.unique(expected(one)), of_expectation(one, &path))));
    let judged = run.invariants.iter().filter(|_| run.role == Role::Judged);
    cases.extend(judged.map(|one| (format!("{} {}", one.id, one.says), of_invariant(one))));
    suite.add_test_cases(cases.into_iter().map(|(name, status)| {
        let mut case = TestCase::new(xml(&name), status);
        case.set_classname(xml(&class));
        case
    }));
    let broken: Vec<String> = run.invariants.iter().filter(|one| one.violations > 0).map(violation).collect();
    if run.role == Role::Reference && !broken.is_empty() {
        let text = format!("A reference, of which no invariant is asked:\n{}", broken.join("\n"));
        suite.set_system_out(xml(&text));
    }
    suite
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Judged => "judged",
        Role::Reference => "reference",
    }
}

/// Names of cases: without line numbers, so that a history survives an edit of the file, and each once.
#[derive(Default)]
struct Names(BTreeMap<String, u32>);

impl Names {
    fn unique(&mut self, name: String) -> String {
        let count = self.0.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name} ({count})") }
    }
}

fn expected(expectation: &Expectation) -> String {
    let Expectation { metric, during, limit: bound, .. } = expectation;
    let during = if during == "run" { String::new() } else { format!(" during {during}") };
    format!("{metric}{during}: {}", limit(*bound))
}

fn of_expectation(expectation: &Expectation, path: &str) -> TestCaseStatus {
    let text = sentence(expectation, path);
    match expectation.verdict {
        Verdict::Violated => failed("expectation", &text),
        Verdict::Inconclusive => skipped(&text),
        Verdict::Pass => TestCaseStatus::success(),
    }
}

fn of_invariant(invariant: &Invariant) -> TestCaseStatus {
    match invariant {
        Invariant { violations: 1.., .. } => failed("invariant", &violation(invariant)),
        Invariant { inconclusive: 1.., .. } => skipped(&open(invariant)),
        Invariant { checked: 0, .. } => skipped("never checked in this run, which proves nothing"),
        Invariant { .. } => TestCaseStatus::success(),
    }
}

fn failed(kind: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(xml(kind)).set_message(xml(text)).set_description(xml(text));
    status
}

fn skipped(text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(xml(text));
    status
}

/// The text with `U+FFFD` in place of what XML 1.0 forbids or discourages, and of carriage returns, which a reader would change.
fn xml(text: &str) -> XmlString {
    let fitting = |c: char| match c {
        '\n' => '\n',
        '\t' => ' ',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    };
    XmlString::new(text.chars().map(fitting).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_is_replaced_not_dropped() {
        assert_eq!(xml("a\0b\u{1b}[31mc\u{9b}\u{ffff}\td\n").as_str(), "a\u{fffd}b\u{fffd}[31mc\u{fffd}\u{fffd} d\n");
    }

    #[test]
    fn equal_expectations_have_names_of_their_own() {
        let mut names = Names::default();
        let unique: Vec<String> = ["a", "b", "a"].map(|name| names.unique(name.to_owned())).into();
        assert_eq!(unique, ["a", "b", "a (2)"]);
    }
}
