//! `GET /api/schema`, `/api/openapi.json`, `/api/types.d.ts`: what the entities look like and what may be asked, for
//! clients, for tools and for people who got a name wrong.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::AppState;
use super::identity::Caller;
use super::openapi::openapi;
use crate::schema;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/schema", get(describe))
        .route("/api/openapi.json", get(document))
        .route("/api/types.d.ts", get(types))
}

async fn describe(State(state): State<AppState>, _caller: Caller) -> Json<serde_json::Value> {
    let current = state.repository.current();
    Json(schema::describe(&current.schema, current.generation))
}

async fn document(State(state): State<AppState>, _caller: Caller) -> Response {
    let text = openapi(&state.schema(), &state.config.http).to_text();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// As text, which every browser shows; the registry knows `.ts` as video.
async fn types(State(state): State<AppState>, _caller: Caller) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], schema::typescript(&state.schema()))
        .into_response()
}
