//! Whether a backlog takes memory: the peak of a process whose store holds a million pending grants, less that of one whose store holds none.
//!
//! Each side is a process of its own, this program again: the embedded hook on SQLite, a quota service that hangs, so that nothing of the backlog goes away, 200 visits
//! a second for 5 s, half of them first ones. Both read the same number of rows, whatever the store holds: `docs/stores.md` has the formula, in which the backlog
//! does not occur. Written down before the first run: the difference may be 8 MiB, since SQLite keeps up to 2 MiB of a large file's pages for each of two connections.
//!
//! Whether a backlog that is worked off leaves anything behind: the peak of a process that nobody visits and that delivers 50,000 grants to a quota service that
//! answers, less that of one that delivers 1,000. Written down before the first run: the same 8 MiB, for the same reason; 50,000 users who were kept would take 10.
//!
//! Each figure is the most of three processes. Not the median: where the first has claimed what the fleet may have, the next ones find its leases and claim nothing.
//!
//! `cargo bench -p hookproof-benches --bench backlog_memory`; Linux only, for its `/proc`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use hookproof_benches::memory::peak_kib;
use hookproof_live::arrivals::Plan;
use hookproof_live::quota::Mode;
use hookproof_live::subject::{Kind, Subject};
use hookproof_runtime::store::sqlite::Database;
use rusqlite::Connection;

/// The argument before a store's folder, which makes this program one of the two sides.
const SIDE: &str = "--side";
/// The same, and the process ends when the store's backlog is delivered.
const DELIVERER: &str = "--deliverer";
const BACKLOG: u64 = 1_000_000;
const DELIVERED: [u64; 2] = [1_000, 50_000];
const ROUNDS: usize = 3;
/// How often a deliverer looks whether it is done: a look counts the backlog, on the processor that delivers it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == SIDE) {
        side(Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("milliseconds"));
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == DELIVERER) {
        deliver(Path::new(&arguments[at + 1]));
        return;
    }
    if peak_kib().is_none() {
        println!("backlog: skipped: this machine has no /proc/self/status with VmHWM");
        return;
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let (backlog, delivered, rounds, millis) =
        if is_test { (2_000, [100, 2_000], 1, 200) } else { (BACKLOG, DELIVERED, ROUNDS, 5_000) };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes files");
    print_waiting(folder.path(), backlog, rounds, millis);
    print_delivered(folder.path(), delivered, rounds);
}

/// What a backlog takes that waits.
fn print_waiting(folder: &Path, backlog: u64, rounds: usize, millis: u64) {
    let sizes = [0, backlog];
    let folders = sizes.map(|size| {
        let folder = folder.join(size.to_string());
        fs::create_dir(&folder).expect("a folder can be made");
        fill(&folder.join("hook.db"), size);
        folder
    });
    let mut peaks: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (folder, peaks) in folders.iter().zip(&mut peaks) {
            peaks.push(peak_of(&[SIDE, text(folder), &millis.to_string()]));
        }
    }
    let [without, with] = peaks.map(most);
    println!(
        "backlog of {backlog}: peak {with:.1} MiB, of none: {without:.1} MiB; difference {:.1} MiB (bar 8)",
        with - without
    );
}

/// What is left of one that was delivered.
fn print_delivered(folder: &Path, sizes: [u64; 2], rounds: usize) {
    let mut peaks: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (size, peaks) in sizes.into_iter().zip(&mut peaks) {
            let folder = tempfile::tempdir_in(folder).expect("the build's folder takes files");
            fill(&folder.path().join("hook.db"), size);
            peaks.push(peak_of(&[DELIVERER, text(folder.path())]));
        }
    }
    let ([few, many], [with_few, with_many]) = (sizes, peaks.map(most));
    println!(
        "{many} delivered: peak {with_many:.1} MiB, {few}: {with_few:.1} MiB; difference {:.1} MiB (bar 8)",
        with_many - with_few
    );
}

/// Makes a store with so many grants that are due.
fn fill(path: &Path, backlog: u64) {
    drop(Database::open(path).expect("a store can be made"));
    let connection = Connection::open(path).expect("it can be opened again");
    let fill = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {backlog}) \
         INSERT INTO users (user_id, variant, generation, exposed_at, changed_at, grant_id, units, state, due_at, sent_until, \
         fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen) \
         SELECT 'user-' || n, 1, 0, n, n, unhex(printf('%032x', n)), 25, 'pending', n, 0, 0, 0, 0, 0, 0, 0 FROM numbers \
         WHERE n <= {backlog}"
    );
    connection.execute_batch(&fill).expect("rows");
    let pending: u64 = connection
        .query_row("SELECT count(*) FROM users WHERE state = 'pending'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(pending, backlog);
}

fn most(peaks: Vec<f64>) -> f64 {
    peaks.into_iter().fold(0.0, f64::max)
}

fn text(folder: &Path) -> &str {
    folder.to_str().expect("the build's folder has a name in UTF-8")
}

/// The peak of a process of its own, which is this program with these arguments, in MiB.
fn peak_of(arguments: &[&str]) -> f64 {
    let program = env::current_exe().expect("this program is a file");
    let output = Command::new(program).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kib: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    kib / 1024.0
}

/// Runs the hook until all is delivered, and prints the process's peak in KiB.
fn deliver(folder: &Path) {
    let subject = Subject::start(Kind::Hardened, folder, Mode::Ok).expect("a hook can be started");
    loop {
        let backlog = subject.handle().block_on(subject.hook().backlog()).expect("the store can be read");
        if backlog.pending + backlog.claimed == 0 {
            break;
        }
        thread::sleep(LOOK_AGAIN);
    }
    println!("{}", peak_kib().expect("the first process had it"));
}

/// Runs the hook, and prints the process's peak in KiB.
fn side(folder: &Path, millis: u64) {
    let length = Duration::from_millis(millis);
    let seed = u64::from(std::process::id());
    let plan = Plan { per_second: 200.0, warm_up: Duration::ZERO, length, users: 100, first_visits: 0.5, seed };
    let subject = Subject::start(Kind::Hardened, folder, Mode::Hang).expect("a hook can be started");
    subject.record_returning(plan).expect("the store records visits");
    let measured = subject.offer(plan);
    assert_eq!(measured.recorded.wait.count(), measured.offered_count);
    println!("{}", peak_kib().expect("the first process had it"));
}
