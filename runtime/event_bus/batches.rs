//! `Batches`: the queue of one listener, which is not waited for. What it was too slow for is named by its seqs.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use super::shared::Shared;
use crate::ids::Seq;
use crate::store::CommitBatch;

/// See the module's text.
#[derive(Debug)]
pub struct Batches {
    receiver: broadcast::Receiver<Arc<CommitBatch>>,
    others: broadcast::WeakSender<Arc<CommitBatch>>,
    /// Everything up to here was heard, or named as missed.
    last: Seq,
    /// Comes after what was named as missed.
    held: Option<Arc<CommitBatch>>,
    shared: Arc<Shared>,
}

/// What a listener gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Announcement {
    Batch(Arc<CommitBatch>),
    /// It was too slow. `Store::log` has what is missing.
    Missed(Missed),
}

/// Changes that a listener missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    pub after: Seq,
    /// The last of them.
    pub until: Seq,
}

impl Batches {
    pub(super) fn new(others: &broadcast::WeakSender<Arc<CommitBatch>>, shared: Arc<Shared>) -> Batches {
        let receiver = match others.upgrade() {
            Some(sender) => sender.subscribe(),
            // The bus has ended; this receiver says so.
            None => broadcast::channel(1).1,
        };
        Batches { receiver, others: others.clone(), last: shared.position(), held: None, shared }
    }

    /// What comes after this seq is heard, or named as missed.
    pub fn position(&self) -> Seq {
        self.last
    }

    /// The next batch, or what was missed before it; `None` when the bus has ended. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Announcement> {
        if let Some(batch) = self.held.take() {
            return Some(self.hear(batch));
        }
        loop {
            let batch = match self.receiver.recv().await {
                Ok(batch) => batch,
                // The seqs of the next batch show what is missing.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            if let Some(others) = self.others.upgrade() {
                self.shared.count_backlog(&others);
            }
            if batch.last() <= self.last {
                // It was on its way when this began to listen.
                continue;
            }
            let missed = Missed { after: self.last, until: Seq(batch.first().0.saturating_sub(1)) };
            if missed.until <= missed.after {
                return Some(self.hear(batch));
            }
            self.last = missed.until;
            self.held = Some(batch);
            return Some(Announcement::Missed(missed));
        }
    }

    fn hear(&mut self, batch: Arc<CommitBatch>) -> Announcement {
        self.last = batch.last();
        Announcement::Batch(batch)
    }
}
