//! Goal: of every call the client says exactly how far it came: never sent, perhaps arrived, or answered in full; at every byte
//! at which a connection can break, and at every pause that a service can make. What is sent is what the protocol says.
//!
//! Method: the client itself against real services on loopback: a whole one (wiremock) for requests and statuses; for what none would do, a
//! listener that follows a script to the byte (`service.rs`). Limits that should not matter are an hour, so that only the one in
//! question can end a call. Certificates are made for each test.

#![expect(clippy::unwrap_used, reason = "a test stops where its world is not as it must be")]

mod answers;
mod breaks;
mod framing;
mod kept;
mod pace;
mod requests;
mod service;
mod tls;

use std::time::Duration;

use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::upstream::{Answer, Ask, Body, Capability, Lost, NotSent, Request};
use hookproof_runtime::client::{Call, Client, ClientConfig, Roots, trust};

/// Longer than any call here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// A limit that nothing comes near.
const LONG: Duration = Duration::from_secs(3_600);
/// A limit that a service which never goes on exceeds.
const SHORT: Duration = Duration::from_millis(100);

const KEYED: Capability = Capability::IdempotencyKey { ttl: Duration::from_secs(86_400) };
const KEY: &str = "10111213-1415-8617-9819-1a1b1c1d1e1f";

const RECEIPT: Answer = status(200, Body::WellFormed);
const NO_PROOF: Answer = status(200, Body::Malformed);
const REFUSED: Answer = Answer::NotSent(NotSent::Refused);
const RESET: Answer = Answer::Lost(Lost::Reset);
const TRUNCATED: Answer = Answer::Lost(Lost::Truncated);
const TIMED_OUT: Answer = Answer::Lost(Lost::Timeout);

const fn status(code: u16, body: Body) -> Answer {
    Answer::Status { code, body, retry_after: None }
}

/// For the service at `url`, without limits that matter.
fn config(url: &str) -> ClientConfig {
    ClientConfig { read_idle_timeout: LONG, ..ClientConfig::new(url.parse().unwrap(), KEYED, LONG, LONG) }
}

fn client(config: ClientConfig) -> Client {
    Client::new(config, trust(Roots::None).unwrap()).unwrap()
}

fn call(ask: Ask) -> Call {
    let key: [u8; 16] = std::array::from_fn(|place| 16 + u8::try_from(place).unwrap());
    let mut key = key;
    (key[6], key[8]) = (0x86, 0x98);
    let grant = GrantId::from_bytes(key);
    let request = Request { ask, user: UserHandle(0), grant, units: 25, key: grant, attempt: 3 };
    Call { request, user: "ann".into(), correlation: None }
}

/// Calls, and fails instead of hanging.
async fn end(client: &Client, call: Call) -> Answer {
    tokio::time::timeout(PATIENCE, client.call(call)).await.expect("a limit ends every call")
}

/// What a new client makes of the service with `config`.
async fn outcome(config: ClientConfig) -> Answer {
    end(&client(config), call(Ask::Apply)).await
}
