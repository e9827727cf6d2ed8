//! Another schema under a running session: the peer is told, and every subscription starts again from a snapshot of the
//! records in their new shape (SEMANTICS R4, F3).

use super::channel_frames::{scope_of, sight_of};
use super::subscription::{Cause, Phase, Start, slot_number};
use super::{Effect, Moment, Session, Surroundings, control};
use crate::channels::{AttachmentId, From};
use crate::protocol::View;
use crate::protocol::reason::SCHEMA_CHANGED;
use crate::protocol::server_frame::SchemaChangedPayload;

impl Session {
    pub(super) fn on_reshaped(&mut self, now: Moment, around: Surroundings, effects: &mut Vec<Effect>) {
        if around.generation <= self.around.generation {
            return;
        }
        let generation = around.generation;
        self.view = View::everything(generation);
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
        let (channel, request_id) = (subscription.channel.clone(), subscription.request_id());
        let scope = match scope_of(&self.around.schema, &channel) {
            Ok((_, scope)) => scope,
            Err((code, message)) => {
                self.slots[slot] = None;
                self.refuse(now, code, &message, request_id.as_deref(), Some(&channel), effects);
                return;
            }
        };
        self.serial += 1;
        let (serial, view) = (self.serial, self.view.clone());
        let sight = sight_of(&self.around.schema, &scope, self.around.generation);
        let Some(subscription) = self.slots[slot].as_mut() else { return };
        let unanswered = subscription.unanswered();
        subscription.scope = scope.clone();
        subscription.sight = sight.clone();
        subscription.serial = serial;
        subscription.snapshots = 0;
        if let Phase::Joining { .. } = subscription.phase {
            let attachment = AttachmentId { slot: slot_number(slot), serial };
            subscription.phase = Phase::Joining { attachment, request_id: request_id.clone() };
            let from = From::Now { request_id };
            effects.push(Effect::Attach { attachment, channel, scope, sight, view, watch: None, from });
            return;
        }
        let cause = if unanswered { Cause::Asked { request_id } } else { Cause::Lagged };
        subscription.phase = Phase::Queued(Start::Rows { cause, reason: SCHEMA_CHANGED });
        self.waiting.push_back((slot_number(slot), serial));
    }
}
