//! The notes of ChannelManager for a session, in the order of its outbox.

use crate::ids::Seq;
use crate::outbox::{self, Lag, Vocabulary};
use crate::protocol::Code;

/// One attempt of one connection to be in a group. Never used twice within a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttachmentId {
    /// Place of the subscription in its session.
    pub slot: u16,
    pub serial: u32,
}

/// One stay of one connection in a room, or among those who watch a resource. Never used twice within a connection. What waits
/// in the outbox for a stay that ended is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Membership(pub u32);

/// The queue in front of a connection.
pub type Outbox = outbox::Outbox<ChannelNotes>;
/// What waits in it.
pub type Item = outbox::Item<ChannelNotes>;
/// What is taken from it.
pub type Drained = outbox::Drained<ChannelNotes>;

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelNotes;

impl Vocabulary for ChannelNotes {
    type Batch = Events;
    type Note = Note;
    type Ephemeral = Membership;
    type Cause = InvalidationCause;
}

/// What the connection must know of the events of one group and one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events {
    pub attachment: AttachmentId,
    /// Seq of the last of them.
    pub last: Seq,
    /// Everything up to here was appended before them, for every attachment of the connection.
    pub base: Seq,
}

/// What accompanies a control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The attachment is live after `at`.
    Attached { attachment: AttachmentId, at: Seq, lag: Lag },
    /// The ring does not reach back to where the attachment would start, or the rights of its person may have changed
    /// since its read scope was bound: read on and attach again.
    Behind { attachment: AttachmentId },
    /// The attachment is not taken: its subscription ends, and the peer gets `code` for its channel.
    Refused { attachment: AttachmentId, code: Code },
    /// Events after `base` wait until their rate lets them leave. A batch of the attachment ends the wait.
    Waits { attachment: AttachmentId, base: Seq },
    /// A pong said that every live channel has reached `at`.
    Reached { at: Seq, lag: Lag },
    /// The rights of the person changed, and the client gets `rights:changed`.
    RightsChanged,
}

/// Why every attachment of a connection is invalid. What asks for more comes later, and counts where several come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum InvalidationCause {
    /// The outbox ran over: the log has what was dropped.
    #[default]
    Lag,
    /// The rights of the person changed, last at `at`: a read scope that was bound earlier shows too much or too little.
    Rights { at: Seq },
    /// The records have another shape: every subscription starts again.
    Schema,
}
