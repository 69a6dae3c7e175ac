//! Goal: a matrix says which protection prevents which harm, and claims no more than its runs show. Method: runs written by
//! hand, against stored snapshots; then the properties that no snapshot shows.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_reports::{
    Ablation, ClockKind, Expectation, Invariant, Latency, Length, Limit, Number, Palette, Phases, Removed, Role, Run,
    RunRecord, SCHEMA, ScenarioId, Series, Tool, UserIds, Verdict, Violation, WIDTH, parse, render_ablation,
    render_ablation_markdown, render_json,
};

fn number(value: f64) -> Number {
    Number::finite(value).unwrap_or(Number::NEVER)
}

/// A run of the complete hook: nothing is wrong.
fn run(seed: u64) -> Run {
    let metrics = [
        ("over-allocation.users", 0.0),
        ("group-switching.users", 0.0),
        ("undelivered.users", 0.0),
        ("grant.parked", 20.0),
        ("upstream.amplification", 1.0),
        ("upstream.peak-rps", 30.0),
        ("upstream.recovery-seconds", 10.0),
    ];
    Run {
        scenario: ScenarioId {
            name: "storm".to_owned(),
            title: "A storm | of *every* kind \u{1b}[31m".to_owned(),
            digest: "5f".repeat(32),
        },
        hook: "hardened".to_owned(),
        role: Role::Judged,
        seed,
        digest: "0".repeat(32),
        verdict: Verdict::Pass,
        note: String::new(),
        metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), number(value))).collect(),
        unsupported: Vec::new(),
        expectations: vec![Expectation {
            metric: "upstream.peak-rps".to_owned(),
            hook: "hardened".to_owned(),
            during: "later".to_owned(),
            limit: Limit::AtMost(number(20.0)),
            value: Some(number(9.0)),
            verdict: Verdict::Pass,
            line: 54,
            note: String::new(),
        }],
        invariants: vec![Invariant {
            id: "GRANT-1".to_owned(),
            says: "at most one effect per user".to_owned(),
            checked: 700,
            violations: 0,
            inconclusive: 0,
            first: None,
        }],
        faults: Vec::new(),
        reached: BTreeMap::new(),
        phases: Phases::default(),
        lanes: Vec::new(),
        series: Series::default(),
        capacity_per_second: Some(number(25.0)),
        restarts: Vec::new(),
        grants_per_user: Vec::new(),
        latency: Latency::default(),
        worst_users: Vec::new(),
        parked: Vec::new(),
        experiment: None,
        stories: Vec::new(),
        repro: String::new(),
    }
}

fn with(mut run: Run, metric: &str, value: f64) -> Run {
    run.metrics.insert(metric.to_owned(), number(value));
    run
}

fn doubled(run: Run, users: u32) -> Run {
    let mut run = with(run, "over-allocation.users", users.into());
    run.verdict = Verdict::Violated;
    run.invariants[0].violations = users.into();
    run.invariants[0].first = Some(Violation {
        at: Length(Duration::from_secs(100)),
        user: Some("user-12".to_owned()),
        evidence: "effect number 2 for one user".to_owned(),
    });
    run
}

fn crowded(mut run: Run) -> Run {
    run.expectations[0].value = Some(number(37.0));
    run.expectations[0].verdict = Verdict::Violated;
    run
}

fn without(name: &str, means: &str, runs: Vec<Run>) -> Removed {
    Removed { name: name.to_owned(), means: means.to_owned(), runs }
}

/// One seed.
fn single() -> Ablation {
    let removed = [
        without("stable-key", "every attempt has a key of its own", vec![doubled(run(1), 87)]),
        without("jitter", "backoff is its bound", vec![crowded(run(1))]),
        without("breaker", "sending goes on", vec![with(run(1), "upstream.recovery-seconds", f64::INFINITY)]),
    ];
    Ablation::of(&[run(1)], &removed).expect("there is a run")
}

/// Four seeds, and two of them are worse.
fn several() -> Ablation {
    let complete: Vec<Run> = (1..5).map(run).collect();
    let runs = vec![run(1), doubled(run(2), 3), run(3), doubled(run(4), 41)];
    Ablation::of(&complete, &[without("stable-key", "keys differ", runs)]).expect("there is a run")
}

#[test]
fn the_matrix_marks_what_is_worse_and_says_what_breaks() {
    insta::assert_snapshot!(render_ablation(&single(), &Palette::plain()));
}

#[test]
fn over_several_seeds_a_cell_is_the_worst_and_what_breaks_is_counted() {
    insta::assert_snapshot!(render_ablation(&several(), &Palette::plain()));
}

#[test]
fn the_matrix_in_markdown() {
    insta::assert_snapshot!(render_ablation_markdown(&single()));
}

#[test]
fn only_what_breaks_says_that_a_protection_matters() {
    let ablation = single();
    let matter: Vec<&str> = ablation.matter().map(|row| row.without.as_str()).collect();
    assert_eq!(matter, ["stable-key", "jitter"]);
    let idle: Vec<&str> = ablation.idle().map(|row| row.without.as_str()).collect();
    assert_eq!(idle, ["breaker"], "it is worse without it, but all that held holds");
    assert_eq!(ablation.removed[2].cells[6].worse, 1);
}

#[test]
fn what_does_not_hold_with_every_protection_is_none_of_the_missing_ones_doing() {
    let complete = [doubled(run(1), 5), run(2)];
    let removed = [without("stable-key", "", vec![doubled(run(1), 9), doubled(run(2), 9)])];
    let ablation = Ablation::of(&complete, &removed).expect("there is a run");
    let counted = |row: &hookproof_reports::AblationRow| (row.breaks[0].seeds, row.breaks[0].first_seed);
    assert_eq!(counted(&ablation.complete), (1, 1));
    assert_eq!(counted(&ablation.removed[0]), (1, 2));
    assert_eq!(ablation.verdict, Verdict::Violated);
    let text = render_ablation(&ablation, &Palette::plain());
    assert!(text.contains("FAIL hardened: with every protection does not hold: GRANT-1"), "{text}");
}

#[test]
fn a_harm_is_worse_beyond_a_tenth_and_above_zero_where_there_was_none() {
    let worse = |metric: &str, value: f64| {
        let removed = [without("x", "", vec![with(run(1), metric, value)])];
        let ablation = Ablation::of(&[run(1)], &removed).expect("there is a run");
        ablation.removed[0].cells.iter().map(|cell| cell.worse).sum::<u64>()
    };
    assert_eq!(worse("grant.parked", 22.0), 0);
    assert_eq!(worse("grant.parked", 23.0), 1);
    assert_eq!(worse("grant.parked", 0.0), 0);
    assert_eq!(worse("over-allocation.users", 1.0), 1);
    assert_eq!(worse("upstream.peak-rps", 34.0), 1);
    assert_eq!(worse("upstream.recovery-seconds", f64::INFINITY), 1);
    assert_eq!(worse("store.writes-per-grant", 9.0), 0, "there is nothing to hold it against");
}

#[test]
fn no_line_is_wider_than_a_terminal_and_none_steers_it() {
    let huge = with(with(doubled(run(1), 12_345), "upstream.peak-rps", 123_456.0), "grant.parked", 98_765.0);
    let ablation = Ablation::of(&[run(1)], &[without("version-agreement", "", vec![huge])]).expect("there is a run");
    for ablation in [ablation, single(), several()] {
        let text = render_ablation(&ablation, &Palette::plain());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}') && !render_ablation_markdown(&ablation).contains('\u{1b}'));
    }
    assert!(render_ablation_markdown(&single()).contains("A storm \\| of \\*every\\* kind"));
}

#[test]
fn a_record_keeps_its_matrices_and_one_without_them_does_not_name_them() {
    let tool = Tool { name: "hookproof".to_owned(), version: "0.1.0".to_owned() };
    let schema = SCHEMA.to_owned();
    let record = RunRecord {
        schema,
        tool,
        clock: ClockKind::Virtual,
        user_ids: UserIds::Shown,
        runs: vec![run(1)],
        ablations: vec![single()],
    };
    let text = render_json(&record);
    assert_eq!(parse(&text).expect("it was just written"), record);
    let plain = RunRecord { ablations: Vec::new(), ..record };
    assert!(!render_json(&plain).contains("ablations"));
    assert_eq!(parse(&render_json(&plain)).expect("it was just written"), plain);
}

#[test]
fn without_runs_there_is_no_matrix() {
    assert_eq!(Ablation::of(&[], &[]), None);
}
