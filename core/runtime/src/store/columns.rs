//! How values stand in columns, in every database alike.

use hookproof_core::identity::UserHandle;
use hookproof_core::store::rows::GrantRecord;
use hookproof_core::store::{GrantState, OpenGrant};
use hookproof_core::time::WallTime;

/// The columns of a record, in the order in which each database's `rows` reads them.
pub(super) const RECORD: &str = "user_id, correlation, variant, generation, grant_id, units, state, due_at, first_sent_at, sent_until, \
                      fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen, park_reason, last_answer, changed_at";

pub(super) const fn from_nanos(nanos: i64) -> WallTime {
    WallTime::from_unix_nanos(if nanos < 0 { 0 } else { nanos.cast_unsigned() })
}

/// For databases whose integers have a sign; what lies beyond 2262 is cut to it.
pub(super) fn nanos(time: WallTime) -> i64 {
    i64::try_from(time.as_unix_nanos()).unwrap_or(i64::MAX)
}

/// [`OpenGrant::first_sent_at`], where the largest time means that there was none.
pub(super) fn first_sent(time: WallTime) -> Option<i64> {
    (time < WallTime::MAX).then(|| nanos(time))
}

/// The one of `all` that is called `name`: a word that no version of this program has written is a damaged row.
pub(super) fn known<T: Copy>(
    name: &str,
    all: impl IntoIterator<Item = T>,
    name_of: impl Fn(T) -> &'static str,
) -> Option<T> {
    all.into_iter().find(|one| name_of(*one) == name)
}

/// The row of an open grant, with its state.
pub(super) const fn open(grant: GrantRecord) -> Option<(GrantState, OpenGrant)> {
    match grant {
        GrantRecord::Pending(open) | GrantRecord::Claimed(open) => Some((grant.state(), open)),
        GrantRecord::Delivered | GrantRecord::Rejected | GrantRecord::Parked(_) => None,
    }
}

/// The number of an epoch that begins at `now`: from the clock, so that it is above the lost ones, too.
pub(super) fn epoch_at(now: WallTime, before: u32) -> u32 {
    let seconds = u32::try_from(now.as_unix_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
    seconds.max(before.saturating_add(1))
}

pub(super) fn handle(place: usize) -> UserHandle {
    UserHandle(place as u64)
}

pub(super) fn place(user: UserHandle) -> usize {
    usize::try_from(user.0).expect("a handle of this commit is a place in its users")
}
