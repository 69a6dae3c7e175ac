//! Goal: a comparison says what got worse and nothing else is a regression. Method: a record written by hand against
//! changed copies of itself.

use hookproof_reports::{
    Change, ClockKind, Finding, Number, Palette, RunRecord, Tolerances, Verdict, WIDTH, compare, parse,
    render_comparison, render_comparison_json, render_comparison_markdown,
};

fn mixed() -> RunRecord {
    parse(include_str!("../data/mixed.json")).expect("the stored record is readable")
}

fn number(value: f64) -> Number {
    Number::finite(value).expect("tests write finite numbers")
}

/// The judged hook of `over-allocation`, changed.
fn changed(change: impl Fn(&mut hookproof_reports::Run)) -> RunRecord {
    let mut record = mixed();
    let run = record
        .runs
        .iter_mut()
        .find(|run| run.hook == "hardened" && run.scenario.name == "over-allocation")
        .expect("it is there");
    change(run);
    record
}

fn finding(before: &RunRecord, after: &RunRecord) -> Finding {
    compare(before, after, &Tolerances::new()).finding
}

/// Something of everything that a comparison tells.
fn much_changed() -> RunRecord {
    let mut after = changed(|run| {
        run.digest = "f".repeat(32);
        run.metrics.insert("upstream.amplification".to_owned(), number(1.35));
        run.metrics.insert("over-allocation.users".to_owned(), number(7_800.0));
        run.metrics.insert("over-allocation.worst-ratio".to_owned(), number(3.040_000_1));
        run.metrics.insert("exposure.logged".to_owned(), number(12.0));
        run.metrics.insert("upstream.recovery-seconds".to_owned(), number(31.0));
        run.invariants[1].violations += 1;
        run.expectations[1].verdict = Verdict::Pass;
    });
    after.runs[0].scenario.digest = "e".repeat(64);
    after.runs[1].seed = 8;
    after.runs[2].digest = "d".repeat(32);
    after
}

#[test]
fn the_worst_comes_first_on_a_terminal() {
    let tolerances: Tolerances = [("over-allocation.worst-ratio".to_owned(), number(1.0))].into();
    let comparison = compare(&mixed(), &much_changed(), &tolerances);
    let text = render_comparison(&comparison, &Palette::plain());
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_comparison_in_markdown() {
    insta::assert_snapshot!(render_comparison_markdown(&compare(&mixed(), &much_changed(), &Tolerances::new())));
}

#[test]
fn a_record_has_no_regression_against_itself() {
    let comparison = compare(&mixed(), &mixed(), &Tolerances::new());
    assert_eq!(comparison.finding, Finding::NoRegression);
    assert_eq!(comparison.pairs.len(), mixed().runs.len());
    assert!(comparison.pairs.iter().all(|pair| pair.regressions == 0 && !pair.digest_changed));
    assert_eq!(
        render_comparison(&comparison, &Palette::plain()),
        "  PASS no regression in 5 pairs, of which 0 ran differently\n"
    );
}

#[test]
fn each_thing_that_gets_worse_is_a_regression_by_itself() {
    let worse: [(&str, RunRecord); 4] = [
        ("metric", changed(|run| _ = run.metrics.insert("hook.errors".to_owned(), number(1.0)))),
        ("expectation", changed(|run| run.expectations[1].verdict = Verdict::Violated)),
        ("invariant", changed(|run| run.invariants[0].violations = 1)),
        ("verdict", {
            let mut record = mixed();
            record.runs[0].verdict = Verdict::Inconclusive;
            record
        }),
    ];
    let before = changed(|run| _ = run.metrics.insert("hook.errors".to_owned(), number(0.0)));
    for (what, after) in worse {
        assert_eq!(finding(&before, &after), Finding::Regression, "{what}");
        assert_ne!(finding(&after, &before), Finding::Regression, "{what} got better");
    }
}

#[test]
fn what_a_reference_breaks_is_no_regression() {
    let mut after = mixed();
    let reference = after.runs.iter_mut().find(|run| run.hook == "original").unwrap();
    reference.invariants[1].violations += 100;
    let comparison = compare(&mixed(), &after, &Tolerances::new());
    assert_eq!(comparison.finding, Finding::NoRegression);
    let changes: Vec<Change> = comparison.pairs[2].invariants.values().map(|invariant| invariant.change).collect();
    assert!(changes.contains(&Change::Other));
}

#[test]
fn metrics_of_real_time_are_never_compared() {
    let worse = changed(|run| _ = run.metrics.insert("upstream.amplification".to_owned(), number(99.0)));
    assert_eq!(finding(&mixed(), &worse), Finding::Regression);
    for real in [(true, false), (false, true), (true, true)] {
        let clock = |real| if real { ClockKind::Real } else { ClockKind::Virtual };
        let before = RunRecord { clock: clock(real.0), ..mixed() };
        let after = RunRecord { clock: clock(real.1), ..worse.clone() };
        let comparison = compare(&before, &after, &Tolerances::new());
        assert_eq!(comparison.finding, Finding::NoRegression);
        assert!(comparison.pairs.iter().all(|pair| pair.metrics.is_empty()));
        let text = render_comparison(&comparison, &Palette::plain());
        assert!(text.starts_with("  Only verdicts and invariants were compared"), "{text}");
    }
}

#[test]
fn runs_are_paired_by_scenario_hook_and_seed_wherever_they_stand() {
    let mut reversed = mixed();
    reversed.runs.reverse();
    assert_eq!(finding(&mixed(), &reversed), Finding::NoRegression);
    let mut other = mixed();
    other.runs.iter_mut().for_each(|run| run.seed += 1);
    let comparison = compare(&mixed(), &other, &Tolerances::new());
    assert_eq!(comparison.finding, Finding::NothingPaired);
    assert_eq!((comparison.only_before.len(), comparison.only_after.len()), (5, 5));
    let mut twice = mixed();
    twice.runs.push(twice.runs[0].clone());
    let comparison = compare(&twice, &mixed(), &Tolerances::new());
    assert_eq!((comparison.pairs.len(), comparison.only_before.len()), (5, 1));
}

#[test]
fn a_comparison_as_json_is_laid_out_like_a_record() {
    let json = render_comparison_json(&compare(&mixed(), &much_changed(), &Tolerances::new()));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["schema"], &value["finding"]), (&"hookproof.compare/1".into(), &"regression".into()));
    let metric = &value["pairs"][3]["metrics"]["upstream.amplification"];
    assert_eq!((&metric["before"], &metric["after"], &metric["change"]), (&1.31.into(), &1.35.into(), &"worse".into()));
    assert!(json.ends_with("}\n"));
}

#[test]
fn hostile_names_stay_text() {
    let mut record = mixed();
    for run in &mut record.runs {
        "<b>|\n::error::\u{1b}[31m@x".clone_into(&mut run.scenario.name);
    }
    let mut after = record.clone();
    after.runs[0].digest = "1".repeat(32);
    let comparison = compare(&record, &after, &Tolerances::new());
    let page = render_comparison_markdown(&comparison);
    assert!(page.starts_with("## \\<b\\>\\| ::<!-- -->error:: \\[31m@<!-- -->x"), "{page}");
    assert!(!render_comparison(&comparison, &Palette::plain()).contains('\u{1b}'));
}
