//! `LongPoll`: how a poll waits for the next event. Its channels are attached to an outbox that holds nothing: the first event
//! empties it, and that is the news.
//!
//! Does not know questions and answers.

use std::sync::Arc;

use super::channel::{Binding, Channel};
use crate::channels::group::ConnectionKey;
use crate::channels::{Admission, Attach, AttachFrom, AttachmentId, Channels, Item, Note, Outbox, Watch};
use crate::ids::Seq;
use crate::outbox::OutboxLimits;
use crate::protocol::{Code, WireForm};

/// See the module's text. A client that goes away takes the whole future with it, so the attachments are given back by being
/// dropped.
pub(super) struct LongPoll {
    channels: Channels,
    connection: ConnectionKey,
    outbox: Arc<Outbox>,
}

/// Why a long poll continues.
pub(super) enum Woken {
    /// A channel that was refused may be open now.
    RightsChanged,
    /// There may be something to read, or the time is up.
    News,
    /// The server stops.
    Stopped,
    /// Some channels get no events.
    Refused(Vec<RefusedAttachment>),
}

/// A channel, by its place among those that are watched, that ChannelManager does not take.
pub(super) struct RefusedAttachment {
    pub(super) nth: usize,
    pub(super) code: Code,
}

impl LongPoll {
    pub(super) fn new(channels: Channels, connection: ConnectionKey) -> LongPoll {
        let limits = OutboxLimits { batches: 0, bytes: 0, controls: usize::MAX };
        LongPoll { channels, connection, outbox: Arc::new(Outbox::new(limits, WireForm::Json)) }
    }

    /// Wakes when the channel, the nth of all, gets an event after `at`.
    pub(super) async fn watch(&self, nth: usize, channel: &Channel, bound: &Binding, at: Seq) {
        let attach = Attach {
            connection: self.connection,
            attachment: AttachmentId { slot: u16::try_from(nth).unwrap_or(u16::MAX), serial: 0 },
            channel: channel.text.clone(),
            sight: bound.sight.clone(),
            view: bound.view.clone(),
            interval: channel.interval(),
            watch: bound.watch(),
            // Every poll is a resume of its own.
            admission: Admission::Sought,
            from: AttachFrom::After { seq: at, prev: at, lag: self.outbox.lag(), unbroken: false },
            outbox: self.outbox.clone(),
        };
        self.channels.attach(attach).await;
    }

    /// Wakes by a change of rights.
    pub(super) async fn watch_rights(&self, watch: Watch) {
        let Watch { person, bound_at } = watch;
        self.channels.await_rights(self.connection, self.outbox.clone(), person, Some(bound_at)).await;
    }

    pub(super) async fn woken(&self) -> Woken {
        loop {
            self.outbox.ready().await;
            let drained = self.outbox.drain(usize::MAX);
            let refused: Vec<RefusedAttachment> = drained.items.iter().filter_map(refused).collect();
            if !refused.is_empty() {
                return Woken::Refused(refused);
            }
            let has = |wanted: fn(&Note) -> bool| drained.items.iter().filter_map(note).any(wanted);
            if has(|note| matches!(note, Note::RightsChanged)) {
                return Woken::RightsChanged;
            }
            if drained.invalidated.is_some() || has(|note| matches!(note, Note::Behind { .. })) {
                return Woken::News;
            }
        }
    }
}

impl Drop for LongPoll {
    fn drop(&mut self) {
        self.outbox.close();
        self.channels.forget(self.connection);
    }
}

fn note(item: &Item) -> Option<&Note> {
    match item {
        Item::Control { note, .. } => note.as_ref(),
        Item::Batch { .. } | Item::Ephemeral { .. } => None,
    }
}

fn refused(item: &Item) -> Option<RefusedAttachment> {
    match note(item)? {
        Note::Refused { attachment, code } => {
            Some(RefusedAttachment { nth: usize::from(attachment.slot), code: *code })
        }
        Note::Attached { .. }
        | Note::Behind { .. }
        | Note::Waits { .. }
        | Note::Reached { .. }
        | Note::RightsChanged => None,
    }
}
