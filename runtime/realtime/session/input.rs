//! What can happen to a session, and what it has done about it. Plain values; decides nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::channels::{Admission, AttachFrom, AttachmentId, InvalidationCause, Membership, Sight, Watch};
use crate::config::RealtimeConfig;
use crate::identity::{IdentityError, LoginState};
use crate::ids::{Epoch, Seq, Timestamp};
use crate::metrics::{Metrics, Via};
use crate::outbox::{Invalidated, Lag};
use crate::presence::Ask;
use crate::protocol::{CloseCode, LeaseWanted, Resource, View, WireForm};
use crate::realtime::credential::Renewed;
use crate::realtime::leases::LeaseAnswer;
use crate::realtime::mutations::Mutated;
use crate::realtime::read::{ReadAnswer, ReadRequest};
use crate::realtime::rooms::NotPublished;
use crate::realtime::roster::Expulsion;
use crate::realtime::transport::StreamStart;
use crate::rules::Person;
use crate::schema::{Generation, Schema};

/// What a session must know of the process it lives in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub schema: Arc<Schema>,
    pub generation: Generation,
    pub epoch: Epoch,
    pub config: Arc<RealtimeConfig>,
    pub metrics: Arc<Metrics>,
}

/// How a session begins.
#[derive(Debug, Clone, Copy)]
pub struct SessionStart {
    pub at: Instant,
    /// The transport, as errors are counted.
    pub via: Via,
    /// The bytes in which it takes frames.
    pub form: WireForm,
    /// The peer was closed for too many messages a short while ago.
    pub offended: bool,
    /// Of a peer who logged in.
    pub login: Option<LoginStart>,
}

/// Until when a login lasts, and how long before the peer is warned.
#[derive(Debug, Clone, Copy)]
pub struct LoginStart {
    pub now: Now,
    pub expires: Timestamp,
    pub warning: Duration,
}

/// The time of an input.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// What can happen to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// A text frame.
    Text(&'a str),
    /// The channels of a stream.
    Start(StreamStart),
    /// A binary frame, which the protocol does not have.
    Binary,
    /// A frame over the limit; the transport cannot continue after it.
    Oversized,
    /// A ping or pong of the transport: the peer lives.
    Heard,
    /// The outbox was emptied, and what was attached before is no longer attached.
    Invalidated(Invalidated<InvalidationCause>),
    /// The outbox could not hold another control frame.
    Overflowed,
    /// The answer to the one `Effect::Read` that is under way.
    Read(ReadAnswer),
    /// The login of the peer lasts longer, or was ended.
    Login(LoginState),
    /// What became of the token of `Effect::Authenticate`.
    Renewed { request_id: Option<String>, renewed: Result<Renewed, IdentityError> },
    /// The connection is ended from outside.
    Expelled(Expulsion),
    /// What became of `Effect::Lease`.
    Leased { resource: Resource, request_id: Option<String>, answer: LeaseAnswer },
    /// What became of `Effect::Publish`.
    Published { channel: Arc<str>, request_id: Option<String>, published: Result<usize, NotPublished> },
    /// `Effect::Presence` was not taken: too much waits.
    PresenceBusy { ask: Ask },
    /// `next_deadline` has come.
    Tick,
    /// Entities have another shape from here on.
    Reshaped(Surroundings),
    /// A mutation is settled.
    Mutated { request_id: Option<String>, mutated: Mutated },
    /// The server stops; come back after so many milliseconds.
    Drain { reconnect_in_ms: u64 },
}

/// What is to be done about an item of the outbox.
#[derive(Debug)]
pub struct Passed {
    /// Written first.
    pub frame: Option<Bytes>,
    pub effects: Vec<Effect>,
}

/// What the loop has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes: frames in the form of the transport.
    Write(Bytes),
    Attach {
        attachment: AttachmentId,
        channel: Arc<str>,
        sight: Sight,
        view: View,
        interval: Option<Duration>,
        watch: Option<Watch>,
        admission: Admission,
        from: AttachFrom,
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
    Read(ReadRequest),
    /// Hand this to the tracker of presence, which answers through the outbox.
    Presence {
        ask: Ask,
        person: Arc<Person>,
    },
    /// Send a ping of the transport.
    Ping,
    /// Have a token looked at; the answer comes back as `Input::Renewed` before anything else.
    Authenticate {
        token: String,
        request_id: Option<String>,
    },
    /// Have this written; the answer comes back as `Input::Mutated`. Several may be under way, and their answers keep their order.
    Mutate {
        payload: String,
        request_id: Option<String>,
    },
    /// Messages of this room are for the peer from here on.
    Enter {
        channel: Arc<str>,
        membership: Membership,
    },
    Leave {
        channel: Arc<str>,
    },
    /// Commit what the peer wants of a lease; the answer comes back as `Input::Leased` before anything else.
    Lease {
        resource: Resource,
        wanted: LeaseWanted,
        request_id: Option<String>,
    },
    /// Pass a frame on to the members of a room; what became of it comes back as `Input::Published`.
    Publish {
        channel: Arc<str>,
        json: Bytes,
        echo: bool,
        request_id: Option<String>,
    },
    Close(CloseCode),
}
