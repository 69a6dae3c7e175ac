//! What stands below the table: what does not hold, how to repeat it, and what the zeros rest on.

use std::collections::BTreeMap;

use super::text::{counted, grouped, judgement, paragraph, whole};
use super::{Block, Row, Style, TableOptions};
use crate::conclusion::{self, bound};
use crate::number::Number;
use crate::record::{Expectation, Fault, Invariant, Limit, ParkedGrant, Role, Run, Verdict, repro_command};

const SEEDS_LISTED: usize = 5;
const RUN: &str = "run";

/// Writes all findings of a block.
pub(crate) fn render(out: &mut String, block: &Block<'_>, options: &TableOptions) {
    let path = &super::path_of(&options.paths, block.scenario);
    for row in &block.rows {
        let lines = findings(row, path);
        if !lines.is_empty() {
            out.push('\n');
        }
        for Line { verdict, text } in lines {
            judgement(out, &options.palette, verdict, &text);
        }
        if let Some(run) = row.runs.iter().find(|run| run.verdict == Verdict::Violated) {
            out.push_str("  To repeat it:\n    ");
            out.push_str(&repro_command(path, &run.hook, run.seed));
            out.push('\n');
        }
    }
    let accounts = accounts(block);
    if !accounts.is_empty() {
        out.push('\n');
    }
    for text in accounts {
        paragraph(out, &Style::default(), 2, &text);
    }
}

/// One finding.
pub(crate) struct Line {
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
}

/// All that does not hold for a hook, the worst first; `path` is the scenario file's.
pub(crate) fn findings(row: &Row<'_>, path: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    lines.extend(note(row));
    lines.extend(expectations(row, path));
    if row.first.role == Role::Judged {
        lines.extend(invariants(row));
    }
    lines.sort_by_key(|line| line.verdict);
    let worst = row.verdict();
    let bad: Vec<u64> = row.runs.iter().filter(|run| run.verdict == worst).map(|run| run.seed).collect();
    if worst != Verdict::Pass && row.runs.len() > 1 {
        let text = format!("{}: {} of {}", row.first.hook, seed_list(&bad), counted(row.runs.len() as u64, "seed"));
        lines.push(Line { verdict: worst, text });
    }
    lines
}

/// "seeds 3, 5, 8, 11, 12 and 14 more".
fn seed_list(seeds: &[u64]) -> String {
    let listed: Vec<String> = seeds.iter().take(SEEDS_LISTED).map(u64::to_string).collect();
    let more = match seeds.len().saturating_sub(SEEDS_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("seed{} {}{more}", if seeds.len() == 1 { "" } else { "s" }, listed.join(", "))
}

fn expectations<'a>(row: &'a Row<'a>, path: &'a str) -> impl Iterator<Item = Line> + 'a {
    missed(row).map(move |missed| {
        let Missed { verdict, run, expectation, seeds } = missed;
        Line { verdict, text: format!("{}: {}{seeds}", run.hook, sentence(expectation, path)) }
    })
}

/// An expectation that does not hold in all of a hook's seeds.
pub(crate) struct Missed<'a> {
    pub(crate) verdict: Verdict,
    /// The first run with this verdict.
    pub(crate) run: &'a Run,
    /// In that run.
    pub(crate) expectation: &'a Expectation,
    /// In how many seeds, to be put behind a sentence.
    pub(crate) seeds: String,
}

/// The expectations that do not hold, in the file's order. All runs of a row come from one file, so that their lists run in
/// parallel.
pub(crate) fn missed<'a>(row: &'a Row<'a>) -> impl Iterator<Item = Missed<'a>> {
    (0..row.first.expectations.len()).filter_map(move |index| {
        let all = || row.runs.iter().filter_map(move |run| Some((*run, run.expectations.get(index)?)));
        let verdict = all().map(|(_, expectation)| expectation.verdict).min()?;
        if verdict == Verdict::Pass {
            return None;
        }
        let mut bad = all().filter(|(_, expectation)| expectation.verdict == verdict);
        let (run, expectation) = bad.next()?;
        let seeds = share(row, run, 1 + bad.count());
        Some(Missed { verdict, run, expectation, seeds })
    })
}

/// What the first run that has a note says of itself.
pub(crate) fn note(row: &Row<'_>) -> Option<Line> {
    let mut noted = row.runs.iter().filter(|run| !run.note.is_empty());
    let run = noted.next()?;
    let text = format!("{}: {}{}", run.hook, run.note, share(row, run, 1 + noted.count()));
    Some(Line { verdict: Verdict::Inconclusive, text })
}

/// In how many of a hook's seeds; empty for a single seed.
fn share(row: &Row<'_>, first: &Run, count: usize) -> String {
    if row.runs.len() == 1 {
        return String::new();
    }
    format!(" [{count} of {}, first {}]", counted(row.runs.len() as u64, "seed"), first.seed)
}

/// What an expectation was held against, and what came.
pub(crate) fn sentence(expectation: &Expectation, path: &str) -> String {
    let value = expectation
        .value
        .map_or_else(|| "has no value".to_owned(), |value| format!("is {}", shown(expectation, value)));
    let during = if expectation.during == RUN { String::new() } else { format!(" during {}", expectation.during) };
    let note = if expectation.note.is_empty() { String::new() } else { format!(": {}", expectation.note) };
    let limit = limit(expectation.limit);
    format!("{}{during} {value}, must be {limit}{note} ({path}:{})", expectation.metric, expectation.line)
}

pub(crate) fn limit(limit: Limit) -> String {
    match limit {
        Limit::AtMost(most) => format!("at most {most}"),
        Limit::AtLeast(least) => format!("at least {least}"),
        Limit::Equals(exactly) => format!("{exactly}"),
        Limit::Between(least, most) => format!("{least} to {most}"),
    }
}

/// A value in six digits, or in all if six would make it look like its limit.
fn shown(expectation: &Expectation, number: Number) -> String {
    let Some(value) = number.value() else { return number.to_string() };
    let short: Option<f64> = format!("{value:.5e}").parse().ok();
    let Some(short) = short.and_then(Number::finite) else { return number.to_string() };
    let misleads = match expectation.limit {
        Limit::AtMost(bound) | Limit::AtLeast(bound) | Limit::Equals(bound) => short == bound,
        Limit::Between(low, high) => short == low || short == high,
    };
    if misleads { number.to_string() } else { short.to_string() }
}

fn invariants<'a>(row: &'a Row<'a>) -> impl Iterator<Item = Line> + 'a {
    broken(row).map(|broken| {
        let Broken { verdict, run, invariant, seeds } = broken;
        let text = match verdict {
            Verdict::Violated | Verdict::Pass => format!("{}: {}{seeds}", run.hook, violation(invariant)),
            Verdict::Inconclusive => format!("{}: {}{seeds}", run.hook, open(invariant)),
        };
        Line { verdict, text }
    })
}

/// An invariant that is violated, or could not be judged, in some of a hook's seeds.
pub(crate) struct Broken<'a> {
    pub(crate) verdict: Verdict,
    /// The first run of which this is true.
    pub(crate) run: &'a Run,
    /// In that run.
    pub(crate) invariant: &'a Invariant,
    /// In how many seeds, to be put behind a sentence.
    pub(crate) seeds: String,
}

/// The invariants that are violated or could not be judged, whatever the hook's role is.
pub(crate) fn broken<'a>(row: &'a Row<'a>) -> impl Iterator<Item = Broken<'a>> {
    (0..row.first.invariants.len()).flat_map(move |index| {
        let all = move || row.runs.iter().filter_map(move |run| Some((*run, run.invariants.get(index)?)));
        let violated: fn(&Invariant) -> u64 = |invariant| invariant.violations;
        let counts = [(Verdict::Violated, violated), (Verdict::Inconclusive, |invariant| invariant.inconclusive)];
        counts.into_iter().filter_map(move |(verdict, count)| {
            let mut bad = all().filter(|(_, invariant)| count(invariant) > 0);
            let (run, invariant) = bad.next()?;
            let seeds = share(row, run, 1 + bad.count());
            Some(Broken { verdict, run, invariant, seeds })
        })
    })
}

/// How often an invariant could not be judged.
pub(crate) fn open(invariant: &Invariant) -> String {
    let Invariant { id, says, inconclusive, .. } = invariant;
    format!("{id} ({says}): {} could not be judged", counted(*inconclusive, "check"))
}

/// How an invariant was violated.
pub(crate) fn violation(invariant: &Invariant) -> String {
    let Invariant { id, says, checked, violations, first, .. } = invariant;
    let head = format!("{id} ({says}) is violated {} in {}", counted(*violations, "time"), counted(*checked, "check"));
    match first {
        None => head,
        Some(first) => {
            let user = first.user.as_ref().map_or_else(String::new, |user| format!(", {user}"));
            format!("{head}; first at {}{user}: {}", first.at, first.evidence)
        }
    }
}

/// The faults that met nothing, named: a run without them has proved as much.
fn idle_faults(row: &Row<'_>) -> Vec<String> {
    let idle = |fault: &&Fault| fault.opportunities == 0 || !fault.supported;
    let named = |fault: &Fault| {
        let Fault { name, kind, at, supported, .. } = fault;
        let why = if *supported { "had no opportunity" } else { "is not simulated by this version" };
        format!("fault {name} ({kind} at {at}) {why}")
    };
    row.first.faults.iter().filter(idle).map(named).collect()
}

/// A judged hook's counts of harm beside what it came across, or the invariants a reference breaks; over all seeds.
fn account(row: &Row<'_>) -> Option<String> {
    let hook = &row.first.hook;
    match row.first.role {
        Role::Judged => {
            let bounded: Vec<String> = bound(row).into_iter().collect();
            Some(format!(
                "{hook}: {}",
                [harm(row), bounded, checks(row), reached(row), idle_faults(row)].concat().join("; ")
            ))
        }
        Role::Reference => {
            let broken: Vec<String> = totals(row, |invariant| invariant.violations)
                .filter(|(_, count)| *count > 0)
                .map(|(id, count)| format!("{id} {}", counted(count, "time")))
                .collect();
            (!broken.is_empty()).then(|| format!("{hook}* breaks {}", broken.join(", ")))
        }
    }
}

/// All that is to be said of a block's hooks beside what does not hold.
pub(crate) fn accounts(block: &Block<'_>) -> Vec<String> {
    let of_row = |row| account(row).into_iter().chain(parked(row)).chain(conclusion::sentence(row));
    block.rows.iter().flat_map(of_row).collect()
}

/// The first grant that waits for a human: a judged hook's word on what it could not prove.
fn parked(row: &Row<'_>) -> Option<String> {
    let run = row.runs.iter().find(|run| run.role == Role::Judged && !run.parked.is_empty())?;
    let ParkedGrant { user, grant, reason, look_up, attempts, .. } = run.parked.first()?;
    let sends = counted(u64::from(*attempts), "send");
    Some(format!("{} parked, such as {user}'s grant {grant}: {reason} after {sends}. Look up {look_up}.", run.hook))
}

/// Words in front of a list, if there is anything in it.
fn listed(words: &str, items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| format!("{words}{}", items.join(", ")))
}

fn harm(row: &Row<'_>) -> Vec<String> {
    let sum = |metric: &str| {
        let values = row.runs.iter().map(|run| run.metrics.get(metric).and_then(|number| number.value()));
        values.sum::<Option<f64>>().map(whole)
    };
    let doubles =
        totals(row, |invariant| invariant.violations).find(|(id, _)| *id == "GRANT-1").map(|(_, count)| count);
    let parts = [
        sum("over-allocation.users").map(|users| format!("{} above their cap", counted(users, "user"))),
        sum("group-switching.users").map(|users| format!("{} switched groups", grouped(users))),
        doubles.map(|count| format!("{} granted twice", grouped(count))),
    ];
    listed("", &parts.into_iter().flatten().collect::<Vec<_>>()).into_iter().collect()
}

fn checks(row: &Row<'_>) -> Vec<String> {
    let checked: u64 = totals(row, |invariant| invariant.checked).map(|(_, count)| count).sum();
    let never = totals(row, |invariant| invariant.checked).filter(|(_, count)| *count == 0);
    let never: Vec<String> = never.map(|(id, _)| id.to_owned()).collect();
    let checked = Some(format!("invariants checked {}", counted(checked, "time")));
    checked.into_iter().chain(listed("never checked: ", &never)).collect()
}

fn reached(row: &Row<'_>) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in row.runs.iter().flat_map(|run| &run.reached) {
        *counts.entry(name).or_default() += count;
    }
    let spoken = |name: &str| name.replace(['-', '_'], " ");
    let met: Vec<String> =
        counts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{} {}", spoken(name), grouped(*n))).collect();
    // Their names stand in the record; here they would bury what was reached.
    let missed = counts.values().filter(|count| **count == 0).count();
    let missed = (missed > 0).then(|| format!("never reached: {missed} of {}", counted(counts.len() as u64, "count")));
    listed("reached: ", &met).into_iter().chain(missed).collect()
}

/// A count of each invariant, summed over the row's seeds.
fn totals<'a>(row: &'a Row<'a>, count: fn(&Invariant) -> u64) -> impl Iterator<Item = (&'a str, u64)> {
    row.first.invariants.iter().enumerate().map(move |(index, invariant)| {
        let each = row.runs.iter().filter_map(|run| run.invariants.get(index)).map(count);
        (invariant.id.as_str(), each.sum())
    })
}
