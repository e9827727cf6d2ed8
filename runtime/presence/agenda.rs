//! `Agenda`: what the tracker has to do at which time. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::attendee::AttendeeKey;
use super::input::PlaceKey;

/// Something that is due. Whether it still matters, the tracker sees when it comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Changes of a resource are sent.
    Flush(PlaceKey),
    /// A receiver that had no room is sent everything.
    Show(AttendeeKey, PlaceKey),
    /// A judgement that failed is tried again.
    Judge(AttendeeKey, PlaceKey),
    /// An entry without a connection ends.
    Hold(AttendeeKey, PlaceKey, Arc<str>),
    /// Users of a resource may be idle now, or away.
    Fade(PlaceKey),
    /// A connection without a socket must have shown life.
    Lease(AttendeeKey),
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Agenda(BTreeSet<(Instant, Due)>);

impl Agenda {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        self.0.insert((at, due));
    }

    /// It is no longer needed.
    pub(super) fn remove(&mut self, at: Instant, due: Due) {
        self.0.remove(&(at, due));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The first that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, due)| due)
    }
}
