//! Services that are slow, or never go on.

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::service::{ANSWER, Service, hang, read_request, write};
use super::*;

/// Between two bytes of a service that gives one after another.
const PAUSE: Duration = Duration::from_millis(2);
/// A user id whose request is more than the system takes on for a service that reads nothing.
const LONG_USER_BYTES: usize = 16 << 20;

#[tokio::test]
async fn a_service_that_accepts_and_does_nothing_ends_with_the_attempt() {
    let service = Service::start(|_, stream| async move {
        hang().await;
        drop(stream);
    })
    .await;
    assert_eq!(outcome(ClientConfig { attempt_timeout: SHORT, ..config(&service.url) }).await, TIMED_OUT);
    // To write the request's body is part of the attempt: it must be sent in part when that ends.
    let long = Call { user: "u".repeat(LONG_USER_BYTES).into(), ..call(Ask::Apply) };
    let short = client(ClientConfig { attempt_timeout: SHORT * 20, ..config(&service.url) });
    assert_eq!(end(&short, long).await, TIMED_OUT, "nor if the request is not read to its end");
}

#[tokio::test]
async fn a_service_that_stops_at_any_byte_of_its_answer_ends_with_the_attempt() {
    for length in (0..ANSWER.len()).step_by(7) {
        let service = Service::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, &ANSWER.as_bytes()[..length]).await;
            hang().await;
        })
        .await;
        let found = outcome(ClientConfig { attempt_timeout: SHORT, ..config(&service.url) }).await;
        assert_eq!(found, TIMED_OUT, "after {length} bytes");
    }
}

#[tokio::test]
async fn a_body_that_pauses_is_given_up_long_before_the_attempt() {
    let service = Service::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, &ANSWER.as_bytes()[..ANSWER.len() - 1]).await;
        hang().await;
    })
    .await;
    assert_eq!(outcome(ClientConfig { read_idle_timeout: SHORT, ..config(&service.url) }).await, TIMED_OUT);
}

/// Gives `head`, then a byte again and again.
async fn dripping(head: &'static str, byte: &'static [u8]) -> Service {
    Service::start(move |_, mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, head.as_bytes()).await;
        while stream.write_all(byte).await.is_ok() {
            sleep(PAUSE).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_attempt_ends_though_no_pause_is_long() {
    for (head, byte) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", &b" "[..]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n", b" "),
        ("HTTP/1.1 200 OK\r\nX: ", b"y"),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let service = dripping(head, byte).await;
        let found = outcome(ClientConfig { attempt_timeout: SHORT * 2, ..config(&service.url) }).await;
        assert_eq!(found, TIMED_OUT, "{head:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_whole_all_the_same() {
    let service = Service::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        for byte in ANSWER.as_bytes() {
            write(&mut stream, &[*byte]).await;
            sleep(PAUSE).await;
        }
    })
    .await;
    assert_eq!(outcome(config(&service.url)).await, RECEIPT);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_no_connection_whichever_limit_ends_it() {
    let service = Service::start(|_, stream| async move {
        hang().await;
        drop(stream);
    })
    .await;
    let url = service.url.replace("http:", "https:");
    let not_connected = Answer::NotSent(NotSent::ConnectTimeout);
    assert_eq!(outcome(ClientConfig { connect_timeout: SHORT, ..config(&url) }).await, not_connected);
    assert_eq!(outcome(ClientConfig { attempt_timeout: SHORT, ..config(&url) }).await, not_connected);
}
