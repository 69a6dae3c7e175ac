//! Whom a change moves: users counted by what they meet under the old version and the new one.

use super::super::{Experiment, VariantIndex};
use crate::assignment::UserId;

/// A user's recorded first exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The variant.
    pub variant: VariantIndex,
    /// The generation of the version that exposed the user.
    pub generation: u8,
}

/// What a change means for a number of users. Each user is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effect {
    /// Users with a record.
    pub recorded: Recorded,
    /// Users without one.
    pub unexposed: Unexposed,
}

/// Users with a recorded exposure. Their record stays what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recorded {
    /// They keep their variant, which the new version would give them as well.
    pub unchanged: u64,
    /// They keep their variant, and only because it is recorded: the new version would give them another.
    pub held: u64,
    /// They see the baseline from here on.
    pub blocked: u64,
    /// They saw the baseline already.
    pub blocked_before: u64,
}

impl Recorded {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.unchanged + self.held + self.blocked + self.blocked_before
    }
}

/// Users without a recorded exposure, by what a visit would be answered under each version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unexposed {
    /// Both would expose them, to the same variant.
    pub unchanged: u64,
    /// Both would expose them, the new version to another variant.
    pub moved: u64,
    /// Only the new version would expose them.
    pub enrolled: u64,
    /// Only the old version would have exposed them.
    pub unreachable: u64,
    /// Neither would expose them.
    pub outside: u64,
}

impl Unexposed {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.unchanged + self.moved + self.enrolled + self.unreachable + self.outside
    }
}

/// Counts what the change from `old` to `new` means for `users`. It is meaningful for changes that [`super::between`]
/// permits, and for records whose variants `old` has.
pub fn effect<'u>(
    old: &Experiment,
    new: &Experiment,
    users: impl IntoIterator<Item = (UserId<'u>, Option<Record>)>,
) -> Effect {
    let versions = Versions { old, new };
    let mut effect = Effect::default();
    for (user, record) in users {
        let count = match record {
            Some(record) => versions.count_of_recorded(&mut effect.recorded, user, record),
            None => versions.count_of_unexposed(&mut effect.unexposed, user),
        };
        *count += 1;
    }
    effect
}

#[derive(Clone, Copy)]
struct Versions<'e> {
    old: &'e Experiment,
    new: &'e Experiment,
}

impl Versions<'_> {
    fn count_of_recorded<'c>(self, counts: &'c mut Recorded, user: UserId<'_>, record: Record) -> &'c mut u64 {
        if self.old.blocks(record.generation) {
            &mut counts.blocked_before
        } else if self.new.blocks(record.generation) {
            &mut counts.blocked
        } else if self.new.assign(user).variant == record.variant {
            &mut counts.unchanged
        } else {
            &mut counts.held
        }
    }

    fn count_of_unexposed<'c>(self, counts: &'c mut Unexposed, user: UserId<'_>) -> &'c mut u64 {
        let (before, after) = (self.old.assign(user), self.new.assign(user));
        match (before.enrolled, after.enrolled) {
            (true, true) if before.variant == after.variant => &mut counts.unchanged,
            (true, true) => &mut counts.moved,
            (false, true) => &mut counts.enrolled,
            (true, false) => &mut counts.unreachable,
            (false, false) => &mut counts.outside,
        }
    }
}
