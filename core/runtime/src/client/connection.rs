//! Connections to one service, which count what they take.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hookproof_core::upstream::NotSent;
use hyper::client::conn::http1::handshake;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig as TlsConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{ClientConfig, Sender};

/// A connection that was not used for so long is not used again: many services close theirs after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Why no service can be at a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Only `http` and `https` are spoken.
    #[error("{0} is no URL of an HTTP service: begin it with https:// or http://")]
    Scheme(Url),
    /// Credentials in a URL end in logs; they belong into the token.
    #[error("the URL holds credentials: give them as a token")]
    Credentials,
    /// A query or a fragment would come before the protocol's path.
    #[error("{0} has a query or a fragment: leave it out")]
    Query(Url),
    /// Link-local addresses have to be allowed.
    #[error("{0} is a link-local address, where cloud machines give out credentials: allow it if it is meant")]
    LinkLocal(IpAddr),
}

/// Where the service is.
pub(super) struct Target {
    /// For the resolver.
    name: String,
    port: u16,
    /// For the `Host` header.
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    allow_link_local: bool,
}

impl Target {
    pub(super) fn new(config: &ClientConfig, tls: Arc<TlsConfig>) -> Result<Self, TargetError> {
        let url = &config.url;
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(TargetError::Scheme(url.clone())),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(TargetError::Scheme(url.clone()));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(TargetError::Query(url.clone()));
        }
        let address = match &host {
            Host::Ipv4(address) => Some(IpAddr::from(*address)),
            Host::Ipv6(address) => Some(IpAddr::from(*address)),
            Host::Domain(_) => None,
        };
        if let Some(address) = address.filter(|address| !config.allow_link_local && is_link_local(*address)) {
            return Err(TargetError::LinkLocal(address));
        }
        let name = address.map_or_else(|| host.to_string(), |address| address.to_string());
        let server = ServerName::try_from(name.clone()).map_err(|_| TargetError::Scheme(url.clone()))?;
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let host = HeaderValue::try_from(authority).map_err(|_| TargetError::Scheme(url.clone()))?;
        let tls = is_tls.then(|| (TlsConnector::from(tls), server));
        Ok(Self { name, port, host, tls, allow_link_local: config.allow_link_local })
    }

    pub(super) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A new connection; nothing of a request is sent.
    pub(super) async fn connect(&self) -> Result<Connection, NotSent> {
        let stream = self.connect_tcp().await?;
        // A request is written at once; waiting to fill a packet would only delay it.
        stream.set_nodelay(true).map_err(|_| NotSent::Refused)?;
        match &self.tls {
            None => Connection::over(stream).await,
            Some((connector, server)) => {
                let stream = connector.connect(server.clone(), stream).await.map_err(|_| NotSent::Tls)?;
                Connection::over(stream).await
            }
        }
    }

    async fn connect_tcp(&self) -> Result<TcpStream, NotSent> {
        let addresses = lookup_host((self.name.as_str(), self.port)).await.map_err(|_| NotSent::Dns)?;
        let mut is_resolved = false;
        for address in addresses.filter(|address| self.is_permitted(address)) {
            is_resolved = true;
            if let Ok(stream) = TcpStream::connect(address).await {
                return Ok(stream);
            }
        }
        Err(if is_resolved { NotSent::Refused } else { NotSent::Dns })
    }

    /// A name may be made to resolve to anything at any time, so each address is looked at.
    fn is_permitted(&self, address: &SocketAddr) -> bool {
        let is_permitted = self.allow_link_local || !is_link_local(address.ip());
        if !is_permitted {
            tracing::error!(%address, host = self.name, "the quota service's name resolves to a link-local address");
        }
        is_permitted
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// A connection that carries one request at a time.
pub(super) struct Connection {
    sender: Sender,
    written: Arc<AtomicU64>,
    used_at: Instant,
}

impl Connection {
    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, NotSent> {
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted { stream, written: Arc::clone(&written) };
        let (sender, connection) = handshake(TokioIo::new(counted)).await.map_err(|_| NotSent::Refused)?;
        // It ends with its sender. Why it failed, its request hears as well.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, written, used_at: Instant::now() })
    }

    pub(super) const fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    pub(super) const fn written(&self) -> &Arc<AtomicU64> {
        &self.written
    }

    /// Whether a request may be tried on it.
    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready() && self.used_at.elapsed() < IDLE_MAX
    }

    /// It has carried a request to its end.
    pub(super) fn used(mut self) -> Self {
        self.used_at = Instant::now();
        self
    }
}

/// Whether any byte of a request was taken by a connection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    watched: Mutex<Option<(Arc<AtomicU64>, u64)>>,
}

impl Progress {
    /// Watches a connection from here on.
    pub(super) fn watch(&self, written: &Arc<AtomicU64>) {
        let before = written.load(Ordering::Relaxed);
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(written), before));
    }

    pub(super) fn has_begun(&self) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.as_ref().is_some_and(|(written, before)| written.load(Ordering::Relaxed) > *before)
    }
}

/// Counts what is written, above TLS: what a layer below has taken may leave at any time.
struct Counted<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            self.written.fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}
