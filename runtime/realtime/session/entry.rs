//! The way into a session: one input, and what is to be done about it. Items of the outbox come in by `delivery.rs`.

use super::input::{Effect, Input, Now};
use super::liveness::Pulse;
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::protocol::server_frame::DrainPayload;
use crate::protocol::wire::reconnect_line;
use crate::protocol::{CloseCode, Code, WireForm};

impl Session {
    /// The one entry: what happened in, what to do out. After a `Close` every input is without effect.
    pub fn on(&mut self, now: Now, input: Input<'_>) -> Vec<Effect> {
        let mut turn = Turn::new(now, self.form);
        if !self.closing {
            self.take(&mut turn, input);
            self.settle(&mut turn);
        }
        self.refused.append(&mut turn.take_refused());
        turn.into_effects()
    }

    fn take(&mut self, turn: &mut Turn, input: Input<'_>) {
        let from_peer = matches!(input, Input::Text(_) | Input::Binary | Input::Heard);
        if from_peer && !self.admit(turn) {
            return;
        }
        match input {
            Input::Text(text) => self.on_text(turn, text),
            Input::Start(start) => self.on_start(turn, start),
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
            Input::Login(state) => self.on_login_state(turn, state),
            Input::Renewed { request_id, renewed } => {
                self.on_renewed(turn, request_id.as_deref(), renewed);
            }
            Input::Expelled(why) => self.on_expelled(turn, why),
            Input::PresenceBusy { ask } => self.on_presence_busy(turn, &ask),
            Input::Mutated { request_id, mutated } => self.on_mutated(turn, request_id.as_deref(), mutated),
            Input::Leased { resource, request_id, answer } => {
                self.on_leased(turn, &resource, request_id.as_deref(), answer);
            }
            Input::Published { channel, request_id, published } => {
                self.on_published(turn, &channel, request_id.as_deref(), published);
            }
            Input::Tick => self.on_tick(turn),
            Input::Reshaped(around) => self.on_reshaped(turn, around),
            Input::Drain { reconnect_in_ms } => {
                if self.form == WireForm::EventStream {
                    turn.write(reconnect_line(reconnect_in_ms));
                }
                turn.send("drain", Envelope::default(), DrainPayload { reconnect_in_ms });
                self.close(turn, CloseCode::Restart);
            }
        }
    }

    /// Does what the turn has made due, and starts the next read.
    pub(super) fn settle(&mut self, turn: &mut Turn) {
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
        self.on_login_tick(turn);
        if self.closing {
            return;
        }
        match self.liveness.on_tick(turn.now.instant) {
            Pulse::Nothing => {}
            Pulse::Ping => {
                turn.then(Effect::Ping);
                self.pong(turn, None);
            }
            Pulse::Close => self.close(turn, CloseCode::NoPong),
        }
    }
}
