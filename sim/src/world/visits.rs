//! Callers: the web tier that sends a visit to an instance, waits, and tries again.
//!
//! A try that is given up runs on in its process; its name is stale, so whatever it answers later reaches nobody.

use std::hint::black_box;

use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::identity::UserHandle;
use hookproof_core::time::Instant;

use super::{DEADLINES, Event, World};
use crate::chronicle::{Again, Happening, Place};
use crate::digest::Kind;
use crate::metrics::reached::Reached;
use crate::oracle::Rule;
use crate::scenario::Caller;
use crate::seed::{Concern, below};
use crate::slab::Key;
use crate::subject::{Input, Shown};
use crate::traffic::Whom;
use crate::users::{self, User};

/// An open visit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    user: u32,
    /// The user's how-manieth visit, from 1; see [`users::ordinal`].
    number: u64,
    /// Tries begun.
    tries: u32,
    intended_at: Instant,
    began_at: Instant,
    /// Where the try is; `None` between tries.
    instance: Option<u16>,
}

/// Where an open arrival process is.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenProcess {
    /// Arrivals so far.
    arrivals: u64,
    /// Who arrives next, last first; empty if an arrival may be somebody new.
    ahead: Vec<u32>,
    /// When the next ones arrive, last first.
    ahead_at: Vec<Instant>,
    /// Who arrived lately, by the arrival's number modulo the length that the traffic asks for.
    recent: Vec<u32>,
}

impl OpenProcess {
    /// Who arrived as number `n`, within the last `length`.
    fn arrived(&self, n: u64, length: u32) -> u32 {
        self.recent[slot(n, length)]
    }

    /// Keeps in mind who arrives as number `n`, if any arrival may ask for it.
    fn keep(&mut self, n: u64, user: u32, length: u32) {
        if length == 0 {
            return;
        }
        let slot = slot(n, length);
        if slot < self.recent.len() {
            self.recent[slot] = user;
        } else {
            self.recent.push(user);
        }
    }
}

/// Where arrival number `n`, from 1, stands among the last `length`.
fn slot(n: u64, length: u32) -> usize {
    usize::try_from((n - 1) % u64::from(length)).expect("below a u32")
}

/// How many arrivals of an open process are looked ahead.
const LOOKAHEAD: u64 = 16;

impl Visit {
    /// Names the try in draws.
    fn which(&self) -> u64 {
        self.number << 16 | u64::from(self.tries)
    }
}

impl World<'_> {
    pub(super) fn schedule_visits(&mut self) {
        for user in 0..self.arrivals.population() {
            let rate = self.arrivals.rate(user);
            self.recorder.user_mut(user).rate = rate;
            if let Some(at) = self.arrivals.next_visit(Instant::ORIGIN, user, rate, 0) {
                self.queue.push(at, Event::Visit { user, own: 1 });
            }
        }
        for process in 0..self.arrivals.open_count() {
            let start = self.arrivals.open_start(process);
            if let Some(at) = self.arrivals.next_open(start, process, 0) {
                self.queue.push(at, Event::Arrival(process));
            }
        }
    }

    pub(super) fn on_closed_arrival(&mut self, now: Instant, user: u32, own: u32) {
        self.begin_visit(now, user);
        let rate = self.recorder.user(user).rate;
        if let Some(at) = self.arrivals.next_visit(now, user, rate, u64::from(own)) {
            self.queue.push(at, Event::Visit { user, own: own.wrapping_add(1) });
        }
    }

    pub(super) fn on_open_arrival(&mut self, now: Instant, process: u16) {
        let open = &mut self.open_processes[usize::from(process)];
        open.arrivals += 1;
        let n = open.arrivals;
        let user = self.open_user(process, n);
        self.begin_visit(now, user);
        if let Some(at) = self.next_open_arrival(now, process, n) {
            self.queue.push(at, Event::Arrival(process));
        }
    }

    /// When an open process has its arrival after the `n`th, which is `now`. Arrivals know of nothing but the one before, so
    /// several are worked out at a time.
    fn next_open_arrival(&mut self, now: Instant, process: u16, n: u64) -> Option<Instant> {
        let ahead_at = &mut self.open_processes[usize::from(process)].ahead_at;
        if ahead_at.is_empty() {
            let mut from = now;
            let next = |n| {
                from = self.arrivals.next_open(from, process, n)?;
                Some(from)
            };
            ahead_at.extend((n..n + LOOKAHEAD).map_while(next));
            ahead_at.reverse();
        }
        ahead_at.pop()
    }

    /// Who the `n`th arrival of an open process is.
    fn open_user(&mut self, process: u16, n: u64) -> u32 {
        if self.open_processes[usize::from(process)].ahead.is_empty() {
            self.look_ahead(process, n);
        }
        let known = self.open_processes[usize::from(process)].ahead.pop();
        known.unwrap_or_else(|| self.newcomer_or_one_of_the_last(process, n))
    }

    /// Draws who arrives next, where all are users of the population.
    fn look_ahead(&mut self, process: u16, n: u64) {
        if self.arrivals.population() == 0 {
            return;
        }
        let length = self.arrivals.recent(process);
        let open = &mut self.open_processes[usize::from(process)];
        for n in n..n + LOOKAHEAD {
            let user = match self.arrivals.open_user(process, n) {
                Whom::Known(user) => user,
                Whom::Before(back) => open.arrived(n - u64::from(back), length),
                Whom::New => unreachable!("nobody is new where there is a population"),
            };
            open.keep(n, user, length);
            open.ahead.push(user);
        }
        open.ahead.reverse();
        // Reading their records together, before they are needed, lets memory fetch them at the same time.
        for user in &open.ahead {
            black_box(self.recorder.user(*user).visits);
            for image in self.store.images() {
                black_box(image.grant_state(UserHandle(u64::from(*user))));
            }
        }
    }

    /// Without a population, an arrival is somebody new or one of the last arrivals.
    fn newcomer_or_one_of_the_last(&mut self, process: u16, n: u64) -> u32 {
        let length = self.arrivals.recent(process);
        let open = &mut self.open_processes[usize::from(process)];
        let user = match self.arrivals.open_user(process, n) {
            Whom::Before(back) => open.arrived(n - u64::from(back), length),
            Whom::Known(_) | Whom::New => {
                self.recorder.users.push(User::NEW);
                u32::try_from(self.recorder.users.len() - 1).expect("limits keep users below 2^32")
            }
        };
        open.keep(n, user, length);
        user
    }

    fn begin_visit(&mut self, now: Instant, user: u32) {
        let record = self.recorder.user_mut(user);
        record.visits = record.visits.saturating_add(1);
        let number = users::ordinal(record.visits, now);
        let visit = Visit { user, number, tries: 0, intended_at: now, began_at: now, instance: None };
        let key = self.visits.insert(visit);
        self.tell(now, user, Place::Caller, Happening::Visits);
        self.begin_try(now, key);
    }

    pub(super) fn begin_try(&mut self, now: Instant, key: Key) {
        let instances = u64::from(self.scenario.fleet.instances);
        let Some(visit) = self.visits.get_mut(key) else { return };
        visit.tries = visit.tries.saturating_add(1);
        visit.began_at = now;
        let (user, which) = (visit.user, visit.which());
        let [route, _] = self.draws.draw(Concern::Route, u64::from(user), which);
        let instance = u16::try_from(below(route, instances)).expect("below the number of instances");
        visit.instance = Some(instance);
        let what = Happening::Tries { attempt: visit.tries, instance, visit: visit.number };
        self.tell(now, user, Place::Caller, what);
        self.hook_calls += 1;
        if !self.is_up(instance) {
            self.fail_try(now, key);
            return;
        }
        self.queue.push_timeout(DEADLINES, now + self.scenario.caller.deadline, Event::Deadline(key));
        let chance = self.draws.chance(Concern::Visit, u64::from(user), which);
        self.feed(now, instance, Input::Visit { visit: key.to_bits(), user, chance });
    }

    pub(super) fn on_deadline(&mut self, now: Instant, key: Key) {
        if self.visits.get(key).is_some() {
            self.recorder.reach(Reached::AbandonedTries);
            self.fail_try(now, key);
        }
    }

    /// A process answers a try.
    pub(super) fn answer(&mut self, now: Instant, key: Key, shown: Shown) {
        let Some(visit) = self.visits.get(key).copied() else { return };
        match shown {
            Shown::Error => return self.fail_try(now, key),
            Shown::Variant(variant) => {
                let is_recorded = self.recorder.user(visit.user).is_exposed();
                self.oracles.check(Rule::Audit1, now, Some(visit.user), is_recorded, || {
                    "shown as recorded, and no record is durable".into()
                });
                self.sighting(now, visit.user, number_of(variant));
            }
            Shown::Provisional(variant) => {
                self.recorder.provisional(visit.intended_at);
                self.recorder.reach(Reached::Provisional);
                self.judge_provisional(now, &visit, variant);
            }
            Shown::Unrecorded(variant) => self.judge_unrecorded(now, &visit, variant),
        }
        if let Some(instance) = visit.instance {
            self.judge_wait(now, instance, visit.began_at, visit.user);
        }
        let place = visit.instance.map_or(Place::Caller, Place::Instance);
        self.tell(now, visit.user, place, Happening::Shown { shown });
        self.digest.event(Kind::Visit, now, u64::from(visit.user), shown.code());
        self.recorder.visit_ended(now, visit.intended_at);
        self.visits.clear(key);
    }

    /// A user saw a variant that counts.
    pub(super) fn sighting(&mut self, now: Instant, user: u32, variant: u8) {
        if let Some(before) = self.recorder.saw(user, variant) {
            self.oracles.check(Rule::Assign1, now, Some(user), before == variant, || {
                format!("saw variant {before}, then variant {variant}")
            });
        }
    }

    /// An answer for which no record could be read: the baseline of the version that answers is safe to show to anybody.
    fn judge_provisional(&mut self, now: Instant, visit: &Visit, shown: VariantIndex) {
        let Some(recorded) = self.recorder.user(visit.user).recorded_variant() else { return };
        let baseline = self.answering(visit).map(Experiment::baseline);
        if recorded == number_of(shown) {
            self.recorder.reach(Reached::ProvisionalAgreements);
        } else if baseline == Some(shown) {
            self.recorder.reach(Reached::BaselineFallbacks);
        }
        self.judge_shown(now, visit.user, shown, baseline);
    }

    /// An answer of which the hook says that no record counts: of those exposed before the try began, only a user whom the
    /// version blocks meets the baseline.
    fn judge_unrecorded(&mut self, now: Instant, visit: &Visit, shown: VariantIndex) {
        let user = self.recorder.user(visit.user);
        if !user.is_exposed() {
            return;
        }
        let was_exposed = user.first_exposed_at < visit.began_at;
        let generation = self.versions[usize::from(user.first_version)].generation();
        let answering = self.answering(visit);
        let is_blocked = answering.is_some_and(|version| version.blocks(generation));
        let fallback = answering.filter(|_| is_blocked || !was_exposed).map(Experiment::baseline);
        if is_blocked {
            self.recorder.reach(Reached::Blocked);
        }
        self.judge_shown(now, visit.user, shown, fallback);
    }

    /// The version of the process that a try is with.
    fn answering(&self, visit: &Visit) -> Option<&Experiment> {
        let instance = &self.instances[usize::from(visit.instance?)];
        Some(&self.versions[usize::from(instance.version)])
    }

    /// `ASSIGN-1` without a record behind the answer: an exposed user meets the recorded variant or the permitted fallback.
    fn judge_shown(&mut self, now: Instant, user: u32, shown: VariantIndex, fallback: Option<VariantIndex>) {
        let record = self.recorder.user_mut(user);
        let Some(recorded) = record.recorded_variant() else { return };
        let holds = recorded == number_of(shown) || fallback == Some(shown);
        if !holds {
            record.set(User::SWITCHED);
        }
        self.oracles.check(Rule::Assign1, now, Some(user), holds, || {
            format!("exposed to variant {recorded}, then shown variant {} without a record", shown.index())
        });
    }

    /// A try failed; the caller tries again or leaves.
    pub(super) fn fail_try(&mut self, now: Instant, key: Key) {
        let Some(key) = self.visits.rename(key) else { return };
        let Some(visit) = self.visits.get_mut(key) else { return };
        visit.instance = None;
        let visit = *visit;
        self.recorder.try_failed(visit.began_at);
        let Caller { retries, pause_from, pause_to, give_up, .. } = self.scenario.caller;
        let [leave, pause] = self.draws.draw(Concern::Caller, u64::from(visit.user), visit.which());
        let may_retry = retries.is_none_or(|retries| visit.tries <= retries);
        let leaves = !may_retry || give_up.happens(leave);
        let again = if leaves { Again::Never } else { Again::Later };
        self.tell(now, visit.user, Place::Caller, Happening::TryFailed { again });
        if leaves {
            self.digest.event(Kind::Visit, now, u64::from(visit.user), Shown::Error.code());
            self.recorder.visit_ended(now, visit.intended_at);
            self.visits.remove(key);
            return;
        }
        self.recorder.reach(Reached::CallerRetries);
        let spread = hookproof_core::time::nanos(pause_to.saturating_sub(pause_from));
        let pause = pause_from + std::time::Duration::from_nanos(below(pause, spread.saturating_add(1)));
        self.queue.push(now + pause, Event::Try(key));
    }

    /// The run ends: who still waits has waited until then.
    pub(super) fn end_visits(&mut self, end: Instant) {
        for (_, visit) in self.visits.iter() {
            self.recorder.visit_ended(end, visit.intended_at);
        }
    }

    /// The tries on an instance whose process has ended see their connections reset.
    pub(super) fn reset_tries(&mut self, now: Instant, instance: u16) {
        let on_it = |(key, visit): (Key, &Visit)| (visit.instance == Some(instance)).then_some(key);
        let tries: Vec<Key> = self.visits.iter().filter_map(on_it).collect();
        for key in tries {
            self.fail_try(now, key);
        }
    }

    /// Whether a try's caller still waits.
    pub(super) fn is_waiting(&self, visit: u64) -> bool {
        self.visits.get(Key::from_bits(visit)).is_some()
    }
}

/// A variant as the users' records hold it.
pub(super) fn number_of(variant: VariantIndex) -> u8 {
    u8::try_from(variant.index()).expect("an experiment has at most 255 variants")
}
