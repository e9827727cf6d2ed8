//! The model's lookups: all of them are computed again until none changes, and then it is seen which did.

use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::schema::{Entity, FieldKind, Record, Value};
use tidewire::store::CommitError;

use super::unit::Draft;
use super::{Key, Records};

impl Draft<'_> {
    /// Until nothing is out of step. A copy of what goes in this operation, or went in an earlier one, stays as it is for as long
    /// as the reference does.
    pub(super) fn settle_lookups(&mut self, before: &Records, going: &[Key]) {
        if !self
            .store
            .schema
            .entities()
            .any(|entity| entity.fields.iter().any(|field| field.lookup.is_some()))
        {
            return;
        }
        loop {
            let found = self.out_of_step(before, going);
            if found.is_empty() {
                return;
            }
            for (key, place, value) in found {
                Arc::make_mut(self.state.records.get_mut(&key).unwrap()).values[place] = value;
            }
        }
    }

    fn out_of_step(&self, before: &Records, going: &[Key]) -> Vec<(Key, usize, Value)> {
        let mut found = Vec::new();
        for (key, record) in self.state.records.iter().filter(|(key, _)| !going.contains(key)) {
            let entity = self.store.schema.entity(&key.0).unwrap();
            for (place, field) in entity.fields.iter().enumerate() {
                let Some(lookup) = field.lookup else { continue };
                let FieldKind::Ref { entity: target, .. } = &entity.at(lookup.via).kind else {
                    panic!("a lookup goes through a reference")
                };
                let via = |record: &Record| record.values[lookup.via.0].clone();
                let source = if let Value::Text(id) = &via(record) {
                    self.state.records.get(&(target.clone(), RecordId::stored(id)))
                } else {
                    None
                };
                let went_on = before.get(key).is_some_and(|before| via(before) == via(record));
                if source.is_none() && !via(record).is_null() && went_on {
                    continue;
                }
                let value = source.map_or(Value::Null, |source| source.values[lookup.field.0].clone());
                if value != record.values[place] {
                    found.push((key.clone(), place, value));
                }
            }
        }
        found
    }

    /// The records to log, in order; refused if they are too many.
    pub(super) fn in_order(
        &self,
        at: usize,
        first: Vec<Key>,
        before: &Records,
        going: &[Key],
    ) -> Result<Vec<Key>, CommitError> {
        let mut others: Vec<(usize, Key)> = Vec::new();
        for (key, record) in self.state.records.iter().filter(|(key, _)| !first.contains(key)) {
            let entity = self.store.schema.entity(&key.0).unwrap();
            let old = &before[key];
            let changed =
                (0..record.values.len()).filter(|place| record.values[*place] != old.values[*place]);
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
        Ok(first.into_iter().chain(others.into_iter().map(|(_, key)| key)).collect())
    }

    /// How many lookups lead from a field that a client sets to this one.
    fn distance(&self, entity: &Entity, field: usize) -> usize {
        let Some(lookup) = entity.fields[field].lookup else { return 0 };
        let target = self.store.schema.target(entity.at(lookup.via)).unwrap();
        1 + self.distance(entity, lookup.via.0).max(self.distance(target, lookup.field.0))
    }
}
