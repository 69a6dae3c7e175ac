//! A fleet on one PostgreSQL: instances are killed, stopped beyond their leases and ended at random times, whatever they are doing, while the others go on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use hookproof_testing::crash::{Ambiguity, Child, End, Harm, Keeper, Told, World};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::embedded::on_postgres;
use crate::kills::kills_wanted;
use crate::postgres::{database, shared};

const INSTANCES: u64 = 4;
/// Instances that are killed, unless somebody wants more.
const KILLS_MIN: u64 = 16;
/// Of what befalls whom and when, and of who visits. What comes of it is the machine's chance.
const SEED: u64 = 1;
/// How long an instance lives before its fate: some die before they have opened the store, some hold several claims.
const LIFE_MS: Range<u64> = 5..500;
/// Longer than a lease.
const STOPPED: Duration = Duration::from_millis(1_500);
/// The quota service is ambiguous in another way after this.
const MOOD: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(2);

/// What ends an instance's life, or interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    Stopped,
    Ended,
}

/// What the instances share.
struct Fleet<'a> {
    world: &'a World,
    /// Users so far.
    user_count: AtomicU64,
    kill_count: AtomicU64,
    stop_count: AtomicU64,
    is_over: AtomicBool,
}

/// What a user was told, and whether the service had granted by then.
struct Heard {
    user: String,
    told: Told,
    is_granted: bool,
}

impl Fleet<'_> {
    /// One instance after the other, until it is over.
    fn lives(&self, number: u64) -> Vec<Heard> {
        let mut heard = Vec::new();
        for life in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let log = self.world.path(&format!("fleet-{number}-{life}"));
            self.life(chances(number, life), &log, &mut heard);
        }
        heard
    }

    fn life(&self, [mut chance, mut visits]: [ChaCha8Rng; 2], log: &Path, heard: &mut Vec<Heard>) {
        let mut child = Child::start(&self.world.program, &Harm::NONE, log);
        let fate = [Fate::Killed, Fate::Killed, Fate::Stopped, Fate::Ended][chance.random_range(0..4)];
        let (keeper, after) = (child.keeper(), Duration::from_millis(chance.random_range(LIFE_MS)));
        let (is_up, is_to_end) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                // One that stops while it opens the store may find its connection closed, and ends.
                while fate == Fate::Stopped && !is_up.load(Ordering::Relaxed) {
                    thread::sleep(PAUSE);
                }
                thread::sleep(after);
                self.befall(keeper, fate);
                is_to_end.store(true, Ordering::Relaxed);
            });
            while !is_to_end.load(Ordering::Relaxed) {
                let told = self.visit(&mut visits, &mut child);
                is_up.store(true, Ordering::Relaxed);
                let Some(told) = told else { break };
                heard.push(told);
                thread::sleep(PAUSE);
            }
        });
        let expected = if fate == Fate::Killed { End::Killed } else { End::Ended };
        assert_eq!(child.end(), expected, "{}", std::fs::read_to_string(log).unwrap_or_default());
        // A long run has thousands of logs, in memory where the world is.
        std::fs::remove_file(log).unwrap();
    }

    fn befall(&self, keeper: Keeper, fate: Fate) {
        match fate {
            Fate::Killed => {
                keeper.kill();
                self.kill_count.fetch_add(1, Ordering::Relaxed);
            }
            Fate::Stopped => {
                keeper.stop();
                thread::sleep(STOPPED);
                keeper.go_on();
                self.stop_count.fetch_add(1, Ordering::Relaxed);
            }
            Fate::Ended => {}
        }
    }

    /// A new user visits, or one of all; `None` if the child dies first.
    fn visit(&self, chance: &mut ChaCha8Rng, child: &mut Child) -> Option<Heard> {
        let known = self.user_count.load(Ordering::Relaxed);
        let number = if known == 0 || chance.random_bool(0.5) {
            self.user_count.fetch_add(1, Ordering::Relaxed)
        } else {
            chance.random_range(0..known)
        };
        let user = format!("user-{number}");
        let told = child.visit(&user)?;
        let is_granted = self.world.service.ledger().effects.contains_key(&user);
        Some(Heard { user, told, is_granted })
    }
}

/// The chance of an instance's fate in one of its lives, and that of who visits.
fn chances(number: u64, life: u64) -> [ChaCha8Rng; 2] {
    [0, 1].map(|of| {
        let mut chance = ChaCha8Rng::seed_from_u64(SEED);
        chance.set_stream((number << 32 | life) << 1 | of);
        chance
    })
}

/// The world after at least so many instances of a fleet were killed. Everybody's grant is settled by one that nobody harms.
fn harmed(settings: &[&str], kills_min: u64) -> Option<World> {
    let mut world = on_postgres(&database(shared()?), settings);
    let fleet = Fleet {
        world: &world,
        user_count: AtomicU64::new(0),
        kill_count: AtomicU64::new(0),
        stop_count: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    let heard: Vec<Heard> = thread::scope(|scope| {
        let live = |number| {
            scope.spawn({
                let fleet = &fleet;
                move || fleet.lives(number)
            })
        };
        let instances: Vec<_> = (0..INSTANCES).map(live).collect();
        for ambiguity in Ambiguity::ALL.into_iter().cycle() {
            let is_enough = fleet.kill_count.load(Ordering::Relaxed) >= kills_min.max(KILLS_MIN);
            // One that has ended has failed.
            if is_enough || instances.iter().any(ScopedJoinHandle::is_finished) {
                break;
            }
            world.service.behave(Some(ambiguity));
            thread::sleep(MOOD);
        }
        fleet.is_over.store(true, Ordering::Relaxed);
        instances.into_iter().flat_map(|instance| instance.join().unwrap()).collect()
    });
    let Fleet { user_count, kill_count, stop_count, .. } = fleet;
    let (users, kills, stops) = (user_count.into_inner(), kill_count.into_inner(), stop_count.into_inner());
    world.kill_count = kills;
    for _ in 0..users {
        world.newcomer();
    }
    judge(&mut world, &heard);
    world.settle();
    let ledger = world.service.ledger();
    println!(
        "a fleet of {INSTANCES}: {kills} kills, {stops} stops, {users} users of whom {} were granted, {} answers, {} requests, {} replayed",
        ledger.effects.len(),
        heard.len(),
        ledger.requests,
        ledger.replays
    );
    drop(ledger);
    Some(world)
}

/// What instances said beside each other: one may not know how far another has come, but nobody is moved, nobody is exposed for the first time twice,
/// and no receipt is made up.
fn judge(world: &mut World, heard: &[Heard]) {
    let mut first_count: BTreeMap<&str, u32> = BTreeMap::new();
    let mut latest: BTreeMap<&str, &Told> = BTreeMap::new();
    let recorded = || heard.iter().filter(|heard| heard.told.is_recorded());
    for Heard { user, told, is_granted } in recorded() {
        *first_count.entry(user).or_default() += u32::from(told.basis == "first-exposure");
        if told.grant == "delivered" && !is_granted {
            world.findings.push(format!("AUDIT-1: {user} had a receipt without an effect"));
        }
        let known = latest.entry(user).or_insert(told);
        if told.is_settled() {
            *known = told;
        }
    }
    let twice = first_count.into_iter().filter(|(_, count)| *count > 1);
    world
        .findings
        .extend(twice.map(|(user, count)| format!("AUDIT-1: {user} was exposed {count} times for the first time")));
    for (user, told) in latest {
        let told = Told { basis: "recorded".to_owned(), ..told.clone() };
        world.hear(user, &told);
    }
    for Heard { user, told, .. } in heard {
        world.hear_resumed(user, told);
    }
}

#[test]
fn no_fleet_whose_instances_die_and_stop_at_random_loses_or_doubles_a_grant() {
    let Some(world) = harmed(&[], kills_wanted() / 10) else { return };
    assert!(world.findings.is_empty(), "{:#?}", world.findings);
    assert!(world.service.ledger().replays > 0, "nobody took over what was sent");
}

#[test]
fn a_fleet_that_sends_another_key_with_every_attempt_is_caught() {
    let Some(world) = harmed(&["without=stable-key"], 0) else { return };
    assert!(world.findings.iter().any(|found| found.starts_with("GRANT-1")), "{:?}", world.findings);
}
