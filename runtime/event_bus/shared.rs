//! What the feed and the listeners share: how far it has come, and the number of batches that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::ids::Seq;
use crate::metrics::Metrics;
use crate::store::CommitBatch;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Shared {
    /// Seq of the last change that was handed out.
    position: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Shared {
    pub(super) fn new(head: Seq, metrics: Arc<Metrics>) -> Shared {
        Shared { position: AtomicU64::new(head.0), metrics }
    }

    pub(super) fn position(&self) -> Seq {
        Seq(self.position.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, to: Seq) {
        self.position.store(to.0, Ordering::SeqCst);
    }

    /// How many batches the slowest listener has yet to take.
    pub(super) fn count_backlog(&self, others: &broadcast::Sender<Arc<CommitBatch>>) {
        self.metrics.live.backlog.set(i64::try_from(others.len()).unwrap_or(i64::MAX));
    }
}
