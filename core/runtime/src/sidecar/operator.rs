//! The client of a sidecar's operators' part, for the command line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::upstream::{Capability, NotSent};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use rustls::ClientConfig as TlsConfig;
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use super::is_public;
pub use super::words::{Parked, ParkedList};
use crate::client::connection::Target;
use crate::client::{ClientConfig, Token};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer in bytes: a page of parked grants is far smaller.
const ANSWER_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The token would go over the network in the open.
    #[error(
        "{0} is not this machine, and without TLS the token could be read on the way: use https, or forward a port, as in `ssh -L 8787:127.0.0.1:8787 HOST`"
    )]
    NotLoopback(SocketAddr),
    /// Only `http` and `https` are spoken, and no credentials stand in a URL.
    #[error("{0} is no URL of a sidecar, such as http://127.0.0.1:8787 or https://hook.example")]
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

/// A sidecar on this machine, or on another one behind TLS.
pub struct Operator {
    url: Url,
    target: Target,
    token: Token,
}

impl Operator {
    /// The operator of the sidecar at `url` who has `token`, and who trusts whom `tls` trusts.
    ///
    /// # Errors
    /// The URL or the token can't be used.
    pub fn new(url: Url, token: &str, tls: Arc<TlsConfig>) -> Result<Self, AskError> {
        let mut config = ClientConfig::new(url.clone(), Capability::None, PATIENCE, PATIENCE);
        // An operator names an address on purpose.
        config.allow_link_local = true;
        let Ok(target) = Target::new(&config, tls) else { return Err(AskError::Url(url)) };
        let token = Token::new(token).map_err(|_| AskError::Token)?;
        Ok(Self { url, target, token })
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
        let addresses = self.target.resolve().await.map_err(|why| self.unreachable(&reason(why)))?;
        // Without TLS, a token leaves this machine under no name: only what is looked at here is connected to.
        let is_far = |address: &&SocketAddr| self.url.scheme() == "http" && is_public(address.ip());
        if let Some(far) = addresses.iter().find(is_far) {
            return Err(AskError::NotLoopback(*far));
        }
        let mut connection = self.target.connect_to(&addresses).await.map_err(|why| self.unreachable(&reason(why)))?;
        let response = connection.sender().send_request(self.request(path, body)).await;
        let response = response.map_err(|error| self.unreachable(&error))?;
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

    fn request(&self, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let text = body.map(Value::to_string).unwrap_or_default();
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.path().trim_end_matches('/')))
            .header(HOST, self.target.host().clone())
            .header(AUTHORIZATION, self.token.header())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .expect("a path and headers of ASCII without spaces or line breaks")
    }

    fn unreachable(&self, why: &impl ToString) -> AskError {
        AskError::Unreachable { url: self.url.clone(), why: why.to_string() }
    }
}

const fn reason(why: NotSent) -> &'static str {
    match why {
        NotSent::Dns => "its name has no address",
        NotSent::Refused => "the connection is refused",
        NotSent::ConnectTimeout => "there is no connection in time",
        NotSent::Tls => "its certificate is not for that name, or nobody who is trusted vouches for it",
    }
}
