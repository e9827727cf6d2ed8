//! Live connections over a transport that is made of queues in memory, and all that follows it, on the runtime of the
//! test. Knows no story.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewire::auth::Identity;
use tidewire::channels::{ChannelManager, Ring};
use tidewire::config::RealtimeConfig;
use tidewire::env::Env;
use tidewire::event_bus::EventBus;
use tidewire::ids::{Epoch, Seq, Timestamp};
use tidewire::metrics::{Metrics, Via};
use tidewire::protocol::WireForm;
use tidewire::realtime::transport::{Arrival, Ended, Transport, WriteProgress};
use tidewire::realtime::{LiveReader, Sessions, Surroundings};
use tidewire::repository::{Current, Repository};
use tidewire::schema::{Generation, Schema};
use tidewire::store::{CommitBatch, LogLimit, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{frames_in, last_id_in};

/// More frames than any story has.
const ENDLESS: usize = 1 << 20;

/// What the loop did to the transport.
#[derive(Debug, PartialEq)]
pub enum Done {
    Frame(Value),
    Ping,
    Closed(Ended),
}

/// A transport that takes one buffer for each permit.
struct Memory {
    form: WireForm,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    done: mpsc::UnboundedSender<Done>,
    room: Arc<Semaphore>,
    last_id: Arc<Mutex<String>>,
}

impl Transport for Memory {
    fn via(&self) -> Via {
        Via::Ws
    }

    fn form(&self) -> WireForm {
        self.form
    }

    async fn next(&mut self) -> Arrival {
        self.arrivals.recv().await.unwrap_or(Arrival::Gone)
    }

    async fn write(&mut self, frames: &mut VecDeque<Bytes>) -> io::Result<WriteProgress> {
        let waited = self.room.available_permits() == 0;
        self.room.acquire().await.map_err(io::Error::other)?.forget();
        let buffer = frames.pop_front().expect("there is something to write");
        if let Some(id) = last_id_in(self.form, &buffer) {
            *self.last_id.lock().unwrap() = id;
        }
        for frame in frames_in(self.form, &buffer) {
            let _ = self.done.send(Done::Frame(frame));
        }
        Ok(WriteProgress { bytes: buffer.len(), waited })
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.done.send(Done::Ping).map_err(io::Error::other)
    }

    async fn close(&mut self, ended: Ended) {
        let _ = self.done.send(Done::Closed(ended));
    }
}

/// Everything behind the transport.
pub struct LiveServer {
    pub sessions: Arc<Sessions>,
    batches: mpsc::Sender<Arc<CommitBatch>>,
}

impl LiveServer {
    /// `head`: where the store's log ends now, under this epoch.
    pub fn over(
        store: Arc<dyn Store>,
        schema: Arc<Schema>,
        epoch: Epoch,
        head: Seq,
        config: RealtimeConfig,
    ) -> LiveServer {
        let kept = LogLimit { changes: config.ring_changes, bytes: config.ring_bytes };
        let ring = Arc::new(Ring::new(epoch.clone(), head, Generation(1), kept));
        let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
        let scanned = config.scan_groups;
        let (batches, tail) = mpsc::channel(64);
        let (_, feed) = EventBus::new(tail, head, metrics.clone());
        let (channels, _) =
            ChannelManager::start(ring.clone(), feed, scanned, Env::system(), metrics.clone());
        let reader = LiveReader::new(store.clone(), ring, &config);
        let config = Arc::new(config);
        let current = Current { schema: schema.clone(), generation: Generation(1) };
        let repository = Arc::new(Repository::new(store, current, Env::system()));
        let around = Surroundings { schema, generation: Generation(1), epoch, config, metrics };
        LiveServer { sessions: Sessions::new(around, channels, reader, repository, Env::system()), batches }
    }

    /// Returns when the batch is fanned out, so that no two are fanned out as one.
    pub async fn fan_out(&self, batch: Arc<CommitBatch>) {
        let last = batch.last().0;
        self.batches.send(batch).await.unwrap();
        until(|| self.sessions.stats().position == last).await;
    }

    pub fn connect(&self, user: Option<&str>) -> Peer {
        self.connect_by(WireForm::WebSocket, user)
    }

    /// Over a transport of this form.
    pub fn connect_by(&self, form: WireForm, user: Option<&str>) -> Peer {
        let (say, arrivals) = mpsc::unbounded_channel();
        let (told, done) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(ENDLESS));
        let last_id = Arc::default();
        let transport = Box::new(Memory {
            form,
            arrivals,
            done: told,
            room: room.clone(),
            last_id: Arc::clone(&last_id),
        });
        let sessions = self.sessions.clone();
        let identity = Identity { user: user.map(Into::into), ..Identity::nobody([127, 0, 0, 1].into()) };
        let served = tokio::spawn(async move { sessions.serve(transport, identity).await });
        Peer { say, done, room, last_id, served }
    }
}

/// Lets the other tasks continue until something is so.
pub async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}

/// The far end of the transport.
pub struct Peer {
    say: mpsc::UnboundedSender<Arrival>,
    done: mpsc::UnboundedReceiver<Done>,
    room: Arc<Semaphore>,
    last_id: Arc<Mutex<String>>,
    served: JoinHandle<Ended>,
}

impl Peer {
    pub fn arrives(&self, arrival: Arrival) {
        self.say.send(arrival).unwrap();
    }

    pub fn say(&self, frame: &Value) {
        self.arrives(Arrival::Text(frame.to_string()));
    }

    pub fn subscribe(&self, channel: &str, payload: &Value) {
        self.say(&json!({"type": "subscribe", "channel": channel, "payload": payload}));
    }

    /// Takes nothing more.
    pub fn stall(&self) {
        self.room.forget_permits(ENDLESS);
    }

    pub fn go_on(&self) {
        self.room.add_permits(ENDLESS);
    }

    /// The last id of a stream.
    pub fn last_id(&self) -> String {
        self.last_id.lock().unwrap().clone()
    }

    pub async fn done(&mut self) -> Done {
        let waiting = timeout(Duration::from_secs(3600), self.done.recv());
        waiting.await.expect("nothing came for an hour").expect("the transport is gone")
    }

    pub async fn frame(&mut self) -> Value {
        match self.done().await {
            Done::Frame(frame) => frame,
            other @ (Done::Ping | Done::Closed(_)) => panic!("{other:?} where a frame was due"),
        }
    }

    /// The next frames, which are of these types.
    pub async fn takes(&mut self, types: &[&str]) -> Vec<Value> {
        let mut frames = Vec::new();
        for kind in types {
            let frame = self.frame().await;
            assert_eq!(frame["type"], *kind, "{frame}");
            frames.push(frame);
        }
        frames
    }

    /// What the loop says of the end, when nothing else was done to the transport.
    pub async fn ends(mut self) -> Ended {
        let ended = self.served.await.unwrap();
        assert_eq!(self.done.recv().await, None, "something after the end");
        ended
    }
}
