//! The simulator's speed beside the fused floor: what the hook calls cost at least, with nothing around them.
//!
//! * Side A: simulated hook calls a second of the hardened hook, without faults, half of the visits first visits; oracles,
//!   metrics and digest on.
//! * Side B, the floor of one call: 1.5 SHA-256 of a message of about 20 bytes, four pops and pushes on a timing wheel that
//!   holds 2,000 events, one read-modify-write of a random user's 32 bytes.
//!
//! Both with 10⁵ and 10⁶ users. At the end A ÷ B is measured once more in turns and printed, with 10⁷ users, too; then the
//! growth of the time of an event with the population, the digest's share, the memory of a user and the times of the 28-day
//! incident: `cargo bench -p hookproof-benches --bench simulator`. With the filter `nomatch` only these figures are printed.

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use hookproof_benches::memory::peak_kib;
use hookproof_benches::paired::{in_turns, median, seconds};
use hookproof_core::protection::Protections;
use hookproof_core::time::Instant;
use hookproof_sim::engine::EventQueue;
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value};
use hookproof_sim::scenario::{HookKind, Scenario, decode};
use hookproof_sim::seed::{Concern, Draws, below};
use hookproof_sim::users::User;
use hookproof_sim::{Recording, Setting, run_with};
use sha2::{Digest, Sha256};

const POPULATIONS: [u32; 2] = [100_000, 1_000_000];
/// Run a few times only, and not by criterion.
const POPULATION_MAX: u32 = 10_000_000;
/// What a run needs whatever its population: a run of so many users.
const POPULATION_TINY: u32 = 1_000;
/// Tells this program, as its own child, to run a population once and to print the most memory it held.
const PEAK_MEMORY_OF: &str = "--peak-memory-of";
const SEED: u64 = 1;

/// Arrivals a second. With the scenario's patience they keep about 2,000 events pending, as the floor has it: each visit
/// a caller's deadline for 5 s, each grant (a quarter of the visits) a client's for 5 s. The simulator keeps these timeouts
/// beside its wheel, where they cost less; the floor stays what it was.
const ARRIVALS_PER_SECOND: f64 = 320.0;

/// Visits for each user of the population, where each arrival is a user at random: then visits of one user are Poisson,
/// 1 − exp(−m) of the users come at all, and (1 − exp(−m)) ÷ m of the visits are first ones. That is one half at
/// m = 1.5936.
const VISITS_PER_USER: f64 = 1.5936;

/// Pending events of the floor's wheel.
const PENDING: u64 = 2_000;

fn main() {
    if let Some(population) = env::args().skip_while(|argument| argument != PEAK_MEMORY_OF).nth(1) {
        return print_peak_memory(population.parse().expect("a number of users"));
    }
    let is_test = env::args().any(|argument| argument == "--test");
    let mut criterion = Criterion::default().configure_from_args();
    let subjects = POPULATIONS.map(Subject::new);
    for subject in &subjects {
        compare(&mut criterion, subject);
    }
    criterion.final_summary();
    let event_nanos = subjects.each_ref().map(print_ratio);
    if !is_test {
        let event_nanos_max = print_ratio(&Subject::new(POPULATION_MAX));
        let growth = event_nanos_max / event_nanos[0];
        println!("time of an event at {POPULATION_MAX} users ÷ at {}: {growth:.2}", POPULATIONS[0]);
        print_memory();
    }
    print_digest_cost(&subjects[0]);
    print_incident();
}

/// Side A for one population.
struct Subject {
    population: u32,
    scenario: Scenario,
    /// Hook calls of one run.
    calls: u64,
    /// Events of one run.
    events: u64,
}

impl Subject {
    fn new(population: u32) -> Self {
        let scenario = scenario(population);
        let Outcome { hook_calls: calls, events, .. } = checked(&scenario);
        Self { population, scenario, calls, events }
    }

    fn run(&self) {
        black_box(simulate(&self.scenario, HookKind::Hardened));
    }
}

/// A scenario in which nothing goes wrong and nothing queues: workers, limit and effect cap are far above the 80 grants a
/// second that arrive.
fn scenario(population: u32) -> Scenario {
    let storm_seconds = f64::from(population) * VISITS_PER_USER / ARRIVALS_PER_SECOND;
    let source = format!(
        r#"
        schema   = 1
        title    = "Half of the visits are first visits"
        duration = "{storm_seconds:.0}s"
        calm     = "60s"
        hooks    = ["hardened"]

        [experiment]
        id = "bench"
        [[experiment.variant]]
        name   = "control"
        weight = 50
        [[experiment.variant]]
        name   = "extra-quota"
        weight = 50
        grant  = 25

        [users]
        population = {population}
        [[traffic]]
        kind = "steady"
        rate = "{ARRIVALS_PER_SECOND}/s"

        [caller]
        deadline = "5s"
        [fleet]
        instances = 4
        [upstream]
        workers      = 256
        service-time = {{ mean = "50ms", distribution = "exponential" }}
        [hardened]
        max-in-flight      = 1_000
        attempt-timeout    = "5s"
        effects-per-minute = 1_000_000
        "#
    );
    decode("bench", "bench.toml", source.as_bytes()).expect("the scenario above is valid")
}

fn simulate(scenario: &Scenario, hook: HookKind) -> Outcome {
    hookproof_sim::run(scenario, hook, SEED, &mut |_| {})
}

/// Runs the scenario once and checks that it is what the benchmark claims.
fn checked(scenario: &Scenario) -> Outcome {
    let outcome = simulate(scenario, HookKind::Hardened);
    let Some(Value::Number(exposures)) = outcome.metrics.get(&Metric::ExposureLogged) else {
        panic!("the number of exposures is a metric of every run");
    };
    let first_visits = exposures / outcome.hook_calls as f64;
    assert!((first_visits - 0.5).abs() < 0.005, "{first_visits} of the visits are first visits");
    assert!(outcome.invariants.iter().all(|invariant| invariant.violations == 0), "{:?}", outcome.invariants);
    assert!(outcome.invariants.iter().all(|invariant| invariant.inconclusive == 0), "{:?}", outcome.invariants);
    // Four processes share the work, so some ask for what another has taken.
    for (what, count) in &outcome.reached {
        assert!(
            ["receipts", "empty-claims", "visits-during-calls", "recorded-elsewhere"].contains(what) || *count == 0,
            "{count} {what} in a run without faults"
        );
    }
    outcome
}

/// What one hook call costs at least.
struct Floor {
    draws: Draws,
    users: Vec<User>,
    /// Events of 16 bytes, as the simulator's are.
    queue: EventQueue<[u64; 2]>,
    calls: u64,
}

impl Floor {
    fn new(population: u32) -> Self {
        let draws = Draws::new(SEED);
        let mut queue = EventQueue::new();
        for event in 0..PENDING {
            queue.push(Instant::ORIGIN + Self::delay(event.wrapping_mul(0x9E37_79B9_7F4A_7C15)), [event; 2]);
        }
        Self { draws, users: vec![User::NEW; population as usize], queue, calls: 0 }
    }

    /// Uniform up to 4.3 s.
    fn delay(draw: u64) -> Duration {
        Duration::from_nanos(draw >> 32)
    }

    fn call(&mut self) {
        self.calls += 1;
        let [which, mut chance] = self.draws.draw(Concern::ArrivalUser, 0, self.calls);
        let user = below(which, self.users.len() as u64);
        let mut message = *b"\x01\x04salt user-________";
        message[12..].copy_from_slice(&user.to_le_bytes());
        for hash in 0..=self.calls % 2 {
            message[0] = 1 + u8::from(hash > 0);
            black_box(Sha256::digest(black_box(message)));
        }
        for _ in 0..4 {
            let (at, event) = self.queue.pop().expect("as many are pushed as popped");
            self.queue.push(at + Self::delay(chance), black_box(event));
            chance = chance.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let index = usize::try_from(user).expect("below the population");
        let record = &mut self.users[index];
        record.visits = record.visits.wrapping_add(1);
        record.last_variant = 1;
        record.set(User::SEEN);
    }

    fn run(&mut self, calls: u64) {
        for _ in 0..calls {
            self.call();
        }
        black_box(&self.users);
    }
}

fn compare(criterion: &mut Criterion, subject: &Subject) {
    let mut group = criterion.benchmark_group("simulator");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(subject.calls));
    group.bench_function(BenchmarkId::new("hardened", subject.population), |bencher| bencher.iter(|| subject.run()));
    let mut floor = Floor::new(subject.population);
    group.bench_function(BenchmarkId::new("floor", subject.population), |bencher| {
        bencher.iter(|| floor.run(subject.calls));
    });
    group.finish();
}

/// Prints the ratio and returns the nanoseconds of an event.
fn print_ratio(subject: &Subject) -> f64 {
    let mut floor = Floor::new(subject.population);
    let rounds = match subject.population {
        ..500_000 => 15,
        500_000..5_000_000 => 3,
        5_000_000.. => 1,
    };
    let paired = in_turns(rounds, || subject.run(), || floor.run(subject.calls));
    let nanos = |seconds: f64| seconds * 1e9 / subject.calls as f64;
    let event_nanos = paired.a_seconds * 1e9 / subject.events as f64;
    println!(
        "{:>9} users: hardened {:.0} ns a call ({:.0} ns an event), floor {:.0} ns a call, {:.3} of the floor's speed",
        subject.population,
        nanos(paired.a_seconds),
        event_nanos,
        nanos(paired.b_seconds),
        1.0 / paired.a_to_b,
    );
    event_nanos
}

/// What the digest adds to a run without one.
fn print_digest_cost(subject: &Subject) {
    let run = |recording| {
        let (hook, protections) = (HookKind::Hardened, Protections::ALL);
        let setting = Setting { hook, protections, sabotage: None, recording, seed: SEED };
        black_box(run_with(&subject.scenario, setting, &mut |_| {}));
    };
    let paired = in_turns(15, || run(Recording::Off), || run(Recording::Nothing));
    println!("digest: {:+.1} % of the time without one", (paired.a_to_b - 1.0) * 100.0);
}

/// The memory of a user: the most that a run of [`POPULATION_MAX`] holds beyond a tiny one, each in a process of its own.
fn print_memory() {
    let peak = |population: u32| {
        let program = env::current_exe().expect("a running program has a path");
        let output = Command::new(program).args([PEAK_MEMORY_OF, &population.to_string()]).output();
        let printed = String::from_utf8(output.expect("this program can run itself").stdout).ok()?;
        printed.trim().parse::<f64>().ok()
    };
    match (peak(POPULATION_TINY), peak(POPULATION_MAX)) {
        (Some(tiny), Some(large)) => {
            let users = f64::from(POPULATION_MAX - POPULATION_TINY);
            println!("memory: {:.1} bytes a user beyond {:.1} MB", (large - tiny) / users, tiny / 1e6);
        }
        (_, _) => println!("memory: this system does not tell a process's peak (VmHWM in /proc/self/status)"),
    }
}

/// Runs a population once and prints the most bytes that this process has held.
fn print_peak_memory(population: u32) {
    black_box(simulate(&scenario(population), HookKind::Hardened));
    if let Some(kib) = peak_kib() {
        println!("{}", 1_024 * kib);
    }
}

/// The 28 days of the over-allocation incident: one seed, all three hooks.
fn print_incident() {
    let source = include_bytes!("../../scenarios/incidents/over-allocation.toml");
    let scenario = decode("over-allocation", "over-allocation.toml", source).expect("a scenario of this repository");
    let mut three_hooks = || {
        for hook in HookKind::ALL {
            black_box(simulate(&scenario, hook));
        }
    };
    let times = (0..9).map(|_| seconds(&mut three_hooks)).collect();
    println!("28-day incident, three hooks: {:.0} ms", median(times) * 1e3);
}
