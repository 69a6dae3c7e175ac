//! Requests sent by hand, past any hook: what a read meets on its way, and what comes late.

use super::*;
use crate::network::Patience;
use crate::outcome::FaultAccount;
use crate::scenario::{HookKind, Scenario};
use crate::world::small;

const ID: [u8; 16] = [7; 16];

fn scenario(more: &str) -> Scenario {
    let visits = "[users]\npopulation = 10\n[[traffic]]\nkind = \"steady\"\nrate = \"1/s\"\n";
    small::scenario("1h", &format!("{visits}{more}"))
}

/// A world in which no process ever starts and nobody visits; faults take place.
fn world(scenario: &Scenario) -> World<'_> {
    let mut world = small::world(scenario, HookKind::Original);
    world.schedule_faults();
    world
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn call(ask: Ask, user: u32) -> subject::Call {
    let patience = Patience::Total { connect: Duration::from_secs(1), attempt: Duration::from_secs(5) };
    subject::Call { token: 0, ask, user, units: 25, key: Some(ID), patience, visit: None }
}

/// Lets the world go on until `until`; returns the answers that reach clients.
fn go_on(world: &mut World<'_>, until: Instant) -> Vec<Answer> {
    let mut answers = Vec::new();
    world.queue.push(until, Event::StormEnds);
    while let Some((at, event)) = world.next_event().filter(|(_, event)| !matches!(event, Event::StormEnds)) {
        answers.extend(answer_of(world, event));
        world.handle(at, event);
    }
    answers
}

/// What an event tells a client that waits.
fn answer_of(world: &World<'_>, event: Event) -> Option<Answer> {
    let (Event::Answered(key) | Event::GivesUp(key)) = event else { return None };
    let call = world.calls.get(key).filter(|call| call.has_client())?;
    match (event, call.service) {
        (Event::Answered(_), Service::Answers(answer)) => Some(answer),
        _ => Some(Answer::Lost(Lost::Timeout)),
    }
}

/// A read at 20 s of what was applied at 0 s, under a fault that is on from 10 s; and the fault's account.
fn read_under(fault: &str) -> (Vec<Answer>, FaultAccount, [u64; 3]) {
    let scenario = scenario(&format!(
        "[upstream]\ncapability = \"read-back\"\nrequest-lifetime = \"2s\"\n\
         [[fault]]\nkind = {fault}\nat = \"10s\"\nfor = \"40m\"\n"
    ));
    let mut world = world(&scenario);
    world.send(seconds(0), 0, call(Ask::Apply, 3));
    let applied = go_on(&mut world, seconds(20));
    assert_eq!(applied.len(), 1, "{fault}");
    world.send(seconds(20), 0, call(Ask::Read, 3));
    let answers = go_on(&mut world, seconds(3000));
    assert_eq!(world.recorder.user(3).effects, 1, "{fault}: a read has no effect");
    assert_eq!((world.in_flight, world.recorder.stretches[0].attempts), (0, 2), "{fault}");
    assert_eq!(unexplained(&world), 0, "{fault}");
    let reached = world.recorder.reached();
    let counts = ["reads-answered", "reads-absent", "late-executions"].map(|name| reached[name]);
    (answers, world.faults.accounts().remove(0), counts)
}

/// Answers that said yes with no effect of their request or key.
fn unexplained(world: &World<'_>) -> usize {
    world.recorder.acks.as_ref().map_or(0, |acks| acks.unexplained().count())
}

#[test]
fn a_false_yes_counts_each_time_it_is_heard_until_an_effect_of_its_key_makes_it_true() {
    // Under this profile the false yes is kept with its key, and repeated to whoever asks again.
    let lie = "[[fault]]\nkind = \"quota.false-ack\"\nat = \"0s\"\nfor = \"10s\"\n";
    let scenario = scenario(&format!("[upstream]\nkey-ttl = \"1m\"\nprofile = \"stripe-v1\"\n{lie}"));
    let mut world = world(&scenario);
    let mut yes_by = |at, heard, effects| {
        let now = seconds(at);
        go_on(&mut world, now);
        world.send(now, 0, call(Ask::Apply, 3));
        assert!(matches!(go_on(&mut world, seconds(at + 9))[..], [Answer::Status { code: 200, .. }]), "at {at} s");
        assert_eq!((unexplained(&world), world.recorder.user(3).effects), (heard, effects), "at {at} s");
    };
    yes_by(1, 1, 0);
    yes_by(20, 2, 0);
    // The key is forgotten, the request is executed, and all that was said of it has come true.
    yes_by(80, 0, 1);
}

#[test]
fn every_fault_of_the_network_and_the_service_meets_reads_too() {
    let status = |code| Answer::Status { code, body: Body::WellFormed, retry_after: None };
    let (reset, timeout) = (Answer::Lost(Lost::Reset), Answer::Lost(Lost::Timeout));
    let malformed = Answer::Status { code: 200, body: Body::Malformed, retry_after: None };
    // The answer; how often the fault acted; reads answered, and with nothing found.
    let table = [
        ("\"network.latency\"\nadd = \"1s\"", status(200), 1, [1, 0]),
        ("\"network.loss\"", timeout, 1, [0, 0]),
        ("\"network.lost-reply\"", timeout, 1, [0, 0]),
        ("\"network.duplicate\"", status(200), 1, [1, 0]),
        ("\"network.reorder\"", status(200), 1, [1, 0]),
        ("\"network.partition\"", Answer::NotSent(NotSent::ConnectTimeout), 1, [0, 0]),
        ("\"network.reset\"", reset, 1, [0, 0]),
        ("\"quota.outage\"", Answer::NotSent(NotSent::Refused), 1, [0, 0]),
        ("\"quota.outage\"\nmode = \"503\"", status(503), 1, [0, 0]),
        ("\"quota.outage\"\nmode = \"hang\"", timeout, 1, [0, 0]),
        ("\"quota.throttle\"", status(429), 1, [0, 0]),
        ("\"quota.slow\"\nfactor = 2", status(200), 1, [1, 0]),
        ("\"quota.error-before\"", status(500), 1, [0, 0]),
        ("\"quota.error-after\"", status(500), 1, [0, 0]),
        ("\"quota.lost-reply\"", reset, 1, [0, 0]),
        ("\"quota.malformed\"", malformed, 1, [0, 0]),
        ("\"quota.replay\"\ndelay = \"1s\"", status(200), 1, [1, 0]),
        ("\"quota.key-lag\"\nlag = \"1h\"", status(404), 1, [1, 1]),
        ("\"quota.key-lag\"\nlag = \"1s\"", status(200), 1, [1, 0]),
        // A read has no effect that could be feigned: there is no opportunity.
        ("\"quota.false-ack\"", status(200), 0, [1, 0]),
    ];
    for (fault, answer, effects, [answered, absent]) in table {
        let (answers, account, reached) = read_under(fault);
        assert_eq!((&answers[..], reached), (&[answer][..], [answered, absent, 0]), "{fault}");
        assert_eq!((account.opportunities, account.effects), (effects, effects), "{fault}");
    }
}

#[test]
fn a_read_that_comes_too_soon_finds_nothing() {
    let scenario = scenario("[upstream]\ncapability = \"read-back\"\nread-back-lag = \"10s\"\n");
    let mut world = world(&scenario);
    world.send(seconds(0), 0, call(Ask::Apply, 3));
    go_on(&mut world, seconds(5));
    for at in [5, 15] {
        world.send(seconds(at), 0, call(Ask::Read, 3));
        go_on(&mut world, seconds(at + 5));
    }
    let reached = world.recorder.reached();
    assert_eq!(["reads-answered", "reads-absent"].map(|name| reached[name]), [2, 1]);
}

#[test]
fn reordered_requests_overtake_each_other_within_the_request_lifetime() {
    let scenario = scenario(
        "[upstream]\nrequest-lifetime = \"4s\"\n[[fault]]\nkind = \"network.reorder\"\nat = \"0s\"\nfor = \"1m\"\n",
    );
    let mut world = world(&scenario);
    go_on(&mut world, seconds(1));
    for user in 0..10 {
        world.send(seconds(1), 0, subject::Call { key: None, ..call(Ask::Apply, user) });
    }
    let mut arrived = Vec::new();
    while let Some((at, event)) = world.next_event().filter(|(at, _)| *at < seconds(10)) {
        if let Event::Arrives(key) = event {
            arrived.extend(world.calls.get(key).map(|call| (call.request.user, at)));
        }
        world.handle(at, event);
    }
    assert!(arrived.len() == 10 && !arrived.is_sorted(), "{arrived:?}");
    assert!(arrived.iter().all(|(_, at)| at.since(seconds(1)) < Duration::from_secs(4)), "{arrived:?}");
    let latest = arrived.iter().map(|(_, at)| at.since(seconds(1))).max();
    assert!(latest > Some(Duration::from_secs(2)), "a uniform delay stays in the first half once in 1,024: {latest:?}");
}

#[test]
fn executions_later_than_the_believed_request_lifetime_are_counted() {
    // One worker takes 2 s for each of three requests, which were sent at the same time.
    for (believed, late) in [("1s", 3), ("3s", 2), ("5s", 1), ("7s", 0)] {
        let scenario = scenario(&format!(
            "[upstream]\nworkers = 1\nservice-time = \"2s\"\nbelieved = {{ request-lifetime = \"{believed}\" }}\n"
        ));
        let mut world = world(&scenario);
        for user in 0..3 {
            world.send(seconds(0), 0, subject::Call { key: None, ..call(Ask::Apply, user) });
        }
        go_on(&mut world, seconds(100));
        assert_eq!(world.recorder.reached()["late-executions"], late, "{believed}");
    }
}
