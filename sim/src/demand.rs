//! What a scenario will ask of hook and quota service, worked out on average and before any run.
//!
//! Owns the arithmetic of expectation: visits over time, first visits of users, grants, and the backlog of a service that is
//! away for a while. It is a fluid model: quantities are means, slices are short, chance is left out. It does not know
//! how a run goes; what a run measured stands in the record.
//!
//! * `DEMAND-1`: the slices cover the storm without gap or overlap, and every edge of a traffic or fault is one of theirs, as
//!   long as there are fewer than `EDGES_MAX` of them.
//!
//! No time but the scenario's own; no chance but the lengths of random bursts, which are those of the scenario's seed. Tests: below.

use std::time::Duration;

use hookproof_core::time::Instant;

use crate::scenario::{Fault, FaultKind, Scenario, Users};
use crate::seed::Draws;
use crate::traffic::Arrivals;

/// Slices of equal length, before edges are added.
const SLICES: u32 = 480;

/// Edges of repeated faults beyond this are left out: the slices are then what they are.
const EDGES_MAX: usize = 20_000;

/// A stretch of the storm in which rates are taken for constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// Its start.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// Visits in it, retries not counted.
    pub visits: f64,
    /// Users who visit for the first time.
    pub new_users: f64,
}

/// A rate and when it is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Per second.
    pub per_second: f64,
    /// The start of the first slice that has it.
    pub at: Duration,
}

/// What a scenario asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The storm, slice by slice.
    pub slices: Vec<Slice>,
    /// Share of new users who are enrolled, under the file's own version.
    pub enrolled_share: f64,
    /// Share of enrolled users whose variant has a grant.
    pub treated_share: f64,
    /// Units granted to a treated user, on average.
    pub units_mean: f64,
}

/// What waits when new grants come faster than they can be delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backlog {
    /// Grants that wait at the worst moment.
    pub peak: f64,
    /// That moment.
    pub peak_at: Duration,
    /// Grants that wait when the storm ends.
    pub left: f64,
    /// How long delivering these takes in the calm.
    pub drained_after: Duration,
}

impl Slice {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from).as_secs_f64()
    }
}

impl Demand {
    /// Of `scenario`.
    pub fn of(scenario: &Scenario) -> Self {
        let variants = scenario.experiment.variants();
        let total: f64 = variants.iter().map(|variant| f64::from(variant.weight)).sum();
        let treated =
            || variants.iter().filter_map(|variant| Some((f64::from(variant.weight), variant.grant.as_ref()?)));
        let treated_weight: f64 = treated().map(|(weight, _)| weight).sum();
        let units: f64 = treated().map(|(weight, grant)| weight * f64::from(grant.units)).sum();
        let enrolled = if scenario.experiment.is_ended() { 0 } else { scenario.experiment.coverage_ppm() };
        Self {
            slices: slices(scenario),
            enrolled_share: f64::from(enrolled) / 1e6,
            treated_share: treated_weight / total,
            units_mean: if treated_weight > 0.0 { units / treated_weight } else { 0.0 },
        }
    }

    /// Visits in all.
    pub fn visits(&self) -> f64 {
        self.slices.iter().map(|slice| slice.visits).sum()
    }

    /// Users who visit at least once.
    pub fn users(&self) -> f64 {
        self.slices.iter().map(|slice| slice.new_users).sum()
    }

    /// Users who are promised a grant.
    pub fn grants(&self) -> f64 {
        self.users() * self.grants_per_user()
    }

    /// Grants for each new user.
    pub fn grants_per_user(&self) -> f64 {
        self.enrolled_share * self.treated_share
    }

    /// The most visits a second.
    pub fn peak_visits(&self) -> Peak {
        self.peak(|slice| slice.visits)
    }

    /// The most new grants a second.
    pub fn peak_grants(&self) -> Peak {
        self.peak(|slice| slice.new_users * self.grants_per_user())
    }

    fn peak(&self, count: impl Fn(&Slice) -> f64) -> Peak {
        let rates = self.slices.iter().map(|slice| Peak { per_second: count(slice) / slice.seconds(), at: slice.from });
        let higher = |best: Peak, rate: Peak| {
            // Slices of one rate differ in the last digits only; the first of them is meant.
            if rate.per_second > best.per_second * (1.0 + 1e-6) { rate } else { best }
        };
        rates.fold(Peak { per_second: 0.0, at: Duration::ZERO }, higher)
    }

    /// The backlog of new grants, if each needs one request and `per_second` of them can be delivered where no fault of
    /// `scenario` is in the way.
    pub fn backlog(&self, scenario: &Scenario, per_second: f64) -> Backlog {
        let (mut waiting, mut peak, mut peak_at) = (0.0_f64, 0.0_f64, Duration::ZERO);
        for slice in &self.slices {
            let delivered = per_second * left_by_faults(scenario, slice) * slice.seconds();
            waiting = (waiting + slice.new_users * self.grants_per_user() - delivered).max(0.0);
            if waiting > peak {
                (peak, peak_at) = (waiting, slice.to);
            }
        }
        let seconds = if waiting > 0.0 { waiting / per_second } else { 0.0 };
        let drained_after = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Backlog { peak, peak_at, left: waiting, drained_after }
    }
}

/// The share of the delivery rate that the faults of a slice leave.
fn left_by_faults(scenario: &Scenario, slice: &Slice) -> f64 {
    let is_active = |fault: &&Fault| {
        let lasts = fault.lasts();
        let covers = |start: Duration| start <= slice.from && slice.from < start + lasts;
        fault.starts(scenario.duration).take_while(|start| *start <= slice.from).any(covers)
    };
    scenario.faults.iter().filter(is_active).map(share_left).product()
}

/// The share of requests that are delivered while the fault lasts.
fn share_left(fault: &Fault) -> f64 {
    let taken = f64::from(fault.probability.ppm()) / 1e6;
    match &fault.kind {
        FaultKind::NetworkLoss
        | FaultKind::NetworkPartition
        | FaultKind::NetworkReset
        | FaultKind::QuotaOutage { .. }
        | FaultKind::QuotaErrorBefore
        | FaultKind::QuotaThrottle { .. }
        | FaultKind::StoreError
        | FaultKind::StoreOutage
        | FaultKind::StoreReadOnly
        | FaultKind::StoreFull => 1.0 - taken,
        FaultKind::QuotaSlow { factor } => 1.0 / (1.0 - taken + taken * factor).max(1.0),
        // Work that is done once and asked for again.
        FaultKind::NetworkLostReply
        | FaultKind::NetworkDuplicate
        | FaultKind::QuotaErrorAfter
        | FaultKind::QuotaLostReply
        | FaultKind::QuotaReplay { .. }
        | FaultKind::QuotaMalformed
        | FaultKind::StoreLostAck => 1.0 / (1.0 + taken),
        FaultKind::ClockOffset { .. }
        | FaultKind::ClockDrift { .. }
        | FaultKind::ClockStep { .. }
        | FaultKind::ClockFreeze
        | FaultKind::ClockStrobe { .. }
        | FaultKind::ProcessCrash { .. }
        | FaultKind::ProcessPause { .. }
        | FaultKind::ProcessRollingRestart { .. }
        | FaultKind::ProcessDeploy { .. }
        | FaultKind::NetworkLatency { .. }
        | FaultKind::NetworkReorder
        | FaultKind::QuotaRestart
        | FaultKind::QuotaKeyLag { .. }
        | FaultKind::QuotaFalseAck
        | FaultKind::StoreLatency { .. }
        | FaultKind::StoreFailover { .. } => 1.0,
    }
}

fn slices(scenario: &Scenario) -> Vec<Slice> {
    let arrivals = Arrivals::new(scenario, Draws::new(scenario.seed));
    let moment = |at: Duration| Instant::ORIGIN + at;
    let edges = edges(scenario);
    let crowd = Crowd::new(scenario, &arrivals);
    let mut drawn = vec![0.0; usize::from(arrivals.open_count())];
    let (mut operational, mut met) = (0.0, 0.0);
    let slices = edges.windows(2).map(|ends| {
        let [from, to] = [ends[0], ends[1]];
        let seconds = arrivals.age(moment(from), moment(to));
        let mut visits = own_rate(scenario) * seconds;
        for (drawn, process) in drawn.iter_mut().zip(0..) {
            let open = arrivals.expected(process, moment(from), moment(to));
            visits += open;
            *drawn += open * arrivals.fresh(process);
        }
        operational += seconds;
        let before = std::mem::replace(&mut met, crowd.met(operational, &drawn));
        Slice { from, to, visits, new_users: met - before }
    });
    slices.collect()
}

/// Where a slice ends and the next begins.
fn edges(scenario: &Scenario) -> Vec<Duration> {
    let storm = scenario.duration;
    let grid = (0..=SLICES).map(|n| storm.mul_f64(f64::from(n) / f64::from(SLICES)));
    let of_traffic = scenario.traffic.iter().flat_map(|traffic| {
        let (at, length) = traffic.kind.stretch();
        [at, at + length]
    });
    let of_faults = scenario
        .faults
        .iter()
        .flat_map(|fault| fault.starts(storm).take(EDGES_MAX).flat_map(|start| [start, start + fault.lasts()]));
    let mut edges: Vec<Duration> = grid.chain(of_traffic).chain(of_faults.take(EDGES_MAX)).collect();
    edges.retain(|edge| *edge <= storm);
    edges.push(storm);
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Visits a second that the population makes by itself.
fn own_rate(scenario: &Scenario) -> f64 {
    let users = scenario.users.as_ref();
    let visits = users.and_then(|users| Some((f64::from(users.population), users.visits.as_ref()?)));
    visits.map_or(0.0, |(population, visits)| population * visits.mean / visits.per.as_secs_f64())
}

/// Who can be met, by how likely each traffic draws them.
struct Crowd<'s> {
    users: Option<&'s Users>,
    /// Users who are alike, and the probability of one of them in a fresh draw of each open traffic.
    classes: Vec<(f64, Vec<f64>)>,
}

impl<'s> Crowd<'s> {
    fn new(scenario: &'s Scenario, arrivals: &Arrivals) -> Self {
        let population = arrivals.population();
        // Ranks of nearly one probability, where it falls with the rank.
        let ranks = std::iter::successors(Some(1_u32), |rank| rank.checked_add(rank.div_ceil(8)));
        let mut edges: Vec<u32> = ranks.take_while(|rank| *rank < population).collect();
        edges.extend([0, population]);
        edges.extend(arrivals.edges());
        edges.sort_unstable();
        edges.dedup();
        let class = |ends: &[u32]| {
            let (range, count) = (ends[0]..ends[1], f64::from(ends[1] - ends[0]));
            let probability = |process| arrivals.share(process, &range) / count;
            (count, (0..arrivals.open_count()).map(probability).collect())
        };
        Self { users: scenario.users.as_ref(), classes: edges.windows(2).map(class).collect() }
    }

    /// Users who have visited at least once, after so much operational time and so many fresh draws of each open traffic.
    fn met(&self, operational: f64, drawn: &[f64]) -> f64 {
        let Some(users) = self.users else { return drawn.iter().sum() };
        let came_never = users.visits.as_ref().map_or(1.0, |visits| {
            let mean = visits.mean / visits.per.as_secs_f64() * operational;
            // The rates are Gamma distributed, so the counts are negative binomial.
            visits.shape.map_or_else(|| libm::exp(-mean), |shape| libm::pow(1.0 + mean / shape, -shape))
        });
        let met = |(count, probabilities): &(f64, Vec<f64>)| {
            let times: f64 = drawn.iter().zip(probabilities).map(|(drawn, probability)| drawn * probability).sum();
            count * (1.0 - libm::exp(-times) * came_never)
        };
        self.classes.iter().map(met).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use crate::outcome::Value;
    use crate::run;
    use crate::scenario::{HookKind, decode};

    fn scenario(text: &str) -> Scenario {
        let variants = "variant = [{ name = 'a', weight = 1 }, { name = 'b', weight = 1, grant = 25 }]";
        let head =
            format!("schema = 1\ntitle = 't'\nhooks = ['hardened']\n{text}\n[experiment]\nid = 'x'\n{variants}\n");
        decode("demand", "demand.toml", head.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    const SPIKE: &str = "duration = '100s'\ntraffic = [{ kind = 'steady', rate = '10/s' }, \
        { kind = 'spike', at = '40s', for = '7s', factor = 3 }]";

    #[test]
    fn a_spike_multiplies_what_arrives_while_it_lasts() {
        let demand = Demand::of(&scenario(SPIKE));
        close(demand.visits(), 10.0 * 93.0 + 30.0 * 7.0);
        close(demand.peak_visits().per_second, 30.0);
        assert_eq!(demand.peak_visits().at, Duration::from_secs(40));
        close(demand.grants(), demand.visits() / 2.0);
        assert_eq!((demand.units_mean, demand.grants_per_user()), (25.0, 0.5));
    }

    #[test]
    fn a_closed_population_is_met_only_once() {
        let users = "duration = '100s'\nusers = { population = 100, visits = { mean = 3, per = '100s', shape = 2 } }";
        let demand = Demand::of(&scenario(users));
        close(demand.visits(), 300.0);
        close(demand.users(), 100.0 * (1.0 - 2.5_f64.powi(-2)));
        assert_eq!(demand.peak_grants().at, Duration::ZERO);
    }

    #[test]
    fn what_an_outage_keeps_waiting_is_delivered_afterwards() {
        let outage = "\nfault = [{ kind = 'quota.outage', at = '60s', for = '40s' }]";
        let scenario = scenario(&(SPIKE.to_owned() + outage));
        let backlog = Demand::of(&scenario).backlog(&scenario, 20.0);
        close(backlog.peak, 5.0 * 40.0);
        assert_eq!((backlog.peak_at, backlog.drained_after), (Duration::from_secs(100), Duration::from_secs(10)));
        let calm = Demand::of(&scenario).backlog(&self::scenario(SPIKE), 20.0);
        assert_eq!((calm.peak, calm.drained_after), (0.0, Duration::ZERO));
    }

    #[test]
    fn runs_come_to_what_was_expected() {
        for traffic in [
            "{ kind = 'steady', rate = '30/s' }, { kind = 'spike', at = '50s', for = '20s', factor = 2 }",
            "{ kind = 'ramp', from = '0/s', to = '60/s' }, { kind = 'diurnal', rate = '9/s', peak = '12/s', period = '60s' }",
            "{ kind = 'burst', rate = '90/s', length = '9s', every = '30s', rhythm = 'random' }",
            "{ kind = 'steady', rate = '30/s', users = { hot = 0.1, hot-arrivals = 0.9 } }",
            "{ kind = 'steady', rate = '60/s', users = { zipf = 1.0 } }",
            "{ kind = 'steady', rate = '30/s', users = { returning = 0.5 } }",
        ] {
            assert_met(&format!("duration = '200s'\nusers = {{ population = 4000 }}\ntraffic = [{traffic}]"));
        }
    }

    fn assert_met(text: &str) {
        let scenario = scenario(text);
        let demand = Demand::of(&scenario);
        let outcome = run(&scenario, HookKind::Hardened, 1, &mut |_| {});
        let Some(Value::Number(exposed)) = outcome.metrics.get(&Metric::ExposureLogged).copied() else {
            panic!("exposures are counted")
        };
        assert!((exposed / demand.users() - 1.0).abs() < 0.04, "{text}: {exposed} users, expected {}", demand.users());
    }
}
