//! Reads for sessions and polls: from the ring where it reaches back far enough, otherwise from the store,
//! which decides where they run and how many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::read::{CheckedRead, ReadAnswer, ReadRequest, RightsAt, RightsCheck, RightsNow, RowsAsked};
use crate::channels::{Ring, Sight};
use crate::config::RealtimeConfig;
use crate::ids::{Position, Seq};
use crate::rules::{Person, Principal};
use crate::store::{
    ActivityEntry, ActivityPage, ActivityQuery, ActivitySight, At, ChangeOp, ListPage, Listed, LogLimit,
    LogPage, Query, ReadFuture, Scope, Store, StoreError, Stored, Survey, Who,
};

/// See the module's text. Cheap to clone.
#[derive(Clone)]
pub struct LiveReader {
    store: Arc<dyn Store>,
    ring: Arc<Ring>,
    log_limit: LogLimit,
    replay_limit: u64,
    under_way: Arc<AtomicUsize>,
}

impl LiveReader {
    pub fn new(store: Arc<dyn Store>, ring: Arc<Ring>, config: &RealtimeConfig) -> LiveReader {
        let log_limit = LogLimit { changes: config.page_rows, bytes: config.page_bytes };
        let replay_limit = config.replay_limit;
        LiveReader { store, ring, log_limit, replay_limit, under_way: Arc::default() }
    }

    /// A session's read. A failure that is the store's is logged here: the session does not send the cause to its peer.
    pub async fn read(&self, read: ReadRequest) -> ReadAnswer {
        match read {
            ReadRequest::Survey { of, since, rights } => {
                ReadAnswer::Survey(logged(self.survey(of, since, rights).await))
            }
            ReadRequest::Rows { rows, rights } => {
                let read = self.rows(rows).await;
                ReadAnswer::Rows(logged(self.checked(read, rights).await))
            }
            ReadRequest::Log { after, rights } => {
                ReadAnswer::Log(logged(self.log(after, Seq::ZERO, rights).await))
            }
            ReadRequest::Principal(person) => ReadAnswer::Principal(logged(self.principal(person).await)),
            ReadRequest::Differ(differ) => {
                ReadAnswer::Differ(logged(self.asking(self.store.differ(&differ)).await))
            }
        }
    }

    /// Reads of the store that are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What rules may ask of a person, as it is now.
    pub async fn principal(&self, person: Arc<Person>) -> Result<At<Principal>, StoreError> {
        if person.id.is_none() {
            return Ok(self.head().await?.map(|()| Principal::unread(person)));
        }
        self.asking(self.store.principal(&person)).await
    }

    /// The log after `after`, read at a position that is no earlier than `at_least`.
    pub async fn log(
        &self,
        after: Seq,
        at_least: Seq,
        rights: RightsCheck,
    ) -> Result<CheckedRead<LogPage>, StoreError> {
        let page = self.ring.page_after(after, self.log_limit);
        if let Some(page) = page.filter(|page| page.head >= at_least) {
            let read = self.at(page.head, LogPage::Changes { changes: page.changes, to: page.to });
            return self.checked_by_ring(read, rights).await;
        }
        let read = self.asking(self.store.log(after, self.log_limit)).await;
        self.checked(read, rights).await
    }

    /// Of the records of a scope; without one, of the whole log.
    pub async fn survey(
        &self,
        of: Option<Scope>,
        since: Position,
        rights: RightsCheck,
    ) -> Result<CheckedRead<Survey>, StoreError> {
        if let Some(survey) = self.survey_ring(of.as_ref(), &since) {
            return self.checked_by_ring(survey, rights).await;
        }
        let read = self.asking(self.store.survey(of.as_ref(), &since)).await;
        self.checked(read, rights).await
    }

    /// The rights as they are after the read.
    async fn checked<T>(
        &self,
        read: Result<At<T>, StoreError>,
        rights: RightsCheck,
    ) -> Result<CheckedRead<T>, StoreError> {
        let read = read?;
        let Some(person) = rights.person.filter(|_| !rights.uses.is_empty()) else {
            return Ok(CheckedRead { read, rights: RightsNow::default() });
        };
        let mut changed = Vec::with_capacity(rights.uses.len());
        for RightsAt { uses, .. } in rights.uses {
            let seq = self.asking(self.store.rights_changed(&person, &uses)).await?;
            changed.push(RightsAt { uses, seq });
        }
        Ok(CheckedRead { read, rights: RightsNow(changed) })
    }

    /// The same for what the ring answered: it holds every entry up to the position that it answered at, so where it reaches
    /// back far enough it knows of their rights as well. The store runs ahead of it: what must be known of later entries is
    /// asked there.
    async fn checked_by_ring<T>(
        &self,
        read: At<T>,
        rights: RightsCheck,
    ) -> Result<CheckedRead<T>, StoreError> {
        let Some(person) = rights.person.as_ref().filter(|_| rights.until <= read.seq) else {
            return self.checked(Ok(read), rights).await;
        };
        let changed = |RightsAt { uses, seq: after }: &RightsAt| {
            // The read scope was bound further on than the ring has come, and knows of everything that the ring may hold.
            if *after >= read.seq {
                return Some(RightsAt { uses: uses.clone(), seq: Seq::ZERO });
            }
            let mut last = Seq::ZERO;
            self.ring.each_after(*after, |change| {
                if change.rights.contains(person) && uses.contains(&change.entity) {
                    last = change.seq;
                }
            })?;
            Some(RightsAt { uses: uses.clone(), seq: last })
        };
        let changed: Option<Vec<_>> = rights.uses.iter().map(changed).collect();
        match changed {
            Some(changed) => Ok(CheckedRead { read, rights: RightsNow(changed) }),
            None => self.checked(Ok(read), rights).await,
        }
    }

    async fn rows(&self, asked: RowsAsked) -> Result<At<ListPage>, StoreError> {
        let RowsAsked { sight, order, after, limit } = asked;
        let (scope, read_scope) = match sight {
            Sight::Records { scope, read_scope } => (scope, read_scope),
            Sight::Activity(scope) => {
                let query = ActivityQuery { sight: ActivitySight::Bound(scope), before: None, limit };
                return Ok(self.asking(self.store.activity(&query)).await?.map(rows_of_activity));
            }
        };
        let (bytes, generation) = (self.log_limit.bytes, read_scope.generation);
        let who = Who::ReadScope(read_scope);
        match scope {
            Scope::Record(entity, id) => {
                let found = self.asking(self.store.find(&entity, &id, &who)).await?;
                let listed =
                    |stored: Stored| Listed { id, sort_values: Vec::new(), stored, expanded: Vec::new() };
                Ok(found.map(|record| {
                    let rows = record.map(listed).into_iter().collect();
                    ListPage { rows, more: false, read_scope: None }
                }))
            }
            Scope::Entity(entity) => {
                let sort = order.to_vec();
                let query = Query { who, sort, after, bytes, ..Query::all(entity, generation, limit) };
                self.asking(self.store.list(&query)).await
            }
        }
    }

    /// The head of the log.
    pub async fn head(&self) -> Result<At<()>, StoreError> {
        self.store.head().await
    }

    /// The ring's facts about a resume, when it reaches back to `since` and the rows need not be counted.
    fn survey_ring(&self, of: Option<&Scope>, since: &Position) -> Option<At<Survey>> {
        if since.epoch != *self.ring.epoch() {
            return None;
        }
        let mut facts = Survey { known: true, ..Survey::default() };
        let head = self.ring.each_after(since.seq, |change| {
            facts.schema_changed |= change.op == ChangeOp::Schema;
            facts.backlog += u64::from(of.is_none_or(|scope| scope.contains(change)));
        })?;
        (facts.backlog <= self.replay_limit).then(|| self.at(head, facts))
    }

    /// The ring holds no floor of the store; what it answers lies above it.
    fn at<T>(&self, seq: Seq, value: T) -> At<T> {
        let (epoch, generation) = (self.ring.epoch().clone(), self.ring.generation());
        At { epoch, seq, floor: Seq::ZERO, generation, value }
    }

    /// Counted until it is answered or no longer awaited.
    async fn asking<T>(&self, read: ReadFuture<'_, T>) -> Result<T, StoreError> {
        let _under_way = UnderWay::of(&self.under_way);
        read.await
    }
}

/// One read under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn of(count: &'a AtomicUsize) -> UnderWay<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        UnderWay(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The entries of a page take the places of rows. Nothing is asked of where they stand: there is one page of them.
fn rows_of_activity(page: ActivityPage) -> ListPage {
    let row = |entry: ActivityEntry| {
        let mut json = Vec::with_capacity(256);
        entry.write_json(&mut json);
        let stored = Stored { version: 0, json: json.into() };
        Listed { id: entry.id, sort_values: Vec::new(), stored, expanded: Vec::new() }
    };
    ListPage { rows: page.entries.into_iter().map(row).collect(), more: false, read_scope: None }
}

fn logged<T>(answer: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(StoreError::Storage(cause)) = &answer {
        tracing::error!(cause, "a read for live connections failed");
    }
    answer
}
