//! What a second core brings to a sweep: the same swarm seeds on one thread and on two, in turns.
//!
//! Runs share nothing but the number of the next seed, so that what keeps two threads from twice the speed is the machine:
//! the allocator, memory, a neighbour. `cargo bench -p hookproof-benches --bench sweep` prints the ratio.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hookproof_benches::paired::in_turns;
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, Scenario, decode};
use hookproof_sim::swarm::vary;

const SEEDS: u64 = 400;
const ROUNDS: u32 = 9;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (seeds, rounds) = if is_test { (4, 1) } else { (SEEDS, ROUNDS) };
    let source = include_bytes!("../../scenarios/swarm.toml");
    let base = decode("swarm", "scenarios/swarm.toml", source).expect("the scenario is valid");
    let events = swept(&base, seeds, 1);
    assert_eq!(swept(&base, seeds, 2), events, "the threads do not show");
    let pair = in_turns(rounds, || _ = black_box(swept(&base, seeds, 1)), || _ = black_box(swept(&base, seeds, 2)));
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!(
        "swarm of {seeds} seeds: one thread {:.1} ms, two threads {:.1} ms, speed x{:.2} ({cores} cores here)",
        pair.a_seconds * 1e3,
        pair.b_seconds * 1e3,
        pair.a_to_b,
    );
    println!("a seed on one thread: {:.2} ms, {} events", pair.a_seconds * 1e3 / seeds as f64, events / seeds);
}

/// Runs the seeds on so many threads; the number of events of all.
fn swept(base: &Scenario, seeds: u64, threads: u64) -> u64 {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut events = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return events;
            }
            events += run(&vary(base, seed), HookKind::Hardened, seed, &mut |_| {}).events;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no run panics")).sum()
    })
}
