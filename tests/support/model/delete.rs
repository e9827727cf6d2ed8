//! The model's deletes: find everything that goes, then everything that loses a reference, then do it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::schema::{Entity, EntityName, FieldKind, OnDelete, Record, Value};
use tidewire::store::CommitError;

use super::sequences::counting_by;
use super::unit::Draft;
use super::unit_end::Blocked;
use super::{Key, rights};

impl Draft<'_> {
    pub(super) fn delete(&mut self, at: usize, entity: &Entity, id: &RecordId) -> Result<(), CommitError> {
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
                let children = self.children(&child, field, &parent.1).into_iter();
                let staying: Vec<Key> = children.filter(|key| !entered.contains(key)).collect();
                match on_delete {
                    OnDelete::Cascade => {}
                    OnDelete::Restrict if staying.is_empty() => {}
                    OnDelete::Restrict => {
                        blocked.push(Blocked { op: at, gone: parent.clone(), child, field });
                    }
                    OnDelete::SetNull => {
                        for key in staying {
                            if !cleared.iter().any(|(known, _)| *known == key) {
                                cleared.push((key.clone(), self.state.records[&key].values.clone()));
                            }
                            let (_, values) = cleared.iter_mut().find(|(known, _)| *known == key).unwrap();
                            let entity = self.store.schema.entity(&child).unwrap();
                            for field in counting_by(entity, field).into_iter().chain([field]) {
                                values[field] = Value::Null;
                            }
                        }
                        if going.len() - 1 + cleared.len() > limit {
                            return Err(too_large);
                        }
                    }
                }
            }
        }
        if !self.is_together()
            && let Some(one) = blocked.first()
        {
            return Err(self.restricted(at, &one.child));
        }
        self.blocked.extend(blocked);
        self.carry_out(at, cleared, going)
    }

    /// First what loses a reference and what follows that, then what goes; and all that gives rights after all that does not.
    fn carry_out(
        &mut self,
        at: usize,
        cleared: Vec<(Key, Vec<Value>)>,
        going: Vec<Key>,
    ) -> Result<(), CommitError> {
        let before = self.state.records.clone();
        let first: Vec<Key> = cleared.iter().map(|(key, _)| key.clone()).collect();
        for (key, values) in cleared {
            Arc::make_mut(self.state.records.get_mut(&key).unwrap()).values = values;
        }
        self.settle_lookups(&before, &going);
        let changing = self.in_order(at, first, &before, &going)?;
        let gives_rights = |key: &Key| rights::gives(&self.store.schema, &key.0);
        let (late_changes, changes): (Vec<Key>, Vec<Key>) = changing.into_iter().partition(gives_rights);
        let (late, early): (Vec<Key>, Vec<Key>) = going.into_iter().partition(gives_rights);
        for (changes, going) in [(changes, early), (late_changes, late)] {
            changes.into_iter().try_for_each(|key| self.rewrite(at, key, &before))?;
            going.into_iter().try_for_each(|key| self.remove(key))?;
        }
        Ok(())
    }

    fn collect(&self, key: &Key, going: &mut Vec<Key>, entered: &mut BTreeSet<Key>) {
        for (child, field, on_delete) in self.referrers(&key.0) {
            if on_delete == OnDelete::Cascade {
                for child in self.children(&child, field, &key.1) {
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
        self.state.leases.remove(&key);
        let version = record.version;
        self.log(&entity, (Some(record), None), Vec::new())?;
        self.state.tombstones.insert(key, (version, self.state.seq));
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

    pub(super) fn children(&self, entity: &EntityName, field: usize, id: &RecordId) -> Vec<Key> {
        let refers = |record: &Record| record.values[field] == Value::Text(id.as_str().to_owned());
        let of_entity = self.state.records.iter().filter(|((name, _), _)| name == entity);
        of_entity.filter(|(_, record)| refers(record)).map(|(key, _)| key.clone()).collect()
    }
}
