//! `trait Transport`: the way to one peer, as the loop of its connection needs it. A socket is one (`websocket.rs`).
//!
//! Knows no session, no outbox and no clock: who writes when, how long a peer may take, and what ends it, the loop
//! decides for every transport alike (`connection.rs`).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::metrics::Via;
use crate::protocol::{CloseCode, SubscribeOptions, Trailer, WireForm};

/// What a transport owes to the loop, which calls one method at a time:
///
/// - What the peer was handed stays whole and in order: no frame lands inside another, nor does anything that the
///   transport itself has to say.
/// - `next` and `write` may be dropped while they wait. Then nothing that arrived is lost, and nothing is written twice.
/// - Nothing is kept back: when `write` or `ping` completes, the bytes are with the kernel, or with whatever holds up
///   the peer's line in its place.
pub trait Transport: Send {
    /// As what the errors of this peer are counted.
    fn via(&self) -> Via;

    /// In which bytes `write` takes frames.
    fn form(&self) -> WireForm;

    /// The id by which the peer speaks to the session in requests of their own, where it cannot do so here.
    fn session(&self) -> Option<&Arc<str>> {
        None
    }

    /// The `id` of the first event of a stream (`protocol/trailer.rs`).
    fn first_id(&self) -> Option<String> {
        None
    }

    /// Waits for the next thing that is heard of the peer.
    fn next(&mut self) -> impl Future<Output = Arrival> + Send;

    /// Hands over some of the bytes, and takes them off the front of `frames`. None at all: the peer is gone.
    fn write(
        &mut self,
        frames: &mut VecDeque<Bytes>,
    ) -> impl Future<Output = io::Result<WriteProgress>> + Send;

    /// Asks the peer for a sign of life.
    fn ping(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends the connection, with a close frame if the transport has one. The peer may never answer it: the
    /// loop does not wait forever.
    fn close(&mut self, ended: Ended) -> impl Future<Output = ()> + Send;
}

/// What is heard of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    Text(String),
    /// What the peer follows, where it says so once and nothing after it.
    Follows(StreamStart),
    /// A message that is no text, which the protocol does not have.
    Binary,
    /// A message over the limit; nothing is heard of the peer after it.
    Oversized,
    /// A ping, a pong: the peer lives.
    Life,
    /// The peer ended the connection in order.
    Closed,
    /// The peer is gone without a close frame.
    Gone,
    /// The peer broke the rules of the transport.
    Broken(CloseCode),
}

/// The channels of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStart {
    pub channels: Vec<StreamChannel>,
    /// The trailer that the peer saw last. It outranks every `since`.
    pub resume: Option<Trailer>,
    /// Stands behind every id of this stream.
    pub mark: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamChannel {
    pub channel: String,
    pub options: SubscribeOptions,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteProgress {
    pub bytes: usize,
    /// The line was full at first: the peer took something meanwhile.
    pub waited: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    ByPeer,
    ByServer(CloseCode),
}

impl Ended {
    /// The code that the server closed it with; `None` when the peer did.
    pub fn code(self) -> Option<CloseCode> {
        match self {
            Ended::ByPeer => None,
            Ended::ByServer(code) => Some(code),
        }
    }
}
