//! From a change of the log to the WebSocket frame of one channel's event.

use crate::ids::Seq;
use crate::protocol::server_frame::{EventKind, EventTail, write_event_head, write_event_tail};
use crate::protocol::wire::write_text_frame;
use crate::schema::value::write_json_of;
use crate::store::{Change, ChangeOp};

/// Two buffers that are used again for every event.
#[derive(Debug, Default)]
pub struct Encoder {
    head: Vec<u8>,
    tail: Vec<u8>,
    deleted: Vec<u8>,
}

impl Encoder {
    /// Appends the JSON of the event that `change` is for `channel`. A schema marker is no event and appends nothing.
    pub fn write_json(&mut self, change: &Change, channel: &str, prev: Seq, more: bool, out: &mut Vec<u8>) {
        if self.encode(change, channel, prev, more) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(&self.tail);
        }
    }

    /// The same as one WebSocket text frame.
    pub fn write_frame(&mut self, change: &Change, channel: &str, prev: Seq, more: bool, out: &mut Vec<u8>) {
        if self.encode(change, channel, prev, more) {
            write_text_frame(&[&self.head, &self.tail], out);
        }
    }

    fn encode(&mut self, change: &Change, channel: &str, prev: Seq, more: bool) -> bool {
        let Some(kind) = event_kind(change.op) else { return false };
        self.head.clear();
        self.tail.clear();
        self.deleted.clear();
        write_event_head(kind, prev, more, &mut self.head);
        let payload = match (&change.after, kind) {
            (Some(after), EventKind::Created | EventKind::Updated) => &after[..],
            (_, EventKind::Deleted) | (None, _) => {
                self.deleted.extend_from_slice(b"{\"id\":");
                write_json_of(change.id.as_str(), &mut self.deleted);
                self.deleted.push(b'}');
                &self.deleted
            }
        };
        let tail = EventTail {
            channel,
            seq: change.seq,
            by: change.actor.as_deref(),
            mid: change.mid.as_ref().map(|mid| mid.as_str()),
            changed: change.changed.as_deref(),
            timestamp: change.at,
            payload,
        };
        write_event_tail(&tail, &mut self.tail);
        true
    }
}

fn event_kind(op: ChangeOp) -> Option<EventKind> {
    match op {
        ChangeOp::Create => Some(EventKind::Created),
        ChangeOp::Update => Some(EventKind::Updated),
        ChangeOp::Delete => Some(EventKind::Deleted),
        ChangeOp::Schema => None,
    }
}
