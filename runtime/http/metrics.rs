//! `GET /metrics`, and the table of routes under which requests are counted. Needs no identity: the numbers name
//! no user, and Host is checked as everywhere.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Problem;
use super::state::AppState;
use crate::metrics::{MEDIA_TYPE, Moment, Routes};
use crate::protocol::Code;

/// Every route of the router with its methods; tests/metrics.rs holds the table to the sources.
pub const ROUTES: Routes = &[
    ("/_", &["GET"]),
    ("/_/", &["GET"]),
    ("/_/account", &["GET"]),
    ("/_/api", &["GET"]),
    ("/_/docs/{*path}", &["GET"]),
    ("/_/e/{plural}", &["GET"]),
    ("/_/e/{plural}/{id}", &["GET"]),
    ("/_/inspect", &["GET"]),
    ("/_/llms-full.txt", &["GET"]),
    ("/_/llms.txt", &["GET"]),
    ("/_/login", &["GET"]),
    ("/_/register", &["GET"]),
    ("/_/schema", &["GET"]),
    ("/api/activity", &["GET"]),
    ("/api/admin/connections", &["GET"]),
    ("/api/admin/connections/{id}", &["GET", "DELETE"]),
    ("/api/admin/sessions", &["GET"]),
    ("/api/admin/sessions/{id}", &["DELETE"]),
    ("/api/admin/users/{id}/name", &["POST"]),
    ("/api/admin/explain", &["GET"]),
    ("/api/admin/inspect", &["GET"]),
    ("/api/admin/inspect/channels", &["GET"]),
    ("/api/admin/inspect/events", &["GET"]),
    ("/api/admin/inspect/refusals", &["GET"]),
    ("/api/admin/presence", &["GET"]),
    ("/api/admin/websocket/stats", &["GET"]),
    ("/api/admin/why/{id}", &["GET"]),
    ("/api/auth/issuers", &["GET"]),
    ("/api/auth/issuers/{name}/callback", &["GET"]),
    ("/api/auth/issuers/{name}/login", &["GET"]),
    ("/api/auth/login", &["POST"]),
    ("/api/auth/logout", &["POST"]),
    ("/api/auth/me", &["GET"]),
    ("/api/auth/name", &["POST"]),
    ("/api/auth/password", &["POST"]),
    ("/api/auth/refresh", &["POST"]),
    ("/api/auth/register", &["POST"]),
    ("/api/auth/reset", &["POST"]),
    ("/api/auth/sessions", &["GET", "DELETE"]),
    ("/api/auth/sessions/{id}", &["DELETE"]),
    ("/api/auth/ticket", &["POST"]),
    ("/api/batch", &["POST"]),
    ("/api/changes", &["GET", "POST"]),
    ("/api/openapi.json", &["GET"]),
    ("/api/realtime/presence/{*resource}", &["GET"]),
    ("/api/types.d.ts", &["GET"]),
    ("/api/realtime/notify/{user}", &["POST"]),
    ("/api/realtime/rooms/{name}", &["POST"]),
    ("/api/realtime/session", &["POST"]),
    ("/api/realtime/session/{session}", &["GET", "DELETE"]),
    ("/api/realtime/session/{session}/{action}", &["POST"]),
    ("/api/schema", &["GET"]),
    ("/api/{plural}", &["GET", "POST"]),
    ("/api/{plural}/by/{field}/{value}", &["GET"]),
    ("/api/{plural}/count", &["GET", "POST"]),
    ("/api/{plural}/query", &["POST"]),
    ("/api/{plural}/{id}", &["GET", "PATCH", "PUT", "DELETE"]),
    ("/api/{plural}/{id}/history", &["GET"]),
    ("/health", &["GET"]),
    ("/healthz", &["GET"]),
    ("/metrics", &["GET"]),
    ("/readyz", &["GET"]),
    ("/sse", &["GET"]),
    ("/static/{*path}", &["GET"]),
    ("/ws", &["GET"]),
];

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/metrics", get(metrics))
}

/// On a blocking thread: it reads `/proc` and looks at every outbox. Numbers are wanted most when the store is in trouble, so
/// that the log's ends are 0 then instead of a failure.
async fn metrics(State(state): State<AppState>) -> Result<Response, Problem> {
    if !state.config.metrics {
        return Err(Problem::new(Code::TelemetryDisabled, "telemetry disabled"));
    }
    let head = state.sessions.reader().head().await;
    let (log_head, log_floor) = head.map_or((0, 0), |head| (head.seq.0, head.floor.0));
    let text = tokio::task::spawn_blocking(move || {
        let now = state.sessions.moment();
        state.metrics.text(&Moment { log_head, log_floor, ..now })
    })
    .await;
    let text = text.map_err(|failed| Problem::internal(failed.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}
