//! `MemoryStore`: `trait Store` once more, as simply as it can be said: maps, a vector, one lock. The second backend of the
//! conformance suite and its oracle, so it shares nothing with the product's stores but the types: rules are asked of
//! `support/oracle.rs`, and neither `evaluate` nor a bound predicate nor the logic of a unit is called.
//!
//! Deliberately slow and without bounds of its own queue; it copies all its state for every unit.

mod activity;
mod answers;
mod delete;
mod differ;
mod history;
mod images;
mod leases;
mod list;
mod log;
mod lookups;
mod many;
mod rights;
mod search;
mod sequences;
mod sight;
mod triggers;
mod unit;
mod unit_end;

mod write;

pub(crate) use unit_end::without_case;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, Position, RecordId, Seq};
use tidewire::rules::{Person, Principal};
use tidewire::schema::{Entity, EntityName, Generation, Record, Schema};
use tidewire::store::{
    ActivityPage, ActivityQuery, At, CommitBatch, CommitError, Count, Counted, Differ, Difference, ListPage,
    LogLimit, LogPage, Outcome, Past, Query, RecordLease, Scope, StoreError, Stored, Survey, Unit, Who,
};
use tokio::sync::mpsc;

use crate::support::at_once::{AtOnce, answers_at_once};

use self::answers::Answer;
use self::log::Entry;
use self::sight::Sight;
use self::unit::Draft;

pub(crate) struct MemoryStore {
    schema: Arc<Schema>,
    config: StoreConfig,
    epoch: Epoch,
    state: Mutex<State>,
    publish: mpsc::UnboundedSender<Arc<CommitBatch>>,
}

/// Generation of every unit.
pub(crate) const GENERATION: Generation = Generation(1);

type Key = (EntityName, RecordId);

type Records = BTreeMap<Key, Arc<Record>>;

#[derive(Clone, Default)]
struct State {
    seq: u64,
    floor: u64,
    records: Records,
    /// Last version, seq of the delete.
    tombstones: BTreeMap<Key, (u64, u64)>,
    log: Vec<Entry>,
    /// Changes of entities with `history`, in the log or not.
    past: Vec<Entry>,
    /// The last number that a field of an entity was given, by the value that it counts by.
    numbers: BTreeMap<(EntityName, usize, Option<String>), i64>,
    leases: BTreeMap<Key, leases::ModelLease>,
    /// The last number that a lease was given.
    fence: u64,
    /// Oldest first.
    answers: Vec<Answer>,
    /// By person and entity: the last change of the person's rights.
    rights: BTreeMap<(Arc<str>, EntityName), u64>,
}

impl MemoryStore {
    pub(crate) fn open(
        schema: &Arc<Schema>,
        config: &StoreConfig,
        epoch: Epoch,
    ) -> (Arc<MemoryStore>, mpsc::UnboundedReceiver<Arc<CommitBatch>>) {
        let (publish, batches) = mpsc::unbounded_channel();
        let (schema, config, state) = (schema.clone(), config.clone(), Mutex::default());
        (Arc::new(MemoryStore { schema, config, epoch, state, publish }), batches)
    }

    fn entity(&self, name: &str) -> Result<&Arc<Entity>, StoreError> {
        self.schema.entity(name).ok_or_else(|| StoreError::UnknownEntity(name.to_owned()))
    }

    /// For columns that were named under this generation.
    fn entity_at(&self, generation: Generation, name: &str) -> Result<&Arc<Entity>, StoreError> {
        if generation == GENERATION { self.entity(name) } else { Err(StoreError::StaleGeneration) }
    }

    /// One read: its value and the position at which it is true.
    fn read<T>(&self, read: impl FnOnce(&State) -> Result<T, StoreError>) -> Result<At<T>, StoreError> {
        let state = self.state.lock().unwrap();
        let value = read(&state)?;
        let (epoch, seq, floor) = (self.epoch.clone(), Seq(state.seq), Seq(state.floor));
        Ok(At { epoch, seq, floor, generation: GENERATION, value })
    }

    fn commit_now(&self, unit: &Unit) -> Result<Outcome, CommitError> {
        let mut state = self.state.lock().unwrap();
        let mut draft = Draft::new(self, state.clone(), unit);
        let outcome = draft.run()?;
        let (mut next, entries) = draft.done();
        if entries.is_empty() {
            *state = next;
            return Ok(outcome);
        }
        next.trim(&self.config, &self.schema, unit.at);
        *state = next;
        let changes = entries.iter().map(|entry| rights::told(&self.schema, entry)).collect();
        let _ = self.publish.send(Arc::new(CommitBatch { epoch: self.epoch.clone(), changes }));
        Ok(outcome)
    }

    fn find_now(&self, entity: &str, id: &RecordId, who: &Who) -> Result<At<Option<Stored>>, StoreError> {
        let entity = self.entity(entity)?;
        self.read(|state| {
            let sight = Sight::of(&self.schema, &state.records, who);
            sight.open(entity)?;
            let record = state.records.get(&(entity.name.clone(), id.clone()));
            let seen = record.filter(|record| sight.sees(entity, record));
            Ok(seen.map(|record| sight.shown(entity, record)))
        })
    }
}

answers_at_once!(MemoryStore);

impl AtOnce for MemoryStore {
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
        async move { self.commit_now(&unit) }.boxed()
    }

    fn get(&self, entity: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError> {
        self.find_now(entity, id, &Who::System)
    }

    fn find(&self, entity: &str, id: &RecordId, who: &Who) -> Result<At<Option<Stored>>, StoreError> {
        self.find_now(entity, id, who)
    }

    fn principal(&self, person: &Arc<Person>) -> Result<At<Principal>, StoreError> {
        self.read(|state| Ok(rights::principal(&self.schema, &state.records, person)))
    }

    fn rights_changed(&self, person: &str, entities: &[EntityName]) -> Result<Seq, StoreError> {
        let state = self.state.lock().unwrap();
        let of_person = state
            .rights
            .iter()
            .filter(|((whose, entity), _)| **whose == *person && entities.contains(entity));
        Ok(Seq(of_person.map(|(_, seq)| *seq).max().unwrap_or(0)))
    }

    fn differ(&self, differ: &Differ) -> Result<At<Difference>, StoreError> {
        self.read(|state| differ::differ(&self.schema, state, differ))
    }

    fn list(&self, query: &Query) -> Result<At<ListPage>, StoreError> {
        let entity = self.entity_at(query.generation, &query.entity)?;
        self.read(|state| list::list(&self.schema, state, entity, query))
    }

    fn count(&self, count: &Count) -> Result<At<Counted>, StoreError> {
        let entity = self.entity_at(count.generation, &count.entity)?;
        self.read(|state| list::count(&self.schema, state, entity, count))
    }

    fn log(&self, after: Seq, limit: LogLimit) -> Result<At<LogPage>, StoreError> {
        self.read(|state| Ok(state.page(after, limit)))
    }

    fn history(
        &self,
        entity: &str,
        id: &RecordId,
        who: &Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError> {
        let entity = self.entity(entity)?;
        self.read(|state| {
            let sight = Sight::of(&self.schema, &state.records, who);
            sight.open(entity)?;
            let page = || history::page(state, &sight, (entity, id), before, limit);
            Ok(entity.history.map(|_| page()))
        })
    }

    fn activity(&self, query: &ActivityQuery) -> Result<At<ActivityPage>, StoreError> {
        self.read(|state| activity::page(&self.schema, state, query))
    }

    fn survey(&self, scope: Option<&Scope>, since: &Position) -> Result<At<Survey>, StoreError> {
        scope.map(|scope| self.entity(scope.entity())).transpose()?;
        self.read(|state| Ok(state.survey(scope, since, &self.epoch)))
    }

    fn leases(&self) -> Result<At<Vec<RecordLease>>, StoreError> {
        self.read(|state| Ok(leases::stored(&state.leases)))
    }

    fn head(&self) -> Result<At<()>, StoreError> {
        self.read(|_| Ok(()))
    }
}
