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
    /// The peer was sent everything up to here.
    pub sent: Seq,
    /// What it sees, once that is known.
    pub sight: Option<KnownSight>,
}

/// What a person sees, by the rights that they had at a position.
#[derive(Debug, Clone)]
pub struct KnownSight {
    pub sight: Sight,
    pub bound_at: Seq,
    pub person: Arc<Person>,
}
