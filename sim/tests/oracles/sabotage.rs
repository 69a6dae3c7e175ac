//! Goal: what the harness is there to find, it finds: each hook that is broken on purpose is found, on the ground that is
//! named for it, by what is named for it, within a number of seeds that was written down first.
//!
//! Method: seeds of the first range in order, until the broken hook's run is violated while the unbroken hook's, under the
//! same seed, is not. The unbroken hook must hold under every seed that was tried.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use hookproof_sim::sabotage::{Found, Ground, SEEDS_MAX, Sabotage, Search, base, stable_part};

/// What came of all sabotages of one ground, and the seeds under which the unbroken hook does not hold.
fn searched(ground: Ground) -> (Vec<(Sabotage, Option<Found>)>, Vec<u64>) {
    let mut search = Search::new(ground, base(ground));
    let here = Sabotage::ALL.into_iter().filter(|sabotage| sabotage.about().ground == ground);
    let found: Vec<_> = here.map(|sabotage| (sabotage, search.first(sabotage, Search::seeds(0)))).collect();
    let tried = found.iter().map(|(_, found)| found.as_ref().map_or(SEEDS_MAX, |found| found.seeds)).max().unwrap_or(0);
    let first = Search::seeds(0).start;
    let broken = (first..first + tried).filter(|seed| !search.holds(*seed)).collect();
    (found, broken)
}

#[test]
fn every_broken_hook_is_found_where_the_unbroken_one_holds() {
    let grounds = Mutex::new(Ground::ALL.to_vec());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(ground) = { grounds.lock().unwrap().pop() } {
                    let result = searched(ground);
                    results.lock().unwrap().insert(ground, result);
                }
            });
        }
    });
    let mut missed = Vec::new();
    for (ground, (found, broken)) in results.into_inner().unwrap() {
        for (sabotage, found) in found {
            match found {
                Some(found) => println!("{:28} {:12} {:3} {:?}", sabotage.name(), ground.name(), found.seeds, found.by),
                None => missed.push((sabotage.name(), ground.name())),
            }
        }
        assert!(broken.is_empty(), "{}: the unbroken hook is violated under seeds {broken:?}", ground.name());
    }
    assert!(missed.is_empty(), "not found within {SEEDS_MAX} seeds: {missed:#?}");
}

#[test]
fn there_are_at_least_two_dozen_and_each_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Sabotage::ALL.into_iter().map(Sabotage::name).collect();
    assert!(names.len() == Sabotage::ALL.len() && names.len() >= 24);
    assert!(Sabotage::ALL.into_iter().all(|sabotage| Sabotage::from_name(sabotage.name()) == Some(sabotage)));
}

#[test]
fn the_document_tells_of_each_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sabotage.md");
    let text = std::fs::read_to_string(path).expect("a document of the repository").replace("\r\n", "\n");
    for sabotage in Sabotage::ALL {
        let row = stable_part(sabotage);
        assert!(text.contains(&row), "docs/sabotage.md lacks: {row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, Sabotage::ALL.len(), "docs/sabotage.md tells of hooks that are not there");
    assert!(Ground::ALL.into_iter().all(|ground| text.contains(ground.says())));
}
