//! `GRANT-4`: what may have been applied is not sent again once the service may have forgotten its key. A child is killed with a request on its
//! way, and the next one begins before or after that. Before, it delivers; after, only a human can know.

use std::time::Duration;

use hookproof_testing::crash::{Ambiguity, End, Harm, Service, World, side_by_side, wait_for};

use crate::embedded::{self, on_sqlite_for};

/// For how long a service that forgets soon remembers a key: long enough for a child to send before that, on a busy machine too.
const SOON: Duration = Duration::from_secs(3);
/// With the request under way, or its answer known and not recorded.
const PLACES: [&str; 4] = ["call.head", "call.end", "settle.begin", "settle.written"];

/// Children that are killed at each place, with a service that remembers keys for `key_ttl`; `goes_on` says when the next one begins.
fn worlds(key_ttl: Duration, settings: &[&str], goes_on: impl Fn(&World) + Sync) -> Vec<World> {
    let believed = format!("key-ttl-ms={}", key_ttl.as_millis());
    side_by_side(PLACES.len(), PLACES, |place| {
        let mut world = on_sqlite_for(Service::start(key_ttl), &[&[believed.as_str()], settings].concat());
        let (end, log) = world.cycle(&Harm::kill_at(place, 1), 1, Some(Ambiguity::AppliedAndCut));
        assert_eq!(end, End::Killed, "{place}: {log}");
        goes_on(&world);
        world
    })
}

fn forgotten(world: &World) {
    wait_for("the end of the keys", || world.service.has_forgotten_all().then_some(()));
}

#[test]
fn what_is_in_doubt_is_sent_again_within_its_keys_window_and_parked_beyond_it() {
    for mut world in worlds(embedded::KEY_TTL, &[], |_| {}) {
        let settled = world.settle();
        assert_eq!(world.findings, Vec::<String>::new());
        assert!(settled.parked.is_empty() && !settled.delivered.is_empty(), "{settled:?}");
    }
    for mut world in worlds(SOON, &[], forgotten) {
        let settled = world.settle();
        assert_eq!(world.findings, Vec::<String>::new());
        assert!(settled.delivered.is_empty() && !settled.parked.is_empty(), "{settled:?}");
    }
}

#[test]
fn a_child_that_does_not_look_at_the_window_is_caught() {
    let mut found = Vec::new();
    for mut world in worlds(SOON, &["without=window-guard"], forgotten) {
        world.settle();
        found.append(&mut world.findings);
    }
    assert!(found.iter().any(|found| found.starts_with("GRANT-4")), "{found:?}");
    assert!(found.iter().any(|found| found.starts_with("GRANT-1")), "{found:?}");
}
