//! Requests as bytes: the same grant gives the same body in every attempt, whatever version of the experiment is deployed.

use hookproof_core::upstream::{Ask, Capability};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Request};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Call, ClientConfig};

/// Its order is the wire's.
#[derive(Serialize)]
struct Increase<'a> {
    user_id: &'a str,
    units: u32,
}

pub(super) fn build(config: &ClientConfig, host: &HeaderValue, call: &Call) -> Request<Full<Bytes>> {
    let Call { request, user, .. } = call;
    let base = config.url.path().trim_end_matches('/');
    let is_put = config.capability == Capability::PutById;
    let builder = match request.ask {
        Ask::Read => Request::builder().method(Method::GET).uri(format!("{base}/grants/{}", request.key)),
        Ask::Apply if is_put => Request::builder()
            .method(Method::PUT)
            .uri(format!("{base}/grants/{}", request.key))
            .header(IF_NONE_MATCH, "*"),
        Ask::Apply => Request::builder()
            .method(Method::POST)
            .uri(format!("{base}/increase_quota"))
            // A string of RFC 9651, section 3.3.3. A UUID has no character that would have to be escaped.
            .header("idempotency-key", format!("\"{}\"", request.key)),
    };
    let builder = builder
        .header(HOST, host.clone())
        .header(ACCEPT, "application/json, application/problem+json")
        .header("traceparent", traceparent(call));
    let builder = match &config.token {
        Some(token) => builder.header(AUTHORIZATION, token.header()),
        None => builder,
    };
    let (builder, body) = match request.ask {
        Ask::Read => (builder, Bytes::new()),
        Ask::Apply => {
            let increase = Increase { user_id: user, units: request.units };
            let body = serde_json::to_vec(&increase).expect("a string and a number are JSON");
            (builder.header(CONTENT_TYPE, "application/json"), Bytes::from(body))
        }
    };
    builder.body(Full::new(body)).expect("a path and headers of ASCII without spaces or line breaks")
}

/// The trace that ties a visit to its receipt, after W3C Trace Context (2021): the visit's own if its correlation id is one, else one that
/// follows from it, else from the grant. The parent is the attempt.
fn traceparent(call: &Call) -> String {
    let trace = match call.correlation.as_deref() {
        Some(id) if is_trace(id) => id.to_owned(),
        Some(id) => hex::encode(&Sha256::digest(id.as_bytes())[..16]),
        None => hex::encode(call.request.grant.as_bytes()),
    };
    format!("00-{trace}-{:016x}-01", call.request.attempt.max(1))
}

/// 32 lower-case hexadecimal digits, not all of them zero.
fn is_trace(id: &str) -> bool {
    id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && id.bytes().any(|byte| byte != b'0')
}
