//! The power fails, on SQLite: the process is killed, and what its files held beyond the last sync of each is lost, of both of them or of one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookproof_testing::crash::{Ambiguity, End, Harm, PLACES, World, side_by_side};

use crate::disk::{numbers_min, run, series};
use crate::embedded::{STORE, damage, on_sqlite};
use crate::kills::acquit;

/// So many new users of each child are treated.
const TREATED: usize = 3;
/// The log beside the store's file, and the one that is there while the file is made.
const LOGS: [&str; 2] = ["hook.db-wal", "hook.db-journal"];
/// Which files lose what was not synced; the others had reached the disk though nobody had asked for it.
const LOSSES: [&[&str]; 3] = [&[STORE, LOGS[0], LOGS[1]], &[STORE], &LOGS];
/// A child comes to a place for the so-many-th time, if it does.
const COMES: [u64; 3] = [1, 2, 3];

/// A world, and where its children keep what they sync.
fn world() -> (World, PathBuf) {
    let world = on_sqlite(&[]);
    let kept = world.path("kept");
    std::fs::create_dir(&kept).unwrap();
    (world, kept)
}

/// The power fails as each of `harms` says, and what was not synced is lost. With the world, how many files were others afterwards.
fn outages(ambiguity: Ambiguity, harms: impl IntoIterator<Item = Harm>) -> (World, usize) {
    let (mut world, kept) = world();
    let mut lost_count = 0;
    for harm in harms {
        let harm = harm.and_power(&kept);
        match world.cycle(&harm, TREATED, Some(ambiguity)) {
            (End::Killed, _) => lost_count += world.lose_power(LOSSES[0], &kept),
            // It was settled with what others had left, and did not come there.
            (End::Ended, _) => {}
            (End::Failed, log) => panic!("{harm:?}: {log}"),
        }
    }
    world.settle();
    let damage = damage(&world);
    world.findings.extend(damage);
    (world, lost_count)
}

#[test]
fn no_outage_loses_what_anybody_was_told_or_doubles_a_grant() {
    let jobs: Vec<_> = Ambiguity::ALL.into_iter().flat_map(|ambiguity| COMES.map(|come| (ambiguity, come))).collect();
    let worlds = side_by_side(jobs.len(), jobs, |(ambiguity, come)| {
        let (mut world, lost_count) = outages(ambiguity, PLACES.map(|place| Harm::kill_at(place, come)));
        world.label(&format!("{ambiguity:?}, come {come}"));
        (world, lost_count)
    });
    let (worlds, lost_counts): (Vec<_>, Vec<_>) = worlds.into_iter().unzip();
    let outage_count = acquit("SQLite without power", &worlds);
    // Hardly any: only a commit on its way beside the place has something that is written and not yet synced.
    println!("{} files lost what was not synced", lost_counts.into_iter().sum::<usize>());
    assert!(outage_count >= 100, "only {outage_count} outages");
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
    // Once records were shown.
    let harms = ["call.end", "settle.durable"].map(|place| Harm::kill_at(place, 1).and_skip("sync"));
    let (world, lost_count) = outages(Ambiguity::Unavailable, harms);
    assert!(lost_count > 0, "all was on the disk");
    assert!(world.findings.iter().any(|found| found.starts_with("AUDIT-1")), "{:?}", world.findings);
}
