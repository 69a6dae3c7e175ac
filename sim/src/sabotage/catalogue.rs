//! What is broken, where it must be found, and by what.

use super::Ground;

/// One way in which the hardened hook is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is told by `says`")]
pub enum Sabotage {
    KeyPerAttempt,
    KeyPerVersion,
    VersionInGrantId,
    NewKeyAfterMismatch,
    BodyOfTheDay,
    HasherOfTheProcess,
    OneHashForBoth,
    TreatsEveryone,
    ShowsCandidate,
    NoVersionAgreement,
    AcknowledgesBeforeDurable,
    SendsBeforeDurable,
    ExposesAfterEffect,
    ProvisionalIsExposure,
    GrantsProvisionally,
    ExposesEveryVisit,
    ExposesWithoutGranting,
    GrantsControls,
    LeaseByWallClock,
    LeaseTooShort,
    LeaseWithoutEnd,
    LosesReceipts,
    ForgetsAfterRestart,
    NoWindowGuard,
    WindowWithoutLifetime,
    AbsentTooEarly,
    TimeoutIsUnsent,
    TimeoutIsReceipt,
    ConflictIsReceipt,
    UnprovenIsReceipt,
    UnauthorisedIsRejection,
    RefusalIsTransient,
    GivesUpAtOnce,
    ParksEverything,
    ParksInDoubt,
    ParksAfterFailover,
    ReadsInsteadOfSending,
    SendsTwice,
    WaitsForUpstream,
    NoAdaptiveLimit,
    LimitPerInstance,
    NoRetryBudget,
    BudgetWithoutFloor,
    NoBreaker,
    OutageIsPause,
    BreakerCountsThrottles,
    BreakerCountsKeptErrors,
    NoJitter,
    IgnoresRetryAfter,
    NoEffectCap,
}

/// What is told of a sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Which.
    pub sabotage: Sabotage,
    /// Its name in tables.
    pub name: &'static str,
    /// What the broken hook does.
    pub says: &'static str,
    /// Where it must be found.
    pub ground: Ground,
    /// By which invariants, or metrics of the ground's expectations: any of them is enough.
    pub found_by: &'static [&'static str],
}

impl Sabotage {
    /// All of them, in the order of tables.
    pub const ALL: [Self; CATALOGUE.len()] = {
        let mut all = [Self::KeyPerAttempt; CATALOGUE.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = CATALOGUE[index].sabotage;
            assert!(all[index] as usize == index, "the catalogue is in the order of the enum");
            index += 1;
        }
        all
    };

    /// What is told of it.
    pub const fn about(self) -> &'static About {
        &CATALOGUE[self as usize]
    }

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// What the broken hook does.
    pub const fn says(self) -> &'static str {
        self.about().says
    }

    /// The sabotage of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sabotage| sabotage.name() == name)
    }
}

const fn about(
    sabotage: Sabotage,
    name: &'static str,
    ground: Ground,
    found_by: &'static [&'static str],
    says: &'static str,
) -> About {
    About { sabotage, name, says, ground, found_by }
}

use self::Sabotage as S;
use super::Ground as G;

#[rustfmt::skip]
static CATALOGUE: [About; 50] = [
    about(S::KeyPerAttempt, "key-per-attempt", G::Swarm, &["GRANT-1"],
        "a new idempotency key for each attempt"),
    about(S::KeyPerVersion, "key-per-version", G::Deploys, &["GRANT-1"],
        "the key depends on the version of the process that sends"),
    about(S::VersionInGrantId, "version-in-grant-id", G::Rollback, &["GRANT-1"],
        "the grant's id depends on the version that exposed the user"),
    about(S::NewKeyAfterMismatch, "new-key-after-422", G::Deploys, &["GRANT-1"],
        "a retry carries the units of the running version, and a 422 is answered with a new key"),
    about(S::BodyOfTheDay, "body-of-the-day", G::Deploys, &["grant.parked", "over-allocation.worst-ratio"],
        "a request carries the units of the running version, not those that were promised"),
    about(S::HasherOfTheProcess, "hasher-of-the-process", G::Swarm, &["ASSIGN-2"],
        "the arm is drawn with a hasher that each process seeds anew"),
    about(S::OneHashForBoth, "one-hash-for-both", G::Swarm, &["ASSIGN-2"],
        "enrolment and arm are drawn from the same hash"),
    about(S::TreatsEveryone, "treats-everyone", G::Swarm, &["ASSIGN-2"],
        "everybody is given the treatment"),
    about(S::ShowsCandidate, "shows-candidate", G::Deploys, &["ASSIGN-1"],
        "a visit is shown what the running version would assign, not what is recorded"),
    about(S::NoVersionAgreement, "no-version-agreement", G::Away, &["ASSIGN-1"],
        "without a record the running version's variant is shown, whatever other versions say"),
    about(S::AcknowledgesBeforeDurable, "acknowledges-before-durable", G::Swarm, &["AUDIT-1"],
        "a visit is answered before its record is durable"),
    about(S::SendsBeforeDurable, "sends-before-durable", G::Swarm, &["GRANT-2", "GRANT-5"],
        "a grant's request is sent along with the commit that records it"),
    about(S::ExposesAfterEffect, "exposes-after-effect", G::Swarm, &["GRANT-2"],
        "the exposure is recorded once the service has answered"),
    about(S::ProvisionalIsExposure, "provisional-is-exposure", G::Swarm, &["AUDIT-1"],
        "an answer without a record counts as an exposure"),
    about(S::GrantsProvisionally, "grants-provisionally", G::Away, &["GRANT-2"],
        "whoever is shown a treatment without a record is granted it"),
    about(S::ExposesEveryVisit, "exposes-every-visit", G::Fair, &["exposure.duplicates"],
        "each visit writes an exposure"),
    about(S::ExposesWithoutGranting, "exposes-without-granting", G::Swarm, &["GRANT-3"],
        "a treated exposure is recorded without its grant"),
    about(S::GrantsControls, "grants-controls", G::Swarm, &["GRANT-2"],
        "an exposure to a control records a grant as well"),
    about(S::LeaseByWallClock, "lease-by-wall-clock", G::Swarm, &["TIME-1", "GRANT-5"],
        "leases and windows are judged by the instance's wall clock"),
    about(S::LeaseTooShort, "lease-too-short", G::Swarm, &["GRANT-5"],
        "its claims keep others away for 50 ms, and it believes in them for ever"),
    about(S::LeaseWithoutEnd, "lease-without-end", G::Swarm, &["GRANT-3"],
        "its claims keep others away for ever"),
    about(S::LosesReceipts, "loses-receipts", G::Swarm, &["GRANT-5", "GRANT-3"],
        "every other receipt is settled under a fence that is over"),
    about(S::ForgetsAfterRestart, "forgets-after-restart", G::Swarm, &["GRANT-3"],
        "a process delivers only what it has recorded itself"),
    about(S::NoWindowGuard, "no-window-guard", G::Window, &["GRANT-4", "GRANT-1"],
        "what is in doubt is sent again, however old its key"),
    about(S::WindowWithoutLifetime, "window-without-lifetime", G::Window, &["GRANT-4", "GRANT-1"],
        "the window's guard leaves out how late a request may execute"),
    about(S::AbsentTooEarly, "absent-too-early", G::Lagging, &["GRANT-1"],
        "a read that finds nothing is believed at once"),
    about(S::TimeoutIsUnsent, "timeout-is-unsent", G::Swarm, &["GRANT-1"],
        "a lost answer is taken for a request that never left"),
    about(S::TimeoutIsReceipt, "timeout-is-receipt", G::Swarm, &["AUDIT-1"],
        "a timeout is taken for a receipt"),
    about(S::ConflictIsReceipt, "conflict-is-receipt", G::Window, &["AUDIT-1"],
        "a 409 is taken for a receipt"),
    about(S::UnprovenIsReceipt, "unproven-is-receipt", G::Unproven, &["AUDIT-1"],
        "any 2xx is taken for a receipt, whatever its body"),
    about(S::UnauthorisedIsRejection, "401-is-rejection", G::Credentials, &["GRANT-3", "undelivered.users"],
        "a 401 rejects the grant"),
    about(S::RefusalIsTransient, "refusal-is-transient", G::HardLimit, &["GRANT-3"],
        "what the service refuses for good is sent again"),
    about(S::GivesUpAtOnce, "gives-up-at-once", G::Swarm, &["GRANT-3"],
        "a grant is rejected at its first failure"),
    about(S::ParksEverything, "parks-everything", G::Swarm, &["GRANT-3", "undelivered.users"],
        "every grant is parked unsent"),
    about(S::ParksInDoubt, "parks-in-doubt", G::Swarm, &["GRANT-3"],
        "what is in doubt is parked, although a repetition or a read would end the doubt"),
    about(S::ParksAfterFailover, "parks-after-failover", G::Swarm, &["GRANT-3"],
        "what the store has lost sight of is parked, although the service could be asked"),
    about(S::ReadsInsteadOfSending, "reads-instead-of-sending", G::Swarm, &["GRANT-3"],
        "the service is asked whether the grant exists, and never for it"),
    about(S::SendsTwice, "sends-twice", G::Swarm, &["GRANT-5", "GRANT-1"],
        "each request is sent twice"),
    about(S::WaitsForUpstream, "waits-for-upstream", G::Swarm, &["PATH-1"],
        "a visit waits while the process has requests under way"),
    about(S::NoAdaptiveLimit, "no-adaptive-limit", G::Storm, &["LOAD-1"],
        "nothing bounds the requests in flight"),
    about(S::LimitPerInstance, "limit-per-instance", G::Storm, &["LOAD-1"],
        "each instance takes the fleet's limit for its own"),
    about(S::NoRetryBudget, "no-retry-budget", G::Failing, &["LOAD-2"],
        "nothing but backoff postpones retries"),
    about(S::BudgetWithoutFloor, "budget-without-floor", G::Failing, &["LOAD-4", "LOAD-3"],
        "an empty retry budget is refilled by success only, and the row rewritten while it waits"),
    about(S::NoBreaker, "no-breaker", G::Outage, &["upstream.calls"],
        "sending goes on while everything fails"),
    about(S::OutageIsPause, "outage-is-pause", G::Outage, &["LOAD-3"],
        "after a 503 nothing is sent for an hour"),
    about(S::BreakerCountsThrottles, "breaker-counts-throttles", G::Throttled, &["upstream.goodput-ratio"],
        "a 429 counts as a failure"),
    about(S::BreakerCountsKeptErrors, "breaker-counts-kept-errors", G::KeptErrors, &["LOAD-3", "upstream.goodput-ratio"],
        "a 500 that a key may have kept counts as a failure"),
    about(S::NoJitter, "no-jitter", G::Together, &["upstream.peak-rps"],
        "backoff is its bound, so that who failed together comes back together"),
    about(S::IgnoresRetryAfter, "ignores-retry-after", G::Throttled, &["upstream.calls"],
        "nothing is made of Retry-After"),
    about(S::NoEffectCap, "no-effect-cap", G::Capped, &["upstream.calls"],
        "effects-per-minute is left out"),
];
