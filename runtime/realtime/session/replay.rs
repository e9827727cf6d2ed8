//! A page of the log, for all subscriptions that follow it.

use std::sync::Arc;

use super::phase::{Cause, Phase, Route, SnapshotRequest};
use super::state::Session;
use super::subscription::Subscription;
use super::turn::Turn;
use crate::channels::encode::{ChannelPlace, Encoder};
use crate::channels::{UnitEvent, judge_first};
use crate::ids::Seq;
use crate::protocol::CloseCode;
use crate::protocol::reason::{BELOW_FLOOR, SCHEMA_CHANGED};
use crate::realtime::channel::Checkup;
use crate::realtime::read::CheckedRead;
use crate::store::{Change, ChangeOp, LogPage};

impl Session {
    /// A page of the log after `after`. Who fell behind `after` while it was read has no part in it, nor has one whose rights
    /// changed unknown to their read scope.
    pub(super) fn on_log(&mut self, turn: &mut Turn, after: Seq, page: &CheckedRead<LogPage>) {
        let read = &page.read;
        let (changes, to) = match &read.value {
            LogPage::Changes { changes, to } => (changes, *to),
            LogPage::BelowFloor => return self.on_below_floor(turn, read.floor),
        };
        let readers = self.readers(after, page);
        let mut frames = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            if change.op == ChangeOp::Schema {
                self.restart_followers(change.seq, SCHEMA_CHANGED);
                continue;
            }
            for slot in &readers {
                let Some(subscription) = self.slots.at_mut(*slot) else { continue };
                write_event(subscription, &changes[at..], &mut self.encoder, &mut frames);
            }
        }
        turn.write(frames);
        for slot in readers {
            let phase = self.slots.at_mut(slot).map(|subscription| &mut subscription.phase);
            let Some(Phase::Following(replay)) = phase else { continue };
            replay.at = replay.at.max(to);
            // Only the head of a reading is sure to be the end of a batch. A subscription that is ahead of this
            // reading may stand inside one, and would be handed its beginning again.
            if replay.at == read.seq {
                self.attach(turn, slot);
            }
        }
    }

    /// Who is shown this page.
    fn readers(&mut self, after: Seq, page: &CheckedRead<LogPage>) -> Vec<u16> {
        let mut readers = Vec::new();
        for slot in self.slots.numbers() {
            let Some(subscription) = self.slots.at_mut(slot) else { continue };
            if subscription.phase.replay().is_none_or(|replay| replay.at < after) {
                continue;
            }
            match subscription.check(page) {
                Checkup::Same => readers.push(slot),
                Checkup::Changed(seq) => self.on_rights_changed(slot, seq),
                Checkup::NotAsked => {}
            }
        }
        readers
    }

    /// Who has not come past `seq` starts again from a snapshot.
    fn restart_followers(&mut self, seq: Seq, reason: &'static str) {
        for (slot, subscription) in self.slots.records_mut() {
            if subscription.phase.replay().is_some_and(|replay| replay.at < seq) {
                let anew = SnapshotRequest { cause: Cause::Lagged, reason };
                subscription.phase = Phase::Queued(Route::Rows(anew));
                self.reads.wait(subscription.key(slot));
            }
        }
    }

    fn on_below_floor(&mut self, turn: &mut Turn, floor: Seq) {
        // A snapshot that ends below the floor is taken once more; a second one in a row could repeat forever.
        let hopeless = self.slots.records().any(|(_, subscription)| {
            subscription.snapshots >= 2 && subscription.phase.replay().is_some_and(|replay| replay.at < floor)
        });
        if hopeless {
            self.close(turn, CloseCode::TooSlow);
        } else {
            self.restart_followers(floor, BELOW_FLOOR);
        }
    }
}

/// What the first of these changes is for a subscription that has not come so far; the rest follows it in the log.
fn write_event(
    subscription: &mut Subscription,
    changes: &[Arc<Change>],
    encoder: &mut Encoder,
    frames: &mut Vec<u8>,
) {
    let Some(change) = changes.first() else { return };
    let (Phase::Following(replay), Some(bound)) = (&mut subscription.phase, &subscription.bound) else {
        return;
    };
    if replay.at >= change.seq {
        return;
    }
    let judged = judge_first(changes, &bound.sight);
    let Some(UnitEvent { event, more }) = judged else { return };
    let more = more || replay.unbroken();
    let place = ChannelPlace { channel: &subscription.channel.text, prev: replay.prev, more };
    encoder.write_event(change, &event, &bound.sight, place, frames);
    replay.prev = change.seq;
    subscription.sent = change.seq;
}
