//! Goal: `Image::apply` does what the protocol says of every command, in any order, with stale fences, late receipts, commits
//! that vanish, a fleet that is full, capped or paused, and epochs that end.
//!
//! Method: random sequences of one `Transition` enum drive an image and the model of `store/model.rs` side by side. After
//! every step all that can be read of both must agree. The seed is fixed; `PROPTEST_CASES` raises the number of sequences.
//! Single cases follow that tell their story.

mod examples;
mod model;

use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, Fence, FleetLimits, GrantIntent, GrantState,
    Image, LineageId, Load, Open, Reply, Resolution, Resolve, Settle, Settlement, VersionId,
};
use hookproof_core::time::WallTime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};

use self::model::Model;

/// The seed of all random cases.
const SEED: u64 = 7;
const USER_COUNT: u64 = 6;
const START: WallTime = WallTime::from_unix_nanos(1_000_000_000_000);

/// What may happen to a store.
#[derive(Clone, Debug)]
enum Transition {
    Open {
        lineage: u8,
        version: u8,
    },
    Admit(Admit),
    Find(u64),
    Claim {
        limit: u16,
        fleet: FleetLimits,
        lease: Duration,
    },
    /// Settles any claim that was ever answered: mostly a stale one, after a while.
    Settle {
        claim: Index,
        outcome: SettleOutcome,
    },
    /// A human has looked at the grant of a claim that was answered, parked or not.
    Resolve {
        claim: Index,
        resolution: Resolution,
    },
    /// Settles a user or a grant that the store does not know.
    SettleUnknown {
        user: u64,
        outcome: SettleOutcome,
    },
    /// The store has lost commits, or may have.
    BeginEpoch {
        skipped: u32,
    },
    /// Time passes.
    Step(Duration),
    /// The commit does not become durable.
    Vanish(Box<Transition>),
}

/// A settlement with what it tells of the service.
#[derive(Clone, Copy, Debug)]
struct SettleOutcome {
    settlement: Settlement,
    load: Load,
    pause: Duration,
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let after = || (0_u64..20).prop_map(Duration::from_secs);
    let reason = ParkReason::WindowClosed;
    prop_oneof![
        1 => Just(Settlement::Delivered),
        1 => Just(Settlement::Rejected),
        1 => Just(Settlement::Parked { reason, answer: None }),
        1 => Just(Settlement::Parked { reason, answer: Some(AnswerClass::KeyMismatch) }),
        6 => (after(), select(Doubt::ALL.to_vec())).prop_map(|(after, doubt)| Settlement::Again { after, doubt }),
        1 => after().prop_map(|after| Settlement::Unsent { after }),
        3 => after().prop_map(|after| Settlement::Released { after }),
        2 => Just(Settlement::Absent),
    ]
}

fn outcome() -> impl Strategy<Value = SettleOutcome> {
    let load = select(vec![Load::Unknown, Load::Answered, Load::TimedOut]);
    let pause = prop_oneof![9 => Just(0_u64), 1 => 1..60_u64].prop_map(Duration::from_secs);
    (settlement(), load, pause).prop_map(|(settlement, load, pause)| SettleOutcome { settlement, load, pause })
}

fn fleet_limits() -> impl Strategy<Value = FleetLimits> {
    (0..6_u16, 0..8_u16, prop_oneof![Just(6_000_u32), 0..4_u32]).prop_map(
        |(initial_in_flight, max_in_flight, effects_per_minute)| FleetLimits {
            initial_in_flight,
            max_in_flight,
            effects_per_minute,
        },
    )
}

fn transition() -> impl Strategy<Value = Transition> {
    let claim = (0..4_u16, fleet_limits(), 0_u64..30).prop_map(|(limit, fleet, lease)| Transition::Claim {
        limit,
        fleet,
        lease: Duration::from_secs(lease),
    });
    let step = prop_oneof![
        1 => (0..2_u8, 0..4_u8).prop_map(|(lineage, version)| Transition::Open { lineage, version }),
        8 => (0..USER_COUNT, 0..4_u8, 0..3_u8).prop_map(|(user, variant, generation)| {
            Transition::Admit(Admit { generation, ..admit(user, variant) })
        }),
        2 => (0..2 * USER_COUNT).prop_map(Transition::Find),
        10 => claim,
        8 => (any::<Index>(), outcome()).prop_map(|(claim, outcome)| Transition::Settle { claim, outcome }),
        2 => (any::<Index>(), select(Resolution::ALL.to_vec()))
            .prop_map(|(claim, resolution)| Transition::Resolve { claim, resolution }),
        1 => (0..2 * USER_COUNT, outcome()).prop_map(|(user, outcome)| Transition::SettleUnknown { user, outcome }),
        1 => (0..3_u32).prop_map(|skipped| Transition::BeginEpoch { skipped }),
        6 => (0_u64..20).prop_map(|seconds| Transition::Step(Duration::from_secs(seconds))),
    ];
    (step, 0..6_u8).prop_map(|(step, fate)| if fate == 0 { Transition::Vanish(Box::new(step)) } else { step })
}

fn grant_id(user: u64) -> GrantId {
    GrantId::from_bytes([u8::try_from(user).expect("few users"); 16])
}

/// Odd variants are treatments.
fn admit(user: u64, variant: u8) -> Admit {
    let units = u32::from(variant) * 25;
    Admit {
        user: UserHandle(user),
        variant: VariantIndex::new(variant),
        generation: 0,
        grant: (variant % 2 == 1).then(|| GrantIntent { id: grant_id(user), units }),
    }
}

/// The image, the model, and the claims that somebody was told of.
#[derive(Clone, Debug)]
struct Pair {
    image: Image,
    model: Model,
    claims: Vec<ClaimedGrant>,
    delivered: Vec<UserHandle>,
    now: WallTime,
}

impl Pair {
    fn new() -> Self {
        Self { image: Image::default(), model: Model::new(), claims: Vec::new(), delivered: Vec::new(), now: START }
    }

    fn step(&mut self, transition: &Transition) {
        match transition {
            Transition::Step(duration) => self.now = self.now + *duration,
            Transition::Vanish(inner) => self.vanish(inner),
            Transition::BeginEpoch { skipped } => {
                let epoch = Epoch(self.image.epoch().0 + 1 + skipped);
                self.image.begin_epoch(self.now, epoch);
                self.model.begin_epoch(self.now, epoch);
            }
            Transition::Open { .. }
            | Transition::Admit(_)
            | Transition::Find(_)
            | Transition::Claim { .. }
            | Transition::Settle { .. }
            | Transition::Resolve { .. }
            | Transition::SettleUnknown { .. } => {
                let Some(command) = self.command(transition) else { return };
                self.apply(command);
            }
        }
    }

    fn command(&self, transition: &Transition) -> Option<Command> {
        let settle = |user, grant, fence, outcome: &SettleOutcome| {
            let SettleOutcome { settlement, load, pause } = *outcome;
            Command::Settle(Settle { user, grant, fence, settlement, load, pause })
        };
        match transition {
            Transition::Open { lineage, version } => {
                Some(Command::Open(Open { lineage: LineageId([*lineage; 16]), version: VersionId([*version; 16]) }))
            }
            Transition::Admit(admit) => Some(Command::Admit(*admit)),
            Transition::Find(user) => Some(Command::Find(UserHandle(*user))),
            Transition::Claim { limit, fleet, lease } => Some(Command::Claim(Claim {
                nonce: self.nonce(),
                limit: *limit,
                fleet: *fleet,
                lease: *lease,
                into: Vec::new(),
            })),
            Transition::Settle { claim, outcome } if !self.claims.is_empty() => {
                let claim = claim.get(&self.claims);
                Some(settle(claim.user, claim.grant, claim.fence, outcome))
            }
            Transition::Resolve { claim, resolution } if !self.claims.is_empty() => {
                let ClaimedGrant { user, grant, .. } = *claim.get(&self.claims);
                Some(Command::Resolve(Resolve { user, grant, resolution: *resolution }))
            }
            Transition::SettleUnknown { user, outcome } => {
                // Which grant a settled row had is not kept: a receipt for another one would count for it.
                let mut outcome = *outcome;
                if outcome.settlement == Settlement::Delivered {
                    outcome.settlement = Settlement::Absent;
                }
                let fence = Fence { epoch: Epoch(0), claim: 1, nonce: self.nonce() };
                Some(settle(UserHandle(*user), GrantId::from_bytes([0xee; 16]), fence, &outcome))
            }
            Transition::Settle { .. }
            | Transition::Resolve { .. }
            | Transition::BeginEpoch { .. }
            | Transition::Step(_)
            | Transition::Vanish(_) => None,
        }
    }

    /// The next claim's: no other claim that somebody was told of has it.
    fn nonce(&self) -> ClaimNonce {
        ClaimNonce(self.claims.len() as u64 + 1)
    }

    /// Applies a command to both; they must answer alike.
    fn apply(&mut self, command: Command) {
        let before = self.image.clone();
        let result = self.image.apply(self.now, command.clone());
        if !before.writes(self.now, &command) {
            assert_eq!(before.counts(), self.image.counts(), "it was said to write nothing: {command:?}");
            assert_eq!(before.rows_written(), self.image.rows_written(), "it was said to write nothing: {command:?}");
        }
        let expected = self.model_apply(command, &before, &result);
        assert_eq!(result, expected);
        if let Committed::Claimed { grants, .. } = result {
            self.claims.extend(grants);
        }
    }

    fn model_apply(&mut self, command: Command, before: &Image, result: &Committed) -> Committed {
        let limit = self.image.fleet().limit();
        match command {
            Command::Open(open) => self.model.open(open),
            Command::Admit(admit) => self.model.admit(self.now, admit),
            Command::Find(user) => self.model.find(user),
            Command::Claim(claim) => {
                let Committed::Claimed { grants, .. } = result else { panic!("a claim is answered with its grants") };
                let may_take: Vec<_> = before.claimable(self.now, claim.limit).collect();
                assert!(grants.iter().all(|grant| may_take.contains(&grant.user)), "it was said what could be claimed");
                let (claimed_before, claimed) = (before.counts().claimed, self.image.counts().claimed);
                assert!(claimed <= u64::from(limit).max(claimed_before), "LOAD-1: more in flight than the limit");
                assert!((1..=claim.fleet.max_in_flight.max(1)).contains(&limit), "the limit is {limit}");
                self.model.claim(self.now, &claim, limit, grants)
            }
            Command::Resolve(resolve) => self.model.resolve(self.now, resolve),
            Command::Settle(settle) => {
                let earlier = before.fleet().limit();
                match settle.load {
                    Load::Unknown => assert_eq!(limit, earlier, "nothing was learnt"),
                    Load::Answered => assert!([earlier, earlier + 1].contains(&limit), "from {earlier} to {limit}"),
                    Load::TimedOut => assert!(limit <= earlier && limit >= earlier.min(1), "from {earlier} to {limit}"),
                }
                self.model.settle(self.now, settle, (limit > 0).then_some(limit))
            }
        }
    }

    /// Applies a command and takes it back: as if it had never been, but for what the fleet has learnt.
    fn vanish(&mut self, transition: &Transition) {
        let users = match transition {
            Transition::Admit(admit) => vec![admit.user],
            Transition::Claim { limit, .. } => self.image.claimable(self.now, *limit).collect(),
            Transition::Settle { .. } | Transition::SettleUnknown { .. } => match self.command(transition) {
                Some(Command::Settle(settle)) => vec![settle.user],
                _ => return,
            },
            Transition::Resolve { .. } => match self.command(transition) {
                Some(Command::Resolve(resolve)) => vec![resolve.user],
                _ => return,
            },
            Transition::Open { .. }
            | Transition::Find(_)
            | Transition::BeginEpoch { .. }
            | Transition::Step(_)
            | Transition::Vanish(_) => return,
        };
        let saved: Vec<_> = users.iter().map(|user| self.image.save(*user)).collect();
        let (model, claims) = (self.model.clone(), self.claims.clone());
        self.step(transition);
        let learnt = std::mem::replace(&mut self.model, model);
        (self.model.fleet, self.model.outlived) = (learnt.fleet, learnt.outlived);
        for user in &users {
            self.model.outlived.remove(&user.0);
        }
        self.claims = claims;
        for saved in saved.into_iter().rev() {
            self.image.restore(saved);
        }
    }

    fn check(&mut self) {
        let counts = self.image.counts();
        let sum = counts.pending + counts.claimed + counts.delivered + counts.rejected + counts.parked;
        assert_eq!(counts.admitted, sum, "GRANT-3: a grant has left the books");
        assert_eq!(counts, self.model.counts());
        assert_eq!(usize::from(self.image.version_count()), self.model.version_count());
        for user in 0..2 * USER_COUNT {
            let handle = UserHandle(user);
            let expected = self.model.users.get(&user);
            assert_eq!(self.image.variant(handle), expected.map(|user| user.variant), "the variant of {user}");
            let state = expected.and_then(|user| user.grant.as_ref()).map(|grant| grant.state);
            assert_eq!(self.image.grant_state(handle), state, "the grant of {user}");
            assert_eq!(
                self.image.apply(self.now, Command::Find(handle)),
                self.model.find(handle),
                "the record of {user}"
            );
        }
        let parked: Vec<_> = self.image.parked().map(|(user, evidence)| (user.0, *evidence)).collect();
        let evidence = |user: &model::ModelUser| {
            let grant = user.grant.as_ref()?;
            assert_eq!(grant.evidence.is_some(), grant.state == GrantState::Parked, "the model parks with evidence");
            grant.evidence
        };
        let expected: Vec<_> =
            self.model.users.iter().filter_map(|(user, row)| evidence(row).map(|evidence| (*user, evidence))).collect();
        assert_eq!(parked, expected, "GRANT-3: what is parked has evidence, and nothing else has");
        for user in &self.delivered {
            assert_eq!(
                self.image.grant_state(*user),
                Some(GrantState::Delivered),
                "GRANT-1: a delivered grant has left"
            );
        }
        let users = (0..USER_COUNT).map(UserHandle);
        self.delivered = users.filter(|user| self.image.grant_state(*user) == Some(GrantState::Delivered)).collect();
    }
}

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, cases: default.cases.max(3_000), ..default }
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
        pair.step(&Transition::Admit(admit(USER_COUNT, 1)));
        let fleet = FleetLimits { initial_in_flight: 4, max_in_flight: 4, effects_per_minute: 100 };
        pair.step(&Transition::Claim { limit: 1, fleet, lease: Duration::from_secs(30) });
        prop_assert_eq!(pair.claims.len(), 1, "a fresh grant is due at once");
        for transition in &transitions {
            pair.step(transition);
        }
        let user = claim.get(&pair.claims).user;
        let outcome =
            SettleOutcome { settlement: Settlement::Delivered, load: Load::Answered, pause: Duration::ZERO };
        pair.step(&Transition::Settle { claim, outcome });
        for transition in &later {
            pair.step(transition);
        }
        prop_assert_eq!(pair.image.grant_state(user), Some(GrantState::Delivered), "GRANT-5: a receipt was lost");
    }

    #[test]
    fn a_commit_does_its_commands_in_order_at_one_time(transitions in vec(transition(), 1..40)) {
        let mut pair = Pair::new();
        for transition in &transitions {
            pair.step(transition);
        }
        let commands: Vec<_> = transitions.iter().filter_map(|transition| pair.command(transition)).collect();
        let mut single = pair.image.clone();
        let results = commands.iter().map(|command| single.apply(pair.now, command.clone())).collect();
        let reply = pair.image.commit(pair.now, commands);
        prop_assert_eq!(reply, Reply::Committed { at: pair.now, versions: single.version_count(), results });
        prop_assert_eq!(pair.image, single);
    }
}
