//! The first frame of a connection: `connected`, or the error with which it is refused.
//!
//! Knows no transport but the form of its bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::places::NoPlace;
use super::session::Surroundings;
use crate::identity::IdentityError;
use crate::ids::{ConnectionId, Seq, Timestamp};
use crate::metrics::Refusal;
use crate::protocol::server_frame::{
    ConnectedPayload, ControlFrame, ErrorPayload, LimitsPayload, LoginPayload,
};
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
    /// Of the frame that is answered.
    pub request_id: Option<String>,
}

impl From<IdentityError> for NotAdmitted {
    /// Trouble of the server's own is logged here, once.
    fn from(error: IdentityError) -> NotAdmitted {
        let (code, message) = (error.code(), error.to_string());
        if code == Code::Unauthenticated {
            return NotAdmitted::unauthenticated(message);
        }
        if code == Code::AccountDisabled {
            return NotAdmitted { message, ..NotAdmitted::disabled() };
        }
        let cause = error.cause().unwrap_or_else(|| message.clone());
        if code == Code::StorageDamaged {
            // Told by the store when it was found.
            tracing::debug!(code = code.as_str(), cause, "socket refused");
        } else {
            tracing::error!(code = code.as_str(), cause, "socket refused");
        }
        let (close, why) = (CloseCode::Internal, Refusal::Failure);
        NotAdmitted { code, message, close, why, request_id: None }
    }
}

impl From<NoPlace> for NotAdmitted {
    fn from(full: NoPlace) -> NotAdmitted {
        let why = match full {
            NoPlace::Server(_) => Refusal::Sockets,
            NoPlace::User(_) => Refusal::User,
        };
        let close = CloseCode::TooManyConnections;
        NotAdmitted { code: Code::ConnectionLimit, message: full.to_string(), close, why, request_id: None }
    }
}

/// The first frame of a connection that was admitted.
#[derive(Debug, Clone)]
pub struct Greeting<'a> {
    pub connection: ConnectionId,
    /// By what the peer speaks where it cannot do so on its transport.
    pub session: Option<Arc<str>>,
    /// Of a stream.
    pub first_id: Option<String>,
    pub user: Option<&'a str>,
    /// Of a caller with a shared token.
    pub guest: Option<&'a str>,
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
            session: self.session.as_deref(),
            user_id: self.user,
            guest: self.guest,
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
        match &self.first_id {
            None => frame,
            Some(id) => Bytes::from([format!("id: {id}\n").as_bytes(), &frame[..]].concat()),
        }
    }
}

impl Greeting<'_> {
    /// The answer to the `auth` frame by which the peer came in.
    pub fn after_auth(&self, request_id: Option<&str>, form: WireForm, timestamp: Timestamp) -> Bytes {
        let expires_at = self.expires.map(Timestamp::rfc3339);
        let payload = LoginPayload { user_id: self.user, guest: self.guest, expires_at };
        let (kind, channel, seq) = ("auth:ok", None, None);
        ControlFrame { kind, channel, request_id, seq, more: false, payload, timestamp }.to_bytes(form)
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
    /// A peer whose login is missing or no good.
    pub fn unauthenticated(message: impl Into<String>) -> NotAdmitted {
        let (code, close, why) = (Code::Unauthenticated, CloseCode::Unauthenticated, Refusal::Identity);
        NotAdmitted { code, message: message.into(), close, why, request_id: None }
    }

    pub fn disabled() -> NotAdmitted {
        let (code, close, why) = (Code::AccountDisabled, CloseCode::Refused, Refusal::Identity);
        NotAdmitted { code, message: "this account is disabled".to_owned(), close, why, request_id: None }
    }

    #[must_use]
    pub fn answering(self, request_id: Option<String>) -> NotAdmitted {
        NotAdmitted { request_id, ..self }
    }

    /// The only frame of a connection that was not.
    pub fn to_bytes(&self, form: WireForm, timestamp: Timestamp) -> Bytes {
        let payload = ErrorPayload::new(self.code, &self.message);
        let (channel, request_id, seq) = (None, self.request_id.as_deref(), None);
        ControlFrame { kind: "error", channel, request_id, seq, more: false, payload, timestamp }
            .to_bytes(form)
    }
}
