//! Goal: after any storm, everything promised settles with at most one effect: lost commits and answers, refused credentials,
//! processes that end, sleep, are told to stop or are replaced, and a store that is rolled back and says so.
//!
//! Method: one `Transition` enum drives the bench (`bench.rs`); then a calm in which nothing fails, and a look at the service's
//! ledger. The seed is fixed; `PROPTEST_CASES` raises the number of storms.

use std::time::Duration;

use hookproof_core::store::{GrantState, Image};
use hookproof_core::upstream::{Answer, Body, Capability, NotSent};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::bench::{Bench, Fate, Handling, TIMED_OUT, WITH_KEYS, config};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// One thing that happens in a storm.
#[derive(Clone, Debug)]
enum Transition {
    Visit {
        process: usize,
        user: u64,
    },
    Handle(Handling),
    AdmitFate(Fate),
    ClaimFate(Fate),
    SettleFate(Fate),
    OpenFate(Fate),
    Crash {
        process: usize,
    },
    Start {
        process: usize,
    },
    Stop {
        process: usize,
    },
    Pause {
        process: usize,
    },
    Resume {
        process: usize,
    },
    Run(Duration),
    Step(u8),
    /// The store's content is copied for a later rollback.
    BackUp,
    RollBack,
}

const STORM_USER_COUNT: u64 = 8;

fn handling() -> impl Strategy<Value = Handling> {
    let code = prop::sample::select(vec![202_u16, 301, 400, 401, 404, 408, 409, 418, 422, 429, 500, 503, 504]);
    let body = prop::sample::select(vec![Body::WellFormed, Body::Malformed]);
    let retry_after = prop_oneof![Just(None), (0_u64..7_200).prop_map(|seconds| Some(Duration::from_secs(seconds)))];
    prop_oneof![
        2 => Just(Handling::ApplyAndLose),
        2 => Just(Handling::Answer(TIMED_OUT)),
        1 => Just(Handling::Answer(Answer::NotSent(NotSent::Refused))),
        4 => (code, body, retry_after).prop_map(|(code, body, retry_after)| {
            Handling::Answer(Answer::Status { code, body, retry_after })
        }),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    let fate = || prop::sample::select(vec![Fate::Refused, Fate::ReplyLost, Fate::CommandLost]);
    let process = || 0..2_usize;
    prop_oneof![
        6 => (process(), 0..STORM_USER_COUNT).prop_map(|(process, user)| Transition::Visit { process, user }),
        6 => handling().prop_map(Transition::Handle),
        1 => fate().prop_map(Transition::OpenFate),
        1 => fate().prop_map(Transition::AdmitFate),
        2 => fate().prop_map(Transition::ClaimFate),
        2 => fate().prop_map(Transition::SettleFate),
        1 => process().prop_map(|process| Transition::Crash { process }),
        2 => process().prop_map(|process| Transition::Start { process }),
        1 => process().prop_map(|process| Transition::Stop { process }),
        1 => process().prop_map(|process| Transition::Pause { process }),
        2 => process().prop_map(|process| Transition::Resume { process }),
        3 => (0_u64..60_000).prop_map(|ms| Transition::Run(Duration::from_millis(ms))),
        6 => (0..20_u8).prop_map(Transition::Step),
    ]
}

fn transition_with_rollbacks() -> impl Strategy<Value = Transition> {
    prop_oneof![18 => transition(), 1 => Just(Transition::BackUp), 1 => Just(Transition::RollBack)]
}

/// A bench in a storm, with what its store can be rolled back to.
struct Storm {
    bench: Bench,
    backup: Image,
    is_rolled_back: bool,
}

impl Storm {
    fn new(capability: Capability, draw: u64) -> Self {
        let mut bench = Bench::new(config(capability), 2);
        bench.draw = draw;
        Self { backup: bench.image.clone(), bench, is_rolled_back: false }
    }

    fn step(&mut self, transition: &Transition) {
        let bench = &mut self.bench;
        match transition {
            Transition::Visit { process, user } => bench.visit(*process, *user),
            Transition::Handle(handling) => bench.service.script.push_back(*handling),
            Transition::OpenFate(fate) => bench.open_fates.push_back(*fate),
            Transition::AdmitFate(fate) => bench.admit_fates.push_back(*fate),
            Transition::ClaimFate(fate) => bench.claim_fates.push_back(*fate),
            Transition::SettleFate(fate) => bench.settle_fates.push_back(*fate),
            Transition::Crash { process } => bench.crash(*process),
            Transition::Start { process } => bench.start(*process),
            Transition::Stop { process } => bench.stop(*process),
            Transition::Pause { process } => bench.pause(*process),
            Transition::Resume { process } => bench.resume(*process),
            Transition::Run(duration) => bench.run_for(*duration),
            Transition::Step(count) => (0..*count).for_each(|_| {
                bench.step();
            }),
            Transition::BackUp => self.backup = bench.image.clone(),
            Transition::RollBack => {
                let epoch = bench.image.epoch();
                if self.backup.epoch() == epoch {
                    bench.roll_back(self.backup.clone());
                    self.backup = bench.image.clone();
                    self.is_rolled_back = true;
                }
            }
        }
    }

    /// Nothing fails any more, and whoever had ended is back. Nobody visits.
    fn calm(&mut self) {
        let bench = &mut self.bench;
        bench.service.script.clear();
        bench.open_fates.clear();
        bench.admit_fates.clear();
        bench.claim_fates.clear();
        bench.settle_fates.clear();
        for process in 0..2 {
            bench.resume(process);
            // Nothing tells a process that the store was rolled back, and what is due again since.
            if !bench.is_alive(process) || self.is_rolled_back {
                bench.start(process);
            }
        }
        bench.run_for(8 * HOUR);
    }

    fn check(&self) {
        let bench = &self.bench;
        let counts = bench.image.counts();
        assert_eq!((counts.pending, counts.claimed), (0, 0), "GRANT-3: something is left in the calm");
        for user in 0..STORM_USER_COUNT {
            let applied = bench.service.applied(user);
            assert!(applied <= 1, "GRANT-1: user {user} has {applied} effects");
            match bench.state(user) {
                Some(GrantState::Delivered) => assert_eq!(applied, 1, "GRANT-3: delivered without an effect"),
                Some(GrantState::Rejected) => assert_eq!(applied, 0, "GRANT-3: rejected with an effect"),
                Some(GrantState::Parked) => {}
                Some(GrantState::Pending | GrantState::Claimed) => unreachable!("counted above"),
                None if self.is_rolled_back => {}
                None => assert_eq!(applied, 0, "GRANT-2"),
            }
        }
    }
}

fn capability() -> impl Strategy<Value = Capability> {
    prop::sample::select(vec![
        WITH_KEYS,
        Capability::IdempotencyKey { ttl: Duration::from_secs(60) },
        Capability::PutById,
        Capability::ReadBack { lag: SECOND },
        Capability::None,
    ])
}

/// Fixed seed; failures are repeated by it, so none are written to a file. `PROPTEST_CASES` raises the number of storms.
fn config_of_cases() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, cases: default.cases.max(4_000), ..default }
}

proptest! {
    #![proptest_config(config_of_cases())]

    #[test]
    fn after_any_storm_everything_promised_settles_with_at_most_one_effect(
        capability in capability(),
        transitions in vec(transition(), 1..80),
        draw in any::<u64>(),
    ) {
        let mut storm = Storm::new(capability, draw);
        for transition in &transitions {
            storm.step(transition);
        }
        storm.calm();
        storm.check();
    }

    #[test]
    fn after_any_storm_with_rollbacks_that_the_epoch_tells_of_it_does_too(
        capability in capability(),
        transitions in vec(transition_with_rollbacks(), 1..80),
        draw in any::<u64>(),
    ) {
        let mut storm = Storm::new(capability, draw);
        for transition in &transitions {
            storm.step(transition);
        }
        storm.calm();
        storm.check();
    }
}
