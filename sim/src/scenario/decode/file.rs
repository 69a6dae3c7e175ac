//! A whole scenario file: its keys at the top, and what holds between its tables.
//!
//! Owns the order in which tables are read (what others refer to comes first) and the rules that no single table can
//! check: something must visit, a spike needs something to multiply, the calm must outlast what is under way.

use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::time::WallTime;

use super::super::form::{Form, Need};
use super::super::{Authority, Caller, Fault, FaultKind, HookKind, Scenario, Traffic, Users};
use super::expect::{Scene, expects, windows};
use super::fault::{Frame, faults};
use super::names::Names;
use super::trace::Files;
use super::traffic::{self, traffic};
use super::tree::{Flaw, Reader};
use super::units::{self, DURATION_MAX, written};
use super::{experiment, hooks, settings, upstream};

/// 2026-01-01T00:00:00Z.
const START: WallTime = WallTime::from_unix_nanos(1_767_225_600_000_000_000);

const CALM: Duration = Duration::from_secs(600);

/// The most versions that a scenario rolls out.
const DEPLOYS_MAX: usize = 255;

const SEED_MAX: u64 = i64::MAX as u64;

/// Reads the experiment of a file and nothing else. Nothing only if a problem was reported (`DECODE-1`).
pub(super) fn experiment(mut root: Reader<'_>) -> Option<Experiment> {
    let _: Option<u32> = root.get("schema", schema);
    base(&mut root).map(|base| base.experiment)
}

fn base(root: &mut Reader<'_>) -> Option<experiment::Base> {
    experiment::base(root.need_table("experiment", "[experiment]", "[experiment] with `id` and two variants"))
}

/// Reads a whole file. Nothing only if a problem was reported (`DECODE-1`).
pub(super) fn file(mut root: Reader<'_>, name: &str, digest: [u8; 32], files: &mut Files<'_>) -> Option<Scenario> {
    let _: Option<u32> = root.need("schema", "1", schema);
    let title = root.need("title", "\"What happens\"", units::filled_text);
    let about = root.get("about", units::text).unwrap_or_default();
    let seed = root.get("seed", units::integer(0..=SEED_MAX)).unwrap_or(1);
    let start = root.get("start", units::start).unwrap_or(START);
    let (duration, calm) = times(&mut root);

    let hooks = hooks::hooks(&mut root);
    let excuses = hooks::excuses(&mut root);
    let base = base(&mut root);
    let quota = settings::quota(root.table("quota", "[quota]"));
    let users_reader = root.table("users", "[users]");
    let has_users = users_reader.is_present();
    let users = settings::users(users_reader);
    let caller = settings::caller(root.table("caller", "[caller]"));
    let fleet = settings::fleet(root.table("fleet", "[fleet]"), duration);
    let store = settings::store(root.table("store", "[store]"));
    let upstream = upstream::upstream(root.table("upstream", "[upstream]"));
    let hardened = settings::hardened(root.table("hardened", "[hardened]"));

    let mut fault_readers = root.tables("fault", "[[fault]]");
    let mut traffic_readers = root.tables("traffic", "[[traffic]]");
    let mut window_readers = root.tables("window", "[[window]]");
    let mut names = Names::default();
    names.claim(root.sink(), [&mut fault_readers, &mut traffic_readers, &mut window_readers]);
    let frame = Frame { duration, instances: fleet.instances, deployed: base.as_ref().map(|base| &base.experiment) };
    let traffic = traffic(traffic_readers, &mut names, &mut traffic::Frame { duration, has_users, files });
    let faults = faults(fault_readers, &mut names, &frame);
    let windows = windows(window_readers, duration);
    let expects = expects(
        root.tables("expect", "[[expect]]"),
        &Scene {
            hooks: &hooks.run,
            faults: &faults,
            traffic: &traffic,
            windows: &windows,
            names: &names,
            duration,
            calm,
        },
    );
    root.needs(Need::Some(&["users", "traffic"]));
    if !has_users || users.is_some() {
        check_something_visits(&root, users.as_ref(), &traffic);
    }
    check_calm(&root, calm, &caller, &faults);
    if faults.iter().filter(|fault| fault.is_deploy()).count() > DEPLOYS_MAX {
        let cause = format!("there are more than {DEPLOYS_MAX} faults of kind process.deploy");
        root.sink().flaw(&root.place_of("fault"), Flaw::new(cause, "split the scenario"));
    }
    root.finish();

    let base = base?;
    let scenario = Scenario {
        name: name.to_owned(),
        digest: files.digest(digest),
        title: title?,
        about,
        seed,
        start,
        duration,
        calm,
        hooks: hooks.run,
        judge: hooks.judge,
        excuses,
        experiment: base.experiment,
        true_lift: base.true_lift,
        quota,
        users,
        traffic,
        caller,
        fleet,
        store,
        upstream,
        hardened,
        faults,
        windows,
        expects,
    };
    check_delivery(&root, &scenario);
    check_authority(&root, &scenario);
    Some(scenario)
}

/// What the core itself demands of the delivery's settings.
fn check_delivery(root: &Reader<'_>, scenario: &Scenario) {
    if let Err(error) = scenario.hook_config().check() {
        let remedy = "change one of them in [hardened], or `clock-error` of [store]";
        root.sink().flaw(&root.place_of("hardened"), Flaw::new(error.to_string(), remedy));
    }
}

/// A store for each instance is several authorities over one lineage. Here that can be seen, so no hook that is judged may run
/// so; with `judge = []` a scenario may show what comes of it.
fn check_authority(root: &Reader<'_>, scenario: &Scenario) {
    let is_split = scenario.store.authority == Authority::PerInstance && scenario.fleet.instances > 1;
    if is_split && scenario.judge.contains(&HookKind::Hardened) {
        let cause = format!(
            "{} embedded stores would serve one lineage, and no promise survives that",
            scenario.fleet.instances
        );
        let remedy =
            "remove `authority`, let the fleet have one instance, or write `judge = []` to see what comes of it";
        root.sink().flaw(&root.place_of("store"), Flaw::new(cause, remedy));
    }
}

pub(super) fn schema(value: &toml::de::DeValue<'_>) -> Result<u32, Flaw> {
    units::integer(1..=1)(value).map_err(|_| {
        let cause = format!("this version reads schema 1, found {}", units::found(value));
        let remedy = "write `schema = 1`, or use a version that reads this file";
        Flaw::new(cause, remedy).taking(Form::Integer { low: 1, high: 1 })
    })
}

/// `duration` and `calm`. A duration that is wrong reads as the longest, so that nothing is said to end after it.
fn times(root: &mut Reader<'_>) -> (Duration, Duration) {
    let duration = root.need_placed("duration", "\"480s\"", units::positive_duration);
    let calm = root.placed("calm", units::duration);
    let calm_place = calm.as_ref().map(|calm| calm.place.clone());
    let calm = calm.map_or(CALM, |calm| calm.value);
    if let Some(duration) = &duration
        && duration.value + calm > DURATION_MAX
    {
        let cause =
            format!("`duration` and `calm` are {} together, more than 100 years", written(duration.value + calm));
        let place = calm_place.as_ref().unwrap_or(&duration.place);
        root.sink().flaw(place, Flaw::new(cause, "shorten one of them"));
    }
    (duration.map_or(DURATION_MAX, |duration| duration.value), calm)
}

fn check_something_visits(root: &Reader<'_>, users: Option<&Users>, traffic: &[Traffic]) {
    let has_own_visits = users.is_some_and(|users| users.visits.is_some());
    // Entries of [[traffic]] that are broken might have been the open one.
    if has_own_visits
        || traffic.iter().any(|traffic| traffic.kind.is_open())
        || traffic.is_empty() && root.has("traffic")
    {
        return;
    }
    let remedy = "add `visits = { mean = 1.9, per = \"28d\" }` to [users], or a [[traffic]] with `kind = \"steady\"`";
    let (place, cause) = if traffic.is_empty() {
        (root.place_of("users"), "nothing would visit: there are neither `visits` of [users] nor [[traffic]]")
    } else {
        (root.place_of("traffic"), "nothing would visit: a spike has no arrivals to multiply")
    };
    root.sink().gap(&place, Flaw::new(cause, remedy));
}

/// The calm must be at least as long as whatever a caller or a process may still be in the middle of.
fn check_calm(root: &Reader<'_>, calm: Duration, caller: &Caller, faults: &[Fault]) {
    let is_pause = |fault: &&Fault| matches!(fault.kind, FaultKind::ProcessPause { .. });
    let process_pause = faults.iter().filter(is_pause).map(|fault| fault.length).max().unwrap_or_default();
    let reasons = [
        ("the caller's deadline", caller.deadline),
        ("the caller's longest pause", caller.pause_to),
        ("the longest pause of a process", process_pause),
    ];
    for (what, length) in reasons {
        if calm < length {
            let cause = format!("the calm of {} is shorter than {what} of {}", written(calm), written(length));
            let remedy = format!("set `calm` to at least \"{}\"", written(length));
            root.sink().flaw(&root.place_of("calm"), Flaw::new(cause, remedy));
        }
    }
}
