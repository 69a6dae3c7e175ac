//! A check for people.

use std::fmt::Write as _;

use super::{Check, SAMPLE_COUNT, Share, Strictness};
use crate::explain::words::{counted, grouped, percent};

const LABEL_WIDTH: usize = 30;

pub(super) fn render(check: &Check<'_>) -> String {
    let experiment = check.experiment;
    let weights: Vec<String> = experiment.variants().iter().map(|variant| variant.weight.to_string()).collect();
    let sample = grouped(f64::from(SAMPLE_COUNT));
    let mut text = format!(
        "experiment {:?} version {:?}, generation {}\n\n",
        experiment.id(),
        experiment.version(),
        experiment.generation()
    );
    let verdict = |is_equal: bool, words: &'static str| if is_equal { words } else { "DIFFERENT" };
    let lines = [
        ("file", format!("valid: {}, weights {}", counted(weights.len(), "variant"), weights.join(":"))),
        ("grants", format!("identified by {:?}", experiment.framed_lineage())),
        ("hash", format!("{}, salt {:?}", experiment.mode().name(), experiment.salt())),
        ("golden vectors", format!("{}: {}", check.vectors, verdict(check.vectors_difference.is_none(), "all equal"))),
        (
            "second implementation",
            format!("{sample} made-up ids: {}", verdict(check.sample.disagreement.is_none(), "all equal")),
        ),
    ];
    for (label, line) in lines {
        let _ = writeln!(text, "{label:<LABEL_WIDTH$}{line}");
    }
    let heads = ["expected", "found", "deviations"];
    let _ = writeln!(text, "\n{:<LABEL_WIDTH$}{:>10}{:>10}{:>12}", "of the made-up ids", heads[0], heads[1], heads[2]);
    check.sample.shares.iter().for_each(|share| row(&mut text, share));
    text.push('\n');
    for warning in &check.warnings {
        let _ = writeln!(text, "warning: {}\n   help: {}", warning.cause, warning.remedy);
    }
    for failure in check.failures() {
        let _ = writeln!(text, "FAIL: {failure}");
    }
    text + &summary(check)
}

fn row(text: &mut String, share: &Share) {
    let found = percent(f64::from(share.found) / f64::from(SAMPLE_COUNT));
    let mark = if share.is_fair() { "" } else { "  TOO FAR" };
    let _ = writeln!(
        text,
        "{:<LABEL_WIDTH$}{:>10}{found:>10}{:>12}{mark}",
        share.of,
        percent(share.expected),
        format!("{:+.1}", share.deviations())
    );
}

fn summary(check: &Check<'_>) -> String {
    let warned = match (check.warnings.len(), check.strictness) {
        (0, _) => String::new(),
        (count, Strictness::WarningsPass) => format!(", with {}", counted(count, "warning")),
        (count, Strictness::WarningsFail) => {
            format!(", with {}, which --strict does not let pass", counted(count, "warning"))
        }
    };
    format!("{}{warned}\n", if check.is_passed() { "PASS" } else { "FAIL" })
}
