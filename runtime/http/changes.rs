//! `GET /api/changes`: polls and long polls, and `GET /api/admin/websocket/stats`.
//!
//! Knows query strings; what a poll answers is decided in `realtime/poll.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::AppState;
use super::identity::Caller;
use super::problem::Problem;
use crate::protocol::{Code, Params};
use crate::realtime::{PollFault, PollQuestion};
use crate::rules::Person;
use crate::store::StoreError;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/changes", get(changes)).route("/api/admin/websocket/stats", get(stats))
}

async fn changes(
    State(state): State<AppState>,
    Caller(caller): Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let most = state.config.realtime.poll_wait.as_secs();
    let question = question(caller.person(), &Params::parse(query.as_deref())?, most)?;
    let answer = state.websockets.poll(question).await.map_err(problem)?;
    Ok(Json(answer).into_response())
}

fn problem(fault: PollFault) -> Problem {
    let error = match fault {
        PollFault::Disabled => return Problem::new(Code::AccountDisabled, fault.to_string()),
        PollFault::Store(error) => error,
    };
    match error {
        StoreError::Overloaded => Problem::new(Code::Overloaded, "too many reads are waiting"),
        StoreError::Damaged(cause) => {
            let detail = "the records could not be read, because the database is damaged";
            Problem::new(Code::StorageDamaged, detail).because(cause)
        }
        StoreError::StaleGeneration => Problem::new(Code::SchemaChanged, error.to_string()),
        StoreError::UnknownEntity(_)
        | StoreError::Closed(_)
        | StoreError::HiddenColumn(..)
        | StoreError::Rule(_)
        | StoreError::TooBroad { .. }
        | StoreError::TooManyGroups { .. }
        | StoreError::Storage(_) => Problem::internal(error.to_string()),
    }
}

/// Numbers about sockets, subscriptions and deliveries, for those who run the server.
async fn stats(State(state): State<AppState>, Caller(caller): Caller) -> Result<Response, Problem> {
    if !state.repository.is_admin(&caller).await? {
        let detail = "numbers about the server are for the role `admin`: ask as somebody who has it; in dev, add ?as=NAME:admin";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(Json(state.websockets.stats()).into_response())
}

/// `most`: the longest wait, in seconds.
fn question(person: Arc<Person>, params: &Params, most: u64) -> Result<PollQuestion, Problem> {
    let bad = |detail: String| Problem::new(Code::BadQuery, detail);
    for (name, _) in params.iter() {
        if !["channel", "view", "since", "wait", "as"].contains(&name) {
            return Err(bad(format!("`{name}` is no parameter here: use channel, view, since and wait")));
        }
    }
    let channels: Vec<&str> = params.all("channel").collect();
    if channels.is_empty() {
        return Err(bad("name at least one channel, as in `?channel=entity:Task`".to_owned()));
    }
    let views: Vec<&str> = params.all("view").collect();
    if !views.is_empty() && views.len() != channels.len() {
        let (views, channels) = (views.len(), channels.len());
        return Err(bad(format!(
            "{views} times `view` for {channels} times `channel`: give one for each, or none"
        )));
    }
    let since = params.one("since")?.map(|text| {
        text.parse().map_err(|error| Problem::new(Code::BadPosition, format!("`since`: {error}")))
    });
    let wait = params.one("wait")?.map(|text| {
        text.parse()
            .ok()
            .filter(|seconds| *seconds <= most)
            .ok_or_else(|| bad(format!("`wait` is a whole number of seconds, at most {most}")))
    });
    let view_of = |at: usize| views.get(at).map(|view| (*view).to_owned()).filter(|view| !view.is_empty());
    Ok(PollQuestion {
        person,
        channels: channels.iter().enumerate().map(|(at, text)| ((*text).to_owned(), view_of(at))).collect(),
        since: since.transpose()?,
        wait: Duration::from_secs(wait.transpose()?.unwrap_or(0)),
    })
}
