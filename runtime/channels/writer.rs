//! `RunWriter`: the bytes of a run of events in one wire form, frame after frame, with the tails that are shared within one batch.
//!
//! Knows neither groups nor outboxes.

use std::sync::Arc;

use bytes::Bytes;

use super::encode::write_head;
use super::event::Event;
use super::sight::Sight;
use super::tails::{NumberedText, Tails};
use super::units::is_followed;
use crate::ids::Seq;
use crate::protocol::WireForm;
use crate::store::Change;

/// See the module's text. Kept from batch to batch, so that the next one need not ask for memory.
#[derive(Debug, Default)]
pub(super) struct RunWriter {
    head: Vec<u8>,
    tails: Tails,
    /// Buffers that were made for this batch.
    buffers: usize,
}

/// Of the groups that have a run, what their bytes depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) channel: NumberedText<'a>,
    /// Of any of them.
    pub(super) sight: &'a Sight,
    /// Seq of the event before the batch.
    pub(super) prev: Seq,
}

/// What was made for one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded {
    pub(super) tails: usize,
    pub(super) buffers: usize,
}

impl RunWriter {
    /// `events`: places among the changes, and what they are for the audience.
    pub(super) fn write(
        &mut self,
        form: WireForm,
        changes: &[Arc<Change>],
        audience: Audience<'_>,
        events: &mut dyn Iterator<Item = (usize, &Event)>,
    ) -> Bytes {
        self.write_after(Seq::ZERO, form, changes, audience, events)
    }

    /// The same without the events up to `after`; nothing where there are no others.
    pub(super) fn write_after(
        &mut self,
        after: Seq,
        form: WireForm,
        changes: &[Arc<Change>],
        audience: Audience<'_>,
        events: &mut dyn Iterator<Item = (usize, &Event)>,
    ) -> Bytes {
        let RunWriter { head, tails, buffers } = self;
        *buffers += 1;
        let mut frames = Vec::with_capacity(512);
        let mut prev = audience.prev;
        let mut events = events.peekable();
        while let Some((at, event)) = events.next() {
            let change = &changes[at];
            let more = is_followed(changes, at, events.peek().map(|(next, _)| *next));
            head.clear();
            if change.seq > after
                && let Some(kind) = write_head(change, event, prev, more, head)
            {
                let tail = tails.tail(change, event, audience.sight, audience.channel);
                form.write_frame(kind.as_str(), &[head, tail], &mut frames);
            }
            prev = change.seq;
        }
        Bytes::from(frames)
    }

    /// Ends the batch.
    pub(super) fn end(&mut self) -> Encoded {
        let encoded = Encoded { tails: self.tails.made(), buffers: std::mem::take(&mut self.buffers) };
        self.tails.clear();
        encoded
    }
}
