//! `GET /sse`: the channels of the address as server-sent events, until one of the two ends goes away.
//!
//! Knows the address and its headers. What the events are, the session decides, as for a socket. Whatever is refused before the
//! stream begins has a status; afterwards there is an `error` event and the end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt;

use super::identity::{Presented, counted};
use super::problem::{Problem, bad_query};
use super::server::Peer;
use super::state::AppState;
use crate::identity::{Admitted, Brought, TicketUse};
use crate::ids::{Position, shown};
use crate::protocol::trailer::MarkedId;
use crate::protocol::{Code, FirstRows, MOST_FIRST_ROWS, Params, Since, SubscribeOptions, Trailer};
use crate::realtime::Arrived;
use crate::realtime::event_stream::EventStream;
use crate::realtime::greeting::stopped_stream;
use crate::realtime::pieces::PieceLine;
use crate::realtime::transport::{StreamChannel, StreamStart};

/// What an address may name, beside who asks.
const NAMES: [&str; 6] = ["channel", "since", "view", "snapshot", "sort", "limit"];
const OF_THE_CALLER: [&str; 4] = ["as", "claims", "token", "ticket"];

/// Tells nginx not to gather the events before it sends them on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/sse", get(open))
}

async fn open(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().cloned();
    let peer = peer.ok_or_else(|| Problem::internal("a request without a peer"))?;
    state.limits.stream(peer.address)?;
    let StreamCaller { admitted, mark } = admit(&state, &parts).await?;
    let start = StreamStart { mark, ..start(&Params::parse(parts.uri.query())?, &parts.headers)? };
    let lifecycle = state.sessions.lifecycle();
    if lifecycle.is_draining() {
        let now = state.env.now();
        let wait = u64::try_from(state.config.realtime.drain_spread.as_millis()).unwrap_or(u64::MAX).max(1);
        let told = stopped_stream(Duration::from_millis(state.env.random_u64() % wait), now);
        return Ok(events(Body::from(told)));
    }
    let PieceLine { sender, receiver } = PieceLine::default();
    let seat = state.sessions.remote().open(&admitted.identity, None);
    let arrived = Arrived::through(state.identities.clone(), admitted);
    let (sessions, stream) = (state.sessions.clone(), Box::new(EventStream::new(sender, seat, start)));
    let living = async move {
        sessions.serve(stream, arrived).await;
    };
    peer.lasts_on(&state.live, living.boxed());
    Ok(events(Body::from_stream(receiver)))
}

/// The caller of a stream. One who came by a ticket gets a mark, with which the same address works again.
struct StreamCaller {
    admitted: Admitted,
    mark: Option<Arc<str>>,
}

async fn admit(state: &AppState, parts: &Parts) -> Result<StreamCaller, Problem> {
    let presented = Presented::collect(parts)?;
    let identities = &state.identities;
    let mut mark: Option<Arc<str>> = None;
    let admitting = async {
        let brought = match presented.brought()? {
            Brought::Ticket(ticket, _) => {
                mark = Some(identities.mark_of_ticket(ticket).into());
                Brought::Ticket(
                    ticket,
                    TicketUse::Stream { mark: MarkedId::read(last_event_id(&parts.headers)).mark },
                )
            }
            other @ (Brought::Nothing | Brought::Token(_) | Brought::Name(..)) => other,
        };
        identities.admit_reader(brought, presented.address).await
    };
    let admitted = counted(state, presented.address, admitting).await?;
    Ok(StreamCaller { admitted, mark })
}

fn last_event_id(headers: &HeaderMap) -> &str {
    headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

fn events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    // It goes on beside the live connections, where no request is served.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What the client follows, also of a session of polls. Where a browser comes back by itself, `Last-Event-ID` counts, and no longer what its address says.
pub(super) fn start(params: &Params, headers: &HeaderMap) -> Result<StreamStart, Problem> {
    if let Some((name, _)) =
        params.iter().find(|(name, _)| !NAMES.contains(name) && !OF_THE_CALLER.contains(name))
    {
        let text = format!("`{}` is not a parameter here: use {}", shown(name), NAMES.join(", "));
        return Err(bad_query(text));
    }
    let channels: Vec<&str> = params.all("channel").collect();
    let of_each = |name: &'static str| of_each(params, name, channels.len());
    let (views, sorts, limits) = (of_each("view")?, of_each("sort")?, of_each("limit")?);
    let since = params.one("since")?.map(str::parse::<Position>).transpose();
    let since = since.map_err(|error| Problem::new(Code::BadPosition, format!("`since`: {error}")))?;
    let snapshot = match params.one("snapshot")? {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => return Err(bad_query("`snapshot` is true or false".to_owned())),
    };
    let mut asked = Vec::with_capacity(channels.len());
    for (at, channel) in channels.iter().enumerate() {
        let first_rows = first_rows(sorts[at], limits[at])?;
        let view = views[at].map(str::to_owned);
        let since = since.clone().map(|position| Since { position: Some(position), view });
        let options = SubscribeOptions { since, snapshot, first_rows, ..SubscribeOptions::default() };
        asked.push(StreamChannel { channel: (*channel).to_owned(), options });
    }
    let MarkedId { id, .. } = MarkedId::read(last_event_id(headers));
    Ok(StreamStart { channels: asked, resume: id.parse::<Trailer>().ok(), mark: None })
}

/// One value for each channel in the same order, or none at all. An empty one is none.
fn of_each<'a>(
    params: &'a Params,
    name: &'static str,
    channels: usize,
) -> Result<Vec<Option<&'a str>>, Problem> {
    let values: Vec<&str> = params.all(name).collect();
    if values.is_empty() {
        return Ok(vec![None; channels]);
    }
    if values.len() != channels {
        let values = values.len();
        return Err(bad_query(format!(
            "`{name}` is given {values} times and `channel` {channels} times: give one {name} for each channel, or none"
        )));
    }
    Ok(values.into_iter().map(|value| Some(value).filter(|value| !value.is_empty())).collect())
}

fn first_rows(sort: Option<&str>, limit: Option<&str>) -> Result<Option<FirstRows>, Problem> {
    let Some(limit) = limit else {
        return match sort {
            None => Ok(None),
            Some(_) => Err(bad_query("`sort` needs a `limit` for the same channel".to_owned())),
        };
    };
    let limit = limit.parse().ok().filter(|limit| (1..=MOST_FIRST_ROWS).contains(limit));
    let limit =
        limit.ok_or_else(|| bad_query(format!("`limit` is a whole number from 1 to {MOST_FIRST_ROWS}")))?;
    Ok(Some(FirstRows { sort: sort.unwrap_or_default().to_owned(), limit }))
}
