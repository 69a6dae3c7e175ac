//! The whole content of a store, and the meaning of every command.
//!
//! Owns the rows: one for each user, one for each grant that is not settled, the evidence of those that are parked. A grant
//! that is settled leaves its row to the next one, so memory follows the open grants.
//!
//! The invariants are those of [`store`](super). Time is an argument, no chance enters. Read next: `tests/store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    Admit, Admitted, Claim, ClaimedGrant, Command, Committed, Evidence, Fence, First, GrantState, Settle, Settlement,
};
use crate::classify::Doubt;
use crate::experiment::VariantIndex;
use crate::identity::{GrantId, UserHandle};
use crate::time::WallTime;

/// A user's row: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct UserRow {
    first_exposed_at: WallTime,
    open_slot: u32,
    variant: VariantIndex,
    grant: Option<GrantState>,
}

const _: () = assert!(size_of::<UserRow>() == 16);

impl UserRow {
    const ABSENT: Self =
        Self { first_exposed_at: WallTime::MAX, open_slot: u32::MAX, variant: VariantIndex::new(0), grant: None };

    const fn is_absent(&self) -> bool {
        self.first_exposed_at.as_unix_nanos() == WallTime::MAX.as_unix_nanos()
    }
}

/// A grant that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OpenGrant {
    grant: GrantId,
    user: UserHandle,
    units: u32,
    /// Pending: when it is due. Claimed: when the lease ends.
    due_at: WallTime,
    /// [`WallTime::MAX`] while no attempt that counts was made.
    first_sent_at: WallTime,
    last_sent_at: WallTime,
    fence: Fence,
    attempts: u32,
    doubt: Doubt,
}

const _: () = assert!(size_of::<OpenGrant>() <= 96);

/// A user's row with the open grant: what an undo needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Saved {
    user: UserHandle,
    row: UserRow,
    open: Option<OpenGrant>,
    evidence: Option<Evidence>,
}

impl Saved {
    /// Whose record it is.
    pub const fn user(&self) -> UserHandle {
        self.user
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
    users: Vec<UserRow>,
    open: Vec<OpenGrant>,
    free: Vec<u32>,
    due: BTreeSet<(WallTime, u32)>,
    evidence: BTreeMap<UserHandle, Evidence>,
    counts: Counts,
    rows_written: u64,
}

impl Image {
    /// An empty store with room for `users` users.
    pub fn with_capacity(users: usize) -> Self {
        Self { users: Vec::with_capacity(users), ..Self::default() }
    }

    /// Executes one command at the store's time `now`.
    pub fn apply(&mut self, now: WallTime, command: Command) -> Committed {
        match command {
            Command::Open => Committed::Opened { due_at: self.due_at() },
            Command::Admit(admit) => {
                let record = self.admit(now, admit);
                Committed::Admitted { record, due_at: self.due_at() }
            }
            Command::Claim(claim) => self.claim(now, claim),
            Command::Settle(settle) => {
                self.settle(now, settle);
                Committed::Settled { due_at: self.due_at() }
            }
        }
    }

    /// Whether `command` would change anything: a repeated admission only reads.
    pub fn writes(&self, command: &Command) -> bool {
        match command {
            Command::Open => false,
            Command::Admit(admit) => self.row(admit.user).is_none_or(UserRow::is_absent),
            Command::Claim(_) | Command::Settle(_) => true,
        }
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
        Saved { user, row, open, evidence: self.evidence.get(&user).copied() }
    }

    /// Puts a user back to what [`Image::save`] saw: how a commit that never became durable vanishes.
    pub fn restore(&mut self, saved: Saved) {
        let user = saved.user;
        let row = *self.row_mut(user);
        if row.grant != saved.row.grant {
            self.counts.shift(row.grant, saved.row.grant);
        }
        if row.open_slot != u32::MAX {
            self.close(row.open_slot);
        }
        *self.row_mut(user) = saved.row;
        if let Some(open) = saved.open {
            let slot = self.open_slot(open);
            self.row_mut(user).open_slot = slot;
        }
        match saved.evidence {
            Some(evidence) => self.evidence.insert(user, evidence),
            None => self.evidence.remove(&user),
        };
    }

    /// The users whose grants a claim would take, in order.
    pub fn claimable(&self, now: WallTime, limit: u16) -> impl Iterator<Item = UserHandle> {
        self.due
            .iter()
            .take_while(move |(at, _)| is_due(*at, now))
            .take(usize::from(limit))
            .map(|(_, slot)| self.open[*slot as usize].user)
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

    fn due_at(&self) -> WallTime {
        self.due.first().map_or(WallTime::MAX, |(at, _)| *at)
    }

    fn open_slot(&mut self, open: OpenGrant) -> u32 {
        let slot = if let Some(slot) = self.free.pop() {
            self.open[slot as usize] = open;
            slot
        } else {
            self.open.push(open);
            u32::try_from(self.open.len() - 1).expect("fewer than 2^32 grants are open at once")
        };
        self.due.insert((open.due_at, slot));
        slot
    }

    fn close(&mut self, slot: u32) {
        let removed = self.due.remove(&(self.open[slot as usize].due_at, slot));
        assert!(removed, "GRANT-3: an open grant is always due at some time");
        self.free.push(slot);
    }

    fn admit(&mut self, now: WallTime, admit: Admit) -> Admitted {
        let row = *self.row_mut(admit.user);
        if !row.is_absent() {
            return Admitted { variant: row.variant, first: First::Known, grant: row.grant };
        }
        let mut row = UserRow { first_exposed_at: now, variant: admit.variant, ..UserRow::ABSENT };
        if let Some(intent) = admit.grant {
            row.grant = Some(GrantState::Pending);
            row.open_slot = self.open_slot(OpenGrant {
                grant: intent.id,
                user: admit.user,
                units: intent.units,
                due_at: now,
                first_sent_at: WallTime::MAX,
                last_sent_at: WallTime::MAX,
                fence: Fence(0),
                attempts: 0,
                doubt: Doubt::Clear,
            });
            self.counts.shift(None, row.grant);
        }
        *self.row_mut(admit.user) = row;
        Admitted { variant: admit.variant, first: First::Exposure, grant: row.grant }
    }

    fn claim(&mut self, now: WallTime, claim: Claim) -> Committed {
        let mut grants = claim.into;
        grants.clear();
        while grants.len() < usize::from(claim.limit) {
            let Some(&(at, slot)) = self.due.first().filter(|(at, _)| is_due(*at, now)) else { break };
            self.due.remove(&(at, slot));
            grants.push(self.claim_one(now, slot, claim.lease));
        }
        Committed::Claimed { grants, due_at: self.due_at() }
    }

    fn claim_one(&mut self, now: WallTime, slot: u32, lease: Duration) -> ClaimedGrant {
        let open = &mut self.open[slot as usize];
        let index = usize::try_from(open.user.0).expect("an open grant has a row");
        let row = &mut self.users[index];
        if row.grant == Some(GrantState::Claimed) {
            // The lease ended with the intent to send still open: whoever held it may have sent.
            open.doubt = Doubt::InDoubt;
        } else {
            self.counts.shift(row.grant, Some(GrantState::Claimed));
            row.grant = Some(GrantState::Claimed);
        }
        if open.first_sent_at == WallTime::MAX {
            open.first_sent_at = now;
        }
        open.last_sent_at = now;
        open.fence = Fence(open.fence.0 + 1);
        open.attempts = open.attempts.saturating_add(1);
        // A lease of zero would let the same claim take the grant twice.
        open.due_at = now + lease.max(Duration::from_nanos(1));
        self.due.insert((open.due_at, slot));
        self.rows_written += 1;
        ClaimedGrant {
            user: open.user,
            grant: open.grant,
            units: open.units,
            fence: open.fence,
            attempts: open.attempts,
            doubt: open.doubt,
            first_sent_at: open.first_sent_at,
            lease_until: open.due_at,
        }
    }

    fn settle(&mut self, now: WallTime, settle: Settle) {
        let Some(row) = self.row(settle.user).copied() else { return };
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

    fn settle_open(&mut self, now: WallTime, row: UserRow, settle: Settle) {
        let open = self.open[row.open_slot as usize];
        if open.grant != settle.grant {
            return;
        }
        let live = open.fence == settle.fence && row.grant == Some(GrantState::Claimed);
        match settle.settlement {
            Settlement::Delivered => self.finish(settle.user, GrantState::Delivered),
            Settlement::Again { doubt: Doubt::InDoubt, .. } if !live => {
                // GRANT-5: a stale fence schedules nothing, but doubt is never forgotten.
                let open = &mut self.open[row.open_slot as usize];
                if open.doubt == Doubt::Clear {
                    // GRANT-4: nobody knows when that claim was, so no window is certain to be open.
                    open.first_sent_at = WallTime::UNIX_EPOCH;
                }
                open.doubt = Doubt::InDoubt;
                self.rows_written += 1;
            }
            _ if !live => {}
            Settlement::Rejected => self.finish(settle.user, GrantState::Rejected),
            Settlement::Parked { reason, answer } => {
                self.evidence.insert(
                    settle.user,
                    Evidence {
                        grant: open.grant,
                        reason,
                        answer,
                        attempts: open.attempts,
                        first_sent_at: open.first_sent_at,
                        last_sent_at: open.last_sent_at,
                        parked_at: now,
                    },
                );
                self.finish(settle.user, GrantState::Parked);
            }
            Settlement::Again { after, doubt } => self.reschedule(row.open_slot, now + after, doubt),
            Settlement::Released => {
                self.open[row.open_slot as usize].attempts -= 1;
                self.reschedule(row.open_slot, now, open.doubt);
            }
        }
    }

    fn reschedule(&mut self, slot: u32, due_at: WallTime, doubt: Doubt) {
        let open = &mut self.open[slot as usize];
        let moved = self.due.remove(&(open.due_at, slot));
        assert!(moved, "GRANT-3: an open grant is always due at some time");
        if open.doubt == Doubt::Clear && doubt == Doubt::Clear {
            // Nothing was applied, so no key is in use and no window has begun.
            open.first_sent_at = WallTime::MAX;
        }
        open.doubt = open.doubt.max(doubt);
        open.due_at = due_at;
        self.due.insert((due_at, slot));
        self.rows_written += 1;
        let user = open.user;
        let row = self.row_mut(user);
        let from = row.grant.replace(GrantState::Pending);
        self.counts.shift(from, Some(GrantState::Pending));
    }

    fn finish(&mut self, user: UserHandle, state: GrantState) {
        let row = self.row_mut(user);
        let from = row.grant.replace(state);
        let slot = std::mem::replace(&mut row.open_slot, u32::MAX);
        self.counts.shift(from, Some(state));
        self.rows_written += 1;
        if slot != u32::MAX {
            self.close(slot);
        }
    }
}

/// Whether a grant that is due at `at` may be claimed at `now`; [`WallTime::MAX`] is never.
fn is_due(at: WallTime, now: WallTime) -> bool {
    at <= now && at < WallTime::MAX
}
