//! A page of rows: announced once, written in frames, and closed by what changed meanwhile.

use bytes::Bytes;

use super::phase::{Cause, Phase, Replay, SnapshotRequest, TailOf};
use super::state::{PositionFrame, Session};
use super::subscription::SlotKey;
use super::turn::Turn;
use crate::protocol::CloseCode;
use crate::protocol::server_frame::snapshot_json;
use crate::realtime::channel::Checkup;
use crate::realtime::read::CheckedRead;
use crate::store::{At, ListPage, Listed};

impl Session {
    pub(super) fn on_rows(&mut self, turn: &mut Turn, key: SlotKey, page: &CheckedRead<ListPage>) {
        let Some(subscription) = self.slots.of(key) else { return };
        let Phase::Rows { why, first, written, .. } = subscription.phase.clone() else { return };
        let rows = &page.read;
        match subscription.check(page) {
            Checkup::Same => {}
            Checkup::Changed(seq) => return self.on_rights_changed(key.slot, seq),
            Checkup::NotAsked => return self.close(turn, CloseCode::Internal),
        }
        let written = written + rows.value.rows.len();
        let enough = subscription.first_rows.as_ref().is_some_and(|first| written >= first.limit);
        let complete = !rows.value.more || enough;
        let started = first.unwrap_or(rows.seq);
        if first.is_none() {
            subscription.show_rows(started);
        }
        if complete {
            let replay = Replay { at: started, prev: started, tail_of: TailOf::Snapshot };
            subscription.phase = Phase::Following(replay);
        } else {
            let after = rows.value.rows.last().map(Listed::cursor);
            subscription.phase = Phase::Rows { why: why.clone(), first: Some(started), after, written };
            self.reads.wait(key);
        }
        let channel = subscription.channel.text.clone();
        if first.is_none() {
            subscription.snapshots = subscription.snapshots.saturating_add(1);
            self.announce_rows(turn, key.slot, &why, rows);
        }
        write_rows(turn, &channel, rows, self.around.config.page_bytes);
        if complete && started == rows.seq {
            self.attach(turn, key.slot);
        }
        if first.is_none() {
            turn.make_due(self.slots.take_postponed(key.slot));
        }
    }

    fn announce_rows(&self, turn: &mut Turn, slot: u16, why: &SnapshotRequest, rows: &At<ListPage>) {
        let (live, seq) = (&self.around.metrics.live, rows.seq);
        let SnapshotRequest { cause, reason } = why;
        let told = match cause {
            Cause::Asked { request_id } => {
                live.snapshot(reason);
                let more = !rows.value.rows.is_empty();
                let request_id = request_id.as_deref();
                PositionFrame {
                    kind: "subscribed",
                    request_id,
                    seq,
                    recovered: Some(false),
                    reason: None,
                    more,
                }
            }
            Cause::Lagged => {
                live.resynced(reason);
                let (kind, reason) = ("resync", Some(*reason));
                PositionFrame { kind, request_id: None, seq, recovered: None, reason, more: true }
            }
        };
        self.tell_position(turn, slot, told);
    }
}

/// The rows of one page, in frames of about `page_bytes`.
fn write_rows(turn: &mut Turn, channel: &str, rows: &At<ListPage>, page_bytes: usize) {
    let wall = turn.now.wall;
    let mut frame: Vec<&Bytes> = Vec::new();
    let mut size = 0;
    for row in &rows.value.rows {
        frame.push(&row.stored.json);
        size += row.stored.json.len();
        if size >= page_bytes {
            turn.send_json("snapshot", &snapshot_json(channel, rows.seq, wall, frame.drain(..)));
            size = 0;
        }
    }
    if !frame.is_empty() {
        turn.send_json("snapshot", &snapshot_json(channel, rows.seq, wall, frame.into_iter()));
    }
}
