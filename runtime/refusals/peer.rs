//! `RefusedPeer`: a connection whose frames may be refused, by itself or by presence, which answers for itself.

use std::sync::Arc;

use super::memory::{KeptRefusal, Refusals, RefusedCaller, RefusedOperation};
use crate::ids::{ConnectionId, Timestamp};
use crate::metrics::Via;
use crate::protocol::Code;
use crate::store::Evidence;

/// See the module's text.
#[derive(Debug, Clone)]
pub struct RefusedPeer {
    pub refusals: Arc<Refusals>,
    /// That the peer was told.
    pub connection: ConnectionId,
    pub via: Via,
    pub caller: RefusedCaller,
}

/// What the peer was refused.
#[derive(Debug)]
pub struct RefusedFrame {
    pub request_id: Option<String>,
    pub channel: Option<String>,
    pub code: Code,
    pub message: String,
    /// Of a mutation or a lease.
    pub evidence: Option<Box<Evidence>>,
}

impl RefusedPeer {
    /// Keeps it under the id of its request and of the connection.
    pub fn keep(self, at: Timestamp, refused: RefusedFrame) {
        let RefusedFrame { request_id, channel, code, message, evidence } = refused;
        let id = request_id.map(|request| format!("{request}@{}", self.connection)).unwrap_or_default();
        // A message about a frame may repeat what is in it.
        let message = (code != Code::BadFrame && code != Code::ValidationFailed).then_some(message);
        self.refusals.keep(KeptRefusal {
            id,
            at,
            via: self.via,
            caller: Some(self.caller),
            operation: RefusedOperation::Frame { channel },
            code,
            message,
            cause: None,
            evidence,
        });
    }
}
