//! Goal: every cell of the promise matrix is what the shipped code does, and every guard is needed.
//!
//! Method: the small bound of the exhaustive check: each cell and each sabotage is walked to the end. The large bound is
//! `cargo run --release -p hookproof-model -- --bound large`.

use hookproof_core::promise::{Hazard, Offer, Verdict, promise};
use hookproof_model::{Bound, Cell, Claim, Guard, SABOTAGES, baseline, cells, check, tell};

fn confirm(cell: &Cell) {
    let outcome = check(cell, 1);
    assert!(outcome.is_confirmed(), "{cell:?}: {:?}\n{}", outcome.verified, tell(&outcome));
}

#[test]
fn without_a_hazard_every_offer_delivers_exactly_once() {
    baseline(Bound::Small).for_each(|cell| confirm(&cell));
}

#[test]
fn every_cell_of_the_promise_matrix_is_confirmed() {
    let confirmed = cells(Bound::Small).inspect(confirm).count();
    assert_eq!(confirmed, Offer::ALL.len() * Hazard::ALL.len());
}

#[test]
fn every_broken_guard_is_caught_where_the_whole_protocol_passes() {
    for sabotage in SABOTAGES {
        confirm(&sabotage.unbroken());
        confirm(&sabotage.cell());
    }
}

#[test]
fn a_wrong_verdict_is_not_confirmed() {
    assert_eq!(promise(Offer::None, Hazard::LostReply), Verdict::Parked);
    assert!(!check(&Cell::new(Offer::None, &[Hazard::LostReply], 1, Claim::Holds), 1).is_confirmed());
    assert!(!check(&Cell::new(Offer::PutById, &[Hazard::LostReply], 1, Claim::Parked), 1).is_confirmed());
    assert!(!check(&Cell::new(Offer::PutById, &[Hazard::LostReply], 1, Claim::Impossible), 1).is_confirmed());
    assert!(!check(&Cell::new(Offer::None, &[Hazard::Duplicate], 1, Claim::Parked), 1).is_confirmed());
}

#[test]
fn a_counterexample_is_told_in_the_fewest_steps() {
    let cell =
        Cell { broken: Some(Guard::NotRepeatable), ..Cell::new(Offer::None, &[Hazard::LostReply], 1, Claim::Parked) };
    let story = tell(&check(&cell, 1));
    let expected = "  1.  0 s: user-0 visits; the store records exposure and grant.
  2.  0 s: worker A claims user-0's grant (not in doubt, claim 1).
";
    assert!(story.starts_with(expected), "{story}");
    assert!(story.ends_with("GRANT-1: the quota was raised twice.\n"), "{story}");
    assert_eq!(story.lines().count(), 11, "{story}");
}
