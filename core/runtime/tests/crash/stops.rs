//! Two instances on one PostgreSQL, and one of them stops (SIGSTOP) beyond its lease, at each place. The other takes over what it had claimed and
//! delivers; then the first goes on where it was, and must do no harm.

#![expect(clippy::disallowed_methods, reason = "a test's patience is not the hook's business")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hookproof_testing::crash::{Ambiguity, End, Harm, PLACES, Told, World, side_by_side};

use crate::embedded::on_postgres;
use crate::postgres::{database, shared};

/// About half of them are treated.
const USERS: usize = 8;
/// Between two looks at whether it has stopped.
const PAUSE: Duration = Duration::from_millis(2);
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One instance stops at `place`, the other one delivers, the first goes on.
fn stop(world: &mut World, place: &str) {
    let users: Vec<_> = (0..USERS).map(|_| world.newcomer()).collect();
    let mut stopped = world.start(&Harm::stop_at(place, 1));
    let keeper = stopped.keeper();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (is_over, visitors) = (&is_over, &users);
        let talker = scope.spawn(move || {
            for user in visitors.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let told = stopped.visit(user).expect("it is stopped, not killed");
                // After the stop nobody listens.
                let _ = tell.send((user.clone(), told));
                thread::sleep(PAUSE);
            }
            stopped
        });
        let until = Instant::now() + PATIENCE;
        while !keeper.is_stopped() {
            assert!(Instant::now() < until, "{place} was never come to");
            match told.recv_timeout(PAUSE) {
                Ok((user, told)) => world.hear(&user, &told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("nothing ends it"),
            }
        }
        for (user, told) in told.try_iter() {
            world.hear(&user, &told);
        }
        drop(told);
        let mut other = world.start(&Harm::NONE);
        for user in &users {
            world.visit_until(&mut other, user, Told::is_settled).expect("nobody harms this one");
        }
        assert!(keeper.is_stopped(), "{place}: it has been stopped all the time");
        keeper.go_on();
        // It ends when all that it had under way has ended.
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(talker.join().unwrap().end(), End::Ended, "{place}");
        assert_eq!(other.end(), End::Ended, "{place}");
    });
}

/// A world for each place.
fn worlds(places: &[&str], settings: &[&str]) -> Option<Vec<World>> {
    let server = shared()?;
    Some(side_by_side(places.len(), places, |place| {
        let mut world = on_postgres(&database(server), settings);
        world.service.behave(Some(Ambiguity::AppliedAndFailed));
        stop(&mut world, place);
        world.settle();
        world
    }))
}

#[test]
fn an_instance_that_stops_beyond_its_lease_does_no_harm_when_it_goes_on() {
    let Some(worlds) = worlds(&PLACES, &[]) else { return };
    for (world, place) in worlds.iter().zip(PLACES) {
        assert!(world.findings.is_empty(), "{place}: {:#?}", world.findings);
    }
    let replays: u64 = worlds.iter().map(|world| world.service.ledger().replays).sum();
    assert!(replays > 0, "nobody took over what was sent");
}

#[test]
fn instances_that_send_keys_of_their_own_are_caught_when_one_takes_over() {
    let Some(worlds) = worlds(&["call.head", "call.end"], &["without=stable-key"]) else { return };
    let found: Vec<_> = worlds.into_iter().flat_map(|world| world.findings).collect();
    assert!(found.iter().any(|found| found.starts_with("GRANT-1")), "{found:?}");
}
