//! What a driver holds that nobody outside it can see. All else is in `tests/embedded.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantIndex, VariantSpec};
use hookproof_core::hook::HookConfig;
use hookproof_core::lineage::Lineage;
use hookproof_core::upstream::{Capability, Upstream};
use rusqlite::Connection;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::*;
use crate::client::{ClientConfig, Roots, trust};
use crate::store::sqlite::{Database, Sqlite};
use crate::telemetry::Shown;
use crate::users::SWEEP_MIN;

/// More than two sweeps' worth.
const BACKLOG: u64 = 3_000;
const IN_FLIGHT: u16 = 64;

fn lineage() -> Lineage {
    let grant = GrantSpec { units: 25, effect: "quota-increase".to_owned() };
    let variant = |name: &str, grant| VariantSpec { name: name.to_owned(), weight: 50, grant };
    let spec = Spec {
        id: "quota".to_owned(),
        namespace: "test".to_owned(),
        lineage: None,
        version: "1".to_owned(),
        hash: HashSpec::Sha256V1,
        salt: None,
        coverage_ppm: 1_000_000,
        variants: vec![variant("control", None), variant("extra", Some(grant))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    };
    Lineage::new(Experiment::new(spec).expect("a valid experiment"), Vec::new()).expect("one version")
}

fn fill(path: &Path) {
    drop(Database::open(path).expect("a store can be made"));
    let fill = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {BACKLOG}) \
         INSERT INTO users (user_id, variant, generation, exposed_at, changed_at, grant_id, units, state, due_at, sent_until, \
         fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen) \
         SELECT 'user-' || n, 1, 0, n, n, unhex(printf('%032x', n)), 25, 'pending', n, 0, 0, 0, 0, 0, 0, 0 FROM numbers"
    );
    Connection::open(path).expect("it can be opened again").execute_batch(&fill).expect("rows");
}

/// A driver on the store at `path`, whom nobody visits.
fn driver(path: &Path, url: &str, stop: oneshot::Receiver<()>) -> Driver {
    let capability = Capability::IdempotencyKey { ttl: Duration::from_secs(3_600) };
    let upstream = Upstream { capability, request_lifetime: Duration::from_secs(10) };
    let mut delivery = DeliveryConfig::new(upstream, Duration::from_millis(500));
    delivery.fleet.initial_in_flight = IN_FLIGHT;
    delivery.fleet.max_in_flight = IN_FLIGHT;
    delivery.fleet.effects_per_minute = u32::MAX;
    let client =
        ClientConfig::new(url.parse().expect("a URL"), capability, delivery.connect_timeout, delivery.attempt_timeout);
    let client = Client::new(client, trust(Roots::None).expect("nobody is trusted")).expect("a client");
    let config = HookConfig { delivery, committer: CommitterConfig::default() };
    Driver::new(Parts {
        hook: Hook::with_outbox(lineage(), config, Outputs::default()).expect("settings that fit"),
        store: Arc::new(Store::Sqlite(Sqlite::open(path, []).expect("a store"))),
        client,
        known: Arc::new(Known::new(16)),
        telemetry: Arc::new(Telemetry::new(Shown::for_this_process())),
        visits: mpsc::channel(1).1,
        orders: mpsc::channel(1).1,
        store_state: watch::channel(StoreState::Opening).0,
        stop,
    })
}

#[tokio::test]
async fn a_process_that_only_delivers_does_not_keep_the_users_of_the_backlog() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hook.db");
    fill(&path);
    let service = MockServer::start().await;
    Mock::given(matchers::method("POST")).respond_with(ResponseTemplate::new(204)).mount(&service).await;
    let (_stop, stopped) = oneshot::channel();
    let mut driver = driver(&path, &service.uri(), stopped);

    driver.feed(Input::Started { draw: 1 });
    let all = format!("hookproof_grants_total{{state=\"delivered\"}} {BACKLOG}");
    let mut most = 0;
    while !driver.telemetry.metrics().contains(&all) {
        driver.turn().await;
        most = most.max(driver.users.len());
    }
    assert!((SWEEP_MIN..=SWEEP_MIN + usize::from(IN_FLIGHT)).contains(&most), "{most} users in the table");
}

/// Looks whether the user is known at the moment at which the answer is there.
struct Look {
    known: Arc<Known>,
    was_known: AtomicBool,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        self.was_known.store(self.known.get("ann").is_some(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_is_answered_is_known_by_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_stop, stopped) = oneshot::channel();
    let mut driver = driver(&folder.path().join("hook.db"), "http://127.0.0.1:1", stopped);
    let look = Arc::new(Look { known: Arc::clone(&driver.known), was_known: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&look));
    let (answer, mut answered) = oneshot::channel();

    driver.feed(Input::Started { draw: 1 });
    driver.on_visit(Visit { user: User { id: "ann".into(), ..User::default() }, answer });
    while Pin::new(&mut answered).poll(&mut Context::from_waker(&waker)).is_pending() {
        driver.turn().await;
    }
    assert!(look.was_known.load(Ordering::Relaxed), "a visit right after the answer would have gone to the store");
}

#[test]
fn a_commit_goes_before_the_answers_that_the_last_one_brought() {
    let mut outputs = Outputs::default();
    let answer = |visit| Output::Answer(VisitToken(visit), VisitAnswer::NotEnrolled { variant: VariantIndex::new(0) });
    outputs.put(answer(1));
    outputs.put(answer(2));
    let commit = Output::Store(Commit { ticket: Ticket(1), commands: Vec::new(), into: Vec::new() });
    outputs.put(commit.clone());
    assert!(outputs.0.into_iter().eq([commit, answer(1), answer(2)]));
}
