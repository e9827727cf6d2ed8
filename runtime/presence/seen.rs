//! What others see of a user at a resource.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::ids::Timestamp;
use crate::protocol::PresenceState;

/// A user at a resource, merged from their connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenUser {
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub joined_at: Timestamp,
    pub last_seen: Timestamp,
    pub state: PresenceState,
    /// Tabs and devices.
    pub connections: usize,
    pub metadata: Map<String, Value>,
}

/// How many are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PresenceCounts {
    pub users: usize,
    pub connections: usize,
}

impl SeenUser {
    /// The time of the last sign of life shows nothing new.
    pub fn looks_like(&self, other: &SeenUser) -> bool {
        SeenUser { last_seen: other.last_seen, ..self.clone() } == *other
    }
}
