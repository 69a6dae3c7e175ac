//! `kill -9` at every place, under every ambiguity of the service's answers, on SQLite.

use hookproof_testing::crash::{Ambiguity, World, side_by_side};

use crate::embedded::{damage, on_sqlite};

/// A child dies at the place when it comes there for the so-many-th time, if it does: 4 × 12 × 6 are 288 kills at most.
const COMES: [u64; 4] = [1, 2, 3, 4];

/// How often children are to be killed at least, all together, if somebody has said so.
pub fn kills_wanted() -> u64 {
    std::env::var("HOOKPROOF_KILLS").map_or(0, |kills| kills.parse().unwrap())
}

/// Runs each of `ambiguities`, for each of [`COMES`], in a world of its own, all at once, until there are `kills_min` kills in each. Most of the time
/// they wait for leases.
fn worlds(ambiguities: &[Ambiguity], settings: &[&str], kills_min: u64) -> Vec<World> {
    let jobs: Vec<_> =
        COMES.iter().flat_map(|come| ambiguities.iter().map(move |ambiguity| (*ambiguity, *come))).collect();
    side_by_side(jobs.len(), jobs, |(ambiguity, come)| {
        let mut world = on_sqlite(settings);
        world.kill_everywhere(ambiguity, come);
        while world.kill_count < kills_min {
            world.kill_everywhere(ambiguity, come);
        }
        world.settle();
        let damage = damage(&world);
        world.findings.extend(damage);
        world.label(&format!("{ambiguity:?}, come {come}"));
        world
    })
}

/// Nothing was found; what was done is said. Returns how many were killed.
pub fn acquit(store: &str, worlds: &[World]) -> u64 {
    let findings: Vec<_> = worlds.iter().flat_map(|world| &world.findings).collect();
    assert!(findings.is_empty(), "{findings:#?}");
    let sum = |count: fn(&World) -> u64| worlds.iter().map(count).sum::<u64>();
    let kills = sum(|world| world.kill_count);
    let users = sum(|world| world.users.len() as u64);
    let effects = sum(|world| world.service.ledger().effects.len() as u64);
    let requests = sum(|world| world.service.ledger().requests);
    let ambiguous = sum(|world| world.service.ledger().ambiguous);
    let replays = sum(|world| world.service.ledger().replays);
    println!(
        "{store}: {kills} kills, {users} users of whom {effects} were granted, {requests} requests, {ambiguous} of them answered ambiguously \
         and {replays} replayed: nothing lost, nothing doubled"
    );
    assert!(ambiguous > kills / 8 && replays > kills / 8, "the ambiguities were not met");
    kills
}

#[test]
fn no_kill_at_any_place_loses_or_doubles_a_grant() {
    let wanted = kills_wanted();
    let worlds = worlds(&Ambiguity::ALL, &[], wanted.div_ceil((Ambiguity::ALL.len() * COMES.len()) as u64));
    let kills = acquit("SQLite", &worlds);
    assert!(kills >= 200 && kills >= wanted, "only {kills} kills");
}

#[test]
fn a_child_that_sends_another_key_with_every_attempt_is_caught() {
    let worlds = worlds(&[Ambiguity::AppliedAndFailed], &["without=stable-key"], 0);
    let found: Vec<_> = worlds.into_iter().flat_map(|world| world.findings).collect();
    assert!(found.iter().any(|found| found.starts_with("GRANT-1")), "{found:?}");
}
