//! Bounds and times of presence.

use std::time::Duration;

use crate::config::RealtimeConfig;

/// Changes of one resource are sent at most this often: ten times a second.
const INTERVAL: Duration = Duration::from_millis(100);
/// A connection without a socket must speak this often.
const LEASE: Duration = Duration::from_secs(75);
/// Users in one `presence:sync`; more follow in further ones.
pub(super) const PAGE: usize = 500;

/// See the module's text.
#[derive(Debug, Clone, Copy)]
pub struct PresenceLimits {
    /// Resources that one connection watches or joined.
    pub entries: usize,
    /// Users of one resource.
    pub members: usize,
    /// Of one entry, as JSON.
    pub metadata_bytes: usize,
    /// How long an entry outlives its connection.
    pub hold: Duration,
    pub lease: Duration,
    /// A connection that said nothing of the resource for this long is idle ...
    pub idle_after: Duration,
    /// ... and then away.
    pub away_after: Duration,
    pub interval: Duration,
    /// A list of more users is made once for all who wait for it, at the next interval.
    pub page: usize,
}

impl PresenceLimits {
    pub fn of(config: &RealtimeConfig) -> PresenceLimits {
        PresenceLimits {
            entries: config.presence_entries,
            members: config.presence_members,
            metadata_bytes: config.presence_metadata_bytes,
            hold: config.presence_hold,
            lease: LEASE,
            idle_after: config.presence_idle_after,
            away_after: config.presence_away_after.max(config.presence_idle_after),
            interval: INTERVAL,
            page: PAGE,
        }
    }
}
