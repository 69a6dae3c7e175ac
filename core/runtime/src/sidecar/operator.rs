//! The client of a sidecar's operators' part, for the command line.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::is_public;
pub use super::words::{Parked, ParkedList};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer in bytes: a page of parked grants is far smaller.
const ANSWER_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The token would go over the network in the open.
    #[error(
        "{0} is not this machine, and without TLS the token could be read on the way: forward a port, as in `ssh -L 8787:127.0.0.1:8787 HOST`"
    )]
    NotLoopback(SocketAddr),
    /// Only `http` is spoken.
    #[error("{0} is no URL of a sidecar, such as http://127.0.0.1:8787")]
    Url(Url),
    /// No header can hold the token.
    #[error("the token has characters that no HTTP header may have")]
    Token,
    /// Nobody listens there.
    #[error("no sidecar answers at {url}: {why}")]
    Unreachable {
        /// Where.
        url: Url,
        /// What happened.
        why: String,
    },
    /// The sidecar refuses.
    #[error("the sidecar refuses ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// In its own words.
        detail: String,
    },
}

/// A sidecar on this machine.
#[derive(Clone, Debug)]
pub struct Operator {
    url: Url,
    authority: HeaderValue,
    /// Marked as sensitive, so that no `Debug` shows it.
    bearer: HeaderValue,
}

impl Operator {
    /// The operator of the sidecar at `url` who has `token`.
    ///
    /// # Errors
    /// The URL or the token can't be used.
    pub fn new(url: Url, token: &str) -> Result<Self, AskError> {
        let authority = match (url.scheme(), url.host_str()) {
            ("http", Some(host)) => HeaderValue::from_str(host).ok(),
            _ => None,
        };
        let Some(authority) = authority else { return Err(AskError::Url(url)) };
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| AskError::Token)?;
        bearer.set_sensitive(true);
        Ok(Self { url, authority, bearer })
    }

    /// `GET` or, with a body, `POST` of `path`. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, AskError> {
        match timeout(PATIENCE, self.try_ask(path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(&"it takes too long")),
        }
    }

    async fn try_ask(&self, path: &str, body: Option<&Value>) -> Result<Value, AskError> {
        let address = self.resolve().await?;
        let stream = TcpStream::connect(address).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        tokio::spawn(connection);
        let response = sender.send_request(self.request(path, body)).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let bytes = body.map_err(|error| self.unreachable(&error))?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let detail = answer["detail"].as_str().unwrap_or("without a reason").to_owned();
        Err(AskError::Refused { status: status.as_u16(), detail })
    }

    async fn resolve(&self) -> Result<SocketAddr, AskError> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or(80);
        let mut addresses = lookup_host((host, port)).await.map_err(|error| self.unreachable(&error))?;
        let address = addresses.next().ok_or_else(|| self.unreachable(&"the name has no address"))?;
        if is_public(address.ip()) { Err(AskError::NotLoopback(address)) } else { Ok(address) }
    }

    fn request(&self, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let text = body.map(Value::to_string).unwrap_or_default();
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.path().trim_end_matches('/')))
            .header(HOST, self.authority.clone())
            .header(AUTHORIZATION, self.bearer.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .expect("a path and headers of ASCII without spaces or line breaks")
    }

    fn unreachable(&self, why: &impl ToString) -> AskError {
        AskError::Unreachable { url: self.url.clone(), why: why.to_string() }
    }
}
