//! A store that counts its reads, by the method that was asked. Knows no story.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidewire::ids::{Position, RecordId, Seq};
use tidewire::rules::{Person, Principal};
use tidewire::schema::EntityName;
use tidewire::store::{
    At, CommitError, Count, Counted, Differ, Difference, ListPage, LogLimit, LogPage, Outcome, Past, Query,
    ReadFuture, Scope, Store, Stored, Survey, Unit, Who,
};

pub struct CountingStore {
    inner: Arc<dyn Store>,
    reads: Mutex<BTreeMap<&'static str, usize>>,
}

impl CountingStore {
    pub fn over(inner: Arc<dyn Store>) -> Arc<CountingStore> {
        Arc::new(CountingStore { inner, reads: Mutex::default() })
    }

    /// The reads since this was asked last.
    pub fn take(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.reads.lock())
    }

    fn asked(&self, read: &'static str) -> &dyn Store {
        *self.reads.lock().entry(read).or_default() += 1;
        &*self.inner
    }
}

impl Store for CountingStore {
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
        self.inner.commit(unit)
    }

    fn get<'a>(&'a self, entity: &'a str, id: &'a RecordId) -> ReadFuture<'a, At<Option<Stored>>> {
        self.asked("get").get(entity, id)
    }

    fn find<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
    ) -> ReadFuture<'a, At<Option<Stored>>> {
        self.asked("find").find(entity, id, who)
    }

    fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>> {
        self.asked("principal").principal(person)
    }

    fn rights_changed<'a>(&'a self, person: &'a str, entities: &'a [EntityName]) -> ReadFuture<'a, Seq> {
        self.asked("rights_changed").rights_changed(person, entities)
    }

    fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>> {
        self.asked("differ").differ(differ)
    }

    fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>> {
        self.asked("list").list(query)
    }

    fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>> {
        self.asked("count").count(count)
    }

    fn log(&self, after: Seq, limit: LogLimit) -> ReadFuture<'_, At<LogPage>> {
        self.asked("log").log(after, limit)
    }

    fn history<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> ReadFuture<'a, At<Option<Past>>> {
        self.asked("history").history(entity, id, who, before, limit)
    }

    fn survey<'a>(&'a self, scope: &'a Scope, since: &'a Position) -> ReadFuture<'a, At<Survey>> {
        self.asked("survey").survey(scope, since)
    }

    fn head(&self) -> ReadFuture<'_, At<()>> {
        self.asked("head").head()
    }
}
