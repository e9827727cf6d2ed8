//! Another schema under a running session: the peer is told, and every subscription starts again from a snapshot of the
//! records in their new shape (SEMANTICS R4, F3).

use super::subscription::{Cause, Phase, Start, slot_number};
use super::{Effect, Moment, Session, Surroundings, control};
use crate::protocol::reason::SCHEMA_CHANGED;
use crate::protocol::server_frame::SchemaChangedPayload;
use crate::realtime::channel::Channel;

impl Session {
    pub(super) fn on_reshaped(&mut self, now: Moment, around: Surroundings, effects: &mut Vec<Effect>) {
        if around.generation <= self.around.generation {
            return;
        }
        let generation = around.generation;
        self.around = around;
        self.waiting.clear();
        self.retry_at = None;
        effects.push(Effect::Send(control(now, "schema:changed", None, SchemaChangedPayload { generation })));
        for slot in 0..self.slots.len() {
            self.detach(slot, effects);
            self.start_anew(now, slot, effects);
        }
    }

    /// The subscription under the new schema, or its end where its entity is gone.
    fn start_anew(&mut self, now: Moment, slot: usize, effects: &mut Vec<Effect>) {
        let Some(subscription) = &self.slots[slot] else { return };
        let (channel, request_id) = (subscription.channel.text.clone(), subscription.request_id());
        let channel = match Channel::resolve(&self.around.schema, self.around.generation, &channel) {
            Ok(channel) => channel,
            Err(refusal) => return self.end(now, slot_number(slot), &refusal, effects),
        };
        let Some(subscription) = self.slots[slot].as_mut() else { return };
        let cause = if subscription.unanswered() {
            Cause::Asked { request_id: request_id.clone() }
        } else {
            Cause::Lagged
        };
        let joins = matches!(subscription.phase, Phase::Joining { .. } | Phase::Queued(Start::Join { .. }));
        subscription.channel = channel;
        subscription.snapshots = 0;
        // Its columns are those of the schema before.
        subscription.bound = None;
        let start =
            if joins { Start::Join { request_id } } else { Start::Rows { cause, reason: SCHEMA_CHANGED } };
        self.begin_asked(now, slot_number(slot), start, effects);
    }
}
