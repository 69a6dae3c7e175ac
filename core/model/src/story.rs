//! A counterexample in plain words.
//!
//! Owns the narration: each step of a path becomes a numbered sentence, and seconds that pass are told with the sentence that
//! follows them. It judges nothing; the last line is the rule that [`property`] finds broken.

use std::fmt::Write as _;

use hookproof_core::classify::{Doubt, ParkReason};
use hookproof_core::store::{GrantState, Settlement};
use hookproof_core::upstream::Ask;

use crate::action::{Action, Course, Trouble};
use crate::check::Outcome;
use crate::machine::GrantModel;
use crate::property;
use crate::state::{Held, Message, Stage, State};

/// The story of an outcome's counterexample; empty if it has none.
pub fn tell(outcome: &Outcome) -> String {
    let mut story = String::new();
    let Some(path) = &outcome.path else { return story };
    let mut number = 0;
    for pair in path.windows(2) {
        let [(before, Some(action)), (after, _)] = pair else { continue };
        if *action != Action::Tick {
            number += 1;
            let sentence = sentence(before, *action, after);
            let _ = writeln!(story, "{number:>3}. {:>2} s: {sentence}.", before.now);
        }
    }
    let model = GrantModel { cell: outcome.cell.clone() };
    if let Some((last, _)) = path.last() {
        let rule = property::broken_rule(&model, last).unwrap_or("a rule about requests under way or the books");
        let _ = writeln!(story, "     {:>2} s: {rule}.", last.now);
    }
    story
}

fn sentence(before: &State, action: Action, after: &State) -> String {
    let in_store = |store: usize| if before.stores.len() > 1 { [" (store A)", " (store B)"][store.min(1)] } else { "" };
    match action {
        Action::Visit { store, user } => {
            format!("user-{user} visits; the store{} records exposure and grant", in_store(store))
        }
        Action::Claim { worker } => claim(before, after, worker),
        Action::Guard { worker, held } => guard(after, worker, held),
        Action::Write { worker, held } => format!("{} writes the {}", name(worker), ask(before.held(worker, held))),
        Action::GiveUp { worker, held } => {
            let planned = after.held(worker, held).map_or_else(String::new, plan);
            format!("{} has no answer and gives the attempt up: {planned}", name(worker))
        }
        Action::Settle { worker, held, .. } => {
            let what = settlement_of(before.held(worker, held));
            let store = before.store_of(worker);
            format!(
                "{}'s settlement \"{what}\" is committed{}: {}",
                name(worker),
                in_store(store),
                grants(after, store)
            )
        }
        Action::Execute { message, course } => execution(before, after, message, course),
        Action::Tick => "a second passes".to_owned(),
        Action::Trouble(trouble) => hitch(before, after, trouble),
    }
}

fn name(worker: usize) -> &'static str {
    if worker == 0 { "worker A" } else { "worker B" }
}

fn ask(held: Option<&Held>) -> &'static str {
    match held.map(|held| &held.stage) {
        Some(Stage::Guarded { ask: Ask::Read, .. } | Stage::Sent { ask: Ask::Read, .. }) => "read",
        _ => "request",
    }
}

fn claim(before: &State, after: &State, worker: usize) -> String {
    let known = before.workers[worker].len();
    let is_new = |held: &&Held| before.workers[worker].iter().all(|other| other.grant.fence != held.grant.fence);
    let claims = after.workers[worker].iter().filter(|held| known == 0 || is_new(held)).map(|held| {
        let doubt = match held.grant.doubt {
            Doubt::Clear => "not in doubt",
            Doubt::InDoubt => "in doubt",
        };
        let over = if held.is_takeover { "takes over" } else { "claims" };
        format!("{over} user-{}'s grant ({doubt}, claim {})", held.grant.user.0, held.grant.fence.claim)
    });
    format!("{} {}", name(worker), claims.collect::<Vec<_>>().join(" and "))
}

fn guard(after: &State, worker: usize, index: usize) -> String {
    let worker_name = name(worker);
    let Some(held) = after.held(worker, index) else { return worker_name.to_owned() };
    match held.stage {
        Stage::Guarded { ask: Ask::Apply, .. } => format!("{worker_name}'s guards let the request pass"),
        Stage::Guarded { ask: Ask::Read, .. } => format!("{worker_name} is to read before anything is sent"),
        Stage::Claimed | Stage::Sent { .. } | Stage::Settling(_) => {
            format!("{worker_name}'s guards let nothing pass: {}", plan(held))
        }
    }
}

/// What a worker is about to settle.
fn plan(held: &Held) -> String {
    format!("it is to settle \"{}\"", settlement_of(Some(held)))
}

fn settlement_of(held: Option<&Held>) -> String {
    let Some(Stage::Settling(settlement)) = held.map(|held| &held.stage) else { return "nothing".to_owned() };
    settlement_words(*settlement)
}

fn settlement_words(settlement: Settlement) -> String {
    match settlement {
        Settlement::Delivered => "delivered".to_owned(),
        Settlement::Rejected => "rejected".to_owned(),
        Settlement::Parked { reason, .. } => format!("parked, {}", reason_words(reason)),
        Settlement::Again { after, doubt: Doubt::InDoubt } => format!("again after {} s, in doubt", after.as_secs()),
        Settlement::Again { after, doubt: Doubt::Clear } => {
            format!("again after {} s, this one was not applied", after.as_secs())
        }
        Settlement::Unsent { after } => format!("again after {} s, nothing was sent", after.as_secs()),
        Settlement::Released { after } => format!("released, due after {} s", after.as_secs()),
        Settlement::Absent => "absent: nothing was applied".to_owned(),
    }
}

fn reason_words(reason: ParkReason) -> &'static str {
    match reason {
        ParkReason::WindowClosed => "the key's window is closed",
        ParkReason::NotRepeatable => "nothing makes a repetition safe",
        ParkReason::RefusedInDoubt => "refused while in doubt",
        ParkReason::KeyMismatch => "the key is known with another body",
        ParkReason::HistoryLost => "its history is lost",
        ParkReason::NotReadable => "the service cannot be read",
    }
}

fn grants(state: &State, store: usize) -> String {
    let words = state.users().map(|user| {
        let word = match state.grant_state(store, user) {
            None => "not recorded",
            Some(GrantState::Pending) => "pending",
            Some(GrantState::Claimed) => "claimed",
            Some(GrantState::Delivered) => "delivered",
            Some(GrantState::Rejected) => "rejected",
            Some(GrantState::Parked) => "parked",
        };
        format!("user-{user}'s grant is {word}")
    });
    words.collect::<Vec<_>>().join(", ")
}

fn execution(before: &State, after: &State, index: usize, course: Course) -> String {
    let Some(message) = before.messages.get(index) else { return String::new() };
    let request = request_words(message);
    let user = usize::from(message.user);
    let (old, new) = (before.service.effects[user], after.service.effects[user]);
    let deed = match (message.ask, old, new) {
        (Ask::Read, 0, _) => "finds nothing".to_owned(),
        (Ask::Read, _, _) => "finds the effect".to_owned(),
        (Ask::Apply, 0, 1) => format!("raises user-{user}'s quota"),
        (Ask::Apply, _, _) if new > old => format!("raises user-{user}'s quota AGAIN"),
        (Ask::Apply, _, _) => "is known, and nothing is raised twice".to_owned(),
    };
    let is_heard = message.answer_to.is_some() && before.workers[message.worker] != after.workers[message.worker];
    let heard = if is_heard { "and it is answered" } else { "and nobody waits for the answer" };
    match course {
        Course::Answered => format!("{request} {deed}, {heard}"),
        Course::AnswerLost => format!("{request} {deed}, and its answer is lost"),
        Course::AnswerError => format!("{request} {deed}, and its answer is a 500"),
        Course::Throttled => format!("{request} is answered 429"),
        Course::InProgress => format!("{request} is answered 409: another one with its key is under way"),
        Course::Refused => format!("{request} is refused: the limit is reached"),
        Course::FalseAck => format!("{request} is answered 200, and nothing is done"),
        Course::ReadMisses => format!("{request} misses the effect, which is younger than the declared lag"),
        Course::ReadMissesLonger => format!("{request} misses the effect, though it is older than the declared lag"),
        Course::Vanishes => format!("{request} is lost on its way"),
    }
}

fn request_words(message: &Message) -> String {
    let what = match (message.ask, message.is_copy) {
        (Ask::Read, _) => "read",
        (Ask::Apply, false) => "request",
        (Ask::Apply, true) => "request's copy",
    };
    let claim = message.answer_to.map_or_else(String::new, |fence| format!(" (claim {})", fence.claim));
    format!("{}'s {what}{claim}", name(message.worker))
}

fn hitch(before: &State, after: &State, trouble: Trouble) -> String {
    match trouble {
        Trouble::Crash { worker } => format!("{} dies and begins again without memory", name(worker)),
        Trouble::Stall { worker, .. } => format!("{} stands still", name(worker)),
        Trouble::Copy { message } => {
            let copied = before.messages.get(message).map_or_else(String::new, request_words);
            format!("the network makes a copy of {copied}")
        }
        Trouble::Silence => format!("no answer comes from here to {} s", after.silent_until),
        Trouble::KeyLost { user } => format!("the service forgets user-{user}'s key"),
        Trouble::ClaimUnknown { worker } => {
            format!("{}'s claim is committed, and it does not learn of it", name(worker))
        }
        Trouble::SettleUnknown { worker, held } => {
            let what = settlement_of(before.held(worker, held));
            format!("{}'s settlement \"{what}\" is committed, and it does not learn of it", name(worker))
        }
        Trouble::SettleLate { worker, held } => {
            let what = settlement_of(before.held(worker, held));
            format!("{}'s settlement \"{what}\" is under way to the store, and nobody knows", name(worker))
        }
        Trouble::LateCommit { .. } => format!("the late settlement is committed: {}", grants(after, 0)),
        Trouble::OutageBegins => "the store begins to refuse everything".to_owned(),
        Trouble::OutageEnds => "the store works again".to_owned(),
        Trouble::Snapshot => "this is the state that the store will fall back to".to_owned(),
        Trouble::Rollback if after.epochs > before.epochs => {
            format!("the store falls back, and a new epoch begins: {}", grants(after, 0))
        }
        Trouble::Rollback => format!("the store falls back, and nothing says so: {}", grants(after, 0)),
        Trouble::ClockSteps => {
            format!("the store's clock steps forward by {} s", after.store_lead - before.store_lead)
        }
        Trouble::ClockStands => format!("the store's clock stands still until {} s", after.stands_until),
    }
}
