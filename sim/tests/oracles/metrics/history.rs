//! Histories written by hand: what happened to whom and when, told to the recorder as the world tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::store::Image;
use hookproof_core::time::Instant;
use hookproof_sim::metrics::Metric;
use hookproof_sim::metrics::acks::RequestName;
use hookproof_sim::metrics::allocation::Entitlements;
use hookproof_sim::metrics::lift::Outcomes;
use hookproof_sim::metrics::measure::measure;
use hookproof_sim::metrics::recorder::{Closing, EffectSeen, Recorder, Recovery};
use hookproof_sim::outcome::Value;
use hookproof_sim::quota_service::RequestKey;
use hookproof_sim::scenario::{Scenario, Span, decode};
use hookproof_sim::seed::Draws;
use hookproof_sim::users::User;

pub const CONTROL: u8 = 0;
pub const TREATMENT: u8 = 1;

/// Storm and calm.
pub const STORM: Duration = Duration::from_secs(100);
pub const END: Duration = Duration::from_secs(120);

pub type Metrics = BTreeMap<Metric, Value>;

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn instant(at: Duration) -> Instant {
    Instant::ORIGIN + at
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An exposure is logged, by the first version or another.
    Exposed { user: u32, variant: u8, version: u8 },
    /// An answer shows a variant that is on record.
    Saw { user: u32, variant: u8 },
    /// The recorded variant is not that of the specified hash.
    Mismatched { user: u32 },
    /// A visit that was meant to start then ends.
    VisitEnds { intended_at: Duration },
    /// A try that began then fails.
    TryFails { began_at: Duration },
    /// A visit that was meant to start then is answered without a record.
    Provisional { intended_at: Duration },
    /// A request is sent and refused on the way.
    Attempt { user: u32 },
    /// A request is sent and may have arrived.
    Call { user: u32 },
    /// The ledger moves by 25 units for the user's how-manieth request.
    Effect { user: u32, number: u64, key: Option<RequestKey>, sent_at: Duration, is_wanted: bool },
    /// 25 units are refused for the hard limit.
    HardLimit { user: u32 },
    /// A client hears a 2xx to the user's how-manieth request.
    HeardYes { user: u32, number: u64, key: Option<RequestKey> },
    /// The hook gives a grant up.
    Closed { user: u32, how: Closing },
    /// An instance that ran before starts again.
    Restarted,
    /// A roll-out begins that lasts until then.
    RollsUntil(Duration),
    /// More requests wait than one second of capacity, or no more.
    Overloaded(bool),
}

pub fn exposed(user: u32, variant: u8) -> Event {
    Event::Exposed { user, variant, version: 0 }
}

/// The effect of a request that somebody waits for.
pub fn effect(user: u32, number: u64, sent_at: Duration) -> Event {
    Event::Effect { user, number, key: None, sent_at, is_wanted: true }
}

/// A history under a scenario.
#[derive(Clone, Debug)]
pub struct History {
    scenario: Scenario,
    versions: Vec<Experiment>,
    population: usize,
    events: Vec<(Duration, Event)>,
    trigger_end: Option<Duration>,
    images: Vec<Image>,
}

/// A scenario whose quota service may lie, with the price, the utilisation and the lift that the tables of values name.
fn scenario(quota: &str, true_lift: &str, weights: [u32; 2]) -> Scenario {
    let [control, treatment] = weights;
    let source = format!(
        r#"
schema = 1
title = "A history written by hand"
duration = "100s"
calm = "20s"
[experiment]
id = "e"
true-lift = {true_lift}
[[experiment.variant]]
name = "control"
weight = {control}
[[experiment.variant]]
name = "treatment"
weight = {treatment}
grant = 25
[quota]
price-per-unit-month = 0.10
utilisation = 0.5
{quota}
[users]
population = 10
[[traffic]]
kind = "steady"
rate = "1/s"
[[fault]]
kind = "quota.false-ack"
at = "10s"
for = "10s"
"#
    );
    decode("history", "history.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

impl History {
    /// Nothing has happened to `population` users; base 100, grant 25, weights 1 and 1, true lift 10⁶.
    pub fn of(population: usize) -> Self {
        Self::under(population, "base = 100", "1e6")
    }

    /// The same with another quota and lift.
    pub fn under(population: usize, quota: &str, true_lift: &str) -> Self {
        let scenario = scenario(quota, true_lift, [1, 1]);
        let versions = vec![scenario.experiment.clone()];
        Self { scenario, versions, population, events: Vec::new(), trigger_end: None, images: Vec::new() }
    }

    /// Another version with these weights of control and treatment.
    pub fn version(mut self, weights: [u32; 2]) -> Self {
        self.versions.push(scenario("", "0.0", weights).experiment);
        self
    }

    /// The last fault or spike ends then.
    pub fn trigger_ends(mut self, at: Duration) -> Self {
        self.trigger_end = Some(at);
        self
    }

    /// What the hook's store holds.
    pub fn store(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    pub fn at(mut self, at: Duration, event: Event) -> Self {
        self.events.push((at, event));
        self
    }

    /// All metrics over the whole run.
    pub fn whole(&self) -> Metrics {
        self.measured(vec![(Duration::ZERO, END)], 0)
    }

    /// All metrics during these stretches.
    pub fn during(&self, stretches: &[(Duration, Duration)]) -> Metrics {
        self.measured(stretches.to_vec(), 1)
    }

    fn measured(&self, stretches: Vec<(Duration, Duration)>, index: usize) -> Metrics {
        let span = |stretches| Span { name: "a stretch".into(), stretches, fault: None };
        let recovery = self.trigger_end.map(|end| Recovery::new(end, STORM));
        let spans = vec![span(vec![(Duration::ZERO, END)]), span(stretches)];
        let mut recorder = Recorder::new(&self.scenario, Entitlements::new(&self.versions), spans, recovery);
        recorder.outcomes = Outcomes::new(self.scenario.true_lift, Draws::new(1));
        recorder.users = vec![User::NEW; self.population];
        recorder.mismatches = Some(BTreeSet::new());
        let mut events = self.events.clone();
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            self.end_stretches(&mut recorder, at);
            tell(&mut recorder, instant(at), event);
        }
        recorder.ended(instant(END));
        self.end_stretches(&mut recorder, END);
        measure(&self.scenario, &recorder, &self.images.iter().collect::<Vec<_>>(), index)
    }

    /// A stretch that ends at the time of an event ends before it.
    fn end_stretches(&self, recorder: &mut Recorder, now: Duration) {
        for index in 0..recorder.stretches.len() {
            let stretch = &recorder.stretches[index];
            let is_over = stretch.span.stretches.last().is_some_and(|(_, end)| *end <= now);
            if is_over && stretch.allocation.is_none() {
                recorder.stretch_ended(index, &self.scenario);
            }
        }
    }
}

fn tell(recorder: &mut Recorder, now: Instant, event: Event) {
    match event {
        Event::Exposed { user, variant, version } => {
            recorder.exposed(now, user, variant, version);
            recorder.saw(user, variant);
        }
        Event::Saw { user, variant } => {
            recorder.saw(user, variant);
        }
        Event::Mismatched { user } => recorder.mismatched(user),
        Event::VisitEnds { intended_at } => recorder.visit_ended(now, instant(intended_at)),
        Event::TryFails { began_at } => recorder.try_failed(instant(began_at)),
        Event::Provisional { intended_at } => recorder.provisional(instant(intended_at)),
        Event::Attempt { user } => {
            recorder.sent(now, user);
        }
        Event::Call { user } => {
            recorder.sent(now, user);
            recorder.may_arrive(now, user);
        }
        Event::Effect { user, number, key, sent_at, is_wanted } => {
            let request = RequestName { user, number, key };
            recorder.effect(now, EffectSeen { request, units: 25, sent_at: instant(sent_at), is_wanted });
        }
        Event::HardLimit { user } => recorder.refused(user, 25),
        Event::HeardYes { user, number, key } => recorder.acknowledged(now, RequestName { user, number, key }),
        Event::Closed { user, how } => recorder.closed(now, user, how),
        Event::Restarted => recorder.restarted(now),
        Event::RollsUntil(until) => recorder.rolling(instant(until)),
        Event::Overloaded(is_over) => recorder.overload.set(now, is_over),
    }
}
