//! The index: a line for each incident, and what each hook did in it, in a few words.

use std::fmt::Write as _;

use crate::markdown::text::escaped;
use crate::record::{Run, Verdict};
use crate::table::text::{grouped, whole};

use super::{GENERATED, Incident};

/// Renders the index of pages that are named after their scenarios.
pub fn render_incident_index(incidents: &[Incident]) -> String {
    let mut hooks: Vec<&str> = Vec::new();
    for run in incidents.iter().flat_map(|incident| &incident.runs) {
        if !hooks.contains(&run.hook.as_str()) {
            hooks.push(&run.hook);
        }
    }
    let mut out = format!(
        "{GENERATED}# Incidents, run again\n\nWhat became of users and services under each hook. A page has the \
         published facts with their sources, what is assumed, the outcome, and how the first harm came about.\n\n"
    );
    let heads: Vec<String> = hooks.iter().map(|hook| escaped(hook)).collect();
    let _ = writeln!(out, "| incident | {} |\n| --- |{}", heads.join(" | "), " --- |".repeat(heads.len()));
    for incident in incidents {
        let scenario = &incident.explanation.scenario;
        let run = |hook: &&str| incident.runs.iter().find(|run| run.hook == **hook);
        let cells: Vec<String> = hooks.iter().map(|hook| run(hook).map_or_else(|| "—".to_owned(), cell)).collect();
        let (title, name) = (escaped(&scenario.title), &scenario.name);
        let _ = writeln!(out, "| [{title}]({}) | {} |", page_name(name), cells.join(" | "));
    }
    out
}

/// The file of a scenario's page, as a link has it.
fn page_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let coded = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(coded).collect::<String>() + ".md"
}

fn cell(run: &Run) -> String {
    let verdict = match run.verdict {
        Verdict::Pass => "",
        Verdict::Violated => "**not as expected**: ",
        Verdict::Inconclusive => "**inconclusive**: ",
    };
    let harms = harms(run);
    format!("{verdict}{}", if harms.is_empty() { "nobody harmed".to_owned() } else { harms.join(", ") })
}

/// Who was harmed, in words; nobody is left out.
fn harms(run: &Run) -> Vec<String> {
    const COUNTS: [(&str, &str); 5] = [
        ("over-allocation.users", "above their cap"),
        ("group-switching.users", "switched"),
        ("undelivered.users", "without their grant"),
        ("grant.parked", "left to a human"),
        ("hook.errors", "failed tries"),
    ];
    let count = |(metric, words): (&str, &str)| {
        let count = run.metrics.get(metric)?.value().filter(|count| *count > 0.0)?;
        Some(format!("{} {words}", grouped(whole(count))))
    };
    let never = run.metrics.get("upstream.recovery-seconds").is_some_and(|seconds| seconds.value().is_none());
    COUNTS.into_iter().filter_map(count).chain(never.then(|| "goodput never back".to_owned())).collect()
}
