//! Connections: how many there are, and how long each may dawdle.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

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
