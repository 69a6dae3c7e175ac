//! The hook as an HTTP server, for services in other languages; and the client of its operators' part.
//!
//! Owns the protocol, which `docs/sidecar.md` describes, and what keeps strangers and floods out. Decides nothing about users or grants:
//! each request becomes one call of [`Hook`].
//!
//! * It binds to more than this machine only with a token, which every request but those for health must then bear.
//! * A browser that was led here by a web page gets nothing: `Host` must name this server, bodies must say that they are JSON, and there
//!   is no CORS.
//! * What it holds for strangers is bounded: connections, requests under way, a header's and a body's size, and how long each may take.
//!   What is too much gets a 503 with `Retry-After` at once, before it costs anything.
//!
//! Read next: `sim/cli/tests/command_line/serve.rs`, which asks the real binary.

mod bearer;
mod body;
mod connections;
mod guard;
pub mod operator;
mod problem;
mod routes;
mod times;
mod words;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::hook::Hook;

pub use self::bearer::Bearer;
use self::guard::Hosts;

/// How a sidecar is reached.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens; of port 0, the system chooses one.
    pub listen: SocketAddr,
    /// Names, besides this machine's own for itself, under which it is asked.
    pub hosts: Vec<String>,
    /// What operators bear, and with a public address everybody.
    pub token: Option<Bearer>,
    /// What it holds at most.
    pub limits: Limits,
}

/// What a sidecar holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A body in bytes.
    pub body_max: usize,
    /// All headers of a request in bytes; 8 KiB at least.
    pub header_max: usize,
    /// How long a request's headers may take, and a connection be idle.
    pub header_timeout: Duration,
    /// How long a request may take in all, once its headers are there, and how long a client may read nothing of its answer.
    pub request_timeout: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// Requests under way.
    pub requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max: 8 << 10,
            header_max: 16 << 10,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            connections_max: 1_024,
            requests_max: 512,
        }
    }
}

/// Why a sidecar can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Anybody in the network could read who is in which variant, and resolve grants.
    #[error("{0} can be reached from other machines: give a token, or listen on 127.0.0.1")]
    PublicWithoutToken(SocketAddr),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl ServerConfig {
    /// Whether other machines can reach it.
    pub fn is_public(&self) -> bool {
        is_public(self.listen.ip())
    }
}

/// Whether other machines can reach what listens at `address`.
pub fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

/// A sidecar that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    app: Arc<App>,
}

/// What every request may look at.
struct App {
    hook: Hook,
    hosts: Hosts,
    token: Option<Bearer>,
    /// Whether everybody must bear the token.
    is_public: bool,
    limits: Limits,
    requests: Semaphore,
}

impl Server {
    /// Listens for requests to `hook`. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: ServerConfig, hook: Hook) -> Result<Self, StartError> {
        let is_public = config.is_public();
        let ServerConfig { listen, hosts, token, limits } = config;
        if is_public && token.is_none() {
            return Err(StartError::PublicWithoutToken(listen));
        }
        let failed = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let hosts = Hosts::new(address.ip(), hosts);
        let requests = Semaphore::new(limits.requests_max);
        let app = Arc::new(App { hook, hosts, token, is_public, limits, requests });
        Ok(Self { listener, address, limits, app })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is ready; then takes no more of them, and finishes those that are under way, as far as that takes no
    /// longer than a request may.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, limits, app, .. } = self;
        connections::serve(listener, limits, app, pin!(stop)).await;
    }
}
