//! Frames from a client: from one text message to a `ClientFrame`, or to the error that the client gets.
//!
//! Pure. Does not know what a session does with a frame.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::channel_name::{MAX_BYTES, encoded};
use super::codes::Code;
use super::presence_frame::{BadPresence, PresenceFrame};
use crate::ids::{Epoch, Position, Seq, shown};

/// Largest `limit` of a subscription.
pub const MOST_FIRST_ROWS: usize = 1_000;
/// Longest `sort` of a subscription, in bytes.
const MAX_SORT: usize = 4 << 10;
/// Longest name of an event of a room, in bytes.
pub const MAX_EVENT: usize = 64;
/// Longest `requestId` and `view`, in bytes.
pub const MAX_REQUEST_ID: usize = 128;

/// One message of a client, with the id that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFrame {
    pub request_id: Option<String>,
    pub message: ClientMessage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    Auth {
        token: String,
    },
    Subscribe {
        channel: String,
        options: SubscribeOptions,
    },
    Unsubscribe {
        channel: String,
    },
    /// `payload`: the JSON of one object, as it was sent. What it asks for, the repository reads.
    Mutate {
        payload: String,
    },
    /// About the lease of a record.
    Lease {
        resource: Resource,
        wanted: LeaseWanted,
    },
    /// A message for those who are in a room.
    Message {
        channel: String,
        message: Box<RoomMessage>,
    },
    /// What the peer says of where it is.
    Presence(Box<PresenceFrame>),
    Ping,
}

/// What is passed on to the members of a room: stored nowhere, and without a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomMessage {
    /// What happened, in the words of the application: `typing`.
    pub event: String,
    /// JSON, whatever the application needs.
    pub data: Value,
    /// Whether the sender gets it too.
    pub echo: bool,
}

/// A record as leases name it: `Task/<id>`, the id percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    pub entity: Arc<str>,
    pub id: Arc<str>,
}

/// What a client wants of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseWanted {
    Acquire,
    Renew {
        fence: u64,
    },
    Pass {
        fence: u64,
        /// Id of the user who gets it.
        to: String,
    },
    /// Without its number: an administrator ends the lease of any user.
    Release {
        fence: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscribeOptions {
    pub since: Option<Since>,
    pub snapshot: bool,
    /// Of a `presence:` channel: how many are there, and not who.
    pub count: bool,
    /// Only the first records in an order.
    pub first_rows: Option<FirstRows>,
}

/// The part of a channel that snapshots of a limited subscription show (SEMANTICS X8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstRows {
    /// As the `sort` of a list; empty for the order of the ids.
    pub sort: String,
    /// 1 to `MOST_FIRST_ROWS`.
    pub limit: usize,
}

/// Where a client wants to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// `None`: the epoch was missing, empty or malformed, and so matches nothing.
    pub position: Option<Position>,
    pub view: Option<String>,
}

/// A frame that was refused. The connection lives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    pub code: Code,
    pub message: String,
    pub request_id: Option<String>,
    pub channel: Option<String>,
}

impl ClientFrame {
    pub fn parse(text: &str) -> Result<ClientFrame, FrameError> {
        // Some programs write a byte order mark before every text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(mutate) = MutateFrame::read(text) {
            return mutate.parse();
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| plain(Code::BadFrame, format!("the frame is not JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(plain(Code::BadFrame, format!("the frame is {}, not a JSON object", kind(&value))));
        };
        let request_id = request_id(&object)?;
        let context = |mut error: FrameError| {
            error.request_id.clone_from(&request_id);
            error.channel = object
                .get("channel")
                .and_then(Value::as_str)
                .filter(|c| c.len() <= MAX_BYTES)
                .map(str::to_owned);
            error
        };
        let message = message(&object).map_err(context)?;
        Ok(ClientFrame { request_id, message })
    }
}

/// A `mutate`. Its payload stays the text that it is: a parser for any JSON changes long numbers, and takes the last of two equal
/// keys, and what is written must be what was sent.
#[derive(Deserialize)]
struct MutateFrame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "requestId", default)]
    request_id: Value,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl MutateFrame<'_> {
    fn read(text: &str) -> Option<MutateFrame<'_>> {
        let frame: MutateFrame<'_> = text.contains("mutate").then(|| serde_json::from_str(text).ok())??;
        (frame.kind == "mutate").then_some(frame)
    }

    fn parse(self) -> Result<ClientFrame, FrameError> {
        let request_id = request_id(&Map::from_iter([("requestId".to_owned(), self.request_id)]))?;
        let wrong =
            |message: String| FrameError { request_id: request_id.clone(), ..plain(Code::BadFrame, message) };
        let payload = self.payload.map(RawValue::get).unwrap_or("null");
        if !payload.starts_with('{') {
            let value: Value = serde_json::from_str(payload).unwrap_or_default();
            return Err(wrong(if value.is_null() {
                "the frame has no `payload`: it says what to write".to_owned()
            } else {
                format!("`payload` is {}, not an object", kind(&value))
            }));
        }
        let message = ClientMessage::Mutate { payload: payload.to_owned() };
        Ok(ClientFrame { request_id, message })
    }
}

fn message(object: &Map<String, Value>) -> Result<ClientMessage, FrameError> {
    let kind_of = match object.get("type") {
        Some(Value::String(text)) => text.as_str(),
        Some(other) => return Err(plain(Code::BadFrame, format!("`type` is {}, not a string", kind(other)))),
        None => return Err(plain(Code::BadFrame, "the frame has no `type`".to_owned())),
    };
    if let Some(frame) = PresenceFrame::of(kind_of, object) {
        let frame = frame.map_err(|BadPresence { code, message }| plain(code, message))?;
        return Ok(ClientMessage::Presence(Box::new(frame)));
    }
    match kind_of {
        "subscribe" => Ok(ClientMessage::Subscribe { channel: channel(object)?, options: options(object)? }),
        "unsubscribe" => Ok(ClientMessage::Unsubscribe { channel: channel(object)? }),
        "message" => {
            let channel = channel(object)?;
            let message =
                RoomMessage::of(object.get("payload")).map_err(|text| plain(Code::BadFrame, text))?;
            Ok(ClientMessage::Message { channel, message: Box::new(message) })
        }
        "lease:acquire" | "lease:renew" | "lease:pass" | "lease:release" => {
            lease(kind_of, object.get("payload")).map_err(|text| plain(Code::BadFrame, text))
        }
        "ping" => Ok(ClientMessage::Ping),
        "auth" => Ok(ClientMessage::Auth { token: token(object)? }),
        // `MutateFrame` takes every other one.
        "mutate" => {
            let text = "a `mutate` has `type`, `requestId` and `payload` once each";
            Err(plain(Code::BadFrame, text.to_owned()))
        }
        other => Err(plain(Code::UnknownMessageType, format!("`{}` is not a message type", shown(other)))),
    }
}

fn lease(kind_of: &str, payload: Option<&Value>) -> Result<ClientMessage, String> {
    let Some(Value::Object(payload)) = payload else {
        return Err(
            "`payload` must be an object with `resource`, such as {\"resource\": \"Task/7\"}".to_owned()
        );
    };
    let known: &[&str] = match kind_of {
        "lease:acquire" => &["resource"],
        "lease:pass" => &["resource", "fence", "to"],
        _ => &["resource", "fence"],
    };
    if let Some(stranger) = payload.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!(
            "`payload.{}` is not known here: `{kind_of}` has {}",
            shown(stranger),
            known.join(", ")
        ));
    }
    let resource = match payload.get("resource") {
        Some(Value::String(text)) => Resource::parse(text)?,
        Some(other) => return Err(format!("`payload.resource` is {}, not a string", kind(other))),
        None => return Err("`payload.resource` is missing: it names a record, such as \"Task/7\"".to_owned()),
    };
    let fence = match payload.get("fence") {
        None | Some(Value::Null) => None,
        Some(fence) => match fence.as_u64() {
            Some(fence @ 1..) => Some(fence),
            Some(0) | None => {
                return Err("`payload.fence` is not the whole number that `lease:held` named".to_owned());
            }
        },
    };
    let named = fence
        .ok_or_else(|| "`payload.fence` is missing: it is the number that `lease:held` named".to_owned());
    let wanted = match kind_of {
        "lease:acquire" => LeaseWanted::Acquire,
        "lease:renew" => LeaseWanted::Renew { fence: named? },
        "lease:pass" => match payload.get("to") {
            Some(Value::String(to)) if !to.is_empty() => LeaseWanted::Pass { fence: named?, to: to.clone() },
            Some(_) | None => {
                return Err("`payload.to` must be the id of the user who gets the lease".to_owned());
            }
        },
        _ => LeaseWanted::Release { fence },
    };
    Ok(ClientMessage::Lease { resource, wanted })
}

impl Resource {
    /// From `Task/<id>`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Resource, String> {
        let bad = || {
            format!(
                "`{}` names no record: write the entity, a slash and the percent-encoded id, as in Task/7",
                shown(text)
            )
        };
        if text.len() > MAX_BYTES {
            return Err(bad());
        }
        let (entity, id) = text.split_once('/').ok_or_else(bad)?;
        let id = percent_decode_str(id).decode_utf8().map_err(|_| bad())?;
        if entity.is_empty() || !entity.bytes().all(|b| b.is_ascii_alphanumeric()) || id.is_empty() {
            return Err(bad());
        }
        Ok(Resource { entity: entity.into(), id: id.as_ref().into() })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity, encoded(&self.id))
    }
}

impl RoomMessage {
    /// From a payload, over whatever transport. The error says what is wrong.
    pub fn of(payload: Option<&Value>) -> Result<RoomMessage, String> {
        let Some(Value::Object(payload)) = payload else {
            return Err("`payload` must be an object: {\"event\": \"typing\", \"data\": …}".to_owned());
        };
        if let Some(stranger) = payload.keys().find(|key| !["event", "data", "echo"].contains(&key.as_str()))
        {
            return Err(format!(
                "`payload.{}` is not known here: a message has event, data and echo",
                shown(stranger)
            ));
        }
        let event = match payload.get("event") {
            Some(Value::String(event)) => event.clone(),
            Some(other) => return Err(format!("`payload.event` is {}, not a string", kind(other))),
            None => {
                return Err(
                    "`payload.event` is missing: it names what happened, such as \"typing\"".to_owned()
                );
            }
        };
        if event.is_empty() || event.len() > MAX_EVENT || event.chars().any(char::is_control) {
            return Err(format!(
                "`payload.event` must have 1 to {MAX_EVENT} bytes and no control characters"
            ));
        }
        let echo = match payload.get("echo") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(echo)) => *echo,
            Some(other) => return Err(format!("`payload.echo` is {}, not true or false", kind(other))),
        };
        Ok(RoomMessage { event, data: payload.get("data").cloned().unwrap_or_default(), echo })
    }
}

fn request_id(object: &Map<String, Value>) -> Result<Option<String>, FrameError> {
    match object.get("requestId") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_REQUEST_ID => Ok(Some(text.clone())),
        Some(Value::String(_)) => {
            Err(plain(Code::BadFrame, format!("`requestId` is longer than {MAX_REQUEST_ID} bytes")))
        }
        Some(other) => Err(plain(Code::BadFrame, format!("`requestId` is {}, not a string", kind(other)))),
    }
}

fn channel(object: &Map<String, Value>) -> Result<String, FrameError> {
    match object.get("channel") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(plain(Code::BadChannel, format!("`channel` is {}, not a string", kind(other)))),
        None => Err(plain(Code::BadChannel, "the frame has no `channel`".to_owned())),
    }
}

/// It is no part of any error: errors are shown and logged.
fn token(object: &Map<String, Value>) -> Result<String, FrameError> {
    let payload = object.get("payload").and_then(Value::as_object);
    match payload.and_then(|payload| payload.get("token")) {
        Some(Value::String(token)) => Ok(token.clone()),
        Some(other) => {
            Err(plain(Code::BadFrame, format!("`payload.token` is {}, not a string", kind(other))))
        }
        None => Err(plain(Code::BadFrame, "the frame has no `payload.token`".to_owned())),
    }
}

fn options(object: &Map<String, Value>) -> Result<SubscribeOptions, FrameError> {
    let payload = match object.get("payload") {
        None | Some(Value::Null) => return Ok(SubscribeOptions::default()),
        Some(Value::Object(payload)) => payload,
        Some(other) => {
            return Err(plain(Code::BadFrame, format!("`payload` is {}, not an object", kind(other))));
        }
    };
    let snapshot = match payload.get("snapshot") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(wanted)) => *wanted,
        Some(other) => {
            return Err(plain(
                Code::BadFrame,
                format!("`payload.snapshot` is {}, not true or false", kind(other)),
            ));
        }
    };
    let count = match payload.get("count") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(wanted)) => *wanted,
        Some(other) => {
            let text = format!("`payload.count` is {}, not true or false", kind(other));
            return Err(plain(Code::BadFrame, text));
        }
    };
    Ok(SubscribeOptions { since: since(payload)?, snapshot, count, first_rows: first_rows(payload)? })
}

/// `sort` and `limit`.
fn first_rows(payload: &Map<String, Value>) -> Result<Option<FirstRows>, FrameError> {
    let wrong = |what: String| plain(Code::BadFrame, what);
    let sort = match payload.get("sort") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.len() <= MAX_SORT => Some(text.clone()),
        Some(Value::String(_)) => {
            return Err(wrong(format!("`payload.sort` is longer than {MAX_SORT} bytes")));
        }
        Some(other) => {
            return Err(wrong(format!(
                "`payload.sort` is {}, not a string like \"-created_at\"",
                kind(other)
            )));
        }
    };
    let limit = match payload.get("limit") {
        None | Some(Value::Null) if sort.is_some() => {
            let text =
                "`payload.sort` needs a `payload.limit`: without one every record is sent, in no order";
            return Err(wrong(text.to_owned()));
        }
        None | Some(Value::Null) => return Ok(None),
        Some(limit) => limit,
    };
    let number = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
    let limit = number
        .filter(|limit| (1..=MOST_FIRST_ROWS).contains(limit))
        .ok_or_else(|| wrong(format!("`payload.limit` is not a whole number from 1 to {MOST_FIRST_ROWS}")))?;
    Ok(Some(FirstRows { sort: sort.unwrap_or_default(), limit }))
}

fn since(payload: &Map<String, Value>) -> Result<Option<Since>, FrameError> {
    let wrong = |what: String| plain(Code::BadPosition, what);
    let since = match payload.get("since") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(since)) => since,
        Some(other) => return Err(wrong(format!("`payload.since` is {}, not {{epoch, seq}}", kind(other)))),
    };
    let seq = since
        .get("seq")
        .and_then(Value::as_u64)
        .ok_or_else(|| wrong("`payload.since.seq` is not a whole number of at least 0".to_owned()))?;
    let epoch: Option<Epoch> = match since.get("epoch") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => return Err(wrong(format!("`payload.since.epoch` is {}, not a string", kind(other)))),
    };
    let view = match since.get("view") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.len() <= MAX_REQUEST_ID => Some(text.clone()),
        Some(Value::String(_)) => {
            return Err(wrong(format!("`payload.since.view` is longer than {MAX_REQUEST_ID} bytes")));
        }
        Some(other) => return Err(wrong(format!("`payload.since.view` is {}, not a string", kind(other)))),
    };
    Ok(Some(Since { position: epoch.map(|epoch| Position { epoch, seq: Seq(seq) }), view }))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn plain(code: Code, message: String) -> FrameError {
    FrameError { code, message, request_id: None, channel: None }
}
