//! The model's creates and updates.

use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::schema::{Entity, FieldIndex, FieldKind, Operation, Record, Value};
use tidewire::store::{CommitError, OpResult, OpStatus};

use super::Key;
use super::unit::{Draft, Judge, settled};
use crate::support::oracle::{Everything, Proposed};

impl Draft<'_> {
    pub(super) fn create(
        &mut self,
        at: usize,
        entity: &Arc<Entity>,
        id: &RecordId,
        values: &[Value],
    ) -> Result<OpResult, CommitError> {
        let judge = self.judge();
        let key = (entity.name.clone(), id.clone());
        let own = |(at, value): (usize, &Value)| match entity.fields[at].lookup {
            Some(_) => Value::Null,
            None => settled(value),
        };
        let mut values: Vec<Value> = values.iter().enumerate().map(own).collect();
        self.require_references(at, entity, (id, &values), &judge, |_| true)?;
        self.state.number(at, entity, None, &[], &mut values)?;
        let version = self.state.tombstones.get(&key).map_or(0, |tombstone| tombstone.0) + 1;
        let time = self.unit.at;
        let record = Record { id: id.clone(), version, created_at: time, updated_at: time, values };
        let before = self.state.records.clone();
        self.state.records.insert(key.clone(), Arc::new(record));
        self.settle_lookups(&before, &[]);
        let record = Record::clone(&self.state.records[&key]);
        let everything = Everything { records: &before, now: time };
        judge.require((at, Operation::Create), entity, &record, (None, everything))?;
        if before.contains_key(&key) {
            return Err(CommitError::IdTaken { op: at });
        }
        // What refers to the record now referred to the one that the unit deleted.
        self.check_blocked(|blocked| blocked.gone == key)?;
        self.blocked.retain(|blocked| blocked.gone != key);
        let record = Arc::new(record);
        self.log(entity, (None, Some(record.clone())), Vec::new())?;
        self.set(at, entity, &record, (0..record.values.len()).map(FieldIndex).collect())?;
        let record = self.judge().shown(entity, &record);
        Ok(OpResult { id: id.clone(), status: OpStatus::Created, record })
    }

    pub(super) fn update(
        &mut self,
        at: usize,
        entity: &Arc<Entity>,
        (id, if_version): (&RecordId, Option<u64>),
        set: &[(FieldIndex, Value)],
        omitted: &[FieldIndex],
    ) -> Result<OpResult, CommitError> {
        let judge = self.judge();
        let old = self.current(at, entity, id, if_version, &judge)?;
        let hidden = judge.hidden(entity, &old);
        let (mut values, mut named) = (old.values.clone(), Vec::new());
        for (field, value) in set {
            // What the request leaves out and the writer does not see stays.
            let is_kept = hidden.contains(field) && omitted.contains(field);
            if !is_kept && entity.at(*field).lookup.is_none() {
                values[field.0] = settled(value);
                named.push(*field);
            }
        }
        let is_guessed = |field: &FieldIndex| hidden.contains(field) && named.contains(field);
        let is_set = |field: FieldIndex| values[field.0] != old.values[field.0] || is_guessed(&field);
        self.require_references(at, entity, (id, &values), &judge, is_set)?;
        self.state.number(at, entity, Some(&old), &named, &mut values)?;
        let key: Key = (entity.name.clone(), id.clone());
        let before = self.state.records.clone();
        Arc::make_mut(self.state.records.get_mut(&key).unwrap()).values = values;
        self.settle_lookups(&before, &[]);
        let values = self.state.records[&key].values.clone();
        let proposed = Proposed { values: &values, named: &named };
        let everything = Everything { records: &before, now: self.unit.at };
        judge.require((at, Operation::Update), entity, &old, (Some(proposed), everything))?;
        if values == old.values && !named.iter().any(is_guessed) {
            let record = judge.shown(entity, &old);
            return Ok(OpResult { id: id.clone(), status: OpStatus::Unchanged, record });
        }
        self.rewrite_all(at, vec![key.clone()], &before, &[])?;
        let record = self.judge().shown(entity, &self.state.records[&key]);
        Ok(OpResult { id: id.clone(), status: OpStatus::Updated, record })
    }

    /// Refuses a reference that is `asked` for and leads to no record, or to none that the writer may read. One may lead to the
    /// record itself.
    fn require_references(
        &self,
        at: usize,
        entity: &Arc<Entity>,
        (own, values): (&RecordId, &[Value]),
        judge: &Judge,
        asked: impl Fn(FieldIndex) -> bool,
    ) -> Result<(), CommitError> {
        for (place, field) in entity.fields.iter().enumerate().filter(|(_, field)| field.lookup.is_none()) {
            let (FieldKind::Ref { entity: target, .. }, Value::Text(to)) = (&field.kind, &values[place])
            else {
                continue;
            };
            if !asked(FieldIndex(place)) || (*target == entity.name && own.as_str() == to) {
                continue;
            }
            let target = self.store.schema.entity(target).unwrap();
            let is_known = match self.state.records.get(&(target.name.clone(), RecordId::stored(to))) {
                Some(record) => judge.is(target, to) || judge.sees(at, target, record)?,
                None => false,
            };
            if !is_known {
                return Err(CommitError::UnknownReference { op: at, field: field.name.clone() });
            }
        }
        Ok(())
    }

    /// Logs the next version of every record that has other values than before: first these, then the others by how many
    /// lookups in a row lead to the first that changed, by entity and by id.
    pub(super) fn rewrite_all(
        &mut self,
        at: usize,
        first: Vec<Key>,
        before: &super::Records,
        going: &[Key],
    ) -> Result<(), CommitError> {
        for key in self.in_order(at, first, before, going)? {
            self.rewrite(at, key, before)?;
        }
        Ok(())
    }

    pub(super) fn rewrite(
        &mut self,
        at: usize,
        key: Key,
        before: &super::Records,
    ) -> Result<(), CommitError> {
        let entity = self.store.schema.entity(&key.0).unwrap().clone();
        let (old, values) = (before[&key].clone(), self.state.records[&key].values.clone());
        let changed = (0..values.len()).filter(|place| values[*place] != old.values[*place]);
        let changed: Vec<FieldIndex> = changed.map(FieldIndex).collect();
        let version = old.version + 1;
        let new = Arc::new(Record { version, updated_at: self.unit.at, values, ..Record::clone(&old) });
        self.state.records.insert(key, new.clone());
        self.log(&entity, (Some(old), Some(new.clone())), changed.clone())?;
        self.set(at, &entity, &new, changed)
    }
}
