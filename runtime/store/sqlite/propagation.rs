//! What changes with a write because lookups follow it (SEMANTICS R8), found before anything is written.
//!
//! Reads only; `apply.rs` writes the rows and their log entries.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};
use rusqlite::{OptionalExtension, params};

use super::Fault;
use super::apply::Ground;
use super::lookups::{Copied, Follower};
use super::rows::{read_value, signed};
use super::tables::Table;
use crate::ids::RecordId;
use crate::schema::{EntityName, FieldIndex, FieldKind, Value};
use crate::store::CommitError;

/// A record.
pub(super) type Key = (EntityName, RecordId);

/// Fields that get another value, by record, in the order of the log: the records written first, then those that follow by
/// the rank of the first lookup that changes, then by entity and id.
pub(super) type Drafts = IndexMap<Key, BTreeMap<FieldIndex, Value>>;

/// Adds to the changes of one operation everything that follows from them. Each record is there once, with the last value
/// of each of its lookups. Records that are `going` in the same operation are not touched before.
pub(super) fn follow(
    ground: Ground<'_>,
    op: usize,
    written: Drafts,
    going: &IndexSet<Key>,
) -> Result<Drafts, Fault> {
    // The record that the operation names is not counted, be it changed or going.
    let most = (ground.config.cascade_records + 1).saturating_sub(going.len());
    let mut walk = Walk { ground, op, going, most, drafts: written, due: BTreeSet::new(), bytes: 0 };
    for at in 0..walk.drafts.len() {
        let Some((key, fields)) = walk.drafts.get_index(at) else { break };
        let (key, fields) = (key.clone(), fields.keys().copied().collect::<Vec<_>>());
        fields.into_iter().try_for_each(|field| walk.changed(&key, field))?;
    }
    while let Some(due) = walk.due.pop_first() {
        walk.copy(due)?;
    }
    Ok(walk.drafts)
}

/// A lookup that may have to change. In this order: when one is taken, all that it depends on has its last value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    rank: usize,
    key: Key,
    /// Place in `Table::lookups`.
    lookup: usize,
}

struct Walk<'a> {
    ground: Ground<'a>,
    op: usize,
    going: &'a IndexSet<Key>,
    /// Most records in `drafts`.
    most: usize,
    drafts: Drafts,
    due: BTreeSet<Due>,
    /// Of the values copied so far: each will be in the image of a log entry.
    bytes: usize,
}

impl<'a> Walk<'a> {
    /// Computes one lookup from what the records hold by now.
    fn copy(&mut self, Due { key, lookup, .. }: Due) -> Result<(), Fault> {
        let table = self.table(&key.0)?;
        let copied = &table.lookups[lookup];
        let (via, old) = self.state(table, copied, &key)?;
        let new = match via {
            Value::Text(target) => self.source(copied, &target, &table.entity.at(copied.field).kind)?,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => Value::Null,
        };
        if new == old {
            return Ok(());
        }
        self.count(&new)?;
        self.drafts.entry(key.clone()).or_default().insert(copied.field, new);
        self.check_room(0)?;
        self.changed(&key, copied.field)
    }

    /// Notes every lookup that depends on a field that changed: those of the record itself that go through it, and those
    /// of the records that refer to this one.
    fn changed(&mut self, key: &Key, field: FieldIndex) -> Result<(), Fault> {
        let table = self.table(&key.0)?;
        for (lookup, copied) in table.lookups.iter().enumerate().filter(|(_, copied)| copied.via == field) {
            self.due.insert(Due { rank: copied.rank, key: key.clone(), lookup });
        }
        for follower in table.followers.iter().filter(|follower| follower.source == field) {
            let rank = self.table(&follower.entity)?.lookups[follower.lookup].rank;
            let mut new = 0;
            for id in self.ids(follower, &key.1)? {
                let key = (follower.entity.clone(), id);
                if self.going.contains(&key) {
                    continue;
                }
                new += usize::from(!self.drafts.contains_key(&key));
                self.due.insert(Due { rank, key, lookup: follower.lookup });
            }
            self.check_room(new)?;
        }
        Ok(())
    }

    /// What the ref and the lookup of a record hold. A ref that is a lookup itself may have changed already.
    fn state(&self, table: &Table, copied: &Copied, key: &Key) -> rusqlite::Result<(Value, Value)> {
        let mut select = self.ground.conn.prepare_cached(&copied.state)?;
        let read =
            |at, field| move |row: &rusqlite::Row<'_>| read_value(row, at, &table.entity.at(field).kind);
        let found = select
            .query_row([key.1.as_str()], |row| Ok((read(0, copied.via)(row)?, read(1, copied.field)(row)?)))
            .optional()?;
        let (via, old) = found.unwrap_or((Value::Null, Value::Null));
        let via = self.drafts.get(key).and_then(|fields| fields.get(&copied.via)).cloned().unwrap_or(via);
        Ok((via, old))
    }

    fn source(&self, copied: &Copied, target: &str, kind: &FieldKind) -> rusqlite::Result<Value> {
        let target = (copied.target.clone(), RecordId::stored(target));
        match self.drafts.get(&target).and_then(|fields| fields.get(&copied.source)) {
            Some(value) => Ok(value.clone()),
            None => copied.read(self.ground.conn, target.1.as_str(), kind),
        }
    }

    /// At most one more than there is room for, beside those that are known.
    fn ids(&self, follower: &Follower, id: &RecordId) -> rusqlite::Result<Vec<RecordId>> {
        let most = self.most + self.drafts.len() + self.going.len() + 1;
        let mut statement = self.ground.conn.prepare_cached(&follower.ids)?;
        let mut rows = statement.query(params![id.as_str(), signed(most as u64)])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push(RecordId::stored(row.get_ref(0)?.as_str()?));
        }
        Ok(ids)
    }

    /// Whoever follows a field that changed changes too, so those to come are counted before they are looked at.
    fn check_room(&self, new: usize) -> Result<(), Fault> {
        if self.drafts.len() + new > self.most {
            let limit = self.ground.config.cascade_records;
            return Err(CommitError::CascadeTooLarge { op: self.op, limit }.into());
        }
        Ok(())
    }

    fn count(&mut self, value: &Value) -> Result<(), Fault> {
        if let Value::Text(text) | Value::Json(text) = value {
            self.bytes += text.len();
        }
        let (entries, bytes) = (self.ground.config.unit_entries, self.ground.config.group_bytes);
        if self.bytes > bytes {
            return Err(CommitError::UnitTooLarge { entries, bytes }.into());
        }
        Ok(())
    }

    fn table(&self, entity: &str) -> Result<&'a Table, Fault> {
        self.ground.catalog.table(entity).ok_or_else(|| CommitError::StaleGeneration.into())
    }
}
