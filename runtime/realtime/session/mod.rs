//! The session: what one peer is subscribed to and how far it has come. Pure and neutral to the transport: `on` takes what happened
//! and returns what to do; nothing here reads a clock, a store or a socket. It counts what it decides, and never reads a count.
//!
//! The life of a subscription:
//!
//! ```text
//! subscribe ──────────────► Joining ───────────────────────────────────────────► Live
//! subscribe {since} ──► Queued ─► Surveying ─► Following ─► Attaching ──────────► Live
//! subscribe {snapshot} ► Queued ─► Rows ─────► Following ─► Attaching ──────────► Live
//! outbox lagged:  Live ► Queued ─► Surveying ─► Following (or Rows) ─► Attaching ► Live
//! ```
//!
//! A subscription is bound to what its person may see. Every read tells whether the rights of the person changed since; then
//! nothing of what was read is shown (SEMANTICS R3), and by what the peer has been shown under the old read scope the subscription
//! goes on:
//!
//! ```text
//! nothing yet: Joining, Surveying or Rows after a `subscribe` ─► Queued, bound anew, the same again
//! a state at a position: Live, Following ─────────► Queued ─► Differing ─► Attaching (or Rows) ─► Live
//! half a snapshot: Rows, Following as its tail ───► Queued, bound anew ─► Rows ─► …
//! ```

mod channel_frames;
mod liveness;
mod pages;
mod reading;
mod reshape;
mod rights;
mod subscription;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use self::liveness::Liveness;
use self::subscription::{Phase, Subscription};
use super::channel::Refusal;
use super::rate::RateCap;
pub use super::read::{Read, ReadAnswer};
use crate::channels::encode::Encoder;
use crate::channels::{Admission, AttachmentId, Events, From, Item, Note, Watch};
use crate::config::RealtimeConfig;
use crate::ids::{Epoch, Seq, Timestamp};
use crate::metrics::{Counted, Metrics, Via};
use crate::outbox::{Lag, OnLag};
use crate::protocol::server_frame::{ControlFrame, DrainPayload, ErrorPayload, PongPayload};
use crate::protocol::{ClientFrame, ClientMessage, CloseCode, Code, View};
use crate::rules::{Person, Principal, ReadScope};
use crate::schema::{Generation, Schema};
use crate::store::{At, Scope};

/// What a session must know of the process it lives in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub schema: Arc<Schema>,
    pub generation: Generation,
    pub epoch: Epoch,
    pub config: Arc<RealtimeConfig>,
    pub metrics: Arc<Metrics>,
}

/// The time of an input.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// How a session begins.
#[derive(Debug, Clone, Copy)]
pub struct SessionStart {
    pub at: Instant,
    /// The transport, as errors are counted.
    pub via: Via,
    /// The peer was closed for too many messages a short while ago.
    pub offended: bool,
}

/// What can happen to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame, which the protocol does not have.
    Binary,
    /// A frame over the limit; the transport cannot go on after it.
    Oversized,
    /// A ping or pong of the transport: the peer lives.
    Heard,
    /// The outbox was emptied.
    Lagged(Lag),
    /// The outbox could not hold another control frame.
    Overflowed,
    /// The answer to the one `Effect::Read` that is under way.
    Read(ReadAnswer),
    /// `next_deadline` has come.
    Tick,
    /// Entities have another shape from here on.
    Reshaped(Surroundings),
    /// The server stops; come back after so many milliseconds.
    Drain { reconnect_in_ms: u64 },
}

/// What the transport has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send this JSON as one frame.
    Send(Bytes),
    /// Write these bytes, which are WebSocket frames already.
    Write(Bytes),
    Attach {
        attachment: AttachmentId,
        channel: Arc<str>,
        scope: Scope,
        read_scope: Arc<ReadScope>,
        view: View,
        watch: Option<Watch>,
        admission: Admission,
        from: From,
    },
    Detach {
        attachment: AttachmentId,
    },
    /// Have ChannelManager answer with a `pong`.
    Pong {
        request_id: Option<String>,
        lag: Lag,
    },
    /// Have ChannelManager tell once that rights of the person changed after `known`, or after this moment.
    AwaitRights {
        person: Arc<str>,
        known: Option<Seq>,
    },
    /// Start this read; its answer comes back as `Input::Read`. There is never a second one under way.
    Read(Read),
    /// Send a ping of the transport.
    Ping,
    Close(CloseCode),
}

/// See the module's text.
#[derive(Debug)]
pub struct Session {
    around: Surroundings,
    person: Arc<Person>,
    /// What is known of the person; each subscription may have been bound to it, or to an earlier state of it.
    known: At<Principal>,
    /// It may be out of date where it matters: to be read before any subscription is bound.
    principal_wanted: bool,
    /// A channel was refused, and the peer is to be told when the rights of its person change.
    awaiting_rights: bool,
    slots: Vec<Option<Subscription>>,
    serial: u32,
    /// Slots that wait for a survey or for rows, first come first served.
    waiting: VecDeque<(u16, u32)>,
    reading: Option<Reading>,
    /// The last read was of the log, so rows and surveys go first now.
    read_log_last: bool,
    retry_at: Option<Instant>,
    lag: Lag,
    /// From falling behind until every channel is live again.
    catching_up: Option<Counted>,
    /// Every live subscription under `lag` has been sent everything up to here.
    swept: Seq,
    liveness: Liveness,
    rate: RateCap,
    encoder: Encoder,
    via: Via,
    offended: bool,
    closing: bool,
}

/// For whom the read under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Slot(u16, u32),
    /// For the whole session.
    Principal,
    /// The log after this seq, for those who stood there or further when the read began.
    Log(Seq),
}

impl Session {
    /// `known`: the principal at the other end; nobody's is never read again.
    pub fn new(around: Surroundings, known: At<Principal>, start: SessionStart) -> Session {
        let config = around.config.clone();
        let SessionStart { at: now, via, offended } = start;
        Session {
            around,
            person: known.value.person.clone(),
            known,
            principal_wanted: false,
            awaiting_rights: false,
            slots: Vec::new(),
            serial: 0,
            waiting: VecDeque::new(),
            reading: None,
            read_log_last: false,
            retry_at: None,
            lag: Lag::default(),
            catching_up: None,
            swept: Seq::ZERO,
            liveness: Liveness::new(now, config.ping_interval, config.pong_timeout, config.send_buffer_bytes),
            rate: RateCap::new(config.messages_per_second, config.message_burst),
            encoder: Encoder::default(),
            via,
            offended,
            closing: false,
        }
    }

    /// The one entry: what happened in, what to do out. After a `Close` every input is without effect.
    pub fn on(&mut self, now: Moment, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.closing {
            return effects;
        }
        let from_peer = matches!(input, Input::Text(_) | Input::Binary | Input::Heard);
        if from_peer && !self.admit(now, &mut effects) {
            return effects;
        }
        match input {
            Input::Text(text) => self.on_text(now, text, &mut effects),
            Input::Binary => {
                let text = "the frame is binary; send JSON as text";
                self.refuse(now, Code::BadFrame, text, None, None, &mut effects);
            }
            Input::Oversized => {
                let text = format!("the frame is larger than {} bytes", self.around.config.frame_bytes);
                self.refuse(now, Code::FrameTooLarge, &text, None, None, &mut effects);
                self.close(CloseCode::FrameTooLarge, &mut effects);
            }
            Input::Heard => {}
            Input::Lagged(lag) => self.on_lagged(lag, &mut effects),
            Input::Overflowed => self.close(CloseCode::TooSlow, &mut effects),
            Input::Read(answer) => self.on_read(now, answer, &mut effects),
            Input::Tick => self.on_tick(now, &mut effects),
            Input::Reshaped(around) => self.on_reshaped(now, around, &mut effects),
            Input::Drain { reconnect_in_ms } => {
                effects.push(Effect::Send(control(now, "drain", None, DrainPayload { reconnect_in_ms })));
                self.close(CloseCode::Restart, &mut effects);
            }
        }
        if !self.closing {
            self.start_reading(now, &mut effects);
        }
        self.count_caught_up();
        effects
    }

    /// When `Input::Tick` is due.
    pub fn next_deadline(&self) -> Instant {
        let deadline = self.liveness.next_deadline();
        self.retry_at.map_or(deadline, |retry| retry.min(deadline))
    }

    /// `Effect::Ping` was performed: the ping is in the kernel.
    pub fn ping_left(&mut self, now: Instant) {
        self.liveness.ping_left(now);
    }

    /// The peer took bytes for which the server had to wait: it lives.
    pub fn peer_took(&mut self, now: Instant) {
        self.liveness.took(now);
    }

    /// So many bytes were handed to the kernel.
    pub fn wrote(&mut self, now: Instant, bytes: usize) {
        self.liveness.wrote(now, bytes);
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// What is attached at this moment, to be detached when the connection ends.
    pub fn attachments(&self) -> Vec<AttachmentId> {
        self.slots.iter().flatten().filter_map(Subscription::attachment).collect()
    }

    /// Whether ChannelManager was asked to tell of rights and has not done so yet.
    pub fn awaits_rights(&self) -> bool {
        self.awaiting_rights
    }

    /// What is to be written of an item that was taken from the outbox; learns from it how far the peer has come.
    pub fn on_item(&mut self, now: Moment, item: Item) -> (Option<Bytes>, Vec<Effect>) {
        match item {
            Item::Batch { frames, of: Events { attachment, last, base } } => {
                (self.on_log_item(attachment, last, base).then_some(frames), Vec::new())
            }
            Item::Control { frame, note, on_lag } => self.on_control_item(now, frame, note, on_lag),
        }
    }

    fn on_log_item(&mut self, attachment: AttachmentId, last: Seq, base: Seq) -> bool {
        let current = self.lag;
        let Some(subscription) = self.attached(attachment) else { return false };
        let live_now = subscription.advance(last) == Some(current);
        if live_now {
            self.swept = self.swept.max(base);
        }
        true
    }

    fn on_control_item(
        &mut self,
        now: Moment,
        frame: Bytes,
        note: Option<Note>,
        on_lag: OnLag,
    ) -> (Option<Bytes>, Vec<Effect>) {
        let mut effects = Vec::new();
        let frame = match note {
            None => Some(frame),
            Some(Note::Attached { attachment, at, lag }) => {
                let slot = self.attached(attachment).map(|subscription| {
                    subscription.go_live(attachment, at, lag);
                    attachment.slot
                });
                if let Some(slot) = slot {
                    self.resume_postponed(now, slot, &mut effects);
                }
                slot.map(|_| frame)
            }
            Some(Note::Behind { attachment }) => {
                self.on_behind(attachment);
                None
            }
            Some(Note::Refused { attachment, code }) => {
                if self.attached(attachment).is_some() {
                    self.suspend(now, attachment.slot, &Refusal::of_attachment(code), &mut effects);
                }
                None
            }
            Some(Note::Reached { at, lag }) if self.all_live() => {
                for subscription in self.slots.iter_mut().flatten() {
                    subscription.reached(at, lag);
                }
                Some(frame)
            }
            // A channel came after the pong was asked for and is not live: its client must not move past what it
            // has yet to be sent.
            Some(Note::Reached { .. }) => match on_lag {
                OnLag::Replace(bare) => Some(bare),
                OnLag::Keep | OnLag::Drop => None,
            },
            Some(Note::RightsChanged) => {
                self.awaiting_rights = false;
                Some(frame)
            }
        };
        if !self.closing {
            self.start_reading(now, &mut effects);
        }
        self.count_caught_up();
        (frame.filter(|frame| !frame.is_empty()), effects)
    }

    fn count_caught_up(&mut self) {
        if self.catching_up.is_some() && self.all_live() {
            self.catching_up = None;
        }
    }

    /// Whether one more message of the peer, of whatever kind, is within its cap; otherwise the connection ends.
    fn admit(&mut self, now: Moment, effects: &mut Vec<Effect>) -> bool {
        self.liveness.heard();
        let within = self.rate.admit(now.instant);
        if !within {
            let text = format!("more than {} messages a second", self.around.config.messages_per_second);
            self.refuse(now, Code::RateLimited, &text, None, None, effects);
            let again =
                if self.offended { CloseCode::TooManyMessagesAgain } else { CloseCode::TooManyMessages };
            self.close(again, effects);
        }
        within
    }

    fn on_text(&mut self, now: Moment, text: &str, effects: &mut Vec<Effect>) {
        match ClientFrame::parse(text) {
            Ok(frame) => self.on_frame(now, frame, effects),
            Err(error) => {
                let (request, channel) = (error.request_id.as_deref(), error.channel.as_deref());
                self.refuse(now, error.code, &error.message, request, channel, effects);
            }
        }
    }

    fn on_frame(&mut self, now: Moment, frame: ClientFrame, effects: &mut Vec<Effect>) {
        let request_id = frame.request_id;
        match frame.message {
            ClientMessage::Ping => self.pong(now, request_id, effects),
            ClientMessage::Auth => {
                let text = "this server has no identities yet, so no token is accepted";
                self.refuse(now, Code::Unauthenticated, text, request_id.as_deref(), None, effects);
                self.close(CloseCode::Unauthenticated, effects);
            }
            ClientMessage::Subscribe { channel, options } => {
                self.on_subscribe(now, &channel, options, request_id, effects);
            }
            ClientMessage::Unsubscribe { channel } => self.on_unsubscribe(now, &channel, request_id, effects),
        }
    }

    /// A pong names a position only while every channel is live; it comes from ChannelManager then, in the order of the outbox.
    fn pong(&mut self, now: Moment, request_id: Option<String>, effects: &mut Vec<Effect>) {
        if self.all_live() {
            effects.push(Effect::Pong { request_id, lag: self.lag });
        } else {
            let payload = PongPayload { epoch: None, seq: None };
            effects.push(Effect::Send(control(now, "pong", request_id.as_deref(), payload)));
        }
    }

    fn on_tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.retry_at.is_some_and(|retry| retry <= now.instant) {
            self.retry_at = None;
        }
        match self.liveness.on_tick(now.instant) {
            liveness::Due::Nothing => {}
            liveness::Due::Ping => {
                effects.push(Effect::Ping);
                self.pong(now, None, effects);
            }
            liveness::Due::Close => self.close(CloseCode::NoPong, effects),
        }
    }

    fn on_lagged(&mut self, lag: Lag, effects: &mut Vec<Effect>) {
        let (swept, old) = (self.swept, self.lag);
        let metrics = self.around.metrics.clone();
        self.lag = lag;
        for (slot, subscription) in self.slots.iter_mut().enumerate() {
            let Some(subscription) = subscription else { continue };
            if let Some(attachment) = subscription.invalidated(lag) {
                metrics.live.voided.inc();
                self.catching_up.get_or_insert_with(|| metrics.live.catching_up());
                // A quiet group would otherwise keep the invalid member until its next event.
                effects.push(Effect::Detach { attachment });
            }
            if subscription.fall_behind(lag, old, swept, &self.around.epoch) {
                self.waiting.push_back((subscription::slot_number(slot), subscription.serial));
            }
        }
    }

    fn attached(&mut self, attachment: AttachmentId) -> Option<&mut Subscription> {
        let subscription = self.slots.get_mut(usize::from(attachment.slot))?.as_mut()?;
        (subscription.attachment() == Some(attachment)).then_some(subscription)
    }

    fn all_live(&self) -> bool {
        let lag = self.lag;
        self.slots
            .iter()
            .flatten()
            .all(|subscription| matches!(subscription.phase, Phase::Live { lag: mine, .. } if mine == lag))
    }

    fn close(&mut self, code: CloseCode, effects: &mut Vec<Effect>) {
        self.closing = true;
        effects.push(Effect::Close(code));
    }

    fn refuse(
        &self,
        now: Moment,
        code: Code,
        message: &str,
        request_id: Option<&str>,
        channel: Option<&str>,
        effects: &mut Vec<Effect>,
    ) {
        self.around.metrics.errors.told(self.via, code);
        // A hundred a second may come from one peer, so this is for whoever asks.
        tracing::debug!(code = code.as_str(), "frame refused");
        let payload = ErrorPayload::new(code, message);
        let frame = ControlFrame {
            kind: "error",
            channel,
            request_id,
            seq: None,
            more: false,
            payload,
            timestamp: now.wall,
        };
        effects.push(Effect::Send(frame.to_json()));
    }
}

fn control<P: serde::Serialize>(
    now: Moment,
    kind: &'static str,
    request_id: Option<&str>,
    payload: P,
) -> Bytes {
    ControlFrame { kind, channel: None, request_id, seq: None, more: false, payload, timestamp: now.wall }
        .to_json()
}

/// Whether the item says that a ring does not reach back far enough.
pub(in crate::realtime) fn is_behind(item: &Item) -> bool {
    matches!(item, Item::Control { note: Some(Note::Behind { .. }), .. })
}
