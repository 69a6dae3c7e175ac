//! Connections to one service, which count what they take.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
pub(crate) struct Target {
    /// For the resolver.
    name: String,
    port: u16,
    /// For the `Host` header.
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    allow_link_local: bool,
}

impl Target {
    pub(crate) fn new(config: &ClientConfig, tls: Arc<TlsConfig>) -> Result<Self, TargetError> {
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

    pub(crate) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A new connection; nothing of a request is sent.
    pub(crate) async fn connect(&self) -> Result<Connection, NotSent> {
        self.connect_to(&self.resolve().await?).await
    }

    /// The addresses that the name has at the moment and that may be connected to.
    ///
    /// A name may be made to resolve to anything at any time, so each address is looked at.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, NotSent> {
        let addresses = lookup_host((self.name.as_str(), self.port)).await.map_err(|_| NotSent::Dns)?;
        Ok(addresses.filter(|address| self.is_permitted(address)).collect())
    }

    /// A new connection to the first of `addresses` that takes one.
    pub(crate) async fn connect_to(&self, addresses: &[SocketAddr]) -> Result<Connection, NotSent> {
        let stream = connect_tcp(addresses).await?;
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

    fn is_permitted(&self, address: &SocketAddr) -> bool {
        let is_permitted = self.allow_link_local || !is_link_local(address.ip());
        if !is_permitted {
            tracing::error!(%address, host = self.name, "the quota service's name resolves to a link-local address");
        }
        is_permitted
    }
}

async fn connect_tcp(addresses: &[SocketAddr]) -> Result<TcpStream, NotSent> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(if addresses.is_empty() { NotSent::Dns } else { NotSent::Refused })
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// A connection that carries one request at a time.
pub(crate) struct Connection {
    sender: Sender,
    passed: Arc<Passed>,
    used_at: Instant,
}

impl Connection {
    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, NotSent> {
        let passed = Arc::new(Passed::default());
        let counted = Counted { stream, passed: Arc::clone(&passed) };
        let (sender, connection) = handshake(TokioIo::new(counted)).await.map_err(|_| NotSent::Refused)?;
        // It ends with its sender. Why it failed, its request hears as well.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, passed, used_at: Instant::now() })
    }

    pub(crate) const fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    pub(super) const fn passed(&self) -> &Arc<Passed> {
        &self.passed
    }

    /// Whether a request may be tried on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.used_at.elapsed() < IDLE_MAX
    }

    /// It has carried a request to its end.
    pub(super) fn used(mut self) -> Self {
        self.used_at = Instant::now();
        self
    }
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// No byte of it was taken, and none will be.
    Nothing,
    /// A byte of it may have left.
    Service,
    /// A byte of an answer came back.
    Answer,
}

/// One request on its way, on one connection after another.
#[derive(Debug, Default)]
pub(super) struct Progress {
    watched: Mutex<Option<(Arc<Passed>, Counts)>>,
}

impl Progress {
    /// Watches a connection from here on.
    pub(super) fn watch(&self, passed: &Arc<Passed>) {
        let before = *passed.lock();
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(passed), before));
    }

    /// Closes the connection for whatever of the request has not left yet, and says how far it came.
    ///
    /// Counting alone would not do: the connection's own task could be about to write what nobody waits for any more, and a request that is
    /// reported as never sent would arrive.
    pub(super) fn end(&self) -> Reached {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((passed, before)) = watched.as_ref() else { return Reached::Nothing };
        let mut counts = passed.lock();
        counts.is_sealed = true;
        if counts.read > before.read {
            Reached::Answer
        } else if counts.written > before.written {
            Reached::Service
        } else {
            Reached::Nothing
        }
    }
}

/// What has passed through a connection.
#[derive(Debug, Default)]
pub(super) struct Passed(Mutex<Counts>);

impl Passed {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written: u64,
    read: u64,
    /// It takes nothing any more.
    is_sealed: bool,
}

/// Counts what passes, above TLS: what a layer below has taken may leave at any time.
struct Counted<S> {
    stream: S,
    passed: Arc<Passed>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(ctx, buffer);
        self.passed.lock().read += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let passed = Arc::clone(&self.passed);
        // Held over the write, which does not block: nobody may conclude anything between it and its count.
        let mut counts = passed.lock();
        if counts.is_sealed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            counts.written += count as u64;
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

#[cfg(test)]
mod tests {
    use hookproof_core::upstream::Capability;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::{Roots, trust};
    use super::*;

    #[tokio::test]
    async fn a_request_that_is_reported_as_not_sent_is_never_written_afterwards() {
        let (ours, mut theirs) = duplex(64);
        let passed = Arc::new(Passed::default());
        let mut counted = Counted { stream: ours, passed: Arc::clone(&passed) };
        counted.write_all(b"an earlier request").await.unwrap();
        let progress = Progress::default();
        progress.watch(&passed);
        assert_eq!(progress.end(), Reached::Nothing);
        assert!(counted.write_all(b"too late").await.is_err());
        drop(counted);
        let mut arrived = String::new();
        theirs.read_to_string(&mut arrived).await.unwrap();
        assert_eq!(arrived, "an earlier request");
    }

    #[tokio::test]
    async fn how_far_a_request_came_is_counted_from_its_own_first_byte() {
        let (ours, mut theirs) = duplex(64);
        let passed = Arc::new(Passed::default());
        let mut counted = Counted { stream: ours, passed: Arc::clone(&passed) };
        theirs.write_all(b"1").await.unwrap();
        counted.write_all(b"1").await.unwrap();
        counted.read_exact(&mut [0]).await.unwrap();
        let progress = Progress::default();
        progress.watch(&passed);
        counted.write_all(b"2").await.unwrap();
        assert_eq!(progress.end(), Reached::Service);
        theirs.write_all(b"2").await.unwrap();
        counted.read_exact(&mut [0]).await.unwrap();
        assert_eq!(progress.end(), Reached::Answer);
    }

    #[test]
    fn a_name_that_resolves_to_a_link_local_address_is_not_connected_to() {
        let target = |allow_link_local| {
            let timeout = Duration::from_secs(1);
            let url = "http://quota.example".parse().unwrap();
            let config =
                ClientConfig { allow_link_local, ..ClientConfig::new(url, Capability::None, timeout, timeout) };
            Target::new(&config, trust(Roots::None).unwrap()).unwrap()
        };
        for (address, is_link_local) in [
            ("169.254.169.254:80", true),
            ("[fe80::1]:80", true),
            ("[::ffff:169.254.0.1]:80", true),
            ("192.0.2.1:80", false),
            ("127.0.0.1:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(target(false).is_permitted(&address), !is_link_local, "{address}");
            assert!(target(true).is_permitted(&address));
        }
    }
}
