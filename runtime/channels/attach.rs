//! What a connection asks of ChannelManager when one of its subscriptions is to receive batches.

use std::sync::Arc;
use std::time::Duration;

use super::group::ConnectionKey;
use super::note::{AttachmentId, Outbox};
use super::sight::Sight;
use crate::ids::Seq;
use crate::outbox::Lag;
use crate::protocol::View;

/// Attach a subscription to its group.
#[derive(Debug)]
pub struct Attach {
    pub connection: ConnectionKey,
    pub attachment: AttachmentId,
    pub outbox: Arc<Outbox>,
    /// The channel's exact text.
    pub channel: Arc<str>,
    /// What the subscriber sees, under the schema generation that it was made for.
    pub sight: Sight,
    /// The name of `sight`.
    pub view: View,
    /// The time between two batches of its events, where the schema says so. The same for all who attach to this channel with this view.
    pub interval: Option<Duration>,
    /// The user whose rights `sight` depends on; `None` for an anonymous caller, whose rights cannot change.
    pub watch: Option<Watch>,
    pub admission: Admission,
    pub from: AttachFrom,
}

/// Whether room was found for the subscription before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Sought,
    /// It was live, and would end through no doing of its own: its person's rights changed, it fell behind, or the schema is
    /// another one.
    Granted,
}

/// A person whose rights are watched for as long as the attachment lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    pub person: Arc<str>,
    /// The read scope knows of every change of the person's rights up to here.
    pub bound_at: Seq,
}

/// Where an attachment starts.
#[derive(Debug, Clone)]
pub enum AttachFrom {
    /// At the position of this moment, answered by `subscribed`.
    Now { request_id: Option<String> },
    /// After `seq`, which the connection has written; closed by the channel's `pong`. Void when `lag` is not the
    /// outbox's number any longer. `unbroken`: every event up to the closing `pong` says `more`.
    After { seq: Seq, prev: Seq, lag: Lag, unbroken: bool },
}
