//! What one connection says of itself at one resource, and how several of them look as one user.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::input::{Ground, PresenceClock};
use super::limits::PresenceLimits;
use crate::ids::Timestamp;
use crate::protocol::PresenceState;

#[derive(Debug)]
pub(super) struct PresenceEntry {
    pub(super) metadata: Arc<Map<String, Value>>,
    /// Of several connections the one that spoke last wins.
    pub(super) order: u64,
    /// What the client said last of how busy it is.
    pub(super) said: Option<PresenceState>,
    pub(super) active_at: Instant,
    pub(super) seen_at: Timestamp,
    pub(super) joined_at: Timestamp,
    /// Its connection is gone and may come back.
    pub(super) held: bool,
    pub(super) ground: Ground,
}

impl PresenceEntry {
    pub(super) fn state(&self, now: PresenceClock, limits: &PresenceLimits) -> PresenceState {
        let quiet = now.instant.saturating_duration_since(self.active_at);
        let by_time = match quiet {
            quiet if quiet >= limits.away_after => PresenceState::Away,
            quiet if quiet >= limits.idle_after => PresenceState::Idle,
            _ => PresenceState::Active,
        };
        by_time.max(self.said.unwrap_or(PresenceState::Active))
    }

    /// When it may look otherwise by the time alone; `None` once it is away.
    pub(super) fn next_fade(&self, now: Instant, limits: &PresenceLimits) -> Option<Instant> {
        [self.active_at + limits.idle_after, self.active_at + limits.away_after]
            .into_iter()
            .find(|at| *at > now)
    }
}

/// Shallow: each key replaces the one before, `null` takes it away.
pub(super) fn merge(old: &Map<String, Value>, news: Map<String, Value>) -> Map<String, Value> {
    let mut merged = old.clone();
    for (key, value) in news {
        if value.is_null() {
            merged.remove(&key);
        } else {
            merged.insert(key, value);
        }
    }
    merged
}

/// As JSON.
pub(super) fn metadata_bytes(metadata: &Map<String, Value>) -> usize {
    serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len())
}
