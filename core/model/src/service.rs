//! The quota service of the model: its ledger and its key store.
//!
//! Owns what a request does there. It knows neither workers nor stores; which course an execution takes is decided outside.

use std::collections::BTreeMap;

use hookproof_core::classify::AnswerClass;
use hookproof_core::promise::Offer;

use crate::cell::{Cell, LAG};

/// The service's durable state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// How often each user's quota was raised.
    pub(crate) effects: Vec<u8>,
    /// When it was raised first.
    effect_at: Vec<u64>,
    /// Until when each user's key is remembered.
    keys: BTreeMap<(u8, u32), u64>,
}

impl Service {
    pub(crate) fn new(users: usize) -> Self {
        Self { effects: vec![0; users], effect_at: vec![0; users], keys: BTreeMap::new() }
    }

    /// Executes a request for the effect.
    pub(crate) fn apply(&mut self, now: u64, cell: &Cell, user: u8, key: u32) -> AnswerClass {
        let is_known = self.keys.get(&(user, key)).is_some_and(|forget_at| now < *forget_at);
        match cell.offer {
            Offer::PutById if is_known => return AnswerClass::Exists,
            Offer::IdempotencyKey if is_known => return AnswerClass::Receipt,
            Offer::PutById => {
                self.keys.insert((user, key), u64::MAX);
            }
            Offer::IdempotencyKey => {
                self.keys.insert((user, key), now + cell.ttl());
            }
            Offer::ReadBack | Offer::None => {}
        }
        let index = usize::from(user);
        if self.effects[index] == 0 && cell.offer == Offer::ReadBack {
            self.effect_at[index] = now;
        }
        self.effects[index] = self.effects[index].saturating_add(1);
        AnswerClass::Receipt
    }

    /// What a read shows that misses nothing.
    pub(crate) fn read(&self, user: u8) -> AnswerClass {
        if self.effects[usize::from(user)] > 0 { AnswerClass::Receipt } else { AnswerClass::NotFound }
    }

    /// Whether a read may miss the effect as declared.
    pub(crate) fn is_fresh(&self, now: u64, user: u8) -> bool {
        self.effects[usize::from(user)] > 0 && now < self.effect_at[usize::from(user)] + LAG
    }

    /// Whether the user's quota was raised so long ago that every read should show it.
    pub(crate) fn is_settled(&self, now: u64, user: u8) -> bool {
        self.effects[usize::from(user)] > 0 && !self.is_fresh(now, user)
    }

    /// Until when a used key is remembered.
    pub(crate) fn forget_at(&self, user: u8, key: u32) -> Option<u64> {
        self.keys.get(&(user, key)).copied()
    }

    /// Forgets a user's keys before their time.
    pub(crate) fn forget(&mut self, now: u64, user: u8) {
        for ((_, _), forget_at) in self.keys.iter_mut().filter(|((owner, _), _)| *owner == user) {
            *forget_at = (*forget_at).min(now);
        }
    }

    /// Drops what time has made irrelevant, so that states that cannot be told apart are one.
    pub(crate) fn age(&mut self, now: u64) {
        self.keys.values_mut().filter(|forget_at| **forget_at <= now).for_each(|forget_at| *forget_at = 0);
        self.effect_at.iter_mut().filter(|at| **at + LAG <= now).for_each(|at| *at = 0);
    }

    /// Whether a key of the user is remembered.
    pub(crate) fn remembers(&self, now: u64, user: u8) -> bool {
        self.keys.iter().any(|((owner, _), forget_at)| *owner == user && now < *forget_at)
    }
}
