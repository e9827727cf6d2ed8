//! Presence as frames: what changed, who is there, how many, and answers.
//!
//! Knows no receiver: the channel as it calls it, and the form of its transport, come in.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::limits::PAGE;
use super::output::{PresenceChange, PresenceRefusal};
use super::seen::{PresenceCounts, SeenUser};
use crate::ids::Timestamp;
use crate::protocol::server_frame::{ControlFrame, ErrorPayload, RightsChangedPayload};
use crate::protocol::{ResourceName, WireForm};

/// How a receiver takes frames, and when they are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameForm {
    pub(super) form: WireForm,
    pub(super) at: Timestamp,
}

#[derive(Serialize)]
struct UsersPayload<'a> {
    users: &'a [SeenUser],
}

#[derive(Serialize)]
struct SyncPayload<'a> {
    users: &'a [SeenUser],
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<ShownLease<'a>>,
}

#[derive(Serialize)]
struct LeaseNews<'a> {
    lease: Option<ShownLease<'a>>,
}

/// Its number is for the holder alone.
#[derive(Serialize)]
struct ShownLease<'a> {
    holder: &'a str,
}

#[derive(Serialize)]
struct LeftPayload<'a> {
    users: Vec<LeftUser<'a>>,
}

#[derive(Serialize)]
struct LeftUser<'a> {
    id: &'a str,
}

impl FrameForm {
    fn frame(
        self,
        kind: &'static str,
        channel: &str,
        request_id: Option<&str>,
        payload: impl Serialize,
    ) -> Bytes {
        let (channel, timestamp) = (Some(channel), self.at);
        ControlFrame { kind, channel, request_id, seq: None, more: false, payload, timestamp }
            .to_bytes(self.form)
    }

    /// Everyone who is there. All pages but the last say `more`.
    pub(super) fn sync(
        self,
        channel: &str,
        request_id: Option<&str>,
        users: &[SeenUser],
        lease: Option<&str>,
    ) -> Bytes {
        let pages = users.len().div_ceil(PAGE).max(1);
        let mut out = Vec::new();
        for page in 0..pages {
            let (from, to) = (page * PAGE, ((page + 1) * PAGE).min(users.len()));
            let frame = ControlFrame {
                kind: "presence:sync",
                channel: Some(channel),
                request_id,
                seq: None,
                more: page + 1 < pages,
                payload: SyncPayload {
                    users: &users[from..to],
                    lease: lease.map(|holder| ShownLease { holder }),
                },
                timestamp: self.at,
            };
            out.extend_from_slice(&frame.to_bytes(self.form));
        }
        out.into()
    }

    /// The answer to a join whose list follows, in frames that others get, too.
    pub(super) fn list_follows(self, channel: &str, request_id: &str) -> Bytes {
        let payload = SyncPayload { users: &[], lease: None };
        let (channel, request_id, timestamp) = (Some(channel), Some(request_id), self.at);
        ControlFrame { kind: "presence:sync", channel, request_id, seq: None, more: true, payload, timestamp }
            .to_bytes(self.form)
    }

    pub(super) fn change(self, channel: &str, change: &PresenceChange) -> Bytes {
        let mut out = Vec::new();
        for (kind, users) in [("presence:join", &change.joined), ("presence:update", &change.updated)] {
            if !users.is_empty() {
                out.extend_from_slice(&self.frame(kind, channel, None, UsersPayload { users }));
            }
        }
        if !change.left.is_empty() {
            let users = change.left.iter().map(|id: &Arc<str>| LeftUser { id }).collect();
            out.extend_from_slice(&self.frame("presence:leave", channel, None, LeftPayload { users }));
        }
        out.into()
    }

    pub(super) fn lease(self, channel: &str, holder: Option<&str>) -> Bytes {
        let lease = holder.map(|holder| ShownLease { holder });
        self.frame("presence:lease", channel, None, LeaseNews { lease })
    }

    /// It names no resource: it must not say which is open now.
    pub(super) fn rights_changed(self) -> Bytes {
        let (channel, request_id, seq) = (None, None, None);
        let (payload, timestamp) = (RightsChangedPayload {}, self.at);
        ControlFrame { kind: "rights:changed", channel, request_id, seq, more: false, payload, timestamp }
            .to_bytes(self.form)
    }

    pub(super) fn count(self, channel: &str, counts: PresenceCounts) -> Bytes {
        self.frame("presence:count", channel, None, counts)
    }

    /// `subscribed` or `unsubscribed`.
    pub(super) fn answer(self, kind: &'static str, name: &ResourceName, request_id: Option<&str>) -> Bytes {
        self.frame(kind, &name.channel, request_id, json!({}))
    }

    pub(super) fn refusal(self, refusal: &PresenceRefusal) -> Bytes {
        let payload = ErrorPayload::new(refusal.code, &refusal.message);
        self.frame("error", &refusal.channel, refusal.request_id.as_deref(), payload)
    }
}
