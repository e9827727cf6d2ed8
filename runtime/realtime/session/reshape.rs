//! Another schema under a running session: the peer gets `schema:changed`, and every subscription starts again from a snapshot of the
//! records in their new shape (SEMANTICS R4, F3).

use super::input::Surroundings;
use super::phase::{Cause, Route, SnapshotRequest};
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::protocol::reason::SCHEMA_CHANGED;
use crate::protocol::server_frame::SchemaChangedPayload;
use crate::realtime::channel::Channel;

impl Session {
    pub(super) fn on_reshaped(&mut self, turn: &mut Turn, around: Surroundings) {
        if around.generation <= self.around.generation {
            return;
        }
        let generation = around.generation;
        self.around = around;
        self.reads.forget_waiting();
        turn.send("schema:changed", Envelope::default(), SchemaChangedPayload { generation });
        self.room_rights_are_old();
        for slot in self.slots.numbers() {
            self.detach(turn, slot);
            self.start_anew(turn, slot);
        }
    }

    /// The subscription under the new schema, or its end where its entity is gone.
    fn start_anew(&mut self, turn: &mut Turn, slot: u16) {
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        let text = &subscription.channel.text;
        match Channel::resolve(&self.around.schema, self.around.generation, text) {
            Ok(channel) => subscription.channel = channel,
            Err(refusal) => return self.end(turn, slot, &refusal),
        }
        let phase = &subscription.phase;
        let request_id = phase.request_id().cloned();
        let route = if phase.joins() {
            Route::Join { request_id }
        } else {
            let unanswered = phase.unanswered();
            let cause = if unanswered { Cause::Asked { request_id } } else { Cause::Lagged };
            Route::Rows(SnapshotRequest { cause, reason: SCHEMA_CHANGED })
        };
        subscription.snapshots = 0;
        // Its columns are those of the schema before.
        subscription.bound = None;
        self.begin(turn, slot, route);
    }
}
