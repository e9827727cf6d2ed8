//! `GET /api/schema`, `/api/openapi.json`, `/api/types.d.ts`: what the entities look like and what may be asked, for
//! clients, for tools and for people who got a name wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use parking_lot::Mutex;

use super::identity::Caller;
use super::openapi::openapi;
use super::problem::Problem;
use super::state::AppState;
use crate::repository::Current;
use crate::schema::{self, Generation};

pub(super) fn routes() -> Router<AppState> {
    let document = Arc::new(Document::default());
    Router::new().route("/api/schema", get(describe)).route("/api/types.d.ts", get(types)).route(
        "/api/openapi.json",
        get(async move |state: State<AppState>, _: Caller| document.answer(&state)),
    )
}

/// Administrators get the access rules, too. For others a rule could name what they are not to know of.
async fn describe(
    State(state): State<AppState>,
    Caller(caller): Caller,
) -> Result<Json<serde_json::Value>, Problem> {
    let is_admin = state.repository.is_admin(&caller).await?;
    let current = state.repository.current();
    let describe = if is_admin { schema::describe_with_rules } else { schema::describe };
    Ok(Json(describe(&current.schema, current.generation)))
}

/// As text, which every browser shows; the registry knows `.ts` as video.
async fn types(State(state): State<AppState>, _caller: Caller) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], schema::typescript(&state.schema()))
        .into_response()
}

/// The OpenAPI document of the current generation. It has a parameter for every operator of every field, so that of
/// the largest schemas it takes a second to make: once, however many ask. The lock is held while it is made, so that
/// others wait for it instead of making their own.
#[derive(Default)]
struct Document(Mutex<Option<(Generation, Bytes)>>);

impl Document {
    fn answer(&self, state: &AppState) -> Response {
        let text = self.text(&state.repository.current(), state);
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }

    fn text(&self, current: &Current, state: &AppState) -> Bytes {
        let mut made = self.0.lock();
        match &*made {
            Some((generation, text)) if *generation == current.generation => text.clone(),
            _ => {
                let text = Bytes::from(openapi(&current.schema, &state.config.http).to_text());
                *made = Some((current.generation, text.clone()));
                text
            }
        }
    }
}
