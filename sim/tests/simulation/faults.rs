//! Capability: each kind of fault does something where it can, and its account says how often it could and did.
//!
//! Method: one small scenario, in which every kind has its chance, is run with each kind alone, by its probability and by what
//! there is to touch. A digest that does not change is a world that was not touched.

use std::time::Duration;

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{FaultAccount, Outcome, Value, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, Placement, Scenario, decode};

/// Each kind of the contract with its parameters, under a capability that gives it something to do.
const KINDS: [(&str, &str, &str); 36] = [
    ("clock.offset", "put-by-id", "for = \"10s\"\nby = \"-3s\""),
    ("clock.drift", "put-by-id", "for = \"10s\"\nppm = 200_000"),
    ("clock.step", "put-by-id", "by = \"1h\""),
    ("clock.freeze", "put-by-id", "for = \"10s\""),
    ("clock.strobe", "put-by-id", "for = \"10s\"\nby = \"3s\"\nperiod = \"700ms\""),
    ("process.crash", "put-by-id", "downtime = \"3s\""),
    ("process.crash", "put-by-id", "for = \"10s\"\nwhen = \"claimed\""),
    ("process.pause", "put-by-id", "for = \"5s\""),
    ("process.pause", "put-by-id", "for = \"5s\"\nwhen = \"sent\""),
    ("process.rolling-restart", "put-by-id", "downtime = \"1s\""),
    ("process.deploy", "put-by-id", "version = 2"),
    ("network.latency", "put-by-id", "for = \"10s\"\nadd = \"300ms\""),
    ("network.loss", "put-by-id", "for = \"10s\""),
    ("network.lost-reply", "put-by-id", "for = \"10s\""),
    ("network.duplicate", "none", "for = \"10s\""),
    ("network.reorder", "put-by-id", "for = \"10s\""),
    ("network.partition", "put-by-id", "for = \"10s\""),
    ("network.reset", "put-by-id", "for = \"10s\""),
    ("quota.outage", "put-by-id", "for = \"10s\""),
    ("quota.error-before", "put-by-id", "for = \"10s\""),
    ("quota.error-after", "put-by-id", "for = \"10s\""),
    ("quota.lost-reply", "put-by-id", "for = \"10s\""),
    ("quota.throttle", "put-by-id", "for = \"10s\"\nretry-after = \"2s\""),
    ("quota.slow", "put-by-id", "for = \"10s\"\nfactor = 20.0"),
    ("quota.restart", "idempotency-key", ""),
    ("quota.key-lag", "idempotency-key", "for = \"40s\"\nlag = \"10s\""),
    ("quota.replay", "none", "for = \"10s\"\ndelay = \"1s\""),
    ("quota.false-ack", "put-by-id", "for = \"10s\""),
    ("quota.malformed", "put-by-id", "for = \"10s\""),
    ("store.latency", "put-by-id", "for = \"10s\"\nadd = \"300ms\""),
    ("store.error", "put-by-id", "for = \"10s\""),
    ("store.outage", "put-by-id", "for = \"10s\""),
    ("store.lost-ack", "put-by-id", "for = \"10s\""),
    ("store.read-only", "put-by-id", "for = \"10s\""),
    ("store.failover", "put-by-id", "lost = \"10s\""),
    ("store.full", "put-by-id", "for = \"10s\""),
];

/// Kinds that happen to requests, and so find nothing where none is sent.
fn needs_requests(kind: &str, parameters: &str) -> bool {
    let is_of_requests = kind.starts_with("network.") || kind.starts_with("quota.") && kind != "quota.restart";
    is_of_requests || parameters.contains("when")
}

/// A minute of visits; `treated` is the weight of the treatment. A few replies are lost, so that keys are used again.
fn scenario(capability: &str, treated: u32, faults: &str) -> Scenario {
    let source = format!(
        r#"
        schema = 1
        title = "One fault"
        duration = "60s"
        calm = "10m"
        hooks = ["hardened"]
        judge = []
        [experiment]
        id = "faults"
        [[experiment.variant]]
        name = "control"
        weight = 10
        [[experiment.variant]]
        name = "extra"
        weight = {treated}
        grant = 25
        [users]
        population = 150
        visits = {{ mean = 2, per = "1m" }}
        [fleet]
        instances = 2
        [upstream]
        capability = "{capability}"
        service-time = "20ms"
        [hardened]
        lease = "4s"
        attempt-timeout = "1s"
        backoff-cap = "1s"
        {faults}
        "#
    );
    decode("faults", "faults.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{faults}: {error}"))
}

const LOST: &str =
    "[[fault]]\nkind = \"network.lost-reply\"\nname = \"noise\"\nat = \"0s\"\nfor = \"50s\"\nprobability = 0.3\n";

fn outcome(scenario: &Scenario) -> Outcome {
    run(scenario, HookKind::Hardened, 1, &mut |_| {})
}

fn one(kind: &str, parameters: &str, probability: &str) -> String {
    let at = if kind == "quota.key-lag" { "5s" } else { "15s" };
    format!(
        "{LOST}[[fault]]\nkind = \"{kind}\"\nname = \"it\"\nat = \"{at}\"\nprobability = {probability}\n{parameters}\n\
         [[expect]]\nmetric = \"hook.errors\"\nat-least = 0\nduring = \"it\"\n"
    )
}

fn account<'o>(outcome: &'o Outcome, name: &str) -> &'o FaultAccount {
    outcome.faults.iter().find(|fault| fault.name == name).expect("a fault of the scenario")
}

#[test]
fn each_kind_has_effects_where_it_can_and_then_the_run_is_another() {
    for (kind, capability, parameters) in KINDS {
        let without = outcome(&scenario(capability, 90, LOST));
        let with = outcome(&scenario(capability, 90, &one(kind, parameters, "1")));
        let it = account(&with, "it");
        assert!(it.opportunities > 0 && it.effects > 0, "{kind} {parameters}: {it:?}");
        assert_eq!(with.expectations[0].verdict, Verdict::Pass, "{kind}: {:?}", with.expectations[0]);
        // The hook asks its own wall clock for nothing that can be seen from outside, and a new version that changes nothing
        // shows only in the restarts it takes.
        let is_visible = !kind.starts_with("clock.") || kind == "clock.drift";
        if is_visible && kind != "quota.restart" {
            assert_ne!(with.digest, without.digest, "{kind} {parameters} has effects, and nothing has changed");
        }
    }
}

#[test]
fn at_probability_zero_a_fault_has_opportunities_and_the_run_is_the_same_as_without_it() {
    for (kind, capability, parameters) in KINDS {
        let without = outcome(&scenario(capability, 90, LOST));
        let with = outcome(&scenario(capability, 90, &one(kind, parameters, "0")));
        let it = account(&with, "it");
        assert!(it.opportunities > 0, "{kind} {parameters}: {it:?}");
        assert_eq!(it.effects, 0, "{kind} {parameters}");
        assert_eq!(with.digest, without.digest, "{kind} {parameters} has no effect, and something has changed");
        assert_eq!(account(&with, "noise"), account(&without, "noise"), "{kind} {parameters}");
    }
}

#[test]
fn a_fault_that_met_nothing_makes_inconclusive_what_names_it() {
    for (kind, capability, parameters) in KINDS.into_iter().filter(|(kind, _, rest)| needs_requests(kind, rest)) {
        let outcome = outcome(&scenario(capability, 0, &one(kind, parameters, "1")));
        assert_eq!(account(&outcome, "it").opportunities, 0, "{kind} {parameters}: nobody is treated");
        let expectation = &outcome.expectations[0];
        assert_eq!(expectation.verdict, Verdict::Inconclusive, "{kind}");
        assert!(expectation.note.contains("had no opportunity"), "{kind}: {}", expectation.note);
        assert_eq!(outcome.verdict, Verdict::Inconclusive, "{kind}");
    }
}

#[test]
fn a_process_that_is_down_already_is_no_opportunity_for_a_crash() {
    let twice = "[[fault]]\nkind = \"process.crash\"\nname = \"first\"\nat = \"10s\"\ndowntime = \"20s\"\n\
                 [[fault]]\nkind = \"process.crash\"\nname = \"second\"\nat = \"20s\"\n";
    let outcome = outcome(&scenario("put-by-id", 90, twice));
    assert_eq!((account(&outcome, "first").effects, account(&outcome, "second").opportunities), (2, 0));
}

/// The seeds' places of a fault with these keys, and the scenario's own.
fn places(keys: &str) -> Vec<(Duration, Vec<(Duration, Duration)>)> {
    let source = format!(
        "[[fault]]\nkind = \"network.loss\"\nname = \"it\"\nat = \"random\"\n{keys}\n\
         [[expect]]\nmetric = \"hook.errors\"\nat-least = 0\nduring = \"it\"\n"
    );
    let scenario = scenario("put-by-id", 90, &source);
    assert_eq!(scenario.faults[0].placement, Placement::Random);
    let place = |seed| {
        let placed = scenario.placed(seed);
        (placed.faults[0].at, placed.expects[0].during.stretches.clone())
    };
    (0..400).map(place).collect()
}

#[test]
fn a_random_fault_is_placed_by_the_seed_and_ends_within_the_storm() {
    let (storm, length) = (Duration::from_secs(60), Duration::from_secs(20));
    let places = places("for = \"20s\"");
    for (at, stretches) in &places {
        assert!(*at + length <= storm, "{at:?}");
        assert_eq!(stretches[..], [(*at, *at + length)], "what is expected during it follows it");
    }
    // Uniform over 40 s: with 400 seeds each quarter has about 100, with a standard deviation below 9.
    let in_quarter = |n: u64| {
        let from = Duration::from_secs(10 * n);
        places.iter().filter(|(at, _)| (from..from + Duration::from_secs(10)).contains(at)).count()
    };
    assert!((0..4).all(|n| (55..145).contains(&in_quarter(n))), "{:?}", [0, 1, 2, 3].map(in_quarter));
}

#[test]
fn a_random_fault_that_repeats_has_a_random_phase_and_every_stretch_ends_within_the_storm() {
    let places = places("for = \"5s\"\nevery = \"12s\"");
    for (at, stretches) in &places {
        assert!(*at < Duration::from_secs(12), "{at:?}");
        assert!((4..=5).contains(&stretches.len()), "{stretches:?}");
        assert!(stretches.windows(2).all(|pair| pair[1].0 == pair[0].0 + Duration::from_secs(12)), "{stretches:?}");
        assert!(stretches.iter().all(|(from, to)| *to == *from + Duration::from_secs(5)), "{stretches:?}");
        assert!(stretches.last().is_some_and(|(_, to)| *to <= Duration::from_secs(60)), "{stretches:?}");
    }
    assert!(places.iter().any(|(at, _)| *at < Duration::from_secs(2)));
    assert!(places.iter().any(|(at, _)| *at > Duration::from_secs(10)));
}

#[test]
fn a_random_fault_strikes_where_the_seed_has_placed_it_and_moves_no_other() {
    let random = "[[fault]]\nkind = \"network.loss\"\nname = \"it\"\nat = \"random\"\nfor = \"10s\"\n";
    let scenario = scenario("put-by-id", 90, &format!("{LOST}{random}"));
    let outcomes: Vec<Outcome> = (1..=5).map(|seed| run(&scenario, HookKind::Hardened, seed, &mut |_| {})).collect();
    for (outcome, seed) in outcomes.iter().zip(1..) {
        assert_eq!(account(outcome, "it").at, scenario.placed(seed).faults[1].at, "the record says where it was");
        assert_eq!(account(outcome, "noise").at, Duration::ZERO);
        assert!(account(outcome, "it").effects > 0);
    }
    let again = run(&scenario, HookKind::Hardened, 3, &mut |_| {});
    assert_eq!(again.digest, outcomes[2].digest);
}

/// A restart into the past: the fleet crashes, and comes up with its wall clocks an hour back.
#[test]
fn a_fleet_that_restarts_into_the_past_grants_neither_twice_nor_late() {
    let restart = "[[fault]]\nkind = \"process.crash\"\nname = \"restart\"\nat = \"20s\"\ndowntime = \"2s\"\n";
    let into_the_past = "[[fault]]\nkind = \"clock.step\"\nname = \"past\"\nat = \"20s\"\nby = \"-1h\"\n";
    let total =
        |outcome: &Outcome, name: &str| outcome.series.counts.get(name).map_or(0, |counts| counts.iter().sum::<u64>());
    for capability in ["put-by-id", "idempotency-key", "read-back"] {
        let outcome = outcome(&scenario(capability, 90, &format!("{LOST}{restart}{into_the_past}")));
        assert!(outcome.invariants.iter().all(|invariant| invariant.violations == 0), "{:#?}", outcome.invariants);
        assert_eq!((account(&outcome, "restart").effects, account(&outcome, "past").effects), (2, 2));
        assert!(total(&outcome, "entitlements") > 50);
        assert_eq!(total(&outcome, "effects"), total(&outcome, "entitlements"), "{capability}");
    }
}

#[test]
fn a_lie_excuses_whom_it_befell_and_only_where_the_scenario_says_so() {
    let lie = "[[fault]]\nkind = \"quota.false-ack\"\nname = \"lie\"\nat = \"10s\"\nfor = \"20s\"\nprobability = 0.3\n";
    let mut scenario = scenario("put-by-id", 90, lie);
    let broken = |outcome: &Outcome, id: &str| {
        outcome.invariants.iter().find(|invariant| invariant.id == id).map(|invariant| invariant.violations)
    };
    let strict = outcome(&scenario);
    assert!(broken(&strict, "AUDIT-1") > Some(0) && broken(&strict, "GRANT-3") > Some(0), "{:#?}", strict.invariants);
    assert_eq!((strict.reached["excused-users"], strict.reached["excused-receipts"]), (0, 0));
    scenario.excuses = vec![hookproof_sim::scenario::Excuse::FalseAck];
    let excused = outcome(&scenario);
    assert_eq!((broken(&excused, "AUDIT-1"), broken(&excused, "GRANT-3")), (Some(0), Some(0)));
    assert_eq!(
        Some(excused.reached["excused-users"]),
        broken(&strict, "GRANT-3"),
        "as many as were violated, and no more"
    );
    assert_eq!(Some(excused.reached["excused-receipts"]), broken(&strict, "AUDIT-1"));
    assert_eq!(excused.digest, strict.digest, "an excuse judges, it changes nothing");
}

#[test]
fn a_lost_exposure_excuses_whoever_never_returned() {
    let rollback = "[[fault]]\nkind = \"store.failover\"\nat = \"55s\"\nlost = \"20s\"\n";
    let mut scenario = scenario("put-by-id", 90, rollback);
    let grant_3 = |outcome: &Outcome| {
        outcome.invariants.iter().find(|invariant| invariant.id == "GRANT-3").map(|invariant| invariant.violations)
    };
    // Whoever was granted before the loss is served; whoever was not is forgotten, unless they come again.
    let slow = "[[fault]]\nkind = \"quota.outage\"\nat = \"35s\"\nfor = \"22s\"\n";
    scenario.faults.extend(self::scenario("put-by-id", 90, slow).faults);
    let strict = outcome(&scenario);
    assert!(grant_3(&strict) > Some(0), "{:#?}", strict.invariants);
    scenario.excuses = vec![hookproof_sim::scenario::Excuse::LostExposure];
    let excused = outcome(&scenario);
    assert_eq!(grant_3(&excused), Some(0));
    assert_eq!(Some(excused.reached["excused-users"]), grant_3(&strict));
}

#[test]
fn of_several_deploys_none_may_start_at_random() {
    let deploy = |name: &str, at: &str, version: u32| {
        format!("[[fault]]\nkind = \"process.deploy\"\nname = \"{name}\"\nat = \"{at}\"\nversion = {version}\n")
    };
    assert_eq!(scenario("put-by-id", 90, &deploy("one", "random", 2)).faults[0].placement, Placement::Random);
    let source = format!(
        "schema = 1\ntitle = \"t\"\nduration = \"1m\"\n[experiment]\nid = \"e\"\nvariant = [{{ name = \"a\", weight = 1 }}, \
         {{ name = \"b\", weight = 1, grant = 1 }}]\n[users]\npopulation = 1\nvisits = {{ mean = 1, per = \"1m\" }}\n{}{}",
        deploy("one", "10s", 2),
        deploy("two", "random", 3)
    );
    let error = decode("two", "two.toml", source.as_bytes()).expect_err("it is refused").to_string();
    assert!(error.contains("of several deploys none can start at random"), "{error}");
}

#[test]
fn a_timer_goes_by_its_clock_when_that_begins_to_run_fast() {
    // A visit at 29.9 s waits for a store that takes 10 s, at most 1 s by the instance's clock. From 30 s on, that clock counts
    // 1.9 seconds a second: 100 ms before, 900 ms ÷ 1.9 after, and 1 s ÷ 1.9 for each visit that follows.
    let scenario = "schema = 1\ntitle = 't'\nduration = '2m'\nhooks = ['hardened']\nstore = { latency = '10s' }\n\
        hardened = { store-patience = '1s' }\nusers = { population = 9 }\n\
        traffic = [{ kind = 'steady', rate = '0.1/s', spacing = 'even', at = '29.9s', for = '70s' }]\n\
        fault = [{ kind = 'clock.drift', ppm = 900_000, at = '30s', for = '80s' }]\n\
        [experiment]\nid = 'x'\nvariant = [{ name = 'a', weight = 1 }, { name = 'b', weight = 1, grant = 25 }]\n";
    let scenario = decode("fast", "fast.toml", scenario.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = run(&scenario, HookKind::Hardened, 1, &mut |_| {});
    let Some(Value::Number(longest)) = outcome.metrics.get(&Metric::HookLatencyMaxUs) else { panic!("no visit") };
    assert!((570_000.0..=580_000.0).contains(longest), "{longest} us");
    let path = outcome.invariants.iter().find(|invariant| invariant.id == "PATH-1");
    assert!(path.is_some_and(|path| path.violations == 0), "{path:?}");
}
