//! Whether a backlog takes memory: the peak of a process whose store holds a million pending grants, less that of one whose store holds none.
//!
//! Each side is a process of its own, this program again: the embedded hook on SQLite, a quota service that hangs, so that nothing of the backlog goes away, 200 visits
//! a second for 5 s, half of them first ones. Both read the same number of rows, whatever the store holds: `docs/stores.md` has the formula, in which the backlog
//! does not occur. Written down before the first run: the difference may be 8 MiB, since SQLite keeps up to 2 MiB of a large file's pages for each of two connections.
//!
//! `cargo bench -p hookproof-benches --bench backlog_memory`; Linux only, for its `/proc`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hookproof_benches::paired::median;
use hookproof_live::arrivals::Plan;
use hookproof_live::quota::Mode;
use hookproof_live::subject::{Kind, Subject};
use hookproof_runtime::store::sqlite::Database;
use rusqlite::Connection;

/// The argument before a store's folder, which makes this program one of the two sides.
const SIDE: &str = "--side";
const BACKLOG: u64 = 1_000_000;
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == SIDE) {
        side(Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("milliseconds"));
        return;
    }
    if peak_kib().is_none() {
        println!("backlog: skipped: this machine has no /proc/self/status with VmHWM");
        return;
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let (backlog, rounds, millis) = if is_test { (2_000, 1, 200) } else { (BACKLOG, ROUNDS, 5_000) };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes files");
    let sizes = [0, backlog];
    let folders = sizes.map(|size| {
        let folder = folder.path().join(size.to_string());
        fs::create_dir(&folder).expect("a folder can be made");
        fill(&folder.join("hook.db"), size);
        folder
    });
    let mut peaks: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (folder, peaks) in folders.iter().zip(&mut peaks) {
            peaks.push(peak_of_side(folder, millis));
        }
    }
    let [without, with] = peaks.map(median);
    println!(
        "backlog of {backlog}: peak {with:.1} MiB, of none: {without:.1} MiB; difference {:.1} MiB (bar 8)",
        with - without
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

/// The peak of a process on the store in `folder`, in MiB.
fn peak_of_side(folder: &Path, millis: u32) -> f64 {
    let program = env::current_exe().expect("this program is a file");
    let output = Command::new(program).arg(SIDE).arg(folder).arg(millis.to_string()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kib: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    kib / 1024.0
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

/// The most memory that this process ever had.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
