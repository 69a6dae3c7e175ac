//! Goal: what only a PostgreSQL store has to stand: several processes on one database, connections that are killed at any moment, a
//! server whose log is another one than before, a schema that is not ours.
//!
//! Method: each process is a store with connections of its own; they run side by side on one server, and the tables are read
//! by hand afterwards. Skipped where there is no PostgreSQL ([`hookproof_testing::postgres`]).

#![expect(clippy::unwrap_used, reason = "a test stops where its world is not as it must be")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::classify::Doubt;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Admitted, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, First, FleetLimits, GrantIntent,
    LineageId, Load, Open, Reply, Settlement, VersionId,
};
use hookproof_runtime::store::postgres::{OpenError, Postgres, Settings};
use hookproof_runtime::store::{Done, User, Work};
use hookproof_testing::postgres::{Durability, Identity, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio::{join, select};
use tokio_postgres::{Client, NoTls};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with an empty schema of the test's own.
struct Place {
    settings: Settings,
    by_hand: Client,
    _server: Server,
}

impl Place {
    async fn find(test: &str) -> Option<Self> {
        Self::on(Server::find(test, Durability::None)?, test).await
    }

    /// On a server that no other test uses.
    async fn own(test: &str) -> Option<Self> {
        Self::on(Server::own(test, Durability::None)?, test).await
    }

    async fn on(server: Server, test: &str) -> Option<Self> {
        let settings = Settings { schema: format!("hookproof_{test}"), ..Settings::new(server.connection()) };
        let (by_hand, connection) = tokio_postgres::connect(&settings.connection, NoTls).await.unwrap();
        tokio::spawn(connection);
        let drop = format!(
            "SET client_min_messages = warning; DROP SCHEMA IF EXISTS {0} CASCADE; SET search_path TO {0}",
            settings.schema
        );
        by_hand.batch_execute(&drop).await.unwrap();
        Some(Self { settings, by_hand, _server: server })
    }

    async fn process(&self) -> Postgres {
        Postgres::open(&self.settings, ["control", "extra"]).await.unwrap()
    }

    /// Whether the whole log is on the disk.
    async fn is_flushed(&self) -> bool {
        let flushed = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
        self.by_hand.query_one(flushed, &[]).await.unwrap().get(0)
    }

    /// Until a commit waits for a row that is locked by hand.
    async fn until_somebody_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' \
                       AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
        let until = async { while self.by_hand.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {} };
        timeout(PATIENCE, until).await.expect("a commit that waits");
    }

    async fn count(&self, what: &str) -> i64 {
        self.by_hand.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
    }
}

fn user(number: u64) -> User {
    User { id: Arc::from(format!("user-{number}")), ..User::default() }
}

fn admission(numbers: impl IntoIterator<Item = u64>, variant: u8) -> Work {
    let users: Vec<(u64, User)> = numbers.into_iter().map(|number| (number, user(number))).collect();
    let admit = |(handle, (number, _)): (u64, &(u64, User))| {
        let grant = GrantIntent { id: GrantId::from_bytes((u128::from(*number) + 1).to_be_bytes()), units: 25 };
        let variant = VariantIndex::new(variant);
        Command::Admit(Admit { user: UserHandle(handle), variant, generation: 1, grant: Some(grant) })
    };
    let commands = (0..).zip(&users).map(admit).collect();
    Work { commands, users: users.into_iter().map(|(_, user)| user).collect() }
}

fn claim(nonce: u64, limit: u16, fleet_limit: u16) -> Work {
    let fleet =
        FleetLimits { initial_in_flight: fleet_limit, max_in_flight: fleet_limit, effects_per_minute: u32::MAX };
    let lease = Duration::from_secs(600);
    let claim = Claim { nonce: ClaimNonce(nonce), limit, fleet, lease, into: Vec::new() };
    Work { commands: vec![Command::Claim(claim)], users: Vec::new() }
}

fn delivery(claimed: &[(ClaimedGrant, User)]) -> Work {
    let settle = |(handle, (grant, _)): (u64, &(ClaimedGrant, User))| {
        let grant = ClaimedGrant { user: UserHandle(handle), ..*grant };
        Command::Settle(grant.settle(Settlement::Delivered, Load::Answered, Duration::ZERO))
    };
    let commands = (0..).zip(claimed).map(settle).collect();
    Work { commands, users: claimed.iter().map(|(_, user)| user.clone()).collect() }
}

fn results(done: &Done) -> &[Committed] {
    match &done.reply {
        Reply::Committed { results, .. } => results,
        Reply::Refused | Reply::Unknown => panic!("{:?}", done.reply),
    }
}

fn admitted(done: &Done) -> Vec<Admitted> {
    let record = |result: &Committed| {
        let Committed::Admitted { record, .. } = result else { panic!("{result:?}") };
        *record
    };
    results(done).iter().map(record).collect()
}

fn claimed(done: &Done) -> Vec<(ClaimedGrant, User)> {
    let [Committed::Claimed { grants, .. }] = results(done) else { panic!("{:?}", done.reply) };
    let with_user = |grant: &ClaimedGrant| (*grant, done.users[usize::try_from(grant.user.0).unwrap()].clone());
    grants.iter().map(with_user).collect()
}

async fn commit(process: &Postgres, work: Work) -> Done {
    process.commit(work, Epoch::default()).await
}

#[tokio::test]
async fn users_that_two_processes_admit_at_once_have_one_record_and_one_grant() {
    let Some(place) = Place::find("overlap").await else { return };
    let (a, b) = (place.process().await, place.process().await);
    let mut first = [0, 0];
    for round in 0..60 {
        let numbers = round * 20..(round + 1) * 20;
        let (work_a, work_b) = (admission(numbers.clone(), 0), admission(numbers.rev(), 1));
        let (done_a, done_b) = join!(commit(&a, work_a), commit(&b, work_b));
        for (in_a, in_b) in admitted(&done_a).into_iter().zip(admitted(&done_b).into_iter().rev()) {
            assert_eq!(in_a.variant, in_b.variant);
            assert_ne!(in_a.first, in_b.first, "one of them made the record, the other found it");
            first[usize::from(in_a.first == First::Exposure)] += 1;
        }
    }
    assert_eq!(place.count("users").await, 1_200);
    assert_eq!(place.count("grants WHERE state = 'pending'").await, 1_200);
    assert!(first.iter().all(|count| *count > 0), "{first:?}: each was the first at times, or they never met");
}

#[tokio::test]
async fn processes_that_claim_at_once_never_share_a_grant_nor_exceed_the_fleets_limit() {
    const GRANTS: u64 = 600;
    const LIMIT: u16 = 16;
    let Some(place) = Place::find("claims").await else { return };
    let processes = [place.process().await, place.process().await, place.process().await];
    commit(&processes[0], admission(0..GRANTS, 1)).await;
    // Those whose claim was answered and whose settlement was not begun: no more than are claimed.
    let (held, delivered, full, nonces) = (RefCell::new(BTreeSet::new()), Cell::new(0), Cell::new(false), Cell::new(0));
    let work = async |process: &Postgres| {
        let mut before = Vec::new();
        while delivered.get() < GRANTS {
            nonces.set(nonces.get() + 1);
            let grants = claimed(&commit(process, claim(nonces.get(), 7, LIMIT)).await);
            for (grant, _) in &grants {
                assert!(held.borrow_mut().insert(grant.grant), "GRANT-5: two live claims of one grant");
            }
            assert!(held.borrow().len() <= usize::from(LIMIT), "LOAD-1");
            full.set(full.get() || held.borrow().len() == usize::from(LIMIT));
            // Two claims are held at a time, so that the three of them want more than there is.
            let ended = std::mem::replace(&mut before, grants);
            for (grant, _) in &ended {
                assert!(held.borrow_mut().remove(&grant.grant));
            }
            results(&commit(process, delivery(&ended)).await);
            delivered.set(delivered.get() + ended.len() as u64);
        }
    };
    join!(work(&processes[0]), work(&processes[1]), work(&processes[2]));
    assert_eq!(delivered.get(), GRANTS);
    assert_eq!(place.count("grants WHERE state = 'delivered'").await, i64::try_from(GRANTS).unwrap());
    assert!(full.get(), "the limit was never reached, so nothing was seen of it");
    assert_eq!(place.count("store WHERE claimed = 0").await, 1, "LOAD-1: what is counted is what is claimed");
}

#[tokio::test]
async fn a_claim_takes_back_what_the_fleet_has_no_more_room_for_and_takes_what_it_has() {
    let Some(place) = Place::find("redraft").await else { return };
    let process = place.process().await;
    commit(&process, admission(0..12, 1)).await;
    assert_eq!(claimed(&commit(&process, claim(1, 2, 7)).await).len(), 2);
    // What the claim drafts by the limit that it has read, and what it may take by the one that it finds.
    for (nonce, limit_read, limit_found, count) in [(2, 7_i64, 5_i64, 3), (3, 6, 7, 2)] {
        let set = |limit: i64| format!("UPDATE store SET fleet_limit = {limit} * 65536");
        place.by_hand.batch_execute(&set(limit_read)).await.unwrap();
        place.by_hand.batch_execute("BEGIN; SELECT FROM store FOR UPDATE").await.unwrap();
        let change = async {
            place.until_somebody_waits().await;
            place.by_hand.batch_execute(&format!("{}; COMMIT", set(limit_found))).await.unwrap();
        };
        let (done, ()) = join!(commit(&process, claim(nonce, 10, 7)), change);
        assert_eq!(claimed(&done).len(), count, "drafted by {limit_read}, done by {limit_found}");
        let at_all = "grants WHERE state = 'claimed' AND attempts = 1 AND due_at > now()";
        assert_eq!(place.count(at_all).await, limit_found);
        assert_eq!(place.count(&format!("store WHERE claimed = {limit_found}")).await, 1);
        let untouched = "users WHERE state = 'pending' AND attempts = 0 AND fence_claim = 0 AND first_sent_at IS NULL";
        assert_eq!(place.count(untouched).await, 12 - limit_found, "what was taken back is as it was");
    }
}

#[tokio::test]
async fn a_row_that_was_written_anew_while_a_settlement_waited_for_it_is_settled() {
    const GRANTS: usize = 20;
    let Some(place) = Place::find("waited_for").await else { return };
    let process = place.process().await;
    commit(&process, admission(0..20, 1)).await;
    let grants = claimed(&commit(&process, claim(1, 20, 100)).await);
    assert_eq!(grants.len(), GRANTS);
    place.by_hand.batch_execute("BEGIN; UPDATE users SET attempts = 7 WHERE user_id = 'user-3'").await.unwrap();
    let let_go = async {
        place.until_somebody_waits().await;
        place.by_hand.batch_execute("COMMIT").await.unwrap();
    };
    let (done, ()) = join!(commit(&process, delivery(&grants)), let_go);
    assert_eq!(results(&done).len(), GRANTS);
    assert_eq!(place.count("grants WHERE state = 'delivered'").await, 20);
    assert_eq!(place.count("users WHERE attempts = 7").await, 1, "nothing of it is lost");
    assert_eq!(place.count("store WHERE claimed = 0").await, 1);
}

#[tokio::test]
async fn a_claim_is_counted_in_the_minute_that_another_process_has_begun() {
    let Some(place) = Place::find("minute").await else { return };
    let process = place.process().await;
    commit(&process, admission(0..3, 1)).await;
    place.by_hand.batch_execute("BEGIN; SELECT FROM store FOR UPDATE").await.unwrap();
    let begin = async {
        place.until_somebody_waits().await;
        let minute = "UPDATE store SET clock = soon, minute_start = soon, claimed_in_minute = 5 \
                      FROM (SELECT ((extract(epoch FROM clock_timestamp()) + 60) * 1000000000)::bigint AS soon) AS later";
        place.by_hand.batch_execute(&format!("{minute}; COMMIT")).await.unwrap();
    };
    let (done, ()) = join!(commit(&process, claim(1, 3, 7)), begin);
    assert_eq!(claimed(&done).len(), 3);
    assert_eq!(place.count("store WHERE claimed_in_minute = 8").await, 1);
    assert_eq!(place.count("users WHERE first_sent_at >= (SELECT minute_start FROM store)").await, 3);
}

#[tokio::test]
async fn a_reply_is_true_whenever_the_connection_is_killed() {
    const KILLED_MIN: u64 = 60;
    let Some(place) = Place::own("killed").await else { return };
    let process = place.process().await;
    let killed = Cell::new(0);
    let kill = async {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE application_name = 'hookproof' AND state <> 'idle' AND query NOT LIKE '%set_config%'";
        loop {
            place.by_hand.query(others, &[]).await.unwrap();
        }
    };
    let check = async {
        let mut number = 0;
        while killed.get() < KILLED_MIN {
            number += 1;
            let admission = process.commit(admission([number], 1), Epoch::default()).await;
            let row = format!("users WHERE user_id = 'user-{number}'");
            is_true(&admission.reply, place.count(&row).await, &killed);
            let claim = process.commit(claim(number, 1, u16::MAX), Epoch::default()).await;
            let row = format!("users WHERE fence_nonce = {number}");
            is_true(&claim.reply, place.count(&row).await, &killed);
        }
    };
    select! { () = check => {}, () = kill => {} }
}

/// Whether `rows` of a commit are what its reply says.
fn is_true(reply: &Reply, rows: i64, killed: &Cell<u64>) {
    match reply {
        Reply::Committed { results, .. } => {
            let is_empty = matches!(&results[..], [Committed::Claimed { grants, .. }] if grants.is_empty());
            assert_eq!(rows, i64::from(!is_empty), "an acknowledged commit is there");
        }
        Reply::Refused => {
            assert_eq!(rows, 0, "a refused commit was not done");
            killed.set(killed.get() + 1);
        }
        Reply::Unknown => killed.set(killed.get() + 1),
    }
}

/// The test's own server flushes its log only when asked to.
#[tokio::test]
async fn what_is_acknowledged_is_on_the_disk() {
    const ROUNDS: u64 = 10;
    let Some(place) = Place::own("flushed").await else { return };
    let process = place.process().await;
    let mut flushed = [0; 3];
    for round in 0..ROUNDS {
        let done = commit(&process, admission(round * 4..(round + 1) * 4, 1)).await;
        assert_eq!(admitted(&done).len(), 4);
        flushed[0] += u32::from(place.is_flushed().await);
        let grants = claimed(&commit(&process, claim(round, 4, 4)).await);
        assert_eq!(grants.len(), 4);
        flushed[1] += u32::from(place.is_flushed().await);
        results(&commit(&process, delivery(&grants)).await);
        flushed[2] += u32::from(place.is_flushed().await);
    }
    // Now and then the server adds something of its own.
    assert!(flushed.iter().all(|count| *count > 7), "{flushed:?} of {ROUNDS} admissions, claims and settlements");
}

#[tokio::test]
async fn another_log_than_before_begins_one_epoch_however_many_processes_find_out() {
    let Some(place) = Place::find("timeline").await else { return };
    let before = place.process().await;
    assert_eq!(commit(&before, admission([1], 1)).await.epoch, Epoch(0));
    let timeline: i64 = place.by_hand.query_one("SELECT timeline FROM store", &[]).await.unwrap().get(0);
    assert_eq!(timeline, 1, "the first connection has recorded it");
    // As if the rows had come from a server before this one was promoted.
    place.by_hand.execute("UPDATE store SET timeline = 7", &[]).await.unwrap();
    let (a, b) = (place.process().await, place.process().await);
    let (in_a, in_b) = join!(commit(&a, claim(1, 1, 4)), commit(&b, admission([2], 1)));
    assert!(in_a.epoch > Epoch(0));
    assert_eq!(in_a.epoch, in_b.epoch, "one epoch, not two");
    let grants = claimed(&in_a);
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].0.doubt, Doubt::InDoubt, "what the lost commits may have sent is in doubt");
    assert_eq!(commit(&before, Work::default()).await.epoch, in_a.epoch);
    assert_eq!(place.count("store WHERE timeline = 1").await, 1);
}

#[tokio::test]
async fn an_epoch_begins_only_between_admissions() {
    let Some(place) = Place::find("between").await else { return };
    let process = place.process().await;
    // Somebody's admission is under way.
    let lock = format!("(1212895302, hashtext('{}'))", place.settings.schema);
    place.by_hand.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock_shared{lock}")).await.unwrap();
    let is_waiting =
        "pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted AND classid = 1212895302";
    let begin = process.begin_epoch(None);
    let wait = async {
        let until = async { while place.count(is_waiting).await == 0 {} };
        timeout(PATIENCE, until).await.expect("an epoch waits for the admission");
        assert_eq!(place.count("store WHERE epoch = 0").await, 1);
        place.by_hand.batch_execute("COMMIT").await.unwrap();
    };
    let (epoch, ()) = join!(begin, wait);
    assert_eq!(commit(&process, admission([1], 1)).await.epoch, epoch.unwrap());
}

#[tokio::test]
async fn a_row_that_a_human_has_locked_holds_up_no_claim() {
    let Some(place) = Place::find("by_hand").await else { return };
    let process = place.process().await;
    commit(&process, admission(0..3, 1)).await;
    let lock = "BEGIN; SELECT FROM users WHERE user_id = 'user-1' FOR UPDATE";
    place.by_hand.batch_execute(lock).await.unwrap();
    let done = commit(&process, claim(1, 10, 10)).await;
    let Reply::Committed { at, results, .. } = &done.reply else { panic!("{:?}", done.reply) };
    let [Committed::Claimed { due_at, .. }] = &results[..] else { panic!("{results:?}") };
    assert_eq!(due_at.since(*at), Duration::from_secs(1), "it is looked at again, though nobody may say so");
    let grants = claimed(&done);
    let ids: BTreeSet<&str> = grants.iter().map(|(_, user)| &*user.id).collect();
    assert_eq!(ids, BTreeSet::from(["user-0", "user-2"]));
    place.by_hand.batch_execute("COMMIT").await.unwrap();
    assert_eq!(claimed(&commit(&process, claim(2, 10, 10)).await).len(), 1);
}

#[tokio::test]
async fn a_claim_reads_no_more_of_the_queue_than_it_takes_whatever_the_statistics_say() {
    let Some(place) = Place::find("queue").await else { return };
    let process = place.process().await;
    let queue = "INSERT INTO users (user_id, variant, generation, exposed_at, changed_at, grant_id, units, state, due_at, sent_until, \
                                    fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen) \
                 SELECT 'user-' || n, 1, 1, n, n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 25, 'pending', n, 0, 0, 0, 0, 0, false, false \
                 FROM generate_series(1, 5000) AS n";
    place.by_hand.batch_execute(queue).await.unwrap();
    // The server knows how many rows there are, and takes hardly any for pending.
    place.by_hand.batch_execute("VACUUM users").await.unwrap();
    assert_eq!(claimed(&commit(&process, claim(1, 10, 100)).await).len(), 10);
    // What a session has read is told when it ends.
    drop(process);
    let read =
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = 'users_pending'::regclass AND idx_scan > 0";
    let read = async {
        loop {
            if let Some(row) = place.by_hand.query_opt(read, &[]).await.unwrap() {
                break row.get::<_, i64>(0);
            }
        }
    };
    let read = timeout(PATIENCE, read).await.expect("a claim that was counted");
    assert!(read < 100, "{read} entries");
}

#[tokio::test]
async fn the_views_are_readable_by_hand() {
    let Some(place) = Place::find("views").await else { return };
    let process = place.process().await;
    let lineage = Open { lineage: LineageId([1; 16]), version: VersionId([2; 16]) };
    let opening = Work { commands: vec![Command::Open(lineage)], users: Vec::new() };
    assert!(matches!(results(&commit(&process, opening).await), [Committed::Opened { .. }]));
    let mut work = admission([7], 1);
    work.users[0].correlation = Some(Arc::from("visit\0-1"));
    commit(&process, work).await;
    let exposure = "SELECT user_id || ' ' || variant || ' ' || correlation, abs(extract(epoch FROM now() - exposed_at)) < 600 FROM exposures";
    let exposure = place.by_hand.query_one(exposure, &[]).await.unwrap();
    assert_eq!(exposure.get::<_, String>(0), "user-7 extra visit\u{fffd}-1");
    assert!(exposure.get::<_, bool>(1), "by the server's clock");
    let grant = "SELECT grant_id::text || ' ' || user_id || ' ' || units || ' ' || state FROM grants";
    let grant: String = place.by_hand.query_one(grant, &[]).await.unwrap().get(0);
    assert_eq!(grant, "00000000-0000-0000-0000-000000000008 user-7 25 pending");
}

#[tokio::test]
async fn a_schema_that_is_not_ours_or_newer_is_left_alone() {
    let Some(place) = Place::find("foreign").await else { return };
    let schema = &place.settings.schema;
    place.by_hand.batch_execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE store (a int)")).await.unwrap();
    let opened = Postgres::open(&place.settings, []).await;
    assert!(matches!(opened, Err(OpenError::Foreign(_))), "{opened:?}");
    place.by_hand.batch_execute("DROP TABLE store").await.unwrap();
    drop(place.process().await);
    place.by_hand.batch_execute("UPDATE store SET schema_version = 99").await.unwrap();
    let opened = Postgres::open(&place.settings, []).await;
    assert!(matches!(opened, Err(OpenError::Newer { found: 99, .. })), "{opened:?}");
}

#[tokio::test]
async fn the_way_to_the_server_is_encrypted_and_leads_to_nobody_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity { certificate: &certificate, key: &key };
    let Some(server) = Server::find_with_tls("TLS to PostgreSQL", identity) else { return };
    let folder = tempfile::tempdir().unwrap();
    let ca = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (own, other) = (ca("own.pem", &certificate), {
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        ca("other.pem", &other.cert.pem())
    });
    let open = async |host: &str, mode: &str, ca_file: &std::path::Path| {
        let connection = format!("{} sslmode={mode}", server.connection_as(host));
        let settings = Settings { ca_file: Some(ca_file.to_owned()), ..Settings::new(connection) };
        Postgres::open(&settings, []).await
    };
    let (by_hand, connection) = tokio_postgres::connect(server.connection(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let sessions = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE application_name = 'hookproof'";
    for mode in ["verify-full", "require"] {
        let store = open("localhost", mode, &own).await.unwrap();
        results(&commit(&store, admission([1], 1)).await);
        let row = by_hand.query_one(sessions, &[]).await.unwrap();
        let (all, encrypted): (i64, i64) = (row.get(0), row.get(1));
        assert!(all > 0 && all == encrypted, "{mode}: {encrypted} of {all}");
        for (host, ca_file, what) in
            [("db.example", &own, "another name"), ("localhost", &other, "another certificate")]
        {
            let refused = open(host, mode, ca_file).await;
            assert!(matches!(refused, Err(OpenError::Postgres(_))), "{mode}: {what}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    for mode in ["verify-full", "require"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connection =
            format!("host=localhost hostaddr=127.0.0.1 port={port} user=hook password=s3cret sslmode={mode}");
        let settings = Settings { ca_file: Some(ca_file.clone()), ..Settings::new(connection) };
        let refuse = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // An `SSLRequest`, and "no".
            stream.read_exact(&mut [0; 8]).await.unwrap();
            stream.write_all(b"N").await.unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            said
        };
        let (opened, said) = join!(Postgres::open(&settings, []), refuse);
        assert!(matches!(opened, Err(OpenError::Postgres(_))), "{mode}: {opened:?}");
        assert_eq!(said, b"", "{mode}");
    }
}

#[tokio::test]
async fn a_store_that_is_looked_at_is_not_made() {
    let Some(place) = Place::find("absent").await else { return };
    let looked = Postgres::open_existing(&place.settings).await;
    assert!(matches!(looked, Err(OpenError::Absent(_))), "{looked:?}");
    assert_eq!(place.count(&format!("pg_namespace WHERE nspname = '{}'", place.settings.schema)).await, 0);
    drop(place.process().await);
    let present = Postgres::open_existing(&place.settings).await.unwrap();
    assert_eq!(present.lineage().await.unwrap(), None, "it is nobody's yet");
    place.by_hand.batch_execute("UPDATE store SET schema_version = 99").await.unwrap();
    let looked = Postgres::open_existing(&place.settings).await;
    assert!(matches!(looked, Err(OpenError::Newer { found: 99, .. })), "{looked:?}");
}

#[tokio::test]
async fn all_records_are_shown_however_many_there_are() {
    let Some(place) = Place::find("all").await else { return };
    let process = place.process().await;
    for thousand in 0..3_u64 {
        commit(&process, admission(thousand * 1_000..(thousand + 1) * 1_000, 1)).await;
    }
    let mut shown = Vec::new();
    process.for_each(|stored| shown.push(stored.user.id)).await.unwrap();
    let mut expected: Vec<Arc<str>> = (0..3_000).map(|number| user(number).id).collect();
    expected.sort();
    assert_eq!(shown, expected);
}
