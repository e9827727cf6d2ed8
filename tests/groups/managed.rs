//! ChannelManager with its queues, as the server starts it.

use std::sync::Arc;

use serde_json::Value as Json;
use tidewire::channels::group::ConnectionKey;
use tidewire::channels::{Attach, ChannelManager, Channels, Item, Note, Outbox, Ring};
use tidewire::env::Env;
use tidewire::event_bus::EventBus;
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::Metrics;
use tidewire::outbox::OutboxLimits;
use tidewire::protocol::WireForm;
use tidewire::schema::Generation;
use tidewire::store::{Change, CommitBatch, LogLimit};
use tokio::sync::mpsc;

use super::world::batch;
use crate::support::fixtures::epoch;
use crate::support::wire::frames_in;

/// ChannelManager at seq 10, with a ring of four changes and room for one group without an equality.
pub struct Managed {
    pub channels: Channels,
    pub batches: mpsc::Sender<Arc<CommitBatch>>,
}

impl Managed {
    pub fn start() -> Managed {
        let limit = LogLimit { changes: 4, bytes: 1 << 20 };
        let ring = Arc::new(Ring::new(epoch(), Seq(10), Generation(1), limit));
        let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
        let (batches, tail) = mpsc::channel(64);
        let (_, feed) = EventBus::new(tail, Seq(10), metrics.clone());
        let (channels, _) = ChannelManager::start(ring, feed, 1, Env::system(), metrics);
        Managed { channels, batches }
    }

    /// Fans out one change; a batch that is in the queue when a command is sent need not be taken first.
    pub async fn fan_out(&self, change: Change) {
        let seq = change.seq;
        self.batches.send(Arc::new(batch(vec![change]))).await.unwrap();
        while self.channels.position() < seq {
            tokio::task::yield_now().await;
        }
    }

    /// Every command that was sent has been obeyed.
    pub async fn settled(&self) {
        let probe = Arc::new(Outbox::new(OutboxLimits { batches: 1, bytes: 1, controls: 1 }, WireForm::Json));
        self.channels.pong(ConnectionKey(u64::MAX), probe.clone(), probe.lag(), None).await;
        probe.ready().await;
    }

    /// What the outbox holds once the attachment is answered: notes, and the seqs of events.
    pub async fn attach(&self, attach: Attach) -> (Vec<Json>, Vec<Note>) {
        let outbox = attach.outbox.clone();
        self.channels.attach(attach).await;
        outbox.ready().await;
        drained(&outbox)
    }
}

pub fn drained(outbox: &Outbox) -> (Vec<Json>, Vec<Note>) {
    let (mut events, mut notes) = (Vec::new(), Vec::new());
    for item in outbox.drain(usize::MAX).items {
        let frames = match item {
            Item::Batch { frames, .. } => frames,
            Item::Ephemeral { frame, .. } => frame,
            Item::Control { frame, note, .. } => {
                notes.extend(note);
                frame
            }
        };
        events.extend(frames_in(outbox.form(), &frames));
    }
    (events, notes)
}
