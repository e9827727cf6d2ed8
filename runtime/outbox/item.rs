//! What waits in an outbox. The code at its two ends decides what the notes on it mean.

use std::fmt::Debug;

use bytes::Bytes;

/// What the two ends of an outbox tell each other. The outbox carries it and understands none of it.
pub trait Vocabulary: Debug + Clone + Eq + 'static {
    /// What comes with a batch of events.
    type Batch: Debug + Clone + Eq + Send;
    /// What comes with a control frame.
    type Note: Debug + Clone + Eq + Send;
    /// What comes with an ephemeral frame.
    type Ephemeral: Debug + Clone + Eq + Send;
    /// Why everything that was attached is invalid. Of several causes the greatest counts; the default is that the outbox ran over.
    type Cause: Debug + Copy + Ord + Default + Send;
}

/// What waits for the connection, in the bytes of its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<M: Vocabulary> {
    /// Events, which are dropped when the outbox is emptied: the connection gets them elsewhere.
    Batch { frames: Bytes, of: M::Batch },
    /// A frame that answers the client, or none, and what the connection must know of it.
    Control { frame: Bytes, note: Option<M::Note>, on_lag: OnLag },
    /// A frame that is stored nowhere and may be dropped: a message of a room.
    Ephemeral { frame: Bytes, of: M::Ephemeral },
}

/// What becomes of a control frame when the batches in front of it are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnLag {
    Keep,
    /// It names a position that the client would not have reached.
    Drop,
    /// The same answer without a position.
    Replace(Bytes),
}

impl<M: Vocabulary> Item<M> {
    /// The item as it is after the batches in front of it were dropped, if anything is left of it.
    pub(super) fn without_batches(self) -> Option<Item<M>> {
        let (frame, note) = match self {
            Item::Batch { .. } | Item::Control { on_lag: OnLag::Drop, .. } => return None,
            Item::Control { on_lag: OnLag::Replace(other), .. } => (other, None),
            Item::Control { frame, note, on_lag: OnLag::Keep } => (frame, note),
            // These wait in a queue of their own.
            Item::Ephemeral { .. } => return Some(self),
        };
        Some(Item::Control { frame, note, on_lag: OnLag::Keep })
    }
}
