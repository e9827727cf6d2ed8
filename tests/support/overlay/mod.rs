//! `OverlayBackend`: the logic of a unit over a transaction that SQLite does not know. What a group of units writes is held beside
//! the committed records and taken over at the group's end, and no read is ready at once. So whatever of a unit works only where a
//! write is in the database at once, or only where nothing is waited for, fails here.
//!
//! It has the half of `trait Store` that stories of writes ask for. Knows no rule.

mod base;
mod transaction;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, Position, RecordId, Seq, Timestamp};
use tidewire::rules::{Person, Principal};
use tidewire::schema::{EntityName, Generation, Schema};
use tidewire::store::relations::Relations;
use tidewire::store::unit::{self, Fault, Prefetch, Transaction, UnitContext};
use tidewire::store::{
    ActivityPage, ActivityQuery, At, CommitBatch, CommitError, Count, Counted, Differ, Difference, ListPage,
    LogLimit, LogPage, Outcome, Past, Query, RecordLease, Scope, StoreError, Stored, Survey, Unit, Who,
};
use tokio::sync::mpsc;

use crate::support::at_once::{AtOnce, answers_at_once};

use self::base::{Base, Key, RightsOf};
use self::transaction::OverlayTransaction;

/// Generation of every unit.
pub(crate) const GENERATION: Generation = Generation(1);

pub(crate) struct OverlayBackend {
    relations: Relations,
    config: StoreConfig,
    epoch: Epoch,
    base: Mutex<Base>,
    /// One group at a time.
    turn: tokio::sync::Mutex<()>,
    env: tidewire::env::Env,
    publish: mpsc::UnboundedSender<Arc<CommitBatch>>,
}

/// What came of a group.
pub(crate) struct GroupDone {
    /// Of its units, in order.
    pub(crate) outcomes: Vec<Result<Outcome, CommitError>>,
    /// Records that were asked for by their ids though `prefetch` did not name them.
    pub(crate) asked: usize,
}

impl OverlayBackend {
    pub(crate) fn open(
        schema: &Schema,
        config: &StoreConfig,
    ) -> (Arc<OverlayBackend>, mpsc::UnboundedReceiver<Arc<CommitBatch>>) {
        let (publish, batches) = mpsc::unbounded_channel();
        let backend = OverlayBackend {
            relations: Relations::of(schema),
            config: config.clone(),
            epoch: Epoch::from_uuid(uuid::Uuid::from_u128(2)),
            base: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            env: tidewire::env::Env::system(),
            publish,
        };
        (Arc::new(backend), batches)
    }

    /// Commits units as one group. One that is refused is taken back alone.
    pub(crate) async fn commit_group(&self, units: Vec<Unit>) -> GroupDone {
        let _turn = self.turn.lock().await;
        let before = std::mem::take(&mut *self.base.lock().unwrap());
        let context = UnitContext {
            relations: &self.relations,
            config: &self.config,
            generation: GENERATION,
            env: &self.env,
        };
        let answers_of_one = self.config.idempotency_per_user as usize;
        let mut transaction = OverlayTransaction::new(&before, answers_of_one);
        let Ok(()) = transaction.prefetch(&Prefetch::of(&self.relations, &units)).await;
        let at = units.iter().map(|unit| unit.at).max();
        let (mut seq, mut outcomes, mut changes) = (before.head(), Vec::new(), Vec::new());
        for unit in units {
            let held = transaction.overlay.clone();
            let applied = send(unit::apply(&mut transaction, context, unit, seq)).await;
            outcomes.push(match applied {
                Ok(applied) => {
                    seq = Seq(seq.0 + applied.entries.len() as u64);
                    changes.extend(applied.entries.into_iter().map(Arc::new));
                    let (epoch, results) = (self.epoch.clone(), applied.results);
                    Ok(Outcome { seq: applied.seq, epoch, results, replayed: applied.replayed })
                }
                Err(Fault::Refused(refusal)) => {
                    transaction.overlay = held;
                    Err(refusal)
                }
                Err(Fault::Broken(never)) => match never {},
            });
        }
        let asked = transaction.asked.load(Ordering::Relaxed);
        let overlay = transaction.overlay;
        let mut base = before;
        base.flush(overlay, &self.config, at.unwrap_or(Timestamp(0)));
        *self.base.lock().unwrap() = base;
        if !changes.is_empty() {
            let _ = self.publish.send(Arc::new(CommitBatch { epoch: self.epoch.clone(), changes }));
        }
        GroupDone { outcomes, asked }
    }

    fn at<T>(&self, value: impl FnOnce(&Base) -> Result<T, StoreError>) -> Result<At<T>, StoreError> {
        let base = self.base.lock().unwrap();
        let (epoch, seq, floor) = (self.epoch.clone(), base.head(), Seq::ZERO);
        Ok(At { epoch, seq, floor, generation: GENERATION, value: value(&base)? })
    }
}

/// A commit on another machine happens in a task.
fn send<F: Future + Send>(future: F) -> F {
    future
}

fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Storage("only what tests of writes ask for".to_owned()))
}

answers_at_once!(OverlayBackend);

impl AtOnce for OverlayBackend {
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
        async move { self.commit_group(vec![unit]).await.outcomes.remove(0) }.boxed()
    }

    fn get(&self, entity: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError> {
        let relation =
            self.relations.get(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))?;
        let key = Key { entity: relation.entity.name.clone(), id: id.clone() };
        self.at(|base| {
            let stored = base.records.get(&key);
            Ok(stored
                .map(|record| Stored { version: record.version, json: record.to_json(&relation.entity) }))
        })
    }

    fn rights_changed(&self, person: &str, entities: &[EntityName]) -> Result<Seq, StoreError> {
        let base = self.base.lock().unwrap();
        let of = |entity: &EntityName| RightsOf { person: person.into(), entity: entity.clone() };
        let last = entities.iter().filter_map(|entity| base.rights.get(&of(entity))).max();
        Ok(last.copied().unwrap_or(Seq::ZERO))
    }

    fn log(&self, after: Seq, _: LogLimit) -> Result<At<LogPage>, StoreError> {
        self.at(|base| {
            let told = base.log.iter().filter(|change| change.seq > after);
            // The log does not hold whose rights a change concerns.
            let bare = told.map(|change| {
                let change = tidewire::store::Change { rights: Vec::new(), ..(**change).clone() };
                Arc::new(change)
            });
            let changes: Vec<_> = bare.collect();
            let to = changes.last().map_or(after, |change| change.seq);
            Ok(LogPage::Changes { changes, to })
        })
    }

    fn leases(&self) -> Result<At<Vec<RecordLease>>, StoreError> {
        self.at(|base| {
            let rows = base.leases.iter().map(|(key, lease)| RecordLease {
                entity: key.entity.clone(),
                id: key.id.clone(),
                lease: lease.clone(),
            });
            Ok(rows.collect())
        })
    }

    fn head(&self) -> Result<At<()>, StoreError> {
        self.at(|_| Ok(()))
    }

    fn find(&self, _: &str, _: &RecordId, _: &Who) -> Result<At<Option<Stored>>, StoreError> {
        not_here()
    }

    fn principal(&self, _: &Arc<Person>) -> Result<At<Principal>, StoreError> {
        not_here()
    }

    fn differ(&self, _: &Differ) -> Result<At<Difference>, StoreError> {
        not_here()
    }

    fn list(&self, _: &Query) -> Result<At<ListPage>, StoreError> {
        not_here()
    }

    fn count(&self, _: &Count) -> Result<At<Counted>, StoreError> {
        not_here()
    }

    fn history(
        &self,
        _: &str,
        _: &RecordId,
        _: &Who,
        _: Option<Seq>,
        _: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError> {
        not_here()
    }

    fn activity(&self, _: &ActivityQuery) -> Result<At<ActivityPage>, StoreError> {
        not_here()
    }

    fn survey(&self, _: Option<&Scope>, _: &Position) -> Result<At<Survey>, StoreError> {
        not_here()
    }
}
