//! `Turn`: one input's way through the session. Its time, what the loop has to do after it, and the frames for the peer.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;

use super::input::{Effect, Now};
use crate::protocol::server_frame::ControlFrame;
use crate::protocol::{ClientFrame, Code, WireForm};
use crate::refusals::RefusedFrame;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) now: Now,
    form: WireForm,
    effects: Vec<Effect>,
    /// Frames of the peer that waited for an answer which this turn has given.
    due: VecDeque<ClientFrame>,
    refused: Vec<RefusedFrame>,
}

/// What a control frame has beside its payload.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Envelope<'a> {
    pub(super) channel: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
    pub(super) more: bool,
}

impl<'a> Envelope<'a> {
    /// The answer to a request that names no channel.
    pub(super) fn to(request_id: Option<&'a str>) -> Envelope<'a> {
        Envelope { request_id, ..Envelope::default() }
    }

    /// About a channel; the answer to a request, if there was one.
    pub(super) fn of(channel: &'a str, request_id: Option<&'a str>) -> Envelope<'a> {
        Envelope { channel: Some(channel), request_id, more: false }
    }
}

impl Turn {
    pub(super) fn new(now: Now, form: WireForm) -> Turn {
        Turn { now, form, effects: Vec::new(), due: VecDeque::new(), refused: Vec::new() }
    }

    pub(super) fn then(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn extend(&mut self, effects: Option<Effect>) {
        self.effects.extend(effects);
    }

    /// One control frame.
    pub(super) fn send<P: Serialize>(&mut self, kind: &'static str, envelope: Envelope<'_>, payload: P) {
        let Envelope { channel, request_id, more } = envelope;
        let timestamp = self.now.wall;
        let frame = ControlFrame { kind, channel, request_id, seq: None, more, payload, timestamp };
        self.effects.push(Effect::Write(frame.to_bytes(self.form)));
    }

    /// One frame whose JSON is made already.
    pub(super) fn send_json(&mut self, kind: &str, json: &[u8]) {
        self.effects.push(Effect::Write(self.form.frame(kind, json)));
    }

    /// Frames that are made already; none is no effect.
    pub(super) fn write(&mut self, frames: Vec<u8>) {
        if !frames.is_empty() {
            self.effects.push(Effect::Write(Bytes::from(frames)));
        }
    }

    pub(super) fn make_due(&mut self, frames: Vec<ClientFrame>) {
        self.due.extend(frames);
    }

    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn next_due(&mut self) -> Option<ClientFrame> {
        self.due.pop_front()
    }

    /// Notes that the peer is refused something.
    pub(super) fn refused(&mut self, code: Code, message: &str, envelope: Envelope<'_>) -> &mut RefusedFrame {
        self.refused.push(RefusedFrame {
            request_id: envelope.request_id.map(str::to_owned),
            channel: envelope.channel.map(str::to_owned),
            code,
            message: message.to_owned(),
            evidence: None,
        });
        let last = self.refused.len() - 1;
        &mut self.refused[last]
    }

    pub(super) fn take_refused(&mut self) -> Vec<RefusedFrame> {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn into_effects(self) -> Vec<Effect> {
        self.effects
    }
}
