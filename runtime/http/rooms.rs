//! `POST /api/realtime/rooms/{name}` and `POST /api/realtime/notify/{user}`: messages of the server, for machines with a service token
//! and for administrators.
//!
//! Translates between HTTP and `Rooms`; knows neither members nor outboxes.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value as Json, json};

use super::identity::Author;
use super::json_body::JsonBody;
use super::problem::Problem;
use super::state::AppState;
use crate::auth::{Bearer, Identity, Service};
use crate::protocol::{ChannelName, Code, RoomMessage};
use crate::realtime::rooms::NotPublished;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/realtime/rooms/{name}", post(publish))
        .route("/api/realtime/notify/{user}", post(notify))
}

/// A message for those who are in a room.
async fn publish(
    State(state): State<AppState>,
    Author(caller): Author,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    must_be_publisher(&state, &caller, |service| service.may_publish(&name)).await?;
    ChannelName::parse(&format!("room:{name}")).map_err(|error| Problem::new(error.code, error.message))?;
    let message = message(body.into_json())?;
    answer(state.sessions.rooms().publish(&name, &message))
}

/// A message for one user, on every connection of theirs that listens.
async fn notify(
    State(state): State<AppState>,
    Author(caller): Author,
    Path(user): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    must_be_publisher(&state, &caller, |service| service.may_notify(&user)).await?;
    let message = message(body.into_json())?;
    answer(state.sessions.rooms().notify(&user, &message))
}

/// A machine within the patterns of its token, or an administrator.
async fn must_be_publisher(
    state: &AppState,
    caller: &Identity,
    fits: impl FnOnce(&Service) -> bool,
) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(Code::Forbidden, detail));
    match &caller.bearer {
        Bearer::Service(service) if fits(service) => Ok(()),
        Bearer::Service(_) => refused(
            "the service token may not publish here: its patterns name other rooms and users; make one with `tidewire token`",
        ),
        Bearer::Guest(_) => refused("a shared token publishes nothing over HTTP; use a service token"),
        Bearer::Person if state.repository.is_admin(caller).await? => Ok(()),
        Bearer::Person => refused(
            "only a service token or the role `admin` may publish over HTTP; a user publishes into rooms over a live connection",
        ),
    }
}

fn message(body: Json) -> Result<RoomMessage, Problem> {
    let bad = |text: String| {
        Problem::new(Code::BadJson, text.replace("`payload.", "`").replace("`payload`", "the body"))
    };
    RoomMessage::of(Some(&body)).map_err(bad)
}

/// `{"receivers": 2}`: connections that the message was handed to.
fn answer(published: Result<usize, NotPublished>) -> Result<Response, Problem> {
    match published {
        Ok(receivers) => Ok(axum::Json(json!({ "receivers": receivers })).into_response()),
        Err(refused @ NotPublished::RoomRate(_)) => Err(Problem::new(Code::RateLimited, refused.to_string())),
        Err(refused @ NotPublished::TooLarge { .. }) => {
            Err(Problem::new(Code::MessageTooLarge, refused.to_string()))
        }
    }
}
