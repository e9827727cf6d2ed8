//! The committer: the one task that writes. It takes whatever is queued, has it committed as one group, releases the
//! answers, then publishes the batch, then looks again. No timed wait: under load the commit itself is the wait.
//!
//! Does not know SQL; `group.rs` does the transaction of units, `reshape.rs` that of another schema.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::group::{Done, Job, UnitAnswer};
use super::writer::{Writer, WriterSetting};
use crate::ids::Seq;
use crate::metrics::{Bound, Commit, GaugeGuard, StoreMetrics};
use crate::schema::Schema;
use crate::store::{CommitBatch, CommitError, Evolved, OpenError, Unit};

/// The way to the committer.
pub(super) struct CommitQueue {
    jobs: mpsc::Sender<QueuedWork>,
    /// One permit for each operation that may wait. A unit with more operations than there are takes all.
    places: Arc<Semaphore>,
    most: usize,
    stop: CancellationToken,
    metrics: StoreMetrics,
}

/// What waits for the committer.
enum QueuedWork {
    Unit(Job, QueueSlot),
    Shape(Reshape),
}

/// Another schema, and who waits for its answer.
struct Reshape {
    schema: Arc<Schema>,
    answer: oneshot::Sender<Result<Evolved, OpenError>>,
}

/// Freed when the committer takes the unit out of the queue.
struct QueueSlot {
    _permit: tokio::sync::OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl CommitQueue {
    /// Queues a unit and waits for its commit. A full queue is an answer, not a wait.
    pub(super) async fn commit(&self, unit: Unit) -> UnitAnswer {
        if self.stop.is_cancelled() {
            return Err(CommitError::Closed);
        }
        let ops = u32::try_from(unit.ops.len().clamp(1, self.most)).unwrap_or(u32::MAX);
        let Ok(permit) = self.places.clone().try_acquire_many_owned(ops) else {
            self.metrics.overloaded(Bound::Committer);
            return Err(CommitError::Overloaded);
        };
        let place = QueueSlot { _permit: permit, _counted: self.metrics.queued(unit.ops.len()) };
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(QueuedWork::Unit(Job { unit, answer }, place)).map_err(
            |refused| match refused {
                mpsc::error::TrySendError::Full(_) => {
                    self.metrics.overloaded(Bound::Committer);
                    CommitError::Overloaded
                }
                mpsc::error::TrySendError::Closed(_) => CommitError::Closed,
            },
        )?;
        let lost = |_| Err(CommitError::Storage("the commit broke off".to_owned()));
        answered.await.unwrap_or_else(lost)
    }

    /// Queues a change of the database's shape. It waits for the units before it, and those behind it for it.
    pub(super) async fn evolve(&self, schema: Arc<Schema>) -> Result<Evolved, OpenError> {
        let (answer, answered) = oneshot::channel();
        if self.stop.is_cancelled()
            || self.jobs.send(QueuedWork::Shape(Reshape { schema, answer })).await.is_err()
        {
            return Err(OpenError::Closed);
        }
        answered.await.unwrap_or(Err(OpenError::Closed))
    }

    /// From now on units are refused; those in the queue are still committed.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Starts the task over a writer whose log ends at `head`. It ends, and unlocks the folder, after `CommitQueue::stop` or
/// when the `CommitQueue` is dropped, in both cases after what is queued was committed and published.
pub(super) fn start(
    setting: Arc<WriterSetting>,
    writer: Writer,
    head: Seq,
    batches: mpsc::Sender<Arc<CommitBatch>>,
    metrics: StoreMetrics,
) -> (CommitQueue, JoinHandle<()>) {
    let most = setting.config.queue.clamp(1, Semaphore::MAX_PERMITS);
    let (jobs, queued) = mpsc::channel(most);
    let stop = CancellationToken::new();
    let places = Arc::new(Semaphore::new(most));
    let queue = CommitQueue { jobs, places, most, stop: stop.clone(), metrics: metrics.clone() };
    let committer = Committer {
        group_ops: setting.config.group_ops,
        setting,
        queued,
        stop,
        pending: VecDeque::new(),
        reshape: None,
        batches,
        announced: head,
        failing: false,
        metrics,
    };
    (queue, tokio::spawn(committer.run(writer)))
}

struct Committer {
    setting: Arc<WriterSetting>,
    queued: mpsc::Receiver<QueuedWork>,
    stop: CancellationToken,
    /// Units taken from the queue, at most `group_ops` of them, that await the next group.
    pending: VecDeque<Job>,
    /// Comes after `pending`; nothing more is taken from the queue until it is done.
    reshape: Option<Reshape>,
    group_ops: usize,
    batches: mpsc::Sender<Arc<CommitBatch>>,
    /// Seq of the last change handed to `batches`.
    announced: Seq,
    /// The last group failed: only the first failure and the recovery are logged.
    failing: bool,
    metrics: StoreMetrics,
}

impl Committer {
    async fn run(mut self, mut writer: Writer) {
        while self.wait().await {
            let next = if self.pending.is_empty() {
                match self.reshape.take() {
                    Some(reshape) => self.change_shape(writer, reshape).await,
                    None => Some(writer),
                }
            } else {
                self.commit_group(writer).await
            };
            match next {
                Some(back) => writer = back,
                None => return,
            }
        }
        let last = tokio::task::spawn_blocking(move || writer.finish());
        if let Err(error) = last.await {
            tracing::error!(%error, "the database was not closed in order");
        }
    }

    /// Answers with the writer for the next group; `None` when the runtime is going down.
    async fn commit_group(&mut self, mut writer: Writer) -> Option<Writer> {
        let jobs = std::mem::take(&mut self.pending);
        let started = Instant::now();
        let group = tokio::task::spawn_blocking(move || {
            let done = writer.run(jobs);
            (writer, done)
        });
        match group.await {
            Ok((writer, done)) => {
                self.count(&done, started);
                self.report(done).await;
                Some(writer)
            }
            // Its units learn from their dropped answers; the connection died with the thread's stack.
            Err(error) => self.after_panic(&error),
        }
    }

    async fn change_shape(&mut self, mut writer: Writer, reshape: Reshape) -> Option<Writer> {
        let Reshape { schema, answer } = reshape;
        let changing = tokio::task::spawn_blocking(move || {
            let reshaped = writer.evolve(&schema);
            (writer, reshaped)
        });
        match changing.await {
            Ok((writer, reshaped)) => {
                self.setting = reshaped.setting;
                let _ = answer.send(reshaped.answer);
                self.publish(reshaped.batches).await;
                Some(writer)
            }
            Err(error) => self.after_panic(&error),
        }
    }

    fn after_panic(&self, error: &JoinError) -> Option<Writer> {
        if !error.is_panic() {
            return None;
        }
        self.metrics.failed();
        tracing::error!(%error, "writing to the database panicked; it is opened anew");
        Some(Writer::new(self.setting.clone(), self.announced))
    }

    /// Waits for work and takes what is queued; `false` when there will be none.
    async fn wait(&mut self) -> bool {
        while self.pending.is_empty() && self.reshape.is_none() {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.queued.is_closed() => self.queued.close(),
                next = self.queued.recv() => match next {
                    Some(next) => self.take(next),
                    None => return false,
                },
            }
        }
        while self.pending.len() < self.group_ops
            && self.reshape.is_none()
            && let Ok(next) = self.queued.try_recv()
        {
            self.take(next);
        }
        true
    }

    fn count(&self, done: &Done, started: Instant) {
        if done.failure.is_some() {
            self.metrics.failed();
            return;
        }
        let changes = done.batches.iter().map(|batch| batch.changes.len()).sum();
        self.metrics.committed(Commit { units: done.answers.len(), changes, took: started.elapsed() });
        let replayed = |answer: &UnitAnswer| answer.as_ref().is_ok_and(|outcome| outcome.replayed);
        self.metrics.replayed(done.answers.iter().filter(|(_, answer)| replayed(answer)).count());
    }

    fn take(&mut self, next: QueuedWork) {
        match next {
            QueuedWork::Unit(job, _place) => self.pending.push_back(job),
            QueuedWork::Shape(reshape) => self.reshape = Some(reshape),
        }
    }

    /// First the answers, then the batches: nothing that a listener does can delay an answer.
    async fn report(&mut self, done: Done) {
        for (answer, result) in done.answers {
            // A writer that no longer waits has its unit committed all the same.
            let _ = answer.send(result);
        }
        self.pending = done.rest;
        match (&done.failure, self.failing) {
            (Some(error), false) => tracing::error!(%error, "the database cannot be written"),
            (None, true) => tracing::info!("the database can be written again"),
            _ => {}
        }
        self.failing = done.failure.is_some();
        self.publish(done.batches).await;
    }

    async fn publish(&mut self, batches: Vec<CommitBatch>) {
        for batch in batches {
            self.announced = batch.last();
            // Without a listener the log still has it.
            let _ = self.batches.send(Arc::new(batch)).await;
        }
    }
}
