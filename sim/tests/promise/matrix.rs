//! Capability: the hook keeps each promise of the matrix, and each impossible one is seen to fall.
//!
//! Method: every cell is run under many seeds, which choose what exactly strikes, when and how hard, and judged from
//! outside. A cell whose hazard happened in no run, or which never showed what the matrix says, fails as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use hookproof_core::promise::Verdict as Promise;
use hookproof_sim::outcome::Verdict;
use hookproof_sim::promise::{Cell, Finding, Tally, confirm, is_harmed};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

/// Runs of each cell that holds or parks.
const RUNS: u64 = 25;
/// An impossible cell may need more seeds to fall; the first fall is enough.
const RUNS_IMPOSSIBLE: u64 = 40;

fn tally(cell: Cell) -> Tally {
    let mut tally = Tally::new(cell);
    let runs = if cell.verdict() == Promise::Impossible { RUNS_IMPOSSIBLE } else { RUNS };
    for seed in 1..=runs {
        if cell.verdict() == Promise::Impossible && tally.finding() == Finding::Confirmed {
            break;
        }
        tally.add(&confirm(cell, seed).unwrap_or_else(|error| panic!("{} under seed {seed}: {error}", cell.name())));
    }
    tally
}

/// All cells, on as many threads as the machine can run.
fn tallies() -> Vec<Tally> {
    let cells: Vec<Cell> = Cell::all().collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        std::iter::from_fn(|| cells.get(next.fetch_add(1, Ordering::Relaxed)))
            .map(|cell| tally(*cell))
            .collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tallies: Vec<Tally> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        started.into_iter().flat_map(|thread| thread.join().expect("a worker does not panic")).collect()
    });
    tallies.sort_by_key(|tally| tally.cell);
    tallies
}

#[test]
fn every_cell_of_the_matrix_is_confirmed() {
    let tallies = tallies();
    for tally in &tallies {
        let Tally { runs, hazard_effects, effects, parked, violations, runs_harmed, .. } = tally;
        println!(
            "{:36} {:20} runs {runs:3} hazards {hazard_effects:6} effects {effects:5} parked {parked:5} violations \
             {violations:3} harmed {runs_harmed:2} {}",
            tally.cell.name(),
            tally.cell.verdict().name(),
            tally.finding().name()
        );
    }
    let wrong: Vec<&Tally> = tallies.iter().filter(|tally| tally.finding() != Finding::Confirmed).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let promised = tallies.iter().filter(|tally| tally.cell.verdict() != Promise::Impossible);
    let runs: u64 = promised.map(|tally| tally.runs).sum();
    assert!(runs >= 1_000, "{runs} runs in which a hazard happened");
}

/// The files in `scenarios/promise/`, by their paths below the repository's root.
fn files() -> BTreeSet<String> {
    let folder = repository().join("scenarios/promise");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("a readable entry").file_name();
    entries.map(|entry| format!("scenarios/promise/{}", name(entry).to_string_lossy())).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn each_impossible_cell_has_its_scenario_and_no_scenario_is_of_another_cell() {
    let wanted: BTreeSet<String> = Cell::all().filter_map(Cell::counterexample).collect();
    assert!(wanted.len() >= 10, "{wanted:?}");
    assert_eq!(files(), wanted);
}

#[test]
fn each_of_these_scenarios_shows_the_harm_by_its_hazard_alone() {
    for cell in Cell::all() {
        let Some(path) = cell.counterexample() else { continue };
        let source = std::fs::read(repository().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let scenario = decode(&cell.name(), &path, &source).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.upstream.truth.capability.name(), cell.offer.name(), "{path}");
        assert_eq!((&scenario.hooks[..], scenario.judge.len()), (&[HookKind::Hardened][..], 0), "{path}");
        let outcome = run(&scenario, HookKind::Hardened, scenario.seed, &mut |_| {});
        assert_eq!(outcome.verdict, Verdict::Pass, "{path}: {:#?}", outcome.expectations);
        assert!(outcome.expectations.len() == scenario.expects.len() && !scenario.expects.is_empty(), "{path}");
        assert!(outcome.faults.iter().all(|fault| fault.effects > 0), "{path}: {:#?}", outcome.faults);
        assert!(is_harmed(&outcome), "{path}: {:#?}", outcome.invariants);
    }
}

/// One grant whose reply is lost, and then `faults`; the store's clock is off by `first` when it is sent, by `then` later.
fn swing(offer: &str, [first, then]: [&str; 2], faults: &str) -> String {
    format!(
        r#"
        schema = 1
        title = "The store's clock swings from one end of its bound to the other"
        duration = "60s"
        calm = "5m"
        hooks = ["hardened"]
        [experiment]
        id = "promise"
        [[experiment.variant]]
        name = "control"
        weight = 0
        [[experiment.variant]]
        name = "extra-quota"
        weight = 1
        grant = 25
        [users]
        population = 1
        [[traffic]]
        kind = "steady"
        rate = "1/s"
        spacing = "even"
        at = "1s"
        for = "500ms"
        [store]
        clock-error = "2s"
        [upstream]
        capability = "{offer}"
        request-lifetime = "10s"
        key-ttl = "30s"
        [hardened]
        lease = "5s"
        attempt-timeout = "500ms"
        backoff-cap = "200ms"
        breaker-min-calls = 1000
        [[fault]]
        kind = "clock.offset"
        at = "0s"
        for = "5s"
        by = "{first}"
        on = ["store"]
        [[fault]]
        kind = "clock.offset"
        at = "5s"
        for = "54s"
        by = "{then}"
        on = ["store"]
        {faults}
        "#
    )
}

#[test]
fn a_window_is_kept_while_the_stores_clock_swings_within_its_bound() {
    // 1. The grant is sent and applied at 1 s, and the reply is lost; the clock is ahead by its bound. 2. Every request is
    // lost until shortly before the window's end; the clock is behind by its bound. 3. What is sent then is on its way for
    // almost the request's lifetime, and must still find the key.
    let last_send = "[[fault]]\nkind = \"network.lost-reply\"\nat = \"1s\"\nfor = \"500ms\"\n\
                     [[fault]]\nkind = \"network.loss\"\nat = \"1500ms\"\nfor = \"17s\"\n\
                     [[fault]]\nkind = \"network.latency\"\nat = \"18500ms\"\nfor = \"20s\"\nadd = \"9500ms\"\n";
    // 1. The request is on its way for almost its lifetime; the clock is behind. 2. The clock is ahead: a read must not
    // come before the request has executed.
    let early_read = "[[fault]]\nkind = \"network.latency\"\nat = \"1s\"\nfor = \"500ms\"\nadd = \"9800ms\"\n";
    for source in [swing("idempotency-key", ["2s", "-2s"], last_send), swing("read-back", ["-2s", "2s"], early_read)] {
        let scenario = decode("swing", "swing.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        for seed in 1..=40 {
            let outcome = run(&scenario, HookKind::Hardened, seed, &mut |_| {});
            assert!(!is_harmed(&outcome), "seed {seed}: {:#?}", outcome.invariants);
            assert!(outcome.faults.iter().all(|fault| fault.effects > 0), "{:#?}", outcome.faults);
        }
    }
}
