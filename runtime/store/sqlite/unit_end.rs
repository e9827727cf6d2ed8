//! What is judged when a unit has run: that no two records share a unique value, and that no record still refers to one that is gone and
//! must not (`on_delete = "restrict"`). So a batch may swap two values or delete a circle (SEMANTICS X7).
//!
//! Reads only. Collects what the operations of one unit touched; `apply.rs` says what that is.

use indexmap::IndexMap;
use rusqlite::{OptionalExtension, params};

use super::Fault;
use super::apply::Ground;
use super::propagation::Key;
use super::rows::{Sql, read_record, signed};
use super::tables::Table;
use crate::ids::RecordId;
use crate::schema::{FieldIndex, OnDelete, Record};
use crate::store::CommitError;

/// What one unit has to answer for at its end.
#[derive(Default)]
pub(super) struct UnitEnd {
    /// Records that got a value of a unique field, and the operation that gave it last.
    values: IndexMap<(Key, FieldIndex), usize>,
    /// Records that went though others may not lose them, and the operation that took them.
    gone: IndexMap<Key, usize>,
}

impl UnitEnd {
    /// Notes the unique values among the fields that an operation wrote.
    pub(super) fn wrote(
        &mut self,
        op: usize,
        table: &Table,
        record: &Record,
        fields: impl Fn(FieldIndex) -> bool,
    ) {
        for (field, _) in table.unique.iter().filter(|(field, _)| fields(*field)) {
            if !record.values[field.0].is_null() {
                let key = (table.entity.name.clone(), record.id.clone());
                self.values.insert((key, *field), op);
            }
        }
    }

    /// Notes a record that an operation deleted.
    pub(super) fn removed(&mut self, op: usize, table: &Table, id: &RecordId) {
        if table.referrers.iter().any(|referrer| referrer.on_delete == OnDelete::Restrict) {
            self.gone.insert((table.entity.name.clone(), id.clone()), op);
        }
    }

    /// Whether the record was deleted in this unit while others may still refer to it.
    pub(super) fn has_lost(&self, table: &Table, id: &RecordId) -> bool {
        !self.gone.is_empty() && self.gone.contains_key(&(table.entity.name.clone(), id.clone()))
    }

    /// Judges everything that was noted, and forgets it.
    pub(super) fn judge(&mut self, ground: Ground<'_>) -> Result<(), Fault> {
        let noted = std::mem::take(self);
        noted.values.iter().try_for_each(|((key, field), op)| noted.judge_value(ground, key, *field, *op))?;
        noted.gone.iter().try_for_each(|(key, op)| judge_referrers(ground, key, *op))
    }

    fn judge_value(&self, ground: Ground<'_>, key: &Key, field: FieldIndex, op: usize) -> Result<(), Fault> {
        let Some(table) = ground.catalog.table(&key.0) else { return Ok(()) };
        let mut select = ground.conn.prepare_cached(&table.select)?;
        let record =
            select.query_row([key.1.as_str()], |row| read_record(row, 0, &table.entity)).optional()?;
        // It may have gone since.
        let Some(record) = record else { return Ok(()) };
        match other_with(ground, table, &record, field)? {
            None => Ok(()),
            Some(other) => {
                // Of two operations that gave the same value, the later one is at fault.
                let theirs = self.values.get(&((key.0.clone(), other), field)).copied();
                let field = table.entity.at(field).name.clone();
                Err(CommitError::NotUnique { op: theirs.map_or(op, |theirs| theirs.max(op)), field }.into())
            }
        }
    }
}

/// Another record with the same value of a unique field.
pub(super) fn other_with(
    ground: Ground<'_>,
    table: &Table,
    record: &Record,
    field: FieldIndex,
) -> rusqlite::Result<Option<RecordId>> {
    let value = &record.values[field.0];
    let Some((_, taken)) = table.unique.iter().find(|(at, _)| *at == field) else { return Ok(None) };
    if value.is_null() {
        return Ok(None);
    }
    let mut taken = ground.conn.prepare_cached(taken)?;
    taken
        .query_row(params![Sql(value), record.id.as_str()], |row| {
            Ok(RecordId::stored(row.get_ref(0)?.as_str()?))
        })
        .optional()
}

/// Whoever still refers to a record that is gone forbids that it went. A record that was made again is there.
fn judge_referrers(ground: Ground<'_>, key: &Key, op: usize) -> Result<(), Fault> {
    let Some(table) = ground.catalog.table(&key.0) else { return Ok(()) };
    if ground.conn.prepare_cached(&table.exists)?.exists([key.1.as_str()])? {
        return Ok(());
    }
    for referrer in table.referrers.iter().filter(|referrer| referrer.on_delete == OnDelete::Restrict) {
        if ground.conn.prepare_cached(&referrer.ids)?.exists(params![key.1.as_str(), signed(1)])? {
            return Err(CommitError::Restricted { op, entity: referrer.entity.clone() }.into());
        }
    }
    Ok(())
}
