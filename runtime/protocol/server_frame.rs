//! Frames to a client: events in two pieces (a shared tail, a head for each group) and control frames.
//!
//! Everything here is JSON text in bytes; `wire.rs` makes of it the bytes of a transport.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::codes::{Code, Retry};
use super::view::View;
use super::wire::WireForm;
use crate::ids::{Epoch, Seq, Timestamp};
use crate::schema::Generation;
use crate::schema::value::write_json_of;

/// What an event tells a subscriber: what happened to a record, or an entry of the activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
    Activity,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Created => "entity:created",
            EventKind::Updated => "entity:updated",
            EventKind::Deleted => "entity:deleted",
            EventKind::Activity => "activity",
        }
    }
}

/// Why an event came, where the request that caused it does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventCause {
    /// The record was there and came into sight.
    Entered,
    /// The record is still there and readable, and left the filter.
    Left,
    /// The server deleted the record, because its time was over.
    Expired,
}

impl EventCause {
    pub fn as_str(self) -> &'static str {
        match self {
            EventCause::Entered => "entered",
            EventCause::Left => "left",
            EventCause::Expired => "expired",
        }
    }
}

/// The part of an event that each group of subscribers has for itself.
#[derive(Debug, Clone, Copy)]
pub struct EventHead {
    pub kind: EventKind,
    pub cause: Option<EventCause>,
    /// Seq of the group's previous event; `None` for a step of a difference, which is no event of the log.
    pub prev: Option<Seq>,
    /// Set on all but the last event of a unit.
    pub more: bool,
}

/// The position of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventPlace {
    /// An event of the log.
    Seq(Seq),
    /// A step of a difference: the record as it is at this position.
    At(Seq),
}

/// The part of an event that all subscribers of one channel who are shown the same share.
#[derive(Debug, Clone, Copy)]
pub struct EventTail<'a> {
    pub channel: &'a str,
    pub place: EventPlace,
    pub by: Option<&'a str>,
    pub mid: Option<&'a str>,
    /// JSON array of field names.
    pub changed: Option<&'a [u8]>,
    /// Commit time.
    pub timestamp: Timestamp,
    /// JSON: the record, `{"id":…}`, or the entry of the activity.
    pub payload: &'a [u8],
}

/// `{"type":…,"prev":…`, `,"more":true` and `,"cause":…` where they are.
pub fn write_event_head(head: EventHead, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(head.kind.as_str().as_bytes());
    out.push(b'"');
    if let Some(prev) = head.prev {
        out.extend_from_slice(b",\"prev\":");
        write_json_of(&prev.0, out);
    }
    if head.more {
        out.extend_from_slice(b",\"more\":true");
    }
    if let Some(cause) = head.cause {
        out.extend_from_slice(b",\"cause\":\"");
        out.extend_from_slice(cause.as_str().as_bytes());
        out.push(b'"');
    }
}

/// `,"channel":…,"seq":…,…,"payload":…}`, or `at` instead of `seq`.
pub fn write_event_tail(tail: &EventTail<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"channel\":");
    write_json_of(tail.channel, out);
    let (key, place) = match tail.place {
        EventPlace::Seq(seq) => (&b",\"seq\":"[..], seq),
        EventPlace::At(at) => (&b",\"at\":"[..], at),
    };
    out.extend_from_slice(key);
    write_json_of(&place.0, out);
    for (key, text) in [(&b",\"by\":"[..], tail.by), (&b",\"mid\":"[..], tail.mid)] {
        if let Some(text) = text {
            out.extend_from_slice(key);
            write_json_of(text, out);
        }
    }
    if let Some(changed) = tail.changed {
        out.extend_from_slice(b",\"changed\":");
        out.extend_from_slice(changed);
    }
    out.extend_from_slice(b",\"timestamp\":");
    write_json_of(&tail.timestamp.0, out);
    out.extend_from_slice(b",\"payload\":");
    out.extend_from_slice(tail.payload);
    out.push(b'}');
}

/// A frame that is not an event. `None` fields are left out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlFrame<'a, P: Serialize> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    pub payload: P,
    pub timestamp: Timestamp,
}

impl<P: Serialize> ControlFrame<'_, P> {
    /// The frame in the bytes of a transport.
    pub fn to_bytes(&self, form: WireForm) -> Bytes {
        let json = serde_json::to_vec(self).expect("control frames hold strings, numbers and raw JSON");
        form.frame(self.kind, &json)
    }
}

/// Payload of `subscribed`, of a channel's closing `pong`, and with `reason` of `resync`.
#[derive(Debug, Clone, Serialize)]
pub struct PositionPayload<'a> {
    pub epoch: &'a Epoch,
    pub seq: Seq,
    pub view: &'a View,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// Snapshots of this subscription are its first records in an order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// Payload of a `pong` without channel: empty while a channel of the connection is not live.
#[derive(Debug, Clone, Serialize)]
pub struct PongPayload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<&'a Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
}

/// Payload of `auth:ok` and of `auth:expiring`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginPayload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Payload of `error`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorPayload<'a> {
    pub code: &'static str,
    pub message: &'a str,
    pub hint: &'static str,
    pub retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// JSON array of `{field, code, message}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<&'a RawValue>,
    /// Index of the operation of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<usize>,
    /// The record as it is, on a version conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<&'a RawValue>,
}

impl<'a> ErrorPayload<'a> {
    pub fn new(code: Code, message: &'a str) -> ErrorPayload<'a> {
        let retry = code.retry() == Retry::Later;
        ErrorPayload {
            code: code.as_str(),
            message,
            hint: code.hint(),
            retry,
            retry_after_ms: retry.then_some(1_000),
            errors: None,
            op: None,
            current: None,
        }
    }
}

/// Payload of `connected`, the first frame of every socket. Durations in milliseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedPayload<'a> {
    pub connection_id: String,
    /// Of a stream or of polls: where the client speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    pub user_id: Option<&'a str>,
    /// As whom presence shows a caller with a shared token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<&'a str>,
    /// When the login of the user ends, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Version of the protocol: 1.
    pub protocol: u32,
    pub epoch: &'a Epoch,
    pub seq: Seq,
    /// Of the schema; `schema:changed` announces the next.
    pub generation: Generation,
    /// How often the server pings.
    pub heartbeat: u64,
    pub reconnect_interval: u64,
    pub max_reconnect_interval: u64,
    pub heartbeat_interval: u64,
    pub limits: LimitsPayload,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitsPayload {
    pub subscriptions: usize,
    pub frame_bytes: usize,
    /// Messages that a client may send for long, and at once.
    pub messages_per_second: u32,
    pub message_burst: u32,
}

/// Payload of `drain`: come back after this long.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainPayload {
    pub reconnect_in_ms: u64,
}

/// Payload of `schema:changed`: entities have another shape, and every channel is sent again.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SchemaChangedPayload {
    pub generation: Generation,
}

/// Payload of `lease:held`, of `lease:released` and `lease:lost` without what is none, and of `lease:changed`.
#[derive(Debug, Clone, Serialize)]
pub struct LeasePayload<'a> {
    /// `Task/<id>`
    pub resource: &'a str,
    /// For the holder alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// In RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// In `lease:changed`: who holds it now, or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Option<&'a str>>,
}

/// Payload of `message`.
#[derive(Debug, Clone, Serialize)]
pub struct MessagePayload<'a> {
    pub event: &'a str,
    pub data: &'a serde_json::Value,
}

/// `{"type":"message",…}`: no seq, since nothing of it is stored.
#[derive(Debug, Clone, Serialize)]
pub struct MessageFrame<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub channel: &'a str,
    /// The user who sent it; absent for an anonymous sender and for the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a str>,
    pub timestamp: Timestamp,
    pub payload: MessagePayload<'a>,
}

impl MessageFrame<'_> {
    /// The type of the frame.
    pub const KIND: &'static str = "message";

    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("a message holds strings, a number and JSON").into()
    }
}

/// Payload of `rights:changed`. Empty: it must not tell which channel is open now.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RightsChangedPayload {}

/// `{"type":"snapshot",…,"payload":{"rows":[…]}}` from rows that are JSON already.
pub fn snapshot_json<'r>(
    channel: &str,
    seq: Seq,
    timestamp: Timestamp,
    rows: impl Iterator<Item = &'r Bytes>,
) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"{\"type\":\"snapshot\",\"channel\":");
    write_json_of(channel, &mut out);
    out.extend_from_slice(b",\"seq\":");
    write_json_of(&seq.0, &mut out);
    out.extend_from_slice(b",\"more\":true,\"timestamp\":");
    write_json_of(&timestamp.0, &mut out);
    out.extend_from_slice(b",\"payload\":{\"rows\":[");
    for (index, row) in rows.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(row);
    }
    out.extend_from_slice(b"]}}");
    Bytes::from(out)
}
