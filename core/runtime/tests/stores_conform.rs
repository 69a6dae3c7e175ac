//! Goal: a real store does with every commit what `Image` does, whatever rows it has to load for that: the same replies, the same
//! times, after any sequence, with several commands in a commit, stale fences, late receipts, epochs that end and a file that is
//! closed and opened again; and what can be read beside the commits is what the image holds. One body for all stores; PostgreSQL is skipped where there is none ([`hookproof_testing::postgres`]).
//!
//! Method: random commits drive an image and the store side by side; every reply must be equal. Where the order of grants that are due at
//! the same instant would show, which is nobody's promise, the cases keep them apart: one grant at an instant, and a claim takes
//! either one grant or all. The seed is fixed; `PROPTEST_CASES` sets the number of sequences.

#![expect(clippy::unwrap_used, reason = "a test stops where its world is not as it must be")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::rows::{GrantRecord, UserRecord};
use hookproof_core::store::{
    Admit, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, FleetLimits, GrantIntent, Image, LineageId,
    Load, Open, Reply, Resolution, Resolve, Settlement, VersionId,
};
use hookproof_core::time::WallTime;
use hookproof_runtime::store::postgres::{Postgres, Settings};
use hookproof_runtime::store::sqlite::{Database, View};
use hookproof_runtime::store::{Backlog, Done, ParkedPlace, Stored, User, Work};
use hookproof_testing::postgres::{Durability, Server};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The seed of all random cases.
const SEED: u64 = 11;
/// Sequences, unless `PROPTEST_CASES` says another number.
const CASES: u32 = 150;
const USERS: u64 = 6;
const START: WallTime = WallTime::from_unix_nanos(1_700_000_000_000_000_000);

/// What may happen to a store.
#[derive(Clone, Debug)]
enum Transition {
    Commit(Vec<Step>),
    /// Acknowledged commits may be lost.
    BeginEpoch,
    /// The process ends, and another one opens the store.
    Reopen,
    /// Time passes.
    Pass(Duration),
}

/// One command of a commit.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open(u8),
    Admit {
        user: u64,
        variant: u8,
    },
    Find(u64),
    Claim {
        fleet: FleetLimits,
        lease: Duration,
    },
    /// Settles any claim that was ever answered: mostly a stale one, after a while.
    Settle {
        claim: Index,
        settlement: Settlement,
        load: Load,
        pause: Duration,
    },
    /// A human has looked at the grant of such a claim.
    Resolve {
        claim: Index,
        resolution: Resolution,
    },
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let after = || (1_u64..20).prop_map(Duration::from_secs);
    let reason = prop::sample::select(ParkReason::ALL.to_vec());
    let answer = prop::option::of(prop::sample::select(AnswerClass::ALL.to_vec()));
    let doubt = prop_oneof![Just(Doubt::Clear), Just(Doubt::InDoubt)];
    prop_oneof![
        3 => Just(Settlement::Delivered),
        1 => Just(Settlement::Rejected),
        1 => (reason, answer).prop_map(|(reason, answer)| Settlement::Parked { reason, answer }),
        3 => (after(), doubt).prop_map(|(after, doubt)| Settlement::Again { after, doubt }),
        1 => after().prop_map(|after| Settlement::Unsent { after }),
        1 => after().prop_map(|after| Settlement::Released { after }),
        1 => Just(Settlement::Absent),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fleet = (1_u16..5, 1_u16..6, 2_u32..40).prop_map(|(initial_in_flight, max_in_flight, effects_per_minute)| {
        FleetLimits { initial_in_flight, max_in_flight, effects_per_minute }
    });
    let load = prop::sample::select(vec![Load::Unknown, Load::Answered, Load::TimedOut]);
    let pause = prop_oneof![9 => Just(Duration::ZERO), 1 => (1_u64..5).prop_map(Duration::from_secs)];
    prop_oneof![
        1 => (0_u8..3).prop_map(Step::Open),
        5 => (0..USERS, 0_u8..3).prop_map(|(user, variant)| Step::Admit { user, variant }),
        1 => (0..USERS).prop_map(Step::Find),
        4 => (fleet, 5_u64..30).prop_map(|(fleet, lease)| Step::Claim { fleet, lease: Duration::from_secs(lease) }),
        5 => (any::<Index>(), settlement(), load, pause)
            .prop_map(|(claim, settlement, load, pause)| Step::Settle { claim, settlement, load, pause }),
        2 => (any::<Index>(), prop::sample::select(Resolution::ALL.to_vec()))
            .prop_map(|(claim, resolution)| Step::Resolve { claim, resolution }),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    prop_oneof![
        12 => vec(step(), 1..5).prop_map(Transition::Commit),
        1 => Just(Transition::BeginEpoch),
        1 => Just(Transition::Reopen),
        5 => (1_u64..15).prop_map(|seconds| Transition::Pass(Duration::from_secs(seconds))),
    ]
}

/// A real store.
enum Subject<'a> {
    Sqlite { database: Option<Database>, path: PathBuf, _folder: TempDir },
    Postgres { runtime: &'a Runtime, store: Box<Postgres>, settings: Settings },
}

impl<'a> Subject<'a> {
    fn sqlite() -> Self {
        let folder = folder();
        let path = folder.path().join("hook.db");
        Self::Sqlite { database: Some(Database::open(&path).unwrap()), path, _folder: folder }
    }

    /// In `schema`, which is emptied.
    fn postgres(runtime: &'a Runtime, server: &Server, schema: &str) -> Self {
        let settings = Settings { schema: schema.to_owned(), ..Settings::new(server.connection()) };
        runtime.block_on(drop_schema(&settings));
        let store = Box::new(runtime.block_on(Postgres::open(&settings, [])).unwrap());
        Self::Postgres { runtime, store, settings }
    }

    fn commit(&mut self, now: WallTime, work: Work) -> Done {
        match self {
            Self::Sqlite { database, .. } => database.as_mut().unwrap().commit(now, work),
            Self::Postgres { runtime, store, .. } => {
                runtime.block_on(store.commit_at(Some(now), work, Epoch(u32::MAX)))
            }
        }
    }

    fn begin_epoch(&mut self, now: WallTime) -> Epoch {
        match self {
            Self::Sqlite { database, .. } => database.as_mut().unwrap().begin_epoch(now).unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.begin_epoch(Some(now))).unwrap(),
        }
    }

    fn record(&self, user_id: &str) -> Option<Stored> {
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().record(user_id).unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.record(user_id)).unwrap(),
        }
    }

    fn grant(&self, id: GrantId) -> Option<Stored> {
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().grant(id).unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.grant(id)).unwrap(),
        }
    }

    fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Vec<Stored> {
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().parked(after, limit).unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.parked(after, limit)).unwrap(),
        }
    }

    fn backlog(&self) -> Backlog {
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().backlog().unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.backlog()).unwrap(),
        }
    }

    fn lineage(&self) -> Option<LineageId> {
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().lineage().unwrap(),
            Self::Postgres { runtime, store, .. } => runtime.block_on(store.lineage()).unwrap(),
        }
    }

    fn all(&self) -> Vec<Stored> {
        let mut all = Vec::new();
        match self {
            Self::Sqlite { path, .. } => View::open(path).unwrap().for_each(|stored| all.push(stored)).unwrap(),
            Self::Postgres { runtime, store, .. } => {
                runtime.block_on(store.for_each(|stored| all.push(stored))).unwrap();
            }
        }
        all
    }

    fn reopen(&mut self) {
        match self {
            Self::Sqlite { database, path, .. } => {
                *database = None;
                *database = Some(Database::open(path).unwrap());
            }
            Self::Postgres { runtime, store, settings } => {
                **store = runtime.block_on(Postgres::open(settings, [])).unwrap();
            }
        }
    }
}

/// So that a case begins with nothing.
async fn drop_schema(settings: &Settings) {
    let (client, connection) = tokio_postgres::connect(&settings.connection, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let drop = format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS {} CASCADE", settings.schema);
    client.batch_execute(&drop).await.unwrap();
}

/// An image and a store beside it.
struct Pair<'a> {
    image: Image,
    subject: Subject<'a>,
    now: WallTime,
    claims: Vec<ClaimedGrant>,
    claim_limit: u16,
    nonce: u64,
}

impl<'a> Pair<'a> {
    fn new(subject: Subject<'a>, claim_limit: u16) -> Self {
        Self { image: Image::default(), subject, now: START, claims: Vec::new(), claim_limit, nonce: 0 }
    }

    fn take(&mut self, transition: Transition) {
        // No two transitions share an instant.
        self.now = self.now + Duration::from_micros(1);
        match transition {
            Transition::Commit(steps) => self.commit(steps),
            Transition::BeginEpoch => {
                let epoch = self.subject.begin_epoch(self.now);
                assert!(epoch > self.image.epoch());
                self.image.begin_epoch(self.now, epoch);
            }
            Transition::Reopen => self.subject.reopen(),
            Transition::Pass(time) => self.now = self.now + time,
        }
    }

    fn commit(&mut self, steps: Vec<Step>) {
        let mut due_at_once = 0;
        let mut commands = Vec::new();
        for (place, step) in steps.into_iter().enumerate() {
            let command = self.command(step, place);
            let is_due_at_once = match &command {
                Command::Admit(admit) => admit.grant.is_some(),
                Command::Settle(settle) => settle.settlement == Settlement::Absent,
                Command::Resolve(resolve) => resolve.resolution == Resolution::Retry,
                Command::Open(_) | Command::Find(_) | Command::Claim(_) => false,
            };
            due_at_once += u32::from(is_due_at_once);
            if !is_due_at_once || due_at_once == 1 {
                commands.push(command);
            }
        }
        self.execute(commands);
    }

    fn execute(&mut self, commands: Vec<Command>) {
        let mut expected = self.image.commit(self.now, commands.clone());
        let (work, users) = work(commands);
        let done = self.subject.commit(self.now, work);
        let mut found = with_handles(&done, &users);
        sort_claims(&mut expected);
        sort_claims(&mut found);
        assert_eq!(found, expected);
        assert_eq!(done.epoch, self.image.epoch());
        self.claims.extend(claimed(&found));
    }

    /// Everything that can be read is what the image holds.
    fn check_reads(&self) {
        let mut present = Vec::new();
        for number in 0..USERS {
            let user = UserHandle(number);
            let expected = self.image.save(user).record().map(|record| stored(user, record));
            assert_eq!(self.subject.record(&id(user)), expected);
            let by_grant = expected.clone().filter(|stored| stored.record.grant.is_some());
            assert_eq!(self.subject.grant(grant_of(number)), by_grant);
            present.extend(expected);
        }
        assert_eq!(self.subject.record("user-"), None);
        assert_eq!(self.subject.all(), present, "in the order of their ids");
        assert_eq!(self.subject.lineage(), self.image.head().lineage);
        let counts = self.image.counts();
        let Backlog { pending, claimed, parked } = self.subject.backlog();
        assert_eq!((pending, claimed, parked), (counts.pending, counts.claimed, counts.parked));

        let parked_at = |stored: &Stored| {
            let Some(GrantRecord::Parked(evidence)) = stored.record.grant else { return None };
            Some(evidence.parked_at)
        };
        present.retain(|stored| parked_at(stored).is_some());
        present.sort_by_key(|stored| (parked_at(stored), Arc::clone(&stored.user.id)));
        for limit in 1..=3 {
            let mut listed: Vec<Stored> = Vec::new();
            loop {
                let page = self.subject.parked(listed.last().and_then(Stored::parked_place), limit);
                assert!(page.len() <= usize::from(limit));
                if page.is_empty() {
                    break;
                }
                listed.extend(page);
            }
            assert_eq!(listed, present, "page by page, the first that was parked first");
        }
    }

    fn command(&mut self, step: Step, place: usize) -> Command {
        // Of several waits and leases in one commit, no two end at once.
        let apart = |after: Duration| after + Duration::from_nanos(place as u64 + 1);
        match step {
            Step::Open(version) => {
                Command::Open(Open { lineage: LineageId([1; 16]), version: VersionId([version; 16]) })
            }
            Step::Admit { user, variant } => {
                let grant = (variant > 0).then(|| GrantIntent { id: grant_of(user), units: 25 });
                let (user, variant) = (UserHandle(user), VariantIndex::new(variant));
                Command::Admit(Admit { user, variant, generation: 3, grant })
            }
            Step::Find(user) => Command::Find(UserHandle(user)),
            Step::Claim { fleet, lease } => {
                self.nonce += 1;
                // Above the half: as a signed number it is negative.
                let nonce = ClaimNonce(u64::MAX - self.nonce);
                Command::Claim(Claim { nonce, limit: self.claim_limit, fleet, lease: apart(lease), into: Vec::new() })
            }
            Step::Resolve { claim, resolution } => {
                let Some(ClaimedGrant { user, grant, .. }) =
                    self.claims.get(claim.index(self.claims.len().max(1))).copied()
                else {
                    return Command::Find(UserHandle(0));
                };
                Command::Resolve(Resolve { user, grant, resolution })
            }
            Step::Settle { claim, settlement, load, pause } => {
                if self.claims.is_empty() {
                    return Command::Find(UserHandle(0));
                }
                let settlement = match settlement {
                    Settlement::Again { after, doubt } => Settlement::Again { after: apart(after), doubt },
                    Settlement::Unsent { after } => Settlement::Unsent { after: apart(after) },
                    Settlement::Released { after } => Settlement::Released { after: apart(after) },
                    other @ (Settlement::Delivered
                    | Settlement::Rejected
                    | Settlement::Parked { .. }
                    | Settlement::Absent) => other,
                };
                Command::Settle(claim.get(&self.claims).settle(settlement, load, pause))
            }
        }
    }
}

/// In memory where there is such a place: a case makes hundreds of commits, and what outlasts the machine is not the question here.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a store shows of a user, whose handle it does not know.
fn stored(user: UserHandle, mut record: UserRecord) -> Stored {
    if let Some(GrantRecord::Pending(open) | GrantRecord::Claimed(open)) = &mut record.grant {
        open.user = UserHandle(0);
    }
    let grant = record.grant.map(|_| grant_of(user.0));
    Stored { user: User { id: id(user), correlation: None, grant }, record, units: grant.map(|_| 25) }
}

fn grant_of(user: u64) -> GrantId {
    GrantId::from_bytes([u8::try_from(user).unwrap() + 1; 16])
}

/// The commit as a store gets it: handles are places, and no place is the user's number.
fn work(mut commands: Vec<Command>) -> (Work, Vec<UserHandle>) {
    let mut places = BTreeMap::new();
    let mut place_of = |user: &mut UserHandle| {
        let next = places.len() as u64;
        *user = UserHandle(*places.entry(*user).or_insert(next));
    };
    for command in &mut commands {
        match command {
            Command::Admit(admit) => place_of(&mut admit.user),
            Command::Find(user) => place_of(user),
            Command::Settle(settle) => place_of(&mut settle.user),
            Command::Resolve(resolve) => place_of(&mut resolve.user),
            Command::Open(_) | Command::Claim(_) => {}
        }
    }
    let mut handles: Vec<_> = places.into_iter().collect();
    handles.sort_by_key(|(_, place)| *place);
    let handles: Vec<_> = handles.into_iter().map(|(user, _)| user).collect();
    let users = handles.iter().map(|user| User { id: id(*user), ..User::default() }).collect();
    (Work { commands, users }, handles)
}

fn id(user: UserHandle) -> Arc<str> {
    format!("user-{}", user.0).into()
}

/// The store's reply with the users' numbers for places.
fn with_handles(done: &Done, users: &[UserHandle]) -> Reply {
    let mut reply = done.reply.clone();
    if let Reply::Committed { results, .. } = &mut reply {
        for result in results {
            if let Committed::Claimed { grants, .. } = result {
                for grant in grants {
                    let place = usize::try_from(grant.user.0).unwrap();
                    let user: u64 = done.users[place].id.strip_prefix("user-").unwrap().parse().unwrap();
                    assert!(users.get(place).is_none_or(|known| known.0 == user));
                    assert_eq!(done.users[place].grant, Some(grant.grant));
                    grant.user = UserHandle(user);
                }
            }
        }
    }
    reply
}

fn sort_claims(reply: &mut Reply) {
    if let Reply::Committed { results, .. } = reply {
        for result in results {
            if let Committed::Claimed { grants, .. } = result {
                grants.sort_by_key(|grant| grant.user);
            }
        }
    }
}

fn claimed(reply: &Reply) -> Vec<ClaimedGrant> {
    let Reply::Committed { results, .. } = reply else { return Vec::new() };
    let grants = |result: &Committed| match result {
        Committed::Claimed { grants, .. } => grants.clone(),
        Committed::Opened { .. }
        | Committed::Foreign
        | Committed::Admitted { .. }
        | Committed::Found { .. }
        | Committed::Settled { .. }
        | Committed::Resolved { .. } => Vec::new(),
    };
    results.iter().flat_map(grants).collect()
}

/// Drives a new `subject` beside an image, for as many random sequences of transitions as [`CASES`].
fn check<'a>(subject: impl Fn() -> Subject<'a>) {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let config = Config { cases, rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Config::default() };
    let claim_limit = prop_oneof![Just(1_u16), Just(100_u16)];
    let sequences = (claim_limit, vec(transition(), 1..60));
    let result = TestRunner::new(config).run(&sequences, |(claim_limit, transitions)| {
        let mut pair = Pair::new(subject(), claim_limit);
        for transition in transitions {
            pair.take(transition);
        }
        pair.check_reads();
        Ok(())
    });
    result.unwrap();
}

/// After a commit that held what the fleet shares, a new process whose clock is behind.
fn check_clock(subject: Subject<'_>) {
    let mut pair = Pair::new(subject, 1);
    pair.take(Transition::Pass(Duration::from_secs(100)));
    pair.take(Transition::Commit(vec![Step::Open(0)]));
    pair.take(Transition::Reopen);
    let done = pair.subject.commit(START, Work::default());
    let Reply::Committed { at, .. } = done.reply else { panic!("{:?}", done.reply) };
    assert!(at > START + Duration::from_secs(100));
    assert_eq!(done.epoch, Epoch::default());
}

/// A grant that is parked, looked at, and parked again for another reason, without an answer.
fn check_evidence(subject: Subject<'_>) {
    let mut pair = Pair::new(subject, 1);
    let fleet = FleetLimits { initial_in_flight: 1, max_in_flight: 1, effects_per_minute: u32::MAX };
    pair.take(Transition::Commit(vec![Step::Admit { user: 0, variant: 1 }]));
    for (reason, answer) in [(ParkReason::KeyMismatch, Some(AnswerClass::KeyMismatch)), (ParkReason::HistoryLost, None)]
    {
        pair.take(Transition::Commit(vec![Step::Claim { fleet, lease: Duration::from_secs(9) }]));
        let claim = *pair.claims.last().unwrap();
        let parked = claim.settle(Settlement::Parked { reason, answer }, Load::Unknown, Duration::ZERO);
        pair.execute(vec![Command::Settle(parked)]);
        pair.check_reads();
        let (user, grant) = (claim.user, claim.grant);
        pair.execute(vec![Command::Resolve(Resolve { user, grant, resolution: Resolution::Retry })]);
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn sqlite_replies_to_every_commit_as_the_image_does() {
    check(Subject::sqlite);
}

#[test]
fn postgres_replies_to_every_commit_as_the_image_does() {
    let Some(server) = Server::find("PostgreSQL conforms", Durability::None) else { return };
    let runtime = runtime();
    check(|| Subject::postgres(&runtime, &server, "hookproof_conforms"));
}

#[test]
fn the_stores_clock_never_runs_backwards_not_even_over_a_restart() {
    check_clock(Subject::sqlite());
    let Some(server) = Server::find("PostgreSQL's clock", Durability::None) else { return };
    check_clock(Subject::postgres(&runtime(), &server, "hookproof_clock"));
}

#[test]
fn evidence_is_of_the_last_time_that_a_grant_was_parked() {
    check_evidence(Subject::sqlite());
    let Some(server) = Server::find("PostgreSQL's evidence", Durability::None) else { return };
    check_evidence(Subject::postgres(&runtime(), &server, "hookproof_evidence"));
}
