//! Goal: one grant's step is right for every capability, doubt, time and answer: nothing is sent that could make a second
//! effect, nothing in doubt is rejected, and nothing is left undecided.
//!
//! Method: tables of moments around each limit, and the whole space (capability × doubt × history × time × answer) walked for
//! the rules that hold everywhere. The expectations are worked out here from the protocol, not with the code's helpers.

use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason, RetryCause};
use hookproof_core::grant::{Next, Step, Terms, on_answered, on_claimed};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{ClaimNonce, ClaimedGrant, Epoch, Fence, Settlement};
use hookproof_core::time::{Instant, Now, WallTime};
use hookproof_core::upstream::{Ask, Capability, Upstream};

const TTL: Duration = Duration::from_secs(600);
const LAG: Duration = Duration::from_secs(7);
const LIFETIME: Duration = Duration::from_secs(60);
const CLOCK_ERROR: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);
const ATTEMPT: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_nanos(1);

const PUT: Capability = Capability::PutById;
const KEY: Capability = Capability::IdempotencyKey { ttl: TTL };
const READ: Capability = Capability::ReadBack { lag: LAG };
const NONE: Capability = Capability::None;
const CAPABILITIES: [Capability; 4] = [PUT, KEY, READ, NONE];

/// The first send that counts.
const FIRST_SENT_AT: WallTime = at(1_000);
/// The last moment at which an earlier claim's holder can have sent.
const SENT_UNTIL: WallTime = at(1_010);
/// From here on nothing can execute any more, and what did shows.
const PROVABLE_AT: WallTime = at(1_010 + 60 + 2 + 7);
/// The same where the store has lost its history, and perhaps a claim.
const PROVABLE_UNDATED_AT: WallTime = at(1_010 + 30 + 60 + 2 + 7);

const fn at(seconds: u64) -> WallTime {
    WallTime::from_unix_nanos(seconds * 1_000_000_000)
}

/// The moment before.
const fn before(time: WallTime) -> WallTime {
    WallTime::from_unix_nanos(time.as_unix_nanos() - 1)
}

const fn terms(capability: Capability) -> Terms {
    Terms {
        upstream: Upstream { capability, request_lifetime: LIFETIME },
        lease: LEASE,
        attempt: ATTEMPT,
        clock_error: CLOCK_ERROR,
    }
}

/// A claim whose holder looks at `now`, the store's clock at most.
fn step(capability: Capability, now: WallTime, grant: &ClaimedGrant) -> Step {
    on_claimed(Now { mono: Instant::ORIGIN, store_upper: now }, &terms(capability), grant)
}

/// A grant that was claimed at `claimed_at`.
fn claimed(doubt: Doubt, claimed_at: WallTime) -> ClaimedGrant {
    let first_sent_at = if doubt == Doubt::Clear { claimed_at } else { FIRST_SENT_AT };
    ClaimedGrant {
        user: UserHandle(3),
        grant: GrantId::from_bytes([7; 16]),
        units: 25,
        fence: Fence { epoch: Epoch(0), claim: 2, nonce: ClaimNonce(2) },
        attempts: 2,
        doubt,
        first_sent_at,
        sent_until: SENT_UNTIL,
        claimed_at,
        lease_until: claimed_at + LEASE,
    }
}

/// A grant in doubt whose history the store has lost.
fn undated(claimed_at: WallTime) -> ClaimedGrant {
    ClaimedGrant { first_sent_at: WallTime::UNIX_EPOCH, ..claimed(Doubt::InDoubt, claimed_at) }
}

const fn released(after: Duration) -> Step {
    Step::Settle(Settlement::Released { after })
}

const fn parked(reason: ParkReason) -> Step {
    Step::Settle(Settlement::Parked { reason, answer: None })
}

#[test]
fn a_clear_grant_is_sent_under_every_capability_at_any_time() {
    for capability in CAPABILITIES {
        for claimed_at in [at(1_020), at(1_000_000)] {
            let grant = claimed(Doubt::Clear, claimed_at);
            assert_eq!(step(capability, claimed_at + CLOCK_ERROR, &grant), Step::Send(Ask::Apply), "{capability:?}");
        }
    }
}

#[test]
fn nothing_is_done_under_a_lease_that_may_end_before_the_attempt() {
    let last = at(1_020 + 30 - 5 - 1);
    for capability in CAPABILITIES {
        for grant in [claimed(Doubt::Clear, at(1_020)), claimed(Doubt::InDoubt, at(1_020)), undated(at(1_020))] {
            for late in [last, grant.lease_until, WallTime::MAX] {
                assert_eq!(step(capability, late, &grant), released(Duration::ZERO), "GRANT-5: {capability:?}");
            }
        }
        let clear = claimed(Doubt::Clear, at(1_020));
        assert_eq!(step(capability, before(last), &clear), Step::Send(Ask::Apply), "{capability:?}");
    }
}

#[test]
fn in_doubt_an_id_is_sent_for_ever_a_key_inside_its_window_and_the_rest_never() {
    // The window is open as long as an execution at the end of a request's lifetime would fall inside it, and the clock may
    // have been ahead at the first send.
    let closes_at = at(1_000 + 600 - 60 - 1);
    for (capability, now, expected) in [
        (PUT, closes_at, Step::Send(Ask::Apply)),
        (PUT, at(1_000_000), Step::Send(Ask::Apply)),
        (KEY, at(1_020), Step::Send(Ask::Apply)),
        (KEY, before(closes_at), Step::Send(Ask::Apply)),
        (KEY, closes_at, parked(ParkReason::WindowClosed)),
        (KEY, at(1_000_000), parked(ParkReason::WindowClosed)),
        (NONE, at(1_020), parked(ParkReason::NotRepeatable)),
        (NONE, at(1_000_000), parked(ParkReason::NotRepeatable)),
    ] {
        let grant = ClaimedGrant { lease_until: WallTime::MAX, ..claimed(Doubt::InDoubt, at(1_020)) };
        assert_eq!(step(capability, now, &grant), expected, "GRANT-4: {capability:?} at {now:?}");
    }
}

#[test]
fn a_lost_history_closes_every_window_but_that_of_an_id() {
    for (capability, expected) in [
        (PUT, Step::Send(Ask::Apply)),
        (KEY, parked(ParkReason::HistoryLost)),
        (NONE, parked(ParkReason::HistoryLost)),
        (READ, released(PROVABLE_UNDATED_AT.since(at(1_020)))),
    ] {
        assert_eq!(step(capability, at(1_021), &undated(at(1_020))), expected, "GRANT-4: {capability:?}");
    }
}

#[test]
fn a_read_is_made_at_the_moment_when_absence_is_proof_and_not_before() {
    for (provable_at, of) in
        [(PROVABLE_AT, (|at| claimed(Doubt::InDoubt, at)) as fn(_) -> _), (PROVABLE_UNDATED_AT, undated)]
    {
        for (claimed_at, expected) in [
            (at(1_020), released(provable_at.since(at(1_020)))),
            (before(provable_at), released(TICK)),
            (provable_at, Step::Send(Ask::Read)),
            (provable_at + TICK, Step::Send(Ask::Read)),
            (at(1_000_000), Step::Send(Ask::Read)),
        ] {
            assert_eq!(step(READ, claimed_at + CLOCK_ERROR, &of(claimed_at)), expected, "claimed at {claimed_at:?}");
        }
    }
}

#[test]
fn the_upper_bound_of_the_stores_clock_makes_no_read_earlier() {
    // The bound may be ahead of the store; only the claim's own commit tells that the moment has come.
    let grant = claimed(Doubt::InDoubt, before(PROVABLE_AT));
    assert_eq!(step(READ, PROVABLE_AT + CLOCK_ERROR, &grant), released(TICK));
}

/// What follows from an answer to a request for the effect, for `Clear` and then for `InDoubt`, in the words of `next_of`.
const APPLY_TABLE: &str = "
    put  NotSent      unsent          again-doubt
    put  Throttled    again-clear     again-doubt
    put  Exists       delivered       delivered
    key  NotSent      unsent          again-doubt
    key  Throttled    again-clear     again-doubt
    key  Exists       rejected        refused
    read NotSent      unsent          read-later
    read Throttled    again-clear     read-later
    read Exists       rejected        refused
    none NotSent      unsent          not-repeatable
    none Throttled    again-clear     not-repeatable
    none Exists       rejected        refused

    put  Timeout      again-doubt     again-doubt
    key  Timeout      again-doubt     again-doubt
    read Timeout      read-later      read-later
    none Timeout      not-repeatable  not-repeatable

    all  Receipt      delivered       delivered
    all  BadRequest   rejected        refused
    all  NotFound     rejected        refused
    all  Refused      rejected        refused
    all  Unauthorised pause-clear     pause-doubt
    all  KeyMismatch  mismatch        mismatch
";

/// Classes that say no more than a timeout does.
const LIKE_TIMEOUT: [AnswerClass; 6] = [
    AnswerClass::Broken,
    AnswerClass::Unproven,
    AnswerClass::Redirect,
    AnswerClass::InProgress,
    AnswerClass::Unavailable,
    AnswerClass::ServerError,
];

fn next_of(word: &str, class: AnswerClass) -> Next {
    let cause = if class == AnswerClass::Throttled {
        RetryCause::Throttled
    } else if class == AnswerClass::InProgress {
        RetryCause::InProgress
    } else {
        RetryCause::Transient
    };
    let again = |after, doubt| Next::Again { cause, after, doubt };
    let parked = |reason| Next::Settle(Settlement::Parked { reason, answer: Some(class) });
    match word {
        "again-clear" => again(Duration::ZERO, Doubt::Clear),
        "unsent" => Next::Unsent { cause },
        "again-doubt" => again(Duration::ZERO, Doubt::InDoubt),
        "read-later" => again(LIFETIME + 2 * CLOCK_ERROR + LAG, Doubt::InDoubt),
        "delivered" => Next::Settle(Settlement::Delivered),
        "rejected" => Next::Settle(Settlement::Rejected),
        "refused" => parked(ParkReason::RefusedInDoubt),
        "mismatch" => parked(ParkReason::KeyMismatch),
        "not-repeatable" => parked(ParkReason::NotRepeatable),
        "pause-clear" => Next::PauseLane { ask: Ask::Apply, doubt: Doubt::Clear },
        "pause-doubt" => Next::PauseLane { ask: Ask::Apply, doubt: Doubt::InDoubt },
        unknown => panic!("the table holds an unknown word: {unknown}"),
    }
}

#[test]
fn every_answer_to_a_request_for_the_effect_is_followed_by_what_the_written_table_says() {
    for (name, capability) in [("put", PUT), ("key", KEY), ("read", READ), ("none", NONE)] {
        for class in AnswerClass::ALL {
            let row_class = if LIKE_TIMEOUT.contains(&class) { AnswerClass::Timeout } else { class };
            let row = APPLY_TABLE
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>())
                .find(|row| row.len() == 4 && [name, "all"].contains(&row[0]) && row[1] == format!("{row_class:?}"))
                .unwrap_or_else(|| panic!("the table has no row for {name} {class:?}"));
            for (doubt, word) in [(Doubt::Clear, row[2]), (Doubt::InDoubt, row[3])] {
                let next = on_answered(&terms(capability), Ask::Apply, &claimed(doubt, at(1_020)), class);
                assert_eq!(next, next_of(word, class), "{name} × {class:?} × {doubt:?}");
            }
        }
    }
}

#[test]
fn an_answer_to_a_read_delivers_clears_parks_or_leads_to_another_read() {
    for class in AnswerClass::ALL {
        let expected = match class {
            AnswerClass::Receipt => Next::Settle(Settlement::Delivered),
            AnswerClass::NotFound => Next::Settle(Settlement::Absent),
            AnswerClass::Unauthorised => Next::PauseLane { ask: Ask::Read, doubt: Doubt::InDoubt },
            AnswerClass::BadRequest | AnswerClass::Exists | AnswerClass::KeyMismatch | AnswerClass::Refused => {
                Next::Settle(Settlement::Parked { reason: ParkReason::NotReadable, answer: Some(class) })
            }
            AnswerClass::NotSent
            | AnswerClass::Timeout
            | AnswerClass::Broken
            | AnswerClass::Unproven
            | AnswerClass::Redirect
            | AnswerClass::InProgress
            | AnswerClass::Throttled
            | AnswerClass::Unavailable
            | AnswerClass::ServerError => Next::ReadAgain { cause: RetryCause::of(class) },
        };
        let grant = claimed(Doubt::InDoubt, PROVABLE_AT);
        assert_eq!(on_answered(&terms(READ), Ask::Read, &grant, class), expected, "{class:?}");
    }
}

/// Claims of every history around every limit of every capability.
fn claims() -> Vec<ClaimedGrant> {
    let moments =
        [0, 1, 1_000, 1_010, 1_020, 1_077, 1_078, 1_079, 1_107, 1_108, 1_538, 1_539, 1_540, 1_600, 1_000_000].map(at);
    let histories = [FIRST_SENT_AT, WallTime::UNIX_EPOCH, WallTime::MAX, at(1_020)];
    let sent = [WallTime::UNIX_EPOCH, SENT_UNTIL, WallTime::MAX];
    let leases = [Duration::ZERO, LEASE, Duration::MAX];
    let mut claims = Vec::new();
    for claimed_at in moments {
        for first_sent_at in histories {
            for sent_until in sent {
                for (doubt, lease) in Doubt::ALL.into_iter().flat_map(|doubt| leases.map(|lease| (doubt, lease))) {
                    let claim = claimed(doubt, claimed_at);
                    claims.push(ClaimedGrant { first_sent_at, sent_until, lease_until: claimed_at + lease, ..claim });
                }
            }
        }
    }
    claims
}

#[test]
fn over_the_whole_space_no_step_could_make_a_second_effect() {
    let mut sent_in_doubt_count = 0;
    for capability in CAPABILITIES {
        for grant in claims() {
            let latest = LEASE.saturating_sub(ATTEMPT).saturating_sub(CLOCK_ERROR);
            for ahead in [Duration::ZERO, CLOCK_ERROR, latest.saturating_sub(TICK), latest, LEASE, Duration::MAX] {
                let now = grant.claimed_at + ahead;
                let step = step(capability, now, &grant);
                let context = format!("{capability:?} at {now:?}: {grant:?}");
                if let Step::Send(_) = step {
                    assert!(now + ATTEMPT + CLOCK_ERROR < grant.lease_until, "GRANT-5: {context}");
                }
                match (step, capability) {
                    (Step::Send(Ask::Read), _) => {
                        assert_eq!((capability, grant.doubt), (READ, Doubt::InDoubt), "{context}");
                        let executed_by = grant.sent_until + LIFETIME + 2 * CLOCK_ERROR + LAG;
                        assert!(grant.claimed_at >= executed_by, "GRANT-1: {context}");
                    }
                    (Step::Send(Ask::Apply), Capability::ReadBack { .. } | Capability::None) => {
                        assert_eq!(grant.doubt, Doubt::Clear, "GRANT-1: {context}");
                    }
                    (Step::Send(Ask::Apply), Capability::IdempotencyKey { .. }) if grant.doubt == Doubt::InDoubt => {
                        sent_in_doubt_count += 1;
                        assert!(now + LIFETIME < grant.first_sent_at + TTL, "GRANT-4: {context}");
                    }
                    (Step::Settle(Settlement::Parked { answer, .. }), _) => {
                        assert_eq!((grant.doubt, answer), (Doubt::InDoubt, None), "{context}");
                    }
                    (Step::Send(Ask::Apply), Capability::IdempotencyKey { .. } | Capability::PutById)
                    | (Step::Settle(Settlement::Released { .. }), _) => {}
                    (Step::Settle(other), _) => panic!("{other:?} without an answer: {context}"),
                }
            }
        }
    }
    assert!(sent_in_doubt_count > 0, "no window was ever open");
}

#[test]
fn over_the_whole_space_no_answer_rejects_or_clears_what_is_in_doubt() {
    for capability in CAPABILITIES {
        for class in AnswerClass::ALL {
            for ask in [Ask::Apply, Ask::Read] {
                let next = on_answered(&terms(capability), ask, &claimed(Doubt::InDoubt, at(1_020)), class);
                let context = format!("{capability:?} × {ask:?} × {class:?}");
                match next {
                    Next::Settle(Settlement::Rejected) => panic!("GRANT-3: {context}"),
                    Next::Settle(Settlement::Absent) => {
                        assert_eq!((ask, class), (Ask::Read, AnswerClass::NotFound), "GRANT-1: {context}");
                    }
                    Next::Settle(Settlement::Parked { answer, .. }) => assert_eq!(answer, Some(class), "{context}"),
                    Next::Again { doubt, .. } | Next::PauseLane { doubt, .. } => {
                        assert_eq!(doubt, Doubt::InDoubt, "doubt is sticky: {context}");
                    }
                    Next::Settle(Settlement::Delivered) => {
                        let is_proof = class == AnswerClass::Receipt
                            || (class == AnswerClass::Exists && capability == PUT && ask == Ask::Apply);
                        assert!(is_proof, "GRANT-3: {context}");
                    }
                    Next::ReadAgain { .. } => assert_eq!(ask, Ask::Read, "{context}"),
                    Next::Unsent { .. } => panic!("an unsent request says nothing of an earlier one: {context}"),
                    Next::Settle(other) => panic!("{other:?}: {context}"),
                }
            }
        }
    }
}

#[test]
fn where_a_grant_is_due_again_in_doubt_its_next_claim_decides_something() {
    // `read-later` waits long enough for the read: a grant must not be claimed and released over and over (`LOAD-4`).
    let first = claimed(Doubt::Clear, at(1_020));
    let Next::Again { after, doubt, .. } = on_answered(&terms(READ), Ask::Apply, &first, AnswerClass::Timeout) else {
        panic!("a timeout leads to a read");
    };
    let settled_at = at(1_025);
    let second = ClaimedGrant { doubt, sent_until: settled_at, ..claimed(doubt, settled_at + after) };
    assert_eq!(step(READ, second.claimed_at + CLOCK_ERROR, &second), Step::Send(Ask::Read));
}
