//! How many seeds it takes to find each broken hook: `cargo run --release -p hookproof-sim --example sabotage`.
//!
//! `--format markdown` prints `docs/sabotage.md`; `--only NAME` looks for one; `--ranges N` looks in fewer ranges of seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Mutex;

use hookproof_sim::sabotage::{Ground, RANGES, SEEDS_MAX, Sabotage, Search, markdown};
use hookproof_sim::sabotage::{Row, base};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let ranges = value("--ranges").and_then(|text| text.parse().ok()).unwrap_or(RANGES);
    let only = value("--only");
    let wanted: Vec<Sabotage> =
        Sabotage::ALL.into_iter().filter(|sabotage| only.is_none_or(|name| name == sabotage.name())).collect();

    let rows = search(&wanted, ranges);
    if value("--format").is_some_and(|format| format == "markdown") {
        print!("{}", markdown(&rows));
    } else {
        for row in rows.values() {
            println!("{}", row.line());
        }
    }
    let missed = rows.values().filter(|row| row.missed() > 0).count();
    if missed > 0 {
        eprintln!("{missed} of {} were not always found within {SEEDS_MAX} seeds", rows.len());
        return ExitCode::from(1);
    }
    ExitCode::SUCCESS
}

/// Every range is searched on its own; a ground is searched for all that must be found there, so that the unbroken hook runs
/// once a seed.
fn search(wanted: &[Sabotage], ranges: u64) -> BTreeMap<Sabotage, Row> {
    let grounds: BTreeSet<Ground> = wanted.iter().map(|sabotage| sabotage.about().ground).collect();
    let tasks: Vec<(u64, Ground)> =
        (0..ranges).flat_map(|range| grounds.iter().map(move |ground| (range, *ground))).collect();
    let tasks = Mutex::new(tasks);
    let rows: Mutex<BTreeMap<Sabotage, Row>> =
        Mutex::new(wanted.iter().map(|sabotage| (*sabotage, Row::new(*sabotage))).collect());
    let work = || {
        while let Some((range, ground)) = { tasks.lock().expect("nobody panics").pop() } {
            let mut search = Search::new(ground, base(ground));
            for sabotage in wanted.iter().filter(|sabotage| sabotage.about().ground == ground) {
                let found = search.first(*sabotage, Search::seeds(range));
                let mut rows = rows.lock().expect("nobody panics");
                rows.get_mut(sabotage).expect("every row was made before").add(found);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    rows.into_inner().expect("nobody panics")
}
