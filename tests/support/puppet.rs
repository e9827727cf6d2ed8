//! A store that notes what it is asked and gives the answers that a test sets; without an order it commits. For what a real store does
//! too rarely: being full, closed, broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidewire::env::Env;
use tidewire::ids::{Position, RecordId, Seq};
use tidewire::repository::{Current, Repository};
use tidewire::schema::{Generation, Schema};
use tidewire::store::{
    At, CommitError, Count, Counted, LeaseState, ListPage, Listed, LogLimit, LogPage, Op, OpResult, OpStatus,
    Outcome, Past, Query, RecordLease, Scope, StoreError, Stored, Survey, Tally, Unit,
};
use tokio::sync::watch;

use super::at_once::{AtOnce, answers_at_once};
use super::entities;
use super::fixtures::epoch;

#[derive(Default)]
pub struct Puppet {
    /// The last is given first.
    pub refusals: Mutex<Vec<CommitError>>,
    pub units: Mutex<Vec<Unit>>,
    /// Ids of the records that there are.
    pub users: Mutex<Vec<String>>,
    /// What a list of any entity holds, by id; without any, lists fail.
    pub rows: Mutex<Vec<Listed>>,
    pub panics: AtomicBool,
    /// While it is set, commits wait.
    pub held: watch::Sender<bool>,
}

impl Puppet {
    pub fn repository(self: &Arc<Self>) -> Repository {
        self.repository_over(Arc::unwrap_or_clone(entities::schema()).opened().into())
    }

    pub fn repository_over(self: &Arc<Self>, schema: Arc<Schema>) -> Repository {
        let current = Current { schema, generation: Generation(1) };
        Repository::new(self.clone(), current, Env::system())
    }
}

fn at<T>(value: T) -> At<T> {
    At { epoch: epoch(), seq: Seq(1), floor: Seq(0), generation: Generation(1), value }
}

fn result_of(op: &Op) -> OpResult {
    let record = Some(Stored { version: 1, json: Bytes::from_static(b"{}") });
    let (id, status, record) = match op {
        Op::Create { id, .. } => (id, OpStatus::Created, record),
        Op::Update { id, .. } => (id, OpStatus::Updated, record),
        Op::Delete { id, .. } => (id, OpStatus::Deleted, None),
        Op::Lease(lease) => {
            let state = LeaseState::Free;
            return OpResult { id: lease.id.clone(), status: OpStatus::Lease(state), record: None };
        }
        Op::Many(many) => {
            let tally = Tally { changed: many.ids.len() as u32, refused: 0, more: many.more };
            let last = many.ids.last().cloned().unwrap_or_else(|| RecordId::stored(""));
            return OpResult { id: last, status: OpStatus::Many(tally), record: None };
        }
    };
    OpResult { id: id.clone(), status, record }
}

answers_at_once!(Puppet);

impl AtOnce for Puppet {
    fn find(
        &self,
        entity: &str,
        id: &RecordId,
        _: &tidewire::store::Who,
    ) -> Result<At<Option<Stored>>, StoreError> {
        self.get(entity, id)
    }

    fn principal(
        &self,
        person: &Arc<tidewire::rules::Person>,
    ) -> Result<At<tidewire::rules::Principal>, StoreError> {
        Ok(self.head()?.map(|()| tidewire::rules::Principal::unread(person.clone())))
    }

    fn rights_changed(&self, _: &str, _: &[tidewire::schema::EntityName]) -> Result<Seq, StoreError> {
        Ok(Seq::ZERO)
    }

    fn differ(&self, _: &tidewire::store::Differ) -> Result<At<tidewire::store::Difference>, StoreError> {
        Err(StoreError::Storage("no rules here".to_owned()))
    }

    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
        let answer = match self.refusals.lock().pop() {
            Some(refusal) => Err(refusal),
            None => Ok(Outcome {
                seq: Seq(1),
                epoch: epoch(),
                results: unit.ops.iter().map(result_of).collect(),
                replayed: false,
            }),
        };
        self.units.lock().push(unit);
        let mut held = self.held.subscribe();
        async move {
            let _ = held.wait_for(|held| !held).await;
            answer
        }
        .boxed()
    }

    fn get(&self, _: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError> {
        assert!(!self.panics.load(Ordering::Relaxed), "secret detail of a defect");
        let known = self.users.lock().iter().any(|user| user == id.as_str());
        Ok(at(known.then(|| Stored { version: 1, json: Bytes::from_static(b"{}") })))
    }

    fn list(&self, query: &Query) -> Result<At<ListPage>, StoreError> {
        let rows = self.rows.lock();
        if rows.is_empty() {
            return Err(StoreError::Storage("secret detail".to_owned()));
        }
        let begin = query.after.as_ref().map_or(0, |after| rows.partition_point(|row| row.id <= after.id));
        let mut bytes = 0;
        let fits = |row: &&Listed| {
            let fits = bytes < query.bytes;
            bytes += row.stored.json.len();
            fits
        };
        let page: Vec<_> = rows[begin..].iter().take(query.limit).take_while(fits).cloned().collect();
        let more = begin + page.len() < rows.len();
        Ok(at(ListPage { rows: page, more, read_scope: None }))
    }

    fn count(&self, _: &Count) -> Result<At<Counted>, StoreError> {
        Err(StoreError::Storage("secret detail".to_owned()))
    }

    fn log(&self, after: Seq, _: LogLimit) -> Result<At<LogPage>, StoreError> {
        Ok(at(LogPage::Changes { changes: Vec::new(), to: after }))
    }

    fn history(
        &self,
        _: &str,
        _: &RecordId,
        _: &tidewire::store::Who,
        _: Option<Seq>,
        _: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError> {
        Ok(at(None))
    }

    fn activity(
        &self,
        _: &tidewire::store::ActivityQuery,
    ) -> Result<At<tidewire::store::ActivityPage>, StoreError> {
        Ok(at(tidewire::store::ActivityPage::default()))
    }

    fn survey(&self, _: Option<&Scope>, _: &Position) -> Result<At<Survey>, StoreError> {
        Ok(at(Survey::default()))
    }

    fn leases(&self) -> Result<At<Vec<RecordLease>>, StoreError> {
        Ok(at(Vec::new()))
    }

    fn head(&self) -> Result<At<()>, StoreError> {
        match self.panics.load(Ordering::Relaxed) {
            true => Err(StoreError::Storage("secret detail".to_owned())),
            false => Ok(at(())),
        }
    }
}
