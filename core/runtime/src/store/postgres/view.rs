//! Reading beside the commits: for operators, on a connection that no commit uses meanwhile; and to check every decision again.

use hookproof_core::identity::GrantId;
use hookproof_core::store::LineageId;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::columns::{RECORD, nanos};
use super::super::{Backlog, ParkedPlace, ReadError, Stored};
use super::rows::stored;
use super::session::Checkout;
use super::{Failure, Postgres, failure};

/// Each count is read from an index of just these grants.
const BACKLOG: &str = "SELECT (SELECT count(*) FROM users WHERE state = 'pending'), \
                              (SELECT count(*) FROM users WHERE state = 'claimed'), \
                              (SELECT count(*) FROM users WHERE state = 'parked')";

/// Records that are read at once, where all are.
const PAGE: usize = 1_000;

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        Self::Postgres(failure.to_string())
    }
}

impl Postgres {
    /// The user's record, if there is one.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn record(&self, user_id: &str) -> Result<Option<Stored>, ReadError> {
        self.one("user_id = $1", &[&user_id]).await
    }

    /// The record of the user who has the grant, if there is one.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn grant(&self, id: GrantId) -> Result<Option<Stored>, ReadError> {
        self.one("user_id = (SELECT user_id FROM grant_ids WHERE grant_id = $1)", &[&id.as_bytes().as_slice()]).await
    }

    /// The first `limit` parked grants, or those that come `after` a place in the list.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Result<Vec<Stored>, ReadError> {
        let list = format!(
            "SELECT {RECORD} FROM users WHERE state = 'parked' AND ($1::bigint IS NULL OR (changed_at, user_id) > \
             ($1, (SELECT user_id FROM grant_ids WHERE grant_id = $2))) ORDER BY changed_at, user_id LIMIT $3"
        );
        let (parked_at, grant) = after.map(|place| (nanos(place.parked_at), place.grant)).unzip();
        let grant = grant.as_ref().map(|id| id.as_bytes().as_slice());
        let rows = self.read(&list, &[&parked_at, &grant, &i64::from(limit)]).await?;
        Ok(rows.iter().map(stored).collect::<Result<_, _>>()?)
    }

    /// Whose store it is; nobody's before it was opened by a hook.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn lineage(&self) -> Result<Option<LineageId>, ReadError> {
        let rows = self.read("SELECT lineage FROM store", &[]).await?;
        let row = rows.first().ok_or(Failure::Damaged(0))?;
        let lineage = row.try_get::<_, Option<&[u8]>>(0).map_err(Failure::from)?;
        let lineage = lineage.map(<[u8; 16]>::try_from).transpose().map_err(|_| Failure::Damaged(0))?;
        Ok(lineage.map(LineageId))
    }

    /// Shows every user's record, in the order of their ids. Users who are admitted meanwhile may be shown or not.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn for_each(&self, mut show: impl FnMut(Stored)) -> Result<(), ReadError> {
        let page = format!("SELECT {RECORD} FROM users WHERE user_id > $1 ORDER BY user_id LIMIT {PAGE}");
        let mut after = String::new();
        loop {
            let rows = self.read(&page, &[&after]).await?;
            for row in &rows {
                let stored = stored(row)?;
                stored.user.id.as_ref().clone_into(&mut after);
                show(stored);
            }
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// How many grants are in the states that do not last.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn backlog(&self) -> Result<Backlog, ReadError> {
        let rows = self.read(BACKLOG, &[]).await?;
        let row = rows.first().ok_or(Failure::Damaged(0))?;
        let count = |place: usize| row.try_get::<_, i64>(place).map(i64::unsigned_abs).map_err(Failure::from);
        Ok(Backlog { pending: count(0)?, claimed: count(1)?, parked: count(2)? })
    }

    async fn one(&self, condition: &str, key: &[&(dyn ToSql + Sync)]) -> Result<Option<Stored>, ReadError> {
        let rows = self.read(&format!("SELECT {RECORD} FROM users WHERE {condition}"), key).await?;
        Ok(rows.first().map(stored).transpose()?)
    }

    async fn read(&self, query: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let read = async {
            let _permit = self.readers.acquire().await.map_err(|_| Failure::Stopped)?;
            let checkout = Checkout::new(Box::pin(self.pool.get()).await.map_err(failure)?);
            let rows = checkout.session().client.query(query, values).await?;
            checkout.give_back();
            Ok(rows)
        };
        timeout(self.commit_timeout, read).await.unwrap_or(Err(Failure::TimedOut(self.commit_timeout)))
    }
}
