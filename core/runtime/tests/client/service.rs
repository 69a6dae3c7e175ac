//! Services that follow a script.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A whole answer: a receipt.
pub const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"units\":25}";

/// A listener whose connections follow a script; it ends with the value.
pub struct Service {
    pub url: String,
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<u32>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Service {
    /// Each connection follows `script`, with its number from 0.
    pub async fn start<Script>(script: impl Fn(u32, TcpStream) -> Script + Send + 'static) -> Self
    where
        Script: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = {
                    let mut count = counted.lock().unwrap();
                    *count += 1;
                    *count - 1
                };
                tokio::spawn(script(number, stream));
            }
        });
        Self { url, accepting, connections }
    }

    /// Each connection reads a request, writes `answer` and closes.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, mut stream| {
            let answer = answer.clone();
            async move {
                read_request(&mut stream).await;
                write(&mut stream, &answer).await;
            }
        })
        .await
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> u32 {
        *self.connections.lock().unwrap()
    }
}

/// Reads a whole request, and says whether one came.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut request = String::new();
    while !is_whole(&request) {
        let Ok(byte) = stream.read_u8().await else { return false };
        request.push(char::from(byte));
    }
    true
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    let length = head.split_once("content-length: ").and_then(|(_, after)| after.lines().next());
    body.len() == length.map_or(0, |length| length.parse().expect("a length is a number"))
}

/// Writes this, unless the client has gone.
pub async fn write(stream: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
}

/// Closes the connection with a reset.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Never goes on.
pub async fn hang() {
    std::future::pending::<()>().await;
}
