//! What every database does alike with a commit: which rows it needs, and which of them have changed.
//!
//! Neither SQL nor a connection is known here. Time is an argument.

use hookproof_core::identity::UserHandle;
use hookproof_core::store::rows::{Head, UserRecord};
use hookproof_core::store::{Command, Image, Reply};
use hookproof_core::time::WallTime;

/// How many of the first pending grants, and of the claimed ones by the end of their lease, `commands` may look at: what claims may
/// take, what settlements may end or put off, and the one that is due next.
pub(super) fn open_grants_needed(commands: &[Command]) -> u32 {
    let needed = |command: &Command| match command {
        Command::Claim(claim) => u32::from(claim.limit),
        Command::Settle(_) => 1,
        Command::Open(_) | Command::Admit(_) | Command::Find(_) | Command::Resolve(_) => 0,
    };
    commands.iter().map(needed).sum::<u32>() + 1
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
    pub(super) const fn is_empty(&self) -> bool {
        self.head.is_none() && self.inserted.is_empty() && self.updated.is_empty()
    }
}

/// Executes `commands` at the store's time `now` on `head` and the records of the users, by their handles.
pub(super) fn execute(
    now: WallTime,
    head: Head,
    records: &[Option<UserRecord>],
    commands: Vec<Command>,
) -> (Reply, Changes) {
    let mut image = Image::of_head(head);
    let users = || (0_u64..).map(UserHandle).zip(records);
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
