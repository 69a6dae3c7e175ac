//! The N-th write, sync or truncation fails below SQLite, for N from 1 until a whole run passes without it: from the making of the file to the last
//! receipt. Once or for a while, with EIO or ENOSPC; then the process goes on with the same file, or dies and another one does.
//!
//! A disk that reports success and does nothing is one that no store can stand: the judge must catch it.

use hookproof_testing::crash::{End, Harm, World, side_by_side};

use crate::embedded::{damage, on_sqlite};

/// What fails, how, and for how many operations.
const FAULTS: [(&str, &str, u64); 6] = [
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
/// The disk says so when it fails.
const MET: &str = "faulty disk:";

/// What came of one failure.
struct Run {
    world: World,
    end: End,
    is_met: bool,
}

/// A store, whose disk has this `fault`; what is left after it is settled by another child.
fn run(mut world: World, fault: &str) -> Run {
    let (end, log) = world.cycle(&Harm::disk(fault), TREATED, None);
    world.settle();
    let damage = damage(&world);
    world.findings.extend(damage);
    Run { world, end, is_met: log.contains(MET) }
}

/// Lets the N-th operation fail in worlds of their own, for N from 1 until none does any more. Returns what came of each.
fn series(world: impl Fn() -> World + Sync, fault: impl Fn(u64) -> String + Sync) -> Vec<Run> {
    let mut runs = Vec::new();
    loop {
        let numbers = (1..).skip(runs.len()).take(WIDTH);
        runs.extend(side_by_side(WIDTH, numbers, |number| run(world(), &fault(number))));
        if let Some(last) = runs.iter().position(|run| !run.is_met) {
            runs.truncate(last);
            return runs;
        }
    }
}

#[test]
fn no_failure_of_any_write_or_sync_loses_or_doubles_a_grant() {
    let mut provisional_count = 0;
    for (operation, how, count) in FAULTS {
        for then in ["", ":die"] {
            let runs = series(|| on_sqlite(&[]), |number| format!("{operation}:{how}:{number}:{count}{then}"));
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
            assert!(!runs.is_empty(), "{operation}: nothing failed");
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
    let runs = series(old_store, |number| format!("write:lie:{number}:24:die"));
    let found: Vec<_> = runs.iter().flat_map(|run| &run.world.findings).collect();
    assert!(found.iter().any(|found| found.starts_with("AUDIT-1")), "{found:?}");
}
