//! What the operations of a group's units name, so that a backend on another machine may ask for it once.
//!
//! Does not know what follows from an operation: what a cascade reads, it asks for itself.

use std::collections::HashSet;
use std::sync::Arc;

use crate::rules::Asker;
use crate::schema::{EntityName, FieldIndex, Value};
use crate::store::LeaseAct;
use crate::store::principal::USER;
use crate::store::relations::{Relation, Relations};
use crate::store::{ManyEdit, Op, Unit};

/// The records that operations are about or refer to, and the persons who ask. Each is there once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefetch {
    pub records: HashSet<NamedRecord>,
    pub persons: HashSet<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedRecord {
    pub entity: EntityName,
    pub id: Arc<str>,
}

impl Prefetch {
    pub fn of(relations: &Relations, units: &[Unit]) -> Prefetch {
        let mut named = Prefetch::default();
        for unit in units {
            if let Asker::Person(person) = &unit.asker
                && let Some(id) = &person.id
            {
                named.records.insert(NamedRecord { entity: USER.into(), id: id.clone() });
                named.persons.insert(id.clone());
            }
            for op in &unit.ops {
                if let Some(relation) = relations.get(op.entity()) {
                    named.add(relation, op);
                }
            }
        }
        named
    }

    fn add(&mut self, relation: &Relation, op: &Op) {
        let id = match op {
            Op::Create { id, values, .. } => {
                let fields = (0..).map(FieldIndex).zip(values);
                fields.for_each(|(field, value)| self.refer(relation, field, value));
                id
            }
            Op::Update { id, set, .. } => {
                set.iter().for_each(|(field, value)| self.refer(relation, *field, value));
                id
            }
            Op::Delete { id, .. } => id,
            Op::Lease(lease) => {
                if let LeaseAct::Pass { to, .. } = &lease.act
                    && let Some(id) = &to.id
                {
                    self.records.insert(NamedRecord { entity: USER.into(), id: id.clone() });
                    self.persons.insert(id.clone());
                }
                &lease.id
            }
            Op::Many(many) => {
                for id in &many.ids {
                    let entity = relation.entity.name.clone();
                    self.records.insert(NamedRecord { entity, id: id.shared() });
                }
                if let ManyEdit::Update(set) = &many.edit {
                    set.iter().for_each(|(field, value)| self.refer(relation, *field, value));
                }
                return;
            }
        };
        self.records.insert(NamedRecord { entity: relation.entity.name.clone(), id: id.shared() });
    }

    fn refer(&mut self, relation: &Relation, field: FieldIndex, value: &Value) {
        let Value::Text(id) = value else { return };
        if let Some(reference) = relation.references.iter().find(|reference| reference.field == field) {
            let (entity, id) = (reference.target.clone(), id.as_str().into());
            self.records.insert(NamedRecord { entity, id });
        }
    }
}
