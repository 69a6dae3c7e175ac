//! Answers whose bytes are not what HTTP says.

use super::service::Service;
use super::*;

async fn check(cases: &[(&str, &str, Answer)]) {
    for (what, answer, expected) in cases {
        let service = Service::answering(*answer).await;
        assert_eq!(outcome(config(&service.url)).await, *expected, "{what}");
        assert_eq!(service.connections(), 1, "{what}: a request that has left is not sent again");
    }
}

#[tokio::test]
async fn a_length_that_is_wrong_is_no_receipt() {
    check(&[
        ("too long", "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"units\":25}", TRUNCATED),
        ("too short", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"units\":25}", NO_PROOF),
        ("none at all", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{\"units\":25}", NO_PROOF),
        (
            "two that differ",
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 13\r\n\r\n{\"units\":25}",
            TRUNCATED,
        ),
        ("a list that differs", "HTTP/1.1 200 OK\r\nContent-Length: 12, 13\r\n\r\n{\"units\":25}", TRUNCATED),
        ("no number", "HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n{\"units\":25}", TRUNCATED),
        ("negative", "HTTP/1.1 200 OK\r\nContent-Length: -12\r\n\r\n{\"units\":25}", TRUNCATED),
        ("overflowing", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{\"units\":25}", TRUNCATED),
    ])
    .await;
}

#[tokio::test]
async fn chunks_that_are_wrong_are_no_receipt() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (what, body) in [
        ("no size", "{\"units\":25}\r\n0\r\n\r\n"),
        ("a size that is too small", "b\r\n{\"units\":25}\r\n0\r\n\r\n"),
        ("a size that is too large", "d\r\n{\"units\":25}\r\n0\r\n\r\n"),
        ("a size that overflows", "fffffffffffffffff\r\n{\"units\":25}\r\n0\r\n\r\n"),
        ("no last chunk", "c\r\n{\"units\":25}\r\n"),
        ("no end of the last chunk", "c\r\n{\"units\":25}\r\n0\r\n"),
        ("bare line feeds", "c\n{\"units\":25}\n0\n\n"),
    ] {
        check(&[(what, &format!("{head}{body}"), TRUNCATED)]).await;
    }
    check(&[("right ones with an extension", &format!("{head}c;x=y\r\n{{\"units\":25}}\r\n0\r\n\r\n"), RECEIPT)]).await;
}

#[tokio::test]
async fn what_is_no_answer_is_lost() {
    check(&[
        ("garbage", "\x16\x03\x01\x02\x00\x01\r\n\r\n", TRUNCATED),
        ("garbage before the answer", "xx\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", TRUNCATED),
        ("a request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", TRUNCATED),
        ("HTTP/0.9", "{\"units\":25}", TRUNCATED),
        ("HTTP/2", "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}", TRUNCATED),
        ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}", TRUNCATED),
        ("a status of letters", "HTTP/1.1 2OO OK\r\nContent-Length: 2\r\n\r\n{}", TRUNCATED),
        ("a header without a colon", "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n{}", TRUNCATED),
        ("a NUL in a header", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n{}", TRUNCATED),
    ])
    .await;
}

#[tokio::test]
async fn answers_before_the_final_one_are_passed_over() {
    let last = "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n";
    check(&[
        ("100", &format!("HTTP/1.1 100 Continue\r\n\r\n{last}"), status(422, Body::WellFormed)),
        (
            "102 and 103",
            &format!("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{last}"),
            status(422, Body::WellFormed),
        ),
        ("nothing but those", "HTTP/1.1 100 Continue\r\n\r\n", TRUNCATED),
        (
            "another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            status(101, Body::WellFormed),
        ),
    ])
    .await;
}

#[tokio::test]
async fn headers_without_end_are_not_waited_for() {
    for line in ["X: y\r\n".to_owned(), format!("X: {}\r\n", "y".repeat(50_000)), "y".repeat(50_000)] {
        let service = Service::start(move |_, mut stream| {
            let line = line.clone();
            async move {
                service::read_request(&mut stream).await;
                let mut written = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n").await;
                while written.is_ok() {
                    written = tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes()).await;
                }
            }
        })
        .await;
        assert_eq!(outcome(config(&service.url)).await, TRUNCATED);
    }
}
