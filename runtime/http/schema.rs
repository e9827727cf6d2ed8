//! `GET /api/schema`: what the entities look like, for clients and for people who got a name wrong.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::AppState;
use super::identity::Caller;
use crate::schema;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/schema", get(describe))
}

async fn describe(State(state): State<AppState>, _caller: Caller) -> Json<serde_json::Value> {
    let current = state.repository.current();
    Json(schema::describe(&current.schema, current.generation))
}
