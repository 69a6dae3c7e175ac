//! A quota service on loopback, on a thread of its own: well, or failing in one way.
//!
//! It keeps no ledger and applies nothing: it is load and trouble for a hook whose latency is measured.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A request's body at most; ours are a hundred bytes.
const BODY_MAX: usize = 64 << 10;

/// How it answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With 200, at once.
    Ok,
    /// Never; the connection stays open.
    Hang,
    /// With a reset of the connection, once the request has been read.
    Reset,
    /// With 429 and `Retry-After: 1`.
    Throttle,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Hang, Self::Reset, Self::Throttle];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Throttle => "throttle",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// A running service. It ends with the value.
#[derive(Debug)]
pub struct QuotaService {
    address: SocketAddr,
    /// Dropped, it ends the service.
    _stop: oneshot::Sender<()>,
}

impl QuotaService {
    /// Starts one.
    ///
    /// # Errors
    /// The machine has no port or no thread for it.
    pub fn start(mode: Mode) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let (stop, told) = oneshot::channel();
        thread::Builder::new().name("quota-service".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, mode) => {}
                    _ = told => {}
                }
            });
        })?;
        Ok(Self { address, _stop: stop })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener, mode: Mode) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A client that goes away is no failure of the service.
                tokio::spawn(async move { drop(serve(stream, mode).await) });
            }
            // Too many open files: those that are open end some time.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, mode: Mode) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while read_request(&mut stream).await? {
        match mode {
            Mode::Ok => {
                let answer =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"units\":25}";
                stream.write_all(answer.as_bytes()).await?;
            }
            Mode::Hang => {
                // Until the client has gone.
                let mut rest = [0; 64];
                while stream.read(&mut rest).await? > 0 {}
                return Ok(());
            }
            Mode::Reset => return stream.into_inner().set_zero_linger(),
            Mode::Throttle => {
                let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// Whether there was another request.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    if length > BODY_MAX {
        return Err(io::Error::other("a body that no hook sends"));
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;

    use super::*;

    const REQUEST: &str = "POST /increase_quota HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n{}";

    fn asked(mode: Mode) -> (QuotaService, TcpStream) {
        let service = QuotaService::start(mode).unwrap();
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.write_all(REQUEST.as_bytes()).unwrap();
        (service, stream)
    }

    #[test]
    fn each_mode_answers_in_its_way() {
        for (mode, status) in [(Mode::Ok, "HTTP/1.1 200"), (Mode::Throttle, "HTTP/1.1 429")] {
            let (_service, mut stream) = asked(mode);
            // Twice on one connection.
            for _ in 0..2 {
                let mut head = [0; 12];
                stream.read_exact(&mut head).unwrap();
                assert_eq!(&head, status.as_bytes());
                let mut rest = vec![0; 200];
                let _ = stream.read(&mut rest).unwrap();
                stream.write_all(REQUEST.as_bytes()).unwrap();
            }
        }
        let (_service, mut stream) = asked(Mode::Reset);
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let (_service, mut stream) = asked(Mode::Hang);
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(mode.name()), Some(mode));
        }
    }
}
