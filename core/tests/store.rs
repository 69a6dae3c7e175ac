//! Goal: `Image::apply` does what the protocol says of every command, in any order, with stale fences, late receipts and
//! commits that vanish.
//!
//! Method: random sequences of one `Transition` enum drive an image and a model side by side. The model keeps a plain row
//! for each user and searches where the image has indexes; where the image is free to choose (grants due at the same
//! time), the model checks the choice and follows it. After every step all that can be read of both must agree. The
//! seed is fixed; `PROPTEST_CASES` raises the number of sequences.

use std::collections::BTreeMap;
use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Admitted, Claim, ClaimedGrant, Command, Committed, Counts, Fence, First, GrantIntent, GrantState, Image,
    Settle, Settlement,
};
use hookproof_core::time::WallTime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed};

/// The seed of all random cases.
const SEED: u64 = 7;
const USER_COUNT: u64 = 6;
const START: u64 = 1_000_000_000_000;

/// What may happen to a store.
#[derive(Clone, Debug)]
enum Transition {
    Admit {
        user: u64,
        variant: u8,
    },
    Claim {
        limit: u16,
        lease: Duration,
    },
    /// Settles any claim that was ever answered: mostly a stale one, after a while.
    Settle {
        claim: Index,
        settlement: Settlement,
    },
    /// Settles a user or a grant that the store does not know.
    SettleUnknown {
        user: u64,
        settlement: Settlement,
    },
    /// Time passes.
    Step(Duration),
    /// The commit does not become durable.
    Vanish(Box<Transition>),
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let doubt = prop_oneof![Just(Doubt::Clear), Just(Doubt::InDoubt)];
    prop_oneof![
        1 => Just(Settlement::Delivered),
        1 => Just(Settlement::Rejected),
        1 => Just(Settlement::Parked { reason: ParkReason::WindowClosed, answer: None }),
        1 => Just(Settlement::Parked { reason: ParkReason::KeyMismatch, answer: Some(AnswerClass::KeyMismatch) }),
        6 => (0_u64..20, doubt).prop_map(|(after, doubt)| Settlement::Again { after: Duration::from_secs(after), doubt }),
        3 => Just(Settlement::Released),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    let step = prop_oneof![
        8 => (
            0..USER_COUNT, 0..4_u8
        ).prop_map(|(user, variant)| Transition::Admit { user, variant }),
        8 => (0..4_u16, 0_u64..30).prop_map(|(limit, lease)| {
            Transition::Claim { limit, lease: Duration::from_secs(lease) }
        }),
        8 => (any::<Index>(), settlement()).prop_map(|(claim, settlement)| Transition::Settle { claim, settlement }),
        1 => (0..2 * USER_COUNT, settlement()).prop_map(|(user, settlement)| {
            Transition::SettleUnknown { user, settlement }
        }),
        6 => (0_u64..20).prop_map(|seconds| Transition::Step(Duration::from_secs(seconds))),
    ];
    (step, 0..6_u8).prop_map(|(step, fate)| if fate == 0 { Transition::Vanish(Box::new(step)) } else { step })
}

fn grant_id(user: u64) -> GrantId {
    GrantId::from_bytes([u8::try_from(user).expect("few users"); 16])
}

/// What a variant promises.
fn units(variant: u8) -> u32 {
    u32::from(variant) * 25
}

/// Odd variants are treatments.
fn admit(user: u64, variant: u8) -> Admit {
    Admit {
        user: UserHandle(user),
        variant: VariantIndex::new(variant),
        grant: (variant % 2 == 1).then(|| GrantIntent { id: grant_id(user), units: units(variant) }),
    }
}

#[derive(Clone, Debug)]
struct ModelGrant {
    state: GrantState,
    due_at: WallTime,
    fence: u32,
    attempts: u32,
    doubt: Doubt,
    /// When claims were made that may have been applied, the present one included.
    counted: Vec<WallTime>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    users: BTreeMap<u64, (u8, Option<ModelGrant>)>,
}

impl Model {
    fn admit(&mut self, now: WallTime, user: u64, variant: u8) -> Admitted {
        let first = if self.users.contains_key(&user) { First::Known } else { First::Exposure };
        let (variant, grant) = self.users.entry(user).or_insert_with(|| {
            let fresh = ModelGrant {
                state: GrantState::Pending,
                due_at: now,
                fence: 0,
                attempts: 0,
                doubt: Doubt::Clear,
                counted: Vec::new(),
            };
            (variant, (variant % 2 == 1).then_some(fresh))
        });
        let grant = grant.as_ref().map(|grant| grant.state);
        Admitted { variant: VariantIndex::new(*variant), first, grant }
    }

    fn grant_mut(&mut self, user: u64) -> Option<&mut ModelGrant> {
        self.users.get_mut(&user).and_then(|(_, grant)| grant.as_mut())
    }

    fn open(&self) -> impl Iterator<Item = (u64, &ModelGrant)> {
        self.users.iter().filter_map(|(user, (_, grant))| grant.as_ref().map(|grant| (*user, grant))).filter(
            |(_, grant)| match grant.state {
                GrantState::Pending | GrantState::Claimed => true,
                GrantState::Delivered | GrantState::Rejected | GrantState::Parked => false,
            },
        )
    }

    fn due_at(&self) -> WallTime {
        self.open().map(|(_, grant)| grant.due_at).min().unwrap_or(WallTime::MAX)
    }

    /// Checks which grants were taken, takes them, and compares what the claimer was told.
    fn claim(&mut self, now: WallTime, limit: u16, lease: Duration, claimed: &[ClaimedGrant]) {
        let mut due: Vec<WallTime> =
            self.open().map(|(_, grant)| grant.due_at).filter(|due_at| *due_at <= now).collect();
        due.sort();
        due.truncate(usize::from(limit));
        let taken: Vec<WallTime> =
            claimed.iter().map(|claim| self.grant_mut(claim.user.0).expect("only grants are claimed").due_at).collect();
        assert_eq!(taken, due, "the longest due go first, and no more than the limit");
        for claim in claimed {
            let variant = self.users[&claim.user.0].0;
            let grant = self.grant_mut(claim.user.0).expect("only grants are claimed");
            if grant.state == GrantState::Claimed {
                grant.doubt = Doubt::InDoubt;
            }
            grant.state = GrantState::Claimed;
            grant.fence += 1;
            grant.attempts += 1;
            grant.counted.push(now);
            grant.due_at = now + lease.max(Duration::from_nanos(1));
            let expected = ClaimedGrant {
                user: claim.user,
                grant: grant_id(claim.user.0),
                units: units(variant),
                fence: Fence(grant.fence),
                attempts: grant.attempts,
                doubt: grant.doubt,
                first_sent_at: grant.counted[0],
                lease_until: grant.due_at,
            };
            assert_eq!(*claim, expected, "what the claimer is told");
        }
    }

    fn settle(&mut self, now: WallTime, settle: Settle) {
        let Some(grant) = self.grant_mut(settle.user.0) else { return };
        if settle.grant != grant_id(settle.user.0) {
            return;
        }
        // A receipt counts under any fence and in any state.
        if settle.settlement == Settlement::Delivered {
            grant.state = GrantState::Delivered;
            return;
        }
        let is_live = grant.state == GrantState::Claimed && grant.fence == settle.fence.0;
        match settle.settlement {
            Settlement::Again { doubt: Doubt::InDoubt, .. } if !is_live => {
                if grant.doubt == Doubt::Clear {
                    grant.counted.insert(0, WallTime::UNIX_EPOCH);
                }
                grant.doubt = Doubt::InDoubt;
            }
            _ if !is_live => {}
            Settlement::Delivered => {}
            Settlement::Rejected => grant.state = GrantState::Rejected,
            Settlement::Parked { .. } => grant.state = GrantState::Parked,
            Settlement::Again { after, doubt } => {
                grant.doubt = grant.doubt.max(doubt);
                grant.due_at = now + after;
                grant.state = GrantState::Pending;
            }
            Settlement::Released => {
                grant.attempts -= 1;
                grant.due_at = now;
                grant.state = GrantState::Pending;
            }
        }
        if grant.state == GrantState::Pending && grant.doubt == Doubt::Clear {
            // Nothing can have been applied, so no window has begun.
            grant.counted.clear();
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, grant) in self.users.values() {
            let Some(grant) = grant else { continue };
            counts.admitted += 1;
            match grant.state {
                GrantState::Pending => counts.pending += 1,
                GrantState::Claimed => counts.claimed += 1,
                GrantState::Delivered => counts.delivered += 1,
                GrantState::Rejected => counts.rejected += 1,
                GrantState::Parked => counts.parked += 1,
            }
        }
        counts
    }
}

/// The image, the model, and the claims that somebody was told of.
#[derive(Clone, Debug)]
struct Pair {
    image: Image,
    model: Model,
    claims: Vec<ClaimedGrant>,
    now: WallTime,
}

impl Pair {
    fn new() -> Self {
        let now = WallTime::from_unix_nanos(START);
        Self { image: Image::default(), model: Model::default(), claims: Vec::new(), now }
    }

    fn step(&mut self, transition: &Transition) {
        match transition {
            Transition::Step(duration) => self.now = self.now + *duration,
            Transition::Vanish(inner) => self.vanish(inner),
            Transition::Admit { user, variant } => {
                let known = self.image.variant(UserHandle(*user));
                let result = self.image.apply(self.now, Command::Admit(admit(*user, *variant)));
                let record = self.model.admit(self.now, *user, *variant);
                assert_eq!(result, Committed::Admitted { record, due_at: self.model.due_at() });
                if known.is_some() {
                    assert_eq!(self.image.variant(UserHandle(*user)), known, "ASSIGN-1: a user was moved");
                }
            }
            Transition::Claim { limit, lease } => {
                let claimable: Vec<_> = self.image.claimable(self.now, *limit).collect();
                let command = Command::Claim(Claim { limit: *limit, lease: *lease, into: Vec::new() });
                let Committed::Claimed { grants, due_at } = self.image.apply(self.now, command) else {
                    panic!("a claim is answered with what was claimed");
                };
                assert_eq!(grants.iter().map(|claim| claim.user).collect::<Vec<_>>(), claimable);
                self.model.claim(self.now, *limit, *lease, &grants);
                assert_eq!(due_at, self.model.due_at());
                self.claims.extend(grants);
            }
            Transition::Settle { .. } | Transition::SettleUnknown { .. } => {
                let Some(settle) = self.settle_of(transition) else { return };
                let result = self.image.apply(self.now, Command::Settle(settle));
                self.model.settle(self.now, settle);
                assert_eq!(result, Committed::Settled { due_at: self.model.due_at() });
            }
        }
    }

    fn settle_of(&self, transition: &Transition) -> Option<Settle> {
        match transition {
            Transition::Settle { claim, settlement } if !self.claims.is_empty() => {
                let claim = claim.get(&self.claims);
                Some(Settle { user: claim.user, grant: claim.grant, fence: claim.fence, settlement: *settlement })
            }
            Transition::SettleUnknown { user, settlement } => {
                let grant = GrantId::from_bytes([0xee; 16]);
                let settlement = match settlement {
                    // Which grant a settled row had is not kept: it follows from the user.
                    Settlement::Delivered => Settlement::Released,
                    Settlement::Rejected
                    | Settlement::Parked { .. }
                    | Settlement::Again { .. }
                    | Settlement::Released => *settlement,
                };
                Some(Settle { user: UserHandle(*user), grant, fence: Fence(1), settlement })
            }
            Transition::Settle { .. }
            | Transition::Admit { .. }
            | Transition::Claim { .. }
            | Transition::Step(_)
            | Transition::Vanish(_) => None,
        }
    }

    /// Applies a command and takes it back: as if it had never been.
    fn vanish(&mut self, transition: &Transition) {
        let (command, users) = match transition {
            Transition::Admit { user, variant } => (Command::Admit(admit(*user, *variant)), vec![UserHandle(*user)]),
            Transition::Claim { limit, lease } => {
                let users = self.image.claimable(self.now, *limit).collect();
                (Command::Claim(Claim { limit: *limit, lease: *lease, into: Vec::new() }), users)
            }
            Transition::Settle { .. } | Transition::SettleUnknown { .. } => {
                let Some(settle) = self.settle_of(transition) else { return };
                (Command::Settle(settle), vec![settle.user])
            }
            Transition::Step(_) | Transition::Vanish(_) => return,
        };
        let saved: Vec<_> = users.iter().map(|user| self.image.save(*user)).collect();
        self.image.apply(self.now, command);
        for saved in saved.into_iter().rev() {
            self.image.restore(saved);
        }
    }

    fn check(&mut self) {
        let counts = self.image.counts();
        let sum = counts.pending + counts.claimed + counts.delivered + counts.rejected + counts.parked;
        assert_eq!(counts.admitted, sum, "GRANT-3: a grant has left the books");
        assert_eq!(counts, self.model.counts());
        assert_eq!(
            self.image.apply(self.now, Command::Open),
            Committed::Opened { due_at: self.model.due_at() },
            "opening tells when the next grant is due"
        );
        for user in 0..2 * USER_COUNT {
            let expected = self.model.users.get(&user);
            assert_eq!(
                self.image.variant(UserHandle(user)),
                expected.map(|(variant, _)| VariantIndex::new(*variant)),
                "the variant of {user}"
            );
            assert_eq!(
                self.image.grant_state(UserHandle(user)),
                expected.and_then(|(_, grant)| grant.as_ref()).map(|grant| grant.state),
                "the grant of {user}"
            );
        }
        let parked: Vec<_> = self.image.parked().map(|(user, evidence)| (user.0, evidence.grant)).collect();
        let expected: Vec<_> = self
            .model
            .users
            .iter()
            .filter(|(_, (_, grant))| grant.as_ref().is_some_and(|grant| grant.state == GrantState::Parked))
            .map(|(user, _)| (*user, grant_id(*user)))
            .collect();
        assert_eq!(parked, expected, "GRANT-3: what is parked has evidence, and nothing else has");
    }
}

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, cases: default.cases.max(2_000), ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_image_does_what_the_model_does(transitions in vec(transition(), 1..120)) {
        let mut pair = Pair::new();
        for transition in &transitions {
            pair.step(transition);
            pair.check();
        }
    }

    #[test]
    fn a_receipt_of_any_claim_settles_its_grant_for_good(
        transitions in vec(transition(), 1..60),
        claim in any::<Index>(),
        later in vec(transition(), 1..20),
    ) {
        let mut pair = Pair::new();
        for transition in &transitions {
            pair.step(transition);
        }
        pair.step(&Transition::Admit { user: USER_COUNT, variant: 1 });
        pair.step(&Transition::Claim { limit: u16::MAX, lease: Duration::from_secs(30) });
        prop_assert!(!pair.claims.is_empty(), "a fresh grant is due at once");
        let user = claim.get(&pair.claims).user;
        pair.step(&Transition::Settle { claim, settlement: Settlement::Delivered });
        for transition in &later {
            pair.step(transition);
        }
        prop_assert_eq!(pair.image.grant_state(user), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
    }
}

const USER: UserHandle = UserHandle(0);

fn at(seconds: u64) -> WallTime {
    WallTime::from_unix_nanos(START) + Duration::from_secs(seconds)
}

/// An image with one treated user, admitted at 0.
fn image() -> Image {
    let mut image = Image::default();
    image.apply(at(0), Command::Admit(admit(0, 1)));
    image
}

fn claim(image: &mut Image, now: WallTime, limit: u16, lease: Duration) -> Vec<ClaimedGrant> {
    match image.apply(now, Command::Claim(Claim { limit, lease, into: Vec::new() })) {
        Committed::Claimed { grants, .. } => grants,
        Committed::Opened { .. } | Committed::Admitted { .. } | Committed::Settled { .. } => {
            panic!("a claim is answered with what was claimed")
        }
    }
}

/// Claims the one grant that is due.
fn claim_one(image: &mut Image, now: WallTime) -> ClaimedGrant {
    let claimed = claim(image, now, 10, Duration::from_secs(30));
    assert_eq!(claimed.len(), 1);
    claimed[0]
}

fn settle(image: &mut Image, now: WallTime, claim: &ClaimedGrant, settlement: Settlement) {
    let settle = Settle { user: claim.user, grant: claim.grant, fence: claim.fence, settlement };
    image.apply(now, Command::Settle(settle));
}

fn again(after_s: u64, doubt: Doubt) -> Settlement {
    Settlement::Again { after: Duration::from_secs(after_s), doubt }
}

#[test]
fn a_second_admission_finds_the_first_variant_and_makes_no_second_grant() {
    let mut image = image();
    let other = Admit { grant: Some(GrantIntent { id: GrantId::from_bytes([9; 16]), units: 1 }), ..admit(0, 3) };
    let Committed::Admitted { record: admitted, .. } = image.apply(at(1), Command::Admit(other)) else {
        panic!("an admission is answered with what was admitted");
    };
    assert_eq!(
        admitted,
        Admitted { variant: VariantIndex::new(1), first: First::Known, grant: Some(GrantState::Pending) }
    );
    assert_eq!(image.counts().admitted, 1, "GRANT-1: a second grant for one user");
    assert!(!image.writes(&Command::Admit(other)));
}

#[test]
fn the_window_begins_with_the_first_claim_that_may_have_been_applied() {
    let mut image = image();
    let refused = claim_one(&mut image, at(1));
    assert_eq!(refused.first_sent_at, at(1));
    settle(&mut image, at(2), &refused, again(0, Doubt::Clear));
    let lost = claim_one(&mut image, at(10));
    assert_eq!((lost.first_sent_at, lost.doubt), (at(10), Doubt::Clear), "the first claim was not applied");
    settle(&mut image, at(11), &lost, again(0, Doubt::InDoubt));
    let third = claim_one(&mut image, at(20));
    assert_eq!((third.first_sent_at, third.doubt, third.attempts), (at(10), Doubt::InDoubt, 3));
    settle(&mut image, at(21), &third, again(0, Doubt::Clear));
    let fourth = claim_one(&mut image, at(30));
    assert_eq!((fourth.first_sent_at, fourth.doubt), (at(10), Doubt::InDoubt), "doubt is sticky");
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
        Settlement::Released,
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
        Settlement::Released,
    ] {
        let mut image = image();
        let claimed = claim_one(&mut image, at(0));
        settle(&mut image, at(1), &claimed, settlement);
        let (counts, due) = (image.counts(), image.apply(at(1), Command::Open));
        settle(&mut image, at(3), &claimed, settlement);
        assert_eq!((image.counts(), image.apply(at(3), Command::Open)), (counts, due), "{settlement:?}");
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
