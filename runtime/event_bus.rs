//! `EventBus`: hands every committed batch, once and in seq order, to the listeners in this process.
//!
//! Batches come from the tail of a log: today from the committer of this process. ChannelManager takes them from the
//! [`CommitFeed`], and is waited for: it may hold back the committer (SEMANTICS F6). Every other listener that falls behind learns
//! which seqs it missed, and reads them from the log.
//!
//! Events are the log's: whole records, without regard to rights. The bus knows no rules and no channels, and nothing of what
//! listeners do with an event.
//!
//! ```no_run
//! # fn follow(app: &tidewire::app::App) {
//! let listener = app
//!     .event_bus()
//!     .listener()
//!     .on_created("Task", |event| println!("{} {}: {:?}", event.name(), event.id(), event.record()))
//!     .on_deleted("Task", |event| println!("{} {}", event.name(), event.id()))
//!     .on_missed(|missed| println!("read the log after {:?}", missed.after))
//!     .start();
//! # drop(listener);
//! # }
//! ```

mod batches;
mod feed;
mod listener;
mod order;
mod shared;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use tokio_util::task::TaskTracker;

use crate::ids::Seq;
use crate::metrics::Metrics;
use crate::store::CommitBatch;

pub use batches::{Announcement, Batches, Missed};
pub use feed::CommitFeed;
pub use listener::{Listener, Listening, RecordEvent};
pub use order::OutOfOrder;
use shared::Shared;

/// Batches that a listener may be behind before it must read the log.
const LISTENER_BATCHES: usize = 256;

/// The handle for listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventBus {
    /// The feed holds the sender, so that listeners end with it.
    others: broadcast::WeakSender<Arc<CommitBatch>>,
    shared: Arc<Shared>,
    /// The tasks of listeners.
    tasks: TaskTracker,
}

impl EventBus {
    /// `tail`: what is committed to a log that ends at `head`. The bus ends with it.
    pub fn new(
        tail: mpsc::Receiver<Arc<CommitBatch>>,
        head: Seq,
        metrics: Arc<Metrics>,
    ) -> (EventBus, CommitFeed) {
        let (sender, _) = broadcast::channel(LISTENER_BATCHES);
        let shared = Arc::new(Shared::new(head, metrics));
        let bus = EventBus { others: sender.downgrade(), shared: shared.clone(), tasks: TaskTracker::new() };
        (bus, CommitFeed::new(tail, head, sender, shared))
    }

    /// Every batch from now on.
    pub fn listen(&self) -> Batches {
        Batches::new(&self.others, self.shared.clone())
    }

    /// Functions to be called with the events of some entities.
    pub fn listener(&self) -> Listener {
        Listener::new(self.listen(), self.tasks.clone())
    }

    /// Completes when the bus has ended and every started listener has been called with all that came.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
