//! The durable stores: where a commit of the hook's becomes true.
//!
//! Owns the boundary: a [`Work`] goes in, a [`Done`] comes out. What a command *means* is defined once, by
//! [`hookproof_core::store::Image`]; a store loads the rows that a commit may touch, lets an image of them execute it, and
//! writes back what has changed (`commit.rs`). So SQLite, PostgreSQL and the simulator cannot differ in a rule, only in a
//! row that is not loaded: `tests/stores_conform.rs` is about that.
//!
//! The store's clock is the only UTC that the hook knows (`TIME-1`). It never runs backwards: each commit records the latest
//! time that was given out.

mod columns;
mod commit;
pub mod postgres;
pub mod sqlite;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hookproof_core::identity::GrantId;
use hookproof_core::store::{Command, Epoch, Reply};
use hookproof_core::time::{WallTime, nanos};

/// A user at the store's boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: Arc<str>,
    /// What ties the visit that made the grant to its receipt, recorded with the first exposure.
    pub correlation: Option<Arc<str>>,
    /// The grant's id, in a reply, if the user has a grant.
    pub grant: Option<GrantId>,
}

/// A commit to be done. The handles in its commands are places in `users`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// All together or none of them, in this order.
    pub commands: Vec<Command>,
    /// The users that the commands name, each once.
    pub users: Vec<User>,
}

/// What came of it. The handles in its reply are places in `users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The store's reply.
    pub reply: Reply,
    /// The users of the work in the same places, then those whose grants were claimed besides.
    pub users: Vec<User>,
    /// The epoch at the commit. In another one than before, what was remembered of the store may be lost.
    pub epoch: Epoch,
}

/// A store.
pub enum Store {
    /// A file, for one process.
    Sqlite(sqlite::Sqlite),
    /// A PostgreSQL database, for a fleet.
    Postgres(postgres::Postgres),
}

impl Store {
    /// Does `work`, or nothing. `epoch` is the last one that was heard of.
    pub(crate) async fn commit(&self, work: Work, epoch: Epoch) -> Done {
        match self {
            Self::Sqlite(store) => store.commit(work, epoch).await,
            Self::Postgres(store) => store.commit(work, epoch).await,
        }
    }
}

/// The machine's UTC clock: what a store on this machine begins with.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn system_time() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_nanos(nanos(since_epoch))
}
