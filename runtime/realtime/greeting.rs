//! The first frame of a connection: `connected`, or the error with which it is refused.
//!
//! Knows no transport but the form of its bytes.

use std::time::Duration;

use bytes::Bytes;

use super::places::NoPlace;
use super::session::Surroundings;
use crate::ids::{ConnectionId, Seq, Timestamp};
use crate::metrics::Refusal;
use crate::protocol::server_frame::{ConnectedPayload, ControlFrame, ErrorPayload, LimitsPayload};
use crate::protocol::wire::reconnect_line;
use crate::protocol::{CloseCode, Code, WireForm};

/// Why a connection was not admitted: the error that it is sent, and the code that closes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotAdmitted {
    pub code: Code,
    pub message: String,
    pub close: CloseCode,
    pub why: Refusal,
}

impl From<NoPlace> for NotAdmitted {
    fn from(full: NoPlace) -> NotAdmitted {
        let why = match full {
            NoPlace::Server(_) => Refusal::Sockets,
            NoPlace::User(_) => Refusal::User,
        };
        let close = CloseCode::TooManyConnections;
        NotAdmitted { code: Code::ConnectionLimit, message: full.to_string(), close, why }
    }
}

/// The first frame of a connection that was admitted.
#[derive(Debug, Clone)]
pub struct Greeting<'a> {
    pub connection: ConnectionId,
    pub user: Option<&'a str>,
    /// When the login of the user ends.
    pub expires: Option<Timestamp>,
    /// The last seq that was sent to subscriptions.
    pub position: Seq,
    pub around: &'a Surroundings,
}

impl Greeting<'_> {
    pub fn to_bytes(&self, form: WireForm, timestamp: Timestamp) -> Bytes {
        let config = &self.around.config;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let heartbeat = match form {
            WireForm::EventStream => config.stream_heartbeat,
            WireForm::WebSocket | WireForm::Json => config.ping_interval,
        };
        let payload = ConnectedPayload {
            connection_id: self.connection.to_string(),
            user_id: self.user,
            expires_at: self.expires.map(Timestamp::rfc3339),
            protocol: 1,
            epoch: &self.around.epoch,
            seq: self.position,
            generation: self.around.generation,
            heartbeat: millis(heartbeat),
            reconnect_interval: millis(config.reconnect_interval),
            max_reconnect_interval: millis(config.max_reconnect_interval),
            heartbeat_interval: millis(heartbeat),
            limits: LimitsPayload {
                subscriptions: config.subscriptions,
                frame_bytes: config.frame_bytes,
                messages_per_second: config.messages_per_second,
                message_burst: config.message_burst,
            },
        };
        let (channel, request_id, seq) = (None, None, None);
        let stream = form == WireForm::EventStream;
        let kind = if stream { "welcome" } else { "connected" };
        let frame = ControlFrame { kind, channel, request_id, seq, more: false, payload, timestamp };
        let frame = frame.to_bytes(form);
        if !stream {
            return frame;
        }
        // It names no position: a browser that comes back before there was one begins anew.
        Bytes::from([format!("id: {}\n", self.connection).as_bytes(), &frame[..]].concat())
    }
}

/// All that a client gets of a stream that it opens while the server stops. Another status would end a browser's attempts for good.
pub fn stopped_stream(reconnect_in: Duration, timestamp: Timestamp) -> Bytes {
    let wait = u64::try_from(reconnect_in.as_millis()).unwrap_or(u64::MAX);
    let payload = ErrorPayload::new(Code::ShuttingDown, "the server is about to stop");
    let (channel, request_id, seq) = (None, None, None);
    let frame = ControlFrame { kind: "error", channel, request_id, seq, more: false, payload, timestamp };
    Bytes::from([reconnect_line(wait), frame.to_bytes(WireForm::EventStream).to_vec()].concat())
}

impl NotAdmitted {
    /// The only frame of a connection that was not.
    pub fn to_bytes(&self, form: WireForm, timestamp: Timestamp) -> Bytes {
        let payload = ErrorPayload::new(self.code, &self.message);
        let (channel, request_id, seq) = (None, None, None);
        ControlFrame { kind: "error", channel, request_id, seq, more: false, payload, timestamp }
            .to_bytes(form)
    }
}
