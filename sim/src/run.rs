//! One run from a scenario to an outcome.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hookproof_core::protection::Protections;
use hookproof_core::store::Image;
use hookproof_core::time::Instant;

use crate::chronicle::{Chronicle, Entry, Listener};
use crate::expectation::{Measured, judge};
use crate::metrics::Metric;
use crate::metrics::allocation::Allocation;
use crate::metrics::measure::{measure, quantile, unsupported};
use crate::metrics::reached::Reached;
use crate::metrics::recorder::{Epoch, Recorder, Stretch};
use crate::oracle::Rule;
use crate::outcome::{Expectation, Experiment, Invariant, Outcome, Parked, Restart, Role, Value, Verdict};
use crate::scenario::{Expect, HookKind, Scenario, Span};
use crate::world::{Finished, Recording, Recordings, Setting, World};

/// Quantiles of latency in a record, in parts per million.
const QUANTILES_PPM: [u32; 9] = [0, 250_000, 500_000, 750_000, 900_000, 990_000, 999_000, 999_900, 1_000_000];

/// Restarts in an outcome.
const RESTARTS_MAX: usize = 1_000;

/// Parked grants in an outcome.
const PARKED_MAX: usize = 10;

/// Runs one hook through one scenario with one seed. `progress` is told now and then which share of virtual time has
/// passed (0 to 1).
pub fn run(scenario: &Scenario, hook: HookKind, seed: u64, progress: &mut dyn FnMut(f64)) -> Outcome {
    let setting = Setting { hook, protections: Protections::ALL, sabotage: None, recording: Recording::Off, seed };
    run_with(scenario, setting, progress).0
}

/// Like [`run`], with a protection removed or with recordings. The recordings are empty unless asked for.
pub fn run_with(scenario: &Scenario, setting: Setting, progress: &mut dyn FnMut(f64)) -> (Outcome, Vec<Recordings>) {
    let (outcome, recordings, _) = run_world(scenario, setting, Told::default(), progress);
    (outcome, recordings)
}

/// Like [`run_with`], and tells what happened to `users` besides. The outcome is that of the run which nobody tells of.
pub fn run_telling(
    scenario: &Scenario,
    setting: Setting,
    users: &[u32],
    progress: &mut dyn FnMut(f64),
) -> (Outcome, Chronicle) {
    let told = Told { chronicle: Some(Chronicle::of_users(users)), listener: None };
    let (outcome, _, told) = run_world(scenario, setting, told, progress);
    (outcome, told.expect("a world gives back what it was given to tell"))
}

/// Like [`run_with`], and tells `listener` everything that happens as it happens, in order of time. The outcome is that of the
/// run to which nobody listens.
pub fn run_listening(
    scenario: &Scenario,
    setting: Setting,
    listener: &mut dyn FnMut(&Entry),
    progress: &mut dyn FnMut(f64),
) -> Outcome {
    run_world(scenario, setting, Told { chronicle: None, listener: Some(listener) }, progress).0
}

/// Who is told of a run.
#[derive(Default)]
struct Told<'l> {
    chronicle: Option<Chronicle>,
    listener: Option<Listener<'l>>,
}

fn run_world(
    scenario: &Scenario,
    setting: Setting,
    told: Told<'_>,
    progress: &mut dyn FnMut(f64),
) -> (Outcome, Vec<Recordings>, Option<Chronicle>) {
    let placed = scenario.placed(setting.seed);
    let scenario = placed.as_ref();
    let about_hook = |expect: &&Expect| expect.hook.is_none_or(|hook| hook == setting.hook);
    let expects: Vec<&Expect> = scenario.expects.iter().filter(about_hook).collect();
    let mut spans = vec![whole_run(scenario)];
    for expect in &expects {
        if !spans.contains(&expect.during) {
            spans.push(expect.during.clone());
        }
    }
    let mut finished = World::new(scenario, setting, spans.clone())
        .telling(told.chronicle)
        .listened(told.listener.map(|listener| listener as Listener<'_>))
        .run(progress);
    let told = finished.chronicle.take();
    if role(scenario, setting.hook) == Role::Judged && finished.recorder.has(Reached::WallClockChanges) {
        judge_time(scenario, setting, spans, &mut finished);
    }
    let (outcome, recordings) = judge_run(scenario, setting, &expects, finished);
    (outcome, recordings, told)
}

/// `TIME-1`: the same run, with every process shown the true time for UTC, gives the same digest.
///
/// Only a run in which the wall clock of some instance was moved is run again, so nothing else pays for it.
fn judge_time(scenario: &Scenario, setting: Setting, spans: Vec<Span>, finished: &mut Finished) {
    let setting = Setting { recording: Recording::Off, ..setting };
    let other = World::new(scenario, setting, spans).with_true_walls().run(&mut |_| {});
    let end = Instant::ORIGIN + scenario.duration + scenario.calm;
    let (with, without) = (finished.digest.value(), other.digest.value());
    finished.oracles.check(Rule::Time1, end, None, with == without, || {
        format!("the digest is {with:032x}, and {without:032x} where wall clocks are right")
    });
}

fn whole_run(scenario: &Scenario) -> Span {
    let end = scenario.duration + scenario.calm;
    Span { name: "run".into(), stretches: vec![(std::time::Duration::ZERO, end)], fault: None }
}

fn judge_run(
    scenario: &Scenario,
    setting: Setting,
    expects: &[&Expect],
    finished: Finished,
) -> (Outcome, Vec<Recordings>) {
    let Finished { recorder, oracles, faults, store, digest, hook_calls, events, recordings, chronicle: _ } = finished;
    let unsupported = unsupported(setting.hook);
    let has_store = setting.hook == HookKind::Hardened;
    let images: Vec<&Image> = if has_store { store.images().collect() } else { Vec::new() };
    let measured: Vec<BTreeMap<Metric, Value>> = (0..recorder.stretches.len())
        .map(|index| {
            let mut metrics = measure(scenario, &recorder, &images, index);
            metrics.retain(|metric, _| !unsupported.contains(metric));
            metrics
        })
        .collect();
    let accounts = faults.accounts();
    let judged = |expect: &&Expect| {
        let index = recorder.stretches.iter().position(|stretch| stretch.span == expect.during).unwrap_or(0);
        judge(expect, &Measured { metrics: &measured[index], unsupported: &unsupported, faults: &accounts })
    };
    let expectations: Vec<Expectation> = expects.iter().map(judged).collect();
    let invariants = oracles.findings();
    let role = role(scenario, setting.hook);
    let calls_answered = hook_calls.saturating_sub(recorder.stretches[0].errors);
    let outcome = Outcome {
        hook: setting.hook,
        role,
        seed: setting.seed,
        digest: digest.value(),
        verdict: verdict(role, calls_answered, &expectations, &invariants),
        metrics: measured.into_iter().next().unwrap_or_default(),
        unsupported,
        expectations,
        invariants,
        faults: accounts,
        reached: recorder.reached(),
        grants_parked: images.iter().map(|image| image.counts().parked).sum(),
        series: recorder.series(),
        capacity_per_second: Some(scenario.upstream.capacity_per_second()).filter(|capacity| capacity.is_finite()),
        restarts: restarts(&recorder),
        grants_per_user: recorder.grants_per_user(),
        latency_us: quantiles(&recorder.stretches[0]),
        worst_users: recorder.stretches[0].allocation.as_ref().map(|all| all.worst.clone()).unwrap_or_default(),
        parked: parked(&images),
        experiment: experiment(&recorder),
        hook_calls,
        calls_answered,
        events,
    };
    (outcome, recordings)
}

/// A hook that the file does not name is judged by the default rule: all but the two programs are.
fn role(scenario: &Scenario, hook: HookKind) -> Role {
    let is_named = scenario.hooks.contains(&hook);
    if scenario.judge.contains(&hook) || !is_named && hook == HookKind::Hardened {
        Role::Judged
    } else {
        Role::Reference
    }
}

/// What an analyst sees when the run is over; nothing where nobody is exposed.
fn experiment(recorder: &Recorder) -> Option<Experiment> {
    let all = recorder.stretches[0].allocation.as_ref().filter(|all| all.exposed > 0)?;
    let Allocation { exposed, contaminated_users, srm_p, srm_exact_p, lift, .. } = *all;
    let srm_sequential_p = srm_p.map(|_| recorder.entitlements.sequential_p_value(&recorder.users));
    let arms = all.arms.clone();
    Some(Experiment { arms, exposed, contaminated: contaminated_users, srm_p, srm_exact_p, srm_sequential_p, lift })
}

/// The first parked grants with their evidence.
fn parked(images: &[&Image]) -> Vec<Parked> {
    let all = images.iter().flat_map(|image| image.parked()).map(|(user, evidence)| Parked {
        user: u32::try_from(user.0).expect("users are numbered by u32 in the simulator"),
        evidence: *evidence,
    });
    all.take(PARKED_MAX).collect()
}

/// The restarts across which most users switched, in order of time.
fn restarts(recorder: &Recorder) -> Vec<Restart> {
    let restart = |(epoch, seen_before): (&Epoch, u64)| Restart {
        at: epoch.at.since(Instant::ORIGIN),
        users: seen_before + epoch.seen - epoch.seen_in_both,
        returning: epoch.seen_in_both,
        switched: epoch.switched,
    };
    let mut restarts: Vec<Restart> = recorder.restarts().map(restart).collect();
    if restarts.len() > RESTARTS_MAX {
        restarts.sort_by_key(|restart| Reverse(restart.switched));
        restarts.truncate(RESTARTS_MAX);
        restarts.sort_by_key(|restart| restart.at);
    }
    restarts
}

fn quantiles(stretch: &Stretch) -> Vec<(u32, u64)> {
    QUANTILES_PPM.into_iter().filter_map(|ppm| Some((ppm, quantile(&stretch.latency_us, ppm)?))).collect()
}

/// Violated before inconclusive before pass; invariants count for a judged hook only. Where nobody was answered, nothing is proved.
fn verdict(role: Role, calls_answered: u64, expectations: &[Expectation], invariants: &[Invariant]) -> Verdict {
    let is_judged = role == Role::Judged;
    let any = |verdict| expectations.iter().any(|expectation| expectation.verdict == verdict);
    if any(Verdict::Violated) || is_judged && invariants.iter().any(|invariant| invariant.violations > 0) {
        Verdict::Violated
    } else if calls_answered == 0
        || any(Verdict::Inconclusive)
        || is_judged && invariants.iter().any(|invariant| invariant.inconclusive > 0)
    {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}
