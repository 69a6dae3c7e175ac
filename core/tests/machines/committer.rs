//! Goal: commands share commits in their order, nothing unknown is taken for known, and everybody who waits is told exactly
//! once, whatever the store replies and whenever.
//!
//! Method: the machine alone, fed by hand; then a property that submits, replies (truly, wrongly, lately, to nobody), lets
//! time pass and counts. The seed is fixed; `PROPTEST_CASES` raises the number of sequences.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_core::admission::VisitToken;
use hookproof_core::committer::{Commit, Committer, CommitterConfig, Origin, Outcome, Resolved, Ticket};
use hookproof_core::delivery::AttemptId;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Admitted, Claim, ClaimNonce, Command, Committed, Epoch, Fence, First, FleetLimits, LineageId, Load, Open,
    Reply, Settle, Settlement, VersionId,
};
use hookproof_core::time::{Instant, WallTime};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};

const PATIENCE: Duration = Duration::from_secs(1);
const AT: WallTime = WallTime::from_unix_nanos(5);

const fn ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn open_command() -> Command {
    Command::Open(Open { lineage: LineageId([1; 16]), version: VersionId([2; 16]) })
}

/// A visit of the user `n`, with the command that it submits.
fn visit(n: u64) -> (Origin, Command) {
    let user = UserHandle(n);
    let variant = VariantIndex::new(0);
    let admit = Admit { user, variant, generation: 0, grant: None };
    (Origin::Visit { visit: VisitToken(n), user, provisional: variant }, Command::Admit(admit))
}

fn claim() -> (Origin, Command) {
    let fleet = FleetLimits { initial_in_flight: 4, max_in_flight: 64, effects_per_minute: 6_000 };
    (Origin::Claim, Command::Claim(Claim { nonce: ClaimNonce(1), limit: 4, fleet, lease: PATIENCE, into: Vec::new() }))
}

/// A settlement of the attempt `n`.
fn settle(n: u64) -> (Origin, Command) {
    let settle = Settle {
        user: UserHandle(n),
        grant: GrantId::from_bytes([7; 16]),
        fence: Fence { epoch: Epoch(0), claim: 1, nonce: ClaimNonce(1) },
        settlement: Settlement::Delivered,
        load: Load::Answered,
        pause: Duration::ZERO,
    };
    (Origin::Settle(AttemptId::from_bits(n)), Command::Settle(settle))
}

/// The result that a command has in a store that finds nothing.
fn result_of(command: &Command) -> Committed {
    let due_at = WallTime::MAX;
    match command {
        Command::Open(open) => Committed::Opened { due_at, versions: vec![open.version] },
        Command::Admit(admit) => {
            let (variant, generation) = (admit.variant, admit.generation);
            Committed::Admitted {
                record: Admitted { variant, first: First::Exposure, generation, grant: None },
                due_at,
            }
        }
        Command::Find(_) => Committed::Found { record: None, due_at },
        Command::Claim(_) => Committed::Claimed { grants: Vec::new(), due_at, hold: None },
        Command::Settle(_) => Committed::Settled { due_at },
        Command::Resolve(_) => Committed::Resolved { was_parked: true, due_at },
    }
}

fn done(commit: &Commit) -> Reply {
    Reply::Committed { at: AT, versions: 1, results: commit.commands.iter().map(result_of).collect() }
}

fn submit(committer: &mut Committer, now: Instant, (origin, command): (Origin, Command)) {
    committer.submit(now, origin, command);
}

fn resolved(committer: &mut Committer) -> Vec<Resolved> {
    std::iter::from_fn(|| committer.poll_resolved()).collect()
}

fn outcomes(committer: &mut Committer) -> Vec<(Option<Origin>, Outcome)> {
    resolved(committer).into_iter().map(|resolved| (resolved.origin, resolved.outcome)).collect()
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}

fn closed(batch_max: u16) -> Committer {
    Committer::new(CommitterConfig { batch_max, patience: PATIENCE })
}

/// A committer whose store is open.
fn opened(batch_max: u16) -> Committer {
    let mut committer = closed(batch_max);
    submit(&mut committer, ms(0), (Origin::Open, open_command()));
    let open = committer.poll_commit(ms(0)).expect("it opens");
    committer.on_reply(ms(0), open.ticket, done(&open));
    assert_eq!(resolved(&mut committer).len(), 1);
    committer.opened();
    committer
}

#[test]
fn settings_that_would_commit_nothing_are_refused() {
    for (batch_max, patience, is_permitted) in [(1, PATIENCE, true), (0, PATIENCE, false), (1, Duration::ZERO, false)] {
        assert_eq!(CommitterConfig { batch_max, patience }.check().is_ok(), is_permitted);
    }
    assert!(CommitterConfig::default().check().is_ok());
}

#[test]
fn an_idle_store_is_given_a_command_at_once() {
    let mut committer = opened(128);
    submit(&mut committer, ms(0), visit(0));
    assert_eq!(committer.poll_commit(ms(0)).expect("nothing is under way").commands, [visit(0).1]);
    assert_eq!(committer.poll_commit(ms(0)), None, "one commit at a time");
}

#[test]
fn what_gathers_while_a_commit_is_under_way_goes_together_and_what_was_promised_before_visits() {
    let mut committer = opened(3);
    submit(&mut committer, ms(0), visit(0));
    let first = committer.poll_commit(ms(0)).expect("nothing is under way");
    let gathered = [claim(), visit(1), settle(2), visit(3)];
    for command in gathered.clone() {
        submit(&mut committer, ms(1), command);
    }
    assert_eq!(committer.poll_commit(ms(1)), None);
    assert_eq!(committer.on_reply(ms(2), first.ticket, done(&first)), Some(ms(0)), "when it was sent");
    let second = committer.poll_commit(ms(2)).expect("the first is done");
    let [claim, visit, settle, _] = gathered;
    let in_order = [claim, settle, visit];
    assert_eq!(second.commands, in_order.clone().map(|(_, command)| command), "no more than the most");
    assert_ne!(second.ticket, first.ticket);
    assert_eq!(resolved(&mut committer).len(), 1);
    committer.on_reply(ms(3), second.ticket, done(&second));
    let expected: Vec<_> = in_order
        .iter()
        .map(|(origin, command)| (Some(*origin), Outcome::Done { at: AT, result: result_of(command) }))
        .collect();
    assert_eq!(outcomes(&mut committer), expected);
    assert_eq!(committer.poll_commit(ms(3)).map(|commit| commit.commands.len()), Some(1));
}

#[test]
fn a_reply_to_no_commit_under_way_changes_nothing() {
    let mut committer = opened(8);
    submit(&mut committer, ms(0), visit(0));
    let commit = committer.poll_commit(ms(0)).expect("nothing is under way");
    let before = committer.clone();
    assert_eq!(committer.on_reply(ms(1), Ticket(commit.ticket.0 + 1), done(&commit)), None);
    assert_eq!(committer, before);
    committer.on_reply(ms(1), commit.ticket, done(&commit));
    assert_eq!(committer.on_reply(ms(1), commit.ticket, Reply::Refused), None, "a second reply");
    assert_eq!(resolved(&mut committer).len(), 1);
}

/// A commit of two visits between which a claim and a settlement stand.
fn mixed(committer: &mut Committer) -> Commit {
    for command in [visit(0), claim(), settle(1), visit(2)] {
        submit(committer, ms(0), command);
    }
    committer.poll_commit(ms(0)).expect("nothing is under way")
}

#[test]
fn after_an_unknown_outcome_visits_are_read_back_once_and_the_others_told_that_nothing_is_known() {
    let mut committer = opened(8);
    let commit = mixed(&mut committer);
    submit(&mut committer, ms(1), visit(9));
    committer.on_reply(ms(2), commit.ticket, Reply::Unknown);
    let mut told = outcomes(&mut committer);
    told.sort_by_key(|(origin, _)| *origin != Some(Origin::Claim));
    assert_eq!(told, [(Some(claim().0), Outcome::Unknown), (Some(settle(1).0), Outcome::Unknown)]);
    let again = committer.poll_commit(ms(2)).expect("the visits are read back");
    assert_eq!(
        again.commands,
        [visit(0).1, visit(2).1, visit(9).1],
        "by their own admissions, before whoever came later"
    );
    committer.on_reply(ms(3), again.ticket, done(&again));
    let told = outcomes(&mut committer);
    assert_eq!(
        told.iter().map(|(origin, _)| *origin).collect::<Vec<_>>(),
        [visit(0).0, visit(2).0, visit(9).0].map(Some)
    );
    assert!(told.iter().all(|(_, outcome)| is_done(outcome)));
    assert!(committer.is_idle());
}

#[test]
fn a_read_back_that_fails_too_is_not_repeated_and_its_outcome_stays_unknown() {
    for second in [Reply::Unknown, Reply::Refused] {
        let mut committer = opened(8);
        submit(&mut committer, ms(0), visit(0));
        let commit = committer.poll_commit(ms(0)).expect("nothing is under way");
        committer.on_reply(ms(1), commit.ticket, Reply::Unknown);
        let again = committer.poll_commit(ms(1)).expect("it is read back");
        committer.on_reply(ms(2), again.ticket, second.clone());
        if let Some(lookup) = committer.poll_commit(ms(2)) {
            committer.on_reply(ms(3), lookup.ticket, second.clone());
        }
        assert_eq!(
            outcomes(&mut committer),
            [(Some(visit(0).0), Outcome::Unknown)],
            "the first may be done: {second:?}"
        );
        assert_eq!(committer.poll_commit(ms(2)), None);
        assert!(committer.is_idle());
    }
}

#[test]
fn a_reply_of_another_length_says_nothing() {
    for length in [0, 3, 5] {
        let mut committer = opened(8);
        let commit = mixed(&mut committer);
        let results = vec![Committed::Settled { due_at: WallTime::MAX }; length];
        committer.on_reply(ms(1), commit.ticket, Reply::Committed { at: AT, versions: 1, results });
        assert!(outcomes(&mut committer).iter().all(|(_, outcome)| *outcome == Outcome::Unknown));
        assert_eq!(committer.poll_commit(ms(1)).map(|commit| commit.commands.len()), Some(2), "the visits");
    }
}

#[test]
fn a_refusal_refuses_everybody_in_the_commit_once_the_visits_have_been_looked_up() {
    let refused =
        |origins: &[Origin]| -> Vec<_> { origins.iter().map(|origin| (Some(*origin), Outcome::Refused)).collect() };
    let mut committer = opened(8);
    let commit = mixed(&mut committer);
    committer.on_reply(ms(1), commit.ticket, Reply::Refused);
    assert_eq!(outcomes(&mut committer), refused(&[claim().0, settle(1).0]));
    let lookups = committer.poll_commit(ms(1)).expect("the visits are looked up");
    assert_eq!(lookups.commands, [UserHandle(0), UserHandle(2)].map(Command::Find));
    committer.on_reply(ms(2), lookups.ticket, Reply::Refused);
    assert_eq!(outcomes(&mut committer), refused(&[visit(0).0, visit(2).0]));
    assert!(committer.is_idle());
}

#[test]
fn a_visit_is_let_go_when_its_patience_ends_and_the_commits_late_reply_is_nobodys() {
    let mut committer = opened(8);
    let commit = mixed(&mut committer);
    assert_eq!(committer.next_deadline(), Some(Instant::ORIGIN + PATIENCE));
    committer.handle_timeout(ms(999));
    assert_eq!(resolved(&mut committer), []);
    committer.handle_timeout(ms(1_000));
    let let_go = [visit(0).0, visit(2).0].map(|origin| (Some(origin), Outcome::Unknown));
    assert_eq!(outcomes(&mut committer), let_go, "claims and settlements have no patience to lose");
    assert_eq!(committer.next_deadline(), None);
    assert_eq!(committer.poll_commit(ms(1_000)), None, "it is still under way");
    committer.on_reply(ms(9_000), commit.ticket, done(&commit));
    let told = outcomes(&mut committer);
    assert_eq!(
        told.iter().map(|(origin, _)| *origin).collect::<Vec<_>>(),
        [Some(claim().0), Some(settle(1).0), None, None]
    );
    assert!(told.iter().all(|(_, outcome)| is_done(outcome)));
}

#[test]
fn a_visit_that_was_let_go_is_not_read_back() {
    let mut committer = opened(8);
    let commit = mixed(&mut committer);
    committer.handle_timeout(ms(1_000));
    resolved(&mut committer);
    committer.on_reply(ms(1_001), commit.ticket, Reply::Unknown);
    assert_eq!(committer.poll_commit(ms(1_001)), None);
    assert_eq!(outcomes(&mut committer).iter().filter(|(origin, _)| origin.is_none()).count(), 2);
}

#[test]
fn an_unknown_outcome_at_the_end_of_patience_is_told_and_not_read_back() {
    let mut committer = opened(8);
    submit(&mut committer, ms(0), visit(0));
    let commit = committer.poll_commit(ms(0)).expect("nothing is under way");
    committer.on_reply(ms(1_000), commit.ticket, Reply::Unknown);
    assert_eq!(outcomes(&mut committer), [(Some(visit(0).0), Outcome::Unknown)]);
    assert!(committer.is_idle());
}

#[test]
fn what_waited_in_vain_and_was_never_sent_is_refused_and_what_was_to_be_read_back_is_unknown() {
    let mut committer = opened(1);
    submit(&mut committer, ms(0), visit(0));
    let commit = committer.poll_commit(ms(0)).expect("nothing is under way");
    for command in [visit(1), claim()] {
        submit(&mut committer, ms(0), command);
    }
    committer.on_reply(ms(1), commit.ticket, Reply::Unknown);
    committer.handle_timeout(ms(1_000));
    assert_eq!(outcomes(&mut committer), [(Some(visit(0).0), Outcome::Unknown), (Some(visit(1).0), Outcome::Refused)]);
    assert_eq!(committer.poll_commit(ms(1_000)).map(|commit| commit.commands), Some(vec![claim().1]), "it still waits");
}

#[test]
fn nothing_goes_out_before_the_store_is_opened_and_the_opening_goes_alone() {
    let mut committer = closed(8);
    submit(&mut committer, ms(0), visit(0));
    assert_eq!(committer.poll_commit(ms(0)), None);
    submit(&mut committer, ms(0), (Origin::Open, open_command()));
    let open = committer.poll_commit(ms(0)).expect("it opens");
    assert_eq!(open.commands, [open_command()]);
    committer.on_reply(ms(1), open.ticket, done(&open));
    assert_eq!(committer.poll_commit(ms(1)), None, "not before somebody has looked whose store it is");
    resolved(&mut committer);
    committer.opened();
    assert_eq!(committer.poll_commit(ms(1)).map(|commit| commit.commands), Some(vec![visit(0).1]));
}

#[test]
fn an_opening_that_fails_refuses_what_waits_and_what_comes_until_the_next() {
    for reply in [Reply::Refused, Reply::Unknown] {
        let mut committer = closed(8);
        submit(&mut committer, ms(0), (Origin::Open, open_command()));
        let open = committer.poll_commit(ms(0)).expect("it opens");
        submit(&mut committer, ms(1), visit(0));
        committer.on_reply(ms(2), open.ticket, reply);
        assert_eq!(resolved(&mut committer).len(), 1, "the opening's outcome is told, and whoever waits waits");
        committer.open_failed(ms(500));
        submit(&mut committer, ms(3), visit(1));
        assert_eq!(outcomes(&mut committer), [visit(0).0, visit(1).0].map(|origin| (Some(origin), Outcome::Refused)));
        assert_eq!(committer.next_deadline(), Some(ms(500)));
        assert!(!committer.is_to_open(ms(499)) && committer.is_to_open(ms(500)));
        submit(&mut committer, ms(500), (Origin::Open, open_command()));
        assert!(!committer.is_to_open(ms(500)), "it is being opened");
        submit(&mut committer, ms(500), visit(2));
        let open = committer.poll_commit(ms(500)).expect("it opens");
        committer.on_reply(ms(501), open.ticket, done(&open));
        committer.opened();
        assert_eq!(committer.poll_commit(ms(501)).map(|commit| commit.commands), Some(vec![visit(2).1]));
    }
}

#[test]
fn a_foreign_store_is_given_nothing_any_more() {
    let mut committer = closed(8);
    submit(&mut committer, ms(0), (Origin::Open, open_command()));
    let open = committer.poll_commit(ms(0)).expect("it opens");
    submit(&mut committer, ms(0), visit(0));
    let foreign = Reply::Committed { at: AT, versions: 1, results: vec![Committed::Foreign] };
    committer.on_reply(ms(1), open.ticket, foreign);
    resolved(&mut committer);
    committer.refused();
    for command in [visit(1), claim(), settle(2), (Origin::Open, open_command())] {
        submit(&mut committer, ms(2), command);
    }
    assert_eq!(outcomes(&mut committer).iter().filter(|(_, outcome)| *outcome == Outcome::Refused).count(), 5);
    committer.open_failed(ms(3));
    assert_eq!((committer.poll_commit(ms(9)), committer.is_to_open(ms(9))), (None, false));
    assert!(committer.is_idle());
}

#[test]
fn a_later_opening_that_fails_stops_nothing() {
    let mut committer = opened(8);
    for command in [visit(0), (Origin::Open, open_command())] {
        submit(&mut committer, ms(0), command);
    }
    let opening = committer.poll_commit(ms(0)).expect("nothing is under way");
    assert_eq!(opening.commands, [open_command()], "the opening goes first, and alone");
    committer.on_reply(ms(1), opening.ticket, Reply::Refused);
    committer.open_failed(ms(900));
    resolved(&mut committer);
    submit(&mut committer, ms(2), visit(1));
    let visits = committer.poll_commit(ms(2)).expect("nothing is under way");
    assert_eq!(visits.commands, [visit(0).1, visit(1).1]);
}

/// What may happen to a committer.
#[derive(Clone, Debug)]
enum Transition {
    Visit,
    Claim,
    Settle,
    Open,
    Reply(ReplyKind),
    /// A reply to a commit that is not under way.
    ReplyToNobody,
    Step(Duration),
    Opened,
    OpenFailed,
    Foreign,
}

#[derive(Clone, Copy, Debug)]
enum ReplyKind {
    Done,
    Refused,
    Unknown,
    OfAnotherLength,
}

fn transition() -> impl Strategy<Value = Transition> {
    let kinds =
        vec![ReplyKind::Done, ReplyKind::Done, ReplyKind::Refused, ReplyKind::Unknown, ReplyKind::OfAnotherLength];
    prop_oneof![
        30 => Just(Transition::Visit),
        10 => Just(Transition::Claim),
        10 => Just(Transition::Settle),
        4 => Just(Transition::Open),
        20 => select(kinds).prop_map(Transition::Reply),
        2 => Just(Transition::ReplyToNobody),
        10 => (0_u64..700).prop_map(|ms| Transition::Step(Duration::from_millis(ms))),
        6 => Just(Transition::Opened),
        2 => Just(Transition::OpenFailed),
        1 => Just(Transition::Foreign),
    ]
}

/// A committer with what was submitted, sent and told.
struct Watched {
    committer: Committer,
    now: Instant,
    batch_max: u16,
    under_way: Option<Commit>,
    submitted_count: usize,
    /// How often each visit and each settlement was told an outcome, and how often its command was sent.
    told: BTreeMap<u64, u32>,
    sent: BTreeMap<u64, u32>,
    told_count: usize,
    /// What was told to nobody: a visit that was let go is told before.
    nobody_count: usize,
    let_go_count: usize,
}

impl Watched {
    fn new(batch_max: u16) -> Self {
        Self {
            committer: closed(batch_max),
            now: ms(0),
            batch_max,
            under_way: None,
            submitted_count: 0,
            told: BTreeMap::new(),
            sent: BTreeMap::new(),
            told_count: 0,
            nobody_count: 0,
            let_go_count: 0,
        }
    }

    fn submit(&mut self, command: impl Fn(u64) -> (Origin, Command)) {
        let n = self.submitted_count as u64;
        self.submitted_count += 1;
        submit(&mut self.committer, self.now, command(n));
    }

    fn step(&mut self, transition: &Transition) {
        match transition {
            Transition::Visit => self.submit(visit),
            Transition::Claim => self.submit(|_| claim()),
            Transition::Settle => self.submit(settle),
            Transition::Open => self.submit(|_| (Origin::Open, open_command())),
            Transition::Reply(kind) => self.reply(*kind),
            Transition::ReplyToNobody => {
                assert_eq!(self.committer.on_reply(self.now, Ticket(u32::MAX), Reply::Unknown), None);
            }
            Transition::Step(duration) => {
                self.now = self.now + *duration;
                let is_under_way = self.under_way.is_some();
                self.committer.handle_timeout(self.now);
                assert!(
                    self.committer
                        .next_deadline()
                        .is_none_or(|at| at > self.now || self.committer.is_to_open(self.now))
                );
                if is_under_way {
                    self.let_go_count += self.drain_let_go();
                }
            }
            Transition::Opened => self.committer.opened(),
            Transition::OpenFailed => self.committer.open_failed(self.now + PATIENCE),
            Transition::Foreign => self.committer.refused(),
        }
        self.drain();
        self.poll();
    }

    fn reply(&mut self, kind: ReplyKind) {
        let Some(commit) = self.under_way.take() else { return };
        let reply = match kind {
            ReplyKind::Done => done(&commit),
            ReplyKind::Refused => Reply::Refused,
            ReplyKind::Unknown => Reply::Unknown,
            ReplyKind::OfAnotherLength => Reply::Committed { at: AT, versions: 1, results: Vec::new() },
        };
        assert!(self.committer.on_reply(self.now, commit.ticket, reply).is_some(), "it was under way");
    }

    /// Visits whose commands stay under way when they are told.
    fn drain_let_go(&mut self) -> usize {
        let under_way: Vec<u64> =
            self.under_way.iter().flat_map(|commit| commit.commands.iter().filter_map(user_of)).collect();
        let told = self.drain();
        told.iter().filter(|n| under_way.contains(n)).count()
    }

    fn drain(&mut self) -> Vec<u64> {
        let mut told = Vec::new();
        for Resolved { origin, .. } in resolved(&mut self.committer) {
            match origin {
                None => self.nobody_count += 1,
                Some(Origin::Open | Origin::Claim) => self.told_count += 1,
                Some(Origin::Visit { user: UserHandle(n), .. }) => told.push(n),
                Some(Origin::Settle(attempt)) => told.push(attempt.to_bits()),
            }
        }
        self.told_count += told.len();
        for n in &told {
            *self.told.entry(*n).or_insert(0) += 1;
        }
        told
    }

    fn poll(&mut self) {
        let Some(commit) = self.committer.poll_commit(self.now) else { return };
        assert!(self.under_way.is_none(), "one commit at a time");
        assert!((1..=usize::from(self.batch_max)).contains(&commit.commands.len()));
        for n in commit.commands.iter().filter_map(user_of) {
            *self.sent.entry(n).or_insert(0) += 1;
        }
        self.under_way = Some(commit);
    }

    /// Everything that is still under way is refused, and nothing more waits.
    fn finish(&mut self) {
        self.committer.refused();
        self.reply(ReplyKind::Refused);
        self.drain();
        assert!(self.committer.is_idle(), "nothing is left");
    }
}

fn user_of(command: &Command) -> Option<u64> {
    match command {
        Command::Admit(admit) => Some(admit.user.0),
        Command::Settle(settle) => Some(settle.user.0),
        Command::Resolve(resolve) => Some(resolve.user.0),
        Command::Find(user) => Some(user.0),
        Command::Open(_) | Command::Claim(_) => None,
    }
}

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, cases: default.cases.max(4_000), ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everybody_who_submits_is_told_exactly_once(batch_max in 1..5_u16, transitions in vec(transition(), 1..120)) {
        let mut watched = Watched::new(batch_max);
        watched.step(&Transition::Open);
        for transition in &transitions {
            watched.step(transition);
        }
        watched.finish();
        prop_assert_eq!(watched.told_count, watched.submitted_count);
        prop_assert_eq!(watched.nobody_count, watched.let_go_count, "a late reply to those who were let go, and to nobody else");
        for (n, count) in &watched.told {
            prop_assert_eq!(*count, 1, "command {}", n);
        }
        for (n, count) in &watched.sent {
            // By itself, read back, and looked up.
            prop_assert!(*count <= 3, "command {} was sent {} times", n, count);
        }
    }
}
