//! One loop and one session for every transport: here over one that is made of queues in memory, with a paused clock.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewire::auth::Identity;
use tidewire::channels::{ChannelManager, Ring};
use tidewire::config::RealtimeConfig;
use tidewire::env::Env;
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::{Metrics, Via};
use tidewire::protocol::CloseCode;
use tidewire::protocol::wire::text_frame;
use tidewire::realtime::transport::{Arrival, Ended, Taken, Transport};
use tidewire::realtime::{Reader, Sessions, Surroundings};
use tidewire::schema::Generation;
use tidewire::store::{Change, ChangeOp, CommitBatch, Listed, LogLimit, Stored};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::support::fixtures::{self, change, epoch, id};
use crate::support::puppet::Puppet;

/// What the loop did to the transport.
#[derive(Debug, PartialEq)]
enum Done {
    Frame(Value),
    Ping,
    Closed(Ended),
}

/// A transport that takes one frame for each permit.
struct Memory {
    heard: mpsc::UnboundedReceiver<Arrival>,
    done: mpsc::UnboundedSender<Done>,
    room: Arc<Semaphore>,
}

impl Transport for Memory {
    fn via(&self) -> Via {
        Via::Ws
    }

    fn frame(&self, json: &Bytes) -> Bytes {
        text_frame(json)
    }

    async fn next(&mut self) -> Arrival {
        self.heard.recv().await.unwrap_or(Arrival::Gone)
    }

    async fn write(&mut self, frames: &mut VecDeque<Bytes>) -> io::Result<Taken> {
        let waited = self.room.available_permits() == 0;
        self.room.acquire().await.map_err(io::Error::other)?.forget();
        let buffer = frames.pop_front().expect("there is something to write");
        for frame in frames_in(&buffer) {
            let _ = self.done.send(Done::Frame(frame));
        }
        Ok(Taken { bytes: buffer.len(), waited })
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.done.send(Done::Ping).map_err(io::Error::other)
    }

    async fn close(&mut self, ended: Ended) {
        let _ = self.done.send(Done::Closed(ended));
    }
}

fn frames_in(mut buffer: &[u8]) -> Vec<Value> {
    let mut frames = Vec::new();
    while !buffer.is_empty() {
        let (header, length) = match buffer[1] {
            126 => (4, usize::from(u16::from_be_bytes([buffer[2], buffer[3]]))),
            short => (2, usize::from(short)),
        };
        frames.push(serde_json::from_slice(&buffer[header..header + length]).unwrap());
        buffer = &buffer[header + length..];
    }
    frames
}

/// Everything behind the transport, on the runtime of the test.
struct Server {
    sessions: Arc<Sessions>,
    batches: mpsc::Sender<Arc<CommitBatch>>,
}

impl Server {
    fn new(change: impl FnOnce(&mut RealtimeConfig)) -> Server {
        let mut config = RealtimeConfig::default();
        change(&mut config);
        let puppet = Arc::new(Puppet::default());
        *puppet.rows.lock() = (1..=3).map(row).collect();
        let kept = LogLimit { changes: config.ring_changes, bytes: config.ring_bytes };
        let ring = Arc::new(Ring::new(epoch(), Seq(1), Generation(1), kept));
        let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
        let (channels, batches, _) =
            ChannelManager::start(ring.clone(), Seq(1), 1, Env::system(), metrics.clone());
        let reader = Reader::new(puppet, ring, &config);
        let (schema, config) = (fixtures::schema(), Arc::new(config));
        let around = Surroundings { schema, generation: Generation(1), epoch: epoch(), config, metrics };
        Server { sessions: Sessions::new(around, channels, reader, Env::system()), batches }
    }

    fn connect(&self) -> Peer {
        let (say, heard) = mpsc::unbounded_channel();
        let (told, done) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(1 << 20));
        let transport = Box::new(Memory { heard, done: told, room: room.clone() });
        let sessions = self.sessions.clone();
        let nobody = Identity { user: None, role: None, address: [127, 0, 0, 1].into() };
        let served = tokio::spawn(async move { sessions.serve(transport, nobody).await });
        Peer { say, done, room, served }
    }

    /// One task after the other is created.
    async fn commit(&self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            let changes: Vec<Arc<Change>> = vec![change(seq, "Task", seq.into(), ChangeOp::Create)];
            self.batches.send(Arc::new(CommitBatch { epoch: epoch(), changes })).await.unwrap();
            // Batches that wait are fanned out as one.
            until(|| self.sessions.stats().position == seq).await;
        }
    }
}

/// Lets the other tasks go on until something is so.
async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}

fn row(n: u128) -> Listed {
    let json = Bytes::from(json!({"id": id(n).as_str(), "version": 1, "title": "t"}).to_string());
    Listed { id: id(n), sort_values: vec![], stored: Stored { version: 1, json }, expanded: vec![] }
}

/// The far end of the transport.
struct Peer {
    say: mpsc::UnboundedSender<Arrival>,
    done: mpsc::UnboundedReceiver<Done>,
    room: Arc<Semaphore>,
    served: JoinHandle<Ended>,
}

impl Peer {
    fn say(&self, frame: &Value) {
        self.say.send(Arrival::Text(frame.to_string())).unwrap();
    }

    fn subscribe(&self, payload: &Value) {
        self.say(&json!({"type": "subscribe", "channel": "entity:Task", "payload": payload}));
    }

    async fn done(&mut self) -> Done {
        let waiting = timeout(Duration::from_secs(3600), self.done.recv());
        waiting.await.expect("nothing came for an hour").expect("the transport is gone")
    }

    async fn frame(&mut self) -> Value {
        match self.done().await {
            Done::Frame(frame) => frame,
            other @ (Done::Ping | Done::Closed(_)) => panic!("{other:?} where a frame was due"),
        }
    }

    /// The types of the next frames.
    async fn takes(&mut self, types: &[&str]) -> Vec<Value> {
        let mut frames = Vec::new();
        for kind in types {
            let frame = self.frame().await;
            assert_eq!(frame["type"], *kind, "{frame}");
            frames.push(frame);
        }
        frames
    }

    /// What the loop says of the end, when nothing else is done to the transport any more.
    async fn ends(mut self) -> Ended {
        let ended = self.served.await.unwrap();
        assert_eq!(self.done.recv().await, None, "something after the end");
        ended
    }
}

#[tokio::test(start_paused = true)]
async fn any_transport_carries_a_subscription_a_snapshot_and_events() {
    let server = Server::new(|_| {});
    let mut peer = server.connect();
    assert_eq!(peer.frame().await["type"], "connected");
    peer.subscribe(&json!({"snapshot": true}));
    let frames = peer.takes(&["subscribed", "snapshot", "pong"]).await;
    assert_eq!(frames[1]["payload"]["rows"].as_array().unwrap().len(), 3);
    server.commit(2..=3).await;
    let events = peer.takes(&["entity:created", "entity:created"]).await;
    assert_eq!((&events[0]["prev"], &events[0]["seq"]), (&json!(1), &json!(2)));
    assert_eq!((&events[1]["prev"], &events[1]["seq"]), (&json!(2), &json!(3)));
    peer.say(&json!({"type": "ping", "requestId": "p"}));
    let pong = peer.frame().await;
    assert_eq!((&pong["requestId"], &pong["payload"]["seq"]), (&json!("p"), &json!(3)));
    peer.say.send(Arrival::Closed).unwrap();
    assert_eq!(peer.done().await, Done::Closed(Ended::ByPeer));
    assert_eq!(peer.ends().await, Ended::ByPeer);
    assert_eq!(server.sessions.stats().connections, 0, "the place is given back");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_goes_on_from_the_log_without_a_gap() {
    let server = Server::new(|config| config.outbox_batches = 2);
    let mut peer = server.connect();
    peer.subscribe(&json!({}));
    peer.takes(&["connected", "subscribed"]).await;
    peer.room.forget_permits(1 << 20);
    server.commit(2..=2).await;
    // The loop stands inside a write while the outbox runs over.
    until(|| server.sessions.moment().outbox_batches == 0).await;
    server.commit(3..=9).await;
    assert!(server.sessions.stats().lags > 0, "the story is about a connection that fell behind");
    peer.room.add_permits(1 << 20);
    for seq in 2..=9 {
        let event = peer.frame().await;
        assert_eq!((&event["prev"], &event["seq"]), (&json!(seq - 1), &json!(seq)), "{event}");
    }
    assert_eq!(peer.frame().await["type"], "pong", "complete again");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_after_the_write_timeout() {
    let server = Server::new(|_| {});
    let mut peer = server.connect();
    peer.takes(&["connected"]).await;
    peer.room.forget_permits(1 << 20);
    let started = Instant::now();
    peer.subscribe(&json!({}));
    assert_eq!(peer.ends().await, Ended::ByServer(CloseCode::TooSlow));
    assert_eq!(started.elapsed(), RealtimeConfig::default().write_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_closed_and_one_that_lives_is_not() {
    let server = Server::new(|_| {});
    let mut peer = server.connect();
    peer.takes(&["connected"]).await;
    let started = Instant::now();
    for interval in 1..=2 {
        assert_eq!(peer.done().await, Done::Ping);
        assert_eq!(started.elapsed().as_secs(), interval * 25);
        peer.takes(&["pong"]).await;
        if interval == 1 {
            peer.say.send(Arrival::Life).unwrap();
        }
    }
    let closed = Ended::ByServer(CloseCode::NoPong);
    assert_eq!(peer.done().await, Done::Closed(closed));
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(peer.ends().await, closed);
}

#[tokio::test(start_paused = true)]
async fn every_transport_is_drained() {
    let server = Server::new(|_| {});
    let mut peer = server.connect();
    peer.takes(&["connected"]).await;
    server.sessions.lifecycle().drain();
    let drain = &peer.takes(&["drain"]).await[0];
    assert!(drain["payload"]["reconnectInMs"].is_u64(), "{drain}");
    let closed = Ended::ByServer(CloseCode::Restart);
    assert_eq!(peer.done().await, Done::Closed(closed));
    assert_eq!(peer.ends().await, closed);
}

#[tokio::test(start_paused = true)]
async fn a_transport_without_a_place_is_told_why_before_it_is_closed() {
    let server = Server::new(|config| config.connections = 1);
    let mut first = server.connect();
    first.takes(&["connected"]).await;
    let mut second = server.connect();
    let error = &second.takes(&["error"]).await[0];
    assert_eq!(error["payload"]["code"], "CONNECTION_LIMIT", "{error}");
    let closed = Ended::ByServer(CloseCode::TooManyConnections);
    assert_eq!(second.done().await, Done::Closed(closed));
    assert_eq!(second.ends().await, closed);
    first.say.send(Arrival::Gone).unwrap();
    assert_eq!(first.ends().await, Ended::ByPeer);
    server.connect().takes(&["connected"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_transport_cannot_carry_ends_the_connection() {
    let table = [
        (Arrival::Oversized, Some("FRAME_TOO_LARGE"), CloseCode::FrameTooLarge),
        (Arrival::Broken(CloseCode::NotUtf8), None, CloseCode::NotUtf8),
        (Arrival::Broken(CloseCode::ProtocolError), None, CloseCode::ProtocolError),
    ];
    for (heard, code, close) in table {
        let server = Server::new(|_| {});
        let mut peer = server.connect();
        peer.takes(&["connected"]).await;
        peer.say.send(heard.clone()).unwrap();
        if let Some(code) = code {
            assert_eq!(peer.frame().await["payload"]["code"], code);
        }
        let closed = Ended::ByServer(close);
        assert_eq!(peer.done().await, Done::Closed(closed), "{heard:?}");
        assert_eq!(peer.ends().await, closed);
    }
    let server = Server::new(|_| {});
    let mut peer = server.connect();
    peer.say.send(Arrival::Binary).unwrap();
    assert_eq!(peer.takes(&["connected", "error"]).await[1]["payload"]["code"], "BAD_FRAME");
    peer.say(&json!({"type": "ping"}));
    peer.takes(&["pong"]).await;
}
