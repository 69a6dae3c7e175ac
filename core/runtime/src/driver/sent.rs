//! What is remembered of a commit under way, and what its results tell a process that remembers users.
//!
//! Owns which user each command is about. What cannot change, or not without being heard of here, goes to [`Known`].

use std::sync::Arc;

use hookproof_core::identity::UserHandle;
use hookproof_core::store::{Admitted, Command, Committed, GrantState, Reply, Settlement};

use crate::known::{Known, Record};
use crate::store::User;
use crate::users::Numbered;

/// See the module.
#[derive(Debug)]
pub(super) struct Sent {
    /// By place.
    pub(super) users: Vec<UserHandle>,
    /// By command.
    about: Vec<About>,
}

/// What a command is about, as far as [`Known`] has to learn from its result.
#[derive(Clone, Copy, Debug)]
enum About {
    Record { place: usize },
    Settlement { place: usize, settlement: Settlement },
    Nothing,
}

/// What a commit tells, command by command, with the record where there is one: nothing if it may not have been done.
pub(super) struct News(Vec<(About, Option<Admitted>)>);

impl Sent {
    /// Gives the users of `commands` their places in place of their handles.
    pub(super) fn of(commands: &mut [Command]) -> Self {
        let (mut users, mut places) = (Vec::new(), Numbered::default());
        let mut place_of = |user: &mut UserHandle| {
            let place = *places.entry(*user).or_insert_with(|| {
                users.push(*user);
                users.len() - 1
            });
            *user = UserHandle(place as u64);
            place
        };
        let about = commands.iter_mut().map(|command| match command {
            Command::Admit(admit) => About::Record { place: place_of(&mut admit.user) },
            Command::Find(user) => About::Record { place: place_of(user) },
            Command::Settle(settle) => {
                About::Settlement { place: place_of(&mut settle.user), settlement: settle.settlement }
            }
            Command::Resolve(resolve) => {
                place_of(&mut resolve.user);
                About::Nothing
            }
            Command::Open(_) | Command::Claim(_) => About::Nothing,
        });
        let about = about.collect();
        Self { users, about }
    }

    /// What `reply` tells.
    pub(super) fn news(&self, reply: &Reply) -> News {
        let Reply::Committed { results, .. } = reply else { return News(Vec::new()) };
        News(self.about.iter().copied().zip(results.iter().map(record)).collect())
    }
}

impl News {
    /// Tells `known` of it; `users` are by place, as the store knows them.
    pub(super) fn tell(&self, known: &Known, users: &[User]) {
        for (about, record) in &self.0 {
            match (about, record) {
                (About::Record { place }, Some(Admitted { variant, generation, grant: state, .. })) => {
                    let User { id, grant, .. } = &users[*place];
                    let record = Record { variant: *variant, generation: *generation, grant: grant.zip(*state) };
                    known.remember(Arc::clone(id), record);
                }
                (About::Settlement { place, settlement }, _) => {
                    let id = &users[*place].id;
                    match settlement {
                        Settlement::Delivered => known.on_state(id, GrantState::Delivered),
                        // Under a stale fence they change nothing: the store is asked at the next visit.
                        Settlement::Rejected | Settlement::Parked { .. } => known.forget(id),
                        Settlement::Again { .. }
                        | Settlement::Unsent { .. }
                        | Settlement::Released { .. }
                        | Settlement::Absent => {}
                    }
                }
                (About::Record { .. }, None) | (About::Nothing, _) => {}
            }
        }
    }
}

/// The user's record, where there is one and the command was about it.
const fn record(result: &Committed) -> Option<Admitted> {
    match result {
        Committed::Admitted { record, .. } => Some(*record),
        Committed::Found { record, .. } => *record,
        Committed::Opened { .. }
        | Committed::Foreign
        | Committed::Claimed { .. }
        | Committed::Settled { .. }
        | Committed::Resolved { .. } => None,
    }
}
