//! From the simulator's outcome to the versioned record.

use hookproof_core::time::WallTime;
use hookproof_reports as reports;
use hookproof_reports::{Length, Number};
use hookproof_sim::metrics::srm::Arm;
use hookproof_sim::outcome::{self, Outcome};
use hookproof_sim::scenario::{self, Scenario};
use hookproof_sim::users;

use crate::stretches;

/// What is said of a run without a visit: it is inconclusive at best.
const NOBODY: &str = "nobody visited, so nothing could be judged; raise a rate, the population or the duration";

/// What is said of a run in which visitors met no process that answers.
const UNANSWERED: &str = "no visit was answered, so nothing could be judged; let instances be up for a part of the run";

/// The record of one run.
pub(crate) fn run(scenario: &Scenario, outcome: &Outcome) -> reports::Run {
    let hook = outcome.hook.name();
    reports::Run {
        scenario: scenario_id(scenario),
        hook: hook.to_owned(),
        role: role(outcome.role),
        seed: outcome.seed,
        digest: format!("{:032x}", outcome.digest),
        verdict: verdict(outcome.verdict),
        note: note(outcome).to_owned(),
        metrics: outcome.metrics.iter().map(|(metric, value)| (metric.name().to_owned(), number(*value))).collect(),
        unsupported: outcome.unsupported.iter().map(|metric| metric.name().to_owned()).collect(),
        expectations: outcome.expectations.iter().map(|one| expectation(hook, one)).collect(),
        invariants: outcome.invariants.iter().map(invariant).collect(),
        faults: outcome.faults.iter().map(fault).collect(),
        reached: outcome.reached.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        series: reports::Series {
            bin: Length(outcome.series.bin),
            counts: outcome.series.counts.iter().map(|(name, bins)| ((*name).to_owned(), bins.clone())).collect(),
            levels: outcome.series.levels.iter().map(|(name, one)| (name.clone(), level(one))).collect(),
        },
        phases: reports::Phases { storm: Length(scenario.duration), calm: Length(scenario.calm) },
        lanes: lanes(&scenario.placed(outcome.seed)),
        capacity_per_second: outcome.capacity_per_second.map(finite),
        restarts: outcome.restarts.iter().map(restart).collect(),
        grants_per_user: outcome.grants_per_user.iter().map(grants_per_user).collect(),
        stories: Vec::new(),
        latency: reports::Latency { quantiles: outcome.latency_us.iter().map(quantile).collect() },
        worst_users: outcome.worst_users.iter().map(worst_user).collect(),
        parked: outcome.parked.iter().map(parked).collect(),
        experiment: outcome.experiment.as_ref().map(experiment),
        repro: reports::repro_command(&format!("{}.toml", scenario.name), hook, outcome.seed),
    }
}

fn note(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome { hook_calls: 0, .. } => NOBODY,
        Outcome { calls_answered: 0, .. } => UNANSWERED,
        Outcome { .. } => "",
    }
}

/// The record of a whole command.
pub(crate) fn record(runs: Vec<reports::Run>) -> reports::RunRecord {
    reports::RunRecord {
        schema: reports::SCHEMA.to_owned(),
        tool: tool(),
        clock: reports::ClockKind::Virtual,
        user_ids: reports::UserIds::Shown,
        runs,
        ablations: Vec::new(),
    }
}

/// The program that writes records.
pub(crate) fn tool() -> reports::Tool {
    reports::Tool { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// How a record names a scenario.
pub(crate) fn scenario_id(scenario: &Scenario) -> reports::ScenarioId {
    reports::ScenarioId {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        digest: scenario_digest(scenario),
    }
}

/// The digest by which a record names a scenario file's content.
pub(crate) fn scenario_digest(scenario: &Scenario) -> String {
    hex::encode(scenario.digest)
}

const fn role(role: outcome::Role) -> reports::Role {
    match role {
        outcome::Role::Judged => reports::Role::Judged,
        outcome::Role::Reference => reports::Role::Reference,
    }
}

const fn verdict(verdict: outcome::Verdict) -> reports::Verdict {
    match verdict {
        outcome::Verdict::Pass => reports::Verdict::Pass,
        outcome::Verdict::Violated => reports::Verdict::Violated,
        outcome::Verdict::Inconclusive => reports::Verdict::Inconclusive,
    }
}

fn number(value: outcome::Value) -> Number {
    match value {
        outcome::Value::Never => Number::NEVER,
        outcome::Value::Number(number) => finite(number),
    }
}

fn finite(number: f64) -> Number {
    Number::finite(number).expect("metrics and limits are finite: what never happened is Value::Never")
}

fn limit(limit: scenario::Limit) -> reports::Limit {
    match limit {
        scenario::Limit::AtMost(most) => reports::Limit::AtMost(finite(most)),
        scenario::Limit::AtLeast(least) => reports::Limit::AtLeast(finite(least)),
        scenario::Limit::Equals(value) => reports::Limit::Equals(finite(value)),
        scenario::Limit::Between(least, most) => reports::Limit::Between(finite(least), finite(most)),
    }
}

fn expectation(hook: &str, expectation: &outcome::Expectation) -> reports::Expectation {
    reports::Expectation {
        metric: expectation.metric.name().to_owned(),
        hook: hook.to_owned(),
        during: expectation.during.clone(),
        limit: limit(expectation.limit),
        value: expectation.value.map(number),
        verdict: verdict(expectation.verdict),
        line: expectation.line,
        note: expectation.note.clone(),
    }
}

fn invariant(invariant: &outcome::Invariant) -> reports::Invariant {
    let first = invariant.first.as_ref().map(|first| reports::Violation {
        at: Length(first.at),
        user: first.user.clone(),
        evidence: first.evidence.clone(),
    });
    reports::Invariant {
        id: invariant.id.to_owned(),
        says: invariant.says.to_owned(),
        checked: invariant.checked,
        violations: invariant.violations,
        inconclusive: invariant.inconclusive,
        first,
    }
}

fn fault(fault: &outcome::FaultAccount) -> reports::Fault {
    reports::Fault {
        name: fault.name.clone(),
        kind: fault.kind.to_owned(),
        at: Length(fault.at),
        length: Length(fault.length),
        opportunities: fault.opportunities,
        effects: fault.effects,
        supported: fault.supported,
    }
}

fn lanes(placed: &Scenario) -> Vec<reports::LaneOfRun> {
    let lane = |stretches: stretches::Stretches| reports::LaneOfRun {
        name: stretches.name,
        kind: stretches.kind.to_owned(),
        stretches: stretches.at.into_iter().map(|(from, to)| (Length(from), Length(to))).collect(),
    };
    stretches::of(placed).into_iter().map(lane).collect()
}

fn level(outcome::Level { least, greatest }: &outcome::Level) -> reports::Level {
    reports::Level { least: least.clone(), greatest: greatest.clone() }
}

fn restart(restart: &outcome::Restart) -> reports::Restart {
    let outcome::Restart { at, users, returning, switched } = *restart;
    reports::Restart { at: Length(at), users, returning, switched }
}

fn grants_per_user((effects, users): (&u16, &u64)) -> reports::GrantsPerUser {
    reports::GrantsPerUser { effects: u32::from(*effects), users: *users }
}

fn quantile(&(quantile_ppm, latency_us): &(u32, u64)) -> reports::Quantile {
    reports::Quantile { quantile_ppm, latency_us }
}

fn worst_user(user: &outcome::WorstUser) -> reports::WorstUser {
    let outcome::WorstUser { user, effects, held, intended } = user.clone();
    reports::WorstUser { user, effects, held, intended }
}

fn experiment(experiment: &outcome::Experiment) -> reports::Experiment {
    let arm = |arm: &Arm| {
        let Arm { name, exposed, expected } = arm;
        reports::Arm { variant: name.clone(), exposed: *exposed, expected: finite(*expected) }
    };
    let outcome::Experiment { exposed, contaminated, srm_p, srm_exact_p, srm_sequential_p, lift, .. } = *experiment;
    reports::Experiment {
        arms: experiment.arms.iter().map(arm).collect(),
        exposed,
        contaminated,
        srm: reports::SampleRatio {
            chi_square_p: srm_p.map(finite),
            exact_p: srm_exact_p.map(finite),
            sequential_p: srm_sequential_p.map(finite),
        },
        lift: lift.map(|lift| reports::Lift {
            planted: finite(lift.planted),
            estimated: finite(lift.estimated),
            bias: finite(lift.bias),
            standard_error: lift.standard_error.map(finite),
            control: lift.control,
            treatment: lift.treatment,
        }),
    }
}

fn parked(outcome::Parked { user, evidence }: &outcome::Parked) -> reports::ParkedGrant {
    let is_dated = evidence.first_sent_at != WallTime::UNIX_EPOCH && evidence.first_sent_at != WallTime::MAX;
    reports::ParkedGrant {
        user: users::name(*user),
        grant: evidence.grant.to_string(),
        reason: evidence.reason.name().to_owned(),
        look_up: evidence.reason.look_up().to_owned(),
        attempts: evidence.attempts,
        answer: evidence.answer.map(|answer| answer.name().to_owned()),
        first_sent_at: is_dated.then(|| utc(evidence.first_sent_at)),
        sent_until: utc(evidence.sent_until),
        parked_at: utc(evidence.parked_at),
    }
}

/// RFC 3339; a time that no calendar holds is its nanoseconds since 1970.
pub(crate) fn utc(at: WallTime) -> String {
    let nanos = i128::from(at.as_unix_nanos());
    jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| format!("{nanos} ns"), |timestamp| timestamp.to_string())
}
