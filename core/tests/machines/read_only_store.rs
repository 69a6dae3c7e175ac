//! Goal: a store that can read and not write still answers users who have a record, and nobody waits twice for a store that
//! does neither.
//!
//! Method: a committer whose commits are refused, executed by an image, or lost, as each test says.

use std::time::Duration;

use hookproof_core::admission::VisitToken;
use hookproof_core::committer::{Commit, Committer, CommitterConfig, Origin, Outcome, Resolved, Ticket};
use hookproof_core::delivery::AttemptId;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::UserHandle;
use hookproof_core::store::{Admit, Admitted, Claim, ClaimNonce, Command, Committed, First, FleetLimits, Image, Reply};
use hookproof_core::time::{Instant, WallTime};

const CONTROL: VariantIndex = VariantIndex::new(0);
const TREATMENT: VariantIndex = VariantIndex::new(1);
const STORE_TIME: WallTime = WallTime::from_unix_nanos(1_700_000_000_000_000_000);

fn at(milliseconds: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(milliseconds)
}

fn open_committer() -> Committer {
    let mut committer = Committer::new(CommitterConfig { batch_max: 4, patience: Duration::from_millis(100) });
    committer.opened();
    committer
}

fn visit(user: u64) -> Origin {
    Origin::Visit { visit: VisitToken(user), user: UserHandle(user), provisional: CONTROL }
}

fn admission(user: u64) -> Command {
    Command::Admit(Admit { user: UserHandle(user), variant: TREATMENT, generation: 0, grant: None })
}

fn find(user: u64) -> Command {
    Command::Find(UserHandle(user))
}

fn claim() -> Command {
    let fleet = FleetLimits { initial_in_flight: 1, max_in_flight: 1, effects_per_minute: 1 };
    Command::Claim(Claim { nonce: ClaimNonce(1), limit: 1, fleet, lease: Duration::from_secs(1), into: Vec::new() })
}

fn admit(committer: &mut Committer, now: Instant, users: impl IntoIterator<Item = u64>) {
    for user in users {
        committer.submit(now, visit(user), admission(user));
    }
}

/// An image in which `users` were exposed to the control.
fn store_with(users: impl IntoIterator<Item = u64>) -> Image {
    let mut image = Image::default();
    for user in users {
        let admit = Admit { user: UserHandle(user), variant: CONTROL, generation: 0, grant: None };
        image.apply(STORE_TIME, Command::Admit(admit));
    }
    image
}

fn sent(committer: &mut Committer, now: Instant) -> (Ticket, Vec<Command>) {
    let Commit { ticket, commands, .. } = committer.poll_commit(now).expect("something waits and nothing is under way");
    (ticket, commands)
}

/// Sends what waits and refuses it; returns what was sent.
fn refuse(committer: &mut Committer, now: Instant) -> Vec<Command> {
    let (ticket, commands) = sent(committer, now);
    committer.on_reply(now, ticket, Reply::Refused).expect("it is under way");
    commands
}

/// Sends what waits to a store that only reads; returns what was sent.
fn read(committer: &mut Committer, now: Instant, store: &mut Image) -> Vec<Command> {
    let (ticket, commands) = sent(committer, now);
    let writes = commands.iter().any(|command| store.writes(STORE_TIME, command));
    let reply = if writes { Reply::Refused } else { store.commit(STORE_TIME, commands.clone()) };
    committer.on_reply(now, ticket, reply).expect("it is under way");
    commands
}

fn resolved(committer: &mut Committer) -> Vec<(Option<Origin>, Outcome)> {
    std::iter::from_fn(|| committer.poll_resolved()).map(|Resolved { origin, outcome }| (origin, outcome)).collect()
}

fn found(record: Option<VariantIndex>) -> Outcome {
    let admitted = |variant| Admitted { variant, first: First::Known, generation: 0, grant: None };
    let result = Committed::Found { record: record.map(admitted), due_at: WallTime::MAX };
    Outcome::Done { at: STORE_TIME, result }
}

#[test]
fn an_exposed_user_who_shares_a_refused_commit_meets_the_recorded_variant() {
    let (mut committer, mut store) = (open_committer(), store_with([1]));
    admit(&mut committer, at(0), [1, 2]);
    assert_eq!(read(&mut committer, at(0), &mut store), [admission(1), admission(2)]);
    assert_eq!(resolved(&mut committer), []);
    assert_eq!(read(&mut committer, at(1), &mut store), [find(1), find(2)]);
    assert_eq!(resolved(&mut committer), [(Some(visit(1)), found(Some(CONTROL))), (Some(visit(2)), Outcome::Refused)]);
    assert!(committer.is_idle());
}

#[test]
fn a_refused_admission_without_company_is_looked_up_as_well() {
    for (exposed, outcome) in [(vec![], Outcome::Refused), (vec![7], found(Some(CONTROL)))] {
        let (mut committer, mut store) = (open_committer(), store_with(exposed));
        admit(&mut committer, at(0), [7]);
        refuse(&mut committer, at(0));
        assert_eq!(read(&mut committer, at(1), &mut store), [find(7)]);
        assert_eq!(resolved(&mut committer), [(Some(visit(7)), outcome)]);
    }
}

#[test]
fn a_search_that_was_refused_with_a_write_finds_that_there_is_nothing() {
    let (mut committer, mut store) = (open_committer(), store_with([]));
    committer.submit(at(0), visit(1), find(1));
    admit(&mut committer, at(0), [2]);
    read(&mut committer, at(0), &mut store);
    read(&mut committer, at(1), &mut store);
    let outcomes = resolved(&mut committer);
    assert_eq!(outcomes, [(Some(visit(1)), found(None)), (Some(visit(2)), Outcome::Refused)]);
}

#[test]
fn lookups_go_out_alone_and_before_what_has_come_meanwhile() {
    let (mut committer, mut store) = (open_committer(), store_with([]));
    admit(&mut committer, at(0), 1..=6);
    let (ticket, commands) = sent(&mut committer, at(0));
    assert_eq!(commands.len(), 4);
    committer.submit(at(1), Origin::Claim, claim());
    committer.on_reply(at(1), ticket, Reply::Refused);
    assert_eq!(read(&mut committer, at(2), &mut store), [find(1), find(2), find(3), find(4)]);
    let (_, commands) = sent(&mut committer, at(3));
    assert_eq!(commands, [claim(), admission(5), admission(6)]);
}

#[test]
fn a_store_that_refuses_everything_is_sent_one_commit_more_for_each_with_visits() {
    let mut committer = open_committer();
    admit(&mut committer, at(0), 1..=8);
    committer.submit(at(0), Origin::Claim, claim());
    committer.submit(at(0), Origin::Settle(AttemptId::from_bits(1)), claim());
    let commits: Vec<Vec<Command>> = (0..6).map(|millisecond| refuse(&mut committer, at(millisecond))).collect();
    let sizes: Vec<usize> = commits.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 2, 4, 4, 2, 2]);
    let outcomes = resolved(&mut committer);
    let origins: Vec<Option<Origin>> = outcomes.iter().map(|(origin, _)| *origin).collect();
    let machines = [Some(Origin::Claim), Some(Origin::Settle(AttemptId::from_bits(1)))];
    let expected: Vec<_> = machines.into_iter().chain((1..=8).map(|user| Some(visit(user)))).collect();
    assert_eq!(origins, expected, "each is resolved exactly once");
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Refused));
    assert!(committer.is_idle());
}

#[test]
fn a_commit_that_only_read_is_not_repeated() {
    let mut committer = open_committer();
    committer.submit(at(0), visit(1), find(1));
    refuse(&mut committer, at(0));
    assert_eq!(resolved(&mut committer), [(Some(visit(1)), Outcome::Refused)]);
    assert!(committer.is_idle());
}

#[test]
fn a_refusal_after_the_visits_patience_is_final() {
    let mut committer = open_committer();
    admit(&mut committer, at(0), [1]);
    let (ticket, _) = sent(&mut committer, at(0));
    committer.on_reply(at(100), ticket, Reply::Refused);
    assert_eq!(resolved(&mut committer), [(Some(visit(1)), Outcome::Refused)]);
}

#[test]
fn a_lookup_waits_no_longer_than_its_visit() {
    let mut committer = open_committer();
    admit(&mut committer, at(0), [1]);
    refuse(&mut committer, at(50));
    let (ticket, _) = sent(&mut committer, at(60));
    assert_eq!(committer.next_deadline(), Some(at(100)));
    committer.handle_timeout(at(100));
    assert_eq!(resolved(&mut committer), [(Some(visit(1)), Outcome::Refused)]);
    committer.on_reply(at(120), ticket, Reply::Refused);
    assert!(resolved(&mut committer).iter().all(|(origin, _)| origin.is_none()), "its visit is answered once");
}

#[test]
fn a_lookup_whose_answer_is_lost_is_not_repeated() {
    let mut committer = open_committer();
    admit(&mut committer, at(0), [1]);
    refuse(&mut committer, at(0));
    let (ticket, _) = sent(&mut committer, at(1));
    committer.on_reply(at(2), ticket, Reply::Unknown);
    assert_eq!(resolved(&mut committer), [(Some(visit(1)), Outcome::Refused)]);
    assert!(committer.is_idle());
}

#[test]
fn what_may_have_been_done_before_a_refusal_stays_unknown() {
    let (mut committer, mut store) = (open_committer(), store_with([1]));
    admit(&mut committer, at(0), [1, 2]);
    let (ticket, _) = sent(&mut committer, at(0));
    committer.on_reply(at(1), ticket, Reply::Unknown);
    assert_eq!(refuse(&mut committer, at(1)), [admission(1), admission(2)]);
    assert_eq!(read(&mut committer, at(2), &mut store), [find(1), find(2)]);
    let outcomes = resolved(&mut committer);
    assert_eq!(outcomes, [(Some(visit(1)), found(Some(CONTROL))), (Some(visit(2)), Outcome::Unknown)]);
}
