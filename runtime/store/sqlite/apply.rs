//! One unit inside the committer's transaction: idempotency, references, versions, rows, log entries.
//!
//! Knows nothing of queues or commits. It never opens, commits or rolls back anything: `group.rs` does, from what
//! `Work::wrote` says.

use std::sync::Arc;

use indexmap::IndexSet;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::cascade::{self, Cascade};
use super::idempotency::{self, Recall};
use super::images::{Images, fields_json, names_json, stored};
use super::lookups::{self, Reach};
use super::propagation::{self, Drafts};
use super::rows::{Sql, bind_record, bind_values, read_record, settle, signed};
use super::tables::{Catalog, Table};
use super::{Fault, log, search};
use crate::config::StoreConfig;
use crate::ids::{MutationId, RecordId, Seq, Timestamp};
use crate::schema::{EntityName, FieldIndex, Generation, Record, Value};
use crate::store::{
    Change, ChangeOp, CommitError, Decoded, Idempotency, Op, OpResult, OpStatus, Stored, Unit,
};

/// What a unit is applied to.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) config: &'a StoreConfig,
}

/// A unit that was applied: its answer, without the epoch, and its log entries.
pub(super) struct Applied {
    pub(super) seq: Seq,
    pub(super) results: Vec<OpResult>,
    pub(super) replayed: bool,
    pub(super) entries: Vec<Change>,
    pub(super) bytes: usize,
    /// An answer to a mutation id was stored.
    pub(super) remembered: bool,
}

/// How much a unit held before one of its operations.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// A unit on its way.
pub(super) struct Work<'a> {
    pub(super) ground: Ground<'a>,
    actor: Option<Arc<str>>,
    mid: Option<MutationId>,
    generation: Generation,
    at: Timestamp,
    /// The counter before the unit.
    start: Seq,
    entries: Vec<Change>,
    bytes: usize,
    /// A row was written: only a rollback brings the transaction back to before the unit.
    pub(super) wrote: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(ground: Ground<'a>, unit: &Unit, start: Seq) -> Work<'a> {
        Work {
            ground,
            actor: unit.actor.clone(),
            mid: unit.idempotency.as_ref().map(|key| key.mid.clone()),
            generation: unit.generation,
            at: unit.at,
            start,
            entries: Vec::with_capacity(unit.ops.len()),
            bytes: 0,
            wrote: false,
        }
    }

    /// Applies every op, then writes the log entries, then stores the answer to the mutation id.
    pub(super) fn run(&mut self, ops: Vec<Op>, idempotency: Option<&Idempotency>) -> Result<Applied, Fault> {
        if let Some(key) = idempotency {
            match idempotency::recall(self.ground.conn, key)? {
                Recall::Unknown => {}
                Recall::Reused => return Err(CommitError::MutationReused.into()),
                Recall::Known(done) => return self.replay(done),
            }
        }
        let mut entities = Vec::with_capacity(if idempotency.is_some() { ops.len() } else { 0 });
        let mut results = Vec::with_capacity(ops.len());
        for (at, op) in ops.into_iter().enumerate() {
            if idempotency.is_some() {
                entities.push(op.entity().clone());
            }
            results.push(self.op(at, op)?);
        }
        self.write_log()?;
        let seq = self.head();
        if let Some(key) = idempotency {
            self.wrote = true;
            let done =
                entities.iter().zip(&results).map(|(entity, result)| (&**entity, &result.id, result.status));
            idempotency::store(self.ground.conn, self.ground.config, key, (seq, self.at), done)?;
        }
        Ok(self.applied(seq, results, idempotency.is_some()))
    }

    /// How much the unit holds. Whoever takes the transaction back to where it was at a mark takes the unit back with it.
    pub(super) fn mark(&self) -> Mark {
        Mark { entries: self.entries.len(), bytes: self.bytes }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.entries.truncate(mark.entries);
        self.bytes = mark.bytes;
    }

    /// Writes the log entries of a unit whose operations were applied one by one; answers with the seq of the last.
    pub(super) fn close(&mut self) -> rusqlite::Result<Seq> {
        self.write_log()?;
        Ok(self.head())
    }

    fn applied(&mut self, seq: Seq, results: Vec<OpResult>, remembered: bool) -> Applied {
        let entries = std::mem::take(&mut self.entries);
        Applied { seq, results, replayed: false, entries, bytes: self.bytes, remembered }
    }

    /// The answer of long ago with the records of today, as of this transaction.
    fn replay(&mut self, done: Vec<idempotency::Done>) -> Result<Applied, Fault> {
        let mut results = Vec::with_capacity(done.len());
        for idempotency::Done { entity, id, status } in done {
            let record = match self.ground.catalog.table(&entity) {
                Some(table) => self.read(table, &id)?.map(|record| stored(&record, &table.entity)),
                None => None,
            };
            results.push(OpResult { id, status, record });
        }
        Ok(Applied { replayed: true, ..self.applied(self.start, results, false) })
    }

    pub(super) fn op(&mut self, at: usize, op: Op) -> Result<OpResult, Fault> {
        match op {
            Op::Create { entity, id, values, fresh_id } => {
                self.create(at, self.table(&entity)?, id, values, fresh_id)
            }
            Op::Update { entity, id, set, if_version, omitted: _ } => {
                self.update(at, self.table(&entity)?, id, set, if_version)
            }
            Op::Delete { entity, id, if_version } => self.delete(at, self.table(&entity)?, id, if_version),
        }
    }

    fn create(
        &mut self,
        at: usize,
        table: &'a Table,
        id: RecordId,
        mut values: Vec<Value>,
        fresh_id: bool,
    ) -> Result<OpResult, Fault> {
        let mut version = 1;
        if !fresh_id {
            if self.exists(table, &id)? {
                return Err(CommitError::IdTaken { op: at }.into());
            }
            version += log::buried_version(self.ground.conn, &table.entity.name, &id)?;
        }
        values.iter_mut().for_each(settle);
        for (field, target) in &table.references {
            self.check_reference(at, table, (*field, target), &values[field.0], &id)?;
        }
        lookups::copy_all(self.ground.conn, table, &id, &mut values)?;
        let record = Record { id, version, created_at: self.at, updated_at: self.at, values };
        let after = record.to_json(&table.entity);
        self.reserve(after.len())?;
        let mut insert = self.ground.conn.prepare_cached(&table.insert)?;
        bind_record(&mut insert, &record)?;
        let inserted = insert.raw_execute();
        drop(insert);
        self.written(at, table, &record, inserted)?;
        search::add(self.ground.conn, table, &record)?;
        self.log(
            table,
            &record.id,
            ChangeOp::Create,
            Images { after: Some(after.clone()), ..Images::default() },
        );
        let record = (record.id, Stored { version, json: after });
        Ok(OpResult { id: record.0, status: OpStatus::Created, record: Some(record.1) })
    }

    fn update(
        &mut self,
        at: usize,
        table: &'a Table,
        id: RecordId,
        set: Vec<(FieldIndex, Value)>,
        if_version: Option<u64>,
    ) -> Result<OpResult, Fault> {
        let record = self.current(at, table, &id, if_version)?;
        let mut values = record.values.clone();
        for (field, mut value) in
            set.into_iter().filter(|(field, _)| table.entity.at(*field).lookup.is_none())
        {
            settle(&mut value);
            values[field.0] = value;
        }
        if values == record.values {
            let unchanged = stored(&record, &table.entity);
            return Ok(OpResult { id, status: OpStatus::Unchanged, record: Some(unchanged) });
        }
        for (field, target) in &table.references {
            if values[field.0] != record.values[field.0] {
                self.check_reference(at, table, (*field, target), &values[field.0], &id)?;
            }
        }
        let mut drafts = self.follow(at, table, &record, &values)?;
        if let Some((_, own)) = drafts.shift_remove_index(0) {
            own.into_iter().for_each(|(field, value)| values[field.0] = value);
        }
        let now = self.rewrite(at, table, record, values)?;
        self.carry_out(at, drafts)?;
        Ok(OpResult { id, status: OpStatus::Updated, record: Some(now) })
    }

    /// The record, first, and all that follow it; nothing if no lookup depends on what changed.
    fn follow(&self, at: usize, table: &Table, old: &Record, values: &[Value]) -> Result<Drafts, Fault> {
        let changed = (0..values.len()).filter(|field| values[*field] != old.values[*field]);
        let fields: Vec<usize> = changed.collect();
        if fields.iter().all(|field| table.reach[*field] == Reach::Nothing) {
            return Ok(Drafts::new());
        }
        let fields = fields.into_iter().map(|field| (FieldIndex(field), values[field].clone())).collect();
        let written = Drafts::from([((table.entity.name.clone(), old.id.clone()), fields)]);
        propagation::follow(self.ground, at, written, &IndexSet::new())
    }

    /// Writes what changes in other records with the operation, each with a log entry of its own.
    fn carry_out(&mut self, at: usize, drafts: Drafts) -> Result<(), Fault> {
        for ((entity, id), fields) in drafts {
            let table = self.table(&entity)?;
            let Some(record) = self.read(table, &id)? else { continue };
            let mut values = record.values.clone();
            fields.into_iter().for_each(|(field, value)| values[field.0] = value);
            self.rewrite(at, table, record, values)?;
        }
        Ok(())
    }

    fn delete(
        &mut self,
        at: usize,
        table: &'a Table,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<OpResult, Fault> {
        let record = self.current(at, table, &id, if_version)?;
        if !table.referrers.is_empty() {
            self.cascade(at, table, &id)?;
        }
        self.remove(table, record)?;
        Ok(OpResult { id, status: OpStatus::Deleted, record: None })
    }

    /// All that loses a reference, or goes, because the record goes; not the record itself.
    fn cascade(&mut self, at: usize, table: &Table, id: &RecordId) -> Result<(), Fault> {
        let Cascade { cleared, going } = cascade::plan(self.ground, at, &table.entity.name, id)?;
        let drafts = propagation::follow(self.ground, at, cleared, &going)?;
        self.carry_out(at, drafts)?;
        for (entity, id) in going.iter().take(going.len() - 1) {
            let table = self.table(entity)?;
            if let Some(record) = self.read(table, id)? {
                self.remove(table, record)?;
            }
        }
        Ok(())
    }

    /// Writes the values that differ, as the next version, with their log entry.
    fn rewrite(
        &mut self,
        at: usize,
        table: &'a Table,
        old: Record,
        values: Vec<Value>,
    ) -> Result<Stored, Fault> {
        let changed: Vec<FieldIndex> =
            (0..values.len()).filter(|at| values[*at] != old.values[*at]).map(FieldIndex).collect();
        let before = fields_json(&table.entity, &old, &changed);
        let new = Record { version: old.version + 1, updated_at: self.at, values, ..old };
        let after = new.to_json(&table.entity);
        self.reserve(before.len() + after.len())?;
        let updated = self.update_row(table, &new, &changed);
        self.written(at, table, &new, updated)?;
        search::change(self.ground.conn, table, &new, &changed)?;
        let images = Images {
            before: Some(before),
            after: Some(after.clone()),
            changed: Some(names_json(&table.entity, &changed)),
        };
        self.log(table, &new.id, ChangeOp::Update, images);
        Ok(Stored { version: new.version, json: after })
    }

    fn update_row(&self, table: &Table, new: &Record, changed: &[FieldIndex]) -> rusqlite::Result<usize> {
        let (sql, values) = match changed {
            [one] => (&table.update_one[one.0], &new.values[one.0..=one.0]),
            _ => (&table.update_all, &new.values[..]),
        };
        let mut update = self.ground.conn.prepare_cached(sql)?;
        update.raw_bind_parameter(1, new.id.as_str())?;
        update.raw_bind_parameter(2, signed(new.version))?;
        update.raw_bind_parameter(3, new.updated_at.0)?;
        bind_values(&mut update, 4, values)?;
        update.raw_execute()
    }

    fn remove(&mut self, table: &'a Table, record: Record) -> Result<(), Fault> {
        let before = record.to_json(&table.entity);
        self.reserve(before.len())?;
        self.ground.conn.prepare_cached(&table.delete)?.execute([record.id.as_str()])?;
        self.wrote = true;
        search::remove(self.ground.conn, table, &record.id)?;
        self.log(table, &record.id, ChangeOp::Delete, Images { before: Some(before), ..Images::default() });
        log::bury(self.ground.conn, &table.entity.name, &record.id, record.version, self.head())?;
        Ok(())
    }

    /// The record that an update or a delete is about, if it is there and at the expected version.
    fn current(
        &self,
        at: usize,
        table: &Table,
        id: &RecordId,
        if_version: Option<u64>,
    ) -> Result<Record, Fault> {
        let Some(record) = self.read(table, id)? else {
            return Err(CommitError::NotFound { op: at }.into());
        };
        if if_version.is_some_and(|version| version != record.version) {
            let current = stored(&record, &table.entity);
            return Err(CommitError::VersionConflict { op: at, current }.into());
        }
        Ok(record)
    }

    fn read(&self, table: &Table, id: &RecordId) -> rusqlite::Result<Option<Record>> {
        let mut select = self.ground.conn.prepare_cached(&table.select)?;
        select.query_row([id.as_str()], |row| read_record(row, 0, &table.entity)).optional()
    }

    fn exists(&self, table: &Table, id: &RecordId) -> rusqlite::Result<bool> {
        self.ground.conn.prepare_cached(&table.exists)?.exists([id.as_str()])
    }

    /// A reference must lead to a record, be it one of this unit or the record itself.
    fn check_reference(
        &self,
        at: usize,
        table: &Table,
        (field, target): (FieldIndex, &EntityName),
        value: &Value,
        own_id: &RecordId,
    ) -> Result<(), Fault> {
        let Value::Text(id) = value else { return Ok(()) };
        if *target == table.entity.name && id == own_id.as_str() {
            return Ok(());
        }
        let target = self.table(target)?;
        if self.ground.conn.prepare_cached(&target.exists)?.exists([id])? {
            return Ok(());
        }
        let field = table.entity.at(field).name.clone();
        Err(CommitError::UnknownReference { op: at, field }.into())
    }

    /// Judges the result of the statement that writes a row: what a constraint refused is told in the schema's words.
    fn written(
        &mut self,
        at: usize,
        table: &Table,
        record: &Record,
        result: rusqlite::Result<usize>,
    ) -> Result<(), Fault> {
        let Err(error) = result else {
            self.wrote = true;
            return Ok(());
        };
        if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
            return Err(error.into());
        }
        if record.version == 1 && self.exists(table, &record.id)? {
            return Err(CommitError::IdTaken { op: at }.into());
        }
        for (field, taken) in &table.unique {
            let value = &record.values[field.0];
            let mut taken = self.ground.conn.prepare_cached(taken)?;
            if taken.exists(rusqlite::params![Sql(value), record.id.as_str()])? {
                let field = table.entity.at(*field).name.clone();
                return Err(CommitError::NotUnique { op: at, field }.into());
            }
        }
        Err(error.into())
    }

    /// An entity that the catalog does not know was validated under another schema.
    fn table(&self, entity: &str) -> Result<&'a Table, Fault> {
        self.ground.catalog.table(entity).ok_or_else(|| CommitError::StaleGeneration.into())
    }

    /// Makes room for one more entry with so many bytes of images, before anything of it is written.
    fn reserve(&mut self, bytes: usize) -> Result<(), Fault> {
        let StoreConfig { unit_entries, group_bytes, .. } = *self.ground.config;
        self.bytes += bytes;
        if self.entries.len() >= unit_entries || self.bytes > group_bytes {
            return Err(CommitError::UnitTooLarge { entries: unit_entries, bytes: group_bytes }.into());
        }
        Ok(())
    }

    fn head(&self) -> Seq {
        Seq(self.start.0 + self.entries.len() as u64)
    }

    /// Entries are collected and written at the end, when it is known which is the last.
    fn log(&mut self, table: &Table, id: &RecordId, op: ChangeOp, images: Images) {
        self.entries.push(Change {
            seq: self.head().next(),
            entity: table.entity.name.clone(),
            id: id.clone(),
            op,
            before: images.before,
            after: images.after,
            changed: images.changed,
            actor: self.actor.clone(),
            mid: self.mid.clone(),
            at: self.at,
            unit_last: false,
            generation: self.generation,
            rights: Vec::new(),
            decoded: Decoded::default(),
        });
    }

    fn write_log(&mut self) -> rusqlite::Result<()> {
        if let Some(last) = self.entries.last_mut() {
            last.unit_last = true;
        }
        self.entries.iter().try_for_each(|change| log::append(self.ground.conn, change))
    }
}
