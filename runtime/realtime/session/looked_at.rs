//! What an administrator sees of the subscriptions of a session. Nothing follows from looking.

use super::phase::Phase;
use super::state::Session;
use super::subscription::Subscription;
use crate::realtime::channel::Binding;
use crate::realtime::subscription_row::{KnownSight, SubscriptionRow};

impl Session {
    pub fn rows(&self) -> Vec<SubscriptionRow> {
        self.slots.records().map(|(_, subscription)| row(subscription)).collect()
    }
}

fn row(subscription: &Subscription) -> SubscriptionRow {
    let Subscription { channel, phase, since, shown_again, sent, bound, .. } = subscription;
    let known = |bound: &Binding| KnownSight {
        sight: bound.sight.clone(),
        bound_at: bound.at,
        person: bound.person.clone(),
    };
    let sight = bound.as_ref().map(known);
    let (channel, phase) = (channel.text.clone(), word(phase));
    SubscriptionRow { channel, phase, since: *since, shown_again: *shown_again, sent: *sent, sight }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Queued(_) => "queued",
        Phase::Surveying(_) => "resuming",
        Phase::Differing { .. } => "rights changed",
        Phase::Rows { .. } => "snapshot",
        Phase::Following(_) => "catching up",
        Phase::Attaching { .. } | Phase::Joining { .. } => "joining",
        Phase::Live { .. } => "live",
    }
}
