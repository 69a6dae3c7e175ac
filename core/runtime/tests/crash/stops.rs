//! Two instances on one PostgreSQL, and one of them stops (SIGSTOP) beyond its lease, at each place. The other takes over what it had claimed and
//! delivers; then the first goes on where it was, and must do no harm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hookproof_testing::crash::{Ambiguity, End, Harm, Keeper, PLACES, Told, World, side_by_side, wait_for};

use crate::embedded::on_postgres;
use crate::postgres::{database, shared};

/// About half of them are treated.
const USERS: usize = 8;
/// Between two visits.
const PAUSE: Duration = Duration::from_millis(2);

/// Dropped, it ends the visits and lets the visited child go on; whether by then the test has failed or not, as who visits is waited for.
struct Visits<'a> {
    keeper: Keeper,
    is_over: &'a AtomicBool,
}

impl Drop for Visits<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.keeper.go_on();
    }
}

/// One instance stops at `place`, the other one delivers, the first goes on.
fn stop(world: &mut World, place: &str) {
    let users: Vec<_> = (0..USERS).map(|_| world.newcomer()).collect();
    let mut stopped = world.start(&Harm::stop_at(place, 1));
    let keeper = stopped.keeper();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (is_over, visitors) = (&is_over, &users);
        let visits = Visits { keeper, is_over };
        let talker = scope.spawn(move || {
            for user in visitors.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let told = stopped.visit(user).expect("it is stopped, not killed");
                // A test that has failed does not listen.
                let _ = tell.send((user, told));
                thread::sleep(PAUSE);
            }
            stopped
        });
        let mut hear = || told.try_iter().for_each(|(user, told)| world.hear(user, &told));
        wait_for(place, || {
            hear();
            keeper.is_stopped().then_some(())
        });
        hear();
        let mut other = world.start(&Harm::NONE);
        for user in &users {
            world.visit_until(&mut other, user, Told::is_settled).expect("nobody harms this one");
        }
        assert!(keeper.is_stopped(), "{place}: it has been stopped all the time");
        drop(visits);
        let mut resumed = talker.join().unwrap();
        // What was under way when it stopped, and then everybody once more.
        for (user, told) in told.try_iter() {
            world.hear_resumed(user, &told);
        }
        for user in &users {
            world.hear_resumed(user, &resumed.visit(user).expect("nobody harms it any more"));
        }
        // It ends when all that it had under way has ended.
        assert_eq!(resumed.end(), End::Ended, "{place}");
        assert_eq!(other.end(), End::Ended, "{place}");
    });
}

/// At each of `places` under each of `ambiguities`, some places in a world of their own.
fn worlds(places: &[&str], ambiguities: &[Ambiguity], settings: &[&str]) -> Option<Vec<World>> {
    let server = shared()?;
    let parts = || places.chunks(PLACES.len() / 2);
    let jobs: Vec<_> = ambiguities.iter().flat_map(|ambiguity| parts().map(move |part| (*ambiguity, part))).collect();
    Some(side_by_side(jobs.len(), jobs, |(ambiguity, places)| {
        let mut world = on_postgres(&database(server), settings);
        for place in places {
            world.service.behave(Some(ambiguity));
            stop(&mut world, place);
        }
        world.settle();
        world.label(&format!("{ambiguity:?}, {places:?}"));
        world
    }))
}

#[test]
fn an_instance_that_stops_beyond_its_lease_does_no_harm_when_it_goes_on() {
    let Some(worlds) = worlds(&PLACES, &Ambiguity::ALL, &[]) else { return };
    let findings: Vec<_> = worlds.iter().flat_map(|world| &world.findings).collect();
    assert!(findings.is_empty(), "{findings:#?}");
    let replays: u64 = worlds.iter().map(|world| world.service.ledger().replays).sum();
    println!("{} stops, {replays} requests replayed", PLACES.len() * Ambiguity::ALL.len());
    assert!(replays > 0, "nobody took over what was sent");
}

#[test]
fn instances_that_send_keys_of_their_own_are_caught_when_one_takes_over() {
    let places = ["call.head", "call.end"];
    let Some(worlds) = worlds(&places, &[Ambiguity::AppliedAndFailed], &["without=stable-key"]) else { return };
    let found: Vec<_> = worlds.into_iter().flat_map(|world| world.findings).collect();
    assert!(found.iter().any(|found| found.starts_with("GRANT-1")), "{found:?}");
}
