//! What the tracker has done about it, in order. Plain values; decides nothing.

use std::sync::Arc;

use super::attendee::AttendeeKey;
use super::input::{Ask, PlaceKey};
use super::seen::{PresenceCounts, SeenUser};
use crate::protocol::{Code, ResourceName};
use crate::rules::Person;

/// See the module's text.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceOutput {
    /// Look up whether the person may see the resource.
    Judge {
        attendee: AttendeeKey,
        place: PlaceKey,
        person: Arc<Person>,
        serial: u64,
    },
    Subscribed {
        attendee: AttendeeKey,
        name: ResourceName,
        request_id: Option<String>,
    },
    Unsubscribed {
        attendee: AttendeeKey,
        name: ResourceName,
        request_id: Option<String>,
    },
    /// An update, a heartbeat or a leave whose sender asked for an answer.
    Done {
        attendee: AttendeeKey,
        name: ResourceName,
        request_id: String,
    },
    Refused {
        attendee: AttendeeKey,
        refusal: PresenceRefusal,
    },
    /// Everyone who is there; replaces whatever waits of this resource.
    Sync {
        place: PlaceKey,
        to: Vec<SyncReceiver>,
        users: Vec<SeenUser>,
        /// Who holds the lease of the record.
        lease: Option<Arc<str>>,
    },
    Changed {
        place: PlaceKey,
        to: Vec<ReceiverName>,
        change: PresenceChange,
    },
    /// Who holds the lease of the record now.
    Lease {
        place: PlaceKey,
        to: Vec<ReceiverName>,
        holder: Option<Arc<str>>,
    },
    Count {
        place: PlaceKey,
        to: Vec<ReceiverName>,
        counts: PresenceCounts,
    },
    /// Nothing of the resource is sent any longer: drop what waits.
    Silence {
        attendee: AttendeeKey,
        place: PlaceKey,
    },
    /// The same, because of a lost right: this receiver is sent an empty list.
    Withdrawn {
        attendee: AttendeeKey,
        place: PlaceKey,
        name: ResourceName,
    },
    /// Rights of the user changed, and the connection was refused something before: it may ask again.
    RightsChanged {
        attendee: AttendeeKey,
    },
    /// A connection without a socket said nothing for too long.
    Lapsed {
        attendee: AttendeeKey,
    },
}

/// Who is sent something, and the channel as they call it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverName {
    pub attendee: AttendeeKey,
    pub channel: Arc<str>,
}

/// Who is sent the whole list, and which joins that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncReceiver {
    pub to: ReceiverName,
    pub answers: Vec<String>,
}

/// What changed at a resource since it was told last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PresenceChange {
    pub joined: Vec<SeenUser>,
    pub updated: Vec<SeenUser>,
    pub left: Vec<Arc<str>>,
}

/// Why a frame was refused, or a resource withdrawn.
#[derive(Debug, Clone, PartialEq)]
pub struct PresenceRefusal {
    pub channel: Arc<str>,
    pub request_id: Option<String>,
    pub code: Code,
    pub message: String,
}

impl PresenceRefusal {
    pub fn of(ask: &Ask, code: Code, message: impl Into<String>) -> PresenceRefusal {
        let (channel, request_id) = (ask.resource.channel.clone(), ask.request_id.clone());
        PresenceRefusal { channel, request_id, code, message: message.into() }
    }
}

impl PresenceChange {
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }
}
