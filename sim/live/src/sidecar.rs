//! The client's side of a sidecar under load: connections that are kept, one request at a time on each.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::offer::Answered;

/// A sidecar on this machine.
pub(crate) struct Sidecar {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Sidecar {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::new(Vec::new()) }
    }

    /// One visit of the user with this id.
    pub(crate) async fn visit(&self, id: &str) -> Answered {
        self.try_visit(id).await.unwrap_or(Answered::Failed)
    }

    async fn try_visit(&self, id: &str) -> Result<Answered, Box<dyn std::error::Error + Send + Sync>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle.filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let answer = connection.send_request(self.request(id)?).await?;
        let is_answered = answer.status().is_success();
        let body = answer.into_body().collect().await?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        let answer: Value = serde_json::from_slice(&body)?;
        Ok(match answer["assignment"].as_str() {
            Some("first-exposure") if is_answered => Answered::First,
            Some("recorded") if is_answered => Answered::Repeated,
            Some("provisional") if is_answered => Answered::Provisional,
            Some(_) | None => Answered::Failed,
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the requests on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn request(&self, id: &str) -> hyper::http::Result<Request<Full<Bytes>>> {
        let body = format!("{{\"user_id\":\"{id}\"}}");
        Request::post("/v1/visits")
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
    }
}
