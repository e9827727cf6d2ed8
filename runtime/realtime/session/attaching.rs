//! Attaching a subscription to ChannelManager, and what became of it. From there on the subscription receives batches.

use super::phase::{Phase, Replay, Route};
use super::state::Session;
use super::turn::Turn;
use crate::channels::{AttachFrom, AttachmentId};

impl Session {
    /// Attaches wherever ChannelManager is.
    pub(super) fn join(&mut self, turn: &mut Turn, slot: u16) {
        let attachment = AttachmentId { slot, serial: self.slots.next_serial() };
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        let Phase::Queued(Route::Join { request_id }) = &subscription.phase else { return };
        let request_id = request_id.clone();
        subscription.phase = Phase::Joining { attachment, request_id: request_id.clone() };
        turn.extend(subscription.attach(attachment, AttachFrom::Now { request_id }));
    }

    /// What a following subscription has been sent is complete up to `Replay::at`: from here on it receives batches.
    pub(super) fn attach(&mut self, turn: &mut Turn, slot: u16) {
        let (lag, serial) = (self.delivery.lag, self.slots.next_serial());
        let attachment = AttachmentId { slot, serial };
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        let Some(replay) = subscription.phase.replay() else { return };
        subscription.phase = Phase::Attaching { attachment, lag, replay };
        let Replay { at, prev, .. } = replay;
        let from = AttachFrom::After { seq: at, prev, lag, unbroken: replay.unbroken() };
        turn.extend(subscription.attach(attachment, from));
    }

    /// ChannelManager cannot tell what happened since: neither what changed nor whether rights did. Who has read on asks the log,
    /// and with it the rights; who joins is bound again.
    pub(super) fn on_behind(&mut self, attachment: AttachmentId) {
        let Some(subscription) = self.slots.attached(attachment) else { return };
        match &subscription.phase {
            Phase::Attaching { replay, .. } => subscription.phase = Phase::Following(*replay),
            Phase::Joining { request_id, .. } => {
                let request_id = request_id.clone();
                subscription.phase = Phase::Queued(Route::Join { request_id });
                self.reads.wait(subscription.key(attachment.slot));
                self.person.want();
            }
            Phase::Queued(_)
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Live { .. } => {}
        }
    }
}
