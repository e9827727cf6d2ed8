//! The records before and after a change of the log, as today's schema and rules take them. An image of an earlier schema is judged
//! and shown by the fields of today that it has by name, since it is unknown who might read the others, or what was in those that
//! came later.
//!
//! Knows neither histories nor the activity.

use bytes::Bytes;

use super::decode::{ImageMembers, members};
use super::log::Change;
use crate::rules::{Predicate, ReadScope};
use crate::schema::{Column, Entity, FieldIndex, Record, Value};

/// The record before a change and after it.
pub(super) struct PastRows<'a> {
    pub(super) old: Option<PastRow<'a>>,
    pub(super) new: Option<PastRow<'a>>,
}

pub(super) struct PastRow<'a> {
    /// As the entity of today has it.
    pub(super) record: &'a Record,
    /// What was written, if it was under an earlier schema.
    written: Option<ImageMembers<'a>>,
}

impl<'a> PastRows<'a> {
    pub(super) fn of(change: &'a Change, read_scope: &ReadScope) -> PastRows<'a> {
        let rows = change.rows(&read_scope.entity);
        let is_earlier = change.generation != read_scope.generation;
        let after = || change.after.as_deref().map(members).unwrap_or_default();
        let both = || {
            let mut both = after();
            both.extend(change.before.as_deref().map(members).unwrap_or_default());
            both
        };
        PastRows {
            old: rows.old.as_ref().map(|record| PastRow { record, written: is_earlier.then(both) }),
            new: rows.new.as_ref().map(|record| PastRow { record, written: is_earlier.then(after) }),
        }
    }
}

impl PastRow<'_> {
    pub(super) fn may_be_read(&self, read_scope: &ReadScope) -> bool {
        self.meets(read_scope.predicate(), &read_scope.entity)
    }

    fn meets(&self, predicate: &Predicate, entity: &Entity) -> bool {
        predicate.matches_knowing(self.record, &|column| self.knows(column, entity))
    }

    /// Whether the column was there, and its value is one that the type of today has.
    fn knows(&self, column: Column, entity: &Entity) -> bool {
        let (Some(written), Column::Field(field)) = (&self.written, column) else { return true };
        let raw = written.get(&*entity.at(field).name);
        raw.is_some_and(|raw| raw.get() == "null" || self.record.values[field.0] != Value::Null)
    }

    /// The fields of today that may be shown of it.
    pub(super) fn shown(&self, read_scope: &ReadScope) -> Vec<FieldIndex> {
        let is_shown = |field: &FieldIndex| match read_scope.shown(Column::Field(*field)) {
            Some(shown) => self.meets(shown, &read_scope.entity),
            None => true,
        };
        (0..read_scope.entity.fields.len()).map(FieldIndex).filter(is_shown).collect()
    }
}

/// The fields of today among those that a change names.
pub(super) fn fields_of_today(names: &Bytes, entity: &Entity) -> Vec<FieldIndex> {
    let names: Vec<String> = serde_json::from_slice(names).unwrap_or_default();
    names.iter().filter_map(|name| entity.field(name).map(|(at, _)| at)).collect()
}
