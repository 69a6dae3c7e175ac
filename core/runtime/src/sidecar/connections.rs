//! Connections: how many there are, and how long each may dawdle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};

use super::{App, Limits, routes};

/// What a connection gets that is one too many.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// A process that may open no more files waits so long before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Answers what comes in until `stop` is ready.
pub(super) async fn serve(
    listener: TcpListener,
    limits: Limits,
    app: Arc<App>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) {
    let router = routes::router(&app);
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder.max_buf_size(limits.header_max).max_headers(HEADERS_MAX);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            app.hook.telemetry().on_shed("connections");
            turn_away(&stream);
            continue;
        };
        // An answer is written at once; waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let stream = Impatient::new(stream, limits.request_timeout);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // It ends as its client wishes; of what went wrong, the client knows more.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let patience = limits.header_timeout.saturating_add(limits.request_timeout);
    if timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that did not end are cut off");
    }
}

/// Says so if the connection takes it at once, and closes it.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(TOO_MANY);
}

/// A connection that fails if nobody reads what is written to it: a client that asks and never reads would hold its place for ever.
struct Impatient<S> {
    stream: S,
    /// How long the other side may take nothing.
    patience: Duration,
    /// Runs while it takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None }
    }

    /// What came of a write, or that it has waited too long.
    fn limit<T>(&mut self, ctx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(ctx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        self.limit(ctx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(ctx, bytes);
        self.limit(ctx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_is_not_waited_for() {
        let (ours, _theirs) = duplex(16);
        let mut ours = Impatient::new(ours, Duration::from_millis(50));
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_is_waited_for() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Impatient::new(ours, Duration::from_secs(3_600));
        let mut bytes = [0; 100];
        let (written, read) = tokio::join!(ours.write_all(&[7; 100]), theirs.read_exact(&mut bytes));
        assert_eq!((written.is_ok(), read.is_ok(), bytes), (true, true, [7; 100]));
        assert!(ours.waiting.is_none(), "the next wait begins anew");
    }
}
