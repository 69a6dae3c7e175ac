//! Who visits how often, and what that means for the quota service.

use std::time::Duration;

use hookproof_sim::demand::{Backlog, Demand};
use hookproof_sim::scenario::{
    Popularity, Probability, Rhythm, Scenario, Selection, Spacing, Traffic, TrafficKind, Users,
};

use super::words::{about, amount, grouped, length, list, percent};

pub(super) fn visits(scenario: &Scenario, demand: &Demand) -> Vec<String> {
    let mut lines = vec![users(scenario.users.as_ref())];
    lines.extend(scenario.traffic.iter().map(traffic));
    let peak = demand.peak_visits();
    let mean = demand.visits() / scenario.duration.as_secs_f64();
    lines.push(format!(
        "In all about {} visits, {}/s on average and {}/s at most, from {} on. About {} users come.",
        amount(demand.visits()),
        amount(mean),
        amount(peak.per_second),
        about_moment(peak.at),
        amount(demand.users())
    ));
    lines.push(format!(
        "About {} of them are promised a grant, {} {} in all.",
        amount(demand.grants()),
        amount(demand.grants() * demand.units_mean),
        scenario.quota.unit
    ));
    lines.push(caller(scenario));
    lines
}

fn users(users: Option<&Users>) -> String {
    let Some(users) = users else { return "Every arrival is a new user.".to_owned() };
    let population = grouped(f64::from(users.population));
    match &users.visits {
        None => format!("A population of {population}; each arrival is one of them."),
        Some(visits) => {
            let spread = if visits.shape.is_some() { "some more often than others" } else { "all alike" };
            let per = length(visits.per);
            format!(
                "A population of {population}, each of whom comes {} times in {per} on average, {spread}.",
                amount(visits.mean)
            )
        }
    }
}

fn traffic(traffic: &Traffic) -> String {
    let (at, lasts) = traffic.kind.stretch();
    let (at, lasts) = (length(at), length(lasts));
    let when = format!("from {at} for {lasts}");
    let rate = |per_second: f64| format!("{}/s", amount(per_second));
    let what = match &traffic.kind {
        TrafficKind::Spike { factor, .. } => format!("{when} everybody comes {} times as often", amount(*factor)),
        TrafficKind::Steady { rate_per_second, spacing, .. } => {
            format!("{} {when}{}", rate(*rate_per_second), spaced(*spacing))
        }
        TrafficKind::Ramp { from_per_second, to_per_second, spacing, .. } => {
            let (low, high) = (rate(*from_per_second), rate(*to_per_second));
            format!("from {low} to {high}, {when}{}", spaced(*spacing))
        }
        TrafficKind::Burst { rate_per_second, idle_per_second, burst, every, rhythm, spacing, .. } => {
            let (high, low) = (rate(*rate_per_second), rate(*idle_per_second));
            let mean = if *rhythm == Rhythm::Random { " on average, at random" } else { "" };
            let (burst, every) = (length(*burst), length(*every));
            format!("{high} for {burst} in every {every}{mean}, {low} between, {when}{}", spaced(*spacing))
        }
        TrafficKind::Diurnal { rate_per_second, peak_per_second, period, peak_at, spacing, .. } => {
            let (mean, peak) = (rate(*rate_per_second), rate(*peak_per_second));
            let (period, peak_at) = (length(*period), length(*peak_at));
            format!("{mean} on average, swinging to {peak} at {peak_at} in every {period}, {when}{}", spaced(*spacing))
        }
        TrafficKind::Trace { trace, scale, speed, spacing, .. } => {
            let recorded = grouped(trace.intervals().iter().map(|interval| f64::from(interval.arrivals)).sum());
            let times =
                if scale.total_cmp(&1.0).is_eq() { String::new() } else { format!(", times {}", amount(*scale)) };
            let fast = if speed.total_cmp(&1.0).is_eq() {
                String::new()
            } else {
                format!(" at {} times its speed", amount(*speed))
            };
            format!("a recording of {recorded} arrivals{times}, played{fast}, {when}{}", spaced(*spacing))
        }
    };
    format!("{}: {what}{}.", traffic.name, whom(traffic.selection))
}

const fn spaced(spacing: Spacing) -> &'static str {
    match spacing {
        Spacing::Poisson => "",
        Spacing::Even => ", evenly spaced",
    }
}

/// Who comes, where it is not everybody alike.
fn whom(selection: Selection) -> String {
    let share = |probability: Probability| percent(f64::from(probability.ppm()) / 1e6);
    let crowd = match selection.popularity {
        Popularity::Uniform => String::new(),
        Popularity::Hot { users, arrivals } => {
            format!("; {} of the users make {} of it", share(users), share(arrivals))
        }
        Popularity::Zipf { exponent } => format!("; users by Zipf's law with exponent {}", amount(exponent)),
    };
    if selection.returning == Probability::ZERO {
        return crowd;
    }
    format!("{crowd}; {} are users of the last {} arrivals", share(selection.returning), selection.recent)
}

fn caller(scenario: &Scenario) -> String {
    let caller = &scenario.caller;
    let retries = match caller.retries {
        Some(0) => "and does not try again".to_owned(),
        Some(retries) => {
            format!("and tries again up to {retries} times, after {}", pause(caller.pause_from, caller.pause_to))
        }
        None => format!("and tries again for ever, after {} each time", pause(caller.pause_from, caller.pause_to)),
    };
    let leaves = match caller.give_up.ppm() {
        0 => String::new(),
        ppm => format!("; {} leave before each retry", percent(f64::from(ppm) / 1e6)),
    };
    let instances = match scenario.fleet.instances {
        1 => "one instance".to_owned(),
        several => format!("one of {several} instances, drawn uniformly"),
    };
    format!("A visit goes to {instances}; its caller waits {}, {retries}{leaves}.", length(caller.deadline))
}

fn pause(from: Duration, to: Duration) -> String {
    if from == to { length(from) } else { format!("{} to {}", length(from), length(to)) }
}

fn about_moment(at: Duration) -> String {
    length(Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX)))
}

/// Grants a second that the hardened hook can deliver where nothing is in its way.
pub(super) fn delivery_per_second(scenario: &Scenario) -> f64 {
    bounds(scenario).into_iter().map(|(_, bound)| bound).fold(f64::INFINITY, f64::min)
}

/// What bounds the delivery, each by itself.
fn bounds(scenario: &Scenario) -> [(&'static str, f64); 3] {
    let limits = scenario.hook_config().delivery.fleet_limits();
    let service = scenario.upstream.service_time.mean_seconds();
    [
        ("the service's capacity", scenario.upstream.capacity_per_second()),
        ("max-in-flight", f64::from(limits.max_in_flight) / service),
        ("effects-per-minute", f64::from(limits.effects_per_minute) / 60.0),
    ]
}

/// No scenario can have a longer one.
const CALM_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// How long the calm must be for everything promised to settle: the backlog, and the longest wait before the next try.
pub(super) fn calm_needed(scenario: &Scenario, backlog: &Backlog) -> Duration {
    let delivery = scenario.hook_config().delivery;
    let wait = delivery.backoff_cap.max(delivery.breaker.open_cap).saturating_add(delivery.attempt_timeout);
    if backlog.peak < 1.0 { backlog.drained_after } else { backlog.drained_after.saturating_add(wait) }
}

pub(super) fn upstream(scenario: &Scenario, demand: &Demand) -> Vec<String> {
    vec![capacity(scenario, demand), worst_case(scenario, demand), backlog(scenario, demand)]
}

fn capacity(scenario: &Scenario, demand: &Demand) -> String {
    let (capacity, peak) = (scenario.upstream.capacity_per_second(), demand.peak_grants());
    let upstream = &scenario.upstream;
    let queue = match upstream.queue {
        None => "any number may wait".to_owned(),
        Some(waiting) => format!("{} may wait, others get 503", grouped(f64::from(waiting))),
    };
    let load = peak.per_second / capacity;
    let verdict = if load > 1.0 { "more than it can do" } else { "within what it can do" };
    format!(
        "It serves {} requests a second ({} at once, {} each on average); {queue}. New grants come at up to {}/s, from {} on: \
         {} of the capacity, {verdict}.",
        amount(capacity),
        grouped(f64::from(upstream.workers)),
        about_service(upstream.service_time.mean_seconds()),
        amount(peak.per_second),
        about_moment(peak.at),
        percent(load)
    )
}

fn about_service(seconds: f64) -> String {
    length(Duration::from_micros(Duration::from_secs_f64(seconds).as_micros().try_into().unwrap_or(u64::MAX)))
}

/// What a hook without memory sends, if every try of a treated user is a request.
fn worst_case(scenario: &Scenario, demand: &Demand) -> String {
    let capacity = scenario.upstream.capacity_per_second();
    let sent = demand.peak_visits().per_second * demand.grants_per_user();
    let of_capacity = |rate: f64| format!("{}/s, {} of the capacity", amount(rate), percent(rate / capacity));
    let retries = match scenario.caller.retries {
        Some(0) => "; callers do not add to that".to_owned(),
        Some(retries) => {
            let worst = of_capacity(sent * f64::from(retries.saturating_add(1)));
            format!("; with every retry of its callers {worst}")
        }
        None => "; its callers' retries add to that without limit".to_owned(),
    };
    format!("A hook that asks at every visit of a treated user would send up to {}{retries}.", of_capacity(sent))
}

fn backlog(scenario: &Scenario, demand: &Demand) -> String {
    let per_second = delivery_per_second(scenario);
    let backlog = demand.backlog(scenario, per_second);
    let bounding = bounds(scenario).into_iter().filter(|(_, bound)| *bound <= per_second);
    let bounding: Vec<&str> = bounding.map(|(name, _)| name).collect();
    let delivers = format!("The hardened hook delivers up to {}/s, bounded by {}", amount(per_second), list(&bounding));
    let (needed, calm) = (calm_needed(scenario, &backlog), scenario.calm);
    if backlog.peak < 1.0 {
        return format!("{delivers}; no backlog builds up, and the calm of {} is long enough.", length(calm));
    }
    let enough = if needed <= calm { "is long enough" } else { "may be too short, which makes GRANT-3 inconclusive" };
    let need = if needed <= CALM_MAX { format!("about {}", about(needed)) } else { "more than 100 years".to_owned() };
    format!(
        "{delivers}. At worst about {} grants wait, at {}, and {} when the storm ends; they need {need} of calm, so the calm \
         of {} {enough}.",
        grouped(backlog.peak),
        about_moment(backlog.peak_at),
        grouped(backlog.left),
        length(calm)
    )
}
