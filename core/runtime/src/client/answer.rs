//! Answers from bytes: how far one came, and whether its body is what the protocol says.

use std::time::{Duration, SystemTime};

use hookproof_core::upstream::{Answer, Body, Lost};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Call, ClientConfig, Response};

/// What a receipt may say, and then must say rightly.
#[derive(Deserialize)]
struct Receipt {
    user_id: Option<String>,
    units: Option<u32>,
}

/// RFC 9457.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The last part of the `type` of a problem that says that the user's hard limit is reached.
const LIMIT_REACHED: &str = "limit-reached";

/// Reads an answer to its end.
pub(super) async fn read(config: &ClientConfig, call: &Call, response: Response) -> Result<Answer, Lost> {
    let (head, body) = response.into_parts();
    let body = read_body(config, body).await?;
    let body = match &body {
        Some(bytes) if head.status.is_success() => success(call, head.status, bytes),
        Some(bytes) if head.status == StatusCode::FORBIDDEN => forbidden(bytes),
        Some(_) => Body::WellFormed,
        None => Body::Malformed,
    };
    let retry_after = retry_after(&head.headers);
    Ok(Answer::Status { code: head.status.as_u16(), body, retry_after })
}

/// The body; `None` if it is longer than an answer may be.
async fn read_body(config: &ClientConfig, mut body: Incoming) -> Result<Option<Vec<u8>>, Lost> {
    let mut bytes = Vec::new();
    loop {
        let frame = match timeout(config.read_idle_timeout, body.frame()).await {
            Err(_) => return Err(Lost::Timeout),
            Ok(None) => return Ok(Some(bytes)),
            Ok(Some(Err(_))) => return Err(Lost::Truncated),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > config.answer_max {
                return Ok(None);
            }
            bytes.extend_from_slice(data);
        }
    }
}

/// A 2xx is a receipt if its body is a JSON object that does not speak of something else; a 204 needs none. Of another status, an empty
/// body may be one that broke off.
fn success(call: &Call, status: StatusCode, bytes: &[u8]) -> Body {
    if status == StatusCode::NO_CONTENT && bytes.is_empty() {
        return Body::WellFormed;
    }
    // A list would do for the parser as well.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice::<Receipt>(bytes) {
        Ok(Receipt { user_id, units })
            if is_object
                && user_id.as_deref().is_none_or(|id| id == &*call.user)
                && units.is_none_or(|units| units == call.request.units) =>
        {
            Body::WellFormed
        }
        Ok(_) | Err(_) => Body::Malformed,
    }
}

fn forbidden(bytes: &[u8]) -> Body {
    let kind = serde_json::from_slice::<Problem>(bytes).ok().and_then(|problem| problem.kind);
    let is_limit = kind.is_some_and(|kind| kind.rsplit(['/', ':', '#']).next() == Some(LIMIT_REACHED));
    if is_limit { Body::LimitReached } else { Body::WellFormed }
}

/// RFC 9110, section 10.2.3: seconds, or a date by the service's clock, which its own `Date` tells if it is there.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits mean a long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = headers.get(hyper::header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let now = now.unwrap_or_else(machine_time);
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "how long to wait, by a service that does not tell its own time")]
fn machine_time() -> SystemTime {
    SystemTime::now()
}
