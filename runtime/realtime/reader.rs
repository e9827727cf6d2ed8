//! Reads for sessions and polls: from the ring where it reaches back far enough, otherwise from the store on a
//! blocking thread.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::read::{Checked, Read, ReadAnswer, RightsNow, Standing};
use crate::channels::Ring;
use crate::config::RealtimeConfig;
use crate::ids::{Position, RecordId, Seq};
use crate::rules::{Person, Principal, ReadScope};
use crate::schema::EntityName;
use crate::store::{
    At, ChangeOp, ListPage, Listed, LogLimit, LogPage, Query, Scope, Store, StoreError, Stored, Survey, Who,
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
            Read::Survey { scope, since, standing } => {
                ReadAnswer::Survey(logged(self.survey(scope, since, standing).await))
            }
            Read::Rows { scope, read_scope, after, limit, standing } => {
                let read = self.rows(scope, read_scope, after, limit).await;
                ReadAnswer::Rows(logged(self.checked(read, standing).await))
            }
            Read::Log { after, standing } => {
                ReadAnswer::Log(logged(self.log(after, Seq::ZERO, standing).await))
            }
            Read::Principal(person) => ReadAnswer::Principal(logged(self.principal(person).await)),
            Read::Differ(differ) => {
                ReadAnswer::Differ(logged(self.blocking(move |store| store.differ(&differ)).await))
            }
        }
    }

    /// Blocking reads that are under way.
    pub fn under_way(&self) -> usize {
        CONCURRENT.saturating_sub(self.slots.available_permits())
    }

    /// What rules may ask of a person, as it is now.
    pub async fn principal(&self, person: Arc<Person>) -> Result<At<Principal>, StoreError> {
        if person.id.is_none() {
            return Ok(self.head()?.map(|()| Principal::unread(person)));
        }
        self.blocking(move |store| store.principal(&person)).await
    }

    /// The log after `after`, read at a position that is no earlier than `at_least`.
    pub async fn log(
        &self,
        after: Seq,
        at_least: Seq,
        standing: Standing,
    ) -> Result<Checked<LogPage>, StoreError> {
        let page = self.ring.page_after(after, self.log_limit);
        if let Some(page) = page.filter(|page| page.head >= at_least) {
            let read = self.at(page.head, LogPage::Changes { changes: page.changes, to: page.to });
            return self.checked_by_ring(read, standing).await;
        }
        let limit = self.log_limit;
        let read = self.blocking(move |store| store.log(after, limit)).await;
        self.checked(read, standing).await
    }

    pub async fn survey(
        &self,
        scope: Scope,
        since: Position,
        standing: Standing,
    ) -> Result<Checked<Survey>, StoreError> {
        if let Some(survey) = self.survey_ring(&scope, &since) {
            return self.checked_by_ring(survey, standing).await;
        }
        let read = self.blocking(move |store| store.survey(&scope, &since)).await;
        self.checked(read, standing).await
    }

    /// The rights as they are after the read.
    async fn checked<T>(
        &self,
        read: Result<At<T>, StoreError>,
        standing: Standing,
    ) -> Result<Checked<T>, StoreError> {
        let read = read?;
        let Some(person) = standing.person.filter(|_| !standing.uses.is_empty()) else {
            return Ok(Checked { read, rights: RightsNow::default() });
        };
        let asked = standing.uses;
        let changed = self.blocking(move |store| {
            let changed = |(uses, _): &(Arc<[EntityName]>, Seq)| {
                Ok((uses.clone(), store.rights_changed(&person, uses)?))
            };
            asked.iter().map(changed).collect()
        });
        Ok(Checked { read, rights: RightsNow(changed.await?) })
    }

    /// The same for what the ring answered: it holds every entry up to the position that it answered at, so where it reaches
    /// back far enough it knows of their rights as well. The store runs ahead of it: what must be known of later entries is
    /// asked there.
    async fn checked_by_ring<T>(&self, read: At<T>, standing: Standing) -> Result<Checked<T>, StoreError> {
        let Some(person) = standing.person.as_ref().filter(|_| standing.until <= read.seq) else {
            return self.checked(Ok(read), standing).await;
        };
        let changed = |(uses, after): &(Arc<[EntityName]>, Seq)| {
            // The read scope was bound further on than the ring has come, and knows of everything that the ring may hold.
            if *after >= read.seq {
                return Some((uses.clone(), Seq::ZERO));
            }
            let mut last = Seq::ZERO;
            self.ring.each_after(*after, |change| {
                if change.rights.contains(person) && uses.contains(&change.entity) {
                    last = change.seq;
                }
            })?;
            Some((uses.clone(), last))
        };
        let changed: Option<Vec<_>> = standing.uses.iter().map(changed).collect();
        match changed {
            Some(changed) => Ok(Checked { read, rights: RightsNow(changed) }),
            None => self.checked(Ok(read), standing).await,
        }
    }

    async fn rows(
        &self,
        scope: Scope,
        read_scope: Arc<ReadScope>,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<At<ListPage>, StoreError> {
        let (bytes, generation) = (self.log_limit.bytes, read_scope.generation);
        let who = Who::ReadScope(read_scope);
        self.blocking(move |store| match &scope {
            Scope::Record(entity, id) => {
                let found = store.find(entity, id, &who)?;
                let listed = |stored: Stored| Listed {
                    id: id.clone(),
                    sort_values: Vec::new(),
                    stored,
                    expanded: Vec::new(),
                };
                let rows = found.value.map(listed).into_iter().collect();
                let value = ListPage { rows, more: false, read_scope: None };
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
                let query = Query { who, after, bytes, ..Query::all(entity.clone(), generation, limit) };
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
