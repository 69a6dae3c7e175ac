//! The power fails, on SQLite: the process is killed, and what its files held beyond the last sync of each is lost, of both of them or of one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookproof_testing::crash::{Ambiguity, End, Harm, PLACES, World, side_by_side};

use crate::disk::{numbers_min, run, series};
use crate::embedded::{STORE, damage, on_sqlite};
use crate::kills::acquit;

/// So many new users of each child are treated.
const TREATED: usize = 3;
/// The log beside the store's file.
const LOG: &str = "hook.db-wal";
/// Which files lose what was not synced; the other one had reached the disk though nobody had asked for it.
const LOSSES: [&[&str]; 3] = [&[STORE, LOG], &[STORE], &[LOG]];

/// A world, and where its children keep what they sync.
fn world() -> (World, PathBuf) {
    let world = on_sqlite(&[]);
    let kept = world.path("kept");
    std::fs::create_dir(&kept).unwrap();
    (world, kept)
}

/// The power fails at each of `places`, and `losing` lose what was not synced; `skipped` is what children leave out. With the world, how many files were
/// others afterwards.
fn outages(ambiguity: Ambiguity, places: &[&str], losing: &[&str], skipped: &str) -> (World, usize) {
    let (mut world, kept) = world();
    let mut lost_count = 0;
    for place in places {
        let harm = Harm::kill_at(place, 1).and_power(&kept).and_skip(skipped);
        match world.cycle(&harm, TREATED, Some(ambiguity)) {
            (End::Killed, _) => lost_count += world.lose_power(losing, &kept),
            // It was settled with what others had left, and did not come there.
            (End::Ended, _) => {}
            (End::Failed, log) => panic!("{place}: {log}"),
        }
    }
    world.settle();
    let damage = damage(&world);
    world.findings.extend(damage);
    (world, lost_count)
}

#[test]
fn no_outage_loses_what_anybody_was_told_or_doubles_a_grant() {
    let jobs: Vec<_> = Ambiguity::ALL.iter().flat_map(|ambiguity| LOSSES.map(|losing| (*ambiguity, losing))).collect();
    let worlds = side_by_side(jobs.len(), jobs, |(ambiguity, losing)| outages(ambiguity, &PLACES, losing, "").0);
    let outage_count = acquit("SQLite without power", &worlds);
    assert!(outage_count >= 180, "only {outage_count} outages");
}

#[test]
fn no_outage_between_a_write_and_its_sync_loses_or_doubles_a_grant() {
    for operation in ["write", "sync"] {
        let lost_count = AtomicUsize::new(0);
        let runs = series(|number| {
            let (world, kept) = world();
            let harm = Harm::disk(format!("{operation}:io:{number}:1:die")).and_power(&kept);
            let losing = LOSSES.into_iter().cycle().nth(usize::try_from(number).unwrap()).unwrap();
            run(world, &harm, |world| {
                lost_count.fetch_add(world.lose_power(losing, &kept), Ordering::Relaxed);
            })
        });
        for (run, number) in runs.iter().zip(1..) {
            assert!(run.world.findings.is_empty(), "{operation} {number}: {:#?}", run.world.findings);
        }
        let (met_count, lost_count) = (runs.iter().filter(|run| run.is_met).count(), lost_count.into_inner());
        println!(
            "{operation} fails, and then the power: {met_count} runs, {lost_count} files lost what was not synced"
        );
        assert!(met_count >= numbers_min(operation), "only {met_count}");
        assert!(lost_count > met_count / 4, "hardly anything was lost");
    }
}

#[test]
fn a_hook_that_does_not_wait_for_its_disk_is_caught() {
    // Once receipts were shown.
    let (world, lost_count) = outages(Ambiguity::Unavailable, &["call.end", "settle.durable"], LOSSES[0], "sync");
    assert!(lost_count > 0, "all was on the disk");
    assert!(world.findings.iter().any(|found| found.starts_with("AUDIT-1")), "{:?}", world.findings);
}
