//! A quota service that keeps a ledger, remembers keys, and outlives its clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Request, read_request};

/// What the service does with a request that it does not answer as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// It is executed, and the connection is closed without a word.
    AppliedAndCut,
    /// It is executed, and the answer breaks off.
    AppliedAndTruncated,
    /// It is executed, and no answer comes.
    AppliedAndHung,
    /// It is executed, and the answer is a 500.
    AppliedAndFailed,
    /// It is not executed, and the connection is closed without a word.
    Cut,
    /// It is not executed, and the answer is a 503.
    Unavailable,
}

impl Ambiguity {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AppliedAndCut,
        Self::AppliedAndTruncated,
        Self::AppliedAndHung,
        Self::AppliedAndFailed,
        Self::Cut,
        Self::Unavailable,
    ];
}

/// How the service treats those who ask.
#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    #[default]
    Good,
    /// Every second request meets the ambiguity.
    Mixed(Ambiguity),
    /// Every request does.
    Bad(Ambiguity),
}

impl Mood {
    /// What becomes of the `number`-th request besides its execution.
    const fn fate(self, number: u64) -> Option<Ambiguity> {
        match self {
            Self::Mixed(ambiguity) if number.is_multiple_of(2) => Some(ambiguity),
            Self::Bad(ambiguity) => Some(ambiguity),
            Self::Good | Self::Mixed(_) => None,
        }
    }
}

/// What the service has done.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Effects by user.
    pub effects: BTreeMap<String, u32>,
    /// When each key was seen first, and whether it was executed.
    keys: BTreeMap<String, (Instant, bool)>,
    /// Requests by user, whatever became of them.
    pub asked: BTreeMap<String, u64>,
    /// Requests in all.
    pub requests: u64,
    /// Requests with a key that was known.
    pub replays: u64,
    /// Requests that met an ambiguity.
    pub ambiguous: u64,
    /// `GRANT-4`: requests for a grant that the service may have forgotten.
    pub late: Vec<String>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    mood: Mutex<Mood>,
    key_ttl: Duration,
}

/// The service, on a thread of its own.
pub struct Service {
    /// Where it is.
    pub url: String,
    shared: Arc<Shared>,
}

impl Service {
    /// Starts one that forgets a key `key_ttl` after it has seen it first.
    ///
    /// # Panics
    /// If this machine has no free port.
    pub fn start(key_ttl: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared { ledger: Mutex::default(), mood: Mutex::default(), key_ttl });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                thread::spawn(move || while shared.serve(&stream).is_some() {});
            }
        });
        Self { url, shared }
    }

    /// From here on every second request meets `ambiguity`.
    pub fn behave(&self, ambiguity: Option<Ambiguity>) {
        *lock(&self.shared.mood) = ambiguity.map_or(Mood::Good, Mood::Mixed);
    }

    /// From here on every request meets `ambiguity`.
    pub fn behave_always(&self, ambiguity: Ambiguity) {
        *lock(&self.shared.mood) = Mood::Bad(ambiguity);
    }

    /// Whether it remembers no key that it has seen.
    pub fn has_forgotten_all(&self) -> bool {
        self.ledger().keys.values().all(|(first_at, _)| first_at.elapsed() >= self.shared.key_ttl)
    }

    /// What it has done so far.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }
}

impl Shared {
    /// Serves one request; `None` when the connection is over.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let Request { key, body } = read_request(stream)?;
        let user = body.strip_prefix("{\"user_id\":\"")?.strip_suffix("\",\"units\":25}")?.to_owned();
        let fate = self.execute(key, user);
        let answer = match fate {
            None => "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            Some(Ambiguity::AppliedAndCut | Ambiguity::Cut) => return None,
            Some(Ambiguity::AppliedAndTruncated) => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{",
            Some(Ambiguity::AppliedAndHung) => {
                // Until the client has gone.
                let _ = (&*stream).read(&mut [0]);
                return None;
            }
            Some(Ambiguity::AppliedAndFailed) => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
            Some(Ambiguity::Unavailable) => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        };
        (&*stream).write_all(answer.as_bytes()).ok()?;
        (fate != Some(Ambiguity::AppliedAndTruncated)).then_some(())
    }

    /// Does what is asked, if it does, and says how that is answered.
    fn execute(&self, key: String, user: String) -> Option<Ambiguity> {
        let mut ledger = lock(&self.ledger);
        ledger.requests += 1;
        *ledger.asked.entry(user.clone()).or_default() += 1;
        let fate = lock(&self.mood).fate(ledger.requests);
        ledger.ambiguous += u64::from(fate.is_some());
        let known = ledger.keys.get(&key).copied();
        let remembered = known.filter(|(first_at, _)| first_at.elapsed() < self.key_ttl);
        if known.is_some() && remembered.is_none() {
            ledger.late.push(format!("GRANT-4: the grant of {user} was asked for after its key's window"));
        }
        let (first_at, was_executed) = remembered.unwrap_or((Instant::now(), false));
        let is_executed = !matches!(fate, Some(Ambiguity::Cut | Ambiguity::Unavailable));
        ledger.keys.insert(key, (first_at, was_executed || is_executed));
        if was_executed {
            ledger.replays += 1;
        } else if is_executed {
            *ledger.effects.entry(user).or_default() += 1;
        }
        fate
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
