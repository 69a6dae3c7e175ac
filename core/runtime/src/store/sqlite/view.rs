//! Reading a store's file beside its owner: for operators, and to check every decision again.

use std::path::Path;

use hookproof_core::identity::GrantId;
use hookproof_core::store::{GrantState, LineageId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row, params};

use super::super::columns::{RECORD, nanos};
use super::super::{Backlog, ParkedPlace, Stored};
use super::rows::record;
use super::{APPLICATION_ID, BUSY_TIMEOUT, MIGRATIONS, OpenError};

/// A connection that only reads. Another process may have the store open.
pub struct View {
    connection: Connection,
}

impl View {
    /// Looks into the store at `path`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        match u32::try_from(version) {
            Ok(found) if application == APPLICATION_ID && found as usize > MIGRATIONS.len() => {
                Err(OpenError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() })
            }
            Ok(_) if application == APPLICATION_ID => Ok(Self { connection }),
            Ok(_) | Err(_) => Err(OpenError::Foreign(path.to_owned())),
        }
    }

    /// Whose store it is; nobody's before it was opened by a hook.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn lineage(&self) -> Result<Option<LineageId>, rusqlite::Error> {
        let lineage = self.connection.query_row("SELECT lineage FROM store", [], |row| row.get::<_, Option<_>>(0))?;
        Ok(lineage.map(LineageId))
    }

    /// Shows every user's record, in the order of their ids.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn for_each(&self, mut show: impl FnMut(Stored)) -> Result<(), rusqlite::Error> {
        let mut all = self.connection.prepare(&format!("SELECT {RECORD} FROM users ORDER BY user_id"))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            show(stored(row)?);
        }
        Ok(())
    }

    /// The user's record, if there is one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn record(&self, user_id: &str) -> Result<Option<Stored>, rusqlite::Error> {
        self.one("user_id = ?1", params![user_id])
    }

    /// The record of the user who has the grant, if there is one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn grant(&self, id: GrantId) -> Result<Option<Stored>, rusqlite::Error> {
        self.one("grant_id = ?1", params![id.as_bytes()])
    }

    /// The first `limit` parked grants, or those that come `after` a place in the list.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Result<Vec<Stored>, rusqlite::Error> {
        let list = format!(
            "SELECT {RECORD} FROM users WHERE state = 'parked' AND (?1 IS NULL OR (changed_at, user_id) > \
             (?1, (SELECT user_id FROM users WHERE grant_id = ?2))) ORDER BY changed_at, user_id LIMIT ?3"
        );
        let mut list = self.connection.prepare_cached(&list)?;
        let (parked_at, grant) = after.map(|place| (nanos(place.parked_at), place.grant)).unzip();
        let rows = list.query_map(params![parked_at, grant.as_ref().map(GrantId::as_bytes), limit], stored)?;
        rows.collect()
    }

    /// How many grants are in the states that do not last. Each count is read from an index of just these grants.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn backlog(&self) -> Result<Backlog, rusqlite::Error> {
        let open = "SELECT count(*) FROM users WHERE state = ?1 AND due_at IS NOT NULL";
        let count = |state: GrantState| {
            self.connection.prepare_cached(open)?.query_row([state.name()], |row| row.get::<_, u64>(0))
        };
        let parked = "SELECT count(*) FROM users WHERE state = 'parked'";
        Ok(Backlog {
            pending: count(GrantState::Pending)?,
            claimed: count(GrantState::Claimed)?,
            parked: self.connection.prepare_cached(parked)?.query_row([], |row| row.get(0))?,
        })
    }

    fn one(&self, condition: &str, key: impl Params) -> Result<Option<Stored>, rusqlite::Error> {
        let one = format!("SELECT {RECORD} FROM users WHERE {condition}");
        self.connection.prepare_cached(&one)?.query_row(key, stored).optional()
    }
}

fn stored(row: &Row<'_>) -> Result<Stored, rusqlite::Error> {
    let (user, record) = record(row, 0)?;
    Ok(Stored { user, record, units: row.get(5)? })
}
