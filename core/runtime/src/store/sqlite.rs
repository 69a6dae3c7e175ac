//! The embedded store: one SQLite file, one process.
//!
//! Owns the connection on a thread of its own, since SQLite blocks. The file is in WAL mode with `synchronous = FULL`, so a commit that was
//! acknowledged outlasts the machine. Its tables are meant to be read by hand while the hook runs: `schema.sql`, views `exposures` and `grants`.
//!
//! * Exactly one process: `FILE.lock` is locked for as long as the store is open. Two processes with a store each would be two authorities.
//! * An error before the commit changes nothing and is `Refused`. An error of the commit itself is `Unknown`: where the disk has failed, what
//!   was written may come back when the file is opened next.
//! * After such an error the connection stays open: SQLite overwrites in the log what was not committed, whereas a new connection would take
//!   over pages that the kernel believes to be on the disk and that are not.

mod file;
mod rows;
mod view;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hookproof_core::identity::GrantId;
use hookproof_core::store::{Epoch, Reply};
use hookproof_core::time::WallTime;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use thiserror::Error;
use tokio::sync::oneshot;

use self::file::Guard;
use super::commit::Places;
use super::{Backlog, Done, ParkedPlace, ReadError, Stored, Work, system_time};
use crate::failpoint;

pub use self::view::View;

/// "HKPF": tells our files from others.
const APPLICATION_ID: i32 = 0x484b_5046;
/// Each brings the schema one version further.
const MIGRATIONS: &[&str] = &[include_str!("sqlite/schema.sql")];
/// How long a commit waits for a reader by hand who has locked the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Prepared statements that are kept: more than there are.
const STATEMENTS_MAX: usize = 64;

/// Why a file can't be opened as a store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Somebody who may create links in the folder could lead the hook to another file; name the file itself.
    #[error("{0} is a symbolic link: name the file it leads to")]
    Symlink(PathBuf),
    /// Anybody on the machine could replace the store; put it into a folder of its own.
    #[error(
        "anybody may write to the folder {0}: put the store into a folder that only its owner can write to (chmod go-w)"
    )]
    WorldWritable(PathBuf),
    /// Another process has the store open; a fleet needs a PostgreSQL store.
    #[error("another process has the store {0} open: an SQLite store serves exactly one, a fleet needs PostgreSQL")]
    Locked(PathBuf),
    /// The file belongs to another program.
    #[error("{0} is no store of a hook: name another file, or one that does not exist yet")]
    Foreign(PathBuf),
    /// A later version of this program has written it; run that one.
    #[error("{path} has schema version {found}, and this program knows versions up to {known}: run a newer one")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that is known here.
        known: usize,
    },
    /// The file system refuses.
    #[error("cannot open the store {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: std::io::Error,
    },
    /// SQLite refuses: the file may be damaged.
    #[error("cannot open the store {path}: {source}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

/// What became of a commit that did not succeed.
enum Failure {
    /// Nothing was written.
    Refused(rusqlite::Error),
    /// It may have been.
    Unknown(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Refused(error)
    }
}

/// An open file, on the caller's thread.
pub struct Database {
    connection: Connection,
    /// As far as known.
    epoch: Epoch,
    _guard: Guard,
}

impl Database {
    /// Opens the store at `path`, and makes it if there is none.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed then.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        failpoint::before_open();
        let guard = Guard::new(path)?;
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        migrate(&mut connection, path)?;
        let epoch = prepare(&connection).map_err(failed)?;
        Ok(Self { connection, epoch, _guard: guard })
    }

    /// Does `work` at the time `clock` of the machine's clock, or nothing.
    pub fn commit(&mut self, clock: WallTime, work: Work) -> Done {
        match self.try_commit(clock, &work) {
            Ok(done) => {
                self.epoch = done.epoch;
                done
            }
            Err(failure) => {
                let (reply, error) = match failure {
                    Failure::Refused(error) => (Reply::Refused, error),
                    Failure::Unknown(error) => (Reply::Unknown, error),
                };
                tracing::error!(%error, ?reply, "the store failed");
                Done { reply, users: work.users, epoch: self.epoch }
            }
        }
    }

    /// Says, at the time `clock` of the machine's clock, that acknowledged commits were lost, or may have been: after the
    /// file was restored from a backup. See [`hookproof_core::store`].
    ///
    /// # Errors
    /// What SQLite says; nothing was changed then.
    pub fn begin_epoch(&mut self, clock: WallTime) -> Result<Epoch, rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = rows::now(&transaction, clock)?;
        let epoch = rows::begin_epoch(&transaction, now)?;
        transaction.commit()?;
        self.epoch = epoch;
        Ok(epoch)
    }

    /// Writes down the variants' names, in their order, for readers of the tables.
    ///
    /// # Errors
    /// What SQLite says; nothing was changed then.
    pub fn name_variants<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (variant, name) in names.into_iter().enumerate() {
            transaction.execute("INSERT OR REPLACE INTO variants VALUES (?1, ?2)", params![variant, name])?;
        }
        transaction.commit()
    }

    fn try_commit(&mut self, clock: WallTime, work: &Work) -> Result<Done, Failure> {
        let places = Places::of(&work.commands);
        failpoint::at(places.begin);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = rows::now(&transaction, clock)?;
        let loaded = rows::load(&transaction, work, now)?;
        let (reply, changes) = loaded.execute(now, work.commands.clone());
        let mut users = loaded.users.clone();
        if changes.is_empty() {
            transaction.rollback()?;
        } else {
            rows::save(&loaded, &transaction, now, changes, &mut users)?;
            failpoint::at(places.written);
            commit(transaction)?;
            failpoint::at(places.durable);
        }
        let (reply, epoch) = (reply, loaded.head.epoch);
        Ok(Done { reply, users, epoch })
    }
}

fn commit(transaction: Transaction<'_>) -> Result<(), Failure> {
    transaction.commit().map_err(Failure::Unknown)
}

/// Brings the file to the latest schema.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let version = pragma(connection, "user_version").map_err(failed)?;
    let application = pragma(connection, "application_id").map_err(failed)?;
    let is_new = version == 0 && connection.table_exists(None, "sqlite_schema").is_ok_and(|_| is_empty(connection));
    if !is_new && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let found = u32::try_from(version).map_err(|_| OpenError::Foreign(path.to_owned()))?;
    if found as usize > MIGRATIONS.len() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() });
    }
    for (known, migration) in (1_i32..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        transaction.execute_batch(migration).map_err(failed)?;
        transaction.pragma_update(None, "user_version", known).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

fn is_empty(connection: &Connection) -> bool {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0)).unwrap_or(false)
}

/// Makes commits durable, and empties the log: what an earlier process's failed write left there is either written now
/// or gone.
fn prepare(connection: &Connection) -> Result<Epoch, rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With less, what is committed is on the disk at the next checkpoint, and an outage of power takes it back.
    let synchronous = if failpoint::skips("sync") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.query_row("SELECT epoch FROM store", [], |row| row.get(0).map(Epoch))
}

/// A store on a thread of its own. Dropping it waits for the commit under way and closes the file.
pub struct Sqlite {
    /// Always some until it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    view: Arc<Mutex<View>>,
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by whoever waited for it.
            let _ = thread.join();
        }
    }
}

struct Job {
    work: Work,
    done: oneshot::Sender<Done>,
}

impl Sqlite {
    /// Opens the store at `path`, and makes it if there is none. `variants` are written down for readers of the tables.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed then.
    pub fn open<'a>(path: &Path, variants: impl IntoIterator<Item = &'a str>) -> Result<Self, OpenError> {
        let mut database = Database::open(path)?;
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        database.name_variants(variants).map_err(failed)?;
        let view = Arc::new(Mutex::new(View::open(path)?));
        let (jobs, todo) = mpsc::channel::<Job>();
        let run = move || {
            while let Ok(Job { work, done }) = todo.recv() {
                // Nobody may wait any more, and it is durable all the same.
                let _ = done.send(database.commit(system_time(), work));
            }
        };
        let spawned = thread::Builder::new().name("hookproof-store".to_owned()).spawn(run);
        let thread = spawned.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), view })
    }

    /// Says of the file at `path`, which nobody may have open, that acknowledged commits were lost, or may have been: see
    /// [`Database::begin_epoch`].
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed then.
    pub fn begin_epoch(path: &Path) -> Result<Epoch, OpenError> {
        let epoch = Database::open(path)?.begin_epoch(system_time());
        epoch.map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
    }

    /// Does `work`, or nothing, whether or not the end is waited for. A store that has gone does nothing.
    pub fn commit(&self, work: Work, epoch: Epoch) -> impl Future<Output = Done> + Send + use<> {
        let (done, wait) = oneshot::channel();
        let users = work.users.clone();
        let is_gone = self.jobs.as_ref().is_none_or(|jobs| jobs.send(Job { work, done }).is_err());
        let reply = if is_gone { Reply::Refused } else { Reply::Unknown };
        async move { wait.await.unwrap_or(Done { reply, users, epoch }) }
    }

    /// The user's record, if there is one.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn record(&self, user_id: &str) -> Result<Option<Stored>, ReadError> {
        let user_id = user_id.to_owned();
        self.read(move |view| view.record(&user_id)).await
    }

    /// The record of the user who has the grant, if there is one.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn grant(&self, id: GrantId) -> Result<Option<Stored>, ReadError> {
        self.read(move |view| view.grant(id)).await
    }

    /// The first `limit` parked grants, or those that come `after` a place in the list.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Result<Vec<Stored>, ReadError> {
        self.read(move |view| view.parked(after, limit)).await
    }

    /// How many grants are in the states that do not last.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn backlog(&self) -> Result<Backlog, ReadError> {
        self.read(View::backlog).await
    }

    /// Reads beside the commits: on a connection and a thread of its own.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&View) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, ReadError> {
        let view = Arc::clone(&self.view);
        let read = move || query(&view.lock().unwrap_or_else(PoisonError::into_inner));
        // A panic of the query, or a runtime that ends.
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| ReadError::Closed)?;
        read.map_err(ReadError::from)
    }
}

#[cfg(test)]
mod tests {
    use hookproof_core::experiment::VariantIndex;
    use hookproof_core::identity::UserHandle;
    use hookproof_core::store::{Admit, Command, GrantState};
    use rusqlite::StatementStatus;

    use super::super::User;
    use super::*;

    fn admission() -> Work {
        let admit = Admit { user: UserHandle(0), variant: VariantIndex::new(0), generation: 0, grant: None };
        let ann = User { id: "ann".into(), ..User::default() };
        Work { commands: vec![Command::Admit(admit)], users: vec![ann] }
    }

    #[test]
    fn a_commit_is_done_though_nobody_waits_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hook.db");
        let store = Sqlite::open(&path, []).expect("a store");
        drop(store.commit(admission(), Epoch::default()));
        drop(store);
        let record = View::open(&path).expect("a store").record("ann").expect("a readable file");
        assert_eq!(&*record.expect("a record").user.id, "ann");
    }

    #[test]
    fn what_is_due_is_read_by_statements_that_are_prepared_once() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, Path::new("memory")).expect("a schema");
        let transaction = connection.transaction().expect("nobody else has it");
        for _ in 0..3 {
            rows::load(&transaction, &admission(), WallTime::UNIX_EPOCH).expect("rows");
        }
        for state in [GrantState::Pending, GrantState::Claimed] {
            let due = transaction.prepare_cached(&rows::due(state)).expect("a statement");
            let counts = [StatementStatus::Run, StatementStatus::RePrepare].map(|status| due.get_status(status));
            assert_eq!(counts, [3, 0], "{state:?}");
        }
    }
}
