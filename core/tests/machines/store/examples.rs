//! Single cases, each with its story.

use hookproof_core::grant::{Terms, absence_is_provable_at, lease_holds};
use hookproof_core::store::{Admitted, First, Hold};
use hookproof_core::time::{Instant, Now};
use hookproof_core::upstream::{Capability, Upstream};

use super::*;

const USER: UserHandle = UserHandle(0);
/// Of every claim here that need not be told from the same claim made again.
const NONCE: ClaimNonce = ClaimNonce(0);
const LEASE: Duration = Duration::from_secs(30);
const LAG: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> WallTime {
    START + Duration::from_secs(seconds)
}

/// An image with one treated user, admitted at 0.
fn image() -> Image {
    let mut image = Image::default();
    image.apply(at(0), Command::Admit(admit(0, 1)));
    image
}

const FLEET: FleetLimits = FleetLimits { initial_in_flight: 4, max_in_flight: 64, effects_per_minute: 6_000 };

fn claim(image: &mut Image, now: WallTime, limit: u16, lease: Duration) -> Vec<ClaimedGrant> {
    claim_held(image, now, Claim { nonce: NONCE, limit, fleet: FLEET, lease, into: Vec::new() }).0
}

fn claim_held(image: &mut Image, now: WallTime, claim: Claim) -> (Vec<ClaimedGrant>, Option<Hold>) {
    let Committed::Claimed { grants, hold, .. } = image.apply(now, Command::Claim(claim)) else {
        panic!("a claim is answered with what was claimed");
    };
    (grants, hold)
}

/// When the store says that something is due.
fn due_at(image: &mut Image) -> WallTime {
    let Committed::Found { due_at, .. } = image.apply(at(0), Command::Find(USER)) else {
        panic!("a look at a record is answered with what was found");
    };
    due_at
}

/// Claims the one grant that is due.
fn claim_one(image: &mut Image, now: WallTime) -> ClaimedGrant {
    let claimed = claim(image, now, 10, Duration::from_secs(30));
    assert_eq!(claimed.len(), 1);
    claimed[0]
}

fn settle(image: &mut Image, now: WallTime, claim: &ClaimedGrant, settlement: Settlement) {
    image.apply(now, Command::Settle(claim.settle(settlement, Load::Unknown, Duration::ZERO)));
}

fn again(after_s: u64, doubt: Doubt) -> Settlement {
    Settlement::Again { after: Duration::from_secs(after_s), doubt }
}

#[test]
fn a_second_admission_finds_the_first_variant_and_makes_no_second_grant() {
    let mut image = image();
    let other =
        Admit { generation: 2, grant: Some(GrantIntent { id: GrantId::from_bytes([9; 16]), units: 1 }), ..admit(0, 3) };
    let Committed::Admitted { record: admitted, .. } = image.apply(at(1), Command::Admit(other)) else {
        panic!("an admission is answered with what was admitted");
    };
    assert_eq!(
        admitted,
        Admitted {
            variant: VariantIndex::new(1),
            first: First::Known,
            generation: 0,
            grant: Some(GrantState::Pending)
        }
    );
    assert_eq!(image.counts().admitted, 1, "GRANT-1: a second grant for one user");
    assert!(!image.writes(at(1), &Command::Admit(other)));
}

#[test]
fn the_window_begins_with_the_first_request_that_may_have_been_seen() {
    let mut image = image();
    let unsent = claim_one(&mut image, at(1));
    assert_eq!(unsent.first_sent_at, at(1));
    settle(&mut image, at(2), &unsent, Settlement::Unsent { after: Duration::ZERO });
    let throttled = claim_one(&mut image, at(10));
    assert_eq!((throttled.first_sent_at, throttled.attempts), (at(10), 2), "no byte of the first had left");
    settle(&mut image, at(11), &throttled, again(0, Doubt::Clear));
    let lost = claim_one(&mut image, at(20));
    // 1. The network makes a second request of the throttled one. 2. The service applies that one. So its key is in use.
    assert_eq!((lost.first_sent_at, lost.doubt), (at(10), Doubt::Clear), "GRANT-4: a copy of it may have been applied");
    settle(&mut image, at(21), &lost, again(0, Doubt::InDoubt));
    let unsent = claim_one(&mut image, at(30));
    assert_eq!((unsent.first_sent_at, unsent.doubt, unsent.attempts), (at(10), Doubt::InDoubt, 4));
    settle(&mut image, at(31), &unsent, Settlement::Unsent { after: Duration::ZERO });
    let last = claim_one(&mut image, at(40));
    assert_eq!((last.first_sent_at, last.doubt), (at(10), Doubt::InDoubt), "doubt is sticky");
}

#[test]
fn a_lease_that_ends_with_the_intent_open_puts_the_grant_in_doubt() {
    let mut image = image();
    let first = claim_one(&mut image, at(0));
    assert!(claim(&mut image, at(29), 10, Duration::from_secs(30)).is_empty());
    let second = claim_one(&mut image, at(30));
    assert_eq!((second.doubt, second.first_sent_at, second.attempts), (Doubt::InDoubt, at(0), 2));
    assert!(second.fence > first.fence);
}

#[test]
fn a_stale_fence_schedules_nothing_and_a_stale_receipt_counts() {
    for settlement in [
        again(0, Doubt::Clear),
        again(0, Doubt::InDoubt),
        Settlement::Released { after: Duration::ZERO },
        Settlement::Absent,
        Settlement::Rejected,
        Settlement::Parked { reason: ParkReason::WindowClosed, answer: None },
    ] {
        let mut image = image();
        let stale = claim_one(&mut image, at(0));
        let live = claim_one(&mut image, at(30));
        settle(&mut image, at(31), &stale, settlement);
        assert_eq!(image.grant_state(USER), Some(GrantState::Claimed), "GRANT-5: {settlement:?}");
        assert!(claim(&mut image, at(59), 10, Duration::from_secs(30)).is_empty(), "GRANT-5: {settlement:?}");
        settle(&mut image, at(59), &stale, Settlement::Delivered);
        assert_eq!(image.grant_state(USER), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
        settle(&mut image, at(60), &live, Settlement::Rejected);
        assert_eq!(image.grant_state(USER), Some(GrantState::Delivered));
    }
}

#[test]
fn doubt_of_a_claim_that_was_already_settled_clear_closes_every_window() {
    let mut image = image();
    let first = claim_one(&mut image, at(0));
    settle(&mut image, at(1), &first, again(0, Doubt::Clear));
    settle(&mut image, at(2), &first, again(0, Doubt::InDoubt));
    let next = claim_one(&mut image, at(100));
    assert_eq!((next.doubt, next.first_sent_at), (Doubt::InDoubt, WallTime::UNIX_EPOCH), "GRANT-4");
}

#[test]
fn a_receipt_ends_even_a_parked_or_rejected_grant() {
    for settlement in [Settlement::Rejected, Settlement::Parked { reason: ParkReason::WindowClosed, answer: None }] {
        let mut image = image();
        let claimed = claim_one(&mut image, at(0));
        settle(&mut image, at(1), &claimed, settlement);
        settle(&mut image, at(2), &claimed, Settlement::Delivered);
        assert_eq!(image.grant_state(USER), Some(GrantState::Delivered));
        assert_eq!(image.parked().count(), 0);
    }
}

#[test]
fn a_settlement_that_is_repeated_changes_nothing_more() {
    for settlement in [
        Settlement::Delivered,
        Settlement::Rejected,
        Settlement::Parked { reason: ParkReason::WindowClosed, answer: None },
        again(5, Doubt::Clear),
        again(5, Doubt::InDoubt),
        Settlement::Released { after: Duration::ZERO },
        Settlement::Absent,
    ] {
        let mut image = image();
        let claimed = claim_one(&mut image, at(0));
        settle(&mut image, at(1), &claimed, settlement);
        let (counts, due) = (image.counts(), due_at(&mut image));
        settle(&mut image, at(3), &claimed, settlement);
        assert_eq!((image.counts(), due_at(&mut image)), (counts, due), "{settlement:?}");
    }
}

#[test]
fn a_lease_of_nothing_does_not_let_one_claim_take_a_grant_twice() {
    let mut image = image();
    assert_eq!(claim(&mut image, at(0), 10, Duration::ZERO).len(), 1);
}

#[test]
fn a_grant_due_at_the_end_of_time_is_never_due() {
    let mut image = image();
    let claimed = claim(&mut image, at(0), 1, Duration::MAX);
    assert_eq!(claimed[0].lease_until, WallTime::MAX);
    assert!(claim(&mut image, WallTime::MAX, 1, Duration::MAX).is_empty());
}

#[test]
fn settling_an_unknown_user_leaves_no_trace() {
    let mut image = image();
    let before = image.clone();
    let unknown = ClaimedGrant { user: UserHandle(u64::MAX), ..claim_one(&mut image.clone(), at(0)) };
    settle(&mut image, at(1), &unknown, Settlement::Delivered);
    assert_eq!(image, before);
}

#[test]
fn an_absent_grant_is_clear_again_and_its_window_begins_anew() {
    let mut image = image();
    let lost = claim_one(&mut image, at(0));
    settle(&mut image, at(1), &lost, again(10, Doubt::InDoubt));
    let read = claim_one(&mut image, at(11));
    assert_eq!((read.doubt, read.first_sent_at, read.sent_until, read.attempts), (Doubt::InDoubt, at(0), at(1), 2));
    settle(&mut image, at(12), &read, Settlement::Absent);
    let next = claim_one(&mut image, at(12));
    assert_eq!((next.doubt, next.first_sent_at, next.attempts), (Doubt::Clear, at(12), 2), "the read was no send");
}

#[test]
fn doubt_that_arrives_after_a_proof_of_absence_closes_every_window() {
    // 1. A holder stalls beyond its lease. 2. Another reads and finds nothing. 3. The first wakes up and says that it may have sent.
    let mut image = image();
    let stalled = claim_one(&mut image, at(0));
    let read = claim_one(&mut image, at(30));
    assert_eq!(read.sent_until, at(30), "the first may have sent until its lease's very end");
    settle(&mut image, at(31), &read, Settlement::Absent);
    settle(&mut image, at(32), &stalled, again(0, Doubt::InDoubt));
    let next = claim_one(&mut image, at(33));
    assert_eq!((next.doubt, next.first_sent_at, next.sent_until), (Doubt::InDoubt, WallTime::UNIX_EPOCH, at(32)));
}

#[test]
fn an_epoch_puts_everything_open_in_doubt_and_makes_every_fence_stale() {
    let mut image = image();
    image.apply(at(0), Command::Admit(admit(1, 1)));
    let held = claim(&mut image, at(0), 1, LEASE)[0];
    image.begin_epoch(at(5), Epoch(3));
    for settlement in [again(0, Doubt::Clear), Settlement::Rejected, Settlement::Absent] {
        settle(&mut image, at(6), &held, settlement);
        assert_eq!(image.grant_state(held.user), Some(GrantState::Claimed), "GRANT-5: {settlement:?}");
    }
    image.apply(at(7), Command::Admit(admit(2, 1)));
    let claims = claim(&mut image, at(30), 10, Duration::from_secs(30));
    assert_eq!(claims.len(), 3);
    for claim in &claims {
        assert_eq!((claim.doubt, claim.first_sent_at), (Doubt::InDoubt, WallTime::UNIX_EPOCH), "GRANT-4: {claim:?}");
        assert!(claim.sent_until >= at(5), "a claim that was lost may have been sent: {claim:?}");
        assert_eq!(claim.fence.epoch, Epoch(3));
    }
    settle(&mut image, at(31), &held, Settlement::Delivered);
    assert_eq!(image.grant_state(held.user), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
}

#[test]
fn a_claim_that_was_lost_with_its_epoch_has_another_fence_than_the_same_claim_made_again() {
    let mut image = image();
    let backup = image.clone();
    let lost = claim_one(&mut image, at(0));
    let mut image = backup;
    image.begin_epoch(at(5), Epoch(1));
    let made_again = claim_one(&mut image, at(6));
    assert_eq!(lost.fence.claim, made_again.fence.claim);
    settle(&mut image, at(7), &lost, Settlement::Rejected);
    assert_eq!(image.grant_state(USER), Some(GrantState::Claimed), "GRANT-5: a fence of a lost claim");
}

#[test]
fn a_claim_that_a_store_has_lost_unawares_has_another_fence_than_the_same_claim_made_again() {
    let claim_under = |image: &mut Image, nonce| {
        let claim = Claim { nonce: ClaimNonce(nonce), limit: 1, fleet: FLEET, lease: LEASE, into: Vec::new() };
        claim_held(image, at(1), claim).0[0]
    };
    for settlement in [
        again(0, Doubt::Clear),
        again(0, Doubt::InDoubt),
        Settlement::Unsent { after: Duration::ZERO },
        Settlement::Released { after: Duration::ZERO },
        Settlement::Absent,
        Settlement::Rejected,
        Settlement::Parked { reason: ParkReason::WindowClosed, answer: None },
    ] {
        // 1. A claims, and the store loses that: no epoch begins. 2. Its clock stands still, and B claims.
        let mut image = image();
        let backup = image.clone();
        let lost = claim_under(&mut image, 7);
        let mut image = backup;
        let made_again = claim_under(&mut image, 8);
        assert_eq!((lost.fence.epoch, lost.fence.claim), (made_again.fence.epoch, made_again.fence.claim));
        assert_eq!(lost.claimed_at, made_again.claimed_at);
        // 3. A settles. B's request is under way, and its place must not go to a third.
        settle(&mut image, at(2), &lost, settlement);
        assert_eq!(image.grant_state(USER), Some(GrantState::Claimed), "GRANT-5: {settlement:?} under a lost claim");
        assert_eq!(due_at(&mut image), made_again.lease_until, "LOAD-1: {settlement:?} under a lost claim");
        settle(&mut image, at(3), &made_again, Settlement::Rejected);
        assert_eq!(image.grant_state(USER), Some(GrantState::Rejected));
    }
}

#[test]
fn a_store_belongs_to_the_first_lineage_that_opens_it() {
    let mut image = Image::default();
    let open =
        |lineage, version| Command::Open(Open { lineage: LineageId([lineage; 16]), version: VersionId([version; 16]) });
    let opened = |versions: &[u8]| Committed::Opened {
        due_at: WallTime::MAX,
        versions: versions.iter().map(|version| VersionId([*version; 16])).collect(),
    };
    assert_eq!(image.apply(at(0), open(1, 2)), opened(&[2]));
    assert_eq!(image.apply(at(0), open(1, 1)), opened(&[1, 2]));
    assert_eq!(image.apply(at(0), open(1, 2)), opened(&[1, 2]));
    assert_eq!(image.apply(at(0), open(2, 3)), Committed::Foreign);
    assert_eq!(image.version_count(), 2, "a foreign version is none of ours");
}

#[test]
fn a_full_fleet_is_given_nothing_but_what_lapsed() {
    let mut image = Image::default();
    for user in 0..6 {
        image.apply(at(0), Command::Admit(admit(user, 1)));
    }
    let of_four =
        |lease| Claim { nonce: NONCE, limit: 10, fleet: FLEET, lease: Duration::from_secs(lease), into: Vec::new() };
    assert_eq!(claim_held(&mut image, at(0), of_four(30)).0.len(), 4, "LOAD-1");
    assert_eq!(claim_held(&mut image, at(1), of_four(30)), (vec![], Some(Hold::Full)));
    assert_eq!(due_at(&mut image), at(30), "what a claim could be given, not what waits");
    let (taken_over, hold) = claim_held(&mut image, at(30), of_four(60));
    assert_eq!((taken_over.len(), hold), (4, Some(Hold::Full)));
    assert!(taken_over.iter().all(|claim| claim.doubt == Doubt::InDoubt), "the lapsed go on, and only they");
}

#[test]
fn a_pause_holds_back_what_lapsed_too() {
    let mut image = image();
    let held = claim_one(&mut image, at(0));
    let paused = held.settle(again(0, Doubt::Clear), Load::Unknown, Duration::from_secs(60));
    image.apply(at(1), Command::Settle(paused));
    let (none, hold) =
        claim_held(&mut image, at(2), Claim { nonce: NONCE, limit: 1, fleet: FLEET, lease: LEASE, into: Vec::new() });
    assert_eq!((none, hold), (vec![], Some(Hold::Paused(at(61)))));
    assert_eq!(due_at(&mut image), at(61));
    assert_eq!(claim(&mut image, at(61), 1, LEASE).len(), 1);
}

#[test]
fn a_claim_that_the_store_has_lost_may_still_send_until_its_lease_ends() {
    // The model check does not reach this one: it takes a rollback, a pause and a death at once.
    let terms = |lease| Terms {
        upstream: Upstream { capability: Capability::ReadBack { lag: LAG }, request_lifetime: Duration::from_secs(60) },
        lease,
        attempt: Duration::ZERO,
        clock_error: Duration::ZERO,
    };
    // 1. A claims; the guards would let its request pass until shortly before 30 s. 2. The store loses that claim at 1 s.
    let mut image = image();
    let before = image.clone();
    let lost = claim_one(&mut image, at(0));
    let mut image = before;
    image.begin_epoch(at(1), Epoch(1));
    assert!(lease_holds(Now { mono: Instant::ORIGIN, store_upper: at(29) }, &terms(LEASE), lost.lease_until));
    // 3. A sends at 29 s and dies; the request may execute at 89 s. 4. B must not believe a read before that.
    let other = claim_one(&mut image, at(2));
    assert_eq!(other.doubt, Doubt::InDoubt);
    let provable_at = |lease| absence_is_provable_at(&terms(lease), LAG, &other);
    assert!(provable_at(LEASE) >= at(29 + 60) + LAG, "GRANT-1: a read before the lost request has executed");
    assert!(provable_at(Duration::ZERO) < at(29 + 60), "without the lost lease it would be believed too early");
}

/// A claims, sends, and its receipt is late; the lease ends; B claims and sends; A's receipt arrives. B's request is still
/// under way: with room for one request, a third process must not be given anything until B has settled.
#[test]
fn a_late_receipt_does_not_give_the_place_of_a_later_claim_away() {
    let fleet = FleetLimits { initial_in_flight: 1, max_in_flight: 1, effects_per_minute: 6_000 };
    let take = |image: &mut Image, now| {
        claim_held(image, now, Claim { nonce: NONCE, limit: 10, fleet, lease: LEASE, into: Vec::new() })
    };
    for b_settles in [true, false] {
        let mut image = image();
        let (by_a, _) = take(&mut image, at(0));
        let (by_b, _) = take(&mut image, at(30));
        image.apply(at(31), Command::Admit(admit(1, 1)));
        settle(&mut image, at(31), &by_a[0], Settlement::Delivered);
        assert_eq!(image.grant_state(USER), Some(GrantState::Delivered));
        assert_eq!(take(&mut image, at(32)), (vec![], Some(Hold::Full)), "B's request is under way");
        assert_eq!(due_at(&mut image), at(60), "and may be until B's lease ends");
        if b_settles {
            settle(&mut image, at(33), &by_b[0], Settlement::Delivered);
            assert_eq!(take(&mut image, at(33)).0.len(), 1, "B has settled");
        } else {
            assert_eq!(take(&mut image, at(59)), (vec![], Some(Hold::Full)));
            assert_eq!(take(&mut image, at(60)).0.len(), 1, "B's lease is over");
        }
    }
}
