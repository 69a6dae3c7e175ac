//! As much of HTTP as tests speak themselves, to the byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to a quota service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its `Idempotency-Key`, with its quotes.
    pub key: String,
    /// Its body.
    pub body: String,
}

/// Reads the next request; `None` when the connection is over, or what comes is none that has a key.
pub fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let (mut key, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("idempotency-key", value)) => key = Some(value.to_owned()),
            Some(("content-length", value)) => length = value.parse().ok()?,
            None if line.trim_end().is_empty() => break,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { key: key?, body: String::from_utf8(body).ok()? })
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body, read as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Reads an answer until the connection ends; a server that has refused early may end it with a reset.
    ///
    /// # Errors
    /// The connection ends before the answer does.
    ///
    /// # Panics
    /// If nothing comes for a long time, or what comes is no HTTP.
    pub fn read(stream: &mut TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes);
        let is_silent = end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!is_silent, "whoever was asked is there, and does not answer");
        let text = String::from_utf8(bytes).expect("an answer is UTF-8");
        let answer = text.split_once("\r\n\r\n").map(|(head, body)| Self {
            status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"),
            head: head.to_lowercase(),
            body: body.to_owned(),
        });
        answer.filter(Self::is_whole).ok_or_else(|| end.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }

    fn is_whole(&self) -> bool {
        let length = self.head.lines().find_map(|line| line.strip_prefix("content-length: "));
        length.is_none_or(|length| length.parse() == Ok(self.body.len()))
    }
}

/// Sends `request` on a connection of its own, and reads the answer until that ends.
///
/// # Errors
/// Nobody listens, or nobody is there any more.
///
/// # Panics
/// As of [`Answer::read`].
pub fn exchange(address: &str, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    // A server that refuses early may close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    Answer::read(&mut stream)
}
