//! The outermost layer, around every route: Host and Origin, panics, headers that every answer carries, and for every
//! failure a request id, one log line and the problem's body.
//!
//! Knows no route beyond the prefix `/api`.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::AppState;
use super::problem::Problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn edge(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (method, uri, started) = (request.method().clone(), request.uri().clone(), Instant::now());
    let mut response = match state.hosts.admit(&method, &uri, request.headers()) {
        Ok(()) => AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Problem::internal("the handler panicked").into_response()),
        Err(refusal) => refusal.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let request_id = state.env.uuid_v7().as_simple().to_string();
        log(&problem, &request_id, &Seen { method, path: &uri, status: response.status(), started });
        problem.write(&request_id, &mut response);
        if let Ok(value) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if uri.path().starts_with("/api") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

struct Seen<'a> {
    method: Method,
    path: &'a Uri,
    status: StatusCode,
    started: Instant,
}

/// One line for each failure. Without the query string, which may hold a token.
fn log(problem: &Problem, request_id: &str, seen: &Seen<'_>) {
    let path: String = seen.path.path().chars().take(120).collect();
    let duration_ms = u64::try_from(seen.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (method, status) = (seen.method.as_str(), seen.status.as_u16());
    let code = problem.code().as_str();
    if seen.status.is_server_error() {
        let cause = problem.cause().unwrap_or_else(|| problem.detail());
        tracing::error!(%method, path, status, code, cause, request_id, duration_ms, "request failed");
    } else {
        tracing::info!(%method, path, status, code, request_id, duration_ms, "request refused");
    }
}
