//! From what the simulator tells of a user to the story that a reader is told: the words, and who is worth telling of.

use hookproof_core::classify::Doubt;
use hookproof_core::protection::Protections;
use hookproof_core::store::GrantState;
use hookproof_core::time::Instant;
use hookproof_core::upstream::{Answer, Ask, Lost, NotSent};
use hookproof_reports::{Length, Step, Story, Why};
use hookproof_sim::chronicle::{Account, Again, Chronicle, Entry, Happening, Place};
use hookproof_sim::fault::kind_name;
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::{FaultKind, Scenario};
use hookproof_sim::subject::Shown;
use hookproof_sim::users;
use hookproof_sim::{Recording, Setting, run_telling};

use crate::record;

/// Stories in one run's record.
const STORIES_MAX: usize = 5;
/// Of those, users who hold too much without having violated anything first.
const WORST_MAX: usize = 3;
/// Steps of one story, unless an invariant is violated later.
const STEPS_MAX: usize = 200;

/// The number of a simulated user by name, as `user-17` or `17`.
pub(crate) fn user_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("user-").unwrap_or(name);
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_plain)
}

/// Whom to tell of, and why: those by whom an invariant was first violated, then those who hold most beyond their cap.
pub(crate) fn worth_telling(outcome: &Outcome) -> Vec<(u32, Why)> {
    let broken = outcome.invariants.iter().filter(|invariant| invariant.violations > 0);
    let violators = broken.filter_map(|invariant| invariant.first.as_ref()?.user.as_deref());
    let worst = outcome.worst_users.iter().take(WORST_MAX).map(|worst| worst.user.as_str());
    let all = violators.map(|user| (user, Why::Violation)).chain(worst.map(|user| (user, Why::OverAllocated)));
    let mut told: Vec<(u32, Why)> = Vec::new();
    for (user, why) in all.filter_map(|(name, why)| Some((user_number(name)?, why))) {
        if told.len() < STORIES_MAX && told.iter().all(|(other, _)| *other != user) {
            told.push((user, why));
        }
    }
    told
}

/// The stories of these users in a run that `outcome` came of: it is simulated again, listening.
pub(crate) fn tell(scenario: &Scenario, outcome: &Outcome, told: &[(u32, Why)]) -> Vec<Story> {
    if told.is_empty() {
        return Vec::new();
    }
    let users: Vec<u32> = told.iter().map(|(user, _)| *user).collect();
    let setting = Setting {
        hook: outcome.hook,
        protections: Protections::ALL,
        sabotage: None,
        recording: Recording::Off,
        seed: outcome.seed,
    };
    let (again, chronicle) = run_telling(scenario, setting, &users, &mut |_| {});
    assert_eq!(again.digest, outcome.digest, "a run that is told of is the same run");
    let placed = scenario.placed(outcome.seed);
    told.iter().map(|(user, why)| story(&placed, outcome, (*user, *why), &chronicle)).collect()
}

fn story(placed: &Scenario, outcome: &Outcome, (user, why): (u32, Why), chronicle: &Chronicle) -> Story {
    let words = Words { scenario: placed, name: users::name(user) };
    let entries = chronicle.story(user);
    let (mut effects, mut steps) = (0, Vec::new());
    for entry in &entries {
        effects += u32::from(matches!(entry.what, Happening::Served { units: Some(_), .. }));
        steps.push(words.step(entry, effects));
    }
    for invariant in &outcome.invariants {
        let Some(first) = invariant.first.as_ref().filter(|_| invariant.violations > 0) else { continue };
        if first.user.as_deref() != Some(words.name.as_str()) {
            continue;
        }
        let until = entries.partition_point(|entry| entry.at.since(Instant::ORIGIN) <= first.at);
        if let Some(step) = until.checked_sub(1).and_then(|last| steps.get_mut(last)) {
            step.violates.push(invariant.id.to_owned());
        }
    }
    // However late an invariant is violated, the story goes as far.
    let violated = steps.iter().rposition(|step| !step.violates.is_empty()).map_or(0, |last| last + 1);
    let told = STEPS_MAX.max(violated);
    let left_out = steps.len().saturating_sub(told) as u64 + chronicle.left_out(user);
    steps.truncate(told);
    let Account { effects, held, intended } = chronicle.account(user);
    Story { user: words.name, why, effects: u32::from(effects), held, intended, steps, left_out }
}

/// What the words are about.
struct Words<'s> {
    scenario: &'s Scenario,
    /// The user's.
    name: String,
}

impl Words<'_> {
    fn step(&self, entry: &Entry, effects: u32) -> Step {
        let (kind, text) = self.what(entry.what, effects);
        Step {
            at: Length(entry.at.since(Instant::ORIGIN)),
            place: place(entry.place),
            shown: entry.shown.map(record::utc),
            kind: kind.to_owned(),
            text,
            correlation: entry.visit.map(|visit| format!("{}/{visit}", self.name)),
            violates: Vec::new(),
        }
    }

    fn what(&self, what: Happening, effects: u32) -> (&'static str, String) {
        match what {
            Happening::Visits => ("visit", "a visit begins".into()),
            Happening::Tries { attempt, instance, .. } => ("try", format!("try {attempt} goes to {}", app(instance))),
            Happening::TryFailed { again: Again::Later } => {
                ("failure", "the try fails; the caller will try again".into())
            }
            Happening::TryFailed { again: Again::Never } => ("failure", "the try fails, and the caller leaves".into()),
            Happening::Shown { shown } => ("answer", self.shown(shown)),
            Happening::Exposed { variant, version } => {
                ("exposure", format!("the exposure to {} is recorded", self.variant(version, usize::from(variant))))
            }
            Happening::Claimed { instance, attempt, doubt, fence } => {
                let (epoch, claim) = (fence.epoch.0, fence.claim);
                let doubt = match doubt {
                    Doubt::Clear => "",
                    Doubt::InDoubt => "; an earlier attempt may have been applied",
                };
                (
                    "claim",
                    format!("{} claims the grant for attempt {attempt}, fence {epoch}/{claim}{doubt}", app(instance)),
                )
            }
            Happening::Sent { number, ask, key, is_awaited } => {
                let key = key.map_or_else(|| "without a key".to_owned(), |key| format!("under key {}", short(key)));
                let asks = match ask {
                    Ask::Apply => "asks for more quota",
                    Ask::Read => "asks whether the grant was applied",
                };
                let waits = if is_awaited { "; the visit waits for it" } else { "" };
                ("attempt", format!("request {number} {asks}, {key}{waits}"))
            }
            Happening::Touched { number, fault } => {
                ("fault", format!("{} touches request {number}", self.fault(fault)))
            }
            Happening::Repeated { number } => {
                ("duplicate", format!("request {number} is sent again, not by its client"))
            }
            Happening::Arrived { number } => ("arrival", format!("request {number} arrives")),
            Happening::Served { number, units: Some(units), .. } => {
                ("effect", format!("request {number} is applied: {units} units more, effect {effects} of this user"))
            }
            Happening::Served { number, status, units: None, is_replay: true } => {
                ("service", format!("request {number} is known: answered {status} as before, without another effect"))
            }
            Happening::Served { number, status, units: None, is_replay: false } => {
                ("service", format!("request {number} is answered {status}, without an effect"))
            }
            Happening::Heard { number, answer } => heard(number, answer),
            Happening::Settled { state } => ("settled", format!("the grant is recorded as {}", settled(state))),
            Happening::Starts { instance } => ("restart", format!("{} starts", app(instance))),
            Happening::Stops { instance } => {
                ("restart", format!("{} ends, with all that it held in memory", app(instance)))
            }
            Happening::FaultStarts { fault } => ("fault", format!("{} begins", self.fault(fault))),
            Happening::FaultEnds { fault } => ("fault", format!("{} ends", self.fault(fault))),
        }
    }

    fn shown(&self, shown: Shown) -> String {
        let name = |variant: hookproof_core::experiment::VariantIndex| self.variant(0, variant.index());
        match shown {
            Shown::Variant(variant) => format!("the user meets {}", name(variant)),
            Shown::Unrecorded(variant) => format!("the user meets {}; no record counts", name(variant)),
            Shown::Provisional(variant) => {
                format!("the user meets {} provisionally: nothing could be recorded", name(variant))
            }
            Shown::Error => "the visit ends with an error".into(),
        }
    }

    /// A variant's name in a version: the scenario's, or one of its roll-outs' in file order.
    fn variant(&self, version: u8, variant: usize) -> String {
        let deployed = self.scenario.faults.iter().filter_map(|fault| {
            if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind { Some(&**experiment) } else { None }
        });
        let experiment = std::iter::once(&self.scenario.experiment).chain(deployed).nth(usize::from(version));
        let variant = experiment.and_then(|experiment| experiment.variants().get(variant));
        variant.map_or_else(|| "an unknown variant".to_owned(), |variant| format!("{:?}", variant.name))
    }

    fn fault(&self, fault: u32) -> String {
        let fault = self.scenario.faults.get(fault as usize);
        fault.map_or_else(String::new, |fault| format!("{:?} ({})", fault.name, kind_name(&fault.kind)))
    }
}

fn place(place: Place) -> String {
    match place {
        Place::Caller => "caller".to_owned(),
        Place::Instance(instance) => app(instance),
        Place::Store => "store".to_owned(),
        Place::Quota => "quota".to_owned(),
        Place::Run => "run".to_owned(),
    }
}

fn app(instance: u16) -> String {
    format!("app-{}", u32::from(instance) + 1)
}

/// The first bytes of a key: enough to tell keys apart by eye.
fn short(key: [u8; 16]) -> String {
    hex::encode(&key[..4])
}

fn heard(number: u64, answer: Answer) -> (&'static str, String) {
    match answer {
        Answer::Status { code: code @ 200..=299, .. } => ("receipt", format!("hears {code} to request {number}")),
        Answer::Status { code, .. } => ("outcome", format!("hears {code} to request {number}")),
        Answer::NotSent(why) => {
            let why = match why {
                NotSent::Dns => "the name did not resolve",
                NotSent::Refused => "the connection was refused",
                NotSent::ConnectTimeout => "no connection in time",
                NotSent::Tls => "the TLS handshake failed",
            };
            ("outcome", format!("request {number} never left: {why}"))
        }
        Answer::Lost(why) => {
            let why = match why {
                Lost::Timeout => "no answer in time",
                Lost::Reset => "the connection was reset",
                Lost::Truncated => "the answer broke off",
            };
            ("outcome", format!("nobody knows what became of request {number}: {why}"))
        }
    }
}

const fn settled(state: GrantState) -> &'static str {
    match state {
        GrantState::Pending => "pending",
        GrantState::Claimed => "claimed",
        GrantState::Delivered => "delivered",
        GrantState::Rejected => "rejected",
        GrantState::Parked => "parked, for a human to look up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_in_reports_or_by_number() {
        assert_eq!(["user-17", "17", "user-0"].map(user_number), [Some(17), Some(17), Some(0)]);
        for name in ["", "user-", "user-x", "user--1", "+5", "user-007", "4294967296"] {
            assert_eq!(user_number(name), None, "{name:?}");
        }
    }
}
