//! What is asked, and what is answered.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, body::Body};
use hookproof_core::identity::GrantId;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::json;

use super::problem::Problem;
use super::words::{
    Evaluate, GrantStatus, Parked, ParkedList, Resolving, Visit, VisitAnswer, grant_id, parked_place, resolution,
    variant,
};
use super::{App, body, guard};
use crate::hook::{Basis, VisitError};
use crate::operator::StoreState;
use crate::store::ParkedPlace;

/// A correlation id in bytes.
const CORRELATION_MAX: usize = 128;
/// Parked grants in one answer, if not said, and at most.
const PAGE: u16 = 100;
const PAGE_MAX: u16 = 1_000;
/// Prometheus asks for it by this name.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What a request is for, as far as guards and metrics tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Metrics,
    Visits,
    Grants,
    Parked,
    Evaluate,
    Unknown,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/healthz" | "/readyz" => Self::Health,
            "/metrics" => Self::Metrics,
            "/v1/visits" => Self::Visits,
            "/v1/parked" => Self::Parked,
            _ if path.starts_with("/v1/parked/") => Self::Parked,
            _ if path.starts_with("/v1/grants/") => Self::Grants,
            _ if path.starts_with("/ofrep/v1/evaluate/flags/") => Self::Evaluate,
            _ => Self::Unknown,
        }
    }

    /// The name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::Visits => "visits",
            Self::Grants => "grants",
            Self::Parked => "parked",
            Self::Evaluate => "evaluate",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn is_health(self) -> bool {
        self == Self::Health
    }

    pub(super) fn is_operators(self) -> bool {
        self == Self::Parked
    }
}

pub(super) fn router(app: &Arc<App>) -> Router {
    let routes: [(&str, MethodRouter<Arc<App>>); 9] = [
        ("/healthz", get(health)),
        ("/readyz", get(ready)),
        ("/metrics", get(metrics)),
        ("/v1/visits", post(visit)),
        ("/v1/grants/{id}", get(grant)),
        ("/v1/parked", get(parked)),
        ("/v1/parked/{id}", get(one_parked)),
        ("/v1/parked/{id}/resolve", post(resolve)),
        ("/ofrep/v1/evaluate/flags/{key}", post(evaluate)),
    ];
    let router = routes.into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    router
        .fallback(async || Problem::not_found("there is nothing under this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path is asked by another method")
        })
        .layer(from_fn_with_state(Arc::clone(app), guard::guard))
        .with_state(Arc::clone(app))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("an answer's strings and numbers are JSON");
    let mut response = (status, text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    match app.hook.store_state() {
        StoreState::Open if app.hook.is_stopping() => Err(Problem::unavailable("the hook is shutting down")),
        StoreState::Open => Ok("ready\n"),
        StoreState::Opening => Err(Problem::unavailable("the store is not open yet")),
        StoreState::Foreign => Err(Problem::unavailable("the store belongs to another lineage, hash mode or secret")),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let telemetry = app.hook.telemetry();
    telemetry.on_backlog(&app.hook.backlog().await);
    ([(CONTENT_TYPE, OPEN_METRICS)], telemetry.metrics()).into_response()
}

async fn visit(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Problem> {
    let Visit { user_id, correlation_id } = body::json(request, app.limits.body_max).await?;
    if let Some(id) = &correlation_id {
        let is_fit = !id.is_empty() && id.len() <= CORRELATION_MAX && !id.chars().any(char::is_control);
        if !is_fit {
            let detail = format!("correlation_id has 1 to {CORRELATION_MAX} bytes and no control characters");
            return Err(Problem::bad_request(detail));
        }
    }
    let visited = app.hook.visit(&user_id, correlation_id.as_deref()).await.map_err(|error| match error {
        VisitError::InvalidUserId(_) => Problem::bad_request(format!("user_id: {error}")),
        VisitError::ShuttingDown => Problem::unavailable(error.to_string()),
    })?;
    Ok(answer(StatusCode::OK, &VisitAnswer::new(app.hook.lineage().current(), visited)))
}

async fn grant(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (_, status) = find(&app, &id, GrantStatus::new).await?;
    Ok(answer(StatusCode::OK, &status))
}

async fn parked(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Problem> {
    let (mut after, mut limit) = (None, PAGE);
    for (key, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        match &*key {
            "after" => after = Some(place(&app, &value).await?),
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
                limit =
                    number.ok_or_else(|| Problem::bad_request(format!("limit is a number from 1 to {PAGE_MAX}")))?;
            }
            _ => return Err(Problem::bad_request("the query has `after` and `limit` only")),
        }
    }
    let total = app.hook.backlog().await?.parked;
    let parked = app.hook.parked(after, limit).await?;
    Ok(answer(StatusCode::OK, &ParkedList::new(total, &parked, limit)))
}

/// The place in the list that `after` names: an answer's `next`, or a grant's id as long as that is parked.
async fn place(app: &App, after: &str) -> Result<ParkedPlace, Problem> {
    if let Some(place) = parked_place(after) {
        return Ok(place);
    }
    let no_id = || Problem::bad_request("`after` is the `next` of an answer, or a grant's id");
    let id = grant_id(after).ok_or_else(no_id)?;
    let (_, place) = find(app, &id.to_string(), |_, stored| Some(stored.parked_place())).await?;
    let detail = || format!("the grant {id} is not parked, so it has no place in the list: use `next`, or begin again");
    place.ok_or_else(|| Problem::new(StatusCode::CONFLICT, detail()))
}

async fn one_parked(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (id, parked) = find(&app, &id, |_, stored| Some(Parked::new(stored))).await?;
    let not_parked = || Problem::new(StatusCode::CONFLICT, format!("the grant {id} is not parked"));
    Ok(answer(StatusCode::OK, &parked.ok_or_else(not_parked)?))
}

async fn resolve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let id = known_id(&id)?;
    let Resolving { resolution: name } = body::json(request, app.limits.body_max).await?;
    let unknown = || Problem::bad_request("`as` is one of applied, not-applied and retry");
    app.hook.resolve(id, resolution(&name).ok_or_else(unknown)?).await?;
    let (_, status) = find(&app, &id.to_string(), GrantStatus::new).await?;
    Ok(answer(StatusCode::OK, &status))
}

/// What `show` makes of the record that has the grant.
async fn find<T>(
    app: &App,
    id: &str,
    show: impl FnOnce(GrantId, &crate::store::Stored) -> Option<T>,
) -> Result<(GrantId, T), Problem> {
    let id = known_id(id)?;
    let stored = app.hook.grant(id).await?;
    let shown = stored.and_then(|stored| show(id, &stored));
    shown.map(|shown| (id, shown)).ok_or_else(|| Problem::not_found(format!("there is no grant {id}")))
}

fn known_id(text: &str) -> Result<GrantId, Problem> {
    grant_id(text).ok_or_else(|| Problem::bad_request("a grant's id is a UUID"))
}

/// A read after the OpenFeature Remote Evaluation Protocol, with the experiment's id as the flag's key.
async fn evaluate(State(app): State<Arc<App>>, Path(key): Path<String>, request: Request<Body>) -> Response {
    match evaluated(&app, &key, request).await {
        Ok(response) => response,
        Err(Unevaluated { status, code, details }) => {
            answer(status, &json!({"key": key, "errorCode": code, "errorDetails": details}))
        }
    }
}

/// Why there is no evaluation, in the protocol's words.
struct Unevaluated {
    status: StatusCode,
    code: &'static str,
    details: String,
}

async fn evaluated(app: &App, key: &str, request: Request<Body>) -> Result<Response, Unevaluated> {
    let refuse = |status, code, details: &str| Unevaluated { status, code, details: details.to_owned() };
    let bad = |code, details: &str| refuse(StatusCode::BAD_REQUEST, code, details);
    let experiment = app.hook.lineage().current();
    let body = body::json(request, app.limits.body_max).await;
    let Evaluate { context } = body.map_err(|problem| {
        let code = if problem.status() == StatusCode::BAD_REQUEST { "PARSE_ERROR" } else { "GENERAL" };
        refuse(problem.status(), code, problem.detail())
    })?;
    if key != experiment.id() {
        return Err(refuse(StatusCode::NOT_FOUND, "FLAG_NOT_FOUND", "the flag's key is the experiment's id"));
    }
    let context = context.ok_or_else(|| bad("INVALID_CONTEXT", "the context is missing"))?;
    let user = context.get("targetingKey").ok_or_else(|| bad("TARGETING_KEY_MISSING", "it is the user's id"))?;
    let user = user.as_str().ok_or_else(|| bad("INVALID_CONTEXT", "targetingKey is a string"))?;
    let visited = app.hook.evaluate(user).await.map_err(|error| bad("INVALID_CONTEXT", &error.to_string()))?;
    let name = variant(experiment, visited.variant);
    let reason = match visited.basis {
        Basis::FirstExposure | Basis::Recorded | Basis::Provisional => "SPLIT",
        Basis::NotEnrolled | Basis::Blocked if experiment.is_ended() => "DISABLED",
        Basis::NotEnrolled | Basis::Blocked => "DEFAULT",
    };
    let metadata = json!({"assignment": visited.basis.name(), "version": experiment.version()});
    Ok(answer(
        StatusCode::OK,
        &json!({"key": key, "reason": reason, "variant": name, "value": name, "metadata": metadata}),
    ))
}
