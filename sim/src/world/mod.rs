//! The world of one run: it moves time, carries messages and keeps everybody to their part.
//!
//! Owns the event loop and the borders between the parts; what each part does lies in its module. Once a
//! process is started, no branch asks which hook it is: it gets inputs and asks for outputs, whatever is behind it.
//!
//! | file        | carries                                                             |
//! |-------------|---------------------------------------------------------------------|
//! | `visits`    | callers, their tries and their patience                             |
//! | `calls`     | requests to the quota service and their answers                     |
//! | `processes` | starts, crashes, pauses, restarts, roll-outs; inputs and outputs    |
//! | `faulting`  | faults switching on and off                                         |
//! | `judging`   | what the invariants need to know beside the events                  |
//! | `books`     | what is judged when the run is over                                 |
//! | `telling`   | what happens to one user, for whoever listens                       |

mod books;
mod calls;
mod faulting;
mod judging;
mod processes;
#[cfg(test)]
mod small;
mod telling;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use hookproof_core::protection::Protections;
use hookproof_core::time::Instant;
use hookproof_core::upstream::Capability;

use self::calls::Call;
use self::faulting::Strobe;
use self::judging::Judging;
use self::processes::Instance;
use self::visits::{OpenProcess, Visit};
use crate::chronicle::{Chronicle, Listener};
use crate::digest::Digest;
use crate::engine::EventQueue;
use crate::fault::{self, Faults};
use crate::metrics::allocation::Entitlements;
use crate::metrics::lift::Outcomes;
use crate::metrics::reached::Reached;
use crate::metrics::recorder::{Recorder, Recovery};
use crate::oracle::{Oracles, Rule};
use crate::quota_service::QuotaService;
use crate::sabotage::Sabotage;
use crate::scenario::{Excuse, FaultKind, HookKind, Scenario, Span, Target};
use crate::seed::Draws;
use crate::slab::{Key, Slab};
use crate::store::SimStore;
use crate::subject::Output;
use crate::traffic::Arrivals;
use crate::users::User;

/// How often progress is told, in events.
const PROGRESS_EVERY: u64 = 1 << 16;

/// The queue's lane of callers' deadlines.
const DEADLINES: usize = 0;
/// The queue's lane of clients' patience.
const GIVE_UPS: usize = 1;

/// What is to be run beside the scenario.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Which hook.
    pub hook: HookKind,
    /// The protections of the hardened hook that are on.
    pub protections: Protections,
    /// What is broken about the hardened hook, if anything.
    pub sabotage: Option<Sabotage>,
    /// Whether processes of the hardened hook record their inputs.
    pub recording: Recording,
    /// The seed.
    pub seed: u64,
}

/// Whether processes of the hardened hook record what goes in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// They do.
    On,
    /// They do not.
    Off,
    /// They do not, and the run has no digest: for the benchmark that tells what a digest costs.
    Nothing,
}

/// What processes are shown for UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walls {
    /// What the instance's wall clock shows.
    AsTheyAre,
    /// The true time.
    True,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A user of the closed population visits; for the how-manieth time by themselves, from 1.
    Visit { user: u32, own: u32 },
    /// An open process has its next arrival.
    Arrival(u16),
    /// A caller tries again.
    Try(Key),
    /// A caller's patience with a try ends.
    Deadline(Key),
    /// A process's timer.
    Timer { instance: u16, process: u32, token: u64 },
    /// A command reaches the store.
    StoreExecutes(Key),
    /// A commit is durable.
    StoreAnswers(Key),
    /// A request reaches the quota service.
    Arrives(Key),
    /// A worker is done with a request.
    Served(Key),
    /// An answer reaches its client.
    Answered(Key),
    /// A client gives a request up.
    GivesUp(Key),
    /// A fault begins.
    FaultStarts(u32),
    /// A fault ends.
    FaultEnds(u32),
    /// The whole fleet is due for a restart.
    FleetRestarts,
    /// An instance goes down to come back; `fault` is the cause, `u32::MAX` the fleet's own schedule.
    GoesDown { instance: u16, fault: u32 },
    /// An instance comes back.
    ComesUp(u16),
    /// A strobing clock jumps again.
    Strobes(u32),
    /// A pause that began at a moment of a request ends.
    Resumes { instance: u16, fault: u32 },
    /// The last fault or spike ends.
    TriggerEnds,
    /// A named stretch ends.
    StretchEnds(u16),
    /// The storm ends.
    StormEnds,
}

const _: () = assert!(size_of::<Event>() == 16);

/// What a finished world hands over for judgement.
pub(crate) struct Finished {
    pub recorder: Recorder,
    pub oracles: Oracles,
    pub faults: Faults,
    pub store: SimStore,
    pub digest: Digest,
    pub hook_calls: u64,
    pub events: u64,
    /// The recordings of all processes, by instance and process.
    pub recordings: Vec<Recordings>,
    /// What was told, if somebody listened.
    pub chronicle: Option<Chronicle>,
}

/// What one process recorded.
#[derive(Clone, Debug)]
pub struct Recordings {
    /// The instance, from 0.
    pub instance: u16,
    /// Its process, from 0.
    pub process: u32,
    /// Its inputs and outputs in order.
    pub entries: Vec<crate::subject::Recorded>,
    /// The versions it was told of.
    pub lineage: Lineage,
}

/// The world.
pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    setting: Setting,
    draws: Draws,
    queue: EventQueue<Event>,
    arrivals: Arrivals,
    open_processes: Vec<OpenProcess>,
    visits: Slab<Visit>,
    calls: Slab<Call>,
    /// Requests whose client waits.
    in_flight: u64,
    /// The fleet's limit on them.
    in_flight_max: u64,
    /// Until then the store may not know of all of them: a process has slept through its lease, or the store has lost claims.
    overtaken_until: Instant,
    /// Requests whose client has its answer, has given up, or is dead.
    outcomes: u64,
    instances: Vec<Instance>,
    /// The scenario's experiment, then those of its roll-outs in file order.
    versions: Vec<Arc<Experiment>>,
    quota: QuotaService,
    /// What the hook believes that the service offers.
    believed: Capability,
    /// Requests a second that the service can work off.
    capacity: f64,
    store: SimStore,
    faults: Faults,
    /// Whether a fault of the scenario makes clocks drift.
    clocks_drift: bool,
    /// When the clocks are next looked at for the series; [`Instant::MAX`] where no fault moves any.
    clocks_seen_at: Instant,
    /// Clocks that a fault has moved, with the fault.
    moved_clocks: BTreeSet<(usize, Target)>,
    /// The strobes that are on.
    strobes: BTreeMap<usize, Strobe>,
    /// The faults that keep the store down.
    store_outages: BTreeSet<usize>,
    /// The faults that let it only read.
    store_read_only: BTreeSet<usize>,
    recorder: Recorder,
    oracles: Oracles,
    judging: Judging,
    walls: Walls,
    digest: Digest,
    chronicle: Option<Chronicle>,
    listener: Option<Listener<'s>>,
    outputs: Vec<Output>,
    recordings: Vec<Recordings>,
    hook_calls: u64,
    events: u64,
    backlog_at_storm_end: usize,
}

impl<'s> World<'s> {
    /// A world at its origin; `spans` are the stretches to be measured, the whole run first.
    pub fn new(scenario: &'s Scenario, setting: Setting, spans: Vec<Span>) -> Self {
        let draws = Draws::new(setting.seed);
        let arrivals = Arrivals::new(scenario, draws);
        let recovery = last_trigger_end(scenario).map(|end| Recovery::new(end, scenario.duration));
        let versions = versions(scenario);
        let entitlements = Entitlements::new(versions.iter().map(Arc::as_ref));
        let mut recorder = Recorder::new(scenario, entitlements, spans, recovery);
        recorder.outcomes = Outcomes::new(scenario.true_lift, draws);
        recorder.users = vec![User::NEW; arrivals.population() as usize];
        if setting.hook.claims_specified_hash() {
            recorder.mismatches = Some(BTreeSet::new());
        }
        let judging = Judging::new(scenario);
        let instance = |_| Instance::new(scenario.start, judging.bucket());
        Self {
            scenario,
            setting,
            draws,
            queue: EventQueue::new(),
            open_processes: vec![OpenProcess::default(); usize::from(arrivals.open_count())],
            arrivals,
            visits: Slab::default(),
            calls: Slab::default(),
            in_flight: 0,
            in_flight_max: scenario.hook_config().delivery.fleet.max_in_flight.into(),
            overtaken_until: Instant::ORIGIN,
            outcomes: 0,
            versions,
            instances: (0..scenario.fleet.instances).map(instance).collect(),
            quota: QuotaService::new(scenario),
            believed: scenario.hook_config().delivery.upstream.capability,
            capacity: scenario.upstream.capacity_per_second(),
            store: SimStore::new(scenario),
            faults: Faults::new(scenario, draws),
            clocks_seen_at: if fault::moves_clocks(scenario) { Instant::ORIGIN } else { Instant::MAX },
            clocks_drift: scenario.faults.iter().any(|fault| matches!(fault.kind, FaultKind::ClockDrift { .. })),
            moved_clocks: BTreeSet::new(),
            strobes: BTreeMap::new(),
            store_outages: BTreeSet::new(),
            store_read_only: BTreeSet::new(),
            recorder,
            oracles: Oracles::default(),
            judging,
            walls: Walls::AsTheyAre,
            digest: if setting.recording == Recording::Nothing { Digest::off() } else { Digest::default() },
            chronicle: None,
            listener: None,
            outputs: Vec::new(),
            recordings: Vec::new(),
            hook_calls: 0,
            events: 0,
            backlog_at_storm_end: 0,
        }
    }

    /// The same world, but that every process is shown the true time for UTC: what `TIME-1` compares a run with.
    pub fn with_true_walls(mut self) -> Self {
        self.walls = Walls::True;
        self
    }

    /// The same world, telling what happens.
    pub fn telling(mut self, chronicle: Option<Chronicle>) -> Self {
        self.chronicle = chronicle;
        self
    }

    /// The same world, telling everything that happens to anybody.
    pub fn listened(mut self, listener: Option<Listener<'s>>) -> Self {
        self.listener = listener;
        self
    }

    /// Runs storm and calm to their end.
    pub fn run(mut self, progress: &mut dyn FnMut(f64)) -> Finished {
        self.begin();
        let end = Instant::ORIGIN + self.scenario.duration + self.scenario.calm;
        while let Some((at, event)) = self.next_event() {
            if at >= end {
                break;
            }
            self.events += 1;
            if self.events.is_multiple_of(PROGRESS_EVERY) {
                progress(at.as_nanos() as f64 / end.as_nanos() as f64);
            }
            if at >= self.clocks_seen_at {
                self.see_clocks(at);
            }
            self.handle(at, event);
        }
        progress(1.0);
        self.finish(end)
    }

    /// The next event. Most timeouts are over long before their time; those are dropped on the way.
    fn next_event(&mut self) -> Option<(Instant, Event)> {
        let Self { queue, visits, calls, .. } = self;
        queue.pop_if(|event| match event {
            Event::Deadline(visit) => visits.get(*visit).is_some(),
            Event::GivesUp(call) => calls.get(*call).is_some_and(Call::has_client),
            Event::Visit { .. }
            | Event::Arrival(_)
            | Event::Try(_)
            | Event::Timer { .. }
            | Event::StoreExecutes(_)
            | Event::StoreAnswers(_)
            | Event::Arrives(_)
            | Event::Served(_)
            | Event::Answered(_)
            | Event::FaultStarts(_)
            | Event::FaultEnds(_)
            | Event::FleetRestarts
            | Event::GoesDown { .. }
            | Event::ComesUp(_)
            | Event::Strobes(_)
            | Event::Resumes { .. }
            | Event::TriggerEnds
            | Event::StretchEnds(_)
            | Event::StormEnds => true,
        })
    }

    fn begin(&mut self) {
        self.schedule_faults();
        self.schedule_restarts();
        for (index, stretch) in self.recorder.stretches.iter().enumerate().skip(1) {
            if let (Some((_, to)), Ok(index)) = (stretch.span.stretches.last(), u16::try_from(index)) {
                self.queue.push(Instant::ORIGIN + *to, Event::StretchEnds(index));
            }
        }
        if let Some(end) = last_trigger_end(self.scenario).filter(|end| *end < self.scenario.duration) {
            self.queue.push(Instant::ORIGIN + end, Event::TriggerEnds);
        }
        self.queue.push(Instant::ORIGIN + self.scenario.duration, Event::StormEnds);
        for instance in 0..self.scenario.fleet.instances {
            self.start_process(Instant::ORIGIN, instance);
        }
        self.schedule_visits();
    }

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Visit { user, own } => self.on_closed_arrival(now, user, own),
            Event::Arrival(process) => self.on_open_arrival(now, process),
            Event::Try(visit) => self.begin_try(now, visit),
            Event::Deadline(visit) => self.on_deadline(now, visit),
            Event::Timer { instance, process, token } => self.on_timer(now, instance, process, token),
            Event::StoreExecutes(operation) => self.on_store_executes(now, operation),
            Event::StoreAnswers(operation) => self.on_store_answers(now, operation),
            Event::Arrives(call) => self.on_arrives(now, call),
            Event::Served(call) => self.on_served(now, call),
            Event::Answered(call) => self.on_answered(now, call),
            Event::GivesUp(call) => self.on_gives_up(now, call),
            Event::FaultStarts(index) => self.on_fault_starts(now, index as usize),
            Event::FaultEnds(index) => self.on_fault_ends(now, index as usize),
            Event::FleetRestarts => self.on_fleet_restarts(now),
            Event::GoesDown { instance, fault } => self.on_goes_down(now, instance, fault),
            Event::ComesUp(instance) => self.start_process(now, instance),
            Event::Strobes(index) => self.on_strobes(now, index as usize),
            Event::Resumes { instance, fault } => self.resume(now, instance, fault as usize),
            Event::TriggerEnds => self.note_trigger_end(),
            Event::StretchEnds(index) => self.recorder.stretch_ended(usize::from(index), self.scenario),
            // What a hook has sent and what it still holds overlap: the larger one is what is left to do.
            Event::StormEnds => self.backlog_at_storm_end = self.quota.queued().max(self.store_backlog()),
        }
    }

    /// A lease may end, or a claim be lost, while its request is under way: for a while more requests may be under way than
    /// the store counts.
    pub(super) fn overtaken(&mut self, until: Instant) {
        let delivery = self.scenario.hook_config().delivery;
        let until = until + delivery.lease + delivery.attempt_timeout;
        self.overtaken_until = self.overtaken_until.max(until);
    }

    /// Grants a second that can be worked off: by the service, and under the hook's own cap on effects if it has one.
    fn delivery_per_second(&self) -> f64 {
        let cap = f64::from(self.scenario.hook_config().delivery.fleet.effects_per_minute) / 60.0;
        if self.setting.hook == HookKind::Hardened { self.capacity.min(cap) } else { self.capacity }
    }

    /// Grants that the store holds open.
    fn store_backlog(&self) -> usize {
        usize::try_from(self.store.open_grants()).unwrap_or(usize::MAX)
    }

    fn finish(mut self, end: Instant) -> Finished {
        self.end_visits(end);
        self.recorder.ended(end);
        for index in 0..self.recorder.stretches.len() {
            // Stretches that end with the run have had no event of their own.
            if self.recorder.stretches[index].allocation.is_none() {
                self.recorder.stretch_ended(index, self.scenario);
            }
        }
        for instance in 0..self.instances.len() {
            self.keep_recording(instance);
        }
        self.judge_the_end(end);
        self.judge_books(end);
        self.close_chronicle();
        Finished {
            recorder: self.recorder,
            oracles: self.oracles,
            faults: self.faults,
            store: self.store,
            digest: self.digest,
            hook_calls: self.hook_calls,
            events: self.events + self.queue.dropped(),
            recordings: self.recordings,
            chronicle: self.chronicle,
        }
    }

    /// `AUDIT-1`: the books balance. `GRANT-3`: in the calm everything that was promised settles.
    fn judge_the_end(&mut self, end: Instant) {
        let (attempts, ended) = (self.recorder.stretches[0].attempts, self.outcomes + self.in_flight);
        self.oracles.check(Rule::Audit1, end, None, attempts == ended, || {
            format!("{attempts} attempts and {ended} outcomes, those still open included")
        });
        let needed = self.backlog_at_storm_end as f64 / self.delivery_per_second();
        let calm = self.scenario.calm.as_secs_f64();
        let (mut undecided, mut excused) = (0, 0);
        for (user, index) in self.recorder.users.iter().zip(0..) {
            let is_entitled = self.recorder.entitlements.of_user(user).is_some();
            if !is_entitled {
                continue;
            }
            let is_settled = user.effects > 0 || user.is(User::CLOSED);
            if !is_settled && is_excused(&self.scenario.excuses, user) {
                excused += 1;
                continue;
            }
            if !is_settled && needed > calm {
                undecided += 1;
                continue;
            }
            self.oracles.check(Rule::Grant3, end, Some(index), is_settled, || {
                "entitled, and neither delivered nor rejected nor parked when the calm ended".into()
            });
        }
        (0..excused).for_each(|_| self.recorder.reach(Reached::ExcusedUsers));
        let open = self.store.open_grants();
        if needed <= calm {
            self.oracles.check(Rule::Grant3, end, None, open == 0, || format!("{open} grants still open in the store"));
        }
        if undecided > 0 {
            let why = format!("the backlog at the storm's end needs {needed:.0} s, the calm lasts {calm:.0} s");
            self.oracles.undecided(Rule::Grant3, undecided, why);
        }
    }
}

/// Whether something has befallen a user that the scenario takes for an excuse.
fn is_excused(excuses: &[Excuse], user: &User) -> bool {
    excuses.iter().any(|excuse| match excuse {
        Excuse::FalseAck => user.is(User::DECEIVED),
        Excuse::LostExposure => user.is(User::FORGOTTEN),
    })
}

/// The scenario's experiment, then those of its roll-outs in file order.
fn versions(scenario: &Scenario) -> Vec<Arc<Experiment>> {
    let deployed = scenario.faults.iter().filter_map(|fault| {
        if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind { Some(&**experiment) } else { None }
    });
    std::iter::once(&scenario.experiment).chain(deployed).cloned().map(Arc::new).collect()
}

/// When the last fault or spike of a scenario ends.
fn last_trigger_end(scenario: &Scenario) -> Option<Duration> {
    fault::last_end(scenario).max(Arrivals::last_spike_end(scenario))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::decode;

    /// The sabotage of `ASSIGN-2`: processes that assign by another salt than that of the version they are held to.
    #[test]
    fn a_hook_that_assigns_by_another_hash_is_caught() {
        let source = include_str!("../../../scenarios/incidents/retry-storm.toml");
        let scenario = decode("storm", "storm.toml", source.as_bytes()).expect("the scenario is valid");
        let salted = source.replace("version = 3", "version = 3\nsalt = \"another\"");
        let specified = decode("salted", "salted.toml", salted.as_bytes()).expect("the scenario is valid");
        let mut world = small::world(&scenario, HookKind::Hardened);
        world.begin();
        world.versions = vec![Arc::new(specified.experiment)];
        for _ in 0..10_000 {
            let (at, event) = world.queue.pop().expect("the storm goes on");
            world.handle(at, event);
        }
        let findings = world.oracles.findings();
        let finding = findings.iter().find(|finding| finding.id == "ASSIGN-2").expect("a named invariant");
        assert!(finding.violations > 0 && finding.violations < finding.checked, "half agree by chance: {finding:?}");
        assert_eq!(world.recorder.mismatches.map(|users| users.len() as u64), Some(finding.violations));
    }
}
