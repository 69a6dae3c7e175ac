//! The names under which a run counts what it came across, and what it counts by time bin.
//!
//! A zero in a verdict means something only beside what was met; these are the counts it is printed beside.

/// What a run came across: the counts beside which a zero means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`name` says it")]
pub enum Reached {
    Doubts,
    DuplicateSends,
    KeyReplays,
    Receipts,
    LanePauses,
    BreakerOpenings,
    EffectCapHolds,
    Releases,
    EmptyClaims,
    Parked,
    Provisional,
    ProvisionalAgreements,
    BaselineFallbacks,
    Blocked,
    Crashes,
    Restarts,
    ProcessPauses,
    ClockChanges,
    AbandonedTries,
    CallerRetries,
    AbandonedCalls,
    LostReplies,
    HardLimitRefusals,
    StoreFailures,
    Failovers,
    ReadsAnswered,
    ReadsAbsent,
    LateExecutions,
    ExcusedReceipts,
    ExcusedUsers,
    SendsInDoubt,
    SendsAtLimit,
    LimitOvertaken,
    Takeovers,
    RetriesPutOff,
    VisitsDuringCalls,
    BacklogAfterTrigger,
    WallClockChanges,
    WindowedSends,
    RecordedElsewhere,
}

impl Reached {
    /// All of them, in the order of their names in a record.
    pub const ALL: [Self; 40] = [
        Self::Doubts,
        Self::DuplicateSends,
        Self::KeyReplays,
        Self::Receipts,
        Self::LanePauses,
        Self::BreakerOpenings,
        Self::EffectCapHolds,
        Self::Releases,
        Self::EmptyClaims,
        Self::Parked,
        Self::Provisional,
        Self::ProvisionalAgreements,
        Self::BaselineFallbacks,
        Self::Blocked,
        Self::Crashes,
        Self::Restarts,
        Self::ProcessPauses,
        Self::ClockChanges,
        Self::AbandonedTries,
        Self::CallerRetries,
        Self::AbandonedCalls,
        Self::LostReplies,
        Self::HardLimitRefusals,
        Self::StoreFailures,
        Self::Failovers,
        Self::ReadsAnswered,
        Self::ReadsAbsent,
        Self::LateExecutions,
        Self::ExcusedReceipts,
        Self::ExcusedUsers,
        Self::SendsInDoubt,
        Self::SendsAtLimit,
        Self::LimitOvertaken,
        Self::Takeovers,
        Self::RetriesPutOff,
        Self::VisitsDuringCalls,
        Self::BacklogAfterTrigger,
        Self::WallClockChanges,
        Self::WindowedSends,
        Self::RecordedElsewhere,
    ];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Doubts => "doubts",
            Self::DuplicateSends => "duplicate-sends",
            Self::KeyReplays => "key-replays",
            Self::Receipts => "receipts",
            Self::LanePauses => "lane-pauses",
            Self::BreakerOpenings => "breaker-openings",
            Self::EffectCapHolds => "effect-cap-holds",
            Self::Releases => "releases",
            Self::EmptyClaims => "empty-claims",
            Self::Parked => "parked",
            Self::Provisional => "provisional",
            Self::ProvisionalAgreements => "provisional-agreements",
            Self::BaselineFallbacks => "baseline-fallbacks",
            Self::Blocked => "blocked",
            Self::Crashes => "crashes",
            Self::Restarts => "restarts",
            Self::ProcessPauses => "process-pauses",
            Self::ClockChanges => "clock-changes",
            Self::AbandonedTries => "abandoned-tries",
            Self::CallerRetries => "caller-retries",
            Self::AbandonedCalls => "abandoned-calls",
            Self::LostReplies => "lost-replies",
            Self::HardLimitRefusals => "hard-limit-refusals",
            Self::StoreFailures => "store-failures",
            Self::Failovers => "store-failovers",
            Self::ReadsAnswered => "reads-answered",
            Self::ReadsAbsent => "reads-absent",
            Self::LateExecutions => "late-executions",
            Self::ExcusedReceipts => "excused-receipts",
            Self::ExcusedUsers => "excused-users",
            Self::SendsInDoubt => "sends-in-doubt",
            Self::SendsAtLimit => "sends-at-limit",
            Self::LimitOvertaken => "limit-overtaken",
            Self::Takeovers => "lease-takeovers",
            Self::RetriesPutOff => "retries-put-off",
            Self::VisitsDuringCalls => "visits-during-calls",
            Self::BacklogAfterTrigger => "backlog-after-trigger",
            Self::WallClockChanges => "wall-clock-changes",
            Self::WindowedSends => "windowed-sends",
            Self::RecordedElsewhere => "recorded-elsewhere",
        }
    }
}

/// What is counted by time bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`name` says it")]
pub enum Counted {
    Visits,
    Entitlements,
    Calls,
    Effects,
    Goodput,
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Visits, Self::Entitlements, Self::Calls, Self::Effects, Self::Goodput];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visits => "visits",
            Self::Entitlements => "entitlements",
            Self::Calls => "calls",
            Self::Effects => "effects",
            Self::Goodput => "goodput",
        }
    }
}
