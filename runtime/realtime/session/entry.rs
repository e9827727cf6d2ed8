//! The way into a session: one input, or one item of the outbox, and what is to be done about it.

use bytes::Bytes;

use super::input::{Effect, Input, Now};
use super::liveness::Pulse;
use super::phase::{Cause, Phase, ResumeFrom, Route};
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::channels::{Events, InvalidationCause, Item, Note};
use crate::ids::Position;
use crate::outbox::{Invalidated, OnLag};
use crate::protocol::server_frame::DrainPayload;
use crate::protocol::{CloseCode, Code};
use crate::realtime::channel::ChannelRefusal;

impl Session {
    /// The one entry: what happened in, what to do out. After a `Close` every input is without effect.
    pub fn on(&mut self, now: Now, input: Input<'_>) -> Vec<Effect> {
        let mut turn = Turn::new(now, self.form);
        if !self.closing {
            self.take(&mut turn, input);
            self.settle(&mut turn);
        }
        turn.into_effects()
    }

    /// What is to be written of an item that was taken from the outbox; learns from it how far the peer has come.
    pub fn on_item(&mut self, now: Now, item: Item) -> (Option<Bytes>, Vec<Effect>) {
        match item {
            Item::Batch { frames, of } => (self.on_events(of).then_some(frames), Vec::new()),
            Item::Control { frame, note, on_lag } => {
                let mut turn = Turn::new(now, self.form);
                let frame = self.on_note(&mut turn, frame, note, on_lag);
                self.settle(&mut turn);
                (frame.filter(|frame| !frame.is_empty()), turn.into_effects())
            }
        }
    }

    fn take(&mut self, turn: &mut Turn, input: Input<'_>) {
        let from_peer = matches!(input, Input::Text(_) | Input::Binary | Input::Heard);
        if from_peer && !self.admit(turn) {
            return;
        }
        match input {
            Input::Text(text) => self.on_text(turn, text),
            Input::Binary => {
                let text = "the frame is binary; send JSON as text";
                self.refuse(turn, Code::BadFrame, text, Envelope::default());
            }
            Input::Oversized => {
                let text = format!("the frame is larger than {} bytes", self.around.config.frame_bytes);
                self.refuse(turn, Code::FrameTooLarge, &text, Envelope::default());
                self.close(turn, CloseCode::FrameTooLarge);
            }
            Input::Heard => {}
            Input::Invalidated(invalidated) => self.on_invalidated(turn, invalidated),
            Input::Overflowed => self.close(turn, CloseCode::TooSlow),
            Input::Read(answer) => self.on_read(turn, answer),
            Input::Tick => self.on_tick(turn),
            Input::Reshaped(around) => self.on_reshaped(turn, around),
            Input::Drain { reconnect_in_ms } => {
                turn.send("drain", Envelope::default(), DrainPayload { reconnect_in_ms });
                self.close(turn, CloseCode::Restart);
            }
        }
    }

    /// Does what the turn has made due, and starts the next read.
    fn settle(&mut self, turn: &mut Turn) {
        loop {
            while let Some(frame) = turn.next_due() {
                self.on_frame(turn, frame);
            }
            if self.closing {
                break;
            }
            self.start_reading(turn);
            if !turn.has_due() {
                break;
            }
        }
        if self.delivery.catching_up.is_some() && self.slots.all_live(self.delivery.lag) {
            self.delivery.catching_up = None;
        }
    }

    /// Whether one more message of the peer, of whatever kind, is within its cap; otherwise the connection ends.
    fn admit(&mut self, turn: &mut Turn) -> bool {
        self.liveness.heard();
        let within = self.rate.admit(turn.now.instant);
        if !within {
            let text = format!("more than {} messages a second", self.around.config.messages_per_second);
            self.refuse(turn, Code::RateLimited, &text, Envelope::default());
            let again =
                if self.offended { CloseCode::TooManyMessagesAgain } else { CloseCode::TooManyMessages };
            self.close(turn, again);
        }
        within
    }

    fn on_tick(&mut self, turn: &mut Turn) {
        self.reads.on_tick(turn.now.instant);
        match self.liveness.on_tick(turn.now.instant) {
            Pulse::Nothing => {}
            Pulse::Ping => {
                turn.then(Effect::Ping);
                self.pong(turn, None);
            }
            Pulse::Close => self.close(turn, CloseCode::NoPong),
        }
    }

    /// A live subscription continues from the peer's position. A channel that a change of rights does not concern missed nothing by
    /// it but what the ring holds, so the person is looked at first, once for all of them.
    fn on_invalidated(&mut self, turn: &mut Turn, invalidated: Invalidated<InvalidationCause>) {
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
                self.person.rights_were_told();
                Some(frame)
            }
        }
    }
}
