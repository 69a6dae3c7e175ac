//! Records with every key in use, up to one as large as 28 days under three hooks; a benchmark renders that as well.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_reports::{
    Arm, ClockKind, Expectation, Experiment, Fault, GrantsPerUser, Invariant, LaneOfRun, Latency, Length, Level, Lift,
    Limit, Number, ParkedGrant, Phases, Quantile, Restart, Role, Run, RunRecord, SCHEMA, SampleRatio, ScenarioId,
    Series, Step, Story, Tool, UserIds, Verdict, Violation, Why, WorstUser, defined_metrics, repro_command,
};

pub fn number(value: f64) -> Number {
    Number::finite(value).expect("tests write finite numbers")
}

pub fn seconds(seconds: u64) -> Length {
    Length(Duration::from_secs(seconds))
}

pub fn record(runs: Vec<Run>) -> RunRecord {
    RunRecord {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "hookproof".to_owned(), version: "0.1.0".to_owned() },
        clock: ClockKind::Virtual,
        user_ids: UserIds::Shown,
        runs,
        ablations: Vec::new(),
    }
}

/// Three hooks, 240 bins of noise in every series, 28 days, ten stories each.
pub fn large() -> RunRecord {
    let hooks = [("hardened", Role::Judged), ("original", Role::Reference), ("published", Role::Reference)];
    record(hooks.map(|(hook, role)| run(hook, role, 240, 10_083, 10)).to_vec())
}

/// A number below `below` that looks drawn: the same for the same arguments.
fn noise(salt: u64, index: u64, below: u64) -> u64 {
    let mixed = (salt << 32 | index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % below.max(1)
}

fn level(salt: u64, bins: u64, base: i64, below: u64) -> Level {
    let drawn = |index: u64| i64::try_from(noise(salt, index, below)).unwrap_or(0);
    Level {
        least: (0..bins).map(|index| (index != 2).then_some(base)).collect(),
        greatest: (0..bins).map(|index| (index != 2).then(|| base + drawn(index))).collect(),
    }
}

fn series(salt: u64, bins: u64, bin: u64) -> Series {
    let count = |name: u64| (0..bins).map(|index| noise(salt + name, index, 90)).collect::<Vec<u64>>();
    let counts = ["visits", "entitlements", "calls", "effects", "goodput"];
    let levels = [
        ("backlog", 0, 23),
        ("calls-per-second", 0, 48),
        ("in-flight", 0, 9),
        ("queued", 0, 9),
        ("over-allocated-users", 5, 7_000),
        ("fleet-limit", 16, 17),
        ("breakers-open", 0, 4),
        ("clock-offset-us.app-1", -3_000_000, 6_000_000),
        ("clock-offset-us.app-2", 0, 900_000),
        ("clock-offset-us.store", 0, 1),
    ];
    let levels =
        (100..).zip(levels).map(|(name, (key, base, below))| (key.to_owned(), level(salt + name, bins, base, below)));
    Series {
        bin: seconds(bin),
        counts: (0..).zip(counts).map(|(name, key)| (key.to_owned(), count(name))).collect(),
        levels: levels.collect(),
    }
}

fn expectations(hook: &str) -> Vec<Expectation> {
    let one = |metric: &str, during: &str, limit: Limit, value: Option<f64>, verdict: Verdict, line: u32| Expectation {
        metric: metric.to_owned(),
        hook: hook.to_owned(),
        during: during.to_owned(),
        limit,
        value: value.map(number),
        verdict,
        line,
        note: if value.is_none() { "the fault had no opportunity".to_owned() } else { String::new() },
    };
    vec![
        one("upstream.peak-rps", "run", Limit::AtMost(number(40.0)), Some(48.0), Verdict::Violated, 31),
        one("grant.backlog-peak", "late-answers", Limit::AtMost(number(30.0)), Some(22.0), Verdict::Pass, 36),
        one("over-allocation.max-grants", "run", Limit::Equals(number(1.0)), Some(1.0), Verdict::Pass, 41),
        one("hook.latency-p99-us", "run", Limit::AtMost(number(20_000.0)), Some(12_340.0), Verdict::Pass, 46),
        one("upstream.goodput-ratio", "late-answers", Limit::AtLeast(number(0.9)), None, Verdict::Inconclusive, 51),
    ]
}

fn story(user: &str, why: Why, steps: u64) -> Story {
    let kinds = ["visit", "answer", "claim", "attempt", "effect"];
    let step = |index: u64| Step {
        at: Length(Duration::from_millis(60_000 * index + 7)),
        place: ["caller", "app-2", "store", "quota"][usize::try_from(index % 4).unwrap_or(0)].to_owned(),
        shown: (!index.is_multiple_of(4)).then(|| format!("2026-03-01T00:{index:02}:00.007Z")),
        kind: kinds[usize::try_from(index % 5).unwrap_or(0)].to_owned(),
        text: format!("request {index} under key 8d473c49-0e4b-8c1d-9a53-0d6e2b4f8a11"),
        correlation: Some(format!("{user}/{}", index / 4)),
        violates: if index == 3 { vec!["GRANT-1".to_owned()] } else { Vec::new() },
    };
    Story {
        user: user.to_owned(),
        why,
        effects: 2,
        held: 150,
        intended: 125,
        steps: (0..steps).map(step).collect(),
        left_out: 4,
    }
}

/// A tenth is planted; the reference sees less than half of it.
fn experiment(role: Role) -> Experiment {
    let (estimated, contaminated) = if role == Role::Reference { (0.0412, 7_812) } else { (0.1037, 0) };
    let arm = |variant: &str, exposed| Arm { variant: variant.to_owned(), exposed, expected: number(8_489.5) };
    Experiment {
        arms: vec![arm("control", 8_412), arm("extra-quota", 8_567)],
        exposed: 16_979,
        contaminated,
        srm: SampleRatio {
            chi_square_p: Some(number(0.234_2)),
            exact_p: Some(number(0.235_1)),
            sequential_p: Some(number(0.981_5)),
        },
        lift: Some(Lift {
            planted: number(0.1),
            estimated: number(estimated),
            bias: number((estimated - 0.1) / 0.1),
            standard_error: Some(number(0.0153)),
            control: 8_412,
            treatment: 8_567,
        }),
    }
}

fn invariants(violated: bool) -> Vec<Invariant> {
    let first = violated.then(|| Violation {
        at: Length(Duration::new(601, 250_000_000)),
        user: Some("user-0".to_owned()),
        evidence: "effects 1 and 2 carry keys 8d473c49 and 4db090b5".to_owned(),
    });
    let one = |id: &str, says: &str, checked: u64, first: Option<Violation>| Invariant {
        id: id.to_owned(),
        says: says.to_owned(),
        checked,
        violations: first.as_ref().map_or(0, |_| 7_812),
        inconclusive: u64::from(checked == 0),
        first,
    };
    vec![
        one("ASSIGN-1", "an exposed user never changes variant", 52_377, None),
        one("GRANT-1", "at most one effect per user", 17_000, first),
        one("TIME-1", "nothing depends on a wall clock", 0, None),
    ]
}

/// Every metric, with a value of its own where it says something and else 0.
fn metrics(reference: bool) -> BTreeMap<String, Number> {
    let told = [
        ("over-allocation.users", 7_423.0),
        ("over-allocation.worst-ratio", 3.0),
        ("over-allocation.monthly-cost-usd", 13_886.25),
        ("group-switching.users", 7_545.0),
        ("group-switching.restart-rate", 0.1277),
        ("upstream.overload-seconds", 90.0),
    ];
    let both = [("over-allocation.max-grants", 1.0), ("upstream.peak-rps", 48.0), ("upstream.amplification", 1.0429)];
    let mut metrics: BTreeMap<String, Number> =
        defined_metrics().map(|metric| (metric.to_owned(), number(0.0))).collect();
    let told = told.into_iter().filter(|_| reference).chain(both);
    metrics.extend(told.map(|(metric, value)| (metric.to_owned(), number(value))));
    metrics.insert("upstream.recovery-seconds".to_owned(), if reference { Number::NEVER } else { number(42.0) });
    metrics
}

/// A run of `bins` bins of `bin` seconds with so many stories, each key in use.
pub fn run(hook: &str, role: Role, bins: u64, bin: u64, stories: u64) -> Run {
    let salt = hook.bytes().map(u64::from).sum();
    let end = bins * bin;
    let user = |index: u64| format!("user-{index}");
    let reference = role == Role::Reference;
    let quantiles = [(0, 0), (500_000, 1_414), (990_000, 12_340), (999_000, 80_000), (1_000_000, 4_106_239)];
    Run {
        scenario: ScenarioId {
            name: "over-allocation".to_owned(),
            title: "A permanent quota, given again after every restart".to_owned(),
            digest: "5f".repeat(32),
        },
        hook: hook.to_owned(),
        role,
        seed: 1,
        digest: "0123456789abcdef0123456789abcdef".to_owned(),
        verdict: if reference { Verdict::Pass } else { Verdict::Violated },
        note: "a note on the whole run".to_owned(),
        metrics: metrics(reference),
        unsupported: vec!["experiment.srm-p".to_owned()],
        expectations: expectations(hook),
        invariants: invariants(reference),
        faults: vec![
            fault("late-answers", "quota.lost-reply", end / 4, end / 4, 412),
            fault("pause", "process.pause", end / 2, 0, 0),
        ],
        reached: [("crashes", 12), ("doubts", 412), ("parked", 0)].map(|(name, count)| (name.to_owned(), count)).into(),
        phases: Phases { storm: seconds(end / 4 * 3), calm: seconds(end / 4) },
        lanes: vec![
            LaneOfRun {
                name: "late-answers".to_owned(),
                kind: "quota.lost-reply".to_owned(),
                stretches: vec![(seconds(end / 4), seconds(end / 2))],
            },
            LaneOfRun {
                name: "restarts".to_owned(),
                kind: "restart".to_owned(),
                stretches: (1..10).map(|day| (seconds(end / 10 * day), seconds(end / 10 * day))).collect(),
            },
        ],
        series: series(salt, bins, bin),
        capacity_per_second: Some(number(50.0)),
        restarts: (1..10)
            .map(|day| Restart {
                at: seconds(end / 10 * day),
                users: 1_200,
                returning: 300 + day,
                switched: if reference { 150 - day } else { 0 },
            })
            .collect(),
        grants_per_user: (1..=8)
            .map(|effects| GrantsPerUser { effects, users: 8_000 / u64::from(effects * effects) })
            .collect(),
        latency: Latency {
            quantiles: quantiles.map(|(quantile_ppm, latency_us)| Quantile { quantile_ppm, latency_us }).to_vec(),
        },
        worst_users: (0..stories)
            .map(|index| WorstUser { user: user(index), effects: 2, held: 150, intended: 125 })
            .collect(),
        parked: vec![parked()],
        experiment: Some(experiment(role)),
        stories: (0..stories)
            .map(|index| story(&user(index), if index == 0 { Why::Violation } else { Why::OverAllocated }, 5 * stories))
            .collect(),
        repro: repro_command("over-allocation.toml", hook, 1),
    }
}

fn fault(name: &str, kind: &str, at: u64, length: u64, opportunities: u64) -> Fault {
    Fault {
        name: name.to_owned(),
        kind: kind.to_owned(),
        at: seconds(at),
        length: seconds(length),
        opportunities,
        effects: opportunities / 2,
        supported: true,
    }
}

fn parked() -> ParkedGrant {
    ParkedGrant {
        user: "user-4".to_owned(),
        grant: "7f3c1a52-0e4b-8c1d-9a53-0d6e2b4f8a11".to_owned(),
        reason: "window-closed".to_owned(),
        look_up: "the service's ledger for the key".to_owned(),
        attempts: 3,
        answer: Some("timeout".to_owned()),
        first_sent_at: Some("2026-03-01T00:00:10Z".to_owned()),
        sent_until: "2026-03-01T00:10:10Z".to_owned(),
        parked_at: "2026-03-01T01:00:00Z".to_owned(),
    }
}
