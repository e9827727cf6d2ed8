//! `/health`, `/healthz`: the process answers. `/readyz`: the store answers too, and no damage of it is known. Knows nothing
//! of either.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::problem::Problem;
use super::state::AppState;
use crate::protocol::Code;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/health", get(health)).route("/healthz", get(health)).route("/readyz", get(ready))
}

async fn health() -> Response {
    fresh(json!({ "status": "healthy" }))
}

async fn ready(State(state): State<AppState>) -> Result<Response, Problem> {
    state.repository.probe().await.map_err(|error| {
        if error.code() == Code::StorageDamaged {
            return Problem::from(error);
        }
        let cause = error.cause().unwrap_or_else(|| error.to_string());
        Problem::new(Code::Overloaded, "the store does not answer").because(cause)
    })?;
    Ok(fresh(json!({ "status": "ready" })))
}

fn fresh(json: serde_json::Value) -> Response {
    let mut response = Json(json).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
