//! Goal: a sweep's record is a function of its seeds alone, whoever counted which of them, and its summary says what was
//! found. Method: runs written by hand; every way of dealing them out is held against counting them at once.

use std::collections::BTreeMap;

use hookproof_reports::{
    Distribution, Expectation, FAILING_MAX, Fault, HookSweep, Invariant, Latency, Length, Limit, MergeError, NamedPart,
    Number, Phases, Role, Run, SWEEP_SCHEMA, ScenarioId, ScenarioSweep, Seeds, Series, Shard, SweepRecord,
    TableOptions, Tool, Verdict, WIDTH, merge_sweeps, parse_sweep, render_sweep, render_sweep_json,
    render_sweep_markdown,
};
use proptest::prelude::*;

const METRIC: &str = "over-allocation.users";

fn number(value: f64) -> Number {
    Number::finite(value).unwrap_or(Number::NEVER)
}

fn scenario() -> ScenarioId {
    ScenarioId { name: "storm".to_owned(), title: "A storm | of many seeds".to_owned(), digest: "5f".repeat(32) }
}

/// The run of a seed: violated if the seed is divisible by 40, inconclusive at 30 and 31.
fn run(hook: &str, seed: u64) -> Run {
    let is_judged = hook == "hardened";
    let verdict = match seed {
        30 | 31 => Verdict::Inconclusive,
        seed if seed.is_multiple_of(40) && is_judged => Verdict::Violated,
        _ => Verdict::Pass,
    };
    let violations = u64::from(verdict == Verdict::Violated);
    let bias = if is_judged { 0.0 } else { 2.5 };
    let small = u32::try_from(seed).map_or(0.0, f64::from);
    let mut metrics = BTreeMap::from([
        (METRIC.to_owned(), number(0.0)),
        ("upstream.amplification".to_owned(), number(1.0 + small / 1000.0 + bias)),
        ("upstream.calls".to_owned(), number(100.0 + small + bias)),
    ]);
    let recovery = if seed.is_multiple_of(7) { Number::NEVER } else { number(small) };
    if !seed.is_multiple_of(3) {
        metrics.insert("upstream.recovery-seconds".to_owned(), recovery);
    }
    let fault = |kind: &str, opportunities, effects| Fault {
        name: kind.to_owned(),
        kind: kind.to_owned(),
        at: Length::default(),
        length: Length::default(),
        opportunities,
        effects,
        supported: true,
    };
    Run {
        scenario: scenario(),
        hook: hook.to_owned(),
        role: if is_judged { Role::Judged } else { Role::Reference },
        seed,
        digest: "0".repeat(32),
        verdict,
        note: String::new(),
        metrics,
        unsupported: vec!["experiment.srm-p".to_owned()],
        expectations: vec![Expectation {
            metric: METRIC.to_owned(),
            hook: hook.to_owned(),
            during: "run".to_owned(),
            limit: Limit::Equals(number(0.0)),
            value: (verdict != Verdict::Inconclusive).then(|| number(0.0)),
            verdict: if verdict == Verdict::Inconclusive { verdict } else { Verdict::Pass },
            line: 61,
            note: String::new(),
        }],
        invariants: vec![Invariant {
            id: "GRANT-1".to_owned(),
            says: "at most one applied effect per grant".to_owned(),
            checked: 10,
            violations,
            inconclusive: 0,
            first: None,
        }],
        faults: vec![fault("quota.lost-reply", seed % 4, u64::from(seed % 4 > 1)), fault("store.error", 0, 0)],
        reached: [("crashes".to_owned(), seed % 2), ("parked".to_owned(), 0)].into(),
        phases: Phases::default(),
        lanes: Vec::new(),
        series: Series::default(),
        capacity_per_second: None,
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

fn both(seed: u64) -> Vec<Run> {
    ["hardened", "original"].map(|hook| run(hook, seed)).into()
}

fn record(seeds: Seeds, shard: Option<Shard>, counted: impl Iterator<Item = u64>) -> SweepRecord {
    let mut sweep = ScenarioSweep::new(scenario());
    counted.for_each(|seed| sweep.add(&both(seed), true));
    sweep.name_fault_kinds(&["clock.step", "store.error"]);
    SweepRecord {
        schema: SWEEP_SCHEMA.to_owned(),
        tool: Tool { name: "hookproof".to_owned(), version: "0.1.0".to_owned() },
        seeds,
        swarm: true,
        shard,
        digest: String::new(),
        scenarios: vec![sweep],
    }
}

fn whole(seeds: Seeds) -> SweepRecord {
    record(seeds, None, seeds.range())
}

/// The shards of a sweep, each as it is read back from its file.
fn parts(seeds: Seeds, count: u64) -> Vec<NamedPart> {
    let part = |index| {
        let shard = Shard::new(index, count).expect("an index counts up to the count");
        let range = seeds.range();
        let part = record(seeds, Some(shard), (0..shard.len(&range)).map(|n| shard.seed(&range, n)));
        NamedPart {
            name: format!("{index}.json"),
            record: parse_sweep(&render_sweep_json(&part)).expect("what was written can be read"),
        }
    };
    (1..=count).map(part).collect()
}

const SEEDS: Seeds = Seeds { from: 1, to: 401 };

#[test]
fn a_sweep_is_written_and_read_without_loss() {
    let json = render_sweep_json(&whole(SEEDS));
    assert_eq!(parse_sweep(&json).unwrap(), whole(SEEDS));
    assert!(json.contains("\"schema\": \"hookproof.sweep/1\""));
    assert!(parse_sweep(&json.replace("sweep/1", "sweep/2")).unwrap_err().to_string().contains("a later hookproof"));
    assert!(parse_sweep(&json.replace("sweep/1", "run/1")).is_err());
    assert!(parse_sweep(&json[..json.len() / 2]).is_err());
}

#[test]
fn the_counts_are_those_of_the_seeds() {
    let record = whole(SEEDS);
    let hook = &record.scenarios[0].hooks[0];
    assert_eq!((hook.seeds.pass, hook.seeds.violated, hook.seeds.inconclusive), (388, 10, 2));
    // The 0.95 quantile of Beta(11, 388) is 0.042246.
    assert_eq!(hook.seeds.bound_95().map(|bound| bound.to_string()).as_deref(), Some("0.0423"));
    assert_eq!(hook.failing.iter().map(|failing| failing.seed).collect::<Vec<_>>()[..3], [40, 80, 120]);
    assert_eq!(hook.failing.iter().map(|failing| failing.seed).collect::<Vec<_>>()[10..], [30, 31]);
    assert_eq!(hook.failing[0].repro, "hookproof sweep storm.toml --swarm --hook hardened --seeds 40..41");
    let lost = hook.faults["quota.lost-reply"];
    assert_eq!((lost.seeds_drawn, lost.seeds_with_opportunity, lost.seeds_with_effect), (400, 300, 200));
    assert_eq!(hook.faults["clock.step"].seeds_drawn, 0);
    assert_eq!((hook.reached["crashes"].seeds, hook.invariants["GRANT-1"].first), (200, Some(40)));
    let recovery = &hook.metrics["upstream.recovery-seconds"];
    assert_eq!((recovery.absent(), recovery.present(), recovery.max()), (133, 267, Some(Number::NEVER)));
    let pair = &record.scenarios[0].pairs[0];
    let calls = &pair.metrics["upstream.calls"];
    assert_eq!((pair.against.as_str(), calls.lower, calls.equal, calls.higher), ("original", 400, 0, 0));
    assert_eq!(calls.differences.constant(), Some(number(-2.5)));
    assert_eq!(pair.metrics["upstream.recovery-seconds"].equal, 267);
}

#[test]
fn however_many_shards_in_whatever_order_the_bytes_are_those_of_the_whole() {
    let bytes = render_sweep_json(&whole(SEEDS));
    for count in [1, 2, 3, 7, 400] {
        let mut parts = if count == 1 {
            vec![NamedPart { name: "all".to_owned(), record: whole(SEEDS) }]
        } else {
            parts(SEEDS, count)
        };
        assert_eq!(render_sweep_json(&merge_sweeps(&parts).unwrap()), bytes, "{count}");
        parts.reverse();
        assert_eq!(render_sweep_json(&merge_sweeps(&parts).unwrap()), bytes, "{count} reversed");
    }
}

type Change = fn(&mut SweepRecord);

#[test]
fn what_is_not_exactly_one_sweep_is_refused_and_named() {
    let good = parts(SEEDS, 4);
    assert_eq!(merge_sweeps(&[]), Err(MergeError::Nothing));
    let refused = |parts: &[NamedPart]| merge_sweeps(parts).unwrap_err().to_string();
    assert!(refused(&good[..2]).starts_with("missing: shard 3/4, 4/4;"), "{}", refused(&good[..2]));
    let twice = [good[0].clone(), NamedPart { name: "again.json".to_owned(), record: good[0].record.clone() }];
    assert!(refused(&twice).contains("1.json and again.json are both shard 1/4"), "{}", refused(&twice));
    let changes: [(Change, &str); 7] = [
        (|record| record.seeds.to += 4, "damaged"),
        (|record| record.swarm = false, "settings of --swarm"),
        (|record| record.tool.version = "9".to_owned(), "versions"),
        (|record| record.scenarios[0].scenario.digest = "other".to_owned(), "scenarios"),
        (|record| record.scenarios[0].hooks[1].hook = "other".to_owned(), "hooks"),
        (|record| record.shard = Some(Shard::new(2, 5).unwrap()), "damaged"),
        (|record| record.scenarios[0].hooks[0].seeds.pass += 1, "damaged"),
    ];
    for (change, word) in changes {
        let mut parts = good.clone();
        change(&mut parts[1].record);
        let error = refused(&parts);
        assert!(error.contains("2.json") && error.contains(word), "{word}: {error}");
    }
    let other = [good[0].clone(), parts(SEEDS, 5)[1].clone()];
    assert!(refused(&other).contains("numbers of shards"));
    let beside_the_whole = [good[0].clone(), NamedPart { name: "all".to_owned(), record: whole(SEEDS) }];
    assert!(refused(&beside_the_whole).contains("numbers of shards"));
    let mut damaged = good;
    *damaged[2].record.scenarios[0].hooks[0].metrics.get_mut(METRIC).unwrap() = Distribution::default();
    assert!(refused(&damaged).contains("3.json: over-allocation.users of hardened"), "{}", refused(&damaged));
}

type Damage = fn(&mut HookSweep);

#[test]
fn counts_that_contradict_each_other_are_refused_with_their_place() {
    let changes: [(Damage, &str); 14] = [
        (|hook| hook.failing[0].seed += 1, "failing"),
        (|hook| drop(hook.failing.pop()), "failing"),
        (|hook| hook.failing.swap(0, 1), "failing"),
        (|hook| hook.failing[0].repro.push('0'), "failing"),
        (|hook| (hook.seeds.pass, hook.seeds.violated) = (hook.seeds.pass - 1, hook.seeds.violated + 1), "failing"),
        (|hook| hook.invariants.get_mut("GRANT-1").unwrap().first = None, "GRANT-1"),
        (|hook| hook.invariants.get_mut("GRANT-1").unwrap().seeds_violated += 1, "GRANT-1"),
        (|hook| hook.invariants.get_mut("GRANT-1").unwrap().checked = 99, "GRANT-1"),
        (|hook| hook.expectations[0].seeds.pass += 1, "the expectation of line 61"),
        (|hook| hook.expectations[0].first = Some(3), "the expectation of line 61"),
        (|hook| hook.faults.get_mut("quota.lost-reply").unwrap().seeds_with_effect = 101, "quota.lost-reply"),
        (|hook| hook.faults.get_mut("quota.lost-reply").unwrap().effects = 0, "quota.lost-reply"),
        (|hook| hook.reached.get_mut("crashes").unwrap().seeds = 101, "crashes"),
        (|hook| hook.reached.get_mut("parked").unwrap().count = 1, "parked"),
    ];
    // The shard of the seeds 2, 4, …, 400 of which 30 is one and every twentieth is violated.
    for (change, place) in changes {
        let mut parts = parts(SEEDS, 2);
        change(&mut parts[1].record.scenarios[0].hooks[0]);
        let error = merge_sweeps(&parts).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("2.json: storm, hook hardened: the counts of {place} ")),
            "{place}: {error}"
        );
        assert!(error.ends_with("run this part again"), "{error}");
    }
    let mut pair = parts(SEEDS, 2);
    pair[0].record.scenarios[0].pairs[0].metrics.get_mut("upstream.calls").unwrap().higher += 1;
    let error = merge_sweeps(&pair).unwrap_err().to_string();
    assert!(
        error.starts_with("1.json: storm, hardened - original: the counts of upstream.calls do not fit"),
        "{error}"
    );
}

#[test]
fn whatever_is_edited_in_a_record_is_found_but_not_its_layout() {
    let json = render_sweep_json(&whole(SEEDS));
    for (from, to) in [
        ("\"median\": 300", "\"median\": 299"),
        ("\"bound-95\": 0.0423", "\"bound-95\": 0.0001"),
        ("A storm", "A calm"),
        ("\"checked\": 4000", "\"checked\": 4001"),
        ("\"swarm\": true,", "\"swarm\": true, \"more\": 1,"),
    ] {
        let edited = json.replacen(from, to, 1);
        assert_ne!(edited, json, "{from}");
        let error = parse_sweep(&edited).unwrap_err().to_string();
        assert!(error.contains("\"digest\"") && error.contains("run this part again"), "{to}: {error}");
    }
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parse_sweep(&value.to_string()).unwrap(), whole(SEEDS));
}

#[test]
fn a_sweep_that_was_interrupted_does_not_look_whole() {
    let part = record(SEEDS, None, 1..39);
    assert!(whole(SEEDS).is_whole() && !part.is_whole());
    for text in [render_sweep, render_sweep_markdown].map(|render| render(&part, &TableOptions::default())) {
        assert!(text.contains("only 38 of 400 seeds"), "{text}");
        assert!(text.trim_end().lines().next_back().is_some_and(|last| !last.contains("PASS")), "{text}");
        assert!(text.contains("INTERRUPTED"), "{text}");
    }
    let begun = ScenarioSweep::new(scenario());
    let text = render_sweep(&SweepRecord { scenarios: vec![begun], ..part }, &TableOptions::default());
    assert!(text.contains("only 0 of 400 seeds") && text.contains("no seed has run"), "{text}");
}

#[test]
fn failing_seeds_are_the_first_and_no_more_than_a_few() {
    let seeds = Seeds { from: 0, to: 4_000 };
    let merged = merge_sweeps(&parts(seeds, 3)).unwrap();
    let failing: Vec<u64> = merged.scenarios[0].hooks[0].failing.iter().map(|failing| failing.seed).collect();
    assert_eq!(failing, (0..FAILING_MAX as u64).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(merged.scenarios[0].hooks[0].seeds.violated, 100);
}

#[test]
fn a_swarm_is_inconclusive_only_if_nothing_was_judged() {
    let inconclusive = Seeds { from: 30, to: 32 };
    assert_eq!(whole(inconclusive).verdict(), Some(Verdict::Inconclusive));
    let some = Seeds { from: 30, to: 33 };
    assert_eq!(whole(some).verdict(), Some(Verdict::Pass));
    assert_eq!(SweepRecord { swarm: false, ..whole(some) }.verdict(), Some(Verdict::Inconclusive));
    assert_eq!(whole(SEEDS).verdict(), Some(Verdict::Violated));
}

#[test]
fn the_summary_has_the_verdict_first_and_fits_80_columns() {
    let text = render_sweep(&whole(SEEDS), &TableOptions::default());
    for line in text.lines().filter(|line| !line.trim().starts_with("hookproof ")) {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_summary_in_markdown() {
    insta::assert_snapshot!(render_sweep_markdown(&whole(Seeds { from: 1, to: 30 }), &TableOptions::default()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn seeds_may_be_counted_in_any_order_and_in_any_groups(
        groups in prop::collection::vec(0_usize..4, 120), order in Just((0..4_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut sweeps: Vec<ScenarioSweep> = (0..4).map(|_| ScenarioSweep::new(scenario())).collect();
        for (seed, group) in groups.iter().enumerate().rev() {
            sweeps[*group].add(&both(seed as u64), true);
        }
        let mut merged = ScenarioSweep::new(scenario());
        for group in order {
            merged.merge(&sweeps[group]);
        }
        merged.name_fault_kinds(&["clock.step", "store.error"]);
        prop_assert_eq!(&merged, &whole(Seeds { from: 0, to: 120 }).scenarios[0]);
    }
}
