//! What the model judges when a unit ends: unique values, and deletes that other records forbid.

use tidewire::schema::{Entity, EntityName, FieldIndex, FieldKind, Record, Value};
use tidewire::store::CommitError;

use super::Key;
use super::unit::Draft;

/// A delete of a record to which another still referred.
pub(super) struct Blocked {
    pub(super) op: usize,
    pub(super) gone: Key,
    /// Of what referred to it.
    pub(super) child: EntityName,
    pub(super) field: usize,
}

impl Draft<'_> {
    /// Judges values at once in a unit of one operation; notes otherwise who set them.
    pub(super) fn set(
        &mut self,
        at: usize,
        entity: &Entity,
        record: &Record,
        fields: Vec<FieldIndex>,
    ) -> Result<(), CommitError> {
        for (place, members) in unique_members(entity).iter().enumerate() {
            if !members.places.iter().any(|member| fields.contains(&FieldIndex(*member))) {
                continue;
            }
            if self.is_together() {
                self.setters.insert(((entity.name.clone(), record.id.clone()), place), at);
            } else if !self.others_with(entity, record, members).is_empty() {
                return Err(not_unique(at, entity, members));
            }
        }
        Ok(())
    }

    /// The other records that have all these values, unless one of them is empty.
    fn others_with(&self, entity: &Entity, record: &Record, members: &Members) -> Vec<Key> {
        let equal = |other: &Record| members.are_shared(entity, &record.values, &other.values);
        let of_entity = self.state.records.iter().filter(|(key, _)| key.0 == entity.name);
        let same = of_entity.filter(|(key, other)| key.1 != record.id && equal(other));
        same.map(|(key, _)| key.clone()).collect()
    }

    /// The first operation is at fault that left a value which another record had already, or a reference to nothing.
    pub(super) fn judge_the_end(&self) -> Result<(), CommitError> {
        for op in (0..self.places()).chain(self.caused.places()) {
            for ((key, place), _) in self.setters.iter().filter(|(_, setter)| **setter == op) {
                let entity = self.store.schema.entity(&key.0).unwrap();
                let setter = |other: Key| self.setters.get(&(other, *place)).copied();
                let members = &unique_members(entity)[*place];
                let others = self.others_with(entity, &self.state.records[key], members);
                if others.into_iter().any(|other| setter(other).is_none_or(|other| other < op)) {
                    return Err(not_unique(op, entity, members));
                }
            }
            self.check_blocked(|blocked| blocked.op == op)?;
        }
        Ok(())
    }

    /// Refuses some of the deletes if a record refers to what they deleted.
    pub(super) fn check_blocked(&self, asked: impl Fn(&Blocked) -> bool) -> Result<(), CommitError> {
        for Blocked { op, gone, child, field } in self.blocked.iter().filter(|one| asked(one)) {
            if !self.children(child, *field, &gone.1).is_empty() {
                return Err(self.restricted(*op, child));
            }
        }
        Ok(())
    }
}

/// Fields that are unique, alone or together.
pub(super) struct Members {
    places: Vec<usize>,
    ignore_case: bool,
}

impl Members {
    /// Whether none of the values is empty, and the other record has the same.
    pub(super) fn are_shared(&self, entity: &Entity, values: &[Value], others: &[Value]) -> bool {
        self.places.iter().all(|at| match (&values[*at], &others[*at]) {
            (Value::Null, _) => false,
            (Value::Text(text), Value::Text(other)) if self.ignore_case && is_text(entity, *at) => {
                without_case(text) == without_case(other)
            }
            (value, other) => value == other,
        })
    }
}

fn is_text(entity: &Entity, at: usize) -> bool {
    matches!(entity.fields[at].kind, FieldKind::Text { .. })
}

/// Small, capital and small again: capitals tell apart what small letters do not, and the other way round. `ı` alone has the capital
/// of another letter.
pub(crate) fn without_case(text: &str) -> String {
    let small = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    let capital = |letter: char| match letter {
        'ı' => "ı".to_owned(),
        letter => letter.to_uppercase().collect(),
    };
    small(&small(text).chars().map(capital).collect::<String>())
}

/// First each field that is unique by itself.
pub(super) fn unique_members(entity: &Entity) -> Vec<Members> {
    let alone = entity.fields.iter().enumerate().filter(|(_, field)| field.unique);
    let mut all: Vec<Members> =
        alone.map(|(at, field)| Members { places: vec![at], ignore_case: field.ignore_case }).collect();
    for key in &entity.unique {
        let places = key.fields.iter().map(|FieldIndex(at)| *at).collect();
        all.push(Members { places, ignore_case: key.ignore_case });
    }
    all
}

fn not_unique(op: usize, entity: &Entity, members: &Members) -> CommitError {
    CommitError::NotUnique {
        op,
        fields: members.places.iter().map(|at| entity.fields[*at].name.clone()).collect(),
    }
}
