//! The simulator beside turmoil on one request/response world: one server, eight clients that each send their next request
//! when the answer is there, 0 to 100 ms of latency each way.
//!
//! * *turmoil*: tokio tasks that exchange datagrams over its simulated UDP, everything at its defaults: a tick of 1 ms, and a
//!   latency of 100 ms times an exponential of rate 5, cut off at 100 ms, in whole milliseconds.
//! * *engine*: the same clients and server as plain state machines on this project's event queue and keyed draws, with the
//!   same distribution of latency, each message entered into a digest.
//! * *simulator*: round trips to the quota service in the whole simulator, with its visits, callers, metrics and oracles: the
//!   `original` program on eight instances, where every visit is one request.
//!
//! What is compared is what it costs to simulate a message, not what the frameworks are for: turmoil runs programs as they
//! are, written against sockets. `cargo bench -p hookproof-benches --bench request_response`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use hookproof_benches::paired::in_turns;
use hookproof_core::time::Instant;
use hookproof_sim::digest::{Digest, Kind};
use hookproof_sim::engine::EventQueue;
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::Value;
use hookproof_sim::scenario::{HookKind, Latency, Scenario, decode};
use hookproof_sim::seed::{Concern, Draws, latency};
use turmoil::net::UdpSocket;

const CLIENTS: u16 = 8;
/// Round trips of each client in one run.
const ROUND_TRIPS: u32 = 500;
const SEED: u64 = 1;
const PORT: u16 = 4711;
const LATENCY_MAX: Duration = Duration::from_millis(100);
/// 100 ms times an exponential of rate 5.
const LATENCY: Latency = Latency::Exponential { mean: Duration::from_millis(20) };
const ROUNDS: u32 = 15;

fn main() {
    let scenario = scenario();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("request_response");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(round_trips()));
    group.bench_function("turmoil", |bencher| bencher.iter(|| black_box(turmoil())));
    group.bench_function("engine", |bencher| bencher.iter(|| black_box(engine())));
    group.bench_function("simulator", |bencher| bencher.iter(|| black_box(simulator(&scenario))));
    group.finish();
    criterion.final_summary();

    assert_eq!(turmoil(), round_trips(), "every client of turmoil's world ends");
    assert_eq!(engine(), round_trips(), "every client of ours ends");
    let calls = simulator(&scenario);
    assert!((calls as f64 / round_trips() as f64 - 1.0).abs() < 0.05, "{calls} round trips in the whole simulator");
    print_ratio("engine", round_trips(), engine);
    print_ratio("simulator", calls, || simulator(&scenario));
}

fn round_trips() -> u64 {
    u64::from(CLIENTS) * u64::from(ROUND_TRIPS)
}

fn print_ratio(what: &str, calls: u64, mut run: impl FnMut() -> u64) {
    let (theirs, ours) = (|| _ = black_box(turmoil()), || _ = black_box(run()));
    let paired = in_turns(ROUNDS, theirs, ours);
    let theirs = paired.a_seconds * 1e9 / round_trips() as f64;
    let ours = paired.b_seconds * 1e9 / calls as f64;
    let ratio = paired.a_to_b * calls as f64 / round_trips() as f64;
    println!(
        "{what}: {ours:.0} ns a round trip, turmoil {theirs:.0} ns, {ratio:.0} times its round trips a CPU second"
    );
}

/// Runs turmoil's world. Returns the round trips.
fn turmoil() -> u64 {
    let mut world = turmoil::Builder::new()
        .rng_seed(SEED)
        .max_message_latency(LATENCY_MAX)
        .simulation_duration(Duration::from_secs(3_600))
        .build();
    world.host("server", || async {
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
        let mut request = [0; 8];
        loop {
            let (_, client) = socket.recv_from(&mut request).await?;
            socket.send_to(&request, client).await?;
        }
    });
    let done = std::rc::Rc::new(std::cell::Cell::new(0));
    for client in 0..CLIENTS {
        let done = std::rc::Rc::clone(&done);
        world.client(format!("client-{client}"), async move {
            let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
            let mut answer = [0; 8];
            for n in 0..u64::from(ROUND_TRIPS) {
                socket.send_to(&n.to_le_bytes(), ("server", PORT)).await?;
                socket.recv_from(&mut answer).await?;
                assert_eq!(answer, n.to_le_bytes());
                done.set(done.get() + 1);
            }
            Ok(())
        });
    }
    world.run().expect("no client fails");
    done.get()
}

/// What happens next in our world.
#[derive(Clone, Copy)]
enum Event {
    /// A client's request reaches the server.
    Request { client: u16, n: u32 },
    /// Its answer reaches the client.
    Answer { client: u16, n: u32 },
}

/// Runs the same world on the engine. Returns the round trips.
fn engine() -> u64 {
    let draws = Draws::new(SEED);
    let mut queue = EventQueue::new();
    let mut digest = Digest::default();
    let delay = |concern, client: u16, n: u32| {
        let drawn = latency(LATENCY, || draws.draw(concern, u64::from(client), u64::from(n)));
        Duration::from_millis(drawn.min(LATENCY_MAX).as_millis().try_into().expect("at most 100"))
    };
    for client in 0..CLIENTS {
        queue.push(Instant::ORIGIN + delay(Concern::Service, client, 0), Event::Request { client, n: 0 });
    }
    let mut done = 0;
    while let Some((now, event)) = queue.pop() {
        match event {
            Event::Request { client, n } => {
                digest.event(Kind::Call, now, client.into(), n.into());
                queue.push(now + delay(Concern::Store, client, n), Event::Answer { client, n });
            }
            Event::Answer { client, n } => {
                digest.event(Kind::Answer, now, client.into(), n.into());
                done += 1;
                if n + 1 < ROUND_TRIPS {
                    let n = n + 1;
                    queue.push(now + delay(Concern::Service, client, n), Event::Request { client, n });
                }
            }
        }
    }
    black_box(digest.value());
    done
}

/// About as many round trips at the same rate: eight clients at 40 ms a round trip are 200 a second.
fn scenario() -> Scenario {
    let seconds = round_trips() / 200;
    let source = format!(
        r#"
        schema   = 1
        title    = "Every visit is a request"
        duration = "{seconds}s"
        calm     = "60s"
        hooks    = ["original"]
        judge    = []
        [experiment]
        id = "bench"
        [[experiment.variant]]
        name   = "control"
        weight = 0
        [[experiment.variant]]
        name   = "extra-quota"
        weight = 1
        grant  = 25
        [users]
        population = 1_000
        [[traffic]]
        kind = "steady"
        rate = "200/s"
        [caller]
        deadline = "5s"
        [fleet]
        instances = {CLIENTS}
        [upstream]
        workers      = 1_000
        service-time = {{ mean = "40ms", distribution = "exponential" }}
        "#
    );
    decode("bench", "bench.toml", source.as_bytes()).expect("the scenario above is valid")
}

/// Runs the whole simulator. Returns the round trips.
fn simulator(scenario: &Scenario) -> u64 {
    let outcome = hookproof_sim::run(scenario, HookKind::Original, SEED, &mut |_| {});
    let Some(Value::Number(calls)) = outcome.metrics.get(&Metric::UpstreamCalls) else {
        unreachable!("the number of calls is a metric of every run");
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is whole and not negative")]
    let calls = *calls as u64;
    calls
}
