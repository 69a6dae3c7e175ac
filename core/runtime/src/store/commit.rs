//! What every database does alike with a commit: which rows it needs, and which of them have changed.
//!
//! Neither SQL nor a connection is known here. Time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hookproof_core::identity::UserHandle;
use hookproof_core::store::rows::{GrantRecord, Head, UserRecord};
use hookproof_core::store::{Command, Fence, Image, Reply};
use hookproof_core::time::WallTime;

use super::User;
use super::columns::place;

/// How many grants `commands` may claim.
pub(super) fn claims_max(commands: &[Command]) -> u32 {
    let claims = |command: &Command| match command {
        Command::Claim(claim) => u32::from(claim.limit),
        Command::Settle(_) | Command::Open(_) | Command::Admit(_) | Command::Find(_) | Command::Resolve(_) => 0,
    };
    commands.iter().map(claims).sum()
}

/// How many of them may be pending ones: no more than the fleet may have under way, whatever the claimer has room for. A lease that has
/// ended is taken over beyond that.
pub(super) fn pending_claims_max(commands: &[Command]) -> u32 {
    let claims = |command: &Command| match command {
        Command::Claim(claim) => u32::from(claim.limit.min(claim.fleet.max_in_flight.max(1))),
        Command::Settle(_) | Command::Open(_) | Command::Admit(_) | Command::Find(_) | Command::Resolve(_) => 0,
    };
    commands.iter().map(claims).sum()
}

/// How many grants `commands` may settle.
pub(super) fn settled_max(commands: &[Command]) -> u32 {
    let settled = commands.iter().filter(|command| matches!(command, Command::Settle(_))).count();
    u32::try_from(settled).unwrap_or(u32::MAX)
}

/// What a commit has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What the store knows besides its users, if that is another than before.
    pub(super) head: Option<Head>,
    /// Users who had no record and have one.
    pub(super) inserted: Vec<(UserHandle, UserRecord)>,
    /// Users whose grant has changed.
    pub(super) updated: Vec<(UserHandle, UserRecord)>,
}

impl Changes {
    /// Users whose row is another one than before.
    fn rows(&self) -> impl Iterator<Item = &(UserHandle, UserRecord)> {
        self.inserted.iter().chain(&self.updated)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head.is_none() && self.inserted.is_empty() && self.updated.is_empty()
    }
}

/// See [`Head::outlived`].
pub(super) type Outlived = BTreeMap<UserHandle, (Fence, WallTime)>;

/// The rows that a commit may touch.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) head: Head,
    /// By place: those of the work, then those whose grants are loaded besides.
    pub(super) users: Vec<User>,
    records: Vec<Option<UserRecord>>,
    places: HashMap<Arc<str>, usize>,
}

impl Loaded {
    /// The users of a work, without a record so far.
    pub(super) fn of(users: &[User]) -> Self {
        let places = users.iter().map(|user| Arc::clone(&user.id)).zip(0..).collect();
        Self { head: Head::default(), users: users.to_vec(), records: vec![None; users.len()], places }
    }

    /// The place of the user with this id, or the next one.
    pub(super) fn place(&self, id: &str) -> usize {
        self.places.get(id).copied().unwrap_or(self.users.len())
    }

    /// Whether the user with this id has a place whose row is loaded.
    pub(super) fn has(&self, id: &str) -> bool {
        self.places.get(id).is_some_and(|place| self.records[*place].is_some())
    }

    /// Adds a row at the [place](Self::place) of its user, if it was not loaded before.
    pub(super) fn put(&mut self, place: usize, user: User, record: UserRecord) {
        if place == self.users.len() {
            self.places.insert(Arc::clone(&user.id), place);
            self.users.push(user);
            self.records.push(Some(record));
        } else if self.records[place].is_none() {
            self.users[place] = user;
            self.records[place] = Some(record);
        }
    }

    /// The place of the user with this id, whose row need not be loaded.
    pub(super) fn place_or_new(&mut self, id: &str) -> usize {
        let place = self.place(id);
        if place == self.users.len() {
            let id: Arc<str> = id.into();
            self.places.insert(Arc::clone(&id), place);
            self.users.push(User { id, ..User::default() });
            self.records.push(None);
        }
        place
    }

    /// What the store knows besides its users, `claimed` of whose grants are claimed; after all rows.
    pub(super) fn set_head(&mut self, head: Head, claimed: u64) {
        self.head = Head { claimed_elsewhere: claimed.saturating_sub(self.claimed_here()), ..head };
    }

    fn claimed_here(&self) -> u64 {
        let is_claimed = |record: &&UserRecord| matches!(record.grant, Some(GrantRecord::Claimed(_)));
        self.records.iter().flatten().filter(is_claimed).count() as u64
    }

    /// How many more grants are claimed after `head` than before. It is exact even where a row that nobody has locked is another one by then.
    pub(super) fn claimed_more(&self, head: &Head) -> i64 {
        let [before, after] = [self.head.claimed_elsewhere + self.claimed_here(), head.claimed_elsewhere];
        after.cast_signed() - before.cast_signed()
    }

    /// What is to be written where `draft` was, so that it is as if `changes` had been.
    pub(super) fn corrections(&self, draft: &Changes, changes: &Changes) -> Vec<(UserHandle, UserRecord)> {
        let mut written: BTreeMap<UserHandle, UserRecord> = draft.rows().copied().collect();
        let mut corrections: Vec<_> =
            changes.rows().filter(|(user, record)| written.remove(user) != Some(*record)).copied().collect();
        // What the draft has changed, and should not have.
        let unchanged = |user: UserHandle| Some((user, self.records[place(user)]?));
        corrections.extend(written.into_keys().filter_map(unchanged));
        corrections
    }

    /// Executes `commands` at the store's time `now`.
    pub(super) fn execute(&self, now: WallTime, commands: Vec<Command>) -> (Reply, Changes) {
        let mut image = Image::of_head(self.head.clone());
        let users = || (0_u64..).map(UserHandle).zip(&self.records);
        for (user, record) in users() {
            if let Some(record) = record {
                image.restore_record(user, *record);
            }
        }
        let head_before = image.head();
        let reply = image.commit(now, commands);
        let head = image.head();
        let mut changes = Changes { head: (head != head_before).then_some(head), ..Changes::default() };
        for (user, before) in users() {
            match (before, image.save(user).record()) {
                (None, Some(after)) => changes.inserted.push((user, after)),
                (Some(before), Some(after)) if *before != after => changes.updated.push((user, after)),
                (_, _) => {}
            }
        }
        (reply, changes)
    }
}

/// Where a test may do harm to the process in a commit.
pub(super) struct Places {
    /// Nothing has happened.
    pub(super) begin: &'static str,
    /// All is written, and nothing is durable.
    pub(super) written: &'static str,
    /// All is durable, and nobody knows.
    pub(super) durable: &'static str,
}

impl Places {
    /// By the command that matters most.
    pub(super) fn of(commands: &[Command]) -> Self {
        let has = |is: fn(&Command) -> bool| commands.iter().any(is);
        if has(|command| matches!(command, Command::Settle(_))) {
            Self { begin: "settle.begin", written: "settle.written", durable: "settle.durable" }
        } else if has(|command| matches!(command, Command::Claim(_))) {
            Self { begin: "claim.begin", written: "claim.written", durable: "claim.durable" }
        } else if has(|command| matches!(command, Command::Admit(_))) {
            Self { begin: "admit.begin", written: "admit.written", durable: "admit.durable" }
        } else {
            Self { begin: "other.begin", written: "other.written", durable: "other.durable" }
        }
    }
}
