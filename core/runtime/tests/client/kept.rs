//! Connections that carry one request after another.

use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::service::{ANSWER, Service, hang, read_request, write};
use super::*;

/// An answer that is not [`ANSWER`].
const OTHER: &str = "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n";
const OTHERS: Answer = status(422, Body::WellFormed);

/// Answers every request in full.
async fn answer_all(stream: &mut TcpStream, answer: &str) {
    while read_request(stream).await {
        write(stream, answer.as_bytes()).await;
    }
}

#[tokio::test]
async fn one_connection_carries_one_request_after_another() {
    let service = Service::start(|_, mut stream| async move { answer_all(&mut stream, ANSWER).await }).await;
    let client = client(config(&service.url));
    for _ in 0..50 {
        assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
    }
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_not_used_and_the_request_goes_out_once() {
    let (requests, closed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
    let (seen, close) = (Arc::clone(&requests), Arc::clone(&closed));
    let service = Service::start(move |number, mut stream| {
        let (seen, close) = (Arc::clone(&seen), Arc::clone(&close));
        async move {
            read_request(&mut stream).await;
            seen.lock().unwrap().push(number);
            write(&mut stream, ANSWER.as_bytes()).await;
            if number.is_multiple_of(2) {
                service::reset(stream);
            } else {
                drop(stream);
            }
            close.notify_one();
        }
    })
    .await;
    let client = client(config(&service.url));
    for _ in 0..20 {
        assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
        closed.notified().await;
    }
    assert_eq!(*requests.lock().unwrap(), (0..20).collect::<Vec<_>>(), "one request on each connection");
}

#[tokio::test]
async fn a_request_that_a_kept_connection_has_taken_goes_nowhere_else() {
    let service = Service::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, ANSWER.as_bytes()).await;
        read_request(&mut stream).await;
    })
    .await;
    let client = client(config(&service.url));
    assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
    assert_eq!(end(&client, call(Ask::Apply)).await, RESET);
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_the_next_requests() {
    let written = Arc::new(Notify::new());
    let write_twice = Arc::clone(&written);
    for is_at_once in [true, false] {
        let write_twice = Arc::clone(&write_twice);
        let service = Service::start(move |number, mut stream| {
            let written = Arc::clone(&write_twice);
            async move {
                if number > 0 {
                    return answer_all(&mut stream, OTHER).await;
                }
                read_request(&mut stream).await;
                if is_at_once {
                    write(&mut stream, format!("{ANSWER}{ANSWER}").as_bytes()).await;
                } else {
                    write(&mut stream, ANSWER.as_bytes()).await;
                    write(&mut stream, ANSWER.as_bytes()).await;
                }
                written.notify_one();
                hang().await;
            }
        })
        .await;
        let client = client(config(&service.url));
        assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
        written.notified().await;
        assert_eq!(end(&client, call(Ask::Apply)).await, OTHERS, "at once: {is_at_once}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_the_next_requests() {
    let given_up = Arc::new(Notify::new());
    let may_answer = Arc::clone(&given_up);
    let service = Service::start(move |number, mut stream| {
        let may_answer = Arc::clone(&may_answer);
        async move {
            if number > 0 {
                return answer_all(&mut stream, OTHER).await;
            }
            read_request(&mut stream).await;
            may_answer.notified().await;
            write(&mut stream, ANSWER.as_bytes()).await;
            hang().await;
        }
    })
    .await;
    let client = client(ClientConfig { attempt_timeout: Duration::from_secs(2), ..config(&service.url) });
    assert_eq!(end(&client, call(Ask::Apply)).await, TIMED_OUT);
    given_up.notify_one();
    assert_eq!(end(&client, call(Ask::Apply)).await, OTHERS);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_to_its_end_is_left() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n{}", " ".repeat(5_000_000));
    let service = Service::start(move |number, mut stream| {
        let long = long.clone();
        async move {
            if number > 0 {
                return answer_all(&mut stream, OTHER).await;
            }
            read_request(&mut stream).await;
            write(&mut stream, long.as_bytes()).await;
            answer_all(&mut stream, ANSWER).await;
        }
    })
    .await;
    let client = client(config(&service.url));
    assert_eq!(end(&client, call(Ask::Apply)).await, NO_PROOF);
    assert_eq!(end(&client, call(Ask::Apply)).await, OTHERS);
}

#[tokio::test]
async fn a_service_that_says_that_it_closes_is_believed() {
    let closing = ANSWER.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let service = Service::start(move |_, mut stream| {
        let closing = closing.clone();
        async move {
            read_request(&mut stream).await;
            write(&mut stream, closing.as_bytes()).await;
            hang().await;
        }
    })
    .await;
    let client = client(config(&service.url));
    assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
    assert_eq!(end(&client, call(Ask::Apply)).await, RECEIPT);
    assert_eq!(service.connections(), 2);
}
