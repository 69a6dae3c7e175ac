//! The quota service's client: one request, one answer, and never a guess at what became of it.
//!
//! Owns connections and the wire. What an answer *means* is `hookproof_core::classify`'s; all that counts here is how far a request came:
//!
//! * [`Answer::NotSent`]: no byte of it was taken by a connection. That is counted at the connection, not inferred from the kind of error.
//! * [`Answer::Lost`]: a byte of it may have left, and no complete answer came back.
//! * [`Answer::Status`]: a complete answer.
//!
//! A call never outlasts the attempt's deadline, is never sent twice, follows no redirect and knows no proxy but what the URL names: another
//! path to the service would have another timing than the one that was declared. Connections are kept and used again. HTTP/1.1,
//! since a connection then carries one request, whose fate is that of its connection. Read next: `tests/client`.

mod answer;
pub(crate) mod connection;
mod request;
mod trust;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookproof_core::upstream::{Answer, Capability, Lost, NotSent, Request};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use rustls::ClientConfig as TlsConfig;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use crate::failpoint;

use self::connection::{Connection, Reached, Target};

pub use self::connection::TargetError;
pub use self::trust::{Roots, TrustError, trust};

/// How a quota service is reached.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where it is: `https://host[:port][/path]`; the protocol's paths are appended.
    pub url: Url,
    /// How it recognises a repeated request: by the path of a `PUT`, or by a key in a `POST`.
    pub capability: Capability,
    /// How long connecting may take, name and TLS included.
    pub connect_timeout: Duration,
    /// How long a call may take in all, connecting included.
    pub attempt_timeout: Duration,
    /// How long an answer's body may pause.
    pub read_idle_timeout: Duration,
    /// An answer's body in bytes at most.
    pub answer_max: usize,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Token>,
    /// Whether link-local addresses may be connected to: those of cloud machines give out credentials.
    pub allow_link_local: bool,
}

impl ClientConfig {
    /// The defaults: an answer of 64 KiB that pauses for 1 s.
    pub const fn new(url: Url, capability: Capability, connect_timeout: Duration, attempt_timeout: Duration) -> Self {
        Self {
            url,
            capability,
            connect_timeout,
            attempt_timeout,
            read_idle_timeout: Duration::from_secs(1),
            answer_max: 64 << 10,
            token: None,
            allow_link_local: false,
        }
    }
}

/// A secret that no log shows.
#[derive(Clone)]
pub struct Token(hyper::header::HeaderValue);

impl Token {
    /// The bearer token `token`.
    ///
    /// # Errors
    /// It has characters that no header may have.
    pub fn new(token: &str) -> Result<Self, InvalidToken> {
        let mut value = hyper::header::HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of a request's `Authorization`.
    pub(crate) fn header(&self) -> hyper::header::HeaderValue {
        self.0.clone()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A header could be smuggled in with it; look at what the token's file ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the token has characters that no HTTP header may have: a line break at its end?")]
pub struct InvalidToken;

/// One request, with the ids that its handle stands for.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// The user's id.
    pub user: Arc<str>,
    /// What ties it to its visit.
    pub correlation: Option<Arc<str>>,
}

/// The client of one quota service.
pub struct Client {
    config: ClientConfig,
    target: Target,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How far a request came.
enum Failure {
    /// The connection was closed before it took a byte: what was to be sent is as it was.
    Untouched(NotSent),
    /// A byte may have left.
    Sent(Lost),
}

impl Client {
    /// A client that trusts the certificates that `tls` trusts.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn new(config: ClientConfig, tls: Arc<TlsConfig>) -> Result<Self, TargetError> {
        let target = Target::new(&config, tls)?;
        Ok(Self { config, target, idle: Mutex::default() })
    }

    /// Sends `call` and says how it ended, within the attempt's deadline.
    pub async fn call(&self, call: Call) -> Answer {
        let progress = connection::Progress::default();
        failpoint::at("call.begin");
        let answer = match timeout(self.config.attempt_timeout, self.try_call(&call, &progress)).await {
            Ok(answer) => answer,
            Err(_) => match progress.end() {
                Reached::Nothing => Answer::NotSent(NotSent::ConnectTimeout),
                Reached::Service | Reached::Answer => Answer::Lost(Lost::Timeout),
            },
        };
        failpoint::at("call.end");
        answer
    }

    async fn try_call(&self, call: &Call, progress: &connection::Progress) -> Answer {
        // A connection that was kept may have been closed meanwhile, which shows when it takes no byte. Then, and only
        // then, the request goes to another one.
        while let Some(connection) = self.take_idle() {
            match self.exchange(connection, call, progress).await {
                Ok(answer) => return answer,
                Err(Failure::Untouched(_)) => {}
                Err(Failure::Sent(lost)) => return Answer::Lost(lost),
            }
        }
        let connection = match timeout(self.config.connect_timeout, self.target.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(why)) => return Answer::NotSent(why),
            Err(_) => return Answer::NotSent(NotSent::ConnectTimeout),
        };
        match self.exchange(connection, call, progress).await {
            Ok(answer) => answer,
            Err(Failure::Untouched(why)) => Answer::NotSent(why),
            Err(Failure::Sent(lost)) => Answer::Lost(lost),
        }
    }

    /// Sends the request on `connection`, which is kept if its answer was read to the end.
    async fn exchange(
        &self,
        mut connection: Connection,
        call: &Call,
        progress: &connection::Progress,
    ) -> Result<Answer, Failure> {
        // A kept one may still be at the end of its last answer, or have been closed meanwhile.
        connection.sender().ready().await.map_err(|_| Failure::Untouched(NotSent::Refused))?;
        let request = request::build(&self.config, self.target.host(), call);
        progress.watch(connection.passed());
        let response = connection.sender().send_request(request).await;
        failpoint::at("call.head");
        let Ok(response) = response else {
            return Err(match progress.end() {
                Reached::Nothing => Failure::Untouched(NotSent::Refused),
                Reached::Service => Failure::Sent(Lost::Reset),
                Reached::Answer => Failure::Sent(Lost::Truncated),
            });
        };
        let answer = answer::read(&self.config, call, response).await.map_err(Failure::Sent)?;
        self.keep(connection.used());
        Ok(answer)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// As many are kept as calls were under way at once.
    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// The sending half of a connection.
type Sender = SendRequest<Full<Bytes>>;
/// An answer whose body is still to come.
type Response = hyper::Response<Incoming>;
