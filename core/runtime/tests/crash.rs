//! Goal: whatever the moment at which the process is killed, and whatever the quota service then says or does not say, a user is granted once
//! (`GRANT-1`), nobody who was not treated is (`GRANT-2`), every treated user in the end (`GRANT-3`), no receipt is made up (`GRANT-5`,
//! `AUDIT-1`), and nobody who has seen a variant sees another one (`ASSIGN-1`).
//!
//! Method: `examples/embedded.rs` runs as a child process on an SQLite file, against a quota service of this process, which keeps a ledger and
//! remembers keys. The child kills itself as `kill -9` would at a named place when it comes there for the n-th time; the service answers
//! every second request in one ambiguous way. Every place × every ambiguity × the first few times. After each kill another child goes on with the
//! same file; at last an unharmed one must settle everything. Judged from outside: the ledger, and what the child printed. A child
//! that sends another key with every attempt is caught, so the judge does judge.
//!
//! `HOOKPROOF_KILLS=10000 cargo test --release -p hookproof-runtime --test crash -- --nocapture` kills as often as it says.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test")]
#![expect(clippy::disallowed_methods, reason = "a test's patience is not the hook's business")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where the child dies. Each is passed on the way from a visit to a recorded receipt.
const PLACES: [&str; 12] = [
    "admit.begin",
    "admit.written",
    "admit.durable",
    "claim.begin",
    "claim.written",
    "claim.durable",
    "call.begin",
    "call.head",
    "call.end",
    "settle.begin",
    "settle.written",
    "settle.durable",
];

/// What the service does with a request that it does not answer as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ambiguity {
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

const AMBIGUITIES: [Ambiguity; 6] = [
    Ambiguity::AppliedAndCut,
    Ambiguity::AppliedAndTruncated,
    Ambiguity::AppliedAndHung,
    Ambiguity::AppliedAndFailed,
    Ambiguity::Cut,
    Ambiguity::Unavailable,
];

/// Every so many-th request meets the ambiguity.
const AMBIGUOUS_EVERY: u64 = 2;
/// New users of each child who are treated; as many again are not.
const TREATED: usize = 3;
/// Between two looks at a grant that is not settled.
const PAUSE: Duration = Duration::from_millis(2);
/// A child dies at the place when it comes there for the so-many-th time, if it does: 4 × 12 × 6 are 288 kills at most.
const COMES: [u64; 4] = [1, 2, 3, 4];
/// Longer than a child needs for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the service has done.
#[derive(Debug, Default)]
struct Ledger {
    /// Effects by user.
    effects: BTreeMap<String, u32>,
    keys: BTreeSet<String>,
    requests: u64,
    replays: u64,
    ambiguous: u64,
}

/// A quota service that outlives its clients.
struct Service {
    url: String,
    ledger: Arc<Mutex<Ledger>>,
    ambiguity: Arc<Mutex<Option<Ambiguity>>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let ambiguity = Arc::new(Mutex::new(None));
        let (shared, fate) = (Arc::clone(&ledger), Arc::clone(&ambiguity));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (ledger, fate) = (Arc::clone(&shared), Arc::clone(&fate));
                thread::spawn(move || while serve(&stream, &ledger, &fate).is_some() {});
            }
        });
        Self { url, ledger, ambiguity }
    }
}

/// Serves one request; `None` when the connection is over.
fn serve(stream: &TcpStream, ledger: &Mutex<Ledger>, fate: &Mutex<Option<Ambiguity>>) -> Option<()> {
    let (key, body) = read_request(stream)?;
    let user = body.strip_prefix("{\"user_id\":\"")?.strip_suffix("\",\"units\":25}")?.to_owned();
    let fate = {
        let mut ledger = ledger.lock().unwrap();
        ledger.requests += 1;
        let fate = fate.lock().unwrap().filter(|_| ledger.requests.is_multiple_of(AMBIGUOUS_EVERY));
        ledger.ambiguous += u64::from(fate.is_some());
        if !matches!(fate, Some(Ambiguity::Cut | Ambiguity::Unavailable)) {
            if ledger.keys.insert(key) {
                *ledger.effects.entry(user).or_default() += 1;
            } else {
                ledger.replays += 1;
            }
        }
        fate
    };
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

/// The key and the body of the next request.
fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut key, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("idempotency-key", value)) => key = Some(value.to_owned()),
            Some(("content-length", value)) => length = value.parse().ok()?,
            None if line.trim_end().is_empty() => break,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((key?, String::from_utf8(body).ok()?))
}

/// What a user was told.
#[derive(Clone, Debug)]
struct Told {
    variant: String,
    basis: String,
    grant: String,
}

impl Told {
    /// Whether there is a record, and nothing is to come.
    fn is_settled(&self) -> bool {
        self.basis != "provisional" && !["pending", "claimed"].contains(&self.grant.as_str())
    }
}

/// A child process.
struct Hook {
    child: Child,
}

impl Hook {
    fn start(world: &World, kill_at: Option<&str>) -> Self {
        let mut command = Command::new(&*EXAMPLE);
        command.arg(&world.store).arg(&world.service.url).args(world.without);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        match kill_at {
            Some(place) => command.env("HOOKPROOF_KILL_AT", place),
            None => command.env_remove("HOOKPROOF_KILL_AT"),
        };
        Self { child: command.spawn().unwrap() }
    }

    /// Visits; `None` if the child died first.
    fn visit(&mut self, output: &mut impl BufRead, user: &str) -> Option<Told> {
        let input = self.child.stdin.as_mut()?;
        writeln!(input, "{user}").and_then(|()| input.flush()).ok()?;
        let mut line = String::new();
        output.read_line(&mut line).ok()?;
        let fields: Vec<_> = line.trim_end().split('\t').collect();
        let [_, variant, basis, grant] = fields.as_slice() else { return None };
        Some(Told { variant: (*variant).to_owned(), basis: (*basis).to_owned(), grant: (*grant).to_owned() })
    }

    /// Ends its input and waits; returns whether it was killed.
    fn end(mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().signal() == Some(9)
    }
}

/// The example, built as this test is: with `--test crash` cargo does not do so by itself.
static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().unwrap().parent().unwrap();
    let profile = if folder.ends_with("release") { "release" } else { "test" };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--package", "hookproof-runtime", "--example", "embedded"])
        .args(["--profile", profile, "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .status()
        .unwrap();
    assert!(built.success(), "the example is not built");
    folder.join("examples").join("embedded")
});

/// A store, a service, and all that anybody was told.
struct World {
    store: PathBuf,
    service: Service,
    /// The variant that each user was shown with a record behind it.
    shown: BTreeMap<String, String>,
    users: Vec<String>,
    kills: u64,
    /// The protection that the child goes without.
    without: Option<&'static str>,
    _folder: TempDir,
}

impl World {
    fn new(without: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = folder.path().join("hook.db");
        Self {
            store,
            service: Service::start(),
            shown: BTreeMap::new(),
            users: Vec::new(),
            kills: 0,
            without,
            _folder: folder,
        }
    }

    /// One child that is to die at `place` when it comes there for the `come`-th time. It is visited until it does, or until it has
    /// settled what it promised.
    fn cycle(&mut self, place: &str, come: u64, ambiguity: Ambiguity) {
        *self.service.ambiguity.lock().unwrap() = Some(ambiguity);
        let mut hook = Hook::start(self, Some(&format!("{place}:{come}")));
        let mut output = BufReader::new(hook.child.stdout.take().unwrap());
        let mut open = BTreeSet::new();
        for treated_count in 0..TREATED {
            while open.len() == treated_count {
                let user = format!("user-{}", self.users.len());
                self.users.push(user.clone());
                let Some(told) = hook.visit(&mut output, &user) else { return self.on_death(hook) };
                self.hear(&user, &told);
                if told.variant == "extra-quota" {
                    open.insert(user);
                }
            }
        }
        let until = Instant::now() + PATIENCE;
        while let Some(user) = open.first().cloned() {
            let Some(told) = hook.visit(&mut output, &user) else { return self.on_death(hook) };
            self.hear(&user, &told);
            if told.is_settled() {
                open.remove(&user);
            }
            assert!(Instant::now() < until, "GRANT-3: {user} is still {}", told.grant);
            thread::sleep(PAUSE);
        }
        self.on_death(hook);
    }

    fn on_death(&mut self, hook: Hook) {
        self.kills += u64::from(hook.end());
    }

    /// `ASSIGN-1`.
    fn hear(&mut self, user: &str, told: &Told) {
        if told.basis == "provisional" {
            return;
        }
        let shown = self.shown.entry(user.to_owned()).or_insert_with(|| told.variant.clone());
        assert_eq!(*shown, told.variant, "ASSIGN-1: {user} was moved");
    }

    /// All places, each for the first few times.
    fn round(&mut self, ambiguity: Ambiguity) {
        for come in COMES {
            for place in PLACES {
                let before = self.kills;
                self.cycle(place, come, ambiguity);
                assert!(self.kills > before || come > 1, "{place} was never come to under {ambiguity:?}");
            }
        }
    }

    /// An unharmed child settles everything.
    fn settle(&mut self) -> BTreeSet<String> {
        *self.service.ambiguity.lock().unwrap() = None;
        let mut hook = Hook::start(self, None);
        let mut output = BufReader::new(hook.child.stdout.take().unwrap());
        let mut treated = BTreeSet::new();
        for user in self.users.clone() {
            let until = Instant::now() + PATIENCE;
            let told = loop {
                let told = hook.visit(&mut output, &user).expect("nobody kills this one");
                self.hear(&user, &told);
                if told.is_settled() {
                    break told;
                }
                assert!(Instant::now() < until, "GRANT-3: {user} is still {}", told.grant);
                thread::sleep(PAUSE);
            };
            let is_treated = told.variant == "extra-quota";
            assert_eq!(told.grant, if is_treated { "delivered" } else { "none" }, "GRANT-3: {user}");
            if is_treated {
                treated.insert(user);
            }
        }
        assert!(!hook.end(), "nobody kills this one");
        treated
    }

    /// What the books say of everybody, once all is settled.
    fn judge(&self, treated: &BTreeSet<String>) -> Vec<String> {
        let ledger = self.service.ledger.lock().unwrap();
        let doubled = ledger.effects.iter().filter(|(_, effects)| **effects != 1);
        let untreated = ledger.effects.keys().filter(|user| !treated.contains(*user));
        let unproved = treated.iter().filter(|user| !ledger.effects.contains_key(*user));
        let doubled = doubled.map(|(user, effects)| format!("GRANT-1: {user} was granted {effects} times"));
        let untreated = untreated.map(|user| format!("GRANT-2: {user} was granted, and was never treated"));
        let unproved = unproved.map(|user| format!("AUDIT-1: {user} has a receipt without an effect"));
        doubled.chain(untreated).chain(unproved).collect()
    }
}

/// Runs each ambiguity in a world of its own, all at once, until there are `kills_min` kills in each.
fn worlds(without: Option<&'static str>, kills_min: u64) -> Vec<(World, Vec<String>)> {
    LazyLock::force(&EXAMPLE);
    let run = |ambiguity| {
        thread::spawn(move || {
            let mut world = World::new(without);
            while world.kills == 0 || world.kills < kills_min {
                world.round(ambiguity);
            }
            let treated = world.settle();
            let found = world.judge(&treated);
            (world, found)
        })
    };
    let worlds: Vec<_> = AMBIGUITIES.into_iter().map(run).collect();
    worlds.into_iter().map(|world| world.join().unwrap()).collect()
}

#[test]
fn no_kill_at_any_place_loses_or_doubles_a_grant() {
    let wanted: u64 = std::env::var("HOOKPROOF_KILLS").map_or(0, |kills| kills.parse().unwrap());
    let worlds = worlds(None, wanted.div_ceil(AMBIGUITIES.len() as u64));
    for (_, found) in &worlds {
        assert!(found.is_empty(), "{found:#?}");
    }
    let sum = |count: fn(&World) -> u64| worlds.iter().map(|(world, _)| count(world)).sum::<u64>();
    let kills = sum(|world| world.kills);
    let users = sum(|world| world.users.len() as u64);
    let effects = sum(|world| world.service.ledger.lock().unwrap().effects.len() as u64);
    let requests = sum(|world| world.service.ledger.lock().unwrap().requests);
    let ambiguous = sum(|world| world.service.ledger.lock().unwrap().ambiguous);
    let replays = sum(|world| world.service.ledger.lock().unwrap().replays);
    println!(
        "{kills} kills, {users} users of whom {effects} were granted, {requests} requests, {ambiguous} of them answered ambiguously \
         and {replays} replayed: nothing lost, nothing doubled"
    );
    assert!(kills >= 200 && kills >= wanted, "only {kills} kills");
    assert!(ambiguous > 100 && replays > 50, "the ambiguities were not met");
}

#[test]
fn a_child_that_sends_another_key_with_every_attempt_is_caught() {
    let found: Vec<_> = worlds(Some("stable-key"), 0).into_iter().flat_map(|(_, found)| found).collect();
    assert!(found.iter().any(|found| found.starts_with("GRANT-1")), "{found:?}");
}
