//! `Rooms`: who is in which room of this process, and passing messages on to them. A room is there as long as a member is.
//!
//! Knows no rule and no transport: who may enter and publish is judged before. Nothing is stored, and nothing waits for a
//! member: what its outbox does not take is dropped there.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::rate::RateCap;
use crate::channels::group::ConnectionKey;
use crate::channels::{Membership, Outbox};
use crate::config::RealtimeConfig;
use crate::env::Env;
use crate::metrics::Metrics;
use crate::protocol::server_frame::{MessageFrame, MessagePayload};
use crate::protocol::{RoomMessage, WireForm};

/// See the module's text.
#[derive(Debug)]
pub struct Rooms {
    /// By the whole name of the channel. Held for one look-up, never across an await.
    rooms: Mutex<HashMap<Arc<str>, Arc<Room>, RandomState>>,
    per_second: u32,
    message_bytes: usize,
    metrics: Arc<Metrics>,
    env: Env,
}

#[derive(Debug)]
struct Room(Mutex<Members>);

/// Held for one append to each, never across an await.
#[derive(Debug)]
struct Members {
    members: HashMap<ConnectionKey, RoomMember, RandomState>,
    rate: RateCap,
}

#[derive(Debug)]
struct RoomMember {
    membership: Membership,
    outbox: Arc<Outbox>,
}

/// Why a message was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    #[error("this room has {0} messages a second already, which is its limit")]
    RoomRate(u32),
    #[error("the data of a message has at most {most} bytes of JSON, this has {has}")]
    TooLarge { most: usize, has: usize },
}

/// A message on its way, made once for all members.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// `room:board` or `user:ada`.
    pub channel: &'a str,
    /// The type of the frame.
    pub kind: &'static str,
    /// JSON of the frame.
    pub json: Bytes,
    /// The connection that does not get it.
    pub except: Option<ConnectionKey>,
}

impl Rooms {
    pub fn new(config: &RealtimeConfig, metrics: Arc<Metrics>, env: Env) -> Arc<Rooms> {
        Arc::new(Rooms {
            rooms: Mutex::default(),
            per_second: config.room_messages,
            message_bytes: config.message_bytes,
            metrics,
            env,
        })
    }

    /// A message of the server for those who are in a room. Answers with how many connections it was handed to.
    pub fn publish(&self, room: &str, message: &RoomMessage) -> Result<usize, NotPublished> {
        self.say(&format!("room:{room}"), message)
    }

    /// A message of the server for one user, on each of their connections that subscribes to `user:<id>`. Nothing is kept for
    /// those that do not: what must not be missed is a record.
    pub fn notify(&self, user: &str, message: &RoomMessage) -> Result<usize, NotPublished> {
        self.say(&user_channel(user), message)
    }

    fn say(&self, channel: &str, message: &RoomMessage) -> Result<usize, NotPublished> {
        let has = message.data.to_string().len();
        if has > self.message_bytes {
            return Err(NotPublished::TooLarge { most: self.message_bytes, has });
        }
        let payload = MessagePayload { event: &message.event, data: &message.data };
        let (kind, timestamp) = (MessageFrame::KIND, self.env.now());
        let json = MessageFrame { kind, channel, by: None, timestamp, payload }.to_json();
        self.pass_on(Instant::now(), &Publication { channel, kind, json, except: None })
    }

    /// To every member but one. Answers with how many that were.
    pub fn pass_on(&self, now: Instant, publication: &Publication<'_>) -> Result<usize, NotPublished> {
        let Publication { channel, kind, json, except } = publication;
        let Some(room) = self.rooms.lock().get(*channel).cloned() else { return Ok(0) };
        let mut room = room.0.lock();
        if !room.rate.admit(now) {
            return Err(NotPublished::RoomRate(self.per_second));
        }
        let mut forms: Vec<(WireForm, Bytes)> = Vec::new();
        let mut passed = 0;
        for (key, member) in &room.members {
            if Some(*key) == *except {
                continue;
            }
            let form = member.outbox.form();
            let known = forms.iter().find(|(of, _)| *of == form).map(|(_, frame)| frame.clone());
            let frame = known.unwrap_or_else(|| {
                let frame = form.frame(kind, json);
                forms.push((form, frame.clone()));
                frame
            });
            member.outbox.append_ephemeral(frame, member.membership);
            passed += 1;
        }
        self.metrics.live.messages.inc();
        self.metrics.live.message_deliveries.inc_by(passed as u64);
        Ok(passed)
    }

    fn enter(&self, channel: &Arc<str>, key: ConnectionKey, member: RoomMember) {
        let mut rooms = self.rooms.lock();
        let room = rooms.entry(channel.clone()).or_insert_with(|| {
            let rate = RateCap::new(self.per_second, self.per_second);
            Arc::new(Room(Mutex::new(Members { members: HashMap::default(), rate })))
        });
        room.0.lock().members.insert(key, member);
        self.count_rooms(rooms.len());
    }

    fn leave(&self, channel: &str, key: ConnectionKey) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get(channel) else { return };
        let is_empty = {
            let mut room = room.0.lock();
            room.members.remove(&key);
            room.members.is_empty()
        };
        if is_empty {
            rooms.remove(channel);
            self.count_rooms(rooms.len());
        }
    }

    fn count_rooms(&self, rooms: usize) {
        self.metrics.presence.rooms.set(i64::try_from(rooms).unwrap_or(i64::MAX));
    }

    /// Rooms that have a member.
    pub fn count(&self) -> usize {
        self.rooms.lock().len()
    }
}

/// The channel of a user, as a client of theirs names it.
pub fn user_channel(user: &str) -> String {
    format!("user:{}", crate::protocol::channel_name::encoded(user))
}

/// The rooms that one connection is in. It leaves them when this is dropped.
#[derive(Debug)]
pub struct RoomSeats {
    rooms: Arc<Rooms>,
    key: ConnectionKey,
    outbox: Arc<Outbox>,
    taken: Vec<Arc<str>>,
}

impl RoomSeats {
    pub fn new(rooms: Arc<Rooms>, key: ConnectionKey, outbox: Arc<Outbox>) -> RoomSeats {
        RoomSeats { rooms, key, outbox, taken: Vec::new() }
    }

    pub fn enter(&mut self, channel: Arc<str>, membership: Membership) {
        let member = RoomMember { membership, outbox: self.outbox.clone() };
        self.rooms.enter(&channel, self.key, member);
        if !self.taken.contains(&channel) {
            self.taken.push(channel);
        }
    }

    /// Messages that did not reach this connection, because it was too slow.
    pub fn count_dropped(&self, messages: usize) {
        self.rooms.metrics.live.messages_dropped.inc_by(messages as u64);
    }

    pub fn leave(&mut self, channel: &str) {
        self.rooms.leave(channel, self.key);
        self.taken.retain(|taken| **taken != *channel);
    }

    /// A message of this connection. Without `echo` it does not get it itself.
    pub fn publish(
        &self,
        now: Instant,
        channel: &str,
        json: Bytes,
        echo: bool,
    ) -> Result<usize, NotPublished> {
        let except = (!echo).then_some(self.key);
        self.rooms.pass_on(now, &Publication { channel, kind: MessageFrame::KIND, json, except })
    }
}

impl Drop for RoomSeats {
    fn drop(&mut self) {
        for channel in &self.taken {
            self.rooms.leave(channel, self.key);
        }
    }
}
