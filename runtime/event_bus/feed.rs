//! `CommitFeed`: the tail of the log, for the one listener that is waited for. What it takes goes to the others in passing, so the
//! way from a commit to ChannelManager is one queue and one wake-up.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::order::{OutOfOrder, Succession, succession};
use super::shared::Shared;
use crate::ids::Seq;
use crate::store::CommitBatch;

/// Batches that are taken at once.
const TAKEN: usize = 64;

/// See the module's text.
#[derive(Debug)]
pub struct CommitFeed {
    tail: mpsc::Receiver<Arc<CommitBatch>>,
    /// Seq of the last change that was handed out.
    last: Seq,
    /// What the tail gave, for the time of handing it on.
    received: Vec<Arc<CommitBatch>>,
    /// `None` once the tail has ended.
    others: Option<broadcast::Sender<Arc<CommitBatch>>>,
    shared: Arc<Shared>,
}

impl CommitFeed {
    pub(super) fn new(
        tail: mpsc::Receiver<Arc<CommitBatch>>,
        head: Seq,
        others: broadcast::Sender<Arc<CommitBatch>>,
        shared: Arc<Shared>,
    ) -> CommitFeed {
        CommitFeed { tail, last: head, received: Vec::new(), others: Some(others), shared }
    }

    /// Seq of the last change that was handed out.
    pub fn position(&self) -> Seq {
        self.last
    }

    /// Appends the next batches, at most 64, waiting for the first. `false`: the tail has ended. Nothing is lost when the future
    /// is dropped.
    pub async fn take(&mut self, into: &mut VecDeque<Arc<CommitBatch>>) -> Result<bool, OutOfOrder> {
        loop {
            if self.tail.recv_many(&mut self.received, TAKEN).await == 0 {
                self.others = None;
                return Ok(false);
            }
            let before = into.len();
            for batch in self.received.drain(..) {
                match succession(self.last, &batch)? {
                    Succession::Next => {}
                    Succession::Repeated => {
                        tracing::warn!(event.seq = batch.last().0, "the log's tail repeated a batch");
                        continue;
                    }
                }
                self.last = batch.last();
                // Before the batch goes out: the position of a listener that begins in between includes it.
                self.shared.advance(self.last);
                if let Some(others) = &self.others {
                    // No listener is no error.
                    let _ = others.send(batch.clone());
                    self.shared.count_backlog(others);
                }
                into.push_back(batch);
            }
            if into.len() > before {
                return Ok(true);
            }
        }
    }
}
