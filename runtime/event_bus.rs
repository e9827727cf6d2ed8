//! `EventBus`: hands every committed batch, once and in seq order, to whoever listens in this process.
//!
//! One listener, ChannelManager, is waited for and so may hold back the committer (SEMANTICS F6). Every other listener that
//! falls behind is told so and reads the log. Knows nothing of what listeners do with a batch.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use crate::metrics::Metrics;
use crate::store::CommitBatch;

/// Batches that a listener may be behind before it must read the log.
const LISTENER_BATCHES: usize = 256;

/// The handle by which others listen.
#[derive(Debug, Clone)]
pub struct EventBus {
    batches: broadcast::Sender<Arc<CommitBatch>>,
}

impl EventBus {
    /// Passes on what arrives in `committed`: first to `awaited`, then to every listener. Ends with `committed`.
    pub fn start(
        mut committed: mpsc::Receiver<Arc<CommitBatch>>,
        awaited: mpsc::Sender<Arc<CommitBatch>>,
        metrics: Arc<Metrics>,
    ) -> (EventBus, JoinHandle<()>) {
        let (batches, _) = broadcast::channel(LISTENER_BATCHES);
        let bus = EventBus { batches: batches.clone() };
        let task = tokio::spawn(async move {
            while let Some(batch) = committed.recv().await {
                if awaited.send(batch.clone()).await.is_err() {
                    // The awaited listener ends only when the process does; the log still holds the batch.
                    break;
                }
                // No listener is no error.
                let _ = batches.send(batch);
                metrics.live.backlog.set(i64::try_from(batches.len()).unwrap_or(i64::MAX));
            }
        });
        (bus, task)
    }

    /// Every batch from now on. `RecvError::Lagged` means: read the log from the last seq seen.
    pub fn listen(&self) -> broadcast::Receiver<Arc<CommitBatch>> {
        self.batches.subscribe()
    }
}
