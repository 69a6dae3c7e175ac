//! A quota service of a test's own: it applies each key once, and can be told to fail.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use hookproof_testing::http::{Request, read_request};

/// A running service; its threads end with the test's process.
pub struct Quota {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Bodies by key: what was applied.
    applied: BTreeMap<String, String>,
    /// Requests by key.
    requests: BTreeMap<String, u32>,
    status: u16,
}

impl Quota {
    /// One that answers with `status`; it applies only with 200.
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let state = State { applied: BTreeMap::new(), requests: BTreeMap::new(), status };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, state }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bodies that were applied, by key.
    pub fn applied(&self) -> BTreeMap<String, String> {
        self.lock().applied.clone()
    }

    /// Requests, by key.
    pub fn requests(&self) -> BTreeMap<String, u32> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

/// Serves a client until it goes away.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) {
    while let Some(Request { key, body }) = read_request(stream) {
        let key = key.trim_matches('"').to_owned();
        let status = {
            let mut state = state.lock().expect("no thread panics with the lock");
            *state.requests.entry(key.clone()).or_default() += 1;
            if state.status == 200 {
                state.applied.entry(key).or_insert(body);
            }
            state.status
        };
        let answer = "{\"units\":25}";
        let length = answer.len();
        let answer = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
