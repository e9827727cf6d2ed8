//! What an administrator sees of the groups. Nothing follows from looking.

use std::sync::Arc;

use crate::ids::Seq;
use crate::protocol::View;

/// All groups at one moment.
#[derive(Debug, Clone)]
pub struct LookedAtGroups {
    /// Those with the most subscribers, largest first.
    pub groups: Vec<GroupRow>,
    /// Of all groups.
    pub count: usize,
    /// The last seq that was sent to subscriptions.
    pub position: Seq,
}

/// Subscriptions with the same channel text and the same view.
#[derive(Debug, Clone)]
pub struct GroupRow {
    pub channel: Arc<str>,
    pub view: View,
    pub subscribers: usize,
    /// Since the group began.
    pub events: u64,
    /// Of the last event, or where the group began.
    pub position: Seq,
}
