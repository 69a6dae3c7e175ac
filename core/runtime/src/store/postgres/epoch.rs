//! Epochs: which server's log the present one belongs to.
//!
//! A server names its data (`system_identifier`, made once by `initdb`) and its log's timeline, which has another number after a
//! replica was promoted or a backup was restored up to some moment. Commits that were acknowledged before may be missing on it. The timeline is
//! that of the log that is written now, not that of the last checkpoint, which lags behind a promotion.

use std::sync::Arc;

use hookproof_core::store::Epoch;
use hookproof_core::time::WallTime;
use tokio_postgres::{Client, Error, GenericClient};

use super::super::columns::{epoch_at, from_nanos, nanos};
use super::Failure;
use super::address::Address;
use super::session::connect;
use super::statements::EPOCH_LOCK;

/// Which log of which data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    system_identifier: i64,
    timeline: i64,
}

/// The server's.
pub(super) async fn origin(client: &Client) -> Result<Origin, Error> {
    let origin = "SELECT system_identifier, ('x' || lpad(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 16, '0'))::bit(64)::bigint \
                  FROM pg_control_system()";
    let row = client.query_one(origin, &[]).await?;
    Ok(Origin { system_identifier: row.try_get(0)?, timeline: row.try_get(1)? })
}

/// The one that the store's epoch is of, if that is known.
pub(super) async fn recorded(client: &impl GenericClient) -> Result<Option<Origin>, Error> {
    let row = client.query_one("SELECT system_identifier, timeline FROM store", &[]).await?;
    let (system_identifier, timeline) = (row.try_get::<_, Option<i64>>(0)?, row.try_get::<_, Option<i64>>(1)?);
    let both = system_identifier.zip(timeline);
    Ok(both.map(|(system_identifier, timeline)| Origin { system_identifier, timeline }))
}

/// Records `origin`, and begins an epoch if another one was recorded. Any number of processes may find out at once: the first
/// one does it.
pub(super) async fn follow(address: Arc<Address>, origin: Origin) -> Result<(), Failure> {
    let (mut client, _socket) = connect(&address).await?;
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let before = recorded(&transaction).await?;
    if before == Some(origin) {
        return Ok(());
    }
    let Origin { system_identifier, timeline } = origin;
    transaction
        .execute("UPDATE store SET system_identifier = $1, timeline = $2", &[&system_identifier, &timeline])
        .await?;
    if let Some(before) = before {
        let epoch = begin_in(&transaction, None).await?;
        tracing::error!(
            ?before,
            ?origin,
            epoch = epoch.0,
            "a replica was promoted or a backup restored: what is open is in doubt, a new epoch begins"
        );
    }
    transaction.commit().await?;
    Ok(())
}

/// Begins an epoch: see [`hookproof_core::store::Image::begin_epoch`].
pub(super) async fn begin(address: &Address, clock: Option<WallTime>) -> Result<Epoch, Failure> {
    let (mut client, _socket) = connect(address).await?;
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let epoch = begin_in(&transaction, clock).await?;
    transaction.commit().await?;
    Ok(epoch)
}

/// Waits until no commit is under way, and lets none begin; then takes its time.
async fn lock(transaction: &impl GenericClient) -> Result<(), Error> {
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let lock = format!("SELECT pg_advisory_xact_lock({EPOCH_LOCK})");
    transaction.query_one(&lock, &[]).await?;
    Ok(())
}

async fn begin_in(transaction: &impl GenericClient, clock: Option<WallTime>) -> Result<Epoch, Failure> {
    let row = transaction.query_one("SELECT epoch, clock FROM store", &[]).await?;
    let before = u32::try_from(row.try_get::<_, i64>(0)?).map_err(|_| Failure::Damaged(0))?;
    let clock = if let Some(clock) = clock {
        clock
    } else {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint";
        from_nanos(transaction.query_one(now, &[]).await?.try_get(0)?)
    };
    let now = clock.max(from_nanos(row.try_get(1)?));
    let epoch = epoch_at(now, before);
    let store = "UPDATE store SET epoch = $1, epoch_began_at = $2, clock = $2";
    transaction.execute(store, &[&i64::from(epoch), &nanos(now)]).await?;
    let open = "UPDATE users SET in_doubt = true, is_seen = true, first_sent_at = 0, sent_until = greatest(sent_until, $1) \
                WHERE state IN ('pending', 'claimed')";
    transaction.execute(open, &[&nanos(now)]).await?;
    Ok(Epoch(epoch))
}
