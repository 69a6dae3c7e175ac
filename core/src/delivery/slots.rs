//! What a process has claimed and not yet settled, and the names of its attempts.
//!
//! Owns [`AttemptId`] and the slots behind it. A slot is used again, its id never is: the generation tells an answer to the
//! former user of a slot from one to the present. It knows nothing of what a slot's stage entails.
//!
//! Neither time nor chance enters. Read next: `tests/hook/machines_never_panic.rs`.

use crate::identity::GrantId;
use crate::store::{ClaimedGrant, Settle, Settlement};
use crate::time::Instant;
use crate::upstream::Ask;

/// Names an attempt in its process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    slot: u32,
    generation: u32,
}

impl AttemptId {
    /// As one number, for drivers that carry it along.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The inverse of [`AttemptId::to_bits`].
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A claimed grant in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    /// What was claimed.
    pub(super) grant: ClaimedGrant,
    /// How far it is.
    pub(super) stage: Stage,
}

/// How far a claimed grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The request is under way.
    Sent(Ask),
    /// The settlement is with the store.
    Settling(Settle),
    /// The settlement goes to the store again at this time.
    SettleAgain(Settle, Instant),
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slots {
    slots: Vec<(u32, Option<Slot>)>,
    free: Vec<u32>,
}

impl Slots {
    /// Claims that are not settled.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, slot: Slot) -> AttemptId {
        if let Some(index) = self.free.pop() {
            let (generation, place) = &mut self.slots[index as usize];
            *generation = generation.wrapping_add(1);
            *place = Some(slot);
            return AttemptId { slot: index, generation: *generation };
        }
        self.slots.push((0, Some(slot)));
        let slot = u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 claims at once");
        AttemptId { slot, generation: 0 }
    }

    pub(super) fn get_mut(&mut self, attempt: AttemptId) -> Option<&mut Slot> {
        let (generation, slot) = self.slots.get_mut(attempt.slot as usize)?;
        if *generation == attempt.generation { slot.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, attempt: AttemptId) {
        if self.get_mut(attempt).is_some() {
            self.slots[attempt.slot as usize].1 = None;
            self.free.push(attempt.slot);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AttemptId, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, (generation, slot))| {
            let id = AttemptId { slot: u32::try_from(index).ok()?, generation: *generation };
            slot.as_ref().map(|slot| (id, slot))
        })
    }
}

impl Slot {
    /// Whether it holds a receipt of `grant` that the store is not known to have.
    pub(super) fn proves(&self, grant: GrantId) -> bool {
        let settlement = match self.stage {
            Stage::Settling(settle) | Stage::SettleAgain(settle, _) => settle.settlement,
            Stage::Sent(_) => return false,
        };
        self.grant.grant == grant && settlement == Settlement::Delivered
    }

    /// When its settlement goes to the store again, if it waits for that.
    pub(super) const fn settle_again_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::SettleAgain(_, at) => Some(at),
            Stage::Sent(_) | Stage::Settling(_) => None,
        }
    }
}
