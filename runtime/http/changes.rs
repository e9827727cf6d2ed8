//! `GET` and `POST /api/changes`: polls and long polls.
//!
//! Knows query strings and bodies; what a poll answers is decided in `realtime/polls.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value as Json;

use super::identity::WaitingCaller;
use super::json_body::JsonBody;
use super::problem::{Problem, bad_query};
use super::state::AppState;
use crate::ids::shown;
use crate::protocol::{Code, Params};
use crate::realtime::{AskedChannel, PollFault, PollQuestion};
use crate::rules::Person;
use crate::store::StoreError;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/changes", get(changes).post(changes_by_body))
}

async fn changes(
    State(state): State<AppState>,
    caller: WaitingCaller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    poll(&state, PollRequest::of_address(&Params::parse(query.as_deref())?)?, &caller).await
}

async fn changes_by_body(
    State(state): State<AppState>,
    caller: WaitingCaller,
    RawQuery(query): RawQuery,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    for (name, _) in Params::parse(query.as_deref())?.iter() {
        if !["as", "claims", "token", "ticket"].contains(&name) {
            return Err(bad_query(format!("`{}` is in the address: move it into the body", shown(name))));
        }
    }
    poll(&state, PollRequest::of_body(&body.to_json())?, &caller).await
}

async fn poll(state: &AppState, asked: PollRequest, caller: &WaitingCaller) -> Result<Response, Problem> {
    let limits = &state.config.realtime;
    let most_channels = limits.subscriptions.max(MOST_CHANNELS);
    let question = asked.question(caller.0.identity.person(), limits.poll_wait.as_secs(), most_channels)?;
    let answer = tokio::select! {
        answer = state.sessions.polls().answer(question) => answer.map_err(problem)?,
        refused = caller.login_ended(&state.env) => return Err(refused),
    };
    match caller.login_over(&state.env) {
        Some(refused) => Err(refused),
        None => Ok(axum::Json(answer).into_response()),
    }
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

/// Channels of one poll at most, where the limit of subscriptions is not higher. Those beyond that limit are answered by an
/// error each, which is bounded here.
const MOST_CHANNELS: usize = 500;

/// A poll as it was sent, in an address or in a body.
struct PollRequest {
    channels: Vec<AskedChannel>,
    since: Option<String>,
    /// As text: what it may be is said in one place.
    wait: Option<String>,
}

impl PollRequest {
    fn of_address(params: &Params) -> Result<PollRequest, Problem> {
        for (name, _) in params.iter() {
            if !["channel", "view", "since", "wait", "as", "claims", "token", "ticket"].contains(&name) {
                return Err(bad_query(format!(
                    "`{}` is not a parameter here: use channel, view, since and wait",
                    shown(name)
                )));
            }
        }
        let channels: Vec<&str> = params.all("channel").collect();
        let views: Vec<&str> = params.all("view").collect();
        if !views.is_empty() && views.len() != channels.len() {
            let (views, channels) = (views.len(), channels.len());
            return Err(bad_query(format!(
                "`view` is given {views} times and `channel` {channels} times: give one view for each channel, or none"
            )));
        }
        let view_of = |at: usize| views.get(at).map(|view| (*view).to_owned());
        let channels = channels
            .iter()
            .enumerate()
            .map(|(at, text)| AskedChannel { text: (*text).to_owned(), view: view_of(at) });
        let text = |name| params.one(name).map(|text| text.map(str::to_owned));
        Ok(PollRequest { channels: channels.collect(), since: text("since")?, wait: text("wait")? })
    }

    /// `{"channels": [{"channel": "entity:Task", "view": "9f0c…"}], "since": "<epoch>:<seq>", "wait": 25}`
    fn of_body(body: &Json) -> Result<PollRequest, Problem> {
        only(body, "", &["channels", "since", "wait"])?;
        let text = |json: &Json, place: String| match json {
            Json::Null => Ok(None),
            Json::String(text) => Ok(Some(text.clone())),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                Err(malformed(format!("`{place}` must be a text")))
            }
        };
        let Json::Array(listed) = &body["channels"] else {
            return Err(malformed(
                "`channels` must be an array, as in [{\"channel\": \"entity:Task\"}]".to_owned(),
            ));
        };
        let mut channels = Vec::with_capacity(listed.len().min(MOST_CHANNELS));
        for (at, json) in listed.iter().enumerate() {
            let place = format!("channels[{at}]");
            only(json, &format!("{place}."), &["channel", "view"])?;
            let channel = text(&json["channel"], format!("{place}.channel"))?;
            let Some(channel) = channel else {
                return Err(malformed(format!("`{place}` names no `channel`")));
            };
            channels
                .push(AskedChannel { text: channel, view: text(&json["view"], format!("{place}.view"))? });
        }
        let wait = match &body["wait"] {
            Json::Null => None,
            // JSON has one kind of number: 2.0 is a whole one.
            Json::Number(seconds) => match seconds.as_f64().filter(|seconds| seconds.fract() == 0.0) {
                Some(whole) => Some(format!("{whole:.0}")),
                None => Some(seconds.to_string()),
            },
            Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
                return Err(malformed("`wait` must be a number of seconds".to_owned()));
            }
        };
        Ok(PollRequest { channels, since: text(&body["since"], "since".to_owned())?, wait })
    }

    fn question(
        self,
        person: Arc<Person>,
        most_seconds: u64,
        most_channels: usize,
    ) -> Result<PollQuestion, Problem> {
        let count = self.channels.len();
        if count == 0 {
            return Err(bad_query("name at least one channel, as in `?channel=entity:Task`".to_owned()));
        }
        if count > most_channels {
            return Err(bad_query(format!(
                "{count} channels are named: one poll names at most {most_channels}"
            )));
        }
        let since = self.since.map(|text| {
            text.parse().map_err(|error| Problem::new(Code::BadPosition, format!("`since`: {error}")))
        });
        let wait = self.wait.map(|text| {
            text.parse().ok().filter(|seconds| *seconds <= most_seconds).ok_or_else(|| {
                bad_query(format!("`wait` is a whole number of seconds, at most {most_seconds}"))
            })
        });
        // An empty view is none.
        let named =
            |asked: AskedChannel| AskedChannel { view: asked.view.filter(|view| !view.is_empty()), ..asked };
        Ok(PollQuestion {
            person,
            channels: self.channels.into_iter().map(named).collect(),
            since: since.transpose()?,
            wait: Duration::from_secs(wait.transpose()?.unwrap_or(0)),
        })
    }
}

/// Refuses what is no object, or has other members. `place` comes before their names.
fn only(json: &Json, place: &str, names: &[&str]) -> Result<(), Problem> {
    let Json::Object(members) = json else {
        return Err(malformed(format!("`{}` must be an object", place.trim_end_matches('.'))));
    };
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            let names = names.join(", ");
            Err(malformed(format!("`{place}{}` is not known here: use {names}", shown(name))))
        }
        None => Ok(()),
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(Code::BadJson, detail)
}
