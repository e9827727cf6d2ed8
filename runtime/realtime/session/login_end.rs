//! `LoginEnd`: when the login of the peer ends, and when it is warned. Sends nothing itself.

use std::time::Duration;

use tokio::time::Instant;

use super::input::Now;
use crate::ids::Timestamp;

/// When the login of the peer ends.
#[derive(Debug, Clone)]
pub(super) struct LoginEnd {
    pub(super) expires: Timestamp,
    pub(super) warn_at: Instant,
    pub(super) end_at: Instant,
    pub(super) warned: bool,
}

impl LoginEnd {
    pub(super) fn new(now: Now, expires: Timestamp, warning: Duration) -> LoginEnd {
        let left = Duration::from_millis(u64::try_from(expires.0 - now.wall.0).unwrap_or(0));
        let end_at = now.instant + left;
        LoginEnd { expires, warn_at: now.instant + left.saturating_sub(warning), end_at, warned: false }
    }

    pub(super) fn next_deadline(&self) -> Instant {
        if self.warned { self.end_at } else { self.warn_at }
    }
}
