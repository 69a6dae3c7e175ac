//! Goal: a service that embeds the hook gets its variant, and the quota service one request for it, over restarts and while it fails.
//!
//! Method: a running hook on an SQLite file and a mock quota service over real HTTP. Nothing sleeps: tests wait for a state.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::hook::HookConfig;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::GrantState;
use hookproof_core::upstream::{Capability, Upstream};
use hookproof_runtime::client::{Client, ClientConfig};
use hookproof_runtime::hook::{Basis, Config, Hook, Running, VisitError, Visited};
use hookproof_runtime::store::Store;
use hookproof_runtime::store::sqlite::Sqlite;
use rustls::RootCertStore;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn lineage() -> Lineage {
    let variant = |name: &str, grant| VariantSpec { name: name.to_owned(), weight: 50, grant };
    let grant = GrantSpec { units: 25, effect: "quota-increase".to_owned() };
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
    Lineage::new(Experiment::new(spec).unwrap(), Vec::new()).unwrap()
}

fn start(folder: &Path, url: &str) -> Running {
    let capability = Capability::IdempotencyKey { ttl: Duration::from_secs(3_600) };
    let upstream = Upstream { capability, request_lifetime: Duration::from_secs(10) };
    let delivery = DeliveryConfig::new(upstream, Duration::from_millis(500));
    let (connect, attempt) = (delivery.connect_timeout, delivery.attempt_timeout);
    let tls = rustls::ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let client = ClientConfig::new(url.parse().unwrap(), capability, connect, attempt);
    let client = Client::new(client, Arc::new(tls)).unwrap();
    let store = Store::Sqlite(Sqlite::open(&folder.join("hook.db"), ["control", "extra"]).unwrap());
    let committer = CommitterConfig { patience: Duration::from_secs(5), ..CommitterConfig::default() };
    let config = Config::new(lineage(), HookConfig { delivery, committer });
    Running::start(config, store, client).unwrap()
}

/// Visits until the user's grant is in `state`.
async fn wait_for(running: &Running, user: &str, state: GrantState) {
    let wait = async {
        while running.hook().visit(user, None).await.unwrap().grant.unwrap().1 != state {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// The first user who is treated.
async fn treated(running: &Running) -> String {
    for number in 0..100 {
        let user = format!("user-{number}");
        if running.hook().visit(&user, Some("4bf92f3577b34da6a3ce929d0e0e4736")).await.unwrap().grant.is_some() {
            return user;
        }
    }
    panic!("half of the users are treated");
}

#[tokio::test]
async fn a_treated_user_is_granted_once_over_restarts() {
    let (folder, service) = (tempfile::tempdir().unwrap(), MockServer::start().await);
    let running = start(folder.path(), &service.uri());
    Mock::given(method("POST"))
        .and(path("/increase_quota"))
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({"units": 25})))
        .mount(&service)
        .await;
    let user = treated(&running).await;
    wait_for(&running, &user, GrantState::Delivered).await;
    let first = running.hook().visit(&user, None).await.unwrap();
    assert_eq!(first.basis, Basis::Recorded);
    assert!(running.shut_down(PATIENCE).await);

    let running = start(folder.path(), &service.uri());
    assert_eq!(running.hook().visit(&user, None).await.unwrap(), first);
    assert!(running.shut_down(PATIENCE).await);

    let key = format!("\"{}\"", first.grant.unwrap().0);
    let requests = service.received_requests().await.unwrap();
    let of_user: Vec<_> = requests.iter().filter(|r| r.headers["idempotency-key"] == key.as_str()).collect();
    assert_eq!(of_user.len(), 1);
    let expected = format!("{{\"user_id\":\"{user}\",\"units\":25}}");
    assert_eq!(of_user[0].body, expected.as_bytes());
    let trace = of_user[0].headers["traceparent"].to_str().unwrap();
    assert_eq!(trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
}

#[tokio::test]
async fn a_service_that_fails_at_first_is_asked_again_with_the_same_key_and_body() {
    let (folder, service) = (tempfile::tempdir().unwrap(), MockServer::start().await);
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(500)).up_to_n_times(2).mount(&service).await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(201).set_body_json(serde_json::json!({})))
        .mount(&service)
        .await;
    let running = start(folder.path(), &service.uri());
    let user = treated(&running).await;
    wait_for(&running, &user, GrantState::Delivered).await;
    assert!(running.shut_down(PATIENCE).await);
    let requests = service.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|r| r.body == requests[0].body));
    assert!(requests.iter().all(|r| r.headers["idempotency-key"] == requests[0].headers["idempotency-key"]));
}

#[tokio::test]
async fn the_first_exposures_correlation_goes_with_the_request_whoever_visits_and_sends() {
    let (folder, service) = (tempfile::tempdir().unwrap(), MockServer::start().await);
    let running = start(folder.path(), "http://127.0.0.1:9");
    let user = treated(&running).await;
    assert!(running.shut_down(PATIENCE).await);

    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&service).await;
    let running = start(folder.path(), &service.uri());
    running.hook().visit(&user, Some("ffffffffffffffffffffffffffffffff")).await.unwrap();
    wait_for(&running, &user, GrantState::Delivered).await;
    assert!(running.shut_down(PATIENCE).await);
    let body = format!("{{\"user_id\":\"{user}\",\"units\":25}}");
    let requests = service.received_requests().await.unwrap();
    let request = requests.iter().find(|request| request.body == body.as_bytes()).unwrap();
    assert_eq!(request.headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
}

#[tokio::test]
async fn visits_that_wait_at_the_end_are_answered_and_later_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "http://127.0.0.1:9");
    let hook = running.hook().clone();
    hook.visit("ann", None).await.unwrap();
    let users: Vec<_> = (0..100).map(|number| format!("waits-{number}")).collect();
    let mut waiting: Vec<_> = users.iter().map(|user| Box::pin(hook.visit(user, None))).collect();
    for visit in &mut waiting {
        assert!(visit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(running.shut_down(PATIENCE).await);
    for visit in waiting {
        assert_eq!(visit.await.map(|visited| visited.basis), Ok(Basis::FirstExposure));
    }
    assert_eq!(at_once(&hook, "bob"), Some(Err(VisitError::ShuttingDown)));
}

/// What a visit is answered with that waits for nothing: it is polled once.
fn at_once(hook: &Hook, user: &str) -> Option<Result<Visited, VisitError>> {
    match pin!(hook.visit(user, None)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_repeated_visit_waits_for_nothing_and_needs_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), "http://127.0.0.1:9");
    let hook = running.hook().clone();
    assert_eq!(at_once(&hook, "ann"), None, "a first visit waits for its commit");
    let first = hook.visit("ann", None).await.unwrap();
    let again = at_once(&hook, "ann").expect("a repeated one does not").unwrap();
    assert_eq!((again.variant, again.basis), (first.variant, Basis::Recorded));

    assert!(running.shut_down(PATIENCE).await);
    // The file is closed: it can be taken by another, and is taken away.
    drop(Sqlite::open(&folder.path().join("hook.db"), []).unwrap());
    folder.close().unwrap();
    assert_eq!(at_once(&hook, "ann"), Some(Ok(again)));
    assert_eq!(at_once(&hook, "bob"), Some(Err(VisitError::ShuttingDown)));
}
