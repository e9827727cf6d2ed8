//! From a change of the log, and what it is for a read scope, to the frame of one channel's event, in the wire form of the
//! members. A tail that several groups share is made once.

use bytes::Bytes;

use super::event::Event;
use super::sight::Sight;
use crate::ids::{RecordId, Seq, Timestamp};
use crate::protocol::WireForm;
use crate::protocol::server_frame::{
    EventCause, EventHead, EventKind, EventPlace, EventTail, write_event_head, write_event_tail,
};
use crate::rules::{Mask, ReadScope, Verdict};
use crate::schema::value::write_json_of;
use crate::store::{ActivityEntry, Change, ChangeCause, Step};

/// The place of an event among the events of its channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelPlace<'a> {
    /// The channel's exact text.
    pub channel: &'a str,
    /// Seq of the previous event.
    pub prev: Seq,
    /// Another event of the same unit follows.
    pub more: bool,
}

/// What a change of a record is for a subscriber.
#[derive(Debug, Clone, Copy)]
struct SeenRecord<'a> {
    verdict: Verdict,
    mask: &'a Mask,
}

/// The position of the difference of a rebind.
#[derive(Debug, Clone, Copy)]
pub struct StepPlace<'a> {
    pub channel: &'a str,
    /// Position at which the records are as they are shown.
    pub at: Seq,
    pub timestamp: Timestamp,
}

/// Makes the frames of one connection. Has two buffers that are used again for every event.
#[derive(Debug)]
pub struct Encoder {
    form: WireForm,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Encoder {
    pub fn new(form: WireForm) -> Encoder {
        Encoder { form, head: Vec::new(), tail: Vec::new() }
    }

    /// Appends the frame of the event that `change` is for a channel.
    pub fn write_event(
        &mut self,
        change: &Change,
        event: &Event,
        sight: &Sight,
        place: ChannelPlace<'_>,
        out: &mut Vec<u8>,
    ) {
        self.head.clear();
        self.tail.clear();
        let Some(kind) = write_head(change, event, place.prev, place.more, &mut self.head) else { return };
        write_tail(change, event, sight, place.channel, &mut self.tail);
        self.form.write_frame(kind.as_str(), &[&self.head, &self.tail], out);
    }

    /// Appends the frame of one step of a difference; nothing for a step that changes nothing.
    pub fn write_step(&mut self, step: &Step, place: StepPlace<'_>, out: &mut Vec<u8>) {
        let Some((kind, cause)) = kind_of(step.verdict) else { return };
        let gone;
        let payload = match (&step.record, kind) {
            (Some(record), EventKind::Created | EventKind::Updated) => &record.json[..],
            (_, EventKind::Deleted | EventKind::Activity) | (None, _) => {
                gone = only_id(&step.id);
                &gone
            }
        };
        self.head.clear();
        self.tail.clear();
        write_event_head(EventHead { kind, cause, prev: None, more: true }, &mut self.head);
        let tail = EventTail {
            channel: place.channel,
            place: EventPlace::At(place.at),
            by: None,
            mid: None,
            changed: None,
            timestamp: place.timestamp,
            payload,
        };
        write_event_tail(&tail, &mut self.tail);
        self.form.write_frame(kind.as_str(), &[&self.head, &self.tail], out);
    }
}

/// The part that every group has for itself, and the type of the frame. A verdict that is no event has none.
pub(super) fn write_head(
    change: &Change,
    event: &Event,
    prev: Seq,
    more: bool,
    out: &mut Vec<u8>,
) -> Option<EventKind> {
    let (kind, cause) = match event {
        Event::Record { verdict: Verdict::Deleted, .. } => {
            let expired = change.cause.map(|ChangeCause::Expired| EventCause::Expired);
            (EventKind::Deleted, expired)
        }
        Event::Record { verdict, .. } => kind_of(*verdict)?,
        Event::Entry(_) => (EventKind::Activity, None),
    };
    write_event_head(EventHead { kind, cause, prev: Some(prev), more }, out);
    Some(kind)
}

/// The part that groups of one channel text share as far as they show the same: it depends on the sight by the event alone.
pub(super) fn write_tail(change: &Change, event: &Event, sight: &Sight, channel: &str, out: &mut Vec<u8>) {
    match (event, sight) {
        (Event::Record { verdict, mask }, Sight::Records { read_scope, .. }) => {
            write_tail_of_record(change, SeenRecord { verdict: *verdict, mask }, read_scope, channel, out);
        }
        (Event::Entry(entry), _) => write_tail_of_entry(entry, channel, out),
        // No activity tells of a record itself.
        (Event::Record { .. }, Sight::Activity(_)) => {}
    }
}

/// The entry says everything, who made it included.
fn write_tail_of_entry(entry: &ActivityEntry, channel: &str, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(256);
    entry.write_json(&mut payload);
    let tail = EventTail {
        channel,
        place: EventPlace::Seq(entry.seq),
        by: None,
        mid: None,
        changed: None,
        timestamp: entry.at,
        payload: &payload,
    };
    write_event_tail(&tail, out);
}

fn write_tail_of_record(
    change: &Change,
    event: SeenRecord<'_>,
    read_scope: &ReadScope,
    channel: &str,
    out: &mut Vec<u8>,
) {
    let SeenRecord { verdict, mask } = event;
    let shown = matches!(verdict, Verdict::Created | Verdict::Entered | Verdict::Updated);
    let payload = match &change.after {
        Some(after) if shown => record_of(change, after, mask, read_scope),
        Some(_) | None => Bytes::from(only_id(&change.id)),
    };
    let changed = match (&change.changed, verdict) {
        (Some(changed), Verdict::Updated) => Some(changed_of(changed, mask, read_scope)),
        _ => None,
    };
    // A user who may no longer read the record learns only that it is gone, not who changed it.
    let told = verdict != Verdict::Lost;
    let tail = EventTail {
        channel,
        place: EventPlace::Seq(change.seq),
        by: change.actor.as_deref().filter(|_| told),
        mid: change.mid.as_ref().filter(|_| told).map(|mid| mid.as_str()),
        changed: changed.as_deref(),
        timestamp: change.at,
        payload: &payload,
    };
    write_event_tail(&tail, out);
}

/// The bytes of the log, where they show what the read scope shows.
fn record_of(change: &Change, after: &Bytes, mask: &Mask, read_scope: &ReadScope) -> Bytes {
    if mask.hides_nothing() && change.generation == read_scope.generation {
        return after.clone();
    }
    match &change.rows(&read_scope.entity).new {
        Some(record) => record.to_json_without(&read_scope.entity, mask.hidden()),
        None => Bytes::from(only_id(&change.id)),
    }
}

/// Without the names of hidden fields. An empty list is still sent: the version changed.
fn changed_of(changed: &Bytes, mask: &Mask, read_scope: &ReadScope) -> Bytes {
    if mask.hides_nothing() {
        return changed.clone();
    }
    let names: Vec<&str> = serde_json::from_slice(changed).unwrap_or_default();
    let hidden = |name: &str| mask.hidden().iter().any(|field| *read_scope.entity.at(*field).name == *name);
    let shown: Vec<&str> = names.into_iter().filter(|name| !hidden(name)).collect();
    let mut out = Vec::with_capacity(changed.len());
    write_json_of(&shown, &mut out);
    Bytes::from(out)
}

fn only_id(id: &RecordId) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    out.extend_from_slice(b"{\"id\":");
    write_json_of(id.as_str(), &mut out);
    out.push(b'}');
    out
}

/// What a verdict is on the wire.
fn kind_of(verdict: Verdict) -> Option<(EventKind, Option<EventCause>)> {
    match verdict {
        Verdict::Nothing => None,
        Verdict::Created => Some((EventKind::Created, None)),
        Verdict::Entered => Some((EventKind::Created, Some(EventCause::Entered))),
        Verdict::Updated => Some((EventKind::Updated, None)),
        Verdict::Left => Some((EventKind::Deleted, Some(EventCause::Left))),
        Verdict::Lost | Verdict::Deleted => Some((EventKind::Deleted, None)),
    }
}
