//! `/api/realtime/session`: what a client without a socket says to its session, and the session of a client that polls.
//!
//! Translates between requests and frames. What a frame does, the session decides, as for a socket; a session of another caller
//! is answered like one that does not exist.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::time::Instant;

use super::identity::{Caller, WaitingCaller};
use super::json_body::JsonBytes;
use super::problem::{Problem, bad_query};
use super::sse;
use super::state::AppState;
use crate::auth::Identity;
use crate::ids::shown;
use crate::protocol::{ClientFrame, Code, Params};
use crate::realtime::poll_session::PollSession;
use crate::realtime::remote_sessions::{NotTaken, RemoteSession};
use crate::realtime::{Arrived, Collected, PollLine};

/// What a session can be asked by requests.
const ACTIONS: [SessionAction; 8] = [
    SessionAction { name: "subscribe", types: &["subscribe"] },
    SessionAction { name: "unsubscribe", types: &["unsubscribe"] },
    SessionAction {
        name: "presence",
        types: &["presence:join", "presence:update", "presence:leave", "presence:heartbeat"],
    },
    SessionAction { name: "message", types: &["message"] },
    SessionAction { name: "mutate", types: &["mutate"] },
    SessionAction { name: "lease", types: &["lease:acquire", "lease:renew", "lease:pass", "lease:release"] },
    SessionAction { name: "auth", types: &["auth"] },
    SessionAction { name: "ping", types: &["ping"] },
];

/// A part of the address, and the types of the frames that it takes. Where there is one, the frame need not name it.
#[derive(Clone, Copy)]
struct SessionAction {
    name: &'static str,
    types: &'static [&'static str],
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/realtime/session", post(open))
        .route("/api/realtime/session/{session}", get(collect).delete(end))
        .route("/api/realtime/session/{session}/{action}", post(say))
}

/// Opens a session of polls: with the channels of the address, which are those of `/sse`.
async fn open(
    State(state): State<AppState>,
    WaitingCaller(admitted): WaitingCaller,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    state.limits.stream(admitted.identity.address)?;
    if !body.is_end_stream() {
        let text =
            "a session is opened without a body: name its channels in the address, as `?channel=entity:Task`";
        return Err(bad_query(text.to_owned()));
    }
    let start = sse::start(&Params::parse(query.as_deref())?, &HeaderMap::new())?;
    if state.sessions.lifecycle().is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "the server is about to stop"));
    }
    let line = Arc::new(PollLine::new(Instant::now()));
    let seat = state.sessions.remote().open(&admitted.identity, Some(line.clone()));
    let id = seat.id().clone();
    let transport = Box::new(PollSession::new(line.clone(), seat, start));
    let (sessions, arrived) = (state.sessions.clone(), Arrived::through(state.identities.clone(), admitted));
    let living = async move {
        sessions.serve(transport, arrived).await;
    };
    state.tasks.spawn_on(living, &state.live);
    // The first frame is `connected`, or the error by which there is no session.
    let wait = state.config.realtime.poll_wait;
    let greeted = line.collect(0, wait).await.map_err(|error| bad_query(error.to_string()))?;
    if let Some(refused) = refusal(&greeted) {
        return Err(refused);
    }
    let mut response = answer(&greeted, Some(&id));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The error that a session began with.
fn refusal(greeted: &Collected) -> Option<Problem> {
    let overloaded = || Problem::new(Code::Overloaded, "the session was not opened in time");
    let Some(first) = greeted.frames.first() else { return Some(overloaded()) };
    let frame: Json = serde_json::from_slice(first).ok()?;
    if frame["type"] != "error" {
        return None;
    }
    let code = Code::ALL.iter().find(|code| frame["payload"]["code"] == code.as_str());
    let message = frame["payload"]["message"].as_str().unwrap_or_default();
    Some(code.map_or_else(overloaded, |code| Problem::new(*code, message)))
}

/// What waits for the peer behind `after`.
async fn collect(
    State(state): State<AppState>,
    caller: WaitingCaller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref())?;
    let known = ["after", "wait", "as", "claims", "token", "ticket"];
    if let Some((name, _)) = params.iter().find(|(name, _)| !known.contains(name)) {
        return Err(bad_query(format!("`{}` is not a parameter here: use after and wait", shown(name))));
    }
    let whole = |name, most: u64| match params.one(name)? {
        None => Ok(0),
        Some(text) => text.parse().ok().filter(|number| *number <= most).ok_or_else(|| {
            bad_query(format!("`{name}` is a whole number from 0 to {most}, not `{}`", shown(text)))
        }),
    };
    let most_wait = state.config.realtime.poll_wait.as_secs();
    let (after, wait) = (whole("after", u64::MAX)?, Duration::from_secs(whole("wait", most_wait)?));
    let Some(line) = find(&state, &id, &caller.0.identity)?.line else {
        let text = "this session belongs to a stream: what it is sent comes there";
        return Err(Problem::new(Code::MethodNotAllowed, text));
    };
    tokio::select! {
        collected = line.collect(after, wait) => {
            Ok(answer(&collected.map_err(|error| bad_query(error.to_string()))?, None))
        }
        refused = caller.login_ended(&state.env) => Err(refused),
    }
}

/// Ends a session at once, as a socket that is closed.
async fn end(
    State(state): State<AppState>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if state.sessions.remote().end(&id, &caller) { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// Hands one frame to the session. What becomes of it, the session answers where it answers everything.
async fn say(
    State(state): State<AppState>,
    Caller(caller): Caller,
    Path((id, action)): Path<(String, String)>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let session = find(&state, &id, &caller)?;
    let action = ACTIONS.iter().find(|known| known.name == action).ok_or_else(|| {
        let names = action_names().join(", ");
        let text = format!("`{}` is nothing that a session can be asked: use {names}", shown(&action));
        Problem::new(Code::NotFound, text)
    })?;
    if action.name == "auth" && caller.user.is_none() {
        // It would become a user's, and its id would stay all that a request needs.
        let text = "a session without a user takes no token: open another one with it";
        return Err(Problem::new(Code::Unauthenticated, text));
    }
    let most = state.config.realtime.frame_bytes;
    if body.len() > most {
        return Err(Problem::new(Code::FrameTooLarge, format!("the frame is larger than {most} bytes")));
    }
    let frame = action.frame(&body)?;
    session.hand_over(frame).map_err(not_taken)?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"accepted": true}))).into_response())
}

/// Every action, for the description of the API.
pub(super) fn action_names() -> [&'static str; ACTIONS.len()] {
    ACTIONS.map(|known| known.name)
}

fn find(state: &AppState, id: &str, caller: &Identity) -> Result<RemoteSession, Problem> {
    state.sessions.remote().find(id, caller).ok_or_else(unknown)
}

fn not_taken(refused: NotTaken) -> Problem {
    match refused {
        NotTaken::Full => Problem::rate_limited(refused.to_string(), Duration::from_secs(1)),
        NotTaken::Ended => unknown(),
    }
}

fn unknown() -> Problem {
    let text = "there is no such session, or another caller opened it: open a new one";
    Problem::new(Code::NotFound, text)
}

impl SessionAction {
    /// The frame as a socket would send it. Its text stays as it is, so that long numbers keep their digits.
    fn frame(&self, body: &Bytes) -> Result<String, Problem> {
        let bad = |text: String| Problem::new(Code::BadFrame, text);
        let text = std::str::from_utf8(body).map_err(|_| bad("the frame is not UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let json: Json =
            serde_json::from_str(text).map_err(|error| bad(format!("the frame is not JSON: {error}")))?;
        let Json::Object(members) = json else {
            return Err(bad("the frame is not a JSON object".to_owned()));
        };
        let frame = match (members.get("type"), self.types) {
            (None, [only]) => {
                let rest = text.strip_prefix('{').unwrap_or_default();
                let comma = if members.is_empty() { "" } else { "," };
                format!("{{\"type\":\"{only}\"{comma}{rest}")
            }
            (Some(Json::String(given)), types) if types.contains(&given.as_str()) => text.to_owned(),
            (_, types) => {
                return Err(bad(format!("`type` is {} here", types.join(" or "))));
            }
        };
        ClientFrame::parse(&frame).map_err(|error| Problem::new(error.code, error.message))?;
        Ok(frame)
    }
}

/// `{"session":…,"cursor":…,"frames":[…]}`; the frames are those of a socket. `ended`: nothing more follows.
fn answer(collected: &Collected, session: Option<&str>) -> Response {
    let mut json = Vec::from(*b"{");
    if let Some(session) = session {
        json.extend_from_slice(format!("\"session\":\"{session}\",").as_bytes());
    }
    json.extend_from_slice(format!("\"cursor\":{},\"frames\":[", collected.cursor).as_bytes());
    json.extend_from_slice(&collected.frames.join(&b","[..]));
    json.extend_from_slice(format!("],\"ended\":{}}}", collected.ended).as_bytes());
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
