//! A quota service of a test's own: it applies each key once, and can be told to fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

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
                // A hook that goes away ends its connection with an error, which is no failure of the test.
                thread::spawn(move || drop(serve(stream, &shared)));
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

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_lowercase();
            match line.split_once(": ") {
                Some(("idempotency-key", value)) => value.trim_matches('"').clone_into(&mut key),
                Some(("content-length", value)) => length = value.parse().expect("a length is a number"),
                None if line.is_empty() => break,
                Some(_) | None => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).expect("the body is JSON");
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
        write!(
            writer,
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
        )?;
    }
}
