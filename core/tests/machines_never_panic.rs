//! Goal: no input makes the hook panic, spin or differ from itself: unknown tickets and attempts, answers that come twice,
//! replies of the wrong kind, times far ahead, settings and `Retry-After` of any length.
//!
//! Method: random sequences of one `Transition` enum are fed to a hook and to its clone. After each input the outputs are
//! drained with a bound on their number; both must give the same outputs, and be equal and hash alike, after every step.
//! Nothing plays the store or the service here, so replies need not make sense. The seed is fixed; `PROPTEST_CASES`
//! raises the number of sequences.

#[expect(dead_code, reason = "only the experiment is used here")]
mod support;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hookproof_core::admission::VisitToken;
use hookproof_core::classify::Doubt;
use hookproof_core::committer::Ticket;
use hookproof_core::delivery::AttemptId;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::hook::{Hook, Input, Output};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::store::{Admitted, ClaimedGrant, Committed, Fence, First, GrantState, Reply};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Body, Capability, Lost, NotSent, Upstream};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};

use support::everyone_is_treated;

/// More outputs than any one input may cause: a claim's reply here has at most 8 grants.
const OUTPUTS_MAX: usize = 100;
/// More calls at one instant than a machine may ask for.
const CALLS_MAX: u32 = 100;

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, cases: default.cases.max(3_000), ..default }
}

/// Whom a reply or an answer is for.
#[derive(Clone, Debug)]
enum Whom {
    /// One of those that were ever named: under way, or answered long ago.
    Named(Index),
    /// Anybody.
    Any(u64),
}

#[derive(Clone, Debug)]
enum Transition {
    Started,
    Visit {
        user: u64,
        user_id: Vec<u8>,
    },
    Stored {
        whom: Whom,
        reply: Reply,
        draw: u64,
    },
    Answered {
        whom: Whom,
        answer: Answer,
        draw: u64,
    },
    Timeout,
    /// Time passes, and the machine is called at each of its deadlines, as often as it asks to be.
    Run(Duration),
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        6 => (0_u64..120_000).prop_map(Duration::from_millis),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => Just(Duration::MAX),
    ]
}

fn wall() -> impl Strategy<Value = WallTime> {
    prop_oneof![
        6 => (0_u64..600_000).prop_map(|ms| WallTime::from_unix_nanos(ms * 1_000_000)),
        1 => any::<u64>().prop_map(WallTime::from_unix_nanos),
        2 => Just(WallTime::MAX),
    ]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![9 => any::<Index>().prop_map(Whom::Named), 1 => any::<u64>().prop_map(Whom::Any)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let status = (0..700_u16, prop::bool::ANY, prop::option::of(duration())).prop_map(|(code, good, retry_after)| {
        Answer::Status { code, body: if good { Body::WellFormed } else { Body::Malformed }, retry_after }
    });
    prop_oneof![
        4 => status,
        1 => select(vec![NotSent::Dns, NotSent::Refused, NotSent::ConnectTimeout, NotSent::Tls])
            .prop_map(Answer::NotSent),
        2 => select(vec![Lost::Timeout, Lost::Reset, Lost::Truncated]).prop_map(Answer::Lost),
    ]
}

fn claimed_grant() -> impl Strategy<Value = ClaimedGrant> {
    let doubt = select(vec![Doubt::Clear, Doubt::InDoubt]);
    let number = || prop_oneof![0..4_u32, Just(u32::MAX)];
    (0..4_u64, number(), number(), doubt, wall(), wall()).prop_map(
        |(user, fence, attempts, doubt, first_sent_at, lease_until)| ClaimedGrant {
            user: UserHandle(user),
            grant: GrantId::from_bytes([7; 16]),
            units: 25,
            fence: Fence(fence),
            attempts,
            doubt,
            first_sent_at,
            lease_until,
        },
    )
}

fn committed() -> impl Strategy<Value = Committed> {
    let states = vec![GrantState::Pending, GrantState::Claimed, GrantState::Delivered, GrantState::Parked];
    let record = (select(vec![First::Exposure, First::Known]), prop::option::of(select(states)))
        .prop_map(|(first, grant)| Admitted { variant: VariantIndex::new(1), first, grant });
    let admitted = (record, wall()).prop_map(|(record, due_at)| Committed::Admitted { record, due_at });
    prop_oneof![
        1 => wall().prop_map(|due_at| Committed::Opened { due_at }),
        3 => admitted,
        5 => (vec(claimed_grant(), 0..8), wall()).prop_map(|(grants, due_at)| Committed::Claimed { grants, due_at }),
        5 => wall().prop_map(|due_at| Committed::Settled { due_at }),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    let reply = prop_oneof![
        8 => (wall(), committed()).prop_map(|(at, result)| Reply::Committed { at, result }),
        1 => Just(Reply::Refused),
        1 => Just(Reply::Unknown),
    ];
    let user_id = prop_oneof![4 => Just(b"user-1".to_vec()), 1 => vec(any::<u8>(), 0..300)];
    prop_oneof![
        1 => Just(Transition::Started),
        3 => (any::<u64>(), user_id).prop_map(|(user, user_id)| Transition::Visit { user, user_id }),
        12 => (whom(), reply, any::<u64>()).prop_map(|(whom, reply, draw)| Transition::Stored { whom, reply, draw }),
        8 => (whom(), answer(), any::<u64>()).prop_map(|(whom, answer, draw)| {
            Transition::Answered { whom, answer, draw }
        }),
        1 => Just(Transition::Timeout),
        4 => duration().prop_map(Transition::Run),
    ]
}

fn delivery_config() -> impl Strategy<Value = DeliveryConfig> {
    let capability = prop_oneof![
        Just(Capability::PutById),
        duration().prop_map(|ttl| Capability::IdempotencyKey { ttl }),
        duration().prop_map(|lag| Capability::ReadBack { lag }),
        Just(Capability::None),
    ];
    let removed = prop::option::of(select(Protection::ALL.to_vec()));
    let counts = (1..4_u16, 1..=u16::MAX, 1..=u16::MAX, 0..40_u32, 1..20_u32);
    let times = vec(duration(), 7);
    (capability, removed, counts, times).prop_map(|(capability, removed, counts, times)| {
        let upstream = Upstream { capability, request_lifetime: Duration::from_secs(5) + times[0] / 2 };
        let mut config = DeliveryConfig::new(upstream, counts.0);
        (config.initial_in_flight, config.max_in_flight) = (counts.1, counts.2);
        (config.retry_budget, config.effects_per_minute) = (counts.3, counts.4);
        config.breaker.min_calls = counts.3 / 4;
        config.lease = Duration::from_secs(30) + times[1] / 2;
        (config.backoff_base, config.backoff_cap) = (times[2], times[3]);
        (config.retry_after_cap, config.credentials_pause) = (times[4], times[5]);
        config.breaker.open = times[6];
        if let Some(removed) = removed {
            config.protections = Protections::ALL.without(removed);
        }
        config
    })
}

/// A hook, its clone, and whom the outside may answer.
struct Twins {
    hook: Hook,
    twin: Hook,
    now: Instant,
    tickets: Vec<Ticket>,
    attempts: Vec<AttemptId>,
}

impl Twins {
    fn new(config: DeliveryConfig) -> Self {
        let hook = Hook::new(everyone_is_treated(), config, Duration::from_millis(500)).expect("the settings fit");
        Self { twin: hook.clone(), hook, now: Instant::ORIGIN, tickets: Vec::new(), attempts: Vec::new() }
    }

    fn step(&mut self, transition: &Transition) {
        match transition {
            Transition::Started => self.input(Input::Started),
            Transition::Visit { user, user_id } => {
                self.input(Input::Visit { visit: VisitToken(*user), user: UserHandle(*user), user_id });
            }
            Transition::Stored { whom, reply, draw } => {
                let ticket = match whom {
                    Whom::Named(index) if !self.tickets.is_empty() => *index.get(&self.tickets),
                    Whom::Named(_) => Ticket(0),
                    Whom::Any(bits) => Ticket(u32::try_from(bits >> 32).expect("half of the bits")),
                };
                self.input(Input::Stored { ticket, reply: reply.clone(), draw: *draw });
            }
            Transition::Answered { whom, answer, draw } => {
                let attempt = match whom {
                    Whom::Named(index) if !self.attempts.is_empty() => *index.get(&self.attempts),
                    Whom::Named(_) => AttemptId::from_bits(0),
                    Whom::Any(bits) => AttemptId::from_bits(*bits),
                };
                self.input(Input::Answered { attempt, answer: *answer, draw: *draw });
            }
            Transition::Timeout => self.timeout(),
            Transition::Run(duration) => self.run(*duration),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.hook.handle_input(self.now, input.clone());
        self.twin.handle_input(self.now, input);
        self.drain();
    }

    fn timeout(&mut self) {
        self.hook.handle_timeout(self.now);
        self.twin.handle_timeout(self.now);
        self.drain();
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut calls = 0;
        while let Some(at) = self.hook.next_deadline(self.now).filter(|at| *at <= end) {
            calls = if at > self.now { 0 } else { calls + 1 };
            assert!(calls < CALLS_MAX, "LOAD-4: a deadline that stays in the past");
            self.now = self.now.max(at);
            self.timeout();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut output_count = 0;
        while let Some(output) = self.hook.poll_output() {
            assert_eq!(Some(&output), self.twin.poll_output().as_ref(), "two clones, the same inputs, other outputs");
            output_count += 1;
            assert!(output_count < OUTPUTS_MAX, "outputs without end");
            match output {
                Output::Store(commit) => self.tickets.push(commit.ticket),
                Output::Send(send) => {
                    assert!(!self.attempts.contains(&send.attempt), "AUDIT-1: two attempts of one name");
                    self.attempts.push(send.attempt);
                }
                Output::Answer(..) | Output::Audit(_) => {}
            }
        }
        assert_eq!(self.twin.poll_output(), None);
        assert_eq!(self.hook.next_deadline(self.now), self.twin.next_deadline(self.now));
        assert_eq!(self.hook, self.twin);
        assert_eq!(hash(&self.hook), hash(&self.twin), "equal machines hash alike");
    }
}

fn hash(hook: &Hook) -> u64 {
    let mut hasher = DefaultHasher::new();
    hook.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_inputs_are_taken_alike_by_two_clones_without_panic_or_end(
        config in delivery_config(),
        transitions in vec(transition(), 1..80),
    ) {
        let mut twins = Twins::new(config);
        twins.step(&Transition::Started);
        for transition in &transitions {
            twins.step(transition);
        }
    }

    #[test]
    fn an_attempt_has_one_answer(
        transitions in vec(transition(), 1..80),
        answers in vec(answer(), 2..4),
    ) {
        let config = DeliveryConfig::new(
            Upstream { capability: Capability::PutById, request_lifetime: Duration::from_secs(5) }, 1);
        let mut twins = Twins::new(config);
        twins.step(&Transition::Started);
        for transition in &transitions {
            twins.step(transition);
        }
        for attempt in twins.attempts.clone() {
            twins.input(Input::Answered { attempt, answer: answers[0], draw: 0 });
            let (in_flight, tickets) = (twins.hook.in_flight(), twins.tickets.len());
            for answer in &answers[1..] {
                twins.input(Input::Answered { attempt, answer: *answer, draw: 0 });
            }
            prop_assert_eq!((twins.hook.in_flight(), twins.tickets.len()), (in_flight, tickets), "AUDIT-1");
        }
        prop_assert_eq!(twins.hook.in_flight(), 0, "LOAD-1: what was answered is not in flight");
    }
}
