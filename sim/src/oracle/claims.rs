//! What is under way between claim and settlement, as the borders show it: `GRANT-3`, `GRANT-4` and `GRANT-5`.
//!
//! Owns one entry for each grant whose claim the store has answered and whose end it has not shown, and one for each grant in
//! doubt. Both are few at any time; a settled grant leaves nothing behind. It is told what the store replied, what was asked
//! for, sent and answered, and never what a hook thinks of it. Times are true times.
//!
//! Nothing here is iterated where order could show. Read next: `world/judging.rs`, which asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use hookproof_core::promise::Offer;
use hookproof_core::time::Instant;

/// A process: its instance, and which of the instance's processes it is.
pub type Holder = (u16, u32);

/// The last claim of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    holder: Holder,
    until: Instant,
    /// The request that its process has asked for under it, by token.
    request: Option<u64>,
    /// Requests under it whose clients wait.
    open: u16,
    /// The commit that claimed the grant has recorded it as delivered, too: no further receipt is waited for.
    is_delivered: bool,
    /// A receipt that a living process has heard, and that is not yet recorded.
    receipt: Option<(Holder, Instant)>,
}

/// What is known of a grant's attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// None can have been applied.
    Clear,
    /// One may have been.
    InDoubt,
    /// One may have been, and the store does not know when it was sent.
    InDoubtUndated,
}

/// What the store has answered to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Who claimed.
    pub holder: Holder,
    /// Until when the lease holds others off.
    pub until: Instant,
    /// What the store says of earlier attempts.
    pub doubt: Known,
    /// Whether the same commit has recorded the grant as delivered.
    pub is_delivered: bool,
    /// By how much the store's clock may have been ahead when it found the lease before over.
    pub clock_error: Duration,
}

/// Users are numbered without gaps, so the number spreads well enough when it is multiplied.
#[derive(Clone, Copy, Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The odd number nearest to 2^64 ÷ golden ratio.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// What a request is sent under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// A claim of its own process that holds.
    Own,
    /// A claim of its own process whose lease is over.
    Over,
    /// The claim of another process.
    Foreign(Holder),
    /// No claim that the store has answered.
    None,
}

/// Grants between claim and settlement.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    by_user: HashMap<u32, Claim, BuildHasherDefault<NumberHasher>>,
    /// Grants in doubt, with the sending of the first attempt that may have been applied; [`Instant::MAX`] where nobody saw one.
    doubts: BTreeMap<u32, Instant>,
    /// Grants in doubt of which the store no longer knows since when.
    undated: BTreeSet<u32>,
    /// What the service has said for good of grants that are not settled.
    said: BTreeMap<u32, Said>,
}

/// What the service has said for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    is_refused: bool,
    is_unfit: bool,
}

impl Claims {
    /// The store has answered a claim. Returns the claim that it takes the grant from, if that was another process's.
    pub fn claimed(&mut self, now: Instant, user: u32, claimed: Claimed) -> Option<Takeover> {
        let Claimed { holder, until, doubt, is_delivered, clock_error } = claimed;
        if doubt != Known::Clear {
            self.doubts.entry(user).or_insert(Instant::MAX);
        }
        if doubt == Known::InDoubtUndated {
            self.undated.insert(user);
        }
        let claim = Claim { holder, until, request: None, open: 0, is_delivered, receipt: None };
        let before = self.by_user.insert(user, claim)?;
        if let Some(now) = self.by_user.get_mut(&user) {
            now.receipt = before.receipt;
            now.open = before.open;
        }
        Some(Takeover { is_lapsed: before.until <= now + clock_error, is_another: before.holder != holder })
    }

    /// What a request for `user` would be sent under at `now`.
    pub fn cover(&self, now: Instant, user: u32, holder: Holder) -> Cover {
        match self.by_user.get(&user) {
            None => Cover::None,
            Some(claim) if claim.holder != holder => Cover::Foreign(claim.holder),
            Some(claim) if claim.until <= now => Cover::Over,
            Some(_) => Cover::Own,
        }
    }

    /// A process asks for a request.
    pub fn asked(&mut self, user: u32, holder: Holder, token: u64) {
        if let Some(claim) = self.by_user.get_mut(&user).filter(|claim| claim.holder == holder) {
            claim.request = Some(token);
        }
    }

    /// Whether a process asked for a request under the last claim of its grant, and not under an earlier one, be that its own.
    pub fn is_last(&self, user: u32, holder: Holder, token: u64) -> bool {
        self.by_user.get(&user).is_some_and(|claim| claim.holder == holder && claim.request == Some(token))
    }

    /// A request is sent. Returns how many others for the same grant are under way.
    pub fn sent(&mut self, user: u32) -> u16 {
        self.by_user.get_mut(&user).map_or(0, |claim| {
            claim.open = claim.open.saturating_add(1);
            claim.open - 1
        })
    }

    /// A request's client has its answer, or is gone.
    pub fn ended(&mut self, user: u32) {
        if let Some(claim) = self.by_user.get_mut(&user) {
            claim.open = claim.open.saturating_sub(1);
        }
    }

    /// A living process has heard that the grant is applied.
    pub fn receipt(&mut self, now: Instant, user: u32, holder: Holder) {
        if let Some(claim) = self.by_user.get_mut(&user).filter(|claim| !claim.is_delivered) {
            claim.receipt.get_or_insert((holder, now));
        }
    }

    /// An attempt that was sent at `sent_at` may have been applied, and its client will never know.
    pub fn doubted(&mut self, user: u32, sent_at: Instant) {
        let first = self.doubts.entry(user).or_insert(sent_at);
        *first = (*first).min(sent_at);
    }

    /// A read has shown that nothing was applied.
    pub fn cleared(&mut self, user: u32) {
        self.doubts.remove(&user);
        self.undated.remove(&user);
    }

    /// When the first attempt was sent that may have been applied, if there is one.
    pub fn doubt(&self, user: u32) -> Option<Instant> {
        if self.doubts.is_empty() { None } else { self.doubts.get(&user).copied() }
    }

    /// The service has refused the grant for good.
    pub fn refused(&mut self, user: u32) {
        self.said.entry(user).or_default().is_refused = true;
    }

    /// The service knows the grant's key with another body, or refuses for good to tell of the grant.
    pub fn unfit(&mut self, user: u32) {
        self.said.entry(user).or_default().is_unfit = true;
    }

    /// The grant is recorded as delivered. Returns whether a receipt was waiting for that.
    pub fn delivered(&mut self, user: u32) -> bool {
        self.cleared(user);
        self.said.remove(&user);
        self.by_user.remove(&user).is_some_and(|claim| claim.receipt.is_some())
    }

    /// The grant is recorded as parked or rejected; a receipt that was heard still waits.
    pub fn given_up(&mut self, user: u32) -> GivenUp {
        let doubt = match (self.doubts.remove(&user), self.undated.remove(&user)) {
            (None, _) => Known::Clear,
            (Some(_), false) => Known::InDoubt,
            (Some(_), true) => Known::InDoubtUndated,
        };
        let Said { is_refused, is_unfit } = self.said.remove(&user).unwrap_or_default();
        if self.by_user.get(&user).is_some_and(|claim| claim.receipt.is_none()) {
            self.by_user.remove(&user);
        }
        GivenUp { doubt, was_refused: is_refused, was_unfit: is_unfit }
    }

    /// The store has lost the exposure, and the grant with it.
    pub fn forgotten(&mut self, user: u32) {
        self.by_user.remove(&user);
        self.cleared(user);
        self.said.remove(&user);
    }

    /// A process has ended: what it had heard and not recorded is gone with it.
    pub fn process_ended(&mut self, holder: Holder) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry for itself, in any order")]
        for claim in self.by_user.values_mut() {
            claim.receipt = claim.receipt.filter(|(heard_by, _)| *heard_by != holder);
        }
    }

    /// Whose receipts were heard before `until` and are not recorded, by user.
    pub fn unrecorded(&self, until: Instant) -> Vec<u32> {
        let heard = |(user, claim): (&u32, &Claim)| claim.receipt.filter(|(_, at)| *at <= until).map(|_| *user);
        let users: BTreeSet<u32> = self.by_user.iter().filter_map(heard).collect();
        users.into_iter().collect()
    }
}

/// One claim follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The earlier lease was over.
    pub is_lapsed: bool,
    /// It was another process's.
    pub is_another: bool,
}

/// What was known of a grant that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Of its attempts.
    pub doubt: Known,
    /// The service had refused one.
    pub was_refused: bool,
    /// The service knew its key with another body, or had refused to be read.
    pub was_unfit: bool,
}

/// What a window has to do with a grant that is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// It was certain to be open.
    Open,
    /// It may have closed.
    MayBeClosed,
}

impl GivenUp {
    /// `GRANT-3`: whether the policy for what the service offers lets a grant be parked of which this is known. What is in doubt is
    /// parked only where neither a repetition nor a read can end the doubt.
    pub const fn may_be_parked(self, offer: Offer, window: Window) -> bool {
        let is_hopeless = match offer {
            Offer::PutById | Offer::ReadBack => false,
            Offer::IdempotencyKey => {
                matches!(self.doubt, Known::InDoubtUndated) || matches!(window, Window::MayBeClosed)
            }
            Offer::None => true,
        };
        let is_in_doubt = !matches!(self.doubt, Known::Clear);
        self.was_unfit || is_in_doubt && (self.was_refused || is_hopeless)
    }
}

/// `GRANT-4`: whether a request for the effect that is decided at `now`, while an attempt that was sent at `first_sent_at` may
/// have been applied, is certain to find that attempt's key; a service without keys offers no such time.
pub fn is_within_window(now: Instant, first_sent_at: Instant, window: Option<(Duration, Duration)>) -> bool {
    match window {
        Some((ttl, lifetime)) => now + lifetime < first_sent_at + ttl,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Holder = (0, 0);
    const B: Holder = (1, 3);
    const USER: u32 = 7;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn claimed(holder: Holder, until: u64) -> Claimed {
        Claimed { holder, until: at(until), doubt: Known::Clear, is_delivered: false, clock_error: Duration::ZERO }
    }

    #[test]
    fn a_claim_covers_its_own_process_until_its_lease_ends_or_another_takes_it_over() {
        let mut claims = Claims::default();
        assert_eq!(claims.cover(at(0), USER, A), Cover::None);
        assert_eq!(claims.claimed(at(0), USER, claimed(A, 30)), None);
        assert_eq!((claims.cover(at(29), USER, A), claims.cover(at(30), USER, A)), (Cover::Own, Cover::Over));
        let takeover = Takeover { is_lapsed: true, is_another: true };
        assert_eq!(claims.claimed(at(31), USER, claimed(B, 61)), Some(takeover));
        assert_eq!(claims.cover(at(32), USER, A), Cover::Foreign(B));
    }

    #[test]
    fn a_request_is_the_last_claims_until_the_grant_is_claimed_again_be_it_by_the_same_process() {
        let mut claims = Claims::default();
        claims.claimed(at(0), USER, claimed(A, 30));
        assert!(!claims.is_last(USER, A, 2), "nothing is asked for");
        claims.asked(USER, A, 2);
        assert!(claims.is_last(USER, A, 2) && !claims.is_last(USER, B, 2));
        claims.claimed(at(31), USER, claimed(A, 61));
        claims.asked(USER, B, 2);
        assert!(!claims.is_last(USER, A, 2));
        claims.asked(USER, A, 3);
        assert!(claims.is_last(USER, A, 3) && !claims.is_last(USER, A, 2));
    }

    #[test]
    fn a_receipt_waits_for_its_record_and_dies_with_its_process() {
        let mut claims = Claims::default();
        claims.claimed(at(0), USER, claimed(A, 30));
        claims.receipt(at(1), USER, A);
        claims.claimed(at(31), USER, claimed(B, 61));
        assert_eq!((claims.unrecorded(at(0)), claims.unrecorded(at(1))), (vec![], vec![USER]));
        claims.given_up(USER);
        assert_eq!(claims.unrecorded(at(9)), [USER], "parked is not recorded as applied");
        claims.process_ended(A);
        assert!(claims.unrecorded(at(9)).is_empty());
        claims.receipt(at(40), USER, B);
        assert!(claims.delivered(USER) && claims.unrecorded(at(99)).is_empty());
    }

    #[test]
    fn doubt_begins_with_the_earliest_attempt_and_ends_with_the_grant() {
        let mut claims = Claims::default();
        assert_eq!(claims.doubt(USER), None);
        claims.doubted(USER, at(5));
        claims.doubted(USER, at(3));
        assert_eq!(claims.doubt(USER), Some(at(3)));
        assert!(claims.given_up(USER).doubt == Known::InDoubt && claims.doubt(USER).is_none());
        claims.refused(USER);
        let refused = GivenUp { doubt: Known::Clear, was_refused: true, was_unfit: false };
        assert_eq!(claims.given_up(USER), refused);
        assert!(!claims.given_up(USER).was_refused, "what is settled leaves nothing behind");
    }

    /// By what is known of a grant, the offers under which it may be parked while the window is open, and once it may have closed.
    #[test]
    fn a_grant_is_parked_only_where_nothing_else_can_end_the_doubt() {
        use Offer::{IdempotencyKey, None, PutById, ReadBack};
        type Tell = fn(&mut Claims);
        let doubtful: Tell = |claims| claims.doubted(USER, at(5));
        let after_failover: Tell = |claims| {
            claims.claimed(at(5), USER, Claimed { doubt: Known::InDoubtUndated, ..claimed(A, 30) });
        };
        let read: Tell = |claims| {
            claims.claimed(at(5), USER, Claimed { doubt: Known::InDoubtUndated, ..claimed(A, 30) });
            claims.cleared(USER);
        };
        let refused_in_doubt: Tell = |claims| {
            claims.doubted(USER, at(5));
            claims.refused(USER);
        };
        let cases: [(&str, Tell, &[Offer], &[Offer]); 7] = [
            ("nothing", |_| {}, &[], &[]),
            ("in doubt", doubtful, &[None], &[IdempotencyKey, None]),
            ("in doubt since a failover", after_failover, &[IdempotencyKey, None], &[IdempotencyKey, None]),
            ("the same, and read as absent", read, &[], &[]),
            ("refused", |claims| claims.refused(USER), &[], &[]),
            ("refused in doubt", refused_in_doubt, &Offer::ALL, &Offer::ALL),
            ("another body", |claims| claims.unfit(USER), &Offer::ALL, &Offer::ALL),
        ];
        for (known, tell, while_open, once_closed) in cases {
            for (window, offers) in [(Window::Open, while_open), (Window::MayBeClosed, once_closed)] {
                for offer in [PutById, IdempotencyKey, ReadBack, None] {
                    let mut claims = Claims::default();
                    tell(&mut claims);
                    let may_be_parked = claims.given_up(USER).may_be_parked(offer, window);
                    assert_eq!(may_be_parked, offers.contains(&offer), "{known}, {offer:?}, {window:?}");
                }
            }
        }
    }

    #[test]
    fn the_window_closes_a_requests_lifetime_before_the_key_is_forgotten() {
        let window = Some((Duration::from_secs(60), Duration::from_secs(10)));
        assert!(is_within_window(at(149), at(100), window) && !is_within_window(at(150), at(100), window));
        assert!(!is_within_window(at(101), at(100), None));
    }
}
