//! Who is let in: what each request must pass before its route.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::HOST;
use tokio::time::timeout;
use url::Host;

use super::App;
use super::problem::Problem;
use super::routes::Route;

/// Names under which this server may be asked. A web page whose name was made to resolve to this machine ("DNS rebinding") sends that
/// name in `Host`, and is told by it.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// Loopback's names, the address itself if it is one, and `more`.
    pub(super) fn new(address: IpAddr, more: Vec<String>) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let address = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self(own.into_iter().chain([address]).chain(more).collect())
    }

    /// Whether the value of a `Host` header names this server. The port says nothing: a forged name has the right one.
    fn has(&self, value: &str) -> bool {
        let Some(name) = without_port(value) else { return false };
        let is_name = |known: &String| known.eq_ignore_ascii_case(name);
        !name.is_empty() && self.0.iter().any(is_name)
    }
}

fn without_port(value: &str) -> Option<&str> {
    let end = if value.starts_with('[') { value.find(']')? + 1 } else { value.find(':').unwrap_or(value.len()) };
    let (name, port) = value.split_at(end);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let is_host = Host::parse(name).is_ok();
    (is_port && is_host).then_some(name)
}

/// Lets a request through, within the limits, and counts what came of it.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = Route::of(request.uri().path());
    let response = match admit(&app, route, &request) {
        Err(problem) => problem.into_response(),
        Ok(None) => next.run(request).await,
        Ok(Some(_permit)) => match timeout(app.limits.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
        },
    };
    app.hook.telemetry().on_request(route.name(), class(response.status()));
    response
}

/// Whether a request may go on, and the permit that counts it. Whoever watches over the process is always answered.
fn admit<'a>(
    app: &'a App,
    route: Route,
    request: &Request,
) -> Result<Option<tokio::sync::SemaphorePermit<'a>>, Problem> {
    if route.is_health() {
        return Ok(None);
    }
    check_host(app, request)?;
    let Ok(permit) = app.requests.try_acquire() else {
        app.hook.telemetry().on_shed("requests");
        return Err(Problem::unavailable("too many requests are under way"));
    };
    check_token(app, route, request)?;
    Ok(Some(permit))
}

fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::bad_request("exactly one `Host` header is needed"));
    };
    let is_known = |host: &str| app.hosts.has(host);
    let is_named = host.to_str().is_ok_and(is_known);
    // A request may name the host in its first line as well.
    if is_named && request.uri().authority().is_none_or(|authority| is_known(authority.as_str())) {
        return Ok(());
    }
    let detail = "this server is not asked under that name: add it to `hosts` of [server] if it is meant";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

fn check_token(app: &App, route: Route, request: &Request) -> Result<(), Problem> {
    if !route.is_operators() && !app.is_public {
        return Ok(());
    }
    match &app.token {
        Some(token) if token.is_borne(request.headers()) => Ok(()),
        Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer` with the token")),
        None => {
            let detail = "operators need a token: give `token-file` in [server]";
            Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
        }
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_known_names_are_answered_whatever_the_port() {
        let hosts = Hosts::new(Ipv4Addr::new(192, 0, 2, 1).into(), vec!["hook.internal".to_owned()]);
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8787", "[::1]", "[::1]:1", "192.0.2.1", "hook.internal:1"]
        {
            assert!(hosts.has(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "localhost:x",
            "[::1",
            "[::1]x",
            "localhost@evil.example",
            "127.0.0.1:8787:1",
            "0.0.0.0",
        ] {
            assert!(!hosts.has(host), "{host}");
        }
    }
}
