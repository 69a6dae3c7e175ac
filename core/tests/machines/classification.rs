//! Goal: the classification table says what the protocol promises, in every one of its cells.
//!
//! Method: the whole table (capability × answer × doubt) is compared with a second one, written as text from the
//! protocol and not from the code, and again with the rules that every row must keep; so are the answers to reads. `AnswerClass::of` is walked over
//! every status code with both bodies, and over every way to end without a status.

use std::time::Duration;

use hookproof_core::classify::{Action, AnswerClass, Applied, Classification, Doubt, ParkReason, RetryCause};
use hookproof_core::classify::{classify, classify_read};
use hookproof_core::upstream::{Answer, Body, Capability, Lost, NotSent};

const CAPABILITIES: [(&str, Capability); 4] = [
    ("put-by-id", Capability::PutById),
    ("idempotency-key", Capability::IdempotencyKey { ttl: Duration::from_secs(86_400) }),
    ("read-back", Capability::ReadBack { lag: Duration::from_secs(1) }),
    ("none", Capability::None),
];

/// Answer, what it says of the effect, and what follows when nothing is in doubt; then what follows in doubt for the two
/// capabilities that may repeat, for `read-back` and for `none`. An effect with `?` raises doubt itself, so its first
/// column depends on the capability: `repeat` stands for the three columns on its right.
const TABLE: &str = "
    NotSent      no   retry          retry          read-back        park:not-repeatable
    Throttled    no   retry          retry          read-back        park:not-repeatable
    BadRequest   no   reject         park:refused   park:refused     park:refused
    NotFound     no   reject         park:refused   park:refused     park:refused
    Refused      no   reject         park:refused   park:refused     park:refused
    Unauthorised no   pause          pause          pause            pause
    KeyMismatch  no   park:mismatch  park:mismatch  park:mismatch    park:mismatch
    InProgress   ?    repeat         retry          read-back        park:not-repeatable
    Timeout      ?    repeat         retry          read-back        park:not-repeatable
    Broken       ?    repeat         retry          read-back        park:not-repeatable
    Unproven     ?    repeat         retry          read-back        park:not-repeatable
    Redirect     ?    repeat         retry          read-back        park:not-repeatable
    Unavailable  ?    repeat         retry          read-back        park:not-repeatable
    ServerError  ?    repeat         retry          read-back        park:not-repeatable
    Receipt      yes  deliver        deliver        deliver          deliver
";

/// Every cell of the table with its capability's name.
fn cells() -> impl Iterator<Item = (&'static str, Capability, AnswerClass, Doubt)> {
    CAPABILITIES.into_iter().flat_map(|(name, capability)| {
        AnswerClass::ALL
            .into_iter()
            .flat_map(move |answer| Doubt::ALL.into_iter().map(move |doubt| (name, capability, answer, doubt)))
    })
}

fn action(word: &str) -> Action {
    match word {
        "retry" => Action::Retry,
        "reject" => Action::Reject,
        "pause" => Action::PauseLane,
        "deliver" => Action::Deliver,
        "read-back" => Action::ReadBack,
        "park:not-repeatable" => Action::Park(ParkReason::NotRepeatable),
        "park:refused" => Action::Park(ParkReason::RefusedInDoubt),
        "park:not-readable" => Action::Park(ParkReason::NotReadable),
        "park:mismatch" => Action::Park(ParkReason::KeyMismatch),
        unknown => panic!("the table holds an unknown word: {unknown}"),
    }
}

fn applied(word: &str) -> Applied {
    match word {
        "no" => Applied::No,
        "?" => Applied::Maybe,
        "yes" => Applied::Yes,
        unknown => panic!("the table holds an unknown word: {unknown}"),
    }
}

fn expected(name: &str, answer: AnswerClass, doubt: Doubt) -> Classification {
    // 412 is proof where the id is in the path, and one refusal among others elsewhere.
    let row_name = match (answer, name) {
        (AnswerClass::Exists, "put-by-id") => "Receipt".to_owned(),
        (AnswerClass::Exists, _) => "Refused".to_owned(),
        (_, _) => format!("{answer:?}"),
    };
    let row: Vec<&str> = TABLE
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.first() == Some(&row_name.as_str()))
        .unwrap_or_else(|| panic!("the table has no row for {row_name}"));
    let column = match name {
        "put-by-id" | "idempotency-key" => 3,
        "read-back" => 4,
        _ => 5,
    };
    let word = if doubt == Doubt::Clear && row[2] != "repeat" { row[2] } else { row[column] };
    let applied = applied(row[1]);
    Classification { applied, action: action(word) }
}

#[test]
fn every_cell_is_that_of_the_written_table() {
    let mut cell_count = 0;
    for (name, capability, answer, doubt) in cells() {
        assert_eq!(
            classify(capability, answer, doubt),
            expected(name, answer, doubt),
            "{name} × {answer:?} × {doubt:?}"
        );
        cell_count += 1;
    }
    assert_eq!(cell_count, 4 * 16 * 2);
}

#[test]
fn a_grant_in_doubt_is_never_rejected() {
    for (name, capability, answer, doubt) in cells() {
        if classify(capability, answer, doubt).action == Action::Reject {
            assert_eq!(doubt, Doubt::Clear, "GRANT-3: {name} × {answer:?} rejects a grant in doubt");
        }
    }
}

#[test]
fn a_rejection_says_that_nothing_was_applied_and_a_delivery_that_it_was() {
    for (name, capability, answer, doubt) in cells() {
        let row = classify(capability, answer, doubt);
        match row.action {
            Action::Reject => assert_eq!(row.applied, Applied::No, "{name} × {answer:?}"),
            Action::Deliver => assert_eq!(row.applied, Applied::Yes, "{name} × {answer:?}"),
            Action::Retry | Action::PauseLane | Action::ReadBack | Action::Park(_) => {
                assert_ne!(row.applied, Applied::Yes, "{name} × {answer:?} has proof and does not deliver");
            }
        }
    }
}

#[test]
fn nothing_is_repeated_that_may_have_been_applied_where_repeating_is_not_safe() {
    for (name, capability, answer, doubt) in cells() {
        let row = classify(capability, answer, doubt);
        let may_be_applied = doubt == Doubt::InDoubt || row.applied == Applied::Maybe;
        let is_unsafe = matches!(capability, Capability::ReadBack { .. } | Capability::None);
        if may_be_applied && is_unsafe {
            assert!(row.action != Action::Retry, "GRANT-1: {name} × {answer:?} × {doubt:?} is repeated");
        }
    }
}

#[test]
fn bad_credentials_pause_the_lane_and_decide_no_grant() {
    for (name, capability, answer, doubt) in cells().filter(|cell| cell.2 == AnswerClass::Unauthorised) {
        assert_eq!(classify(capability, answer, doubt).action, Action::PauseLane, "{name} × {doubt:?}");
    }
    for code in [401, 403] {
        assert_eq!(AnswerClass::of(status(code, Body::WellFormed)), AnswerClass::Unauthorised);
    }
}

#[test]
fn a_key_known_with_another_body_is_parked_and_never_sent_again() {
    assert_eq!(AnswerClass::of(status(422, Body::WellFormed)), AnswerClass::KeyMismatch);
    for (name, capability, answer, doubt) in cells().filter(|cell| cell.2 == AnswerClass::KeyMismatch) {
        let row = classify(capability, answer, doubt);
        assert_eq!(row.action, Action::Park(ParkReason::KeyMismatch), "{name} × {doubt:?}");
    }
}

#[test]
fn only_412_means_one_thing_to_one_capability_and_another_to_the_rest() {
    for answer in AnswerClass::ALL {
        let rows = CAPABILITIES.map(|(_, capability)| classify(capability, answer, Doubt::Clear).applied);
        let agree = rows.iter().all(|applied| *applied == rows[0]);
        assert_eq!(agree, answer != AnswerClass::Exists, "{answer:?}: {rows:?}");
    }
}

/// What an answer to a read says of a grant in doubt, and what follows: only a record or its proven absence decides anything.
const READ_TABLE: &str = "
    NotSent      ?    read-back
    Timeout      ?    read-back
    Broken       ?    read-back
    Receipt      yes  deliver
    Unproven     ?    read-back
    Redirect     ?    read-back
    BadRequest   ?    park:not-readable
    NotFound     no   retry
    Unauthorised ?    pause
    InProgress   ?    read-back
    Exists       ?    park:not-readable
    KeyMismatch  ?    park:not-readable
    Throttled    ?    read-back
    Refused      ?    park:not-readable
    Unavailable  ?    read-back
    ServerError  ?    read-back
";

#[test]
fn every_answer_to_a_read_is_that_of_the_written_table() {
    let rows: Vec<Vec<&str>> = READ_TABLE
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
        .collect();
    assert_eq!(rows.len(), AnswerClass::ALL.len());
    for (answer, row) in AnswerClass::ALL.into_iter().zip(rows) {
        assert_eq!(row[0], format!("{answer:?}"), "in the order of the classes");
        let expected = Classification { applied: applied(row[1]), action: action(row[2]) };
        assert_eq!(classify_read(answer), expected, "{answer:?}");
    }
}

#[test]
fn a_read_neither_rejects_nor_delivers_nor_clears_without_proof() {
    for answer in AnswerClass::ALL {
        let row = classify_read(answer);
        assert_ne!(row.action, Action::Reject, "GRANT-3: {answer:?}");
        assert_eq!(row.action == Action::Deliver, row.applied == Applied::Yes, "{answer:?}");
        assert_eq!(row.action == Action::Retry, row.applied == Applied::No, "GRANT-1: {answer:?}");
    }
}

#[test]
fn a_retry_is_throttled_or_in_progress_exactly_where_the_service_says_so() {
    for answer in AnswerClass::ALL {
        let cause = RetryCause::of(answer);
        assert_eq!(cause == RetryCause::Throttled, answer == AnswerClass::Throttled, "{answer:?}");
        assert_eq!(cause == RetryCause::InProgress, answer == AnswerClass::InProgress, "{answer:?}");
    }
}

fn status(code: u16, body: Body) -> Answer {
    Answer::Status { code, body, retry_after: None }
}

/// What the protocol says of a status code, in its own words: the codes it names, then the hundreds.
fn class_of_status(code: u16, body: Body) -> AnswerClass {
    const NAMED: [(u16, AnswerClass); 12] = [
        (400, AnswerClass::BadRequest),
        (401, AnswerClass::Unauthorised),
        (403, AnswerClass::Unauthorised),
        (404, AnswerClass::NotFound),
        (408, AnswerClass::Timeout),
        (409, AnswerClass::InProgress),
        (412, AnswerClass::Exists),
        (422, AnswerClass::KeyMismatch),
        (429, AnswerClass::Throttled),
        (503, AnswerClass::Unavailable),
        (504, AnswerClass::Timeout),
        (202, AnswerClass::Unproven),
    ];
    if let Some((_, class)) = NAMED.iter().find(|(named, _)| *named == code) {
        return *class;
    }
    let is_receipt = [200, 201, 204].contains(&code) && body == Body::WellFormed;
    match code / 100 {
        2 if is_receipt => AnswerClass::Receipt,
        2 => AnswerClass::Unproven,
        1 | 3 => AnswerClass::Redirect,
        4 => AnswerClass::Refused,
        _ => AnswerClass::ServerError,
    }
}

#[test]
fn every_status_code_has_the_class_that_the_protocol_gives_it() {
    for body in [Body::WellFormed, Body::Malformed] {
        for code in 0..=u16::MAX {
            assert_eq!(AnswerClass::of(status(code, body)), class_of_status(code, body), "{code} {body:?}");
        }
    }
}

#[test]
fn retry_after_changes_no_class() {
    for code in 0..=u16::MAX {
        let retry_after = Some(Duration::MAX);
        let asked = AnswerClass::of(Answer::Status { code, body: Body::WellFormed, retry_after });
        assert_eq!(asked, AnswerClass::of(status(code, Body::WellFormed)), "{code}");
    }
}

#[test]
fn an_answer_without_a_status_is_told_by_whether_a_byte_left() {
    for cause in [NotSent::Dns, NotSent::Refused, NotSent::ConnectTimeout, NotSent::Tls] {
        assert_eq!(AnswerClass::of(Answer::NotSent(cause)), AnswerClass::NotSent, "{cause:?}");
    }
    assert_eq!(AnswerClass::of(Answer::Lost(Lost::Timeout)), AnswerClass::Timeout);
    assert_eq!(AnswerClass::of(Answer::Lost(Lost::Reset)), AnswerClass::Broken);
    assert_eq!(AnswerClass::of(Answer::Lost(Lost::Truncated)), AnswerClass::Broken);
}

#[test]
fn every_class_is_reached_by_some_answer() {
    let codes = (0..=u16::MAX).map(|code| AnswerClass::of(status(code, Body::WellFormed)));
    let lost = [Lost::Timeout, Lost::Reset, Lost::Truncated].map(|cause| AnswerClass::of(Answer::Lost(cause)));
    let reached: std::collections::BTreeSet<_> =
        codes.chain(lost).chain([AnswerClass::of(Answer::NotSent(NotSent::Dns))]).collect();
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), AnswerClass::ALL);
}

#[test]
fn a_403_is_about_the_grant_only_if_its_body_says_so() {
    assert_eq!(AnswerClass::of(status(403, Body::LimitReached)), AnswerClass::Refused);
    for body in [Body::WellFormed, Body::Malformed] {
        assert_eq!(AnswerClass::of(status(403, body)), AnswerClass::Unauthorised);
    }
    assert_eq!(AnswerClass::of(status(401, Body::LimitReached)), AnswerClass::Unauthorised);
}
