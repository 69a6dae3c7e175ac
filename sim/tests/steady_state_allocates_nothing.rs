//! Goal: a run that has warmed up allocates nothing for an event: not for a visit, a commit, a request or a timer.
//!
//! Method: an allocator that counts this thread's allocations stands in for the system's in this file. The same scenario
//! runs for a time and for twice as long. The first halves are the same, so what the longer run allocates beyond the shorter
//! one it allocates in its second half: nothing but growth of tables, a few times for each doubling, and first events in slots of
//! the timing wheel that were never used before. One allocation for each event, visit, commit or grant of that half would be ten
//! thousand at least.

use allocation_counter::measure;
use hookproof_sim::outcome::Outcome;
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

/// What tables that grow with the users or the largest batch, and slots of the wheel, may allocate: it has 704 of them.
const GROWTH_MAX: u64 = 300;

/// Allocations of a run whose storm lasts so long, and the run.
fn allocations(storm_seconds: u32, users: &str) -> (u64, Outcome) {
    let source = format!(
        r#"
        schema   = 1
        title    = "Nothing goes wrong"
        duration = "{storm_seconds}s"
        calm     = "60s"
        [experiment]
        id = "quota-experiment"
        [[experiment.variant]]
        name   = "control"
        weight = 50
        [[experiment.variant]]
        name   = "extra-quota"
        weight = 50
        grant  = 25
        {users}
        [[traffic]]
        kind = "steady"
        rate = "200/s"
        [fleet]
        instances = 4
        [upstream]
        workers      = 64
        service-time = {{ mean = "50ms", distribution = "exponential" }}
        [hardened]
        max-in-flight      = 1_000
        effects-per-minute = 1_000_000
        "#
    );
    let scenario = decode("steady", "steady.toml", source.as_bytes()).expect("the scenario is valid");
    let mut outcome = None;
    let counted = measure(|| outcome = Some(run(&scenario, HookKind::Hardened, 1, &mut |_| {})));
    (counted.count_total, outcome.expect("the closure was called"))
}

/// Allocations and hook calls of the second half of a run.
fn second_half(users: &str) -> (u64, u64) {
    let ((half_count, half), (whole_count, whole)) = (allocations(200, users), allocations(400, users));
    (whole_count.saturating_sub(half_count), whole.hook_calls - half.hook_calls)
}

#[test]
fn the_allocator_counts() {
    assert!(allocations(1, "").0 > 100, "a run allocates its tables");
}

#[test]
fn first_visits_with_their_grants_allocate_nothing() {
    let (allocations, calls) = second_half("");
    assert!(calls > 35_000, "{calls} calls are too few to tell");
    assert!(allocations <= GROWTH_MAX, "{allocations} allocations in {calls} calls");
}

#[test]
fn returning_users_allocate_nothing() {
    let (allocations, calls) = second_half("[users]\npopulation = 1_000");
    assert!(calls > 35_000, "{calls} calls are too few to tell");
    assert!(allocations <= GROWTH_MAX, "{allocations} allocations in {calls} calls");
}
