//! Connections: made, checked and thrown away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::address::Address;
use super::epoch::{self, Origin};
use super::statements::Statements;
use super::{Failure, said};

/// The server ends a statement that takes longer: well before the client has given up, so that its locks are free again.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);
/// The server ends a transaction whose client says nothing: a process that was stopped in the middle must not hold up the fleet. Less
/// than [`STATEMENT_TIMEOUT`], so that whoever waits for its locks gets them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

const _: () = assert!(IDLE_TIMEOUT.as_millis() < STATEMENT_TIMEOUT.as_millis());

/// A connection. Dropped, it is closed at once, whatever was under way on it: what was not sent is never sent.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    _socket: Socket,
}

/// The task that reads and writes a connection.
pub(super) struct Socket(JoinHandle<()>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A session from the pool, which gets it back only if the transaction on it has ended.
pub(super) struct Checkout(Option<Object<Connector>>);

impl Checkout {
    pub(super) const fn new(object: Object<Connector>) -> Self {
        Self(Some(object))
    }

    pub(super) fn session(&self) -> &Session {
        self.0.as_ref().expect("it is there until it is given back")
    }

    /// No transaction is open.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.0.take().map(Object::take);
    }
}

/// Makes sessions.
pub(super) struct Connector {
    pub(super) address: Arc<Address>,
    /// That the server does not tell its origin has been said.
    is_blindness_said: AtomicBool,
}

impl Connector {
    pub(super) const fn new(address: Arc<Address>) -> Self {
        Self { address, is_blindness_said: AtomicBool::new(false) }
    }

    /// Where the server comes from, if it tells.
    async fn origin(&self, client: &Client) -> Result<Option<Origin>, Failure> {
        match epoch::origin(client).await {
            Ok(origin) => Ok(Some(origin)),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                if !self.is_blindness_said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = said(&error),
                        "the server does not tell its timeline: a promoted replica or a restored backup begins no epoch by itself"
                    );
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl managed::Manager for Connector {
    type Type = Session;
    type Error = Failure;

    async fn create(&self) -> Result<Session, Failure> {
        let (client, socket) = connect(&self.address).await?;
        if let Some(origin) = self.origin(&client).await?
            && epoch::recorded(&client).await? != Some(origin)
        {
            // On a connection and a task of its own: with a million open grants it takes longer than a commit may.
            let begun = tokio::spawn(epoch::follow(Arc::clone(&self.address), origin));
            begun.await.map_err(|_| Failure::Stopped)??;
        }
        let statements = Statements::prepare(&client).await?;
        Ok(Session { client, statements, _socket: socket })
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Failure> {
        if session.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

/// Connects, and settles what the session's commits rely on.
pub(super) async fn connect(address: &Address) -> Result<(Client, Socket), Failure> {
    let (client, socket) = if let Some(tls) = &address.tls {
        let (client, connection) = address.config.connect(tls.clone()).await?;
        (client, tokio::spawn(ended(connection)))
    } else {
        let (client, connection) = address.config.connect(NoTls).await?;
        (client, tokio::spawn(ended(connection)))
    };
    let socket = Socket(socket);
    let (statement, idle) = (STATEMENT_TIMEOUT.as_millis().to_string(), IDLE_TIMEOUT.as_millis().to_string());
    client.query_one(SETTINGS, &[&address.schema, &statement, &idle]).await?;
    Ok((client, socket))
}

/// Its errors come to whoever waits for an answer, too.
async fn ended(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = said(&error), "a connection to the database has ended");
    }
}

/// * A commit is acknowledged when it is on the disk (`on`), or on every synchronous standby and applied there, if that is set.
/// * The same few statements run all day on tables that are small, empty or full of what was just written: plans are made once, for the indexes,
///   and whatever the statistics were when they were made: a queue that was short is not read whole to be sorted. (A table without an index costs 10^10 then, for which alone code would be compiled.)
const SETTINGS: &str = "
SELECT set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
       set_config('search_path', quote_ident($1::text), false),
       set_config('statement_timeout', $2::text, false),
       set_config('idle_in_transaction_session_timeout', $3::text, false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('jit', 'off', false)";
