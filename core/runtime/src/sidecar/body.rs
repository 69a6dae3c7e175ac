//! Bodies of requests: JSON, said to be JSON, and not too much of it.

use axum::body::Body;
use axum::extract::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Reads a body of at most `max` bytes.
pub(super) async fn json<T: DeserializeOwned>(request: Request<Body>, max: usize) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        let detail = "send the body as JSON, with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let collected = Limited::new(request.into_body(), max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {max} bytes"))
        } else {
            Problem::bad_request("the body broke off")
        }
    })?;
    serde_json::from_slice(&collected.to_bytes())
        .map_err(|error| Problem::bad_request(format!("the body is not as it should be: {error}")))
}

/// Web pages of other sites may send some content types without being asked; this one they may not.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
