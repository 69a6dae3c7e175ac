//! The store of a fleet: one PostgreSQL database, any number of processes.
//!
//! Owns a few connections: commits use one at a time, and what is read beside them never has them all. Each commit is one transaction at READ
//! COMMITTED: it loads the rows it may touch, lets an image execute the commands, and writes back what has changed (`attempt.rs`). What
//! it relies on besides:
//!
//! * `LOAD-1`: a commit that claims or settles ends by locking the one row of `store`, which has the count of claimed grants, and changes it
//!   under that lock: it is exact. Until then it has worked beside the others, on a draft that takes the fleet for what it was when it was read; under
//!   the lock it executes the commands once more, and what has become of the draft is put right.
//! * `GRANT-5`: the rows that such a commit may change are locked when they are loaded: those of named users in the order of their ids, then
//!   grants to claim `FOR UPDATE SKIP LOCKED`. So they stay where they are in the table until this commit changes them, and are found there (`locked.rs`). Who holds the row of `store` waits for nobody, so no two commits wait for each other. A grant that is skipped
//!   is said to be due in a second: whoever has locked it may have been stopped, and nobody else would look at it again.
//! * `ASSIGN-1`, `GRANT-1`, `GRANT-2`: a commit that only admits or looks up reads that row and locks nothing. Two processes that admit
//!   a user at once both insert the whole record; the key lets one of them, and the other, which sees that it wrote fewer rows than it made, rolls
//!   back and does it again: then it finds the record.
//! * No commit carries an epoch that has ended: it shares an advisory lock that beginning an epoch takes alone.
//! * `TIME-1`: time is the server's, read when the rows of named users are locked: it is no earlier than any in them, nor than any that this process
//!   has been told. A grant that another process makes due meanwhile is not due by it.
//! * An acknowledged commit is on the server's disk: `synchronous_commit` is `on` or stronger, in the session. A connection is made only to a
//!   server that takes writes, and looks first whether that server's log is the one that the epoch is of; if not, a new epoch begins (`epoch.rs`).
//! * A commit that claims or settles lets go of its locks before the disk has it, so that the fleet does not wait for the disk one
//!   commit at a time; it is acknowledged when a transaction after it is on the disk. Whoever has read what it wrote comes later in
//!   the log and is acknowledged later, so nothing acknowledged rests on what a crash can take. First exposures are never shown before
//!   they are on the disk, since a visit that only reads is answered at once.
//! * Rows of users are written by hooks alone, under the locks above: a human reads.
//! * A commit that failed before COMMIT was sent is `Refused`: its connection is closed, so it never will be sent. After that it is
//!   `Unknown`, unless the server said that a statement before it has failed.
//!
//! Chance does not enter. Read next: `tests/postgres.rs`, `docs/stores.md`.

mod address;
mod attempt;
mod changes;
mod epoch;
mod locked;
mod rows;
mod session;
mod sslmode;
mod statements;
mod view;

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Pool, PoolError};
use hookproof_core::store::{Epoch, Reply};
use hookproof_core::time::WallTime;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};

use self::address::Address;
use self::attempt::{Attempt, Committed, Progress};
use self::rows::Clock;
use self::session::{Checkout, Connector, Session, connect};
use super::columns::{open, place};
use super::commit::Places;
use super::{Done, Work};

/// Each brings the schema one version further.
const MIGRATIONS: &[&str] = &[include_str!("postgres/schema.sql")];
/// How often a commit is done over that another process has got in the way of.
const ATTEMPTS_MAX: u32 = 5;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// A connection string of PostgreSQL's, with the password if it needs one: a URL or `key=value` pairs. `sslmode` is `disable`,
    /// `require` or `verify-full`; the last two both verify the server. Without one, the server is verified unless it is on this machine.
    pub connection: String,
    /// The schema that the tables are in: lower-case letters, digits and `_`. Default `hookproof`.
    pub schema: String,
    /// Certificates (PEM) of those who may vouch for the server; default: those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How long a commit may take, connecting included. Default 5 s.
    pub commit_timeout: Duration,
    /// Connections at most, and at least 2. A hook has one commit under way at a time; another connection lets it go on while a broken one is
    /// given up, and is read on beside it. Default 2.
    pub connections: usize,
}

impl Settings {
    /// The defaults for the database at `connection`.
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            schema: "hookproof".to_owned(),
            ca_file: None,
            commit_timeout: Duration::from_secs(5),
            connections: 2,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Settings").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Why a database can't be opened as a store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is malformed; it isn't shown, since it may hold a password.
    #[error(
        "the connection string is neither a postgres:// URL nor key=value pairs that PostgreSQL's clients know \
         (sslmode is disable, require or verify-full; the CA file is a setting of its own)"
    )]
    ConnectionString,
    /// The schema's name would need quotes.
    #[error("{0:?} is no name for a schema: use lower-case letters, digits and _, at most 63")]
    SchemaName(String),
    /// The file of certificates can't be used.
    #[error("cannot use the certificates in {path}: {said}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// The machine trusts nobody; name a file of certificates.
    #[error("this machine has no certificates that could vouch for the server: name a CA file")]
    NoCa,
    /// The schema belongs to another program.
    #[error("the schema {0} holds something else than a hook's store: name another one")]
    Foreign(String),
    /// No hook has made its tables there yet; is it the right database?
    #[error("the schema {0} holds no store")]
    Absent(String),
    /// A later version of this program has written it; run that one.
    #[error("the schema {schema} has version {found}, and this program knows versions up to {known}: run a newer one")]
    Newer {
        /// Which schema.
        schema: String,
        /// Its version.
        found: i64,
        /// The latest version that is known here.
        known: usize,
    },
    /// The server does not answer, or refuses.
    #[error("cannot open the store: {0}")]
    Postgres(String),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Postgres(failure.to_string())
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(said(&error))
    }
}

/// Why a commit was not done, or may not have been.
#[derive(Debug, Error)]
enum Failure {
    #[error("{}", said(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("column {0} of a row holds what no version of this program has written")]
    Damaged(usize),
    #[error("other processes got in the way, again and again")]
    Overtaken,
    #[error("it took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the process is ending")]
    Stopped,
}

impl Failure {
    /// Whether the same may succeed at once.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Overtaken => true,
            Self::Postgres(error) => error.code().is_some_and(|code| {
                [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
            }),
            Self::Damaged(_) | Self::TimedOut(_) | Self::Stopped => false,
        }
    }
}

/// What an error says, without the details that name rows: they are users.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} {}: {}", error.severity(), error.code().code(), error.message());
    }
    let mut said = error.to_string();
    if let Some(source) = error.source() {
        // Writing to a string does not fail.
        let _ = write!(said, ": {source}");
    }
    said
}

/// See the module.
pub struct Postgres {
    pool: Pool<Connector>,
    /// Connections that may be read on at once: one is always left to commits.
    readers: Semaphore,
    address: Arc<Address>,
    commit_timeout: Duration,
    /// The latest time that was given out here.
    told: AtomicU64,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Postgres").field(&self.address).finish()
    }
}

impl Postgres {
    /// Opens the store, and makes its schema and tables if there are none. `variants` are written down for readers of the tables. It needs a
    /// tokio runtime with time and I/O.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open<'a>(settings: &Settings, variants: impl IntoIterator<Item = &'a str>) -> Result<Self, OpenError> {
        let address = Arc::new(Address::new(settings)?);
        let (mut client, socket) = connect(&address).await?;
        migrate(&mut client, &address.schema).await?;
        name_variants(&client, variants).await?;
        drop(socket);
        Self::at(address, settings)
    }

    /// Opens a store that is there, and changes nothing of its schema.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_existing(settings: &Settings) -> Result<Self, OpenError> {
        let address = Arc::new(Address::new(settings)?);
        let (client, _socket) = connect(&address).await?;
        if !find(&client, &address.schema).await?.is_ours {
            return Err(OpenError::Absent(address.schema.clone()));
        }
        missing(&client, &address.schema).await?;
        Self::at(address, settings)
    }

    fn at(address: Arc<Address>, settings: &Settings) -> Result<Self, OpenError> {
        let connections = settings.connections.max(2);
        let pool = Pool::builder(Connector::new(Arc::clone(&address))).max_size(connections);
        let pool = pool.build().map_err(|error| OpenError::Postgres(error.to_string()))?;
        let (commit_timeout, told) = (settings.commit_timeout, AtomicU64::new(0));
        let readers = Semaphore::new(connections - 1);
        Ok(Self { pool, readers, address, commit_timeout, told })
    }

    /// Does `work`, or nothing. `epoch` is the last one that was heard of.
    pub async fn commit(&self, work: Work, epoch: Epoch) -> Done {
        self.commit_at(None, work, epoch).await
    }

    /// Does `work` at the time `clock`, or at that of the server's clock without one.
    pub async fn commit_at(&self, clock: Option<WallTime>, work: Work, epoch: Epoch) -> Done {
        let mut progress = Progress::Open;
        let done = timeout(self.commit_timeout, self.try_commit(clock, &work, &mut progress)).await;
        let failure = match done.unwrap_or(Err(Failure::TimedOut(self.commit_timeout))) {
            Ok(done) => return done,
            Err(failure) => failure,
        };
        let reply = match progress {
            Progress::Open => Reply::Refused,
            Progress::Sent => Reply::Unknown,
        };
        tracing::error!(error = %failure, ?reply, "the store failed");
        Done { reply, users: work.users, epoch }
    }

    /// Says, at the time `clock` or that of the server's clock, that acknowledged commits were lost, or may have been: after the
    /// database was restored from a backup in a way that its server does not show. See [`hookproof_core::store`].
    ///
    /// # Errors
    /// What the database says; nothing was changed then, unless the answer to the commit was lost.
    pub async fn begin_epoch(&self, clock: Option<WallTime>) -> Result<Epoch, OpenError> {
        Ok(epoch::begin(&self.address, clock).await?)
    }

    async fn try_commit(&self, clock: Option<WallTime>, work: &Work, progress: &mut Progress) -> Result<Done, Failure> {
        let mut attempts = 1;
        loop {
            // A new connection's future is large, and rarely needed.
            let checkout = Checkout::new(Box::pin(self.pool.get()).await.map_err(failure)?);
            match self.attempt(checkout.session(), clock, work, progress).await {
                Ok(done) => {
                    checkout.give_back();
                    return Ok(done);
                }
                Err(failure) if *progress == Progress::Open && failure.is_conflict() && attempts < ATTEMPTS_MAX => {
                    checkout.session().client.batch_execute("ROLLBACK").await?;
                    checkout.give_back();
                }
                Err(failure) => return Err(failure),
            }
            attempts += 1;
        }
    }

    async fn attempt(
        &self,
        session: &Session,
        clock: Option<WallTime>,
        work: &Work,
        progress: &mut Progress,
    ) -> Result<Done, Failure> {
        let clock = Clock { floor: WallTime::from_unix_nanos(self.told.load(Ordering::Relaxed)), fixed: clock };
        let places = Places::of(&work.commands);
        let Committed { reply, loaded, now, inserted } =
            Attempt { session, work, clock, places, progress }.run().await?;
        self.told.fetch_max(now.as_unix_nanos(), Ordering::Relaxed);
        let epoch = loaded.head.epoch;
        let mut users = loaded.users;
        for (user, record) in inserted {
            users[place(user)].grant = record.grant.and_then(open).map(|(_, open)| open.grant);
        }
        Ok(Done { reply, users, epoch })
    }
}

fn failure(error: PoolError<Failure>) -> Failure {
    match error {
        PoolError::Backend(failure) => failure,
        PoolError::Timeout(_) | PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            Failure::Stopped
        }
    }
}

/// Brings the schema to its latest version, whoever else tries to at the same time.
async fn migrate(client: &mut Client, schema: &str) -> Result<(), OpenError> {
    let transaction = client.transaction().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('hookproof/' || $1::text, 0))";
    transaction.query_one(lock, &[&schema]).await?;
    let Found { is_there, is_ours } = find(&transaction, schema).await?;
    if !is_there {
        transaction.batch_execute(&format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    let missing = if is_ours { missing(&transaction, schema).await? } else { MIGRATIONS };
    for migration in missing {
        transaction.batch_execute(migration).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What a schema holds.
struct Found {
    is_there: bool,
    is_ours: bool,
}

async fn find(client: &impl GenericClient, schema: &str) -> Result<Found, OpenError> {
    let found = "SELECT to_regnamespace(name) IS NOT NULL, \
                        EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(name)), \
                        EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(name || '.store') AND attname = 'schema_version') \
                 FROM quote_ident($1::text) AS name";
    let row = client.query_one(found, &[&schema]).await?;
    let (is_there, is_used, is_ours): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if is_used && !is_ours {
        return Err(OpenError::Foreign(schema.to_owned()));
    }
    Ok(Found { is_there, is_ours })
}

/// What brings our tables to the latest version.
async fn missing(client: &impl GenericClient, schema: &str) -> Result<&'static [&'static str], OpenError> {
    let found: i64 = client.query_one("SELECT schema_version FROM store", &[]).await?.try_get(0)?;
    let missing = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    missing.ok_or_else(|| OpenError::Newer { schema: schema.to_owned(), found, known: MIGRATIONS.len() })
}

/// A process that may only read and write rows starts all the same, as long as nothing has to be written.
async fn name_variants<'a>(client: &Client, names: impl IntoIterator<Item = &'a str>) -> Result<(), OpenError> {
    for (variant, name) in (0_i64..).zip(names) {
        let write = "INSERT INTO variants VALUES ($1, $2) ON CONFLICT (variant) DO UPDATE SET name = excluded.name \
                     WHERE variants.name <> excluded.name";
        client.execute(write, &[&variant, &name]).await?;
    }
    Ok(())
}
