//! `Listener`: functions that are called with the events of some entities, in seq order, one at a time, by a task of their own.
//!
//! A function that panics is logged and called again with the next event; neither the committer nor another listener notices.
//! One that blocks delays only its own listener, which then learns what it missed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::batches::{Announcement, Batches, Missed};
use crate::ids::{RecordId, Seq};
use crate::protocol::server_frame::EventKind;
use crate::schema::EntityName;
use crate::store::{Change, ChangeOp, CommitBatch};

/// What happened to one record.
#[derive(Debug, Clone)]
pub struct RecordEvent {
    kind: EventKind,
    change: Arc<Change>,
}

impl RecordEvent {
    /// `None` for a change of the schema.
    fn of(change: &Arc<Change>) -> Option<RecordEvent> {
        let kind = match change.op {
            ChangeOp::Create => EventKind::Created,
            ChangeOp::Update => EventKind::Updated,
            ChangeOp::Delete => EventKind::Deleted,
            ChangeOp::Schema => return None,
        };
        Some(RecordEvent { kind, change: change.clone() })
    }

    /// `entity:created`, `entity:updated` or `entity:deleted`.
    pub fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    pub fn entity(&self) -> &EntityName {
        &self.change.entity
    }

    pub fn id(&self) -> &RecordId {
        &self.change.id
    }

    pub fn seq(&self) -> Seq {
        self.change.seq
    }

    /// JSON of the whole record after the event; `None` when it was deleted.
    pub fn record(&self) -> Option<&[u8]> {
        self.change.after.as_deref()
    }

    /// The entry of the log.
    pub fn change(&self) -> &Arc<Change> {
        &self.change
    }
}

type Call<T> = Box<dyn FnMut(&T) + Send>;

struct Handler {
    kind: EventKind,
    entity: EntityName,
    call: Call<RecordEvent>,
}

/// See the module's text. Does nothing before `start`.
#[must_use = "a listener hears nothing before `start`"]
pub struct Listener {
    batches: Batches,
    tasks: TaskTracker,
    handlers: Vec<Handler>,
    on_missed: Call<Missed>,
}

impl Listener {
    pub(super) fn new(batches: Batches, tasks: TaskTracker) -> Listener {
        let log = |missed: &Missed| {
            tracing::warn!(after = missed.after.0, until = missed.until.0, "a listener was too slow");
        };
        Listener { batches, tasks, handlers: Vec::new(), on_missed: Box::new(log) }
    }

    pub fn on_created(self, entity: &str, call: impl FnMut(&RecordEvent) + Send + 'static) -> Listener {
        self.on(EventKind::Created, entity, Box::new(call))
    }

    pub fn on_updated(self, entity: &str, call: impl FnMut(&RecordEvent) + Send + 'static) -> Listener {
        self.on(EventKind::Updated, entity, Box::new(call))
    }

    pub fn on_deleted(self, entity: &str, call: impl FnMut(&RecordEvent) + Send + 'static) -> Listener {
        self.on(EventKind::Deleted, entity, Box::new(call))
    }

    /// When the listener was too slow: read the log. Without it, it is only logged.
    pub fn on_missed(mut self, call: impl FnMut(&Missed) + Send + 'static) -> Listener {
        self.on_missed = Box::new(call);
        self
    }

    /// Calls the functions with what has happened since `EventBus::listener`, until the bus ends. Needs a tokio runtime around
    /// it.
    pub fn start(self) -> Listening {
        let tasks = self.tasks.clone();
        Listening { task: tokio::spawn(tasks.track_future(self.run())).abort_handle() }
    }

    fn on(mut self, kind: EventKind, entity: &str, call: Call<RecordEvent>) -> Listener {
        self.handlers.push(Handler { kind, entity: entity.into(), call });
        self
    }

    async fn run(mut self) {
        while let Some(heard) = self.batches.next().await {
            match heard {
                Announcement::Batch(batch) => self.tell(&batch),
                Announcement::Missed(missed) => guarded(&mut self.on_missed, &missed, missed.until),
            }
        }
    }

    fn tell(&mut self, batch: &CommitBatch) {
        for event in batch.changes.iter().filter_map(RecordEvent::of) {
            let concerned =
                |handler: &&mut Handler| handler.kind == event.kind && handler.entity == event.change.entity;
            for handler in self.handlers.iter_mut().filter(concerned) {
                guarded(&mut handler.call, &event, event.seq());
            }
        }
    }
}

/// What a function holds after a panic is its own concern, as it is of one that returns early.
fn guarded<T>(call: &mut Call<T>, with: &T, seq: Seq) {
    if catch_unwind(AssertUnwindSafe(|| call(with))).is_err() {
        tracing::error!(event.seq = seq.0, "a listener panicked");
    }
}

/// A listener at work, for as long as the bus is.
#[derive(Debug)]
pub struct Listening {
    task: AbortHandle,
}

impl Listening {
    /// No function is called after the current batch.
    pub fn stop(&self) {
        self.task.abort();
    }
}
