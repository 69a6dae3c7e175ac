//! What a store does, said once more and as plainly as possible: a row for each user, searched where the image has indexes.
//!
//! Where the image is free (which of several grants that are due at the same time, and how the fleet's limit adapts), the
//! model is told what the image did, checks that it was free to, and follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookproof_core::classify::Doubt;
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{
    Admit, Admitted, Claim, ClaimedGrant, Committed, Counts, Epoch, Evidence, Fence, First, GrantState, Hold,
    LineageId, Open, Resolution, Resolve, Settle, Settlement, VersionId,
};
use hookproof_core::time::WallTime;

const MINUTE_NANOS: u64 = 60_000_000_000;

/// A grant.
#[derive(Clone, Debug)]
pub struct ModelGrant {
    id: GrantId,
    units: u32,
    /// Its state.
    pub state: GrantState,
    /// Pending: when it is due. Claimed: when the lease ends.
    due_at: WallTime,
    fence: Fence,
    attempts: u32,
    doubt: Doubt,
    /// When claims were made that may have been applied, the present one included; UNIX's epoch stands for "nobody knows when".
    counted: Vec<WallTime>,
    sent_until: WallTime,
    /// Why it is parked, if it is.
    pub evidence: Option<Evidence>,
}

impl ModelGrant {
    const fn is_open(&self) -> bool {
        matches!(self.state, GrantState::Pending | GrantState::Claimed)
    }
}

/// A user.
#[derive(Clone, Debug)]
pub struct ModelUser {
    /// The recorded variant.
    pub variant: VariantIndex,
    generation: u8,
    /// The grant, if there is one.
    pub grant: Option<ModelGrant>,
}

impl ModelUser {
    fn record(&self, first: First) -> Admitted {
        let grant = self.grant.as_ref().map(|grant| grant.state);
        Admitted { variant: self.variant, first, generation: self.generation, grant }
    }
}

/// What the processes share.
#[derive(Clone, Debug)]
pub struct ModelFleet {
    /// Requests that may be under way, as the image says; `None` before the first claim.
    limit: Option<u16>,
    effects_per_minute: u32,
    paused_until: WallTime,
    /// Which minute the last claim was in, and how many were claimed since and not given back.
    minute: u64,
    claimed_in_minute: u32,
}

impl ModelFleet {
    fn capped_until(&self) -> WallTime {
        let is_capped = self.claimed_in_minute >= self.effects_per_minute;
        WallTime::from_unix_nanos(if is_capped { (self.minute + 1) * MINUTE_NANOS } else { 0 })
    }

    fn is_full(&self, claimed: u64) -> bool {
        self.limit.is_some_and(|limit| claimed >= u64::from(limit))
    }

    fn hold(&self, now: WallTime, claimed: u64) -> Option<Hold> {
        if now < self.paused_until {
            Some(Hold::Paused(self.paused_until))
        } else if now < self.capped_until() {
            Some(Hold::Capped(self.capped_until()))
        } else if self.is_full(claimed) {
            Some(Hold::Full)
        } else {
            None
        }
    }

    fn on_claim(&mut self, now: WallTime) {
        let minute = now.as_unix_nanos() / MINUTE_NANOS;
        if minute != self.minute {
            (self.minute, self.claimed_in_minute) = (minute, 0);
        }
        self.claimed_in_minute += 1;
    }
}

/// The whole store.
#[derive(Clone, Debug)]
pub struct Model {
    lineage: Option<LineageId>,
    versions: BTreeSet<VersionId>,
    /// The present epoch.
    pub epoch: Epoch,
    epoch_began_at: WallTime,
    /// Everybody.
    pub users: BTreeMap<u64, ModelUser>,
    /// What the processes share.
    pub fleet: ModelFleet,
    /// Claims of grants that a receipt of an earlier claim has ended, until their own settlement or their lease's end.
    pub outlived: BTreeMap<u64, (Fence, WallTime)>,
}

impl Model {
    /// An empty store.
    pub const fn new() -> Self {
        let fleet = ModelFleet {
            limit: None,
            effects_per_minute: u32::MAX,
            paused_until: WallTime::UNIX_EPOCH,
            minute: 0,
            claimed_in_minute: 0,
        };
        Self {
            lineage: None,
            versions: BTreeSet::new(),
            epoch: Epoch(0),
            epoch_began_at: WallTime::UNIX_EPOCH,
            users: BTreeMap::new(),
            fleet,
            outlived: BTreeMap::new(),
        }
    }

    pub fn open(&mut self, open: Open) -> Committed {
        if self.lineage.is_some_and(|lineage| lineage != open.lineage) {
            return Committed::Foreign;
        }
        self.lineage = Some(open.lineage);
        self.versions.insert(open.version);
        Committed::Opened { due_at: self.due_at(), versions: self.versions.iter().copied().collect() }
    }

    pub fn version_count(&self) -> usize {
        self.versions.len()
    }

    pub fn admit(&mut self, now: WallTime, admit: Admit) -> Committed {
        let first = if self.users.contains_key(&admit.user.0) { First::Known } else { First::Exposure };
        if first == First::Exposure {
            // In a later epoch, the user's record may be among what was lost.
            let is_first_epoch = self.epoch == Epoch(0);
            let grant = admit.grant.map(|intent| ModelGrant {
                id: intent.id,
                units: intent.units,
                state: GrantState::Pending,
                due_at: now,
                fence: Fence::default(),
                attempts: 0,
                doubt: if is_first_epoch { Doubt::Clear } else { Doubt::InDoubt },
                counted: if is_first_epoch { vec![] } else { vec![WallTime::UNIX_EPOCH] },
                sent_until: self.epoch_began_at,
                evidence: None,
            });
            let user = ModelUser { variant: admit.variant, generation: admit.generation, grant };
            self.users.insert(admit.user.0, user);
        }
        Committed::Admitted { record: self.users[&admit.user.0].record(first), due_at: self.due_at() }
    }

    pub fn find(&self, user: UserHandle) -> Committed {
        let record = self.users.get(&user.0).map(|user| user.record(First::Known));
        Committed::Found { record, due_at: self.due_at() }
    }

    /// Checks which grants the image took under `limit`, takes them, and says what the claimer is to be told.
    pub fn claim(&mut self, now: WallTime, claim: &Claim, limit: u16, taken: &[ClaimedGrant]) -> Committed {
        self.fleet.limit = Some(limit);
        self.fleet.effects_per_minute = claim.fleet.effects_per_minute.max(1);
        self.outlived.retain(|_, (_, until)| *until > now);
        let mut hold = None;
        let mut grants = Vec::new();
        while grants.len() < usize::from(claim.limit) {
            let held = self.fleet.hold(now, self.places_taken());
            let may_take = |grant: &&ModelGrant| match held {
                Some(Hold::Paused(_) | Hold::Capped(_)) => false,
                Some(Hold::Full) => grant.state == GrantState::Claimed,
                None => true,
            };
            let overdue = |grant: &&ModelGrant| grant.due_at <= now && grant.due_at < WallTime::MAX;
            let Some(longest) = self.open_grants().filter(overdue).filter(may_take).map(|grant| grant.due_at).min()
            else {
                hold = held.filter(|_| self.open_grants().any(|grant| overdue(&grant)));
                break;
            };
            let choice = taken.get(grants.len()).expect("something is due, and nothing holds it back");
            let grant = self.users.get_mut(&choice.user.0).and_then(|user| user.grant.as_mut());
            let grant = grant.filter(|grant| grant.is_open()).expect("only open grants are claimed");
            assert_eq!(grant.due_at, longest, "the longest overdue go first");
            assert!(may_take(&&*grant), "LOAD-1: {held:?} holds it back");
            grants.push(Self::take(now, self.epoch, choice.user, grant, claim));
            self.fleet.on_claim(now);
        }
        Committed::Claimed { grants, due_at: self.due_at(), hold }
    }

    fn take(now: WallTime, epoch: Epoch, user: UserHandle, grant: &mut ModelGrant, claim: &Claim) -> ClaimedGrant {
        if grant.state == GrantState::Claimed {
            grant.doubt = Doubt::InDoubt;
            grant.sent_until = grant.sent_until.max(grant.due_at);
        }
        grant.state = GrantState::Claimed;
        grant.fence = Fence { epoch, claim: grant.fence.claim + 1, nonce: claim.nonce };
        grant.attempts += 1;
        grant.counted.push(now);
        grant.due_at = now + claim.lease.max(Duration::from_nanos(1));
        ClaimedGrant {
            user,
            grant: grant.id,
            units: grant.units,
            fence: grant.fence,
            attempts: grant.attempts,
            doubt: grant.doubt,
            first_sent_at: grant.counted[0],
            sent_until: grant.sent_until,
            claimed_at: now,
            lease_until: grant.due_at,
        }
    }

    /// Settles; `limit` is the image's afterwards.
    pub fn settle(&mut self, now: WallTime, settle: Settle, limit: Option<u16>) -> Committed {
        self.fleet.limit = limit;
        let epoch = self.epoch;
        if let Some(grant) = self.users.get_mut(&settle.user.0).and_then(|user| user.grant.as_mut()) {
            let is_live =
                grant.state == GrantState::Claimed && grant.fence == settle.fence && settle.fence.epoch == epoch;
            let is_receipt = settle.settlement == Settlement::Delivered;
            let is_news = if is_receipt { grant.state != GrantState::Delivered } else { is_live };
            if is_news && settle.pause > Duration::ZERO {
                self.fleet.paused_until = self.fleet.paused_until.max(now + settle.pause);
            }
            let is_claimed_by_another = grant.state == GrantState::Claimed && grant.fence != settle.fence;
            let (fence, until) = (grant.fence, grant.due_at);
            Self::settle_grant(now, epoch, grant, settle);
            if is_claimed_by_another && grant.state == GrantState::Delivered && until > now {
                self.outlived.insert(settle.user.0, (fence, until));
            }
        }
        if self.outlived.get(&settle.user.0).is_some_and(|(fence, _)| *fence == settle.fence) {
            self.outlived.remove(&settle.user.0);
        }
        Committed::Settled { due_at: self.due_at() }
    }

    fn settle_grant(now: WallTime, epoch: Epoch, grant: &mut ModelGrant, settle: Settle) {
        // Which grant a settled row had is not kept: it follows from the user.
        if grant.is_open() && settle.grant != grant.id {
            return;
        }
        // A receipt counts under any fence and in any state.
        if settle.settlement == Settlement::Delivered {
            (grant.state, grant.evidence) = (GrantState::Delivered, None);
            return;
        }
        let is_live = grant.state == GrantState::Claimed && grant.fence == settle.fence && settle.fence.epoch == epoch;
        if !is_live {
            if let Settlement::Again { doubt: Doubt::InDoubt, .. } = settle.settlement
                && grant.is_open()
            {
                // Somebody sent it, and nobody knows when.
                if grant.doubt == Doubt::Clear {
                    grant.counted.insert(0, WallTime::UNIX_EPOCH);
                }
                grant.doubt = Doubt::InDoubt;
                grant.sent_until = grant.sent_until.max(now);
            }
            return;
        }
        match settle.settlement {
            Settlement::Delivered => unreachable!("see above"),
            Settlement::Rejected => grant.state = GrantState::Rejected,
            Settlement::Parked { reason, answer } => {
                grant.state = GrantState::Parked;
                grant.evidence = Some(Evidence {
                    grant: grant.id,
                    units: grant.units,
                    fence: grant.fence,
                    reason,
                    answer,
                    attempts: grant.attempts,
                    first_sent_at: grant.counted[0],
                    sent_until: if answer.is_some() { now } else { grant.sent_until },
                    parked_at: now,
                });
            }
            Settlement::Again { after, doubt } => {
                (grant.state, grant.due_at, grant.sent_until) = (GrantState::Pending, now + after, now);
                grant.doubt = grant.doubt.max(doubt);
            }
            Settlement::Unsent { after } => {
                (grant.state, grant.due_at) = (GrantState::Pending, now + after);
                grant.counted.pop();
            }
            Settlement::Released { after } => {
                (grant.state, grant.due_at) = (GrantState::Pending, now + after);
                grant.counted.pop();
                grant.attempts -= 1;
            }
            Settlement::Absent => {
                (grant.state, grant.due_at, grant.doubt) = (GrantState::Pending, now, Doubt::Clear);
                grant.counted.clear();
                grant.attempts -= 1;
            }
        }
    }

    /// A human has looked at it.
    pub fn resolve(&mut self, now: WallTime, resolve: Resolve) -> Committed {
        let (epoch, began_at) = (self.epoch, self.epoch_began_at);
        let grant = self.users.get_mut(&resolve.user.0).and_then(|user| user.grant.as_mut());
        let parked = grant.filter(|grant| grant.id == resolve.grant && grant.state == GrantState::Parked);
        let was_parked = parked.is_some();
        if let Some(grant) = parked {
            let evidence = grant.evidence.take().expect("what is parked has evidence");
            match resolve.resolution {
                Resolution::Applied => grant.state = GrantState::Delivered,
                Resolution::NotApplied => grant.state = GrantState::Rejected,
                Resolution::Retry => {
                    let first_sent_at =
                        if grant.fence.epoch == epoch { evidence.first_sent_at } else { WallTime::UNIX_EPOCH };
                    (grant.state, grant.due_at, grant.doubt) = (GrantState::Pending, now, Doubt::InDoubt);
                    let is_counted = first_sent_at < WallTime::MAX;
                    grant.counted = is_counted.then_some(first_sent_at).into_iter().collect();
                    grant.sent_until = evidence.sent_until.max(began_at);
                }
            }
        }
        Committed::Resolved { was_parked, due_at: self.due_at() }
    }

    /// Whatever is open may have been sent by a claim that the store has lost.
    pub fn begin_epoch(&mut self, now: WallTime, epoch: Epoch) {
        (self.epoch, self.epoch_began_at) = (epoch, now);
        let grants = self.users.values_mut().filter_map(|user| user.grant.as_mut());
        for grant in grants.filter(|grant| grant.is_open()) {
            grant.doubt = Doubt::InDoubt;
            grant.counted = vec![WallTime::UNIX_EPOCH];
            grant.sent_until = grant.sent_until.max(now);
        }
    }

    fn open_grants(&self) -> impl Iterator<Item = &ModelGrant> {
        self.users.values().filter_map(|user| user.grant.as_ref()).filter(|grant| grant.is_open())
    }

    /// When a claim could be given something.
    pub fn due_at(&self) -> WallTime {
        let is_full = self.fleet.is_full(self.places_taken());
        // A full fleet's next free place is that of a claim that was outlived; others are told of as leases.
        let place_free_at = self.outlived.values().map(|(_, until)| *until).min().unwrap_or(WallTime::MAX);
        let waits_for_a_place = |grant: &ModelGrant| is_full && grant.state == GrantState::Pending;
        let next = self
            .open_grants()
            .map(|grant| if waits_for_a_place(grant) { grant.due_at.max(place_free_at) } else { grant.due_at })
            .min()
            .unwrap_or(WallTime::MAX);
        if next == WallTime::MAX {
            return next;
        }
        next.max(self.fleet.paused_until).max(self.fleet.capped_until())
    }

    fn places_taken(&self) -> u64 {
        self.counts().claimed + self.outlived.len() as u64
    }

    /// How many grants are in each state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for grant in self.users.values().filter_map(|user| user.grant.as_ref()) {
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
