//! Reads for sessions and polls: from the ring where it reaches back far enough, otherwise from the store on a
//! blocking thread.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::session::{Read, ReadAnswer};
use crate::channels::Ring;
use crate::config::RealtimeConfig;
use crate::ids::{Position, RecordId, Seq};
use crate::schema::Generation;
use crate::store::{
    At, ChangeOp, ListPage, Listed, LogLimit, LogPage, Query, Scope, Store, StoreError, Stored, Survey,
};

/// Blocking reads of all connections together that may be under way.
const CONCURRENT: usize = 4;

/// See the module's text. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    ring: Arc<Ring>,
    log_limit: LogLimit,
    replay_limit: u64,
    slots: Arc<Semaphore>,
}

impl Reader {
    pub fn new(store: Arc<dyn Store>, ring: Arc<Ring>, config: &RealtimeConfig) -> Reader {
        let log_limit = LogLimit { changes: config.page_rows, bytes: config.page_bytes };
        let replay_limit = config.replay_limit;
        Reader { store, ring, log_limit, replay_limit, slots: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    /// A session's read. A failure that is the store's is logged here: the session tells its peer no cause.
    pub async fn read(&self, read: Read) -> ReadAnswer {
        match read {
            Read::Survey { scope, since } => ReadAnswer::Survey(logged(self.survey(scope, since).await)),
            Read::Rows { scope, after, limit, generation } => {
                ReadAnswer::Rows(logged(self.rows(scope, after, limit, generation).await))
            }
            Read::Log { after } => ReadAnswer::Log(logged(self.log(after, Seq::ZERO).await)),
        }
    }

    /// Blocking reads that are under way.
    pub fn under_way(&self) -> usize {
        CONCURRENT.saturating_sub(self.slots.available_permits())
    }

    /// The log after `after`, read at a position that is no earlier than `at_least`.
    pub async fn log(&self, after: Seq, at_least: Seq) -> Result<At<LogPage>, StoreError> {
        let page = self.ring.page_after(after, self.log_limit);
        if let Some(page) = page.filter(|page| page.head >= at_least) {
            return Ok(self.at(page.head, LogPage::Changes { changes: page.changes, to: page.to }));
        }
        let limit = self.log_limit;
        self.blocking(move |store| store.log(after, limit)).await
    }

    pub async fn survey(&self, scope: Scope, since: Position) -> Result<At<Survey>, StoreError> {
        if let Some(survey) = self.survey_ring(&scope, &since) {
            return Ok(survey);
        }
        self.blocking(move |store| store.survey(&scope, &since)).await
    }

    pub async fn rows(
        &self,
        scope: Scope,
        after: Option<RecordId>,
        limit: usize,
        generation: Generation,
    ) -> Result<At<ListPage>, StoreError> {
        let bytes = self.log_limit.bytes;
        self.blocking(move |store| match &scope {
            Scope::Record(entity, id) => {
                let found = store.get(entity, id)?;
                let listed = |stored: Stored| Listed {
                    id: id.clone(),
                    sort_values: Vec::new(),
                    stored,
                    expanded: Vec::new(),
                };
                let rows = found.value.map(listed).into_iter().collect();
                let value = ListPage { rows, more: false, sight: None };
                Ok(At {
                    epoch: found.epoch,
                    seq: found.seq,
                    floor: found.floor,
                    generation: found.generation,
                    value,
                })
            }
            Scope::Entity(entity) => {
                let after = after.map(|id| (Vec::new(), id));
                let query = Query { after, bytes, ..Query::all(entity.clone(), generation, limit) };
                store.list(&query)
            }
        })
        .await
    }

    /// The head of the log.
    pub fn head(&self) -> Result<At<()>, StoreError> {
        self.store.head()
    }

    /// The ring's facts about a resume, when it reaches back to `since` and the rows need not be counted.
    fn survey_ring(&self, scope: &Scope, since: &Position) -> Option<At<Survey>> {
        if since.epoch != *self.ring.epoch() {
            return None;
        }
        let mut facts = Survey { known: true, ..Survey::default() };
        let head = self.ring.each_after(since.seq, |change| {
            facts.schema_changed |= change.op == ChangeOp::Schema;
            facts.backlog += u64::from(scope.contains(change));
        })?;
        (facts.backlog <= self.replay_limit).then(|| self.at(head, facts))
    }

    /// The ring holds no floor of the store; what it answers lies above it.
    fn at<T>(&self, seq: Seq, value: T) -> At<T> {
        let (epoch, generation) = (self.ring.epoch().clone(), self.ring.generation());
        At { epoch, seq, floor: Seq::ZERO, generation, value }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.slots.clone().acquire_owned().await.map_err(|_| StoreError::Overloaded)?;
        let store = self.store.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&*store)
        });
        answer.await.unwrap_or_else(|failed| Err(StoreError::Storage(failed.to_string())))
    }
}

fn logged<T>(answer: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(StoreError::Storage(cause)) = &answer {
        tracing::error!(cause, "a read for live connections failed");
    }
    answer
}
