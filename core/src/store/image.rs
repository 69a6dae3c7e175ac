//! The whole content of a store, and the meaning of every command.
//!
//! Owns the rows: one for each user, one for each grant that is not settled, the evidence of those that are parked. A grant
//! that is settled leaves its row to the next one, so memory follows the open grants.
//!
//! The invariants are those of [`store`](super). Time is an argument, no chance enters. Read next: `tests/machines/store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::due::DueOrder;
use super::rows::{GrantRecord, Head, UserRecord};
use super::{
    Admit, Admitted, Claim, ClaimNonce, ClaimedGrant, Command, Committed, Epoch, Evidence, Fence, First, Fleet,
    GrantState, Hold, LineageId, Open, Reply, Resolution, Resolve, Settle, Settlement, VersionId,
};
use crate::classify::Doubt;
use crate::experiment::VariantIndex;
use crate::identity::{GrantId, UserHandle};
use crate::time::WallTime;

/// A user's row: 8 bytes, since there are as many as users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct UserRow {
    open_slot: u32,
    /// Whether there is a record.
    is_exposed: bool,
    variant: VariantIndex,
    generation: u8,
    grant: Option<GrantState>,
}

const _: () = assert!(size_of::<UserRow>() == 8);

impl UserRow {
    const ABSENT: Self =
        Self { is_exposed: false, open_slot: u32::MAX, variant: VariantIndex::new(0), generation: 0, grant: None };

    const fn is_absent(self) -> bool {
        !self.is_exposed
    }

    const fn admitted(self, first: First) -> Admitted {
        Admitted { variant: self.variant, first, generation: self.generation, grant: self.grant }
    }
}

/// A grant that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenGrant {
    /// Its id.
    pub grant: GrantId,
    /// Whose it is.
    pub user: UserHandle,
    /// By how much, as promised at the exposure.
    pub units: u32,
    /// Pending: when it is due. Claimed: when the lease ends.
    pub due_at: WallTime,
    /// [`WallTime::MAX`] while no attempt that counts was made, [`WallTime::UNIX_EPOCH`] if it is not known when.
    pub first_sent_at: WallTime,
    /// No holder of an earlier claim than the present one has passed its guards after this time.
    pub sent_until: WallTime,
    /// The last claim's.
    pub fence: Fence,
    /// Sends so far, the one that the present claim is for included.
    pub attempts: u32,
    /// Whether an attempt may have been applied.
    pub doubt: Doubt,
    /// The service may have seen a request of an earlier claim, whatever it answered: the network may have made another of it.
    pub is_seen: bool,
}

const _: () = assert!(size_of::<OpenGrant>() <= 96);

/// A user's row with the open grant: what an undo needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Saved {
    user: UserHandle,
    row: UserRow,
    open: Option<OpenGrant>,
    /// Rarely any.
    evidence: Option<Box<Evidence>>,
}

impl Saved {
    /// Whose record it is.
    pub const fn user(&self) -> UserHandle {
        self.user
    }

    fn new(user: UserHandle, record: UserRecord) -> Self {
        let UserRecord { variant, generation, grant } = record;
        let row =
            UserRow { is_exposed: true, variant, generation, grant: grant.map(GrantRecord::state), ..UserRow::ABSENT };
        let (open, evidence) = match grant {
            Some(GrantRecord::Pending(open) | GrantRecord::Claimed(open)) => (Some(open), None),
            Some(GrantRecord::Parked(evidence)) => (None, Some(Box::new(evidence))),
            Some(GrantRecord::Delivered | GrantRecord::Rejected) | None => (None, None),
        };
        Self { user, row, open, evidence }
    }

    /// The record in rows; `None` if the user has none.
    pub fn record(&self) -> Option<UserRecord> {
        let UserRow { variant, generation, grant, .. } = self.row;
        let grant = grant.and_then(|state| match state {
            GrantState::Pending => self.open.map(GrantRecord::Pending),
            GrantState::Claimed => self.open.map(GrantRecord::Claimed),
            GrantState::Delivered => Some(GrantRecord::Delivered),
            GrantState::Rejected => Some(GrantRecord::Rejected),
            GrantState::Parked => self.evidence.as_deref().copied().map(GrantRecord::Parked),
        });
        (!self.row.is_absent()).then_some(UserRecord { variant, generation, grant })
    }
}

/// How many grants are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Ever recorded.
    pub admitted: u64,
    /// In [`GrantState::Pending`].
    pub pending: u64,
    /// In [`GrantState::Claimed`].
    pub claimed: u64,
    /// In [`GrantState::Delivered`].
    pub delivered: u64,
    /// In [`GrantState::Rejected`].
    pub rejected: u64,
    /// In [`GrantState::Parked`].
    pub parked: u64,
}

impl Counts {
    fn of(&mut self, state: GrantState) -> &mut u64 {
        match state {
            GrantState::Pending => &mut self.pending,
            GrantState::Claimed => &mut self.claimed,
            GrantState::Delivered => &mut self.delivered,
            GrantState::Rejected => &mut self.rejected,
            GrantState::Parked => &mut self.parked,
        }
    }

    fn shift(&mut self, from: Option<GrantState>, to: Option<GrantState>) {
        match from {
            Some(state) => *self.of(state) -= 1,
            None => self.admitted += 1,
        }
        match to {
            Some(state) => *self.of(state) += 1,
            None => self.admitted -= 1,
        }
        assert_eq!(
            self.admitted,
            self.pending + self.claimed + self.delivered + self.rejected + self.parked,
            "GRANT-3: a grant has left the books"
        );
    }
}

/// The whole content of a store, and the meaning of every command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    lineage: Option<LineageId>,
    versions: BTreeSet<VersionId>,
    epoch: Epoch,
    epoch_began_at: WallTime,
    users: Vec<UserRow>,
    open: Vec<OpenGrant>,
    free: Vec<u32>,
    /// Pending grants by the time they are due.
    due: DueOrder,
    /// Claimed grants by the end of their lease.
    leases: DueOrder,
    /// Claims whose grant a receipt of an earlier claim has ended, with the end of their lease: their requests may still be
    /// under way.
    outlived: BTreeMap<UserHandle, (Fence, WallTime)>,
    fleet: Fleet,
    evidence: BTreeMap<UserHandle, Evidence>,
    counts: Counts,
    rows_written: u64,
}

impl Image {
    /// An empty store with room for `users` users.
    pub fn with_capacity(users: usize) -> Self {
        Self { users: Vec::with_capacity(users), ..Self::default() }
    }

    /// The part of a store that [`super::rows`] describes: its head, and of its users none but those that [`Image::restore`]
    /// adds.
    pub fn of_head(head: Head) -> Self {
        let Head { lineage, versions, epoch, epoch_began_at, fleet, claimed_elsewhere, outlived } = head;
        let counts = Counts { admitted: claimed_elsewhere, claimed: claimed_elsewhere, ..Counts::default() };
        Self { lineage, versions, epoch, epoch_began_at, outlived, fleet, counts, ..Self::default() }
    }

    /// What the store knows besides its users, for [`Image::of_head`]. It counts as claimed elsewhere what is claimed here.
    pub fn head(&self) -> Head {
        Head {
            lineage: self.lineage,
            versions: self.versions.clone(),
            epoch: self.epoch,
            epoch_began_at: self.epoch_began_at,
            fleet: self.fleet,
            claimed_elsewhere: self.counts.claimed,
            outlived: self.outlived.clone(),
        }
    }

    /// Executes the commands of one commit in order, at the store's time `now`.
    pub fn commit(&mut self, now: WallTime, commands: impl IntoIterator<Item = Command>) -> Reply {
        let results = commands.into_iter().map(|command| self.apply(now, command)).collect();
        Reply::Committed { at: now, versions: self.version_count(), results }
    }

    /// Executes one command at the store's time `now`.
    pub fn apply(&mut self, now: WallTime, command: Command) -> Committed {
        match command {
            Command::Open(open) => self.open_for(open),
            Command::Admit(admit) => {
                let record = self.admit(now, admit);
                Committed::Admitted { record, due_at: self.due_at() }
            }
            Command::Find(user) => Committed::Found { record: self.find(user), due_at: self.due_at() },
            Command::Claim(claim) => self.claim(now, claim),
            Command::Settle(settle) => {
                self.settle(now, settle);
                Committed::Settled { due_at: self.due_at() }
            }
            Command::Resolve(resolve) => {
                let was_parked = self.resolve(now, resolve);
                Committed::Resolved { was_parked, due_at: self.due_at() }
            }
        }
    }

    /// Whether `command` would change anything at `now`: a repeated admission only reads.
    pub fn writes(&self, now: WallTime, command: &Command) -> bool {
        match command {
            Command::Open(open) => self.lineage.is_none() || !self.versions.contains(&open.version),
            Command::Admit(admit) => self.row(admit.user).is_none_or(|row| row.is_absent()),
            Command::Find(_) => false,
            // Nothing is due under any limits.
            Command::Claim(_) if self.earliest() > now => false,
            Command::Claim(claim) => {
                // A claim brings its own limits, which may let through what the fleet's present ones hold back.
                let mut fleet = self.fleet;
                fleet.configure(claim.fleet);
                self.due_at_under(&fleet) <= now
            }
            Command::Settle(_) => true,
            Command::Resolve(resolve) => self.parked_as(resolve).is_some(),
        }
    }

    /// The store has lost commits, or may have: from here on, nothing that an earlier epoch may have sent is taken for
    /// unsent, and no fence of an earlier epoch schedules anything. `epoch` is higher than every one before, the lost ones
    /// included.
    ///
    /// Grants that are admitted from now on are in doubt, too: the user's record may be among what was lost.
    pub fn begin_epoch(&mut self, now: WallTime, epoch: Epoch) {
        assert!(epoch > self.epoch, "an epoch is never used twice");
        self.epoch = epoch;
        self.epoch_began_at = now;
        let open_slots = self.due.iter().chain(self.leases.iter()).map(|(_, slot)| slot);
        for slot in open_slots {
            let open = &mut self.open[slot as usize];
            open.doubt = Doubt::InDoubt;
            open.is_seen = true;
            open.first_sent_at = WallTime::UNIX_EPOCH;
            open.sent_until = open.sent_until.max(now);
        }
    }

    /// The present epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the fleet shares.
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// How many versions were ever opened.
    pub fn version_count(&self) -> u16 {
        u16::try_from(self.versions.len()).unwrap_or(u16::MAX)
    }

    /// How many grants are in each state.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Rows that claims and settlements have written.
    pub const fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// The recorded variant of a user.
    pub fn variant(&self, user: UserHandle) -> Option<VariantIndex> {
        self.row(user).filter(|row| !row.is_absent()).map(|row| row.variant)
    }

    /// The state of a user's grant.
    pub fn grant_state(&self, user: UserHandle) -> Option<GrantState> {
        self.row(user).and_then(|row| row.grant)
    }

    /// The parked grants with their evidence, by user.
    pub fn parked(&self) -> impl Iterator<Item = (UserHandle, &Evidence)> {
        self.evidence.iter().map(|(user, evidence)| (*user, evidence))
    }

    /// What is recorded of `user`, for [`Image::restore`].
    pub fn save(&self, user: UserHandle) -> Saved {
        let row = self.row(user).copied().unwrap_or(UserRow::ABSENT);
        let open = self.open.get(row.open_slot as usize).copied();
        Saved { user, row, open, evidence: self.evidence.get(&user).copied().map(Box::new) }
    }

    /// Puts a user back to what [`Image::save`] saw: how a commit that never became durable vanishes.
    pub fn restore(&mut self, saved: Saved) {
        let user = saved.user;
        self.outlived.remove(&user);
        let row = *self.row_mut(user);
        if row.grant != saved.row.grant {
            self.counts.shift(row.grant, saved.row.grant);
        }
        if row.open_slot != u32::MAX {
            self.close(row.open_slot, row.grant);
        }
        *self.row_mut(user) = saved.row;
        if let (Some(open), Some(state)) = (saved.open, saved.row.grant) {
            let slot = self.open_slot(open, state);
            self.row_mut(user).open_slot = slot;
        }
        match saved.evidence {
            Some(evidence) => self.evidence.insert(user, *evidence),
            None => self.evidence.remove(&user),
        };
    }

    /// Adds a user whose record a store keeps in rows of its own.
    pub fn restore_record(&mut self, user: UserHandle, record: UserRecord) {
        let outlived = self.outlived.get(&user).copied();
        self.restore(Saved::new(user, record));
        self.outlived.extend(outlived.map(|claim| (user, claim)));
    }

    /// The users whose grants a claim of at most `limit` could take, in no particular order; it may take fewer.
    pub fn claimable(&self, now: WallTime, limit: u16) -> impl Iterator<Item = UserHandle> {
        let room = u16::try_from(self.fleet.room(self.places_taken(now))).unwrap_or(u16::MAX);
        let pending = self.due.iter().take_while(move |(at, _)| is_due(*at, now)).take(usize::from(limit.min(room)));
        let lapsed = self.leases.iter().take_while(move |(at, _)| is_due(*at, now)).take(usize::from(limit));
        pending.chain(lapsed).map(|(_, slot)| self.open[slot as usize].user)
    }

    fn row(&self, user: UserHandle) -> Option<&UserRow> {
        usize::try_from(user.0).ok().and_then(|index| self.users.get(index))
    }

    fn row_mut(&mut self, user: UserHandle) -> &mut UserRow {
        let index = usize::try_from(user.0).expect("handles are dense, so they fit the address space");
        if index >= self.users.len() {
            self.users.resize(index + 1, UserRow::ABSENT);
        }
        &mut self.users[index]
    }

    /// When a claim could be given something: the next pending grant if the fleet may have another request under way, or the
    /// next lease that ends, but not before pause and cap are over.
    fn due_at(&self) -> WallTime {
        self.due_at_under(&self.fleet)
    }

    /// When the first open grant is due, whatever holds it back.
    fn earliest(&self) -> WallTime {
        let first = [&self.due, &self.leases].map(|order| order.first().map_or(WallTime::MAX, |(at, _)| at));
        first[0].min(first[1])
    }

    fn due_at_under(&self, fleet: &Fleet) -> WallTime {
        let earliest = |order: &DueOrder| order.first().map_or(WallTime::MAX, |(at, _)| at);
        let mut pending = earliest(&self.due);
        if fleet.is_full(self.counts.claimed + self.outlived.len() as u64) {
            let place_free_at = self.outlived.values().map(|(_, until)| *until).min();
            pending = pending.max(place_free_at.unwrap_or(WallTime::MAX));
        }
        let next = pending.min(earliest(&self.leases));
        if next == WallTime::MAX { next } else { next.max(fleet.opens_at()) }
    }

    /// Requests that may be under way at `now`: the claimed grants, and the claims that a receipt has outlived.
    fn places_taken(&self, now: WallTime) -> u64 {
        self.counts.claimed + self.outlived.values().filter(|(_, until)| *until > now).count() as u64
    }

    fn open_slot(&mut self, open: OpenGrant, state: GrantState) -> u32 {
        let slot = if let Some(slot) = self.free.pop() {
            self.open[slot as usize] = open;
            slot
        } else {
            self.open.push(open);
            u32::try_from(self.open.len() - 1).expect("fewer than 2^32 grants are open at once")
        };
        self.queue_of(state).insert((open.due_at, slot));
        slot
    }

    /// Where an open grant in `state` waits.
    fn queue_of(&mut self, state: GrantState) -> &mut DueOrder {
        if state == GrantState::Claimed { &mut self.leases } else { &mut self.due }
    }

    fn unqueue(&mut self, slot: u32, state: Option<GrantState>) {
        let key = (self.open[slot as usize].due_at, slot);
        let was_queued = state.is_some_and(|state| self.queue_of(state).remove(key));
        assert!(was_queued, "GRANT-3: an open grant is always due at some time");
    }

    fn close(&mut self, slot: u32, state: Option<GrantState>) {
        self.unqueue(slot, state);
        self.free.push(slot);
    }

    fn open_for(&mut self, open: Open) -> Committed {
        if self.lineage.is_some_and(|lineage| lineage != open.lineage) {
            return Committed::Foreign;
        }
        self.lineage = Some(open.lineage);
        self.versions.insert(open.version);
        Committed::Opened { due_at: self.due_at(), versions: self.versions.iter().copied().collect() }
    }

    fn find(&self, user: UserHandle) -> Option<Admitted> {
        self.row(user).filter(|row| !row.is_absent()).map(|row| row.admitted(First::Known))
    }

    fn admit(&mut self, now: WallTime, admit: Admit) -> Admitted {
        let row = *self.row_mut(admit.user);
        if !row.is_absent() {
            return row.admitted(First::Known);
        }
        let mut row =
            UserRow { is_exposed: true, variant: admit.variant, generation: admit.generation, ..UserRow::ABSENT };
        if let Some(intent) = admit.grant {
            let is_first_epoch = self.epoch == Epoch::default();
            row.grant = Some(GrantState::Pending);
            let open = OpenGrant {
                grant: intent.id,
                user: admit.user,
                units: intent.units,
                due_at: now,
                first_sent_at: if is_first_epoch { WallTime::MAX } else { WallTime::UNIX_EPOCH },
                sent_until: self.epoch_began_at,
                fence: Fence::default(),
                attempts: 0,
                doubt: if is_first_epoch { Doubt::Clear } else { Doubt::InDoubt },
                is_seen: !is_first_epoch,
            };
            row.open_slot = self.open_slot(open, GrantState::Pending);
            self.counts.shift(None, row.grant);
        }
        *self.row_mut(admit.user) = row;
        row.admitted(First::Exposure)
    }

    fn claim(&mut self, now: WallTime, claim: Claim) -> Committed {
        let mut grants = claim.into;
        grants.clear();
        self.fleet.configure(claim.fleet);
        self.outlived.retain(|_, (_, until)| *until > now);
        let mut hold = None;
        while grants.len() < usize::from(claim.limit) {
            let held = self.fleet.hold(now, self.places_taken(now));
            let Some(slot) = self.next_claimable(now, held) else {
                hold = held.filter(|_| self.next_claimable(now, None).is_some());
                break;
            };
            grants.push(self.claim_one(now, slot, claim.nonce, claim.lease));
            assert!(
                held == Some(Hold::Full) || self.places_taken(now) <= u64::from(self.fleet.limit()),
                "LOAD-1: a claim above the fleet's limit"
            );
        }
        Committed::Claimed { grants, due_at: self.due_at(), hold }
    }

    /// The grant that is overdue longest. A lease that has ended may be taken over even if the fleet is full: it counts
    /// already.
    fn next_claimable(&self, now: WallTime, hold: Option<Hold>) -> Option<u32> {
        let overdue = |order: &DueOrder| order.first().filter(|(at, _)| is_due(*at, now));
        let next = match hold {
            Some(Hold::Paused(_) | Hold::Capped(_)) => None,
            Some(Hold::Full) => overdue(&self.leases),
            None => match (overdue(&self.due), overdue(&self.leases)) {
                (Some(pending), Some(lapsed)) => Some(pending.min(lapsed)),
                (pending, lapsed) => pending.or(lapsed),
            },
        };
        next.map(|(_, slot)| slot)
    }

    fn claim_one(&mut self, now: WallTime, slot: u32, nonce: ClaimNonce, lease: Duration) -> ClaimedGrant {
        let user = self.open[slot as usize].user;
        let state = self.row_mut(user).grant.replace(GrantState::Claimed);
        self.unqueue(slot, state);
        let epoch = self.epoch;
        let open = &mut self.open[slot as usize];
        if state == Some(GrantState::Claimed) {
            // The lease ended with the intent to send still open: whoever held it may have sent, until its very end.
            open.doubt = Doubt::InDoubt;
            open.is_seen = true;
            open.sent_until = open.sent_until.max(open.due_at);
        } else {
            self.counts.shift(state, Some(GrantState::Claimed));
        }
        if open.first_sent_at == WallTime::MAX {
            open.first_sent_at = now;
        }
        open.fence = Fence { epoch, claim: open.fence.claim + 1, nonce };
        open.attempts = open.attempts.saturating_add(1);
        // A lease of zero would let the same claim take the grant twice.
        open.due_at = now + lease.max(Duration::from_nanos(1));
        self.leases.insert((open.due_at, slot));
        self.fleet.on_claim(now);
        self.rows_written += 1;
        ClaimedGrant {
            user,
            grant: open.grant,
            units: open.units,
            fence: open.fence,
            attempts: open.attempts,
            doubt: open.doubt,
            first_sent_at: open.first_sent_at,
            sent_until: open.sent_until,
            claimed_at: now,
            lease_until: open.due_at,
        }
    }

    fn settle(&mut self, now: WallTime, settle: Settle) {
        let Some(row) = self.row(settle.user).copied() else { return };
        if self.is_news(row, &settle) {
            self.fleet.on_settled(now, self.places_taken(now), settle.load, settle.pause);
        }
        if self.outlived.get(&settle.user).is_some_and(|(fence, _)| *fence == settle.fence) {
            self.outlived.remove(&settle.user);
        }
        match (row.grant, settle.settlement) {
            // A receipt is proof under any fence, and ends even a parked or wrongly rejected grant.
            (Some(GrantState::Parked | GrantState::Rejected), Settlement::Delivered) => {
                self.evidence.remove(&settle.user);
                self.finish(settle.user, GrantState::Delivered);
            }
            (Some(GrantState::Pending | GrantState::Claimed), _) => self.settle_open(now, row, settle),
            (None | Some(GrantState::Delivered | GrantState::Parked | GrantState::Rejected), _) => {}
        }
    }

    /// Whether a settlement tells of an attempt that no earlier settlement has told of: one whose acknowledgement was lost
    /// comes again, and must not shrink the limit twice.
    fn is_news(&self, row: UserRow, settle: &Settle) -> bool {
        match (row.grant, settle.settlement) {
            (None | Some(GrantState::Delivered), _) => false,
            (Some(_), Settlement::Delivered) => true,
            (Some(GrantState::Claimed), _) => self.is_live(row, settle),
            (Some(GrantState::Pending | GrantState::Rejected | GrantState::Parked), _) => false,
        }
    }

    /// Whether a settlement is of the grant's present claim, and of this epoch.
    fn is_live(&self, row: UserRow, settle: &Settle) -> bool {
        row.grant == Some(GrantState::Claimed)
            && settle.fence.epoch == self.epoch
            && self.open[row.open_slot as usize].fence == settle.fence
    }

    fn settle_open(&mut self, now: WallTime, row: UserRow, settle: Settle) {
        let open = self.open[row.open_slot as usize];
        if open.grant != settle.grant {
            return;
        }
        let is_live = self.is_live(row, &settle);
        match settle.settlement {
            Settlement::Delivered => {
                // 1. A claims, sends, and its receipt is late. 2. The lease ends; B claims and sends. 3. A's receipt ends the
                // grant. B's request is still under way, and its place must not go to a third.
                if row.grant == Some(GrantState::Claimed) && open.fence != settle.fence && open.due_at > now {
                    self.outlived.insert(settle.user, (open.fence, open.due_at));
                }
                self.finish(settle.user, GrantState::Delivered);
            }
            Settlement::Again { doubt: Doubt::InDoubt, .. } if !is_live => self.doubt_without_date(now, row.open_slot),
            _ if !is_live => {}
            Settlement::Rejected => self.finish(settle.user, GrantState::Rejected),
            Settlement::Parked { reason, answer } => {
                let evidence = Evidence {
                    grant: open.grant,
                    units: open.units,
                    fence: open.fence,
                    reason,
                    answer,
                    attempts: open.attempts,
                    first_sent_at: open.first_sent_at,
                    sent_until: if answer.is_some() { now } else { open.sent_until },
                    parked_at: now,
                };
                self.evidence.insert(settle.user, evidence);
                self.finish(settle.user, GrantState::Parked);
            }
            Settlement::Again { after, doubt } => {
                let open = &mut self.open[row.open_slot as usize];
                open.sent_until = now;
                open.doubt = open.doubt.max(doubt);
                open.is_seen = true;
                self.reschedule(row.open_slot, now + after);
            }
            Settlement::Unsent { after } => self.reschedule(row.open_slot, now + after),
            Settlement::Released { after } => {
                self.open[row.open_slot as usize].attempts -= 1;
                self.reschedule(row.open_slot, now + after);
            }
            Settlement::Absent => {
                let open = &mut self.open[row.open_slot as usize];
                open.doubt = Doubt::Clear;
                open.is_seen = false;
                open.attempts -= 1;
                self.reschedule(row.open_slot, now);
            }
        }
    }

    /// The evidence of the parked grant that `resolve` speaks of.
    fn parked_as(&self, resolve: &Resolve) -> Option<Evidence> {
        self.evidence.get(&resolve.user).copied().filter(|evidence| evidence.grant == resolve.grant)
    }

    /// Ends a parked grant or makes it due again, and says whether there was one.
    fn resolve(&mut self, now: WallTime, resolve: Resolve) -> bool {
        let Some(evidence) = self.parked_as(&resolve) else { return false };
        self.evidence.remove(&resolve.user);
        match resolve.resolution {
            Resolution::Applied => self.finish(resolve.user, GrantState::Delivered),
            Resolution::NotApplied => self.finish(resolve.user, GrantState::Rejected),
            Resolution::Retry => self.reopen(now, resolve.user, evidence),
        }
        true
    }

    /// `GRANT-4`: what was known of earlier attempts still counts, unless the store may have lost some of it since.
    fn reopen(&mut self, now: WallTime, user: UserHandle, evidence: Evidence) {
        let Evidence { grant, units, fence, attempts, first_sent_at, sent_until, .. } = evidence;
        let first_sent_at = if fence.epoch == self.epoch { first_sent_at } else { WallTime::UNIX_EPOCH };
        let open = OpenGrant {
            grant,
            user,
            units,
            due_at: now,
            first_sent_at,
            sent_until: sent_until.max(self.epoch_began_at),
            fence,
            attempts,
            doubt: Doubt::InDoubt,
            is_seen: first_sent_at < WallTime::MAX,
        };
        let slot = self.open_slot(open, GrantState::Pending);
        let row = self.row_mut(user);
        row.open_slot = slot;
        let from = row.grant.replace(GrantState::Pending);
        self.counts.shift(from, Some(GrantState::Pending));
        self.rows_written += 1;
    }

    /// `GRANT-5`: a stale fence schedules nothing, but doubt is never forgotten. `GRANT-4`: nobody knows when that claim was,
    /// so no window is certain to be open.
    fn doubt_without_date(&mut self, now: WallTime, slot: u32) {
        let open = &mut self.open[slot as usize];
        if open.doubt == Doubt::Clear {
            open.first_sent_at = WallTime::UNIX_EPOCH;
        }
        open.doubt = Doubt::InDoubt;
        open.is_seen = true;
        open.sent_until = open.sent_until.max(now);
        self.rows_written += 1;
    }

    fn reschedule(&mut self, slot: u32, due_at: WallTime) {
        let user = self.open[slot as usize].user;
        let from = self.row_mut(user).grant.replace(GrantState::Pending);
        self.unqueue(slot, from);
        let open = &mut self.open[slot as usize];
        if !open.is_seen {
            // No key is in use, so no window has begun.
            open.first_sent_at = WallTime::MAX;
        }
        open.due_at = due_at;
        self.due.insert((due_at, slot));
        self.rows_written += 1;
        self.counts.shift(from, Some(GrantState::Pending));
    }

    fn finish(&mut self, user: UserHandle, state: GrantState) {
        let row = self.row_mut(user);
        let from = row.grant.replace(state);
        let slot = std::mem::replace(&mut row.open_slot, u32::MAX);
        self.counts.shift(from, Some(state));
        self.rows_written += 1;
        if slot != u32::MAX {
            self.close(slot, from);
        }
    }
}

/// Whether a grant that is due at `at` may be claimed at `now`; [`WallTime::MAX`] is never.
fn is_due(at: WallTime, now: WallTime) -> bool {
    at <= now && at < WallTime::MAX
}
