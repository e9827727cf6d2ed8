//! Rooms and the private channel of a user, as one session has them: who may enter and publish, asked of the rules by the rights
//! of this moment. Pure: entering and passing on are effects.
//!
//! A message is judged when it is sent, so the rights of the person must be known as they are. The session reads them once and
//! has itself told of every change from there on; what the peer asks in between waits.

use std::sync::Arc;

use super::input::Effect;
use super::room_stays::{Knowledge, Stay};
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::channels::Membership;
use crate::protocol::server_frame::{MessageFrame, MessagePayload};
use crate::protocol::{
    ChannelName, ChannelTarget, ClientFrame, ClientMessage, Code, RoomMessage, SubscribeOptions,
};
use crate::realtime::channel::ChannelRefusal;
use crate::realtime::rooms::{NotPublished, user_channel};
use crate::rules::{Principal, may_use_name};

/// Frames that may wait until the rights of the person are known.
const WAITING: usize = 16;

/// Whether messages go over a channel, and not records.
pub(super) fn has_messages(channel: &str) -> bool {
    channel.starts_with("room:") || channel.starts_with("user:")
}

/// What is to be done in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoomRight {
    Subscribe,
    Publish,
}

impl Session {
    /// Whether the frame is about messages; then it was handled, or waits.
    pub(super) fn is_about_messages(frame: &ClientFrame) -> bool {
        match &frame.message {
            ClientMessage::Message { .. } => true,
            ClientMessage::Subscribe { channel, .. } | ClientMessage::Unsubscribe { channel } => {
                has_messages(channel)
            }
            ClientMessage::Auth { .. }
            | ClientMessage::Lease { .. }
            | ClientMessage::Mutate { .. }
            | ClientMessage::Presence(_)
            | ClientMessage::Ping => false,
        }
    }

    /// Frames about rooms are handled in their order, once the rights of the person are known as they are.
    pub(super) fn on_room_frame(&mut self, turn: &mut Turn, frame: ClientFrame) {
        if self.room_frame_waits() && self.rooms.waiting.len() >= WAITING {
            let text = "wait for the answer to what this connection last asked of a room";
            let (channel, request_id) = (channel_of(&frame.message), frame.request_id.as_deref());
            let envelope = Envelope { channel, request_id, more: false };
            return self.refuse(turn, Code::RateLimited, text, envelope);
        }
        self.do_or_keep(turn, frame);
    }

    /// A channel of messages in the address of a stream or of a session of polls; there are as many as the limit on the bytes of a head
    /// has room for. Its `snapshot` is for the other channels.
    pub(super) fn on_addressed_room(&mut self, turn: &mut Turn, channel: String, options: SubscribeOptions) {
        let options = SubscribeOptions { snapshot: false, ..options };
        let message = ClientMessage::Subscribe { channel, options };
        self.do_or_keep(turn, ClientFrame { request_id: None, message });
    }

    fn do_or_keep(&mut self, turn: &mut Turn, frame: ClientFrame) {
        if !self.room_frame_waits() {
            return self.do_room_frame(turn, frame);
        }
        self.rooms.waiting.push_back(frame);
        self.know_rights();
    }

    fn room_frame_waits(&self) -> bool {
        let known = self.rooms.rights == Knowledge::Current && self.rooms.waiting.is_empty();
        let nobody = self.person.is_nobody() && self.person.principal(self.around.generation).is_some();
        !known && !nobody
    }

    fn know_rights(&mut self) {
        if self.rooms.rights == Knowledge::Old {
            self.rooms.rights = Knowledge::Awaited;
            self.person.want();
        }
    }

    /// The rights of the person changed, or the rules did: what the session knows of them is old.
    pub(super) fn room_rights_are_old(&mut self) {
        self.rooms.rights = Knowledge::Old;
        if !self.rooms.stays.is_empty() || !self.rooms.waiting.is_empty() {
            self.know_rights();
        }
    }

    /// The principal was read: what the peer is in is judged again, and what it asked meanwhile is done.
    pub(super) fn on_known_rights(&mut self, turn: &mut Turn) {
        let is_idle = self.rooms.stays.is_empty() && self.rooms.waiting.is_empty();
        if is_idle || self.rooms.rights == Knowledge::Current || self.person.is_wanted() {
            return;
        }
        self.rooms.rights = Knowledge::Current;
        if let Some(person) = self.person.watch_rights() {
            turn.then(Effect::AwaitRights { person, known: Some(self.person.seq()) });
        }
        let channels: Vec<Arc<str>> = self.rooms.stays.iter().map(|stay| stay.channel.clone()).collect();
        for channel in channels {
            let Some(stay) = self.rooms.find(&channel) else { continue };
            if let Err(refusal) = self.judge_room(&stay.target, RoomRight::Subscribe) {
                self.leave_room(turn, &channel);
                self.around.metrics.live.suspended.inc();
                self.refuse(turn, refusal.code, &refusal.message, Envelope::of(&channel, None));
                self.await_rights(turn, Some(self.person.seq()));
            }
        }
        while let Some(frame) = self.rooms.waiting.pop_front() {
            self.do_room_frame(turn, frame);
        }
    }

    fn do_room_frame(&mut self, turn: &mut Turn, frame: ClientFrame) {
        let request_id = frame.request_id.as_deref();
        match frame.message {
            ClientMessage::Subscribe { channel, options } => {
                let entered = self.enter_room(turn, &channel, &options);
                let envelope = Envelope::of(&channel, request_id);
                match entered {
                    Ok(()) => turn.send("subscribed", envelope, serde_json::json!({})),
                    Err(refusal) => {
                        self.refuse(turn, refusal.code, &refusal.message, envelope);
                        if refusal.code == Code::ForbiddenChannel {
                            self.await_rights(turn, Some(self.person.seq()));
                        }
                    }
                }
            }
            ClientMessage::Unsubscribe { channel } => {
                let envelope = Envelope::of(&channel, request_id);
                if self.rooms.find(&channel).is_none() {
                    let text = "there is no subscription to this channel";
                    return self.refuse(turn, Code::NotSubscribed, text, envelope);
                }
                self.leave_room(turn, &channel);
                turn.send("unsubscribed", envelope, serde_json::json!({}));
            }
            ClientMessage::Message { channel, message } => {
                if let Err(refusal) = self.publish(turn, &channel, &message, request_id) {
                    self.refuse(turn, refusal.code, &refusal.message, Envelope::of(&channel, request_id));
                }
            }
            ClientMessage::Auth { .. }
            | ClientMessage::Lease { .. }
            | ClientMessage::Mutate { .. }
            | ClientMessage::Presence(_)
            | ClientMessage::Ping => {}
        }
    }

    fn enter_room(
        &mut self,
        turn: &mut Turn,
        channel: &str,
        options: &SubscribeOptions,
    ) -> Result<(), ChannelRefusal> {
        let name =
            ChannelName::parse(channel).map_err(|error| ChannelRefusal::new(error.code, error.message))?;
        if options.snapshot || options.first_rows.is_some() {
            let text = "a channel of messages has no records: leave out `snapshot`, `sort` and `limit`";
            return Err(ChannelRefusal::new(Code::BadFrame, text));
        }
        self.judge_room(&name.target, RoomRight::Subscribe)?;
        if let ChannelTarget::User(id) = &name.target
            && user_channel(id) != *name.text
        {
            let text =
                format!("write the channel as `{}`: each user has one, in this spelling", user_channel(id));
            return Err(ChannelRefusal::new(Code::BadChannel, text));
        }
        if self.rooms.find(channel).is_some() {
            return Ok(());
        }
        let most = self.around.config.subscriptions;
        if self.subscriptions() >= most {
            let text = format!("this connection already has {most} subscriptions, which is its limit");
            return Err(ChannelRefusal::new(Code::SubscriptionLimit, text));
        }
        let membership = Membership(self.slots.next_serial());
        let (channel, target) = (name.text, name.target);
        let _counted = self.around.metrics.live.subscription();
        turn.then(Effect::Enter { channel: channel.clone(), membership });
        self.rooms.stays.push(Stay { channel, target, membership, _counted });
        Ok(())
    }

    fn leave_room(&mut self, turn: &mut Turn, channel: &str) {
        self.rooms.stays.retain(|stay| *stay.channel != *channel);
        turn.then(Effect::Leave { channel: channel.into() });
    }

    /// The message leaves with the turn. `message` has no answer unless it is refused, or has a `requestId`.
    fn publish(
        &mut self,
        turn: &mut Turn,
        channel: &str,
        message: &RoomMessage,
        request_id: Option<&str>,
    ) -> Result<(), ChannelRefusal> {
        let name =
            ChannelName::parse(channel).map_err(|error| ChannelRefusal::new(error.code, error.message))?;
        self.judge_room(&name.target, RoomRight::Publish)?;
        let (most, has) = (self.around.config.message_bytes, message.data.to_string().len());
        if has > most {
            let text = NotPublished::TooLarge { most, has }.to_string();
            return Err(ChannelRefusal::new(Code::MessageTooLarge, text));
        }
        if !self.rooms.rate.admit(turn.now.instant) {
            let per_second = self.around.config.room_sender_messages;
            let text =
                format!("more than {per_second} messages a second into rooms; this one was not passed on");
            return Err(ChannelRefusal::new(Code::RateLimited, text));
        }
        let payload = MessagePayload { event: &message.event, data: &message.data };
        let by = self.person.person.id.as_deref();
        let (kind, timestamp) = (MessageFrame::KIND, turn.now.wall);
        let json = MessageFrame { kind, channel: &name.text, by, timestamp, payload }.to_json();
        let request_id = request_id.map(str::to_owned);
        turn.then(Effect::Publish { channel: name.text, json, echo: message.echo, request_id });
        Ok(())
    }

    /// What became of `Effect::Publish`.
    pub(super) fn on_published(
        &mut self,
        turn: &mut Turn,
        channel: &str,
        request_id: Option<&str>,
        published: Result<usize, NotPublished>,
    ) {
        let envelope = Envelope::of(channel, request_id);
        match published {
            // Who asks for an answer gets one.
            Ok(_) if request_id.is_some() => turn.send("ack", envelope, serde_json::json!({})),
            Ok(_) => {}
            Err(refused) => self.refuse(turn, Code::RateLimited, &refused.to_string(), envelope),
        }
    }

    /// By the rights that are known now.
    fn judge_room(&self, target: &ChannelTarget, right: RoomRight) -> Result<(), ChannelRefusal> {
        let refused = |text: &str| Err(ChannelRefusal::new(Code::ForbiddenChannel, text));
        let Some(principal) = self.person.principal(self.around.generation) else {
            return refused("the rights of this user cannot be judged now; subscribe again later");
        };
        match (target, right) {
            (ChannelTarget::User(_), RoomRight::Publish) => {
                refused("only the server publishes to `user:` channels; use a room")
            }
            (ChannelTarget::User(id), RoomRight::Subscribe) => {
                match self.person.person.id.as_deref() == Some(id) {
                    true => Ok(()),
                    false => refused("a `user:` channel is for that user alone"),
                }
            }
            (ChannelTarget::Room(name), _) if self.may_use_room(name, right, principal.value) => Ok(()),
            (ChannelTarget::Room(_), RoomRight::Subscribe) => {
                refused("the rules do not let you subscribe to this room")
            }
            (ChannelTarget::Room(_), RoomRight::Publish) => {
                refused("the rules do not let you publish into this room")
            }
            (
                ChannelTarget::Entity(_)
                | ChannelTarget::Record(..)
                | ChannelTarget::Query(..)
                | ChannelTarget::Activity(_),
                _,
            ) => {
                refused("messages go to rooms: name a channel such as `room:lobby`; records change by writes")
            }
        }
    }

    fn may_use_room(&self, name: &[String], right: RoomRight, principal: &Principal) -> bool {
        let names = self.around.schema.names();
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        let words = match right {
            RoomRight::Subscribe => ["subscribe"],
            RoomRight::Publish => ["publish"],
        };
        may_use_name(&names.rooms, names.open, &parts, &words, principal)
    }
}

fn channel_of(message: &ClientMessage) -> Option<&str> {
    match message {
        ClientMessage::Subscribe { channel, .. }
        | ClientMessage::Unsubscribe { channel }
        | ClientMessage::Message { channel, .. } => Some(channel),
        ClientMessage::Auth { .. }
        | ClientMessage::Lease { .. }
        | ClientMessage::Mutate { .. }
        | ClientMessage::Presence(_)
        | ClientMessage::Ping => None,
    }
}
