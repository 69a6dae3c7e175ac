//! Open grants in the order in which they are due.
//!
//! Owns the order and nothing else. Nearly every grant is due later than all before it: a new one is due now, and a lease
//! ends one lease from now. So those stand in a queue, where adding and taking the first cost next to nothing and no memory;
//! the few that come out of order (a retry's wait, a commit that is undone) stand in a tree beside it.
//!
//! Neither time nor chance enters. Two of them are equal if they hold the same, however it came there.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::iter::Peekable;

use crate::time::WallTime;

/// When a grant is due, and its place among the open ones.
pub(super) type Due = (WallTime, u32);

/// The grants.
#[derive(Clone, Debug, Default)]
pub(super) struct DueOrder {
    /// Ascending.
    in_order: VecDeque<Due>,
    others: BTreeSet<Due>,
}

impl DueOrder {
    /// The earliest.
    #[inline]
    pub(super) fn first(&self) -> Option<Due> {
        match (self.in_order.front(), self.others.first()) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    /// Adds one that is not there.
    pub(super) fn insert(&mut self, due: Due) {
        if self.in_order.back().is_none_or(|last| *last < due) {
            self.in_order.push_back(due);
        } else {
            self.others.insert(due);
        }
    }

    /// Takes one out, and returns whether it was there.
    pub(super) fn remove(&mut self, due: Due) -> bool {
        if self.in_order.front() == Some(&due) {
            self.in_order.pop_front();
            return true;
        }
        match self.in_order.binary_search(&due) {
            Ok(position) => self.in_order.remove(position).is_some(),
            Err(_) => self.others.remove(&due),
        }
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Due> {
        Merged { a: self.in_order.iter().copied().peekable(), b: self.others.iter().copied().peekable() }
    }
}

impl PartialEq for DueOrder {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for DueOrder {}

impl Hash for DueOrder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.in_order.len() + self.others.len()).hash(state);
        self.iter().for_each(|due| due.hash(state));
    }
}

/// Two ascending sequences as one.
struct Merged<A: Iterator<Item = Due>, B: Iterator<Item = Due>> {
    a: Peekable<A>,
    b: Peekable<B>,
}

impl<A: Iterator<Item = Due>, B: Iterator<Item = Due>> Iterator for Merged<A, B> {
    type Item = Due;
    fn next(&mut self) -> Option<Due> {
        match (self.a.peek(), self.b.peek()) {
            (Some(a), Some(b)) if b < a => self.b.next(),
            (Some(_), _) => self.a.next(),
            (None, _) => self.b.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(at: u64) -> Due {
        (WallTime::from_unix_nanos(at / 4), u32::try_from(at % 4).unwrap())
    }

    #[test]
    fn equal_contents_are_equal_however_they_came() {
        let (mut up, mut down) = (DueOrder::default(), DueOrder::default());
        for at in 0..9 {
            up.insert(due(at));
            down.insert(due(8 - at));
        }
        assert_eq!(up, down);
        assert!(down.remove(due(4)));
        assert_ne!(up, down);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_set(steps in prop::collection::vec((any::<bool>(), 0u64..60), 0..300)) {
            let (mut order, mut model) = (DueOrder::default(), BTreeSet::new());
            for (is_insert, at) in steps {
                let due = due(at);
                if !is_insert {
                    prop_assert_eq!(order.remove(due), model.remove(&due));
                } else if model.insert(due) {
                    order.insert(due);
                }
                prop_assert_eq!(order.first(), model.first().copied());
                prop_assert!(order.iter().eq(model.iter().copied()));
            }
        }
    }
}
