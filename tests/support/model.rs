//! `MemoryStore`: `trait Store` once more, as simply as it can be said: maps, a vector, one lock. The oracle of the
//! conformance suite, so it shares nothing with the SQLite store but the types.
//!
//! Deliberately slow and without bounds of its own queue; it copies all its state for every unit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, MutationId, Position, RecordId, Seq, Timestamp};
use tidewire::schema::{
    Entity, EntityName, FieldIndex, FieldKind, Generation, History, OnDelete, Record, Schema, Value,
};
use tidewire::store::{
    At, Change, ChangeOp, Column, CommitBatch, CommitError, Condition, Count, Counted, Direction, Expand,
    Idempotency, ListPage, Listed, LogLimit, LogPage, MOST_GROUPS, Op, OpResult, OpStatus, Outcome, Past,
    Query, Related, Scope, StoreError, Stored, Survey, Test, Unit,
};
use tokio::sync::mpsc;

use super::at_once::{AtOnce, answers_at_once};

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

#[derive(Clone, Default)]
struct State {
    seq: u64,
    floor: u64,
    records: BTreeMap<Key, Record>,
    /// Key → last version, seq of the delete.
    graves: BTreeMap<Key, (u64, u64)>,
    log: Vec<Arc<Change>>,
    /// Changes of entities with `history`, in the log or not.
    past: Vec<Arc<Change>>,
    /// Oldest first.
    mutations: Vec<Mutation>,
}

#[derive(Clone)]
struct Mutation {
    owner: Arc<str>,
    mid: MutationId,
    hash: [u8; 32],
    at: Timestamp,
    results: Vec<(EntityName, RecordId, OpStatus)>,
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

    fn related(
        &self,
        state: &State,
        entity: &Entity,
        record: &Record,
        expand: &Expand,
    ) -> Option<Arc<Related>> {
        let Value::Text(id) = &record.values[expand.field.0] else { return None };
        let target = self.schema.target(entity.at(expand.field)).unwrap();
        let found = &state.records[&(target.name.clone(), RecordId::stored(id))];
        let expanded = expand.then.iter().map(|then| self.related(state, target, found, then)).collect();
        Some(Arc::new(Related { stored: stored(found, target), expanded }))
    }

    fn at<T>(&self, state: &State, value: T) -> At<T> {
        let (epoch, seq, floor) = (self.epoch.clone(), Seq(state.seq), Seq(state.floor));
        At { epoch, seq, floor, generation: GENERATION, value }
    }

    fn commit_now(&self, unit: Unit) -> Result<Outcome, CommitError> {
        let mut state = self.state.lock().unwrap();
        let mut draft = Draft {
            store: self,
            state: state.clone(),
            unit: &unit,
            entries: Vec::new(),
            bytes: 0,
            setters: BTreeMap::new(),
            blocked: Vec::new(),
        };
        let outcome = draft.run()?;
        let (mut next, entries) = (draft.state, draft.entries);
        if !entries.is_empty() {
            next.trim(&self.config, &self.schema, unit.at);
        }
        *state = next;
        if !entries.is_empty() {
            let _ = self.publish.send(Arc::new(CommitBatch { epoch: self.epoch.clone(), changes: entries }));
        }
        Ok(outcome)
    }
}

answers_at_once!(MemoryStore);

impl AtOnce for MemoryStore {
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
        async move { self.commit_now(unit) }.boxed()
    }

    fn get(&self, entity: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError> {
        let entity = self.entity(entity)?;
        let state = self.state.lock().unwrap();
        let record = state.records.get(&(entity.name.clone(), id.clone()));
        Ok(self.at(&state, record.map(|record| stored(record, entity))))
    }

    fn list(&self, query: &Query) -> Result<At<ListPage>, StoreError> {
        let entity = self.entity(&query.entity)?;
        let state = self.state.lock().unwrap();
        let last = query.sort.last().map_or(Direction::Ascending, |(_, direction)| *direction);
        let sort_values = |record: &Record| -> Vec<Value> {
            query.sort.iter().map(|(column, _)| value(record, *column)).collect()
        };
        let order = |left: &(Vec<Value>, RecordId), right: &(Vec<Value>, RecordId)| {
            let columns = left.0.iter().zip(&right.0).zip(&query.sort);
            let by_columns = columns.fold(Ordering::Equal, |so_far, ((left, right), (_, direction))| {
                so_far.then_with(|| directed(compare(left, right), *direction))
            });
            by_columns.then_with(|| directed(left.1.cmp(&right.1), last))
        };
        let mut found: Vec<((Vec<Value>, RecordId), &Record)> = state
            .records
            .iter()
            .filter(|((name, _), _)| *name == entity.name)
            .map(|(_, record)| record)
            .filter(|record| meets(entity, record, &query.filter, &query.search))
            .map(|record| ((sort_values(record), record.id.clone()), record))
            .filter(|(key, _)| query.after.as_ref().is_none_or(|mark| order(key, mark) == Ordering::Greater))
            .collect();
        found.sort_by(|left, right| order(&left.0, &right.0));
        let (mut room, mut shown) = (query.bytes, 0);
        for (_, record) in found.iter().take(query.limit) {
            if room == 0 {
                break;
            }
            room = room.saturating_sub(stored(record, entity).json.len());
            shown += 1;
        }
        let more = found.len() > shown;
        let listed = found.into_iter().take(shown).map(|((sort_values, id), record)| Listed {
            id,
            sort_values,
            stored: stored(record, entity),
            expanded: query
                .expand
                .iter()
                .map(|expand| self.related(&state, entity, record, expand))
                .collect(),
        });
        Ok(self.at(&state, ListPage { rows: listed.collect(), more, read_scope: None }))
    }

    fn count(&self, count: &Count) -> Result<At<Counted>, StoreError> {
        let entity = self.entity(&count.entity)?;
        let state = self.state.lock().unwrap();
        let of_entity = state.records.iter().filter(|((name, _), _)| *name == entity.name);
        let found: Vec<&Record> = of_entity
            .map(|(_, record)| record)
            .filter(|record| meets(entity, record, &count.filter, &count.search))
            .collect();
        let mut groups: Vec<(Value, u64)> = Vec::new();
        for record in count.group.iter().flat_map(|_| &found) {
            let value = value(record, count.group.unwrap());
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, count)) => *count += 1,
                None => groups.push((value, 1)),
            }
        }
        if groups.len() > MOST_GROUPS {
            return Err(StoreError::TooManyGroups { entity: count.entity.clone() });
        }
        groups.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| compare(&left.0, &right.0)));
        Ok(self.at(&state, Counted { count: found.len() as u64, groups }))
    }

    fn log(&self, after: Seq, limit: LogLimit) -> Result<At<LogPage>, StoreError> {
        let state = self.state.lock().unwrap();
        if after.0 < state.floor {
            return Ok(self.at(&state, LogPage::BelowFloor));
        }
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for change in state.log.iter().filter(|change| change.seq > after) {
            changes.push(change.clone());
            bytes +=
                change.before.as_ref().map_or(0, Bytes::len) + change.after.as_ref().map_or(0, Bytes::len);
            if change.unit_last && (changes.len() >= limit.changes || bytes >= limit.bytes) {
                break;
            }
        }
        let to = changes.last().map_or(after, |change| change.seq);
        Ok(self.at(&state, LogPage::Changes { changes, to }))
    }

    fn history(
        &self,
        entity: &str,
        id: &RecordId,
        _: &tidewire::store::Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError> {
        let entity = self.entity(entity)?;
        let state = self.state.lock().unwrap();
        if entity.history.is_none() {
            return Ok(self.at(&state, None));
        }
        let mut past = Past::default();
        let mut bytes = 0;
        let of_record = |change: &&Arc<Change>| change.entity == entity.name && change.id == *id;
        let older = |change: &&Arc<Change>| before.is_none_or(|before| change.seq < before);
        for change in state.past.iter().rev().filter(of_record).filter(older) {
            if past.changes.len() >= limit.changes || bytes >= limit.bytes {
                past.more = true;
                break;
            }
            bytes +=
                change.before.as_ref().map_or(0, Bytes::len) + change.after.as_ref().map_or(0, Bytes::len);
            past.changes.push(change.clone());
        }
        Ok(self.at(&state, Some(past)))
    }

    fn survey(&self, scope: &Scope, since: &Position) -> Result<At<Survey>, StoreError> {
        self.entity(scope.entity())?;
        let state = self.state.lock().unwrap();
        if since.epoch != self.epoch || since.seq.0 > state.seq {
            return Ok(self.at(&state, Survey::default()));
        }
        let backlog =
            state.log.iter().filter(|change| change.seq > since.seq && scope.contains(change)).count();
        let in_scope = |(entity, id): &&Key| match scope {
            Scope::Entity(wanted) => wanted == entity,
            Scope::Record(wanted, record) => wanted == entity && record == id,
        };
        let rows = state.records.keys().filter(in_scope).count();
        let survey =
            Survey { known: true, schema_changed: false, backlog: backlog as u64, rows: rows as u64 };
        Ok(self.at(&state, survey))
    }

    fn head(&self) -> Result<At<()>, StoreError> {
        Ok(self.at(&self.state.lock().unwrap(), ()))
    }
}

/// Operation, deleted record, entity and field that referred to it.
type Blocked = (usize, Key, EntityName, usize);

/// One unit on a copy of the state, which is kept only if all goes well.
struct Draft<'a> {
    store: &'a MemoryStore,
    state: State,
    unit: &'a Unit,
    entries: Vec<Arc<Change>>,
    bytes: usize,
    /// Which operation last set a field of a record that is there.
    setters: BTreeMap<(Key, usize), usize>,
    blocked: Vec<Blocked>,
}

impl Draft<'_> {
    fn run(&mut self) -> Result<Outcome, CommitError> {
        if self.unit.generation != GENERATION {
            return Err(CommitError::StaleGeneration);
        }
        if let Some(key) = &self.unit.idempotency
            && let Some(known) =
                self.state.mutations.iter().find(|m| m.owner == key.owner && m.mid == key.mid)
        {
            return if known.hash == key.hash {
                Ok(self.replay(known))
            } else {
                Err(CommitError::MutationReused)
            };
        }
        let mut results = Vec::new();
        for (at, op) in self.unit.ops.iter().enumerate() {
            results.push(self.op(at, op)?);
        }
        self.judge_the_end()?;
        if let Some(last) = self.entries.last_mut() {
            Arc::make_mut(last).unit_last = true;
        }
        self.state.log.extend(self.entries.iter().cloned());
        let kept = |change: &&Arc<Change>| history(&self.store.schema, change).is_some();
        self.state.past.extend(self.entries.iter().filter(kept).cloned());
        if let Some(key) = &self.unit.idempotency {
            self.remember(key, &results);
        }
        Ok(self.outcome(results, false))
    }

    fn outcome(&self, results: Vec<OpResult>, replayed: bool) -> Outcome {
        Outcome { seq: Seq(self.state.seq), epoch: self.store.epoch.clone(), results, replayed }
    }

    fn replay(&self, known: &Mutation) -> Outcome {
        let result = |(entity, id, status): &(EntityName, RecordId, OpStatus)| {
            let record = self.state.records.get(&(entity.clone(), id.clone()));
            let schema = self.store.schema.entity(entity).unwrap();
            OpResult { id: id.clone(), status: *status, record: record.map(|record| stored(record, schema)) }
        };
        self.outcome(known.results.iter().map(result).collect(), true)
    }

    fn remember(&mut self, key: &Idempotency, results: &[OpResult]) {
        let results = self.unit.ops.iter().zip(results);
        let results =
            results.map(|(op, result)| (op.entity().clone(), result.id.clone(), result.status)).collect();
        let (owner, mid, hash, at) = (key.owner.clone(), key.mid.clone(), key.hash, self.unit.at);
        let mutations = &mut self.state.mutations;
        mutations.push(Mutation { owner: owner.clone(), mid, hash, at, results });
        let of_owner = mutations.iter().filter(|known| known.owner == owner).count() as u64;
        if of_owner > self.store.config.idempotency_per_user {
            let oldest = mutations.iter().position(|known| known.owner == owner).unwrap();
            mutations.remove(oldest);
        }
        let oldest = at.0 - self.store.config.idempotency_age.as_millis() as i64;
        mutations.retain(|known| known.at.0 >= oldest);
    }

    fn op(&mut self, at: usize, op: &Op) -> Result<OpResult, CommitError> {
        let entity = self.store.schema.entity(op.entity()).ok_or(CommitError::StaleGeneration)?.clone();
        match op {
            Op::Create { id, values, .. } => self.create(at, &entity, id, values),
            Op::Update { id, set, if_version, .. } => {
                let old = self.current(at, &entity, id, *if_version)?;
                let mut values = old.values.clone();
                let own = set.iter().filter(|(field, _)| entity.at(*field).lookup.is_none());
                own.for_each(|(field, value)| values[field.0] = settled(value));
                if values == old.values {
                    let record = Some(stored(&old, &entity));
                    return Ok(OpResult { id: id.clone(), status: OpStatus::Unchanged, record });
                }
                let key = (entity.name.clone(), id.clone());
                self.check_references(at, &entity, id, &values, Some(&old.values))?;
                self.change(at, vec![(key.clone(), values)], &[])?;
                let record = Some(stored(&self.state.records[&key], &entity));
                Ok(OpResult { id: id.clone(), status: OpStatus::Updated, record })
            }
            Op::Delete { id, if_version, .. } => {
                self.current(at, &entity, id, *if_version)?;
                self.delete(at, &entity, id)?;
                Ok(OpResult { id: id.clone(), status: OpStatus::Deleted, record: None })
            }
        }
    }

    fn create(
        &mut self,
        at: usize,
        entity: &Entity,
        id: &RecordId,
        values: &[Value],
    ) -> Result<OpResult, CommitError> {
        let key = (entity.name.clone(), id.clone());
        if self.state.records.contains_key(&key) {
            return Err(CommitError::IdTaken { op: at });
        }
        let version = self.state.graves.get(&key).map_or(0, |grave| grave.0) + 1;
        let time = self.unit.at;
        let own = |(at, value): (usize, &Value)| match entity.fields[at].lookup {
            Some(_) => Value::Null,
            None => settled(value),
        };
        let values: Vec<Value> = values.iter().enumerate().map(own).collect();
        self.check_references(at, entity, id, &values, None)?;
        let record = Record { id: id.clone(), version, created_at: time, updated_at: time, values };
        self.check_blocked(|(_, gone, ..)| *gone == key)?;
        self.blocked.retain(|(_, gone, ..)| *gone != key);
        let before = self.state.records.clone();
        self.state.records.insert(key.clone(), record);
        self.settle_lookups(&before, &[]);
        let record = self.state.records[&key].clone();
        let after = stored(&record, entity);
        self.reserve(after.json.len())?;
        self.set(at, entity, &record, (0..record.values.len()).collect())?;
        self.log(entity, id, ChangeOp::Create, None, Some(after.json.clone()), None);
        Ok(OpResult { id: id.clone(), status: OpStatus::Created, record: Some(after) })
    }

    /// Judges values at once in a unit of one operation; notes otherwise who set them.
    fn set(
        &mut self,
        at: usize,
        entity: &Entity,
        record: &Record,
        fields: Vec<usize>,
    ) -> Result<(), CommitError> {
        for place in fields {
            if self.unit.ops.len() > 1 {
                self.setters.insert(((entity.name.clone(), record.id.clone()), place), at);
            } else if let [_, ..] = self.others_with(entity, record, place)[..] {
                let field = entity.fields[place].name.clone();
                return Err(CommitError::NotUnique { op: at, field });
            }
        }
        Ok(())
    }

    /// The other records that have the value of a unique field.
    fn others_with(&self, entity: &Entity, record: &Record, place: usize) -> Vec<Key> {
        let value = &record.values[place];
        if !entity.fields[place].unique || value.is_null() {
            return Vec::new();
        }
        let of_entity = self.state.records.iter().filter(|(key, _)| key.0 == entity.name);
        let same = of_entity.filter(|(key, other)| key.1 != record.id && other.values[place] == *value);
        same.map(|(key, _)| key.clone()).collect()
    }

    /// The first operation is at fault that left a value which another record had already, or a reference to nothing.
    fn judge_the_end(&self) -> Result<(), CommitError> {
        for op in 0..self.unit.ops.len() {
            for ((key, place), _) in self.setters.iter().filter(|(_, setter)| **setter == op) {
                let entity = self.store.schema.entity(&key.0).unwrap();
                let setter = |other: Key| self.setters.get(&(other, *place)).copied();
                let others = self.others_with(entity, &self.state.records[key], *place);
                if others.into_iter().any(|other| setter(other).is_none_or(|other| other < op)) {
                    let field = entity.fields[*place].name.clone();
                    return Err(CommitError::NotUnique { op, field });
                }
            }
            self.check_blocked(|(at, ..)| *at == op)?;
        }
        Ok(())
    }

    /// Refuses some of the deletes if a record refers to what they deleted.
    fn check_blocked(&self, asked: impl Fn(&Blocked) -> bool) -> Result<(), CommitError> {
        for (op, gone, child, field) in self.blocked.iter().filter(|one| asked(one)) {
            if self.children(child, *field, &gone.1).next().is_some() {
                return Err(CommitError::Restricted { op: *op, entity: child.clone() });
            }
        }
        Ok(())
    }

    /// Gives records new values and everything that looks them up its own, then logs: first these records, then the others
    /// by how many lookups in a row lead to the first that changed, by entity and by id. What is `going` stays as it is.
    fn change(
        &mut self,
        at: usize,
        written: Vec<(Key, Vec<Value>)>,
        going: &[Key],
    ) -> Result<(), CommitError> {
        let before = self.state.records.clone();
        let first: Vec<Key> = written.iter().map(|(key, _)| key.clone()).collect();
        for (key, values) in written {
            self.state.records.get_mut(&key).unwrap().values = values;
        }
        self.settle_lookups(&before, going);
        let mut others: Vec<(usize, Key)> = Vec::new();
        for (key, record) in self.state.records.iter().filter(|(key, _)| !first.contains(key)) {
            let entity = self.store.schema.entity(&key.0).unwrap();
            let changed = (0..record.values.len()).filter(|at| record.values[*at] != before[key].values[*at]);
            if let Some(distance) = changed.map(|field| self.distance(entity, field)).min() {
                others.push((distance, key.clone()));
            }
        }
        others.sort();
        // The record that the operation names does not count, be it changed or going.
        let limit = self.store.config.cascade_records;
        if first.len() + others.len() + going.len() - 1 > limit {
            return Err(CommitError::CascadeTooLarge { op: at, limit });
        }
        for key in first.into_iter().chain(others.into_iter().map(|(_, key)| key)) {
            let entity = self.store.schema.entity(&key.0).unwrap().clone();
            let values = self.state.records[&key].values.clone();
            self.rewrite(at, &entity, before[&key].clone(), values)?;
        }
        Ok(())
    }

    /// Looks everything up again, until nothing changes any more. A record that goes on referring to one that is gone keeps
    /// what it copied from it.
    fn settle_lookups(&mut self, before: &BTreeMap<Key, Record>, going: &[Key]) {
        loop {
            let mut found: Vec<(Key, usize, Value)> = Vec::new();
            for (key, record) in self.state.records.iter().filter(|(key, _)| !going.contains(key)) {
                let entity = self.store.schema.entity(&key.0).unwrap();
                for (at, field) in entity.fields.iter().enumerate() {
                    let Some(lookup) = field.lookup else { continue };
                    let FieldKind::Ref { entity: target, .. } = &entity.at(lookup.via).kind else { panic!() };
                    let mut source = None;
                    if let Value::Text(id) = &record.values[lookup.via.0] {
                        source = self.state.records.get(&(target.clone(), RecordId::stored(id)));
                    }
                    let via = |record: &Record| record.values[lookup.via.0].clone();
                    let went_on = before.get(key).is_some_and(|before| via(before) == via(record));
                    if source.is_none() && !via(record).is_null() && went_on {
                        continue;
                    }
                    let value = source.map_or(Value::Null, |source| source.values[lookup.field.0].clone());
                    if value != record.values[at] {
                        found.push((key.clone(), at, value));
                    }
                }
            }
            if found.is_empty() {
                return;
            }
            for (key, at, value) in found {
                self.state.records.get_mut(&key).unwrap().values[at] = value;
            }
        }
    }

    /// How many lookups lead from a field that a client sets to this one.
    fn distance(&self, entity: &Entity, field: usize) -> usize {
        let Some(lookup) = entity.fields[field].lookup else { return 0 };
        let target = self.store.schema.target(entity.at(lookup.via)).unwrap();
        1 + self.distance(entity, lookup.via.0).max(self.distance(target, lookup.field.0))
    }

    fn rewrite(
        &mut self,
        at: usize,
        entity: &Entity,
        old: Record,
        values: Vec<Value>,
    ) -> Result<(), CommitError> {
        let changed: Vec<usize> = (0..values.len()).filter(|at| values[*at] != old.values[*at]).collect();
        let before: Vec<String> = changed
            .iter()
            .map(|at| format!("\"{}\":{}", entity.fields[*at].name, json(&old.values[*at])))
            .collect();
        let before = Bytes::from(format!("{{{}}}", before.join(",")));
        let names: Vec<String> =
            changed.iter().map(|at| format!("\"{}\"", entity.fields[*at].name)).collect();
        let new = Record { version: old.version + 1, updated_at: self.unit.at, values, ..old };
        let after = stored(&new, entity);
        self.reserve(before.len() + after.json.len())?;
        self.set(at, entity, &new, changed)?;
        let names = Some(Bytes::from(format!("[{}]", names.join(","))));
        let id = new.id.clone();
        self.state.records.insert((entity.name.clone(), id.clone()), new);
        self.log(entity, &id, ChangeOp::Update, Some(before), Some(after.json), names);
        Ok(())
    }

    /// Finds everything that goes, then everything that loses a reference, then does it: first the references.
    fn delete(&mut self, at: usize, entity: &Entity, id: &RecordId) -> Result<(), CommitError> {
        let root = (entity.name.clone(), id.clone());
        let (mut going, mut entered) = (Vec::new(), BTreeSet::from([root.clone()]));
        self.collect(&root, &mut going, &mut entered);
        let limit = self.store.config.cascade_records;
        let too_large = CommitError::CascadeTooLarge { op: at, limit };
        if going.len() - 1 > limit {
            return Err(too_large);
        }
        let mut cleared: Vec<(Key, Vec<Value>)> = Vec::new();
        let mut blocked = Vec::new();
        for parent in &going {
            for (child, field, on_delete) in self.referrers(&parent.0) {
                let staying: Vec<Key> =
                    self.children(&child, field, &parent.1).filter(|key| !entered.contains(key)).collect();
                match on_delete {
                    OnDelete::Cascade => {}
                    OnDelete::Restrict if staying.is_empty() => {}
                    OnDelete::Restrict => blocked.push((at, parent.clone(), child, field)),
                    OnDelete::SetNull => {
                        for key in staying {
                            if !cleared.iter().any(|(known, _)| *known == key) {
                                cleared.push((key.clone(), self.state.records[&key].values.clone()));
                            }
                            let (_, values) = cleared.iter_mut().find(|(known, _)| *known == key).unwrap();
                            values[field] = Value::Null;
                        }
                        if going.len() - 1 + cleared.len() > limit {
                            return Err(too_large);
                        }
                    }
                }
            }
        }
        if self.unit.ops.len() == 1
            && let Some((_, _, child, _)) = blocked.first()
        {
            return Err(CommitError::Restricted { op: at, entity: child.clone() });
        }
        self.blocked.extend(blocked);
        self.change(at, cleared, &going)?;
        going.into_iter().try_for_each(|key| self.remove(key))
    }

    fn collect(&self, key: &Key, going: &mut Vec<Key>, entered: &mut BTreeSet<Key>) {
        for (child, field, on_delete) in self.referrers(&key.0) {
            if on_delete == OnDelete::Cascade {
                let children: Vec<Key> = self.children(&child, field, &key.1).collect();
                for child in children {
                    if entered.insert(child.clone()) {
                        self.collect(&child, going, entered);
                    }
                }
            }
        }
        going.push(key.clone());
    }

    fn remove(&mut self, key: Key) -> Result<(), CommitError> {
        let entity = self.store.schema.entity(&key.0).unwrap().clone();
        let record = self.state.records.remove(&key).unwrap();
        self.setters.retain(|(setter, _), _| *setter != key);
        let before = stored(&record, &entity).json;
        self.reserve(before.len())?;
        self.log(&entity, &key.1, ChangeOp::Delete, Some(before), None, None);
        self.state.graves.insert(key, (record.version, self.state.seq));
        Ok(())
    }

    fn referrers(&self, target: &str) -> Vec<(EntityName, usize, OnDelete)> {
        let mut referrers = Vec::new();
        for entity in self.store.schema.entities() {
            for (at, field) in entity.fields.iter().enumerate() {
                if let FieldKind::Ref { entity: to, on_delete } = &field.kind
                    && field.lookup.is_none()
                    && **to == *target
                {
                    referrers.push((entity.name.clone(), at, *on_delete));
                }
            }
        }
        referrers
    }

    fn children(&self, entity: &EntityName, field: usize, id: &RecordId) -> impl Iterator<Item = Key> {
        let refers = |record: &Record| record.values[field] == Value::Text(id.as_str().to_owned());
        let of_entity = self.state.records.iter().filter(|((name, _), _)| name == entity);
        let keys = of_entity.filter(|(_, record)| refers(record)).map(|(key, _)| key.clone());
        keys.collect::<Vec<Key>>().into_iter()
    }

    fn current(
        &self,
        at: usize,
        entity: &Entity,
        id: &RecordId,
        if_version: Option<u64>,
    ) -> Result<Record, CommitError> {
        let record = self.state.records.get(&(entity.name.clone(), id.clone()));
        let record = record.ok_or(CommitError::NotFound { op: at })?;
        match if_version {
            Some(version) if version != record.version => {
                Err(CommitError::VersionConflict { op: at, current: stored(record, entity) })
            }
            _ => Ok(record.clone()),
        }
    }

    /// Those that an operation sets.
    fn check_references(
        &self,
        at: usize,
        entity: &Entity,
        id: &RecordId,
        values: &[Value],
        old: Option<&[Value]>,
    ) -> Result<(), CommitError> {
        for (place, field) in entity.fields.iter().enumerate().filter(|(_, at)| at.lookup.is_none()) {
            if old.is_some_and(|old| old[place] == values[place]) {
                continue;
            }
            if let (FieldKind::Ref { entity: target, .. }, Value::Text(to)) = (&field.kind, &values[place]) {
                let key = (target.clone(), RecordId::stored(to));
                let itself = *target == entity.name && key.1 == *id;
                if !itself && !self.state.records.contains_key(&key) {
                    return Err(CommitError::UnknownReference { op: at, field: field.name.clone() });
                }
            }
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), CommitError> {
        self.bytes += bytes;
        let (entries, most) = (self.store.config.unit_entries, self.store.config.group_bytes);
        if self.entries.len() + 1 > entries || self.bytes > most {
            return Err(CommitError::UnitTooLarge { entries, bytes: most });
        }
        Ok(())
    }

    fn log(
        &mut self,
        entity: &Entity,
        id: &RecordId,
        op: ChangeOp,
        before: Option<Bytes>,
        after: Option<Bytes>,
        changed: Option<Bytes>,
    ) {
        self.state.seq += 1;
        self.entries.push(Arc::new(Change {
            seq: Seq(self.state.seq),
            entity: entity.name.clone(),
            id: id.clone(),
            op,
            before,
            after,
            changed,
            actor: self.unit.actor.clone(),
            mid: self.unit.idempotency.as_ref().map(|key| key.mid.clone()),
            at: self.unit.at,
            unit_last: false,
            generation: GENERATION,
            rights: Vec::new(),
            decoded: tidewire::store::Decoded::default(),
        }));
    }
}

impl State {
    fn trim(&mut self, config: &StoreConfig, schema: &Schema, now: Timestamp) {
        let oldest = now.0 - config.retention_age.as_millis() as i64;
        let outdated = self.log.iter().take_while(|change| change.at.0 < oldest).count() as u64;
        let surplus = self.seq.saturating_sub(config.retention_changes).saturating_sub(self.floor);
        let trimmed = outdated.max(surplus).min(config.trim_chunk);
        self.log.drain(..trimmed as usize);
        self.floor += trimmed;
        let floor = self.floor;
        self.past.retain(|change| match history(schema, change) {
            Some(History::For(age)) => change.seq.0 > floor || change.at.0 >= now.0 - age.as_millis() as i64,
            Some(History::Forever) | None => true,
        });
        let past = &self.past;
        self.graves.retain(|_, (_, seq)| *seq > floor || past.iter().any(|change| change.seq.0 == *seq));
    }
}

fn history(schema: &Schema, change: &Change) -> Option<History> {
    schema.entity(&change.entity).and_then(|entity| entity.history)
}

fn value(record: &Record, column: Column) -> Value {
    match column {
        Column::Id => Value::Text(record.id.as_str().to_owned()),
        Column::Version => Value::Int(record.version as i64),
        Column::CreatedAt => Value::Int(record.created_at.0),
        Column::UpdatedAt => Value::Int(record.updated_at.0),
        Column::Field(FieldIndex(at)) => record.values[at].clone(),
    }
}

fn meets(entity: &Entity, record: &Record, filter: &[Condition], search: &[String]) -> bool {
    let texts = entity.fields.iter().zip(&record.values).filter(|(field, _)| field.search);
    let texts: Vec<Vec<String>> = texts
        .filter_map(|(_, value)| if let Value::Text(text) = value { Some(tokens(text)) } else { None })
        .collect();
    filter.iter().all(|condition| passes(&value(record, condition.column), &condition.test))
        && search.iter().all(|word| texts.iter().any(|text| holds(text, &tokens(word))))
}

/// What is null answers one question only.
fn passes(value: &Value, test: &Test) -> bool {
    if let Test::Null(wanted) = test {
        return value.is_null() == *wanted;
    }
    if value.is_null() {
        return false;
    }
    let text = || if let Value::Text(text) = value { text.as_str() } else { panic!("no text: {value:?}") };
    match test {
        Test::Eq(other) => compare(value, other).is_eq(),
        Test::Ne(other) => compare(value, other).is_ne(),
        Test::Lt(other) => compare(value, other).is_lt(),
        Test::Lte(other) => compare(value, other).is_le(),
        Test::Gt(other) => compare(value, other).is_gt(),
        Test::Gte(other) => compare(value, other).is_ge(),
        Test::In(others) => others.iter().any(|other| compare(value, other).is_eq()),
        Test::Contains(part) => text().contains(part.as_str()),
        Test::Starts(part) => text().starts_with(part.as_str()),
        Test::Null(_) => unreachable!("answered above"),
    }
}

/// Words in small letters without accents, as far as the stories use any.
fn tokens(text: &str) -> Vec<String> {
    let plain = |letter: char| match letter {
        '\u{e9}' | '\u{e8}' | '\u{c9}' => 'e',
        '\u{e4}' | '\u{c4}' => 'a',
        other => other,
    };
    // An accent of its own belongs to the letter before it.
    let letters = text.chars().filter(|letter| *letter != '\u{301}');
    let plain: String = letters.map(plain).collect::<String>().to_lowercase();
    plain
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether the words stand in the text one after the other, the last one at least begun.
fn holds(text: &[String], words: &[String]) -> bool {
    let Some((last, before)) = words.split_last() else { return false };
    text.windows(words.len())
        .any(|window| window[..before.len()] == *before && window[before.len()].starts_with(last.as_str()))
}

/// No negative zero is kept.
fn settled(value: &Value) -> Value {
    if *value == Value::Float(0.0) { Value::Float(0.0) } else { value.clone() }
}

/// Null first, then by value; one column never holds two types.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap(),
        (Value::Text(left) | Value::Json(left), Value::Text(right) | Value::Json(right)) => left.cmp(right),
        _ => panic!("{left:?} and {right:?} are of two types"),
    }
}

fn directed(order: Ordering, direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}

fn stored(record: &Record, entity: &Entity) -> Stored {
    Stored { version: record.version, json: record.to_json(entity) }
}

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out);
    String::from_utf8(out).unwrap()
}
