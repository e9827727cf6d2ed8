//! What a change of rights means for a subscription: the difference between what its peer has and what its person may see now
//! (SEMANTICS R3).

use super::phase::{Phase, Replay, Route, SnapshotRequest, TailOf};
use super::state::Session;
use super::subscription::SlotKey;
use super::turn::Turn;
use crate::channels::encode::{Encoder, StepPlace};
use crate::metrics::CatchUp;
use crate::realtime::channel::ChannelRefusal;
use crate::store::{At, Difference, Step, Steps};

impl Session {
    pub(super) fn on_difference(&mut self, turn: &mut Turn, key: SlotKey, difference: At<Difference>) {
        let (at, Difference { principal, steps }) = (difference.seq, difference.value.clone());
        self.learn(turn, difference.map(|_| principal.clone()));
        if self.closing {
            return;
        }
        let Some(subscription) = self.slots.of(key) else { return };
        let Phase::Differing { .. } = subscription.phase else { return };
        let steps = match steps {
            Steps::Failed(error) => return self.suspend(turn, key.slot, &ChannelRefusal::from(error)),
            Steps::Few(steps) => Some(steps),
            Steps::Many => None,
        };
        match subscription.channel.rebind(&principal, at) {
            Ok(bound) => subscription.bound = Some(bound),
            Err(error) => return self.suspend(turn, key.slot, &ChannelRefusal::from(error)),
        }
        let Some(steps) = steps else {
            subscription.phase = Phase::Queued(Route::Rows(SnapshotRequest::of_rights()));
            return self.reads.wait_first(key);
        };
        // The difference has no place among the events, so the next one's `prev` is the last that the peer was sent.
        let prev = subscription.sent;
        subscription.phase = Phase::Following(Replay { at, prev, tail_of: TailOf::Difference });
        self.around.metrics.live.caught_up(CatchUp::Rights);
        let place = StepPlace { channel: &subscription.channel.text, at, timestamp: turn.now.wall };
        write_steps(turn, &mut self.encoder, &steps, place, self.around.config.page_bytes);
        self.attach(turn, key.slot);
    }
}

/// In buffers of about `page_bytes`.
fn write_steps(
    turn: &mut Turn,
    encoder: &mut Encoder,
    steps: &[Step],
    place: StepPlace<'_>,
    page_bytes: usize,
) {
    let mut frames = Vec::new();
    for step in steps {
        encoder.write_step(step, place, &mut frames);
        if frames.len() >= page_bytes {
            turn.write(std::mem::take(&mut frames));
        }
    }
    turn.write(frames);
}
