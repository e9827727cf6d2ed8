//! What the peer says of presence: handed on to the tracker, which answers through the outbox.
//!
//! Knows neither who is where nor who may be: only that the peer has asked.

use super::input::Effect;
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::presence::Ask;
use crate::protocol::{Code, PresenceAction, PresenceFrame, ResourceName};

impl Session {
    pub(super) fn on_presence(&mut self, turn: &mut Turn, frame: PresenceFrame, request_id: Option<String>) {
        let PresenceFrame { resource, action } = frame;
        self.asked_presence = true;
        let person = self.person.person.clone();
        turn.then(Effect::Presence { ask: Ask { resource, action, request_id }, person });
    }

    /// `subscribe` and `unsubscribe` of a `presence:` channel.
    pub(super) fn watch_presence(
        &mut self,
        turn: &mut Turn,
        channel: &str,
        action: PresenceAction,
        request_id: Option<String>,
    ) {
        match ResourceName::of_channel(channel) {
            Ok(resource) => self.on_presence(turn, PresenceFrame { resource, action }, request_id),
            Err(bad) => {
                let envelope = Envelope::of(channel, request_id.as_deref());
                self.refuse(turn, bad.code, &bad.message, envelope);
            }
        }
    }

    pub(super) fn on_presence_busy(&self, turn: &mut Turn, ask: &Ask) {
        let envelope = Envelope::of(&ask.resource.channel, ask.request_id.as_deref());
        let text = "too many frames about presence wait; send this one again later";
        self.refuse(turn, Code::Overloaded, text, envelope);
    }
}
