//! The table of what was found, and how soon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Found, Ground, RANGES, SEEDS_MAX, Sabotage};

/// What the searches for one sabotage came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    sabotage: Sabotage,
    /// Seeds needed, by range.
    seeds: Vec<u64>,
    missed: u64,
    by: BTreeSet<&'static str>,
}

impl Row {
    /// Nothing was searched yet.
    pub const fn new(sabotage: Sabotage) -> Self {
        Self { sabotage, seeds: Vec::new(), missed: 0, by: BTreeSet::new() }
    }

    /// One more range was searched.
    pub fn add(&mut self, found: Option<Found>) {
        match found {
            Some(Found { seeds, by, .. }) => {
                self.seeds.push(seeds);
                self.by.extend(by);
            }
            None => self.missed += 1,
        }
        self.seeds.sort_unstable();
    }

    /// Ranges in which it was not found.
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// The middle one of the numbers of seeds, the upper one of two.
    pub fn median(&self) -> Option<u64> {
        self.seeds.get(self.seeds.len() / 2).copied()
    }

    /// The largest of them.
    pub fn max(&self) -> Option<u64> {
        self.seeds.last().copied()
    }

    /// A line for a terminal.
    pub fn line(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!(
            "{:28} {:12} median {:>4}  max {:>4}  missed {:>2}  {}",
            self.sabotage.name(),
            self.sabotage.about().ground.name(),
            number(self.median()),
            number(self.max()),
            self.missed,
            self.by.iter().copied().collect::<Vec<_>>().join(", ")
        )
    }
}

/// The begin of `docs/sabotage.md`, up to its table.
const HEAD: &str = "\
<!-- Generated: cargo run --release -p hookproof-sim --example sabotage -- --format markdown > docs/sabotage.md -->
# Broken on purpose

A harness that finds nothing proves something only if it would have found something. So the hardened hook is broken on purpose, in the ways
below, one at a time, and each must be *found*: under some seed, on the ground that is named for it, the broken hook's run is violated by what is
named for it, while the unbroken hook's run under the same seed is not.

The hook itself stays as it is shipped: what is bent is a border around it (`sim/src/subject/sabotaged`), or a setting, or one of its protections.
A ground is the [swarm](scenarios.md), which chooses everything else anew for each seed, or, for what needs a certain weather, one of the small
scenarios in `scenarios/sabotage/`, which all hold for the unbroken hook. A sabotage counts as found only by an invariant, or by a
metric that the ground expects something of, that is named for it: what else turns red beside it is not enough.

";

/// `docs/sabotage.md`.
pub fn markdown(rows: &BTreeMap<Sabotage, Row>) -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(
        text,
        "Seeds needed are counted in {RANGES} ranges of seeds that do not touch, each searched for at most {SEEDS_MAX} seeds; both numbers were\n\
         written down before the first search. `cargo test -p hookproof-sim --test oracles sabotage::` searches the first range.\n"
    );
    text.push_str(
        "| broken hook | what it does | ground | found by | seeds, median | seeds, max |\n|---|---|---|---|---|---|\n",
    );
    for row in rows.values() {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let _ = writeln!(text, "{} {} | {} |", stable_part(row.sabotage), number(row.median()), number(row.max()));
    }
    text.push_str("\n## The grounds\n\n| ground | what happens on it |\n|---|---|\n");
    for ground in Ground::ALL {
        let _ = writeln!(text, "| [`{}`](../{}) | {} |", ground.name(), ground.path(), ground.says());
    }
    text
}

/// A row of the table without its numbers.
pub fn stable_part(sabotage: Sabotage) -> String {
    let about = sabotage.about();
    let found_by: Vec<String> = about.found_by.iter().map(|by| format!("`{by}`")).collect();
    format!("| `{}` | {} | `{}` | {} |", about.name, about.says, about.ground.name(), found_by.join(" or "))
}
