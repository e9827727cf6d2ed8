//! `Writer`: the bytes of a run of events, frame after frame, with the tails that are shared within one batch.
//!
//! Knows neither groups nor outboxes.

use bytes::Bytes;

use super::encode::write_head;
use super::event::Event;
use super::tails::Tails;
use super::units::is_followed;
use crate::ids::Seq;
use crate::protocol::wire::write_text_frame;
use crate::rules::ReadScope;
use crate::store::CommitBatch;

/// See the module's text. Kept from batch to batch, so that the next one need not ask for memory.
#[derive(Debug, Default)]
pub(super) struct Writer {
    head: Vec<u8>,
    tails: Tails,
}

/// Of the groups that have a run, what their bytes depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience<'a> {
    /// A channel's number and text.
    pub(super) text: (u64, &'a str),
    /// Of any of them.
    pub(super) read_scope: &'a ReadScope,
    /// Seq of the event before the batch.
    pub(super) prev: Seq,
}

/// The events of one run.
#[derive(Debug, Clone)]
pub(super) struct Buffer {
    pub(super) frames: Bytes,
    /// Seq of the last of them.
    pub(super) last: Seq,
    /// The position before the batch, and the one after it.
    pub(super) base: Seq,
    pub(super) end: Seq,
}

impl Writer {
    /// `events`: places of changes in the batch, and what they are for the audience.
    pub(super) fn write(
        &mut self,
        batch: &CommitBatch,
        audience: Audience<'_>,
        events: &mut dyn Iterator<Item = (usize, &Event)>,
    ) -> Buffer {
        let Writer { head, tails } = self;
        let mut frames = Vec::with_capacity(512);
        let mut prev = audience.prev;
        let mut events = events.peekable();
        while let Some((at, event)) = events.next() {
            let change = &batch.changes[at];
            let more = is_followed(&batch.changes, at, events.peek().map(|(next, _)| *next));
            head.clear();
            write_head(event.verdict, prev, more, head);
            let tail = tails.tail(change, event, audience.read_scope, audience.text);
            write_text_frame(&[head, tail], &mut frames);
            prev = change.seq;
        }
        let base = Seq(batch.first().0.saturating_sub(1));
        Buffer { frames: Bytes::from(frames), last: prev, base, end: batch.last() }
    }

    /// Ends the batch: how many tails were made for it.
    pub(super) fn end(&mut self) -> usize {
        let made = self.tails.made();
        self.tails.clear();
        made
    }
}
