//! The N-th read, write, sync or truncation fails below SQLite, for N from 1 until whole runs pass without it: from the making of the file to the last
//! receipt. Once or for a while, with EIO or ENOSPC; then the process goes on with the same file, or dies and another one does.
//!
//! A disk that reports success and does nothing is one that no store can stand: the judge must catch it.

use hookproof_faulty_disk::MET;
use hookproof_testing::crash::{End, Harm, World, side_by_side};

use crate::embedded::{damage, on_sqlite};

/// What fails, how, and for how many operations.
const FAULTS: [(&str, &str, u64); 8] = [
    ("read", "io", 1),
    ("read", "io", 3),
    ("write", "io", 1),
    ("write", "full", 1),
    // Each commit stops at its first one: several in a row, and their repetitions.
    ("write", "full", 3),
    ("sync", "io", 1),
    ("sync", "io", 5),
    ("truncate", "io", 1),
];
/// New users of each child who are treated: each claim, call and settlement is there once with one of them.
const TREATED: usize = 1;
/// Worlds at once: most of the time they wait for leases.
const WIDTH: usize = 16;
/// So many runs in a row must pass without their failure before there is none left: one alone may have had less to write than others, because
/// it was quick.
const UNMET: usize = 4;

/// At which so many different operations of a kind a disk must have failed, or the series has ended early. The file is made, and there are three
/// commits to it at least, which admit, claim and settle: each is a page with its header, and a sync. What keeps the making of the file whole is
/// truncated once.
pub fn numbers_min(operation: &str) -> usize {
    match operation {
        // Its header, by each of the two connections, and a page of what is in it.
        "read" => 3,
        "write" => 4 * 2,
        "sync" => 4,
        "truncate" => 1,
        other => panic!("no disk has {other}"),
    }
}

/// What came of one failure.
pub struct Run {
    pub world: World,
    pub end: End,
    pub is_met: bool,
}

/// A store, whose disk fails as `harm` says; what is left after it, and after `aftermath`, is settled by another child.
pub fn run(mut world: World, harm: &Harm, aftermath: impl FnOnce(&World)) -> Run {
    let (end, log) = world.cycle(harm, TREATED, None);
    aftermath(&world);
    world.settle();
    let damage = damage(&world);
    world.findings.extend(damage);
    Run { world, end, is_met: log.contains(MET) }
}

/// Does `run` for the N-th operation, for N from 1 until none fails any more. Returns what came of each, up to the last that did.
pub fn series(run: impl Fn(u64) -> Run + Sync) -> Vec<Run> {
    let mut runs = Vec::new();
    loop {
        let numbers = (1..).skip(runs.len()).take(WIDTH);
        runs.extend(side_by_side(WIDTH, numbers, &run));
        let met = runs.iter().rposition(|run| run.is_met).map_or(0, |last| last + 1);
        if runs.len() - met >= UNMET {
            runs.truncate(met);
            return runs;
        }
    }
}

#[test]
fn no_failure_of_any_operation_loses_or_doubles_a_grant() {
    let mut provisional_count = 0;
    for (operation, how, count) in FAULTS {
        for then in ["", ":die"] {
            let harm = |number| Harm::disk(format!("{operation}:{how}:{number}:{count}{then}"));
            let runs = series(|number| run(on_sqlite(&[]), &harm(number), |_| {}));
            let count_of = |end| runs.iter().filter(|run| run.end == end).count();
            println!(
                "{operation} fails {count} times ({how}){then}: {} runs; {} went on, {} could not open the store, {} were killed",
                runs.len(),
                count_of(End::Ended),
                count_of(End::Failed),
                count_of(End::Killed),
            );
            for (run, number) in runs.iter().zip(1..) {
                let findings = &run.world.findings;
                assert!(findings.is_empty(), "{operation} {number} {how} {count}{then}: {findings:#?}");
            }
            let met_count = runs.iter().filter(|run| run.is_met).count();
            assert!(met_count >= numbers_min(operation), "{operation} {how} {count}{then}: only {met_count} failed");
            provisional_count += runs.iter().map(|run| run.world.provisional_count).sum::<u64>();
        }
    }
    assert!(provisional_count > 0, "no visit noticed");
}

#[test]
fn a_disk_that_reports_success_and_does_nothing_is_caught() {
    let old_store = || {
        let mut world = on_sqlite(&[]);
        world.cycle(&Harm::NONE, TREATED, None);
        world
    };
    // From some write on, so many are not done; then it dies.
    let harm = |number| Harm::disk(format!("write:lie:{number}:24:die"));
    let runs = series(|number| run(old_store(), &harm(number), |_| {}));
    let found: Vec<_> = runs.iter().flat_map(|run| &run.world.findings).collect();
    assert!(found.iter().any(|found| found.starts_with("AUDIT-1")), "{found:?}");
}
