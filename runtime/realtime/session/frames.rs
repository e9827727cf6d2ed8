//! What the peer asks: `subscribe`, `unsubscribe`, `mutate`, `ping`, `auth`; from a frame to a subscription's first phase.

use super::input::Effect;
use super::phase::{Cause, ResumeFrom, Route, SnapshotRequest};
use super::state::{PositionFrame, Session};
use super::subscription::Subscription;
use super::turn::{Envelope, Turn};
use crate::protocol::reason::{ASKED, UNKNOWN_POSITION};
use crate::protocol::server_frame::PongPayload;
use crate::protocol::{
    ClientFrame, ClientMessage, Code, PRESENCE, PresenceAction, Since, SubscribeOptions, WatchKind,
};
use crate::realtime::channel::{Channel, ChannelRefusal};

impl Session {
    pub(super) fn on_text(&mut self, turn: &mut Turn, text: &str) {
        match ClientFrame::parse(text) {
            Ok(frame) => self.on_frame(turn, frame),
            Err(error) => {
                let (request_id, channel) = (error.request_id.as_deref(), error.channel.as_deref());
                let envelope = Envelope { channel, request_id, more: false };
                self.refuse(turn, error.code, &error.message, envelope);
            }
        }
    }

    pub(super) fn on_frame(&mut self, turn: &mut Turn, frame: ClientFrame) {
        if Session::is_about_messages(&frame) {
            return self.on_room_frame(turn, frame);
        }
        let request_id = frame.request_id;
        match frame.message {
            ClientMessage::Ping => self.pong(turn, request_id),
            ClientMessage::Auth { token } => turn.then(Effect::Authenticate { token, request_id }),
            ClientMessage::Mutate { payload } => turn.then(Effect::Mutate { payload, request_id }),
            ClientMessage::Subscribe { channel, options } => {
                self.on_subscribe(turn, &channel, options, request_id);
            }
            ClientMessage::Unsubscribe { channel } => self.on_unsubscribe(turn, &channel, request_id),
            ClientMessage::Message { .. } => {}
            ClientMessage::Lease { resource, wanted } => {
                self.on_lease_frame(turn, resource, wanted, request_id);
            }
            ClientMessage::Presence(frame) => self.on_presence(turn, *frame, request_id),
        }
    }

    /// A pong names a position only while every channel is live; it comes from ChannelManager then, in the order of the outbox.
    pub(super) fn pong(&self, turn: &mut Turn, request_id: Option<String>) {
        let lag = self.delivery.lag;
        if self.slots.all_live(lag) {
            turn.then(Effect::Pong { request_id, lag });
        } else {
            let payload = PongPayload { epoch: None, seq: None };
            turn.send("pong", Envelope::to(request_id.as_deref()), payload);
        }
    }

    pub(super) fn on_subscribe(
        &mut self,
        turn: &mut Turn,
        channel: &str,
        options: SubscribeOptions,
        request_id: Option<String>,
    ) {
        if channel.starts_with(PRESENCE) {
            let kind = if options.count { WatchKind::Count } else { WatchKind::Users };
            return self.watch_presence(turn, channel, PresenceAction::Watch(kind), request_id);
        }
        let known = self.slots.find(channel);
        if let Some(slot) = known.filter(|slot| self.slots.must_postpone(*slot)) {
            let message = ClientMessage::Subscribe { channel: channel.to_owned(), options };
            return self.postpone(turn, slot, ClientFrame { request_id, message });
        }
        let restart = options.since.is_some() || options.snapshot;
        match known {
            Some(slot) if !restart => self.acknowledge(turn, slot, request_id.as_deref()),
            Some(slot) => {
                self.detach(turn, slot);
                self.start(turn, slot, options, request_id);
            }
            None => match self.open(channel) {
                Ok(slot) => self.start(turn, slot, options, request_id),
                Err(refusal) => {
                    let envelope = Envelope::of(channel, request_id.as_deref());
                    self.refuse(turn, refusal.code, &refusal.message, envelope);
                    if refusal.depends_on_rights() {
                        self.await_rights(turn, None);
                    }
                }
            },
        }
    }

    fn on_unsubscribe(&mut self, turn: &mut Turn, channel: &str, request_id: Option<String>) {
        if channel.starts_with(PRESENCE) {
            return self.watch_presence(turn, channel, PresenceAction::Unwatch, request_id);
        }
        let envelope = Envelope::of(channel, request_id.as_deref());
        let Some(slot) = self.slots.find(channel) else {
            let text = "there is no subscription to this channel";
            return self.refuse(turn, Code::NotSubscribed, text, envelope);
        };
        if self.slots.must_postpone(slot) {
            let message = ClientMessage::Unsubscribe { channel: channel.to_owned() };
            return self.postpone(turn, slot, ClientFrame { request_id, message });
        }
        self.detach(turn, slot);
        self.slots.close(slot);
        // Items of the subscription that are still in the outbox carry an attachment that is no longer known, so
        // nothing of this channel follows.
        turn.send("unsubscribed", envelope, serde_json::json!({}));
    }

    fn postpone(&mut self, turn: &mut Turn, slot: u16, frame: ClientFrame) {
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        let channel = subscription.channel.text.clone();
        if let Some(frame) = subscription.postpone(frame) {
            let text = "wait for the answer to the last `subscribe` of this channel";
            let envelope = Envelope::of(&channel, frame.request_id.as_deref());
            self.refuse(turn, Code::RateLimited, text, envelope);
        }
    }

    /// A free slot with a subscription in it, or the refusal.
    fn open(&mut self, channel: &str) -> Result<u16, ChannelRefusal> {
        let most = self.around.config.subscriptions;
        if self.subscriptions() >= most {
            let text = format!("this connection already has {most} subscriptions, which is its limit");
            return Err(ChannelRefusal::new(Code::SubscriptionLimit, text));
        }
        let channel = Channel::resolve(&self.around.schema, self.around.generation, channel)?;
        let counted = self.around.metrics.live.subscription();
        Ok(self.slots.open(Subscription::new(channel, counted)))
    }

    fn start(&mut self, turn: &mut Turn, slot: u16, options: SubscribeOptions, request_id: Option<String>) {
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        subscription.snapshots = 0;
        (subscription.since, subscription.shown_again) = (None, None);
        if options.first_rows.is_some() {
            subscription.first_rows = options.first_rows;
        }
        let asked = |request_id| Cause::Asked { request_id };
        let route = match options.since {
            Some(Since { position: Some(since), view }) => {
                Route::Survey(ResumeFrom { cause: asked(request_id), since, view })
            }
            Some(Since { position: None, .. }) => {
                Route::Rows(SnapshotRequest { cause: asked(request_id), reason: UNKNOWN_POSITION })
            }
            None if options.snapshot => {
                Route::Rows(SnapshotRequest { cause: asked(request_id), reason: ASKED })
            }
            None => Route::Join { request_id },
        };
        self.begin(turn, slot, route);
    }

    /// `subscribed` again, for a subscription that continues: its position is what the peer was sent.
    fn acknowledge(&self, turn: &mut Turn, slot: u16, request_id: Option<&str>) {
        let Some(subscription) = self.slots.at(slot) else { return };
        let more = subscription.phase.in_snapshot();
        let (kind, seq, recovered) = ("subscribed", subscription.sent, Some(!more));
        self.tell_position(
            turn,
            slot,
            PositionFrame { kind, request_id, seq, recovered, reason: None, more },
        );
    }
}
