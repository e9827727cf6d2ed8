//! What can happen to presence. Plain values; decides nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::attendee::{AttendeeKey, Departure, Visitor};
use crate::ids::Timestamp;
use crate::protocol::{PresenceAction, ResourceName};
use crate::rules::ReadScope;
use crate::store::{Change, ChangeOp, CommitBatch};

/// The decoded parts of a resource's name, by which it is known.
pub type PlaceKey = Arc<[String]>;

/// The time of an input, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct PresenceClock {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub enum PresenceInput {
    /// A connection sent a frame.
    Asked {
        attendee: AttendeeKey,
        visitor: Visitor,
        ask: Ask,
    },
    /// The answer to `PresenceOutput::Judge`.
    Judged {
        attendee: AttendeeKey,
        place: PlaceKey,
        serial: u64,
        judgement: PresenceVerdict,
    },
    /// A pong: the connection lives.
    Heard {
        attendee: AttendeeKey,
    },
    Ended {
        attendee: AttendeeKey,
        departure: Departure,
    },
    /// Something was committed that may change who sees what.
    Touched(TouchedPresence),
    /// A receiver could not take what it was sent: what waited of the resource was dropped.
    NoRoom {
        attendee: AttendeeKey,
        place: PlaceKey,
    },
    /// The lease of a record has another holder, or none.
    Leased {
        place: PlaceKey,
        holder: Option<Arc<str>>,
    },
    /// `next_deadline` has come.
    Tick,
}

/// A frame, with the id that its answer repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub resource: ResourceName,
    pub action: PresenceAction,
    pub request_id: Option<String>,
}

/// What a person may do at a resource.
#[derive(Debug, Clone)]
pub enum PresenceVerdict {
    Granted(Grant),
    Refused,
    /// It could not be looked up.
    Failed,
}

/// The person sees who is there.
#[derive(Debug, Clone)]
pub struct Grant {
    pub may_join: bool,
    /// How the person is called.
    pub name: Option<Arc<str>>,
    pub ground: Ground,
}

/// By what the person sees it.
#[derive(Debug, Clone)]
pub enum Ground {
    /// They may read this record: a change of it may end that.
    Record(Arc<ReadScope>),
    /// Only a change of their rights ends it.
    Person,
}

/// What a commit means for presence.
#[derive(Debug, Clone, Default)]
pub struct TouchedPresence {
    /// Their rights may have changed.
    pub people: Vec<Arc<str>>,
    /// Records that were written.
    pub records: Vec<Arc<Change>>,
    /// Nothing that was judged before is certain: the schema changed, or commits were missed.
    pub everything: bool,
}

impl TouchedPresence {
    /// What is announced.
    pub fn of(batch: &CommitBatch) -> TouchedPresence {
        let mut touched = TouchedPresence::default();
        for change in &batch.changes {
            touched.everything |= change.op == ChangeOp::Schema;
            touched.people.extend(change.rights.iter().cloned());
        }
        touched.records.clone_from(&batch.changes);
        touched
    }

    /// What was not heard of.
    pub fn everything() -> TouchedPresence {
        TouchedPresence { everything: true, ..TouchedPresence::default() }
    }
}

impl Ground {
    /// Whether the person sees the resource after a change of its record. `None` where this must be looked up.
    pub fn holds_after(&self, change: &Change) -> Option<bool> {
        match self {
            Ground::Person => Some(true),
            Ground::Record(_) if change.op == ChangeOp::Delete => Some(false),
            Ground::Record(scope) if scope.generation != change.generation => None,
            Ground::Record(scope) => {
                let after = change.rows(&scope.entity).new.as_ref();
                Some(after.is_some_and(|record| scope.sees(record)))
            }
        }
    }
}
