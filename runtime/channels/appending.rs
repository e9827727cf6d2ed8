//! How what a batch is for a group reaches the outboxes of its members, and what is counted of it.

use bytes::Bytes;

use super::group::{Group, Member, MemberKey};
use super::note::{Events, Note};
use crate::ids::Seq;
use crate::outbox::{Appended, OnLag};
use crate::protocol::WireForm;

/// Counts of one fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FannedOut {
    /// Groups that a change was held against, counted for each change.
    pub judged: usize,
    /// An event of one group counts once, however many members it has.
    pub events: usize,
    /// Tails that were made for these events.
    pub encodings: usize,
    /// Buffers that were made: one for each run of events and each wire form that a member uses.
    pub buffers: usize,
    /// Buffers appended to an outbox, each with all events of its group in the batch.
    pub deliveries: usize,
    /// Outboxes that were emptied.
    pub lags: usize,
    /// Connections that were invalidated because rights of their person changed.
    pub invalidated: usize,
}

/// How far a batch reaches for one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Seq of the group's last event.
    pub(super) last: Seq,
    /// Everything up to here was sent to every group.
    pub(super) base: Seq,
    /// The position before the batch, and the one after it.
    pub(super) start: Seq,
    pub(super) end: Seq,
}

/// `frames` makes the group's events in a form, if that was not done yet; for a member that came while they waited, only those
/// after its beginning.
pub(super) fn append(
    group: &Group,
    extent: Extent,
    frames: &mut dyn FnMut(WireForm, Option<Seq>) -> Bytes,
    swept: &mut Vec<MemberKey>,
    counts: &mut FannedOut,
) {
    let Extent { last, base, start, end } = extent;
    for (key, Member { outbox, lag, from }) in group.members.iter().filter(|(_, member)| end > member.from) {
        let events = Events { attachment: key.1, last, base };
        // An outbox that holds no batches is woken by one, whatever is in it.
        let behind = Some(*from).filter(|from| *from > start);
        let frames = if outbox.holds_batches() { frames(outbox.form(), behind) } else { Bytes::new() };
        if frames.is_empty() && outbox.holds_batches() {
            continue;
        }
        match outbox.append_batch(*lag, frames, events) {
            Appended::Queued => counts.deliveries += 1,
            Appended::FellBehind => {
                // A poll that waits for its first event is no reader that fell behind.
                counts.lags += usize::from(outbox.holds_batches());
                swept.push(*key);
            }
            Appended::Void => swept.push(*key),
        }
    }
}

/// Notifies the streams of a group that events after `base` wait for them. False if there is one to which nothing up to `end` is
/// anything.
pub(super) fn tell_waiting(group: &Group, base: Seq, end: Seq) -> bool {
    let mut all = true;
    let is_stream = |member: &Member| member.outbox.form() == WireForm::EventStream;
    for ((_, attachment), member) in group.members.iter().filter(|(_, member)| is_stream(member)) {
        if member.from < end {
            let note = Note::Waits { attachment: *attachment, base };
            member.outbox.append_control(Bytes::new(), Some(note), OnLag::Drop);
        } else {
            all = false;
        }
    }
    all
}
