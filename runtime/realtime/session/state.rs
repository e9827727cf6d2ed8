//! `Session`: everything that is known of one peer, and the few things that every rule of a session does with it: refuse, attach,
//! end, close. The rules are in the other files.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::input::{Effect, LoginStart, SessionStart, Surroundings};
use super::known_person::KnownPerson;
use super::liveness::Liveness;
use super::login_end::LoginEnd;
use super::read_queue::ReadQueue;
use super::room_stays::SessionRooms;
use super::slots::Slots;
use super::told_trailer::ToldTrailer;
use super::turn::{Envelope, Turn};
use crate::channels::AttachmentId;
use crate::channels::encode::Encoder;
use crate::ids::Seq;
use crate::metrics::{GaugeGuard, Via};
use crate::outbox::Lag;
use crate::protocol::server_frame::{ErrorPayload, PositionPayload};
use crate::protocol::{CloseCode, Code, ENDS_SUBSCRIPTION, WireForm};
use crate::realtime::channel::ChannelRefusal;
use crate::realtime::rate::RateCap;
use crate::realtime::remote_sessions::SESSION_LIFE;
use crate::refusals::RefusedFrame;
use crate::rules::Principal;
use crate::store::At;

/// How long before its end a login is warned of, where the peer had none when it came.
const EXPIRY_WARNING: Duration = Duration::from_secs(60);

/// See the module's text.
#[derive(Debug)]
pub struct Session {
    pub(super) around: Surroundings,
    pub(super) person: KnownPerson,
    pub(super) slots: Slots,
    pub(super) reads: ReadQueue,
    pub(super) delivery: Delivery,
    pub(super) liveness: Liveness,
    pub(super) rate: RateCap,
    pub(super) rooms: SessionRooms,
    pub(super) encoder: Encoder,
    pub(super) via: Via,
    pub(super) form: WireForm,
    pub(super) offended: bool,
    /// The peer has asked something of presence, as the user that it was then.
    pub(super) asked_presence: bool,
    pub(super) closing: bool,
    /// Of a peer who logged in.
    pub(super) login: Option<LoginEnd>,
    pub(super) expiry_warning: Duration,
    /// Stands behind every id of a stream.
    pub(super) mark: Option<Arc<str>>,
    /// The last one that was due.
    pub(super) trailer: Option<Box<ToldTrailer>>,
    /// The channels of the address of a stream.
    pub(super) followed: HashSet<Arc<str>>,
    /// What the peer was refused and the loop has not kept yet.
    pub(super) refused: Vec<RefusedFrame>,
}

/// How far the outbox has come for all live subscriptions together.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) lag: Lag,
    /// Every live subscription under `lag` has been sent everything up to here.
    pub(super) swept: Seq,
    /// From falling behind until every channel is live again.
    pub(super) catching_up: Option<GaugeGuard>,
}

/// What a frame says that names a position of a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct PositionFrame<'a> {
    pub(super) kind: &'static str,
    pub(super) request_id: Option<&'a str>,
    pub(super) seq: Seq,
    pub(super) recovered: Option<bool>,
    pub(super) reason: Option<&'static str>,
    pub(super) more: bool,
}

impl Session {
    /// `known`: the principal at the other end; that of an anonymous caller is never read again.
    pub fn new(around: Surroundings, known: At<Principal>, start: SessionStart) -> Session {
        let config = around.config.clone();
        let SessionStart { at, via, form, offended, login } = start;
        Session {
            around,
            person: KnownPerson::new(known),
            slots: Slots::default(),
            reads: ReadQueue::default(),
            delivery: Delivery::default(),
            liveness: Liveness::new(
                at,
                if form == WireForm::EventStream { config.stream_heartbeat } else { config.ping_interval },
                // A session of polls ends by its transport, which knows when the peer came last.
                if via == Via::Poll { SESSION_LIFE * 2 } else { config.pong_timeout },
                config.send_buffer_bytes,
            ),
            rate: RateCap::new(config.messages_per_second, config.message_burst),
            rooms: SessionRooms::new(config.room_sender_messages),
            encoder: Encoder::new(form),
            via,
            form,
            offended,
            asked_presence: false,
            closing: false,
            login: login.map(|LoginStart { now, expires, warning }| LoginEnd::new(now, expires, warning)),
            mark: None,
            trailer: None,
            followed: HashSet::new(),
            refused: Vec::new(),
            expiry_warning: login.map_or(EXPIRY_WARNING, |login| login.warning),
        }
    }

    /// When `Input::Tick` is due.
    pub fn next_deadline(&self) -> Instant {
        let deadline = self.liveness.next_deadline();
        let deadline = self.login.as_ref().map_or(deadline, |login| login.next_deadline().min(deadline));
        self.reads.next_deadline().map_or(deadline, |retry| retry.min(deadline))
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

    /// What the peer was refused since this was asked last.
    pub fn take_refused(&mut self) -> Vec<RefusedFrame> {
        std::mem::take(&mut self.refused)
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.slots.count() + self.rooms.count()
    }

    /// What is attached at this moment, to be detached when the connection ends.
    pub fn attachments(&self) -> Vec<AttachmentId> {
        self.slots.records().filter_map(|(_, subscription)| subscription.phase.attachment()).collect()
    }

    /// Whether ChannelManager was asked to tell of rights and has not done so yet.
    pub fn awaits_rights(&self) -> bool {
        self.person.awaits_rights()
    }

    pub(super) fn close(&mut self, turn: &mut Turn, code: CloseCode) {
        self.closing = true;
        turn.then(Effect::Close(code));
    }

    pub(super) fn refuse(&self, turn: &mut Turn, code: Code, message: &str, envelope: Envelope<'_>) {
        self.around.metrics.errors.told(self.via, code);
        // A hundred a second may come from one peer, so this is for the caller to count.
        tracing::debug!(code = code.as_str(), "frame refused");
        turn.refused(code, message, envelope);
        turn.send("error", envelope, ErrorPayload::new(code, message));
    }

    pub(super) fn tell_position(&self, turn: &mut Turn, slot: u16, frame: PositionFrame<'_>) {
        let Some(subscription) = self.slots.at(slot) else { return };
        let Some(bound) = &subscription.bound else { return };
        let PositionFrame { kind, request_id, seq, recovered, reason, more } = frame;
        let limited = subscription.is_limited();
        let payload =
            PositionPayload { epoch: &self.around.epoch, seq, view: &bound.view, recovered, limited, reason };
        let envelope = Envelope { channel: Some(&subscription.channel.text), request_id, more };
        turn.send(kind, envelope, payload);
    }

    pub(super) fn detach(&self, turn: &mut Turn, slot: u16) {
        let attachment = self.slots.at(slot).and_then(|subscription| subscription.phase.attachment());
        if let Some(attachment) = attachment {
            turn.then(Effect::Detach { attachment });
        }
    }

    /// The subscription cannot be served: it ends, and nothing else does.
    pub(super) fn suspend(&mut self, turn: &mut Turn, slot: u16, why: &ChannelRefusal) {
        self.around.metrics.live.suspended.inc();
        self.end(turn, slot, why);
    }

    /// The peer gets the reason; then what it asked of the channel meanwhile is handled.
    pub(super) fn end(&mut self, turn: &mut Turn, slot: u16, why: &ChannelRefusal) {
        self.detach(turn, slot);
        let Some(subscription) = self.slots.close(slot) else { return };
        debug_assert!(
            subscription.phase.unanswered() || ENDS_SUBSCRIPTION.contains(&why.code),
            "docs/protocol.md does not say that {} ends a subscription",
            why.code.as_str()
        );
        let request_id = subscription.phase.request_id().map(String::as_str);
        let envelope = Envelope::of(&subscription.channel.text, request_id);
        self.refuse(turn, why.code, &why.message, envelope);
        if why.depends_on_rights() {
            self.await_rights(turn, Some(self.person.seq()));
        }
        turn.make_due(subscription.postponed);
    }

    /// A channel was refused: other rights may open it, so the peer is notified of them. `known`: the refusal knows of every change
    /// up to here; without it, it was judged by no rights.
    pub(super) fn await_rights(&mut self, turn: &mut Turn, known: Option<Seq>) {
        if let Some(person) = self.person.await_rights() {
            turn.then(Effect::AwaitRights { person, known });
        }
    }
}
