//! What happened, counted as it happens: the raw material of every metric, the same for every hook.
//!
//! Owns the users' facts, the counts of each named stretch of the run, the epochs between restarts and the second-by-second
//! series. It judges nothing; `measure` turns it into metrics, `oracle` watches beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use hookproof_core::time::{Instant, nanos};

use super::acks::{Acks, RequestName};
use super::allocation::{Allocation, Entitlements, Yardstick, measure};
use super::levels::{Gauged, Levels};
use super::lift::Outcomes;
use super::reached::{Counted, Reached};
use crate::outcome::Series;
use crate::scenario::{FaultKind, Scenario, Span};
use crate::users::User;

/// Number of bins of a series.
const BINS: u64 = 240;
/// Why recording into a histogram cannot fail.
const RESIZES: &str = "a histogram without bounds takes every value";
/// Seconds over which recovery is looked at.
pub(crate) const RECOVERY_WINDOW: usize = 30;
/// Starts of instances at most this long after a group's first are one restart.
const RESTART_GROUP: Duration = Duration::from_secs(10);

/// Counts of one stretch of the run.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The stretch.
    pub span: Span,
    /// Requests sent.
    pub attempts: u64,
    /// Requests that may have arrived.
    pub calls: u64,
    /// Tries answered with an error or not in time.
    pub errors: u64,
    /// Visits answered without a durable record.
    pub provisional: u64,
    /// Exposure records.
    pub exposures: u64,
    /// Exposure records beyond the first of a user.
    pub duplicates: u64,
    /// Users who became entitled.
    pub entitlements: u64,
    /// First effects for entitled users that somebody still waited for.
    pub goodput: u64,
    /// Most calls in a whole second.
    pub peak_rps: u64,
    /// Most entitlements open at once, for any length of time.
    pub backlog_peak: u64,
    /// Grants parked with evidence.
    pub parked: u64,
    /// Grants rejected.
    pub rejected: u64,
    /// Effects of users who had not been exposed by then.
    pub unexposed_effects: u64,
    /// Visits' waits, in microseconds.
    pub latency_us: Histogram<u64>,
    /// First treated exposure to first effect, in microseconds.
    pub delay_us: Histogram<u64>,
    /// All users at the stretch's end.
    pub allocation: Option<Allocation>,
    second: u64,
    second_calls: u64,
    /// The span's stretches, from and to.
    bounds: Vec<(Instant, Instant)>,
}

impl Stretch {
    fn new(span: Span) -> Self {
        let histogram = || Histogram::new(3).expect("three significant digits are allowed");
        let bounds = span.stretches.iter().map(|(from, to)| (Instant::ORIGIN + *from, Instant::ORIGIN + *to));
        Self {
            bounds: bounds.collect(),
            span,
            attempts: 0,
            calls: 0,
            errors: 0,
            provisional: 0,
            exposures: 0,
            duplicates: 0,
            entitlements: 0,
            goodput: 0,
            peak_rps: 0,
            backlog_peak: 0,
            parked: 0,
            rejected: 0,
            unexposed_effects: 0,
            latency_us: histogram(),
            delay_us: histogram(),
            allocation: None,
            second: u64::MAX,
            second_calls: 0,
        }
    }

    /// Whether a moment lies in it.
    pub fn contains(&self, at: Instant) -> bool {
        self.bounds.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// Whether it shares any length of time with `[from, to)`.
    fn overlaps(&self, from: Instant, to: Instant) -> bool {
        self.bounds.iter().any(|(start, end)| *start < to && from < *end)
    }

    /// Length of the stretch.
    pub fn length(&self) -> Duration {
        self.span.stretches.iter().map(|(from, to)| to.saturating_sub(*from)).sum()
    }

    fn count_call(&mut self, at: Instant) {
        self.calls += 1;
        let second = at.as_nanos() / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.second_calls = 0;
        }
        self.second_calls += 1;
        self.peak_rps = self.peak_rps.max(self.second_calls);
    }
}

/// Users seen between two restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// When it began.
    pub at: Instant,
    /// Users seen in it.
    pub seen: u64,
    /// Users seen in it and in the one before.
    pub seen_in_both: u64,
    /// Users whose last variant before differs from the first in it.
    pub switched: u64,
}

/// Seconds in which the backlog exceeded one second of capacity.
#[derive(Clone, Debug, Default)]
pub struct Overload {
    since: Option<Instant>,
    /// Whole seconds `[from, to]`, in order, not touching.
    pub seconds: Vec<(u64, u64)>,
}

impl Overload {
    /// The backlog crossed the line, or did not.
    pub fn set(&mut self, at: Instant, is_over: bool) {
        match (self.since, is_over) {
            (None, true) => self.since = Some(at),
            (Some(since), false) if since == at => self.since = None,
            (Some(since), false) => {
                self.since = None;
                // It was over up to, and not at, this time.
                let (from, to) = (since.as_nanos() / 1_000_000_000, (at.as_nanos() - 1) / 1_000_000_000);
                match self.seconds.last_mut() {
                    Some(last) if from <= last.1 + 1 => last.1 = to,
                    _ => self.seconds.push((from, to)),
                }
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

/// Goodput and entitlements by whole second after the last trigger.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The end of the last fault or spike.
    pub trigger_end: Duration,
    /// The first whole second at or after it.
    pub first_second: u64,
    /// (goodput, entitlements) by second, up to the storm's end.
    pub seconds: Vec<(u32, u32)>,
}

impl Recovery {
    /// The whole seconds between a trigger's end and the storm's.
    pub fn new(trigger_end: Duration, storm: Duration) -> Self {
        let first_second = nanos(trigger_end).div_ceil(1_000_000_000);
        let seconds = storm.as_secs().saturating_sub(first_second);
        let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
        Self { trigger_end, first_second, seconds: vec![(0, 0); seconds] }
    }

    /// New entitlements a second after the trigger, if there are any seconds.
    pub fn entitlement_rate(&self) -> Option<f64> {
        let entitlements: u64 = self.seconds.iter().map(|(_, entitlements)| u64::from(*entitlements)).sum();
        (!self.seconds.is_empty()).then(|| entitlements as f64 / self.seconds.len() as f64)
    }

    /// Whether any stretch over which recovery is looked at, and that begins within `bound`, has no new entitlement.
    pub fn is_silent_before(&self, bound: Duration) -> bool {
        let begin = usize::try_from(bound.as_secs()).unwrap_or(usize::MAX);
        let is_silent = |window: &[(u32, u32)]| window.iter().all(|(_, entitlements)| *entitlements == 0);
        self.seconds.windows(RECOVERY_WINDOW).take(begin.saturating_add(1)).any(is_silent)
    }

    fn at(&mut self, at: Instant) -> Option<&mut (u32, u32)> {
        let second = (at.as_nanos() / 1_000_000_000).checked_sub(self.first_second)?;
        self.seconds.get_mut(usize::try_from(second).ok()?)
    }
}

/// An effect, as the recorder is told of it.
#[derive(Clone, Copy, Debug)]
pub struct EffectSeen {
    /// Whose, and for which request.
    pub request: RequestName,
    /// Units.
    pub units: u32,
    /// When its request was sent.
    pub sent_at: Instant,
    /// Whether anybody still waited for the answer.
    pub is_wanted: bool,
}

/// How a hook gives a grant up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// With evidence, for a human.
    Parked,
    /// The service refused it for good.
    Rejected,
}

/// The recorder of one run.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// All users by number.
    pub users: Vec<User>,
    /// Who is entitled to what.
    pub entitlements: Entitlements,
    /// The whole run first, then each stretch that an expectation names.
    pub stretches: Vec<Stretch>,
    /// The epochs between restarts, the one before the first restart included.
    pub epochs: Vec<Epoch>,
    /// Seconds of overload.
    pub overload: Overload,
    /// After the last trigger, if there is one.
    pub recovery: Option<Recovery>,
    /// The outcomes of the experiment, if it has a true lift.
    pub outcomes: Option<Outcomes>,
    /// Answers that say yes, if the quota service may lie.
    pub acks: Option<Acks>,
    /// Entitlements that are neither delivered nor closed.
    backlog: u64,
    /// Since when they are so many.
    backlog_since: Instant,
    /// Users with a recorded variant that is not the specified one; `None` if the hook does not claim it.
    pub mismatches: Option<BTreeSet<u32>>,
    reached: [u64; Reached::ALL.len()],
    series: [Vec<u64>; Counted::ALL.len()],
    levels: Levels,
    /// The second of the last call, and the calls in it.
    second: u64,
    second_calls: i64,
    /// Users who hold more than their own cap.
    over_allocated: i64,
    bin: Duration,
    bins: usize,
    /// The bin that was counted in last, and the times it holds.
    bin_last: usize,
    bin_times: (u64, u64),
    /// Starts up to this time belong to the restart that is under way, if there was one.
    restart_group_until: Option<Instant>,
    rolling_until: Instant,
    storm: Duration,
    /// Calls sent in the storm.
    pub storm_calls: u64,
    /// Goodput of requests sent in the storm.
    pub storm_goodput: u64,
}

impl Recorder {
    /// A recorder that has seen nothing.
    pub fn new(scenario: &Scenario, entitlements: Entitlements, spans: Vec<Span>, recovery: Option<Recovery>) -> Self {
        let whole = scenario.duration + scenario.calm;
        let bin = Duration::from_nanos(nanos(whole).div_ceil(BINS).max(1));
        Self {
            users: Vec::new(),
            entitlements,
            stretches: spans.into_iter().map(Stretch::new).collect(),
            epochs: vec![Epoch::default()],
            overload: Overload::default(),
            recovery,
            outcomes: None,
            acks: may_lie(scenario).then(Acks::default),
            backlog: 0,
            backlog_since: Instant::ORIGIN,
            mismatches: None,
            reached: [0; Reached::ALL.len()],
            series: [const { Vec::new() }; Counted::ALL.len()],
            levels: Levels::new(scenario.fleet.instances),
            second: 0,
            second_calls: 0,
            over_allocated: 0,
            bin,
            bins: usize::try_from(nanos(whole).div_ceil(nanos(bin))).expect("at most as many as there are"),
            bin_last: 0,
            bin_times: (0, nanos(bin)),
            restart_group_until: None,
            rolling_until: Instant::ORIGIN,
            storm: scenario.duration,
            storm_calls: 0,
            storm_goodput: 0,
        }
    }

    /// The user with this number.
    pub fn user(&self, user: u32) -> &User {
        &self.users[user as usize]
    }

    /// The user with this number.
    pub fn user_mut(&mut self, user: u32) -> &mut User {
        &mut self.users[user as usize]
    }

    /// Counts something that happened.
    pub fn reach(&mut self, what: Reached) {
        self.reached[what as usize] += 1;
    }

    /// Counts something that happened `times` times.
    pub fn reach_by(&mut self, what: Reached, times: u64) {
        self.reached[what as usize] += times;
    }

    /// How often something happened.
    pub const fn count_of(&self, what: Reached) -> u64 {
        self.reached[what as usize]
    }

    /// Whether something happened.
    pub const fn has(&self, what: Reached) -> bool {
        self.count_of(what) > 0
    }

    /// What the run came across, by name.
    pub fn reached(&self) -> BTreeMap<&'static str, u64> {
        Reached::ALL.into_iter().map(|what| (what.name(), self.reached[what as usize])).collect()
    }

    /// How many users hold how many effects; who holds none is left out.
    pub fn grants_per_user(&self) -> BTreeMap<u16, u64> {
        let mut users = BTreeMap::new();
        for user in self.users.iter().filter(|user| user.effects > 0) {
            *users.entry(user.effects).or_default() += 1;
        }
        users
    }

    /// The restarts with who was seen around them: the epoch of each, and how many were seen in the one before.
    pub fn restarts(&self) -> impl Iterator<Item = (&Epoch, u64)> {
        self.epochs.windows(2).map(|pair| (&pair[1], pair[0].seen))
    }

    /// Counts and levels by time bin, by name.
    pub fn series(&self) -> Series {
        let length = self.series.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |counts: &Vec<u64>| {
            let mut counts = counts.clone();
            counts.resize(length, 0);
            counts
        };
        let named = |counted: Counted| (counted.name(), padded(&self.series[counted as usize]));
        let counts = Counted::ALL.into_iter().map(named).collect();
        Series { bin: self.bin, counts, levels: self.levels.named(self.bins) }
    }

    /// The stretches that hold `at`.
    fn during(&mut self, at: Instant) -> impl Iterator<Item = &mut Stretch> {
        self.stretches.iter_mut().filter(move |stretch| stretch.contains(at))
    }

    /// The bin of a moment. Times go ahead slowly: most lie in the bin of the last one, and need no division.
    fn bin_at(&mut self, at: Instant) -> usize {
        let (from, to) = self.bin_times;
        if !(from..to).contains(&at.as_nanos()) {
            let length = nanos(self.bin);
            self.bin_last = usize::try_from(at.as_nanos() / length).expect("fewer than 2^32 bins");
            let from = at.as_nanos() / length * length;
            self.bin_times = (from, from.saturating_add(length));
        }
        self.bin_last
    }

    /// Something is `value` from now on.
    pub fn level(&mut self, gauged: Gauged, now: Instant, value: i64) {
        let bin = self.bin_at(now);
        self.levels.set(gauged, bin, value);
    }

    /// How far each clock is ahead at `now`, in microseconds, in the order of [`Levels::set_clocks`].
    pub fn clocks_ahead(&mut self, now: Instant, ahead_us: impl Iterator<Item = i64>) {
        let bin = self.bin_at(now);
        self.levels.set_clocks(bin, ahead_us);
    }

    /// When the bin of `now` ends.
    pub fn bin_end(&mut self, now: Instant) -> Instant {
        self.bin_at(now);
        Instant::from_nanos(self.bin_times.1)
    }

    /// A call, or the run's end: the seconds before are known.
    fn count_second(&mut self, now: Instant) {
        let second = now.as_nanos() / 1_000_000_000;
        if second == self.second {
            return;
        }
        let start = |second: u64| Instant::from_nanos(second * 1_000_000_000);
        let (last, calls) = (std::mem::replace(&mut self.second, second), std::mem::take(&mut self.second_calls));
        self.level(Gauged::CallsPerSecond, start(last), calls);
        if last + 1 < second {
            self.level(Gauged::CallsPerSecond, start(last + 1), 0);
        }
    }

    fn count(&mut self, what: Counted, at: Instant) {
        let bin = self.bin_at(at);
        let counts = &mut self.series[what as usize];
        if counts.len() <= bin {
            counts.resize(bin + 1, 0);
        }
        counts[bin] += 1;
    }

    /// A visit that was meant to start at `intended` ended at `now`, answered or given up.
    pub fn visit_ended(&mut self, now: Instant, intended: Instant) {
        let wait = nanos(now.since(intended)) / 1_000;
        for stretch in self.during(intended) {
            stretch.latency_us.record(wait).expect(RESIZES);
        }
        self.count(Counted::Visits, intended);
    }

    /// A try that began at `at` failed.
    pub fn try_failed(&mut self, at: Instant) {
        self.during(at).for_each(|stretch| stretch.errors += 1);
    }

    /// A visit was answered without a durable record.
    pub fn provisional(&mut self, at: Instant) {
        self.during(at).for_each(|stretch| stretch.provisional += 1);
    }

    /// An exposure was recorded. Returns whether it is the user's first.
    pub fn exposed(&mut self, now: Instant, user: u32, variant: u8, version: u8) -> bool {
        let is_treatment = self.entitlements.of(version, variant).is_some();
        let was_over = self.is_over_allocated(user);
        let record = &mut self.users[user as usize];
        let is_first = !record.is_exposed();
        if is_first {
            record.first_exposed_at = now;
            record.first_variant = variant;
            record.first_version = version;
        } else if record.first_variant != variant {
            record.set(User::SWITCHED);
        }
        if is_treatment {
            record.set(User::LOGGED_TREATMENT);
        } else {
            record.clear(User::LOGGED_TREATMENT);
        }
        let is_entitled = is_first && is_treatment;
        for stretch in self.during(now) {
            stretch.exposures += 1;
            stretch.duplicates += u64::from(!is_first);
            stretch.entitlements += u64::from(is_entitled);
        }
        if is_entitled {
            self.entitled(now, user);
        }
        self.count_over_allocated(now, user, was_over);
        is_first
    }

    /// Whether a user holds more than the own cap.
    fn is_over_allocated(&self, user: u32) -> bool {
        let user = self.user(user);
        user.granted_units > 0 && user.granted_units > self.entitlements.of_user(user).unwrap_or(0)
    }

    fn count_over_allocated(&mut self, now: Instant, user: u32, was_over: bool) {
        let is_over = self.is_over_allocated(user);
        if is_over != was_over {
            self.over_allocated += if is_over { 1 } else { -1 };
            self.level(Gauged::OverAllocatedUsers, now, self.over_allocated);
        }
    }

    fn entitled(&mut self, now: Instant, user: u32) {
        if let Some(second) = self.recovery.as_mut().and_then(|recovery| recovery.at(now)) {
            second.1 += 1;
        }
        self.count(Counted::Entitlements, now);
        debug_assert!(!self.user(user).is(User::DELIVERED), "nobody is entitled twice");
        self.note_backlog(now);
        self.backlog += 1;
        self.level(Gauged::Backlog, now, count(self.backlog));
    }

    fn close_backlog(&mut self, now: Instant, was_open: bool) {
        if was_open {
            self.note_backlog(now);
            self.backlog -= 1;
            self.level(Gauged::Backlog, now, count(self.backlog));
        }
    }

    /// The backlog is about to change: it was what it is from its last change until `now`. What comes and goes at the same
    /// moment was never a backlog, so the order of what happens at once does not matter.
    fn note_backlog(&mut self, now: Instant) {
        let since = std::mem::replace(&mut self.backlog_since, now);
        let backlog = self.backlog;
        if since == now {
            return;
        }
        for stretch in &mut self.stretches {
            if stretch.backlog_peak < backlog && stretch.overlaps(since, now) {
                stretch.backlog_peak = backlog;
            }
        }
    }

    /// A user saw a variant that counts: a record, or an answer with one behind it. Returns the variant seen before.
    pub fn saw(&mut self, user: u32, variant: u8) -> Option<u8> {
        let epoch = u16::try_from(self.epochs.len()).expect("limits keep restarts below 2^16");
        let record = &mut self.users[user as usize];
        let before = record.is(User::SEEN).then_some(record.last_variant);
        let switched = before.is_some_and(|before| before != variant);
        if record.last_epoch != epoch {
            let account = self.epochs.last_mut().expect("there is always an epoch");
            account.seen += 1;
            if record.last_epoch != 0 && record.last_epoch + 1 == epoch {
                account.seen_in_both += 1;
                account.switched += u64::from(switched);
            }
            record.last_epoch = epoch;
        }
        record.last_variant = variant;
        record.set(User::SEEN);
        if switched {
            record.set(User::SWITCHED);
        }
        before
    }

    /// A request is sent. Returns its number among the user's.
    pub fn sent(&mut self, now: Instant, user: u32) -> u16 {
        self.during(now).for_each(|stretch| stretch.attempts += 1);
        let record = self.user_mut(user);
        record.calls = record.calls.saturating_add(1);
        record.calls
    }

    /// A request that was sent may have arrived.
    pub fn may_arrive(&mut self, now: Instant, user: u32) {
        self.user_mut(user).set(User::CALLED);
        if now.since(Instant::ORIGIN) < self.storm {
            self.storm_calls += 1;
        }
        self.during(now).for_each(|stretch| stretch.count_call(now));
        self.count(Counted::Calls, now);
        self.count_second(now);
        self.second_calls += 1;
    }

    /// The ledger moved.
    pub fn effect(&mut self, now: Instant, effect: EffectSeen) {
        self.count(Counted::Effects, now);
        if let Some(acks) = &mut self.acks {
            acks.effect(effect.request);
        }
        let was_over = self.is_over_allocated(effect.request.user);
        let user = &mut self.users[effect.request.user as usize];
        user.effects = user.effects.saturating_add(1);
        user.granted_units = user.granted_units.saturating_add(effect.units);
        self.count_over_allocated(now, effect.request.user, was_over);
        let entitlements = &self.entitlements;
        let user = &mut self.users[effect.request.user as usize];
        if !user.is_exposed() {
            self.during(now).for_each(|stretch| stretch.unexposed_effects += 1);
            return;
        }
        let is_entitled = entitlements.of_user(user).is_some();
        if !is_entitled || user.is(User::DELIVERED) {
            return;
        }
        user.set(User::DELIVERED);
        let (exposed_at, was_open) = (user.first_exposed_at, !user.is(User::CLOSED));
        self.close_backlog(now, was_open);
        let delay = u64::try_from(now.since(exposed_at).as_micros()).unwrap_or(u64::MAX);
        self.during(exposed_at).for_each(|stretch| stretch.delay_us.record(delay).expect(RESIZES));
        if effect.is_wanted {
            self.during(effect.sent_at).for_each(|stretch| stretch.goodput += 1);
            if effect.sent_at.since(Instant::ORIGIN) < self.storm {
                self.storm_goodput += 1;
            }
            if let Some(second) = self.recovery.as_mut().and_then(|recovery| recovery.at(effect.sent_at)) {
                second.0 += 1;
            }
            self.count(Counted::Goodput, now);
        }
    }

    /// A client heard a 2xx to a request for an effect.
    pub fn acknowledged(&mut self, now: Instant, request: RequestName) {
        if let Some(acks) = &mut self.acks {
            acks.heard(now, request);
        }
    }

    /// A recorded variant is not the specified one.
    pub fn mismatched(&mut self, user: u32) {
        if let Some(mismatches) = &mut self.mismatches {
            mismatches.insert(user);
        }
    }

    /// Units were refused for good.
    pub fn refused(&mut self, user: u32, units: u32) {
        let user = self.user_mut(user);
        user.refused_units = user.refused_units.saturating_add(units);
    }

    /// The hook gave a grant up, with evidence or by rejection.
    pub fn closed(&mut self, now: Instant, user: u32, how: Closing) {
        for stretch in self.during(now) {
            match how {
                Closing::Parked => stretch.parked += 1,
                Closing::Rejected => stretch.rejected += 1,
            }
        }
        let user = &mut self.users[user as usize];
        let is_entitled = self.entitlements.of_user(user).is_some();
        let was_open = is_entitled && !user.is(User::DELIVERED) && !user.is(User::CLOSED);
        user.set(User::CLOSED);
        self.close_backlog(now, was_open);
    }

    /// A roll-out is under way until `until`: all starts in it are one restart.
    pub fn rolling(&mut self, until: Instant) {
        self.rolling_until = self.rolling_until.max(until);
    }

    /// A process starts on an instance that had one before.
    pub fn restarted(&mut self, now: Instant) {
        let is_rolling = now < self.rolling_until;
        if self.restart_group_until.is_none_or(|until| now > until) {
            // A record of 16 bits tells no more epochs apart.
            if self.epochs.len() == usize::from(u16::MAX) {
                return;
            }
            self.epochs.push(Epoch { at: now, ..Epoch::default() });
            self.restart_group_until = Some(now + RESTART_GROUP);
        }
        // A roll-out is one restart, also if an instance had come back shortly before it.
        if is_rolling {
            self.restart_group_until = self.restart_group_until.max(Some(self.rolling_until));
        }
    }

    /// The run ends.
    pub fn ended(&mut self, now: Instant) {
        self.overload.set(now, false);
        self.note_backlog(now);
        self.count_second(now + Duration::from_secs(1));
    }

    /// A named stretch ends: the users are measured as they are.
    pub fn stretch_ended(&mut self, index: usize, scenario: &Scenario) {
        let outcomes = self.outcomes.as_ref();
        let yardstick = Yardstick { quota: &scenario.quota, entitlements: &self.entitlements, outcomes };
        self.stretches[index].allocation = Some(measure(&self.users, yardstick));
    }
}

/// A count as a level.
fn count(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// Whether the quota service may say yes without an effect.
fn may_lie(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| matches!(fault.kind, FaultKind::QuotaFalseAck))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_cannot_be_told_while_nobody_is_newly_entitled() {
        let second = Duration::from_secs(1);
        let mut recovery = Recovery::new(second * 20, second * 120);
        assert!(recovery.is_silent_before(Duration::ZERO));
        // The first 30 s without anybody begin at second 41 after the trigger.
        recovery.seconds[40].1 = 1;
        recovery.seconds[15].1 = 1;
        assert!(!recovery.is_silent_before(second * 40) && recovery.is_silent_before(second * 41));
    }
}
