//! The durable store: commands and replies as data, and what each command does.
//!
//! Owns [`Image::apply`], the one definition of what a command means: the simulator's store *is* it, and real stores are
//! checked against it. It knows no latency, no failure and no durability; whoever holds an image adds those. Time is an
//! argument: the store's own clock.
//!
//! * `ASSIGN-1`: a recorded assignment never changes; a later command finds it.
//! * `GRANT-1`: one grant per user and lineage: a second admission finds the first.
//! * `GRANT-2`: a grant is recorded in the same commit as the treated exposure, never without it.
//! * `GRANT-3`: `admitted == pending + claimed + delivered + rejected + parked`, after every command.
//! * `GRANT-5`: a stale fence schedules nothing; a receipt counts under any fence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::classify::{AnswerClass, Doubt, ParkReason};
use crate::experiment::VariantIndex;
use crate::identity::GrantId;
use crate::time::WallTime;

/// A user as the store numbers them: dense, from 0, in no relation to the id's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHandle(pub u64);

/// Which claim of a grant is meant; each claim has a higher one than the claim before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u32);

/// One atomic command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Reads what a starting process must know.
    Open,
    /// Records an assignment, its exposure and its grant, if the user has none.
    Admit(Admit),
    /// Takes due grants for sending. Its commit is the durable intent to send.
    Claim(Claim),
    /// Records what came of a claimed grant.
    Settle(Settle),
}

/// See [`Command::Admit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The user.
    pub user: UserHandle,
    /// The variant, if none is recorded.
    pub variant: VariantIndex,
    /// The grant, if that variant is a treatment.
    pub grant: Option<GrantId>,
}

/// See [`Command::Claim`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// No more than this many: the claimer's free slots.
    pub limit: u16,
    /// For how long nobody else may claim them.
    pub lease: Duration,
    /// An empty buffer that the reply is written to, so that claiming need not allocate.
    pub into: Vec<ClaimedGrant>,
}

/// See [`Command::Settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settle {
    /// The user.
    pub user: UserHandle,
    /// The grant.
    pub grant: GrantId,
    /// The claim it was sent under.
    pub fence: Fence,
    /// What came of it.
    pub settlement: Settlement,
}

/// What came of a claimed grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// A receipt proves that it is applied.
    Delivered,
    /// The service refuses it for good, and no attempt can have been applied.
    Rejected,
    /// A human must look.
    Parked {
        /// Why.
        reason: ParkReason,
        /// The last answer, if there was one.
        answer: Option<AnswerClass>,
    },
    /// It is due again `after` this commit, by the store's clock.
    Again {
        /// How long it waits.
        after: Duration,
        /// Whether any attempt may have been applied.
        doubt: Doubt,
    },
    /// It was claimed and not sent.
    Released,
}

/// A claimed grant, as its claimer needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimedGrant {
    /// The user.
    pub user: UserHandle,
    /// The grant.
    pub grant: GrantId,
    /// The recorded variant, whose grant this is.
    pub variant: VariantIndex,
    /// This claim.
    pub fence: Fence,
    /// Claims so far, this one included.
    pub attempts: u32,
    /// Whether an earlier attempt may have been applied.
    pub doubt: Doubt,
    /// When the earliest attempt was claimed that may have been applied, or this one: the start of the key's window.
    pub first_sent_at: WallTime,
    /// Until when nobody else may claim it.
    pub lease_until: WallTime,
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It is durable.
    Committed {
        /// The store's time at the commit.
        at: WallTime,
        /// The result.
        result: Committed,
    },
    /// It was not done and will not be.
    Refused,
    /// It may or may not have been done.
    Unknown,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Committed {
    /// To [`Command::Open`].
    Opened {
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
    /// To [`Command::Admit`].
    Admitted(Admitted),
    /// To [`Command::Claim`].
    Claimed {
        /// The claimed grants.
        grants: Vec<ClaimedGrant>,
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
    /// To [`Command::Settle`].
    Settled {
        /// When the next grant is due; [`WallTime::MAX`] if none.
        due_at: WallTime,
    },
}

/// The record that an admission made or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admitted {
    /// The recorded variant: the authority.
    pub variant: VariantIndex,
    /// Whether this command made the record.
    pub first: First,
    /// The grant's state, if the user has one.
    pub grant: Option<GrantState>,
}

/// Whether an admission made the record or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// It made it: this is the first exposure.
    Exposure,
    /// It found it.
    Known,
}

/// The states of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantState {
    /// Waits until it is due.
    Pending,
    /// Somebody may be sending it.
    Claimed,
    /// A receipt is recorded. Final.
    Delivered,
    /// The service refused it for good. Final.
    Rejected,
    /// A human must look; only a receipt ends it.
    Parked,
}

/// Why a grant was parked, for whoever looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Which grant.
    pub grant: GrantId,
    /// Why.
    pub reason: ParkReason,
    /// The last answer, if there was one.
    pub answer: Option<AnswerClass>,
    /// Claims.
    pub attempts: u32,
    /// When the first attempt that may have been applied was claimed.
    pub first_sent_at: WallTime,
    /// When the last attempt was claimed.
    pub last_sent_at: WallTime,
    /// When it was parked.
    pub parked_at: WallTime,
}

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
    const ABSENT: Self = Self { first_exposed_at: WallTime::MAX, open_slot: u32::MAX, variant: VariantIndex::new(0), grant: None };

    const fn is_absent(&self) -> bool {
        self.first_exposed_at.as_unix_nanos() == WallTime::MAX.as_unix_nanos()
    }
}

/// A grant that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OpenGrant {
    grant: GrantId,
    user: UserHandle,
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
            Command::Admit(admit) => Committed::Admitted(self.admit(now, admit)),
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
            .take_while(move |(at, _)| *at <= now)
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
        if let Some(grant) = admit.grant {
            row.grant = Some(GrantState::Pending);
            row.open_slot = self.open_slot(OpenGrant {
                grant,
                user: admit.user,
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
            let Some(&(at, slot)) = self.due.first().filter(|(at, _)| *at <= now) else { break };
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
        open.due_at = now + lease;
        self.due.insert((open.due_at, slot));
        self.rows_written += 1;
        ClaimedGrant {
            user: open.user,
            grant: open.grant,
            variant: row.variant,
            fence: open.fence,
            attempts: open.attempts,
            doubt: open.doubt,
            first_sent_at: open.first_sent_at,
            lease_until: open.due_at,
        }
    }

    fn settle(&mut self, now: WallTime, settle: Settle) {
        let row = *self.row_mut(settle.user);
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
                self.open[row.open_slot as usize].doubt = Doubt::InDoubt;
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
