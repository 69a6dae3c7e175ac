//! A sweep for people: the verdict first, then what does not hold, then what the numbers rest on.

use std::collections::BTreeMap;

use super::bound::{Verdicts, upper_bound_95};
use super::record::{HookSweep, Pair, PairedMetric, Reached, ScenarioSweep, SweepRecord, sweep_repro_command};
use super::section::{Row, Section, Table, human, markdown};
use crate::number::Number;
use crate::record::{Limit, Role, Verdict};
use crate::table::TableOptions;
use crate::table::text::{counted, grouped, whole};

/// Failing seeds that a summary lists for each hook; the record has more.
const FAILING_SHOWN: usize = 5;
const MEDIAN: u64 = 500_000;
const P10: u64 = 100_000;
const P90: u64 = 900_000;
const P99: u64 = 990_000;

/// The sweep in 80 columns, but for commands, which stay on one line to be copied.
pub fn render_sweep(record: &SweepRecord, options: &TableOptions) -> String {
    human(&sections(record, &options.paths, Form::Terminal), &options.palette)
}

/// The sweep in Markdown, as for the summary page of a CI run.
pub fn render_sweep_markdown(record: &SweepRecord, options: &TableOptions) -> String {
    markdown(&sections(record, &options.paths, Form::Page))
}

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 80 columns.
    Terminal,
    /// Any number.
    Page,
}

/// All of it; `paths` as in [`TableOptions`].
fn sections(record: &SweepRecord, paths: &BTreeMap<String, String>, form: Form) -> Vec<Section> {
    let mut out = Vec::new();
    for scenario in &record.scenarios {
        let fallback = format!("{}.toml", scenario.scenario.name);
        let path = paths.get(&scenario.scenario.digest).unwrap_or(&fallback);
        out.push(Section::Title(title(record, scenario)));
        if scenario.hooks.is_empty() {
            out.push(Section::Line(None, "no seed has run".to_owned()));
            continue;
        }
        out.push(verdicts(record, scenario));
        for hook in &scenario.hooks {
            findings(&mut out, record, hook, path);
        }
        let subjects: Vec<&HookSweep> = subjects(&scenario.hooks);
        out.extend(subjects.iter().map(|hook| statement(hook)));
        for hook in &subjects {
            account(&mut out, hook);
        }
        for hook in &subjects {
            distributions(&mut out, hook);
        }
        for pair in &scenario.pairs {
            paired(&mut out, pair, form);
        }
    }
    if record.is_whole() {
        out.push(Section::Line(record.verdict(), summary(record)));
    } else {
        let text = "INTERRUPTED: this is what had run, and no result of the sweep; ".to_owned() + &summary(record);
        out.push(Section::Line(None, text));
    }
    out
}

/// The hooks whose details are shown: the judged ones, or all if none is judged. The record has all.
fn subjects(hooks: &[HookSweep]) -> Vec<&HookSweep> {
    let judged: Vec<&HookSweep> = hooks.iter().filter(|hook| hook.role == Role::Judged).collect();
    if judged.is_empty() { hooks.iter().collect() } else { judged }
}

fn title(record: &SweepRecord, scenario: &ScenarioSweep) -> String {
    let seeds = record.seeds.range();
    let all = counted(seeds.end - seeds.start, "seed");
    let (ran, each) = (scenario.seeds(), record.seeds_each());
    let all = if ran == each { all } else { format!("only {} of {}", grouped(ran), counted(each, "seed")) };
    let swarm = if record.swarm { ", swarm" } else { "" };
    let part = record.shard.map_or_else(String::new, |shard| format!(", shard {shard}"));
    let (from, to) = (seeds.start, seeds.end);
    format!("{} ({all} {from}..{to}{swarm}{part}): {}", scenario.scenario.name, scenario.scenario.title)
}

fn verdicts(record: &SweepRecord, scenario: &ScenarioSweep) -> Section {
    let row = |hook: &HookSweep| {
        let Verdicts { pass, violated, inconclusive } = hook.seeds;
        let bound = hook.seeds.bound_95().and_then(Number::value).map_or_else(|| "-".to_owned(), percent);
        let name = format!("{}{}", hook.hook, if hook.role == Role::Reference { "*" } else { "" });
        let cells = [grouped(hook.seeds.seeds()), grouped(pass), grouped(violated), grouped(inconclusive), bound];
        Row { verdict: Some(hook.verdict(record.swarm)), cells: std::iter::once(name).chain(cells).collect() }
    };
    let head = ["hook", "seeds", "pass", "violated", "inconclusive", "95 % bound"].map(str::to_owned).into();
    let mut rows: Vec<Row> = scenario.hooks.iter().map(row).collect();
    rows.sort_by_key(|row| row.verdict);
    Section::Table(Table { head, rows })
}

/// What does not hold, and how to repeat it.
fn findings(out: &mut Vec<Section>, record: &SweepRecord, hook: &HookSweep, path: &str) {
    let name = &hook.hook;
    if hook.role == Role::Judged {
        for (id, tally) in hook.invariants.iter().filter(|(_, tally)| tally.seeds_violated > 0) {
            let first = tally.first.map_or_else(String::new, |seed| format!(", first {seed}"));
            let seeds = of(tally.seeds_violated, hook.seeds.seeds());
            let text = format!("{name}: {id} ({}) is violated in {seeds}{first}", tally.says);
            out.push(Section::Line(Some(Verdict::Violated), text));
        }
    }
    for tally in hook.expectations.iter().filter(|tally| tally.seeds.violated > 0) {
        let range = tally.values.min().zip(tally.values.max());
        let range = range.map_or_else(String::new, |(low, high)| format!(", values {} to {}", shown(low), shown(high)));
        let during = if tally.during == "run" { String::new() } else { format!(" during {}", tally.during) };
        let seeds = of(tally.seeds.violated, hook.seeds.seeds());
        let limit = limit(tally.limit);
        let text = format!(
            "{name}: {}{during} must be {limit}, is not in {seeds}{range} ({path}:{})",
            tally.metric, tally.line
        );
        out.push(Section::Line(Some(Verdict::Violated), text));
    }
    for failing in hook.failing.iter().take(FAILING_SHOWN) {
        out.push(Section::Line(Some(failing.verdict), format!("{name}, seed {}: {}", failing.seed, failing.what)));
        out.push(Section::Command(sweep_repro_command(path, name, failing.seed, record.swarm)));
    }
    let more = (hook.seeds.violated + hook.seeds.inconclusive).saturating_sub(FAILING_SHOWN as u64);
    if more > 0 {
        let verdict = if hook.seeds.violated > 0 { Verdict::Violated } else { Verdict::Inconclusive };
        out.push(Section::Line(Some(verdict), format!("{name}: {} did not pass", counted(more, "more seed"))));
    }
}

fn of(part: u64, seeds: u64) -> String {
    format!("{} of {}", grouped(part), counted(seeds, "seed"))
}

/// What it says of other seeds that none of so many is violated; they are at least one.
pub(crate) fn none_violated(judged: u64) -> String {
    let bound = upper_bound_95(0, judged).map_or_else(String::new, percent);
    format!(
        "no violation in {}; with 95 % confidence fewer than {bound} of such seeds have one (3/N, per seed drawn as \
         these were)",
        counted(judged, "seed")
    )
}

/// What the counts say about seeds that did not run.
fn statement(hook: &HookSweep) -> Section {
    let name = &hook.hook;
    let Verdicts { violated, inconclusive, .. } = hook.seeds;
    let judged = counted(hook.seeds.judged(), "seed");
    let bound = hook.seeds.bound_95().and_then(Number::value).map(percent);
    let text = match (bound, violated) {
        (None, _) => format!("{name}: no seed was judged"),
        (Some(_), 0) => format!("{name}: {}", none_violated(hook.seeds.judged())),
        (Some(bound), some) => {
            format!(
                "{name}: {} of {judged} violated; with 95 % confidence at most {bound} of such seeds",
                grouped(some)
            )
        }
    };
    let rest = if inconclusive == 0 {
        String::new()
    } else {
        format!(". {} not judged and not counted", counted(inconclusive, "seed"))
    };
    Section::Line(None, text + &rest)
}

/// What a hook's verdict rests on: checks, what was reached, faults.
fn account(out: &mut Vec<Section>, hook: &HookSweep) {
    let checked: u64 = hook.invariants.values().fold(0, |sum, tally| sum.saturating_add(tally.checked));
    let never: Vec<&str> =
        hook.invariants.iter().filter(|(_, tally)| tally.seeds_checked == 0).map(|(id, _)| id.as_str()).collect();
    let never = if never.is_empty() { String::new() } else { format!("; never checked: {}", never.join(", ")) };
    out.push(Section::Line(None, format!("{}: invariants checked {}{never}", hook.hook, counted(checked, "time"))));
    let spoken = |name: &str| name.replace(['-', '_'], " ");
    let seeds = hook.seeds.seeds();
    let met = hook.reached.iter().filter(|(_, reached)| reached.seeds > 0);
    let met: Vec<String> = met
        .map(|(name, Reached { seeds: in_seeds, .. })| format!("{} {}", spoken(name), share(*in_seeds, seeds)))
        .collect();
    let missed: Vec<String> =
        hook.reached.iter().filter(|(_, reached)| reached.seeds == 0).map(|(name, _)| spoken(name)).collect();
    if !met.is_empty() {
        out.push(Section::Line(None, format!("{}: reached in this share of the seeds: {}", hook.hook, met.join(", "))));
    }
    if !missed.is_empty() {
        out.push(Section::Line(None, format!("{}: reached in no seed: {}", hook.hook, missed.join(", "))));
    }
    faults(out, hook);
}

fn faults(out: &mut Vec<Section>, hook: &HookSweep) {
    if hook.faults.is_empty() {
        return;
    }
    let seeds = hook.seeds.seeds();
    let drawn = hook.faults.iter().filter(|(_, tally)| tally.seeds_drawn > 0);
    let rows: Vec<Row> = drawn
        .map(|(kind, tally)| {
            let shares = [tally.seeds_drawn, tally.seeds_with_opportunity, tally.seeds_with_effect];
            let shares = shares.map(|part| share(part, seeds));
            let cells = std::iter::once(kind.clone()).chain(shares).chain([grouped(tally.effects)]).collect();
            Row { verdict: None, cells }
        })
        .collect();
    if !rows.is_empty() {
        let head = [format!("{}: fault, share of seeds", hook.hook)];
        let others = ["present", "opportunity", "effect", "effects"].map(str::to_owned);
        out.push(Section::Table(Table { head: head.into_iter().chain(others).collect(), rows }));
    }
    let known = hook.faults.len();
    let seen = hook.faults.values().filter(|tally| is_frequent(tally.seeds_with_effect, seeds)).count();
    let text = format!("{}: {seen} of {known} kinds of fault had an effect in at least 1% of the seeds", hook.hook);
    out.push(Section::Line(None, text));
    let names = |chosen: fn(&super::record::FaultTally) -> bool| -> Vec<&str> {
        hook.faults.iter().filter(|(_, tally)| chosen(tally)).map(|(kind, _)| kind.as_str()).collect()
    };
    let lines = [
        ("drawn in no seed", names(|tally| tally.seeds_drawn == 0)),
        ("without effect in every seed", names(|tally| tally.seeds_drawn > 0 && tally.seeds_with_effect == 0)),
    ];
    for (what, kinds) in lines.iter().filter(|(_, kinds)| !kinds.is_empty()) {
        out.push(Section::Line(None, format!("{}: {what}: {}", hook.hook, kinds.join(", "))));
    }
}

/// The metrics that vary in a table, the constant ones in a line.
fn distributions(out: &mut Vec<Section>, hook: &HookSweep) {
    let mut rows = Vec::new();
    let mut constant = Vec::new();
    for (metric, all) in &hook.metrics {
        let some = if all.absent() == 0 { String::new() } else { format!(" (in {})", grouped(all.present())) };
        if let Some(value) = all.constant() {
            constant.push(format!("{metric} {}{some}", shown(value)));
            continue;
        }
        let values = [all.min(), all.quantile(MEDIAN), all.quantile(P99), all.max()];
        if values[0].is_none() {
            continue;
        }
        let cells = values.map(|value| value.map_or_else(|| "-".to_owned(), shown));
        rows.push(Row { verdict: None, cells: std::iter::once(format!("{metric}{some}")).chain(cells).collect() });
    }
    if !rows.is_empty() {
        let head = [format!("{}: over the seeds", hook.hook)];
        let head = head.into_iter().chain(["min", "median", "p99", "max"].map(str::to_owned)).collect();
        out.push(Section::Table(Table { head, rows }));
    }
    if !constant.is_empty() {
        out.push(Section::Line(None, format!("{}: the same in every seed: {}", hook.hook, constant.join(", "))));
    }
}

/// Two hooks seed by seed: the metrics in which they differ in a table, the others in a line.
fn paired(out: &mut Vec<Section>, pair: &Pair, form: Form) {
    let differ = |metric: &PairedMetric| metric.lower + metric.higher > 0;
    let quantiles: &[(&str, u64)] = match form {
        Form::Terminal => &[("median", MEDIAN)],
        Form::Page => &[("p10", P10), ("median", MEDIAN), ("p90", P90)],
    };
    let row = |(name, metric): (&String, &PairedMetric)| {
        let counts = [metric.lower, metric.equal, metric.higher].map(grouped);
        let differences = quantiles.iter().map(|(_, ppm)| metric.differences.quantile(*ppm));
        let differences = differences.map(|value| value.map_or_else(|| "-".to_owned(), shown));
        Row { verdict: None, cells: std::iter::once(name.clone()).chain(counts).chain(differences).collect() }
    };
    let rows: Vec<Row> = pair.metrics.iter().filter(|(_, metric)| differ(metric)).map(row).collect();
    if !rows.is_empty() {
        let head = [format!("{} - {}, by seed", pair.hook, pair.against)];
        let names = ["lower", "equal", "higher"].into_iter().chain(quantiles.iter().map(|(name, _)| *name));
        out.push(Section::Table(Table { head: head.into_iter().chain(names.map(str::to_owned)).collect(), rows }));
    }
    let equal: Vec<&str> =
        pair.metrics.iter().filter(|(_, metric)| !differ(metric)).map(|(name, _)| name.as_str()).collect();
    if !equal.is_empty() {
        let text = format!("{} - {}: equal in every seed: {}", pair.hook, pair.against, equal.join(", "));
        out.push(Section::Line(None, text));
    }
}

fn summary(record: &SweepRecord) -> String {
    let hooks = || record.scenarios.iter().flat_map(|scenario| &scenario.hooks);
    let sum = |count: fn(Verdicts) -> u64| hooks().fold(0_u64, |sum, hook| sum.saturating_add(count(hook.seeds)));
    let parts = [
        (sum(|seeds| seeds.violated), "violated"),
        (sum(|seeds| seeds.inconclusive), "inconclusive"),
        (sum(|seeds| seeds.pass), "as expected"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{} {words}", grouped(*count)))
        .collect();
    let reference = if hooks().any(|hook| hook.role == Role::Reference) {
        "; *: a reference, only expectations about it count"
    } else {
        ""
    };
    let part =
        record.shard.map_or_else(String::new, |shard| format!("; this is shard {shard}, merge it with the others"));
    format!("{}: {}{reference}{part}", counted(sum(Verdicts::seeds), "run"), parts.join(", "))
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::AtMost(most) => format!("at most {most}"),
        Limit::AtLeast(least) => format!("at least {least}"),
        Limit::Equals(exactly) => format!("{exactly}"),
        Limit::Between(least, most) => format!("{least} to {most}"),
    }
}

/// At least one in a hundred.
fn is_frequent(part: u64, seeds: u64) -> bool {
    seeds > 0 && u128::from(part) * 100 >= u128::from(seeds)
}

/// A share of the seeds in per cent, above zero if it is.
fn share(part: u64, seeds: u64) -> String {
    let per_cent = part as f64 / seeds.max(1) as f64 * 100.0;
    if part == 0 || part == seeds {
        format!("{per_cent:.0}%")
    } else if per_cent < 0.05 {
        "<0.1%".to_owned()
    } else {
        format!("{:.1}%", per_cent.min(99.9))
    }
}

/// A bound in per cent, with three significant digits.
fn percent(share: f64) -> String {
    let text = format!("{:.2e}", share * 100.0);
    let value: f64 = text.parse().unwrap_or(share * 100.0);
    format!("{value}%")
}

/// A value in at most ten columns: whole numbers up to eight digits as they are, others in four digits.
fn shown(number: Number) -> String {
    let Some(value) = number.value() else { return number.to_string() };
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e8 {
        return shown_whole(value);
    }
    let text = format!("{value:.3e}");
    let short: f64 = text.parse().unwrap_or(value);
    if (1e-4..1e8).contains(&size) {
        if short.fract() == 0.0 { shown_whole(short) } else { short.to_string() }
    } else {
        format!("{short:e}")
    }
}

fn shown_whole(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", grouped(whole(value.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_shares_do_not_hide_what_is_above_zero() {
        let cases = [
            (0.0, "0"),
            (12_345.0, "12,345"),
            (-2.0, "-2"),
            (1.234_567, "1.235"),
            (-0.000_123_46, "-0.0001235"),
            (12_345.678, "12,350"),
            (12_345_678.0, "12,345,678"),
            (1.5e9, "1.5e9"),
            (3e-7, "3e-7"),
        ];
        for (value, text) in cases {
            assert_eq!(shown(Number::finite(value).unwrap()), text);
        }
        assert_eq!(shown(Number::NEVER), "never");
        for (part, seeds, text) in [(0, 9, "0%"), (9, 9, "100%"), (1, 100_000, "<0.1%"), (99_999, 100_000, "99.9%")] {
            assert_eq!(share(part, seeds), text);
        }
        for (bound, text) in [(3e-5, "0.003%"), (0.0169, "1.69%"), (1.0, "100%")] {
            assert_eq!(percent(bound), text);
        }
    }
}
