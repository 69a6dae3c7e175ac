//! Connections that break, at every place where one can.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

use super::service::{ANSWER, Service, read_request, reset, write};
use super::*;

#[tokio::test]
async fn a_connection_that_is_refused_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(outcome(config(&url)).await, REFUSED);
}

#[tokio::test]
async fn a_name_that_does_not_exist_sends_nothing() {
    assert_eq!(outcome(config("http://quota.invalid")).await, Answer::NotSent(NotSent::Dns));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_while_the_request_leaves_is_reported_by_what_had_left() {
    let (ended, mut arrived) = unbounded_channel();
    let service = Service::start(move |_, mut stream| {
        let ended = ended.clone();
        async move {
            // Its end is there before or after the request, as it happens; what comes all the same is counted.
            let _ = stream.shutdown().await;
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            ended.send(bytes.len()).unwrap();
        }
    })
    .await;
    for _ in 0..300 {
        let answer = outcome(config(&service.url)).await;
        // The client has gone, so the service comes to the end of what had left.
        let arrived = arrived.recv().await.unwrap();
        assert!(answer == RESET || (answer == REFUSED && arrived == 0), "{answer:?}, and {arrived} bytes arrived");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_before_anything_is_read_proves_nothing() {
    let service = Service::start(|_, stream| async move { reset(stream) }).await;
    for _ in 0..100 {
        let answer = outcome(config(&service.url)).await;
        assert!([REFUSED, RESET].contains(&answer), "{answer:?}");
    }
}

/// Closes once it has read so much of the request.
#[derive(Clone, Copy, Debug)]
enum Read {
    OneByte,
    Head,
    All,
}

#[tokio::test]
async fn a_request_of_which_the_service_has_read_anything_is_lost() {
    for read in [Read::OneByte, Read::Head, Read::All] {
        for is_reset in [false, true] {
            let service = Service::start(move |_, mut stream| async move {
                match read {
                    Read::OneByte => {
                        stream.read_u8().await.unwrap();
                    }
                    Read::Head => {
                        let mut head = String::new();
                        while !head.ends_with("\r\n\r\n") {
                            head.push(char::from(stream.read_u8().await.unwrap()));
                        }
                    }
                    Read::All => {
                        read_request(&mut stream).await;
                    }
                }
                if is_reset {
                    reset(stream);
                }
            })
            .await;
            assert_eq!(outcome(config(&service.url)).await, RESET, "{read:?}, reset: {is_reset}");
        }
    }
}

#[tokio::test]
async fn a_long_request_that_breaks_off_amid_is_lost() {
    let service = Service::start(|_, mut stream| async move {
        let mut part = vec![0; 10_000];
        stream.read_exact(&mut part).await.unwrap();
        reset(stream);
    })
    .await;
    // Far more than any socket's buffer holds, so that its writing cannot have ended.
    let user = "u".repeat(64 << 20);
    let answer = end(&client(config(&service.url)), Call { user: user.into(), ..call(Ask::Apply) }).await;
    assert_eq!(answer, RESET);
}

/// What comes of the first `length` bytes of an answer and the connection's end.
async fn after_bytes(answer: &'static str, length: usize, is_reset: bool) -> Answer {
    let service = Service::start(move |_, mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, &answer.as_bytes()[..length]).await;
        if is_reset {
            reset(stream);
        }
    })
    .await;
    outcome(config(&service.url)).await
}

/// The same in pieces, and to be waited for until its end.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"units\r\n5\r\n\":25}\r\n0\r\n\r\n";

#[tokio::test]
async fn an_answer_that_breaks_off_at_any_byte_is_lost_and_a_whole_one_is_not() {
    for answer in [ANSWER, CHUNKED] {
        for length in 0..=answer.len() {
            let expected = match length {
                0 => RESET,
                length if length < answer.len() => TRUNCATED,
                _ => RECEIPT,
            };
            assert_eq!(after_bytes(answer, length, false).await, expected, "after {length} bytes of {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_a_reset_breaks_off_at_any_byte_is_lost() {
    for answer in [ANSWER, CHUNKED] {
        for length in 0..answer.len() {
            let found = after_bytes(answer, length, true).await;
            // What had come already, the reset may have discarded.
            assert!([RESET, TRUNCATED].contains(&found), "after {length} bytes of {answer:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_a_receipt_only_if_it_is_whole() {
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"units\":25}";
    let head = ENDLESS.find('{').unwrap();
    for length in 0..=ENDLESS.len() {
        let expected = match length {
            0 => RESET,
            length if length < head => TRUNCATED,
            length if length < ENDLESS.len() => NO_PROOF,
            _ => RECEIPT,
        };
        assert_eq!(after_bytes(ENDLESS, length, false).await, expected, "after {length} bytes");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_that_breaks_off_at_any_byte_is_lost() {
    const EMPTY: &str = "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    for length in 0..=EMPTY.len() {
        let expected = match length {
            0 => RESET,
            length if length < EMPTY.len() => TRUNCATED,
            _ => status(204, Body::WellFormed),
        };
        assert_eq!(after_bytes(EMPTY, length, false).await, expected, "after {length} bytes");
    }
}
