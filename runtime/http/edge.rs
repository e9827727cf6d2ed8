//! The outermost layer, around every route: the request's id, Host and Origin, panics, headers that every answer carries,
//! counts, and for every failure one log line and the problem's body.
//!
//! Knows no route beyond the prefix `/api`. Logs the template of a route and never the path: a path holds ids, and
//! whatever a stranger writes into it.

use std::panic::AssertUnwindSafe;
use std::sync::Once;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use super::headers;
use super::kept::{self, AskedRequest};
use super::problem::Problem;
use super::server::Peer;
use super::state::AppState;
use crate::identity::IdentityError;
use crate::metrics::Via;
use crate::protocol::{Code, Params};
use crate::refusals::{Noted, observe};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids of callers are not taken over.
const MAX_REQUEST_ID: usize = 64;

/// Every log line of the request is in a span with its id. The span's level is that of the gravest line, so that no
/// filter lets a line through without it.
pub(super) async fn edge(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let request_id =
        brought_id(request.headers()).unwrap_or_else(|| state.env.uuid_v7().as_simple().to_string());
    let span = tracing::error_span!("request", request_id);
    answer(state, request, next, request_id).instrument(span).await
}

/// The id that the caller, or a proxy before this server, gave the request.
fn brought_id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=MAX_REQUEST_ID).contains(&value.len()) && value.bytes().all(plain)).then(|| value.to_owned())
}

async fn answer(state: AppState, mut request: Request, next: Next, request_id: String) -> Response {
    let _counted = state.metrics.http.request();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let api = request.uri().path().starts_with("/api") || request.uri().path() == "/sse";
    let (method, uri, started) = (request.method().clone(), request.uri().clone(), Instant::now());
    let settled = state.proxies.settle(&mut request);
    let is_secure = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_secure);
    let origins = state.hosts.origins();
    let page = origins.of(request.headers());
    if state.identities.believes_names() {
        warn_of_tokens_in_addresses(request.uri().query());
    }
    let admitted = settled
        .and_then(|()| state.hosts.admit(&method, request.uri(), request.headers()))
        .and_then(|()| set_up(&state, request.uri().path()))
        .and_then(|()| if api && route.is_none() { nowhere(&state, &request) } else { Ok(()) });
    let preflight = if api { origins.preflight(&method, request.headers()) } else { None };
    let mut noted = Noted::default();
    let mut response = match (admitted, preflight) {
        (Ok(()), Some(preflight)) => preflight,
        (Ok(()), None) => {
            let observed = observe(AssertUnwindSafe(next.run(request)).catch_unwind()).await;
            noted = observed.noted;
            let panicked = |_| Problem::internal("the handler panicked").into_response();
            observed.output.unwrap_or_else(panicked)
        }
        (Err(refusal), _) => refusal.into_response(),
    };
    let route = route.as_ref().map(MatchedPath::as_str);
    let seen = Seen { method, route, status: response.status(), started };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        state.metrics.errors.told(Via::Http, problem.code());
        seen.log_failure(&problem);
        problem.write(&request_id, &mut response);
        kept::refused(
            &state,
            &AskedRequest { id: &request_id, method: &seen.method, uri: &uri },
            &problem,
            noted,
        );
    } else {
        seen.log();
        kept::answered(&state, &AskedRequest { id: &request_id, method: &seen.method, uri: &uri }, noted);
    }
    state.metrics.http.answered(route, seen.method.as_str(), seen.status.as_u16(), started.elapsed());
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    headers::protect(&mut response, is_secure);
    if api {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        origins.reveal(page, headers);
    }
    response
}

/// Said once, to those who build a client: later, in production, it is too late.
fn warn_of_tokens_in_addresses(query: Option<&str>) {
    static WARNED: Once = Once::new();
    let Some(query) = query.filter(|query| query.contains("token")) else { return };
    if Params::parse(Some(query)).is_ok_and(|params| params.has("token")) {
        WARNED.call_once(|| {
            tracing::warn!(
                "a client sends its token in the address (`?token=`), which proxies write into their logs: send it in Authorization, \
                 or open a socket with a ticket of POST /api/auth/ticket"
            );
        });
    }
}

/// Until there is an administrator, health checks and the way to become one.
fn set_up(state: &AppState, path: &str) -> Result<(), Problem> {
    const OPEN: [&str; 5] = ["/health", "/healthz", "/readyz", "/_/register", "/api/auth/register"];
    if !state.identities.awaits_admin() || OPEN.contains(&path) || path.starts_with("/static/") {
        return Ok(());
    }
    Err(IdentityError::SetupRequired.into())
}

/// A request to an address below `/api` that no route claims. It asks for no caller, so it counts as one without a user.
fn nowhere(state: &AppState, request: &Request) -> Result<(), Problem> {
    match request.extensions().get::<Peer>() {
        Some(peer) => state.limits.anonymous_request(peer.address),
        None => Ok(()),
    }
}

struct Seen<'a> {
    method: Method,
    route: Option<&'a str>,
    status: StatusCode,
    started: Instant,
}

impl Seen<'_> {
    /// One line for each failure.
    fn log_failure(&self, problem: &Problem) {
        let (method, route, status, duration_ms) = self.fields();
        let code = problem.code().as_str();
        if matches!(problem.code(), Code::StorageDamaged | Code::Overloaded) {
            // A line for each request would hide everything else. The store logged the damage when it was found; how many requests
            // found the server too busy, the metrics count.
            tracing::debug!(
                method,
                route,
                status,
                code,
                cause = problem.cause(),
                duration_ms,
                "request failed"
            );
        } else if self.status.is_server_error() && problem.code() != Code::SetupRequired {
            let cause = problem.cause().unwrap_or_else(|| problem.detail());
            tracing::error!(method, route, status, code, cause, duration_ms, "request failed");
        } else {
            // A server that waits for its administrator has not failed.
            let cause = problem.cause();
            tracing::info!(method, route, status, code, cause, duration_ms, "request refused");
        }
    }

    fn log(&self) {
        let (method, route, status, duration_ms) = self.fields();
        tracing::debug!(method, route, status, duration_ms, "request answered");
    }

    /// A method of a stranger's making may be long; it has no control characters.
    fn fields(&self) -> (&str, &str, u16, u64) {
        let method = self.method.as_str();
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (
            if known.contains(&method) { method } else { "other" },
            self.route.unwrap_or("other"),
            self.status.as_u16(),
            duration_ms,
        )
    }
}
