//! Goal: a record's bytes and its table are what readers and scripts rely on. Method: a record written by hand, with
//! every key in use, against stored snapshots; then the properties that no snapshot shows.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_reports::{
    ClockKind, Expectation, Fault, GrantsPerUser, Invariant, LaneOfRun, Latency, Length, Level, Limit, Number, Palette,
    ParkedGrant, Phases, Quantile, Restart, Role, Run, RunRecord, SCHEMA, ScenarioId, Series, Step, Story, Style,
    TableOptions, Tool, UserIds, Verdict, Violation, WIDTH, Why, WorstUser, parse, render_json, render_table,
    repro_command,
};

fn number(value: f64) -> Number {
    Number::finite(value).expect("tests write finite numbers")
}

fn metrics(values: &[(&str, f64)]) -> BTreeMap<String, Number> {
    values.iter().map(|(name, value)| ((*name).to_owned(), number(*value))).collect()
}

fn expectation(metric: &str, hook: &str, limit: Limit, value: f64, verdict: Verdict) -> Expectation {
    Expectation {
        metric: metric.to_owned(),
        hook: hook.to_owned(),
        during: "run".to_owned(),
        limit,
        value: Some(number(value)),
        verdict,
        line: 88,
        note: String::new(),
    }
}

fn invariant(id: &str, says: &str, checked: u64, violations: u64) -> Invariant {
    let first = (violations > 0).then(|| Violation {
        at: Length(Duration::new(1_476_003, 250_000_000)),
        user: Some("user-12".to_owned()),
        evidence: "effects 1 and 2 carry keys 8d473c49 and 4db090b5".to_owned(),
    });
    Invariant { id: id.to_owned(), says: says.to_owned(), checked, violations, inconclusive: 0, first }
}

fn story() -> Story {
    let step = Step {
        at: Length(Duration::from_secs(7_201)),
        place: "app-2".to_owned(),
        shown: Some("2026-03-01T02:00:01Z".to_owned()),
        kind: "attempt".to_owned(),
        text: "sends request 1 under key 8d473c49".to_owned(),
        correlation: Some("user-12/1".to_owned()),
        violates: Vec::new(),
    };
    let steps = vec![step.clone(), Step { violates: vec!["GRANT-1".to_owned()], ..step }];
    Story { user: "user-12".to_owned(), why: Why::Asked, effects: 1, held: 125, intended: 125, steps, left_out: 0 }
}

/// A run in which nothing is wrong.
fn run(scenario: &str, hook: &str, seed: u64) -> Run {
    Run {
        scenario: ScenarioId {
            name: scenario.to_owned(),
            title: "A permanent quota, given again after every restart of the fleet".to_owned(),
            digest: "5f".repeat(32),
        },
        hook: hook.to_owned(),
        role: if hook == "hardened" { Role::Judged } else { Role::Reference },
        seed,
        digest: "0123456789abcdef0123456789abcdef".to_owned(),
        verdict: Verdict::Pass,
        note: String::new(),
        metrics: metrics(&[
            ("over-allocation.worst-cap-ratio", 1.0),
            ("over-allocation.worst-ratio", 1.0),
            ("over-allocation.users", 0.0),
            ("over-allocation.monthly-cost-usd", 0.0),
            ("group-switching.users", 0.0),
            ("group-switching.restart-rate", 0.0),
            ("upstream.amplification", 1.013),
            ("hook.latency-p99-us", 12_340.0),
        ]),
        unsupported: vec!["experiment.srm-p".to_owned(), "upstream.goodput-ratio".to_owned()],
        expectations: vec![expectation(
            "over-allocation.worst-ratio",
            hook,
            Limit::AtMost(number(1.0)),
            1.0,
            Verdict::Pass,
        )],
        invariants: vec![
            invariant("ASSIGN-1", "an exposed user never changes variant", 52_377, 0),
            invariant("GRANT-1", "at most one applied effect per grant", 10_020, 0),
        ],
        faults: vec![Fault {
            name: "late-answers".to_owned(),
            kind: "quota.lost-reply".to_owned(),
            at: Length(Duration::from_secs(17 * 86_400)),
            length: Length(Duration::from_secs(90)),
            opportunities: 412,
            effects: 247,
            supported: true,
        }],
        reached: [("crashes", 12), ("doubts", 412), ("duplicate-sends", 37)].map(|(k, v)| (k.to_owned(), v)).into(),
        series: Series {
            bin: Length(Duration::from_secs(7_200)),
            counts: [("calls", vec![0, 12, 7]), ("goodput", vec![0, 11, 7])].map(|(k, v)| (k.to_owned(), v)).into(),
            levels: [(
                "backlog".to_owned(),
                Level { least: vec![Some(0), Some(0), None], greatest: vec![Some(0), Some(9), None] },
            )]
            .into(),
        },
        phases: Phases { storm: Length(Duration::from_secs(14_400)), calm: Length(Duration::from_secs(7_200)) },
        lanes: vec![LaneOfRun {
            name: "late-answers".to_owned(),
            kind: "quota.lost-reply".to_owned(),
            stretches: vec![(Length(Duration::from_secs(7_200)), Length(Duration::from_secs(7_290)))],
        }],
        capacity_per_second: Some(number(25.0)),
        restarts: vec![Restart { at: Length(Duration::from_secs(7_200)), users: 100, returning: 40, switched: 3 }],
        grants_per_user: vec![GrantsPerUser { effects: 1, users: 19 }],
        latency: Latency { quantiles: vec![Quantile { quantile_ppm: 990_000, latency_us: 12_340 }] },
        worst_users: Vec::new(),
        parked: Vec::new(),
        experiment: None,
        stories: vec![story()],
        repro: repro_command(&format!("{scenario}.toml"), hook, seed),
    }
}

/// The same for a hook that doubles grants, as its file expects.
fn harmful(scenario: &str, hook: &str, seed: u64) -> Run {
    let mut run = run(scenario, hook, seed);
    run.metrics = metrics(&[
        ("over-allocation.worst-cap-ratio", 2.4),
        ("over-allocation.worst-ratio", 3.04),
        ("over-allocation.users", 7_812.0),
        ("over-allocation.monthly-cost-usd", 14_012.4),
        ("group-switching.restart-rate", 0.1206),
        ("upstream.amplification", 1.31),
        ("upstream.goodput-ratio", 0.98),
    ]);
    run.metrics.insert("upstream.recovery-seconds".to_owned(), Number::NEVER);
    run.unsupported.clear();
    run.invariants[1] = invariant("GRANT-1", "at most one applied effect per grant", 17_000, 7_812);
    run.parked = vec![ParkedGrant {
        user: "user-4".to_owned(),
        grant: "7f3c1a52-0e4b-8c1d-9a53-0d6e2b4f8a11".to_owned(),
        reason: "window-closed".to_owned(),
        look_up: "the service's ledger".to_owned(),
        attempts: 3,
        answer: Some("timeout".to_owned()),
        first_sent_at: Some("2026-03-01T00:00:10Z".to_owned()),
        sent_until: "2026-03-01T00:05:11Z".to_owned(),
        parked_at: "2026-03-01T00:05:12Z".to_owned(),
    }];
    run.worst_users = vec![WorstUser { user: "user-12".to_owned(), effects: 7, held: 300, intended: 125 }];
    run
}

fn failing(seed: u64) -> Run {
    let mut run = harmful("over-allocation", "hardened", seed);
    run.verdict = Verdict::Violated;
    let ratio = Limit::AtMost(number(1.0));
    run.expectations =
        vec![expectation("over-allocation.worst-ratio", "hardened", ratio, 1.000_000_1, Verdict::Violated), {
            let limit = Limit::Between(number(0.95), number(1.05));
            let mut late = expectation("upstream.goodput-ratio", "hardened", limit, 0.0, Verdict::Inconclusive);
            "late".clone_into(&mut late.during);
            late.value = None;
            late.line = 93;
            "fault late-answers had no opportunity".clone_into(&mut late.note);
            late
        }];
    run.reached.insert("pauses".to_owned(), 0);
    run
}

fn record(runs: Vec<Run>) -> RunRecord {
    let tool = Tool { name: "hookproof".to_owned(), version: "0.1.0".to_owned() };
    RunRecord {
        schema: SCHEMA.to_owned(),
        tool,
        clock: ClockKind::Virtual,
        user_ids: UserIds::Shown,
        runs,
        ablations: Vec::new(),
    }
}

fn mixed() -> RunRecord {
    let mut inconclusive = run("retry-storm", "hardened", 7);
    inconclusive.verdict = Verdict::Inconclusive;
    inconclusive.faults[0].opportunities = 0;
    inconclusive.invariants[1].inconclusive = 3;
    record(vec![
        run("clock-step", "hardened", 7),
        inconclusive,
        harmful("over-allocation", "original", 7),
        harmful("over-allocation", "published", 7),
        failing(7),
    ])
}

#[test]
fn the_record_is_written_as_stored() {
    insta::assert_snapshot!(render_json(&record(vec![run("over-allocation", "hardened", 7), failing(8)])));
}

#[test]
fn a_record_reads_back_equal_and_writes_the_same_bytes() {
    let record = mixed();
    let json = render_json(&record);
    let again = parse(&json).unwrap();
    assert_eq!(again, record);
    assert_eq!(render_json(&again), json);
}

#[test]
fn additions_of_a_later_version_are_passed_over() {
    let record = record(vec![run("over-allocation", "hardened", 7)]);
    let added = render_json(&record).replacen('{', "{ \"host\": {\"cpu\": 8},", 1);
    assert_eq!(parse(&added).unwrap(), record);
}

#[test]
fn the_worst_stands_first_with_its_repro() {
    let paths = [("5f".repeat(32), "scenarios/incidents/over-allocation.toml".to_owned())].into();
    insta::assert_snapshot!(render_table(&mixed(), &TableOptions { palette: Palette::plain(), paths }));
}

#[test]
fn several_seeds_of_a_hook_are_one_row_with_its_range() {
    let mut runs: Vec<Run> = (0..20).map(failing).collect();
    runs.extend((0..20).map(|seed| harmful("over-allocation", "original", seed)));
    runs[3] = run("over-allocation", "hardened", 3);
    runs[3].expectations = runs[2].expectations.clone();
    runs[3].expectations[0].verdict = Verdict::Pass;
    runs[25].metrics.insert("over-allocation.users".to_owned(), number(7_701.0));
    insta::assert_snapshot!(render_table(&record(runs), &TableOptions::default()));
}

#[test]
fn no_line_is_wider_than_the_terminal_but_the_repro() {
    let mut record = mixed();
    for run in &mut record.runs {
        run.scenario.title = "日本語のとても長い題名 ".repeat(9);
        run.hook = format!("{}-without-the-key-window-guard", run.hook);
        for value in run.metrics.values_mut() {
            *value = number(123_456_789.123);
        }
        run.metrics.insert("upstream.goodput-ratio".to_owned(), Number::NEVER);
    }
    let table = render_table(&record, &TableOptions::default());
    for line in table.lines().filter(|line| !line.trim_start().starts_with("hookproof run")) {
        let wide = line.chars().filter(|c| ('\u{3000}'..='\u{9fff}').contains(c)).count();
        assert!(line.chars().count() + wide <= WIDTH, "{line}");
    }
    assert_eq!(table.lines().filter(|line| line.trim_start().starts_with("hookproof run")).count(), 1);
}

#[test]
fn colour_only_repeats_what_words_say() {
    let style = |code: &str| Style { start: format!("<{code}>"), end: "</>".to_owned() };
    let palette =
        Palette { good: style("g"), bad: style("b"), doubt: style("d"), title: style("t"), aside: style("a") };
    let coloured = render_table(&mixed(), &TableOptions { palette, paths: BTreeMap::new() });
    assert!(coloured.contains("<b>FAIL   ") && coloured.contains("  <b>FAIL</> hardened"));
    let mut plain = coloured;
    for code in ["<g>", "<b>", "<d>", "<t>", "<a>", "</>"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, render_table(&mixed(), &TableOptions::default()));
}

#[test]
fn an_empty_record_says_so() {
    assert_eq!(render_table(&record(Vec::new()), &TableOptions::default()), "nothing ran\n");
}
