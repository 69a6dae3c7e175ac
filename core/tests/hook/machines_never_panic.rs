//! Goal: no input makes a machine panic, spin or differ from itself: unknown tickets and attempts, answers that come twice,
//! replies of the wrong kind or length, times far ahead or behind, an end at any time, settings and `Retry-After` of any length.
//!
//! Method: random sequences of one `Transition` enum are fed to a hook and to its clone. After each input the outputs are
//! drained with a bound on their number; both must give the same outputs, and be equal and hash alike, after every step.
//! Nothing plays the store or the service here, so replies need not make sense. Delivery, the committer and the image are then
//! fed alone with what a hook would never pass on to them. The seed is fixed; `PROPTEST_CASES` raises the number of sequences.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hookproof_core::admission::VisitToken;
use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::committer::{Commit, Committer, CommitterConfig, Origin, Ticket};
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::delivery::{self, AttemptId, Delivery};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::hook::{Hook, HookConfig, Input, Output};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::store::{
    Admit, Admitted, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, Fence, First, FleetLimits,
    GrantIntent, GrantState, Hold, Image, LineageId, Load, Open, Reply, Settle, Settlement, VersionId,
};
use hookproof_core::time::{Instant, Now, WallTime};
use hookproof_core::upstream::{Answer, Body, Capability, Lost, NotSent, Upstream};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};

use super::bench::{EVERYBODY_PPM, among, experiment};

const CLOCK_ERROR: Duration = Duration::from_millis(500);
/// More outputs than any one input may cause: a claim's reply here has at most 8 grants.
const OUTPUTS_MAX: usize = 100;
/// Deadlines in one run; after them, the process sleeps until the run's end.
const DEADLINES_MAX: u32 = 40;
/// More calls at one instant than a machine may ask for.
const CALLS_MAX: u32 = 100;

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    let default = Config::default();
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, cases: default.cases.max(1_000), ..default }
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
    Started {
        draw: u64,
    },
    Visit {
        user: u64,
        user_id: Vec<u8>,
    },
    Stored {
        whom: Whom,
        reply: Reply,
        draw: u64,
    },
    /// The commit under way is done, with results of the right kinds.
    Done {
        at: WallTime,
        versions: u16,
        nonsense: Nonsense,
        draw: u64,
    },
    Answered {
        whom: Whom,
        answer: Answer,
        draw: u64,
    },
    Timeout,
    Stop,
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

fn fence() -> impl Strategy<Value = Fence> {
    let number = || prop_oneof![4 => 0..4_u32, 1 => Just(u32::MAX)];
    (number(), number(), 0..4_u64).prop_map(|(epoch, claim, nonce)| Fence {
        epoch: Epoch(epoch),
        claim,
        nonce: ClaimNonce(nonce),
    })
}

fn claimed_grant() -> impl Strategy<Value = ClaimedGrant> {
    let attempts = prop_oneof![0..4_u32, Just(u32::MAX)];
    let times = (wall(), wall(), wall(), wall());
    (0..4_u64, fence(), attempts, select(Doubt::ALL.to_vec()), times).prop_map(
        |(user, fence, attempts, doubt, times)| {
            let (first_sent_at, sent_until, claimed_at, lease_until) = times;
            let (user, grant) = (UserHandle(user), GrantId::from_bytes([7; 16]));
            ClaimedGrant {
                user,
                grant,
                units: 25,
                fence,
                attempts,
                doubt,
                first_sent_at,
                sent_until,
                claimed_at,
                lease_until,
            }
        },
    )
}

fn hold() -> impl Strategy<Value = Option<Hold>> {
    prop_oneof![
        Just(None),
        Just(Some(Hold::Full)),
        wall().prop_map(|until| Some(Hold::Paused(until))),
        wall().prop_map(|until| Some(Hold::Capped(until))),
    ]
}

fn record() -> impl Strategy<Value = Admitted> {
    let states = vec![GrantState::Pending, GrantState::Claimed, GrantState::Delivered, GrantState::Parked];
    (select(vec![First::Exposure, First::Known]), any::<u8>(), prop::option::of(select(states)))
        .prop_map(|(first, generation, grant)| Admitted { variant: VariantIndex::new(1), first, generation, grant })
}

/// A result of the kind that a command waits for, with no sense in it.
fn result_for(command: &Command, nonsense: &Nonsense) -> Committed {
    let due_at = nonsense.due_at;
    match command {
        Command::Open(_) if nonsense.hold == Some(Hold::Full) => Committed::Foreign,
        Command::Open(open) => Committed::Opened { due_at, versions: vec![open.version] },
        Command::Admit(_) => Committed::Admitted { record: nonsense.record, due_at },
        Command::Find(_) => Committed::Found { record: Some(nonsense.record), due_at },
        Command::Claim(_) => Committed::Claimed { grants: nonsense.grants.clone(), due_at, hold: nonsense.hold },
        Command::Settle(_) => Committed::Settled { due_at },
        Command::Resolve(_) => Committed::Resolved { was_parked: nonsense.hold.is_some(), due_at },
    }
}

/// What results are made of.
#[derive(Clone, Debug)]
struct Nonsense {
    due_at: WallTime,
    record: Admitted,
    grants: Vec<ClaimedGrant>,
    hold: Option<Hold>,
}

fn nonsense() -> impl Strategy<Value = Nonsense> {
    let hold = prop_oneof![4 => Just(None), 1 => hold()];
    (wall(), record(), vec(claimed_grant(), 0..8), hold).prop_map(|(due_at, record, grants, hold)| Nonsense {
        due_at,
        record,
        grants,
        hold,
    })
}

/// A result of any kind.
fn committed() -> impl Strategy<Value = Committed> {
    let versions = vec(any::<[u8; 16]>().prop_map(VersionId), 0..3);
    prop_oneof![
        (wall(), versions).prop_map(|(due_at, versions)| Committed::Opened { due_at, versions }),
        Just(Committed::Foreign),
        (record(), wall()).prop_map(|(record, due_at)| Committed::Admitted { record, due_at }),
        (prop::option::of(record()), wall()).prop_map(|(record, due_at)| Committed::Found { record, due_at }),
        (vec(claimed_grant(), 0..8), wall(), hold()).prop_map(|(grants, due_at, hold)| Committed::Claimed {
            grants,
            due_at,
            hold
        }),
        wall().prop_map(|due_at| Committed::Settled { due_at }),
        (any::<bool>(), wall()).prop_map(|(was_parked, due_at)| Committed::Resolved { was_parked, due_at }),
    ]
}

/// A reply to a commit of which nothing need be known.
fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => (wall(), 0..4_u16, vec(committed(), 0..5))
            .prop_map(|(at, versions, results)| Reply::Committed { at, versions, results }),
        1 => Just(Reply::Refused),
        1 => Just(Reply::Unknown),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    let user_id = prop_oneof![4 => Just(b"user-1".to_vec()), 1 => vec(any::<u8>(), 0..300)];
    prop_oneof![
        1 => any::<u64>().prop_map(|draw| Transition::Started { draw }),
        3 => (any::<u64>(), user_id).prop_map(|(user, user_id)| Transition::Visit { user, user_id }),
        3 => (whom(), reply(), any::<u64>()).prop_map(|(whom, reply, draw)| Transition::Stored { whom, reply, draw }),
        14 => (wall(), select(vec![1_u16, 1, 1, 2]), nonsense(), any::<u64>()).prop_map(|(at, versions, nonsense, draw)| {
            Transition::Done { at, versions, nonsense, draw }
        }),
        8 => (whom(), answer(), any::<u64>()).prop_map(|(whom, answer, draw)| {
            Transition::Answered { whom, answer, draw }
        }),
        1 => Just(Transition::Timeout),
        1 => Just(Transition::Stop),
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
    let counts = (1..=u16::MAX, 1..=u16::MAX, 0..40_u32, 1..20_u32);
    let times = vec(duration(), 7);
    (capability, removed, counts, times).prop_map(|(capability, removed, counts, times)| {
        let upstream = Upstream { capability, request_lifetime: Duration::from_secs(5) + times[0] / 2 };
        let mut config = DeliveryConfig::new(upstream, CLOCK_ERROR);
        let (initial_in_flight, max_in_flight, retry_budget, effects_per_minute) = counts;
        config.fleet = FleetLimits { initial_in_flight, max_in_flight, effects_per_minute };
        config.retry_budget = retry_budget;
        config.breaker.min_calls = retry_budget / 4;
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

fn hook_config() -> impl Strategy<Value = HookConfig> {
    let patience = duration().prop_map(|patience| patience.max(Duration::from_nanos(1)));
    (delivery_config(), 1..4_u16, patience).prop_map(|(delivery, batch_max, patience)| HookConfig {
        delivery,
        committer: CommitterConfig { batch_max, patience },
    })
}

/// A hook, its clone, and whom the outside may answer.
struct Twins {
    hook: Hook,
    twin: Hook,
    now: Instant,
    tickets: Vec<Ticket>,
    under_way: Option<Commit>,
    attempts: Vec<AttemptId>,
}

impl Twins {
    fn new(config: HookConfig) -> Self {
        // Three quarters of the users are treated, and a third takes part: every branch of an admission is reached.
        let lineage = among(experiment(EVERYBODY_PPM / 3, [1, 3]), vec![experiment(EVERYBODY_PPM / 2, [1, 1])]);
        let hook = Hook::new(lineage, config).expect("the settings fit");
        let twin = hook.clone();
        Self { hook, twin, now: Instant::ORIGIN, tickets: Vec::new(), under_way: None, attempts: Vec::new() }
    }

    fn step(&mut self, transition: &Transition) {
        match transition {
            Transition::Started { draw } => self.input(Input::Started { draw: *draw }),
            Transition::Visit { user, user_id } => {
                self.input(Input::Visit { visit: VisitToken(*user), user: UserHandle(*user), user_id });
            }
            Transition::Stored { whom, reply, draw } => {
                let ticket = match whom {
                    Whom::Named(index) if !self.tickets.is_empty() => *index.get(&self.tickets),
                    Whom::Named(_) => Ticket(0),
                    Whom::Any(bits) => Ticket(u32::try_from(bits >> 32).expect("half of the bits")),
                };
                self.under_way.take_if(|commit| commit.ticket == ticket);
                self.input(Input::Stored { ticket, reply: reply.clone(), draw: *draw });
            }
            Transition::Done { at, versions, nonsense, draw } => {
                let Some(Commit { ticket, commands, .. }) = self.under_way.take() else { return };
                let results = commands.iter().map(|command| result_for(command, nonsense)).collect();
                let reply = Reply::Committed { at: *at, versions: *versions, results };
                self.input(Input::Stored { ticket, reply, draw: *draw });
            }
            Transition::Stop => self.input(Input::Stop),
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
        // A store that refuses is asked every few seconds, and a run may last centuries.
        for _ in 0..DEADLINES_MAX {
            let Some(at) = self.hook.next_deadline(self.now).filter(|at| *at <= end) else { break };
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
                Output::Store(commit) => {
                    assert!(!self.tickets.contains(&commit.ticket), "two commits of one name");
                    self.tickets.push(commit.ticket);
                    assert!(self.under_way.replace(commit).is_none(), "two commits under way at once");
                }
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

fn delivery_input() -> impl Strategy<Value = delivery::Input> {
    let attempt = || prop_oneof![9 => 0..12_u64, 1 => any::<u64>()].prop_map(AttemptId::from_bits);
    let due_in = || prop::option::of(duration());
    prop_oneof![
        1 => any::<u64>().prop_map(|draw| delivery::Input::Started { draw }),
        2 => due_in().prop_map(|due_in| delivery::Input::Opened { due_in }),
        3 => due_in().prop_map(|due_in| delivery::Input::Admitted { due_in }),
        1 => duration().prop_map(|due_in| delivery::Input::MaybeOrphaned { due_in }),
        6 => (vec(claimed_grant(), 0..8), due_in(), hold())
            .prop_map(|(grants, due_in, hold)| delivery::Input::Claimed { grants, due_in, hold }),
        1 => any::<u64>().prop_map(|draw| delivery::Input::ClaimFailed { draw }),
        6 => (attempt(), answer(), any::<u64>())
            .prop_map(|(attempt, answer, draw)| delivery::Input::Answered { attempt, answer, draw }),
        4 => (attempt(), due_in()).prop_map(|(attempt, due_in)| delivery::Input::Settled { attempt, due_in }),
        3 => (attempt(), any::<u64>()).prop_map(|(attempt, draw)| delivery::Input::SettleFailed { attempt, draw }),
        1 => Just(delivery::Input::Stop),
    ]
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        Just(Settlement::Delivered),
        Just(Settlement::Rejected),
        prop::option::of(select(AnswerClass::ALL.to_vec()))
            .prop_map(|answer| Settlement::Parked { reason: ParkReason::NotReadable, answer }),
        (duration(), select(Doubt::ALL.to_vec())).prop_map(|(after, doubt)| Settlement::Again { after, doubt }),
        duration().prop_map(|after| Settlement::Unsent { after }),
        duration().prop_map(|after| Settlement::Released { after }),
        Just(Settlement::Absent),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let user = || prop_oneof![9 => 0..4_u64, 1 => 4..10_000_u64].prop_map(UserHandle);
    let intent =
        prop::option::of(any::<u32>().prop_map(|units| GrantIntent { id: GrantId::from_bytes([7; 16]), units }));
    let admit = (user(), any::<u8>(), any::<u8>(), intent).prop_map(|(user, variant, generation, grant)| {
        Command::Admit(Admit { user, variant: VariantIndex::new(variant), generation, grant })
    });
    let count = || prop_oneof![4 => 0..4_u16, 1 => Just(u16::MAX)];
    let fleet = (count(), count(), prop_oneof![0..4_u32, Just(u32::MAX)]).prop_map(
        |(initial_in_flight, max_in_flight, effects_per_minute)| FleetLimits {
            initial_in_flight,
            max_in_flight,
            effects_per_minute,
        },
    );
    let claim = (0..4_u64, count(), fleet, duration(), vec(claimed_grant(), 0..2)).prop_map(
        |(nonce, limit, fleet, lease, into)| {
            Command::Claim(Claim { nonce: ClaimNonce(nonce), limit, fleet, lease, into })
        },
    );
    let load = select(vec![Load::Unknown, Load::Answered, Load::TimedOut]);
    let grant = prop_oneof![9 => Just(7_u8), 1 => any::<u8>()].prop_map(|byte| GrantId::from_bytes([byte; 16]));
    let settle_user = prop_oneof![9 => user(), 1 => any::<u64>().prop_map(UserHandle)];
    let settle = (settle_user, grant, fence(), settlement(), load, duration()).prop_map(
        |(user, grant, fence, settlement, load, pause)| {
            Command::Settle(Settle { user, grant, fence, settlement, load, pause })
        },
    );
    let open = (0..2_u8, 0..3_u8).prop_map(|(lineage, version)| {
        Command::Open(Open { lineage: LineageId([lineage; 16]), version: VersionId([version; 16]) })
    });
    prop_oneof![1 => open, 4 => admit, 1 => any::<u64>().prop_map(|user| Command::Find(UserHandle(user))), 6 => claim, 6 => settle]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        1 => Just(Origin::Open),
        4 => any::<u64>().prop_map(|n| Origin::Visit {
            visit: VisitToken(n),
            user: UserHandle(n),
            provisional: VariantIndex::new(0),
        }),
        1 => Just(Origin::Claim),
        2 => any::<u64>().prop_map(|bits| Origin::Settle(AttemptId::from_bits(bits))),
    ]
}

/// What may happen to a committer, whether it makes sense or not.
#[derive(Clone, Debug)]
enum CommitterCall {
    Submit(Origin, Command),
    Reply(u32, Reply),
    Timeout,
    Opened,
    OpenFailed,
    Foreign,
}

fn committer_call() -> impl Strategy<Value = CommitterCall> {
    prop_oneof![
        8 => (origin(), command()).prop_map(|(origin, command)| CommitterCall::Submit(origin, command)),
        8 => (prop_oneof![9 => 0..20_u32, 1 => any::<u32>()], reply())
            .prop_map(|(ticket, reply)| CommitterCall::Reply(ticket, reply)),
        2 => Just(CommitterCall::Timeout),
        2 => Just(CommitterCall::Opened),
        1 => Just(CommitterCall::OpenFailed),
        1 => Just(CommitterCall::Foreign),
    ]
}

/// Times in no order at all.
fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![6 => 0..600_000_000_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)].prop_map(Instant::from_nanos)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_inputs_are_taken_alike_by_two_clones_without_panic_or_end(
        config in hook_config(),
        transitions in vec(transition(), 1..80),
    ) {
        let mut twins = Twins::new(config);
        twins.step(&Transition::Started { draw: 7 });
        for transition in &transitions {
            twins.step(transition);
        }
    }

    #[test]
    fn an_attempt_has_one_answer(
        transitions in vec(transition(), 1..80),
        answers in vec(answer(), 2..4),
    ) {
        let upstream = Upstream { capability: Capability::PutById, request_lifetime: Duration::from_secs(5) };
        let delivery = DeliveryConfig::new(upstream, CLOCK_ERROR);
        let mut twins = Twins::new(HookConfig { delivery, committer: CommitterConfig::default() });
        twins.step(&Transition::Started { draw: 7 });
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

    #[test]
    fn delivery_alone_takes_anything_at_any_time(
        config in delivery_config(),
        inputs in vec((instant(), wall(), prop::option::weighted(0.8, delivery_input())), 1..80),
    ) {
        let mut delivery = Delivery::new(config);
        for (mono, store_upper, input) in inputs {
            let now = Now { mono, store_upper };
            match input {
                Some(input) => delivery.handle_input(now, input),
                None => delivery.handle_timeout(now),
            }
            let output_count = std::iter::from_fn(|| delivery.poll_output()).take(OUTPUTS_MAX).count();
            prop_assert!(output_count < OUTPUTS_MAX, "outputs without end");
            delivery.next_deadline(mono);
        }
    }

    #[test]
    fn the_committer_alone_takes_anything_at_any_time(
        batch_max in 1..4_u16,
        patience in duration(),
        calls in vec((instant(), committer_call()), 1..80),
    ) {
        let mut committer = Committer::new(CommitterConfig { batch_max, patience });
        for (now, call) in calls {
            match call {
                CommitterCall::Submit(origin, command) => committer.submit(now, origin, command),
                CommitterCall::Reply(ticket, reply) => {
                    committer.on_reply(now, Ticket(ticket), reply);
                }
                CommitterCall::Timeout => committer.handle_timeout(now),
                CommitterCall::Opened => committer.opened(),
                CommitterCall::OpenFailed => committer.open_failed(now),
                CommitterCall::Foreign => committer.refused(),
            }
            let commit = committer.poll_commit(now);
            prop_assert!(commit.is_none_or(|commit| (1..=usize::from(batch_max)).contains(&commit.commands.len())));
            let resolved_count = std::iter::from_fn(|| committer.poll_resolved()).take(OUTPUTS_MAX).count();
            prop_assert!(resolved_count < OUTPUTS_MAX, "outcomes without end");
            committer.next_deadline();
        }
    }

    #[test]
    fn an_image_takes_any_commit_at_any_time(
        steps in vec((wall(), vec(command(), 0..4), prop::option::weighted(0.05, 1..3_u32)), 1..60),
    ) {
        let mut image = Image::default();
        for (now, commands, epochs) in steps {
            if let Some(epochs) = epochs {
                image.begin_epoch(now, Epoch(image.epoch().0 + epochs));
            }
            let command_count = commands.len();
            let Reply::Committed { results, .. } = image.commit(now, commands) else {
                panic!("an image does what it is told");
            };
            prop_assert_eq!(results.len(), command_count);
            let counts = image.counts();
            let sum = counts.pending + counts.claimed + counts.delivered + counts.rejected + counts.parked;
            prop_assert_eq!(counts.admitted, sum, "GRANT-3");
            prop_assert_eq!(image.parked().count() as u64, counts.parked, "GRANT-3: evidence for each");
        }
    }
}
