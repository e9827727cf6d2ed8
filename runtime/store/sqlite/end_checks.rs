//! What is judged when a unit ends, before its savepoint is released (SEMANTICS X7): unique values, and deletes that other
//! records forbid. So an atomic batch may swap two unique values, and may delete records that refer to each other.
//!
//! Reads only; `apply.rs` notes here what it writes.

use std::collections::HashMap;

use indexmap::IndexMap;
use rusqlite::params;

use super::Fault;
use super::apply::Ground;
use super::propagation::Key;
use super::rows::Sql;
use super::tables::{Referrer, Table};
use crate::ids::RecordId;
use crate::schema::{EntityName, FieldIndex, Record, Value};
use crate::store::CommitError;

/// When an operation's unique values and forbidden deletes are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Before it writes. For a unit of one operation that is the same as at its end, and a refusal needs no rollback.
    Each,
    /// When all operations of the unit were applied.
    Together,
}

/// What an unfinished unit still has to prove.
#[derive(Default)]
pub(super) struct EndChecks<'a> {
    /// The unique values that the unit wrote last, by entity and field, then by record.
    values: HashMap<(EntityName, FieldIndex), HashMap<RecordId, Written>>,
    /// Deletes of records to which others still referred. Empty for nearly every unit.
    deletes: IndexMap<Key, Vec<Blocked<'a>>>,
}

struct Written {
    op: usize,
    value: Value,
}

/// A reference with `restrict` that led to a deleted record.
#[derive(Clone, Copy)]
pub(super) struct Blocked<'a> {
    pub(super) op: usize,
    pub(super) referrer: &'a Referrer,
}

impl Blocked<'_> {
    pub(super) fn error(&self) -> CommitError {
        CommitError::Restricted { op: self.op, entity: self.referrer.entity.clone() }
    }
}

/// A fault and the place where it is told: the first operation at fault is named, and its first field.
type Found = Option<((usize, usize), CommitError)>;

impl<'a> EndChecks<'a> {
    /// Notes the value of a unique field that an operation wrote.
    pub(super) fn wrote(&mut self, op: usize, (table, field): (&Table, FieldIndex), record: &Record) {
        let value = record.values[field.0].clone();
        let holders = self.values.entry((table.entity.name.clone(), field)).or_default();
        holders.insert(record.id.clone(), Written { op, value });
    }

    /// A record that is gone holds no values.
    pub(super) fn removed(&mut self, table: &Table, id: &RecordId) {
        for (field, _) in &table.unique {
            if let Some(holders) = self.values.get_mut(&(table.entity.name.clone(), *field)) {
                holders.remove(id);
            }
        }
    }

    pub(super) fn blocked(&mut self, blocked: Vec<(Key, Blocked<'a>)>) {
        for (key, one) in blocked {
            self.deletes.entry(key).or_default().push(one);
        }
    }

    /// A record that the unit deleted is created again. What refers to it by now referred to the deleted one, which forbids
    /// the delete: nobody may put another record under the references of others.
    pub(super) fn returns(
        &mut self,
        ground: Ground<'_>,
        entity: &EntityName,
        id: &RecordId,
    ) -> Result<(), Fault> {
        if self.deletes.is_empty() {
            return Ok(());
        }
        let blocked = self.deletes.shift_remove(&(entity.clone(), id.clone()));
        for one in blocked.into_iter().flatten() {
            if one.referrer.leads_to(ground.conn, id)? {
                return Err(one.error().into());
            }
        }
        Ok(())
    }

    /// Judges what was noted, and forgets it.
    pub(super) fn judge(&mut self, ground: Ground<'_>) -> Result<(), Fault> {
        let mut first: Found = None;
        for ((entity, field), holders) in self.values.drain() {
            let Some(table) = ground.catalog.table(&entity) else { continue };
            for (id, written) in &holders {
                let at = (written.op, field.0);
                let is_first = first.as_ref().is_none_or(|(known, _)| at < *known);
                if is_first && held_before(ground, table, field, (id, written), &holders)? {
                    first = Some((at, not_unique(table, written.op, field)));
                }
            }
        }
        for (key, blocked) in self.deletes.drain(..) {
            for one in blocked {
                let at = (one.op, 0);
                let is_first = first.as_ref().is_none_or(|(known, _)| at < *known);
                if is_first && one.referrer.leads_to(ground.conn, &key.1)? {
                    first = Some((at, one.error()));
                }
            }
        }
        first.map_or(Ok(()), |(_, error)| Err(error.into()))
    }
}

/// Refuses the value of a unique field that another record has.
pub(super) fn require_unique(
    ground: Ground<'_>,
    op: usize,
    (table, (field, others)): (&Table, &(FieldIndex, String)),
    record: &Record,
) -> Result<(), Fault> {
    let value = &record.values[field.0];
    let mut others = ground.conn.prepare_cached(others)?;
    if !value.is_null() && others.exists(params![Sql(value), record.id.as_str()])? {
        return Err(not_unique(table, op, *field).into());
    }
    Ok(())
}

/// Whether another record has the value, one that the unit gave it no later than this one. Of two operations that give the
/// same value the later is at fault.
fn held_before(
    ground: Ground<'_>,
    table: &Table,
    field: FieldIndex,
    (id, written): (&RecordId, &Written),
    holders: &HashMap<RecordId, Written>,
) -> rusqlite::Result<bool> {
    let Some((_, others)) = table.unique.iter().find(|(at, _)| *at == field) else { return Ok(false) };
    if written.value.is_null() {
        return Ok(false);
    }
    let mut others = ground.conn.prepare_cached(others)?;
    let mut rows = others.query(params![Sql(&written.value), id.as_str()])?;
    while let Some(row) = rows.next()? {
        let other = RecordId::stored(row.get_ref(0)?.as_str()?);
        if holders.get(&other).is_none_or(|other| other.op < written.op) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_unique(table: &Table, op: usize, field: FieldIndex) -> CommitError {
    CommitError::NotUnique { op, field: table.entity.at(field).name.clone() }
}
