//! The handles by which the machines name users, and the ids they stand for.
//!
//! A handle lives as long as anything in the process may still name it, and only in this process; the store knows users by
//! their ids. What is not named any more is found by looking at everything that is: when the table has doubled, it is
//! swept, so each user who is added pays for it with a constant on average.

use std::collections::HashMap;
use std::sync::Arc;

use hookproof_core::identity::UserHandle;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::store::User;

/// Below this it is not worth sweeping.
pub(crate) const SWEEP_MIN: usize = 1_024;

/// A map by numbers that this process gives out one after the other. The standard hasher is for keys that somebody may choose.
pub(crate) type Numbered<K, V> = FxHashMap<K, V>;

/// The table.
#[derive(Debug)]
pub(crate) struct Users {
    by_handle: Numbered<UserHandle, User>,
    by_id: HashMap<Arc<str>, UserHandle>,
    next: u64,
    sweep_at: usize,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self { by_handle: Numbered::default(), by_id: HashMap::new(), next: 0, sweep_at: SWEEP_MIN }
    }

    /// The handle of `user`. One who is known keeps the correlation of the visit that is under way.
    pub(crate) fn handle(&mut self, user: User) -> UserHandle {
        if let Some(handle) = self.by_id.get(&user.id) {
            return *handle;
        }
        let handle = UserHandle(self.next);
        self.next += 1;
        self.by_id.insert(Arc::clone(&user.id), handle);
        self.by_handle.insert(handle, user);
        handle
    }

    /// Whose handle it is.
    pub(crate) fn get(&self, handle: UserHandle) -> &User {
        self.by_handle.get(&handle).expect("a handle that a machine names is never swept")
    }

    /// What the store says of a user counts from here on.
    pub(crate) fn set(&mut self, handle: UserHandle, stored: &User) {
        let user = self.by_handle.get_mut(&handle).expect("a handle that a machine names is never swept");
        user.correlation.clone_from(&stored.correlation);
        user.grant = stored.grant;
    }

    /// The handle of a user as the store knows them, whatever a visit that is under way has said.
    pub(crate) fn stored(&mut self, stored: &User) -> UserHandle {
        let handle = self.handle(stored.clone());
        self.set(handle, stored);
        handle
    }

    /// Whether it is time for [`Users::sweep`].
    pub(crate) fn is_to_be_swept(&self) -> bool {
        self.by_handle.len() >= self.sweep_at
    }

    /// How many are in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_handle.len()
    }

    /// Forgets all but the `live` ones.
    pub(crate) fn sweep(&mut self, live: impl Iterator<Item = UserHandle>) {
        let live: FxHashSet<_> = live.collect();
        self.by_handle.retain(|handle, _| live.contains(handle));
        self.by_id.retain(|_, handle| live.contains(handle));
        self.sweep_at = (2 * self.by_handle.len()).max(SWEEP_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> User {
        User { id: id.into(), ..User::default() }
    }

    #[test]
    fn a_user_who_is_named_keeps_the_handle_over_a_sweep_and_others_never_get_it() {
        let mut users = Users::new();
        let (ann, bob) = (users.handle(user("ann")), users.handle(user("bob")));
        assert_eq!(users.handle(user("ann")), ann);
        users.sweep([ann].into_iter());
        assert_eq!(users.handle(user("ann")), ann);
        assert_eq!(&*users.get(ann).id, "ann");
        assert!(![ann, bob].contains(&users.handle(user("bob"))));
    }

    #[test]
    fn the_stores_word_on_a_user_replaces_that_of_a_visit_and_is_not_replaced_by_one() {
        let of_correlation = |correlation: &str| User { correlation: Some(correlation.into()), ..user("ann") };
        let mut users = Users::new();
        let ann = users.handle(of_correlation("of the visit"));
        assert_eq!(users.stored(&of_correlation("of the first exposure")), ann);
        assert_eq!(users.handle(of_correlation("of another visit")), ann);
        assert_eq!(users.get(ann).correlation.as_deref(), Some("of the first exposure"));
    }

    #[test]
    fn the_table_does_not_grow_with_those_who_have_gone() {
        let mut users = Users::new();
        for number in 0..100_000 {
            let handle = users.handle(user(&number.to_string()));
            if users.is_to_be_swept() {
                users.sweep([handle].into_iter());
            }
        }
        assert!(users.by_handle.len() <= SWEEP_MIN && users.by_id.len() <= SWEEP_MIN);
    }
}
