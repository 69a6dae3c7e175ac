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

use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hookproof_core::identity::GrantId;
use hookproof_core::store::rows::{GrantRecord, UserRecord};
use hookproof_core::store::{Command, Epoch, Evidence, Reply};
use hookproof_core::time::{WallTime, nanos};
use thiserror::Error;

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

/// What a store holds of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The user, with the correlation of the first exposure.
    pub user: User,
    /// The assignment, and the grant.
    pub record: UserRecord,
    /// By how much the grant raises the quota.
    pub units: Option<u32>,
}

/// A place in the list of parked grants. It stays where it is when the grant that had it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedPlace {
    /// When the grant was parked: the list is in this order, and then in that of the users' ids.
    pub parked_at: WallTime,
    /// The grant.
    pub grant: GrantId,
}

impl Stored {
    /// The place in the list of parked grants, if the grant is parked.
    pub const fn parked_place(&self) -> Option<ParkedPlace> {
        match self.record.grant {
            Some(GrantRecord::Parked(Evidence { grant, parked_at, .. })) => Some(ParkedPlace { parked_at, grant }),
            Some(
                GrantRecord::Pending(_) | GrantRecord::Claimed(_) | GrantRecord::Delivered | GrantRecord::Rejected,
            )
            | None => None,
        }
    }
}

/// How many grants are in each of the states that do not last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Waiting until they are due.
    pub pending: u64,
    /// Being sent, or their claimer has gone.
    pub claimed: u64,
    /// Waiting for a human.
    pub parked: u64,
}

/// Why a store can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The hook has ended; ask another instance.
    #[error("the store is closed")]
    Closed,
    /// The file is locked, damaged or gone; the log tells of commits, too.
    #[error("the store can't be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The server does not answer, or refuses.
    #[error("the store can't be read: {0}")]
    Postgres(String),
}

/// A store.
pub enum Store {
    /// A file, for one process.
    Sqlite(sqlite::Sqlite),
    /// A PostgreSQL database, for a fleet.
    Postgres(Arc<postgres::Postgres>),
}

impl Store {
    /// Does `work`, or nothing. `epoch` is the last one that was heard of. The thread of an SQLite store begins at once, whenever the caller's
    /// turn ends.
    pub(crate) fn commit(&self, work: Work, epoch: Epoch) -> Pin<Box<dyn Future<Output = Done> + Send>> {
        match self {
            Self::Sqlite(store) => Box::pin(store.commit(work, epoch)),
            Self::Postgres(store) => {
                let store = Arc::clone(store);
                Box::pin(async move { store.commit(work, epoch).await })
            }
        }
    }

    /// The user's record, if there is one. Reads hold up no commit.
    pub(crate) async fn record(&self, user_id: &str) -> Result<Option<Stored>, ReadError> {
        match self {
            Self::Sqlite(store) => store.record(user_id).await,
            Self::Postgres(store) => store.record(user_id).await,
        }
    }

    /// The record of the user who has the grant, if there is one.
    pub(crate) async fn grant(&self, id: GrantId) -> Result<Option<Stored>, ReadError> {
        match self {
            Self::Sqlite(store) => store.grant(id).await,
            Self::Postgres(store) => store.grant(id).await,
        }
    }

    /// The first `limit` parked grants, or those that come `after` a place in the list.
    pub(crate) async fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Result<Vec<Stored>, ReadError> {
        match self {
            Self::Sqlite(store) => store.parked(after, limit).await,
            Self::Postgres(store) => store.parked(after, limit).await,
        }
    }

    /// How many grants are in the states that do not last.
    pub(crate) async fn backlog(&self) -> Result<Backlog, ReadError> {
        match self {
            Self::Sqlite(store) => store.backlog().await,
            Self::Postgres(store) => store.backlog().await,
        }
    }
}

/// The machine's UTC clock: what a store on this machine begins with.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn system_time() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_nanos(nanos(since_epoch))
}
