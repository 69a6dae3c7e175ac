//! What happens to a few users, or to all, told to whoever listens. Nobody listens in most runs, so asking for that is all it costs.

use hookproof_core::store::ClaimedGrant;
use hookproof_core::time::{Instant, WallTime};

use super::World;
use crate::chronicle::{Account, Entry, Happening, Place};
use crate::store::Sender;
use crate::users::User;

impl World<'_> {
    /// Something happens to a user.
    #[inline]
    pub(super) fn tell(&mut self, now: Instant, user: u32, place: Place, what: Happening) {
        if self.is_told() {
            self.enter(now, user, place, what);
        }
    }

    /// Something befalls everybody.
    pub(super) fn tell_all(&mut self, now: Instant, place: Place, what: Happening) {
        let shown = self.shown_at(now, place);
        if let Some(listener) = &mut self.listener {
            listener(&Entry { at: now, user: None, place, shown, what, visit: None });
        }
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.enter_for_all(now, place, shown, what);
        }
    }

    /// The store gives out claims.
    pub(super) fn tell_claims(&mut self, now: Instant, sender: Sender, grants: &[ClaimedGrant]) {
        if !self.is_told() {
            return;
        }
        for grant in grants {
            let user = u32::try_from(grant.user.0).expect("users are numbered by u32 in the simulator");
            let (instance, attempt) = (sender.instance, grant.attempts);
            let what = Happening::Claimed { instance, attempt, doubt: grant.doubt, fence: grant.fence };
            self.enter(now, user, Place::Store, what);
        }
    }

    /// The run is over: what the users it was told of have.
    pub(super) fn close_chronicle(&mut self) {
        let (recorder, base) = (&self.recorder, u64::from(self.scenario.quota.base));
        let account = |user: u32| {
            let user = recorder.users.get(user as usize).copied().unwrap_or(User::NEW);
            let intended = base + u64::from(recorder.entitlements.of_user(&user).unwrap_or(0));
            Account { effects: user.effects, held: base + u64::from(user.granted_units), intended }
        };
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.close(account);
        }
    }

    #[inline]
    const fn is_told(&self) -> bool {
        self.chronicle.is_some() || self.listener.is_some()
    }

    #[cold]
    fn enter(&mut self, at: Instant, user: u32, place: Place, what: Happening) {
        let shown = self.shown_at(at, place);
        if let Some(listener) = &mut self.listener {
            listener(&Entry { at, user: Some(user), place, shown, what, visit: None });
        }
        let Some(chronicle) = self.chronicle.as_mut().filter(|chronicle| chronicle.is_about(user)) else { return };
        let visits = self.recorder.user(user).visits;
        chronicle.enter(Entry { at, user: Some(user), place, shown, what, visit: None }, visits);
    }

    /// What the clock of a place shows.
    fn shown_at(&self, now: Instant, place: Place) -> Option<WallTime> {
        match place {
            Place::Caller | Place::Run => None,
            Place::Instance(instance) => Some(self.instances[usize::from(instance)].clock.wall(now)),
            Place::Store => Some(self.store.clock.clock.wall(now)),
            Place::Quota => Some(self.quota.clock.wall(now)),
        }
    }
}
