//! Complete answers: what of them is kept.

use hookproof_core::classify::AnswerClass;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn answer_to(ask: Ask, template: ResponseTemplate) -> Answer {
    let service = MockServer::start().await;
    Mock::given(any()).respond_with(template).mount(&service).await;
    let answer = end(&client(config(&service.uri())), call(ask)).await;
    assert_eq!(service.received_requests().await.unwrap().len(), 1, "nothing is followed or repeated");
    answer
}

async fn answer(template: ResponseTemplate) -> Answer {
    answer_to(Ask::Apply, template).await
}

#[tokio::test]
async fn every_status_of_the_table_comes_as_it_is() {
    for (code, class) in [
        (200, AnswerClass::Receipt),
        (201, AnswerClass::Receipt),
        (202, AnswerClass::Unproven),
        (400, AnswerClass::BadRequest),
        (401, AnswerClass::Unauthorised),
        (403, AnswerClass::Unauthorised),
        (404, AnswerClass::NotFound),
        (408, AnswerClass::Timeout),
        (409, AnswerClass::InProgress),
        (412, AnswerClass::Exists),
        (418, AnswerClass::Refused),
        (422, AnswerClass::KeyMismatch),
        (429, AnswerClass::Throttled),
        (500, AnswerClass::ServerError),
        (502, AnswerClass::ServerError),
        (503, AnswerClass::Unavailable),
        (504, AnswerClass::Timeout),
        (599, AnswerClass::ServerError),
    ] {
        for ask in [Ask::Apply, Ask::Read] {
            let template = ResponseTemplate::new(code).set_body_json(serde_json::json!({"units": 25}));
            let found = answer_to(ask, template).await;
            assert_eq!(found, status(code, Body::WellFormed));
            assert_eq!(AnswerClass::of(found), class, "{code}");
        }
    }
    assert_eq!(answer(ResponseTemplate::new(204)).await, status(204, Body::WellFormed));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = MockServer::start().await;
    for code in [301, 302, 303, 307, 308] {
        let template = ResponseTemplate::new(code).insert_header("location", other.uri());
        let found = answer(template).await;
        assert_eq!(found, status(code, Body::WellFormed));
        assert_eq!(AnswerClass::of(found), AnswerClass::Redirect);
    }
    assert!(other.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forbidden_that_says_limit_reached_is_told_from_one_of_our_credentials() {
    let problem = |kind: &str| {
        let body = serde_json::json!({"type": kind, "status": 403}).to_string();
        ResponseTemplate::new(403).set_body_raw(body, "application/problem+json")
    };
    for kind in
        ["limit-reached", "https://quota.example/problems/limit-reached", "urn:quota:limit-reached", "/p#limit-reached"]
    {
        let found = answer(problem(kind)).await;
        assert_eq!(found, status(403, Body::LimitReached), "{kind}");
        assert_eq!(AnswerClass::of(found), AnswerClass::Refused);
    }
    for kind in ["about:blank", "https://quota.example/limit-reached-not", "no-limit-reached", ""] {
        assert_eq!(answer(problem(kind)).await, status(403, Body::WellFormed), "{kind}");
    }
    for body in ["", "limit-reached", "{\"type\":", "{\"type\":7}", "<html>"] {
        let template = ResponseTemplate::new(403).set_body_string(body);
        assert_eq!(answer(template).await, status(403, Body::WellFormed), "{body}");
    }
    let elsewhere = ResponseTemplate::new(400).set_body_json(serde_json::json!({"type": "limit-reached"}));
    assert_eq!(answer(elsewhere).await, status(400, Body::WellFormed));
}

#[tokio::test]
async fn only_a_receipt_that_can_be_ours_proves_anything() {
    for body in ["{}", " {\"units\": 25}\n", "{\"user_id\":\"ann\",\"units\":25,\"balance\":125}", "{\"user_id\":null}"]
    {
        for code in [200, 201] {
            let template = ResponseTemplate::new(code).set_body_string(body);
            assert_eq!(answer(template).await, status(code, Body::WellFormed), "{body}");
        }
    }
    for body in [
        "",
        "null",
        "[]",
        "[null,null]",
        "[\"ann\",25]",
        "{",
        "{\"units\":25",
        "{\"units\":25}}",
        "{\"units\":24}",
        "{\"units\":\"25\"}",
        "{\"units\":-25}",
        "{\"user_id\":\"bob\"}",
        "{\"user_id\":7}",
        "<html>please log in</html>",
        "\u{feff}{}",
    ] {
        let found = answer(ResponseTemplate::new(200).set_body_string(body)).await;
        assert_eq!(found, NO_PROOF, "{body}");
        assert_eq!(AnswerClass::of(found), AnswerClass::Unproven);
    }
    assert_eq!(answer(ResponseTemplate::new(200).set_body_bytes([0xff, 0xfe])).await, NO_PROOF);
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_byte_further() {
    let padded = |length: usize| format!("{{\"pad\":\"{}\"}}", "x".repeat(length - 10));
    for (length, expected) in [(1_000, RECEIPT), (1_001, NO_PROOF), (3_000_000, NO_PROOF)] {
        let service = MockServer::start().await;
        let template = ResponseTemplate::new(200).set_body_string(padded(length));
        Mock::given(any()).respond_with(template).mount(&service).await;
        let limited = ClientConfig { answer_max: 1_000, ..config(&service.uri()) };
        assert_eq!(outcome(limited).await, expected, "{length} bytes");
    }
}

fn after(code: u16, headers: &[(&str, &str)]) -> ResponseTemplate {
    headers.iter().fold(ResponseTemplate::new(code), |template, (name, value)| template.insert_header(*name, *value))
}

#[tokio::test]
async fn retry_after_is_a_duration_whichever_way_it_is_written() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let cases = [
        (&[("retry-after", "0")][..], seconds(0)),
        (&[("retry-after", "120")], seconds(120)),
        (&[("retry-after", "99999999999999999999999")], seconds(u64::MAX)),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "+1")], None),
        (&[("retry-after", "1.5")], None),
        (&[("retry-after", "soon")], None),
        (&[], None),
        // By the service's own clock, however wrong that is.
        (&[DATE, ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], seconds(30)),
        (&[DATE, ("retry-after", "Sunday, 06-Nov-94 08:50:07 GMT")], seconds(30)),
        (&[DATE, ("retry-after", "Sun Nov  6 08:50:07 1994")], seconds(30)),
        (&[DATE, ("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], seconds(0)),
        (&[DATE, ("retry-after", "Sun, 06 Nov 1994 08:49:37 CET")], None),
    ];
    for code in [429, 503] {
        for (headers, retry_after) in cases {
            let expected = Answer::Status { code, body: Body::WellFormed, retry_after };
            assert_eq!(answer(after(code, headers)).await, expected, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_date_without_a_date_header_is_counted_from_this_machines_clock() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    for (date, is_to_come) in [("Fri, 31 Dec 9999 23:59:59 GMT", true), ("Sun, 06 Nov 1994 08:49:37 GMT", false)] {
        // wiremock would say the date.
        let head = format!("HTTP/1.1 503 Busy\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n");
        let service = service::Service::answering(head).await;
        let Answer::Status { code: 503, retry_after: Some(found), .. } = outcome(config(&service.url)).await else {
            panic!("an answer with a time");
        };
        assert_eq!(found > YEAR, is_to_come, "{date}: {found:?}");
        assert!(is_to_come || found.is_zero());
    }
}
