//! What an administrator sees of a subscription.

use std::sync::Arc;

use crate::channels::Sight;
use crate::ids::Seq;
use crate::rules::Person;

/// One subscription to records or to the activity.
#[derive(Debug, Clone)]
pub struct SubscriptionRow {
    pub channel: Arc<str>,
    /// `live`, or what it waits for.
    pub phase: &'static str,
    /// Its events begin after this position.
    pub since: Option<Seq>,
    /// The last snapshot after that.
    pub shown_again: Option<ShownAgain>,
    /// The peer was sent everything up to here.
    pub sent: Seq,
    /// What it sees, once that is known.
    pub sight: Option<KnownSight>,
}

/// A snapshot in place of events, such as for a connection that fell far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownAgain {
    /// Events were sent up to here.
    pub after: Seq,
    /// The snapshot is as of this position, and events go on after it.
    pub at: Seq,
}

impl SubscriptionRow {
    /// Whether this change reached the peer by its last snapshot, and not as an event.
    pub fn was_in_snapshot(&self, seq: Seq) -> bool {
        self.shown_again.is_some_and(|again| again.after < seq && seq <= again.at)
    }
}

/// What a person sees, by the rights that they had at a position.
#[derive(Debug, Clone)]
pub struct KnownSight {
    pub sight: Sight,
    pub bound_at: Seq,
    pub person: Arc<Person>,
}
