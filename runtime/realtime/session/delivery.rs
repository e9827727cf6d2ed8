//! What comes out of the outbox: events, notes of ChannelManager, and that it was emptied. From each the session learns how far its peer
//! has come.

use bytes::Bytes;

use super::input::{Effect, Now, Passed};
use super::phase::{Cause, Phase, ResumeFrom, Route};
use super::state::Session;
use super::turn::Turn;
use crate::channels::{Events, InvalidationCause, Item, Note};
use crate::ids::Position;
use crate::outbox::{Invalidated, OnLag};
use crate::realtime::channel::ChannelRefusal;

impl Session {
    /// What is to be written of an item that was taken from the outbox; learns from it how far the peer has come.
    pub fn on_item(&mut self, now: Now, item: Item) -> Passed {
        match item {
            Item::Batch { frames, of } => {
                Passed { frame: self.on_events(of).then_some(frames), effects: Vec::new() }
            }
            Item::Ephemeral { frame, of } => {
                Passed { frame: self.rooms.has(of).then_some(frame), effects: Vec::new() }
            }
            Item::Control { frame, note, on_lag } => {
                let mut turn = Turn::new(now, self.form);
                let frame = self.on_note(&mut turn, frame, note, on_lag);
                self.settle(&mut turn);
                self.refused.append(&mut turn.take_refused());
                Passed { frame: frame.filter(|frame| !frame.is_empty()), effects: turn.into_effects() }
            }
        }
    }

    /// A live subscription continues from the peer's position. A channel that a change of rights does not concern missed nothing by
    /// it but what the ring holds, so the person is looked at first, once for all of them.
    pub(super) fn on_invalidated(&mut self, turn: &mut Turn, invalidated: Invalidated<InvalidationCause>) {
        let Invalidated { lag, cause } = invalidated;
        let (swept, old) = (self.delivery.swept, self.delivery.lag);
        self.delivery.lag = lag;
        let live = &self.around.metrics.live;
        for (slot, subscription) in self.slots.records_mut() {
            if let Some(attachment) = subscription.invalidated(lag) {
                live.voided.inc();
                self.delivery.catching_up.get_or_insert_with(|| live.catching_up());
                // A quiet group would otherwise keep the invalid member until its next event.
                turn.then(Effect::Detach { attachment });
            }
            let Some(since) = subscription.fall_behind(lag, old, swept) else { continue };
            subscription.phase = Phase::Queued(match cause {
                InvalidationCause::Rights { at } => Route::Rebind { since, rights: at },
                InvalidationCause::Lag | InvalidationCause::Schema => Route::Survey(ResumeFrom {
                    cause: Cause::Lagged,
                    since: Position { epoch: self.around.epoch.clone(), seq: since },
                    view: None,
                }),
            });
            self.reads.wait(subscription.key(slot));
        }
        if let InvalidationCause::Rights { at } = cause {
            self.person.want_of(at);
        }
    }

    /// Whether the peer is shown them.
    fn on_events(&mut self, events: Events) -> bool {
        let Events { attachment, last, base } = events;
        let Some(subscription) = self.slots.attached(attachment) else { return false };
        if subscription.advance(last) == Some(self.delivery.lag) {
            self.delivery.swept = self.delivery.swept.max(base);
        }
        true
    }

    fn on_note(&mut self, turn: &mut Turn, frame: Bytes, note: Option<Note>, on_lag: OnLag) -> Option<Bytes> {
        match note {
            None => Some(frame),
            Some(Note::Attached { attachment, at, lag }) => {
                self.slots.attached(attachment)?.go_live(attachment, at, lag);
                turn.make_due(self.slots.take_postponed(attachment.slot));
                Some(frame)
            }
            Some(Note::Behind { attachment }) => {
                self.on_behind(attachment);
                None
            }
            Some(Note::Refused { attachment, code }) => {
                self.slots.attached(attachment)?;
                self.suspend(turn, attachment.slot, &ChannelRefusal::of_attachment(code));
                None
            }
            Some(Note::Waits { attachment, base }) => {
                let subscription = self.slots.attached(attachment)?;
                subscription.waits = Some(subscription.waits.map_or(base, |waits| waits.min(base)));
                None
            }
            Some(Note::Reached { at, lag }) if self.slots.all_live(self.delivery.lag) => {
                self.slots.records_mut().for_each(|(_, subscription)| subscription.reached(at, lag));
                Some(frame)
            }
            // A channel came after the pong was asked for and is not live: its client must not move past what it
            // has yet to be sent.
            Some(Note::Reached { .. }) => match on_lag {
                OnLag::Replace(bare) => Some(bare),
                OnLag::Keep | OnLag::Drop => None,
            },
            Some(Note::RightsChanged) => {
                let told = self.person.rights_were_told();
                self.room_rights_are_old();
                told.then_some(frame)
            }
        }
    }
}
