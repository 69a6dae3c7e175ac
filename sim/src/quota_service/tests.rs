//! What the service promises, as tables: each capability and profile, held against each way a request can be repeated.
//!
//! An answer is its status, followed by `+` where the ledger moved, and by `-` where the hard limit stood against it for the
//! first time.

use hookproof_core::time::Instant;
use hookproof_core::upstream::Ask;

use super::*;
use crate::scenario::decode;

const ID: RequestKey = [7; 16];
/// `key-ttl` and `read-back-lag` of all services here.
const TTL: Duration = Duration::from_secs(60);
const LAG: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn just_before(at: Instant) -> Instant {
    Instant::from_nanos(at.as_nanos() - 1)
}

const PUT: Request = Request { ask: Ask::Apply, user: 1, units: 25, key: Some(ID) };
const OTHER_BODY: Request = Request { user: 2, ..PUT };
const WITHOUT_KEY: Request = Request { key: None, ..PUT };
const GET: Request = Request { ask: Ask::Read, ..PUT };

/// A service of two workers, and what its ledger holds.
struct Desk {
    service: QuotaService,
    held: u32,
}

impl Desk {
    fn new(capability: &str, more: &str) -> Self {
        let source = format!(
            "schema = 1\ntitle = \"t\"\nduration = \"1h\"\n[experiment]\nid = \"e\"\n\
             [[experiment.variant]]\nname = \"a\"\nweight = 1\n[[experiment.variant]]\nname = \"b\"\nweight = 1\ngrant = 25\n\
             [quota]\nbase = 100\nhard-limit = 1000\n[[traffic]]\nkind = \"steady\"\nrate = \"1/s\"\n\
             [upstream]\nworkers = 2\ncapability = \"{capability}\"\nkey-ttl = \"60s\"\nread-back-lag = \"10s\"\n{more}"
        );
        let scenario = decode("desk", "desk.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let service = QuotaService::new(&scenario);
        Self { held: service.base(), service }
    }

    fn of_profile(capability: &str, profile: &str) -> Self {
        Self::new(capability, &format!("profile = \"{profile}\""))
    }

    fn finish(&mut self, at: Instant, request: &Request, work: Work, mishap: Mishap) -> String {
        let finished = self.service.finish(at, Served { request, work, held: self.held, mishap });
        self.held += finished.effect.unwrap_or(0);
        let mark = if finished.effect.is_some() { " +" } else { "" };
        let mark = if finished.refused.is_some() { " -" } else { mark };
        format!("{}{mark}", finished.status.0)
    }

    fn ask_of_replica(&mut self, at: Instant, request: Request, lag: Duration) -> String {
        match self.service.refuses(&request).map_or_else(|| self.service.begin(at, &request, lag), Begun::Answered) {
            Begun::Answered(status) => status.0.to_string(),
            Begun::Working(work) => self.finish(at, &request, work, Mishap::None),
        }
    }

    fn ask(&mut self, at: Instant, request: Request) -> String {
        self.ask_of_replica(at, request, Duration::ZERO)
    }

    /// The first request, which meets a mishap.
    fn fail(&mut self, at: Instant, mishap: Mishap) -> String {
        assert_eq!(self.service.begin(at, &PUT, Duration::ZERO), Begun::Working(Work::Execute));
        self.finish(at, &PUT, Work::Execute, mishap)
    }
}

#[test]
fn a_repeated_request_meets_what_the_capability_remembers() {
    const ALL: [&str; 6] = ["200 +"; 6];
    let table = [
        // First; the same while a worker is at it; again; another body; after the TTL; after a restart and within it.
        ("put-by-id", "strict", ["201 +", "409", "412", "412", "412", "412"]),
        ("put-by-id", "keys-ignored", ["201 +", "409", "412", "412", "412", "412"]),
        ("idempotency-key", "strict", ["200 +", "409", "200", "422", "200 +", "200 +"]),
        ("idempotency-key", "stripe-v1", ["200 +", "409", "200", "422", "200 +", "200 +"]),
        ("idempotency-key", "only-2xx-cached", ["200 +", "409", "200", "422", "200 +", "200 +"]),
        ("idempotency-key", "no-body-compare", ["200 +", "409", "200", "200", "200 +", "200 +"]),
        ("idempotency-key", "keys-ignored", ALL),
        ("read-back", "strict", ALL),
        ("none", "strict", ALL),
    ];
    for (capability, profile, answers) in table {
        let mut desk = Desk::of_profile(capability, profile);
        assert_eq!(desk.service.begin(seconds(0), &PUT, Duration::ZERO), Begun::Working(Work::Execute));
        let meanwhile = desk.ask(seconds(0), PUT);
        let first = desk.finish(seconds(1), &PUT, Work::Execute, Mishap::None);
        let again = desk.ask(seconds(2), PUT);
        let other_body = desk.ask(seconds(2), OTHER_BODY);
        let after_ttl = desk.ask(seconds(0) + TTL, PUT);
        desk.service.lose_keys();
        let after_loss = desk.ask(seconds(1) + TTL, PUT);
        let met = [first, meanwhile, again, other_body, after_ttl, after_loss];
        assert_eq!(met, answers, "{capability}, {profile}");
    }
}

#[test]
fn a_request_whose_first_execution_failed_meets_what_the_profile_stored_of_it() {
    let table = [
        // First and again, where it failed before the effect, after the effect, or said yes and did nothing.
        ("put-by-id", "strict", [("500", "201 +"), ("500 +", "412"), ("201", "201 +")]),
        ("put-by-id", "stripe-v1", [("500", "201 +"), ("500 +", "412"), ("201", "201 +")]),
        ("idempotency-key", "strict", [("500", "200 +"), ("500 +", "200"), ("200", "200 +")]),
        ("idempotency-key", "stripe-v1", [("500", "500"), ("500 +", "500"), ("200", "200")]),
        ("idempotency-key", "only-2xx-cached", [("500", "200 +"), ("500 +", "200"), ("200", "200 +")]),
        ("idempotency-key", "keys-ignored", [("500", "200 +"), ("500 +", "200 +"), ("200", "200 +")]),
        ("read-back", "strict", [("500", "200 +"), ("500 +", "200 +"), ("200", "200 +")]),
        ("none", "strict", [("500", "200 +"), ("500 +", "200 +"), ("200", "200 +")]),
    ];
    for (capability, profile, answers) in table {
        for (mishap, answers) in [Mishap::ErrorBefore, Mishap::ErrorAfter, Mishap::FalseAck].into_iter().zip(answers) {
            let mut desk = Desk::of_profile(capability, profile);
            let first = desk.fail(seconds(0), mishap);
            let again = desk.ask(seconds(1), PUT);
            assert_eq!((&first[..], &again[..]), answers, "{capability}, {profile}, {mishap:?}");
        }
    }
}

#[test]
fn the_hard_limit_refuses_and_a_key_asks_for_one_effect_whether_or_not_its_refusal_is_remembered() {
    let table = [
        ("put-by-id", "strict"),
        ("idempotency-key", "strict"),
        ("idempotency-key", "only-2xx-cached"),
        ("read-back", "strict"),
        ("none", "strict"),
    ];
    for (capability, profile) in table {
        let mut desk = Desk::of_profile(capability, profile);
        desk.held = 1000;
        assert_eq!(desk.ask(seconds(0), PUT), "403 -", "{capability}, {profile}");
        assert_eq!(desk.ask(seconds(1), PUT), "403", "{capability}, {profile}");
        let without_key = [2, 3].map(|at| desk.ask(seconds(at), WITHOUT_KEY));
        assert_eq!(without_key, ["403 -", "403 -"], "{capability}, {profile}");
    }
}

#[test]
fn without_a_key_every_request_is_a_new_one_unless_a_key_is_required() {
    for (capability, done) in
        [("put-by-id", "201 +"), ("idempotency-key", "200 +"), ("read-back", "200 +"), ("none", "200 +")]
    {
        let mut desk = Desk::new(capability, "");
        assert_eq!([0, 1].map(|at| desk.ask(seconds(at), WITHOUT_KEY)), [done, done], "{capability}");
        let mut desk = Desk::new(capability, "require-key = true");
        assert_eq!(desk.ask(seconds(0), WITHOUT_KEY), "400", "{capability}");
    }
}

#[test]
fn a_read_finds_what_the_ledger_held_a_lag_ago() {
    let table = [
        // Nothing sent; a worker is at it; just applied; a nanosecond before the lag is over; then; after a restart.
        ("put-by-id", ["404", "404", "200", "200", "200", "200"]),
        ("idempotency-key", ["405"; 6]),
        ("read-back", ["404", "404", "404", "404", "200", "200"]),
        ("none", ["405"; 6]),
    ];
    for (capability, answers) in table {
        let mut desk = Desk::new(capability, "");
        let applied_at = seconds(1);
        let seen_at = applied_at + LAG;
        let nothing = desk.ask(seconds(0), GET);
        assert_eq!(desk.service.begin(seconds(0), &PUT, Duration::ZERO), Begun::Working(Work::Execute));
        let meanwhile = desk.ask(seconds(0), GET);
        desk.finish(applied_at, &PUT, Work::Execute, Mishap::None);
        let just_applied = desk.ask(applied_at, GET);
        let too_early = desk.ask(just_before(seen_at), GET);
        let seen = desk.ask(seen_at, GET);
        desk.service.lose_keys();
        let after_loss = desk.ask(seen_at + TTL, GET);
        assert_eq!([nothing, meanwhile, just_applied, too_early, seen, after_loss], answers, "{capability}");
        assert_eq!(desk.held, 125, "reading grants nothing");
    }
}

#[test]
fn a_read_finds_the_first_application_and_nothing_that_did_not_happen() {
    for capability in ["put-by-id", "read-back"] {
        let mut desk = Desk::new(capability, "");
        for (mishap, found) in [(Mishap::ErrorBefore, "404"), (Mishap::FalseAck, "404"), (Mishap::ErrorAfter, "200")] {
            desk.fail(seconds(0), mishap);
            assert_eq!(desk.ask(seconds(0) + LAG, GET), found, "{capability}, {mishap:?}");
        }
        // A second application does not make the first one young again.
        desk.ask(seconds(0) + LAG, PUT);
        assert_eq!(desk.ask(seconds(0) + LAG, GET), "200", "{capability}");

        let mut desk = Desk::new(capability, "");
        desk.held = 1000;
        desk.ask(seconds(0), PUT);
        assert_eq!(desk.ask(seconds(0) + LAG, GET), "404", "{capability}: a refused grant is not applied");
        assert_eq!(desk.ask(seconds(0) + LAG, Request { key: None, ..GET }), "404", "{capability}: no id");
    }
}

#[test]
fn a_read_takes_a_worker_a_place_and_its_mishaps_but_no_key() {
    let mut desk = Desk::new("read-back", "require-key = true\nqueue = 0");
    let works = [(); 2].map(|()| desk.service.begin(seconds(0), &GET, Duration::ZERO));
    assert_eq!(works, [Begun::Working(Work::Read(Status::NOT_FOUND)); 2]);
    assert_eq!(desk.service.refuses(&GET), Some(Status::UNAVAILABLE), "both workers read, and nothing may wait");
    let work = Work::Read(Status::NOT_FOUND);
    assert_eq!(desk.finish(seconds(0), &GET, work, Mishap::ErrorBefore), "500");
    assert_eq!(desk.finish(seconds(0), &GET, work, Mishap::ErrorAfter), "500");
    assert_eq!(desk.service.refuses(&Request { key: None, ..GET }), None);
}

#[test]
fn a_replica_that_lags_does_not_see_a_young_key() {
    let lag = Duration::from_secs(5);
    let table = [
        // A duplicate meanwhile, one a nanosecond before the lag is over, one when it is.
        ("idempotency-key", ["200 +", "200 +", "200"]),
        ("put-by-id", ["409", "412", "412"]),
    ];
    for (capability, answers) in table {
        let mut desk = Desk::new(capability, "");
        assert!(!desk.service.asks_a_replica(seconds(0), &PUT), "there is nothing to be hidden");
        desk.service.begin(seconds(0), &PUT, Duration::ZERO);
        assert_eq!(desk.service.asks_a_replica(seconds(0), &PUT), capability == "idempotency-key");
        let meanwhile = desk.ask_of_replica(seconds(1), PUT, lag);
        desk.finish(seconds(1), &PUT, Work::Execute, Mishap::None);
        let unseen = desk.ask_of_replica(just_before(seconds(0) + lag), PUT, lag);
        let seen = desk.ask_of_replica(seconds(0) + lag, PUT, lag);
        assert_eq!([meanwhile, unseen, seen], answers, "{capability}");
    }
}

#[test]
fn an_execution_that_did_not_see_the_key_leaves_it_as_it_is() {
    let mut desk = Desk::new("idempotency-key", "");
    assert_eq!(desk.ask(seconds(0), PUT), "200 +");
    let lag = Duration::from_secs(5);
    assert_eq!(desk.service.begin(seconds(1), &PUT, lag), Begun::Working(Work::ExecuteUnseen));
    assert_eq!(desk.finish(seconds(1), &PUT, Work::ExecuteUnseen, Mishap::ErrorBefore), "500");
    assert_eq!(desk.ask(seconds(2), PUT), "200", "the first execution's answer is still known");
}

#[test]
fn a_lagging_replica_makes_reads_later_still() {
    let lag = Duration::from_secs(5);
    for (capability, seen_at) in [("put-by-id", seconds(0) + lag), ("read-back", seconds(0) + LAG + lag)] {
        let mut desk = Desk::new(capability, "");
        assert!(!desk.service.asks_a_replica(seconds(0), &GET), "there is nothing to be hidden");
        desk.ask(seconds(0), PUT);
        assert!(desk.service.asks_a_replica(seconds(0), &GET));
        assert_eq!(
            [just_before(seen_at), seen_at].map(|at| desk.ask_of_replica(at, GET, lag)),
            ["404", "200"],
            "{capability}"
        );
    }
}
