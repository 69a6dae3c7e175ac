//! Delivery on PostgreSQL beside a bare claim+complete loop: four workers, batches of 128, commits on the disk, both sides in turns on one server.
//!
//! * *bare*: a table of jobs with a key, a state, a due time and one index; a worker claims with `UPDATE … WHERE id IN (SELECT … FOR UPDATE
//!   SKIP LOCKED LIMIT 128) RETURNING` and completes with `UPDATE … SET state = 'delivered'`.
//! * *store*: four stores, as four processes would have; a worker claims 128 grants in one commit and settles them in another, with fences,
//!   windows, the fleet's limit and the store's clock.
//! * *store, one commit a turn*: the same, where the settlements of a batch go with the claim of the next, as a process under load does it.
//!
//! Time is the wall clock's: workers wait for each other's locks and for the disk. `cargo bench -p hookproof-benches --bench postgres_delivery`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hookproof_benches::paired::median;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, FleetLimits, GrantIntent, Load, Reply,
    Settlement,
};
use hookproof_runtime::store::postgres::{Postgres, Settings};
use hookproof_runtime::store::{Done, User, Work};
use hookproof_testing::postgres::{Durability, Server};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};

const WORKERS: usize = 4;
const BATCH: u16 = 128;
/// Grants that each side delivers in a round.
const GRANTS: u64 = 128 * 40;
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let durability = if is_test { Durability::None } else { Durability::Disk };
    let Some(server) = Server::find("the benchmark of delivery on PostgreSQL", durability) else { return };
    let bench = Bench::new(&server).await;
    let rounds = if is_test { 1 } else { ROUNDS };
    let (mut bare, mut split, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let seconds = [bench.bare().await, bench.store(Turn::Split).await, bench.store(Turn::Joined).await];
        // The first does not count: it fills caches.
        if round > 0 || is_test {
            bare.push(seconds[0]);
            split.push(seconds[1]);
            joined.push(seconds[2]);
        }
    }
    let ratio = |ours: &[f64]| median(bare.iter().zip(ours).map(|(bare, ours)| bare / ours).collect());
    let (ratio_split, ratio_joined) = (ratio(&split), ratio(&joined));
    let rate = |seconds: Vec<f64>| GRANTS as f64 / median(seconds);
    println!("bare claim+complete loop: {:.0} grants/s, {WORKERS} workers, batches of {BATCH}", rate(bare));
    println!(
        "store, a commit each to claim and to settle: {:.0} grants/s, {ratio_split:.2} of the bare loop",
        rate(split)
    );
    println!("store, one commit a turn: {:.0} grants/s, {ratio_joined:.2} of the bare loop", rate(joined));
}

/// How a worker settles a batch.
#[derive(Clone, Copy)]
enum Turn {
    /// In a commit of its own.
    Split,
    /// With the claim of the next.
    Joined,
}

struct Bench {
    by_hand: Client,
    bare: Vec<Arc<BareWorker>>,
    stores: Vec<Arc<Postgres>>,
}

impl Bench {
    async fn new(server: &Server) -> Self {
        let schema = "hookproof_bench";
        let by_hand = connect(server).await;
        let clean = format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS {schema} CASCADE");
        by_hand.batch_execute(&clean).await.expect("a role that may drop the schema");
        let settings = Settings { schema: schema.to_owned(), ..Settings::new(server.connection()) };
        let (mut bare, mut stores) = (Vec::new(), Vec::new());
        for _ in 0..WORKERS {
            stores.push(Arc::new(Postgres::open(&settings, ["control", "extra"]).await.expect("a store")));
        }
        let jobs = "CREATE TABLE hookproof_bench.jobs (id text PRIMARY KEY, grant_id bytea NOT NULL, units bigint NOT NULL, \
                    state text NOT NULL, due_at bigint NOT NULL); \
                    CREATE INDEX jobs_pending ON hookproof_bench.jobs (due_at) WHERE state = 'pending'";
        by_hand.batch_execute(jobs).await.expect("a table");
        for _ in 0..WORKERS {
            bare.push(Arc::new(BareWorker::new(connect(server).await).await));
        }
        Self { by_hand, bare, stores }
    }

    /// Seconds for all grants.
    async fn bare(&self) -> f64 {
        let fill = format!(
            "TRUNCATE hookproof_bench.jobs; INSERT INTO hookproof_bench.jobs \
             SELECT 'user-' || n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 25, 'pending', n FROM generate_series(1, {GRANTS}) n"
        );
        self.by_hand.batch_execute(&fill).await.expect("rows");
        self.settle_down("hookproof_bench.jobs").await;
        let start = Instant::now();
        let mut workers = JoinSet::new();
        for worker in &self.bare {
            let worker = Arc::clone(worker);
            workers.spawn(async move { worker.deliver().await });
        }
        let delivered: usize = workers.join_all().await.into_iter().sum();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(delivered as u64, GRANTS);
        seconds
    }

    /// Seconds for all grants.
    async fn store(&self, turn: Turn) -> f64 {
        self.by_hand.batch_execute("TRUNCATE hookproof_bench.users, hookproof_bench.grant_ids").await.expect("no rows");
        for first in (1..=GRANTS).step_by(usize::from(BATCH)) {
            assert!(matches!(self.stores[0].commit(admissions(first), Epoch(0)).await.reply, Reply::Committed { .. }));
        }
        self.settle_down("hookproof_bench.users").await;
        let start = Instant::now();
        let mut workers = JoinSet::new();
        for (number, store) in (0_u64..).zip(&self.stores) {
            workers.spawn(store_worker(Arc::clone(store), turn, number << 32));
        }
        let delivered: usize = workers.join_all().await.into_iter().sum();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(delivered as u64, GRANTS);
        seconds
    }

    /// Neither side pays for the other's checkpoint or for statistics.
    async fn settle_down(&self, table: &str) {
        self.by_hand.batch_execute(&format!("VACUUM ANALYZE {table}")).await.expect("a table");
        self.by_hand.batch_execute("CHECKPOINT").await.expect("a role that may write a checkpoint");
    }
}

async fn connect(server: &Server) -> Client {
    let (client, connection) = tokio_postgres::connect(server.connection(), NoTls).await.expect("a server");
    tokio::spawn(connection);
    client
}

/// As a store does it: statements are prepared once.
struct BareWorker {
    client: Client,
    claim: Statement,
    complete: Statement,
}

impl BareWorker {
    async fn new(client: Client) -> Self {
        let claim = "UPDATE hookproof_bench.jobs SET state = 'claimed', due_at = $1 WHERE id IN \
                     (SELECT id FROM hookproof_bench.jobs WHERE state = 'pending' ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
                     RETURNING id, grant_id, units";
        let claim = client.prepare(claim).await.expect("a statement");
        let complete = "UPDATE hookproof_bench.jobs SET state = 'delivered' WHERE id = ANY($1)";
        let complete = client.prepare(complete).await.expect("a statement");
        Self { client, claim, complete }
    }

    async fn deliver(&self) -> usize {
        let mut delivered = 0;
        loop {
            let lease_until = i64::MAX;
            let rows = self.client.query(&self.claim, &[&lease_until, &i64::from(BATCH)]).await.expect("a claim");
            if rows.is_empty() {
                return delivered;
            }
            let ids: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
            self.client.execute(&self.complete, &[&ids]).await.expect("a completion");
            delivered += rows.len();
        }
    }
}

async fn store_worker(store: Arc<Postgres>, turn: Turn, nonces: u64) -> usize {
    let mut delivered = 0;
    let mut held: Vec<(ClaimedGrant, User)> = Vec::new();
    for nonce in nonces.. {
        let (mut work, settled) = (settlements(&held), held.len());
        if matches!(turn, Turn::Split) && settled > 0 {
            claimed(&store.commit(work, Epoch(0)).await);
            work = Work::default();
        }
        let fleet = FleetLimits { initial_in_flight: u16::MAX, max_in_flight: u16::MAX, effects_per_minute: u32::MAX };
        let (lease, into) = (Duration::from_secs(600), Vec::new());
        work.commands.push(Command::Claim(Claim { nonce: ClaimNonce(nonce), limit: BATCH, fleet, lease, into }));
        held = claimed(&store.commit(work, Epoch(0)).await);
        delivered += settled;
        if held.is_empty() {
            break;
        }
    }
    delivered
}

fn admissions(first: u64) -> Work {
    let numbers = first..first + u64::from(BATCH);
    let admit = |(handle, number): (u64, u64)| {
        let grant = GrantIntent { id: GrantId::from_bytes(u128::from(number).to_be_bytes()), units: 25 };
        let (user, variant) = (UserHandle(handle), VariantIndex::new(1));
        Command::Admit(Admit { user, variant, generation: 1, grant: Some(grant) })
    };
    let commands = (0..).zip(numbers.clone()).map(admit).collect();
    let user = |number| User { id: format!("user-{number}").into(), ..User::default() };
    Work { commands, users: numbers.map(user).collect() }
}

fn settlements(held: &[(ClaimedGrant, User)]) -> Work {
    let settle = |(handle, (grant, _)): (u64, &(ClaimedGrant, User))| {
        let grant = ClaimedGrant { user: UserHandle(handle), ..*grant };
        Command::Settle(grant.settle(Settlement::Delivered, Load::Answered, Duration::ZERO))
    };
    let commands = (0..).zip(held).map(settle).collect();
    Work { commands, users: held.iter().map(|(_, user)| user.clone()).collect() }
}

/// The grants that a commit has claimed.
fn claimed(done: &Done) -> Vec<(ClaimedGrant, User)> {
    let Reply::Committed { results, .. } = &done.reply else { panic!("the store failed: {:?}", done.reply) };
    let user = |grant: &ClaimedGrant| done.users[usize::try_from(grant.user.0).expect("a place")].clone();
    match results.last() {
        Some(Committed::Claimed { grants, .. }) => grants.iter().map(|grant| (*grant, user(grant))).collect(),
        Some(
            Committed::Opened { .. }
            | Committed::Foreign
            | Committed::Admitted { .. }
            | Committed::Found { .. }
            | Committed::Settled { .. }
            | Committed::Resolved { .. },
        )
        | None => Vec::new(),
    }
}
