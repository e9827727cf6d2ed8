//! One unit inside the committer's transaction: idempotency, rules, references, versions, rows, log entries.
//!
//! Knows nothing of queues or commits, nor of what a rule means (`permission.rs`). It never opens, commits or rolls back anything: `group.rs` does, from what
//! `Work::wrote` says.

use std::sync::Arc;

use indexmap::IndexSet;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::cascade::{self, Cascade};
use super::clock::{self, Times};
use super::end_checks::{self, EndChecks, Judged};
use super::idempotency::{self, Recall};
use super::lookups::{self, Reach};
use super::permission::Permission;
use super::propagation::{self, Drafts, Key};
use super::rows::{bind_record, bind_values, read_record, settle, signed};
use super::tables::{Catalog, Table};
use super::{Fault, log, rights, search};
use crate::config::StoreConfig;
use crate::ids::{MutationId, RecordId, Seq, Timestamp};
use crate::rules::Proposal;
use crate::schema::{FieldIndex, Generation, Operation, Record, Value};
use crate::store::images::{Images, fields_json, names_json};
use crate::store::{
    Change, ChangeOp, CommitError, Decoded, Idempotency, Op, OpResult, OpStatus, Rows, Stored, Unit,
};

/// What a unit is applied to.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) config: &'a StoreConfig,
    pub(super) times: Times,
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
    /// The time in the newest id that the server made for it.
    pub(super) newest_id: Option<Timestamp>,
}

/// How much a unit held before one of its operations.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// What an update asks for.
struct Edit {
    set: Vec<(FieldIndex, Value)>,
    omitted: Vec<FieldIndex>,
    if_version: Option<u64>,
}

/// A unit on its way.
pub(super) struct Work<'a> {
    pub(super) ground: Ground<'a>,
    permission: Permission<'a>,
    actor: Option<Arc<str>>,
    mid: Option<MutationId>,
    generation: Generation,
    at: Timestamp,
    /// The counter before the unit.
    start: Seq,
    entries: Vec<Change>,
    bytes: usize,
    newest_id: Option<Timestamp>,
    judged: Judged,
    end_checks: EndChecks<'a>,
    /// A row was written: only a rollback brings the transaction back to before the unit.
    pub(super) wrote: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(ground: Ground<'a>, unit: &Unit, start: Seq, judged: Judged) -> Work<'a> {
        Work {
            ground,
            permission: Permission::new(ground, &unit.asker),
            actor: unit.actor.clone(),
            mid: unit.idempotency.as_ref().map(|key| key.mid.clone()),
            generation: unit.generation,
            at: unit.at,
            start,
            entries: Vec::with_capacity(unit.ops.len()),
            bytes: 0,
            newest_id: None,
            judged,
            end_checks: EndChecks::default(),
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
        self.permission.involve(ops.iter().map(Op::entity));
        let mut entities = Vec::with_capacity(if idempotency.is_some() { ops.len() } else { 0 });
        let mut results = Vec::with_capacity(ops.len());
        for (at, op) in ops.into_iter().enumerate() {
            if idempotency.is_some() {
                entities.push(op.entity().clone());
            }
            results.push(self.op(at, op)?);
        }
        self.end_checks.judge(self.ground).map_err(|fault| self.permission.discreet(fault))?;
        self.write_log()?;
        let seq = self.head();
        if let Some(key) = idempotency {
            self.wrote = true;
            let done =
                entities.iter().zip(&results).map(|(entity, result)| (&**entity, &result.id, result.status));
            idempotency::store(
                self.ground.conn,
                self.ground.config,
                key,
                (seq, self.ground.times.stamp),
                done,
            )?;
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

    /// Writes the log entries of a unit whose operations were applied one by one; answers with the seq of the last, and
    /// with the time in the newest id that the server made.
    pub(super) fn close(&mut self) -> rusqlite::Result<(Seq, Option<Timestamp>)> {
        self.write_log()?;
        Ok((self.head(), self.newest_id))
    }

    fn applied(&mut self, seq: Seq, results: Vec<OpResult>, remembered: bool) -> Applied {
        let entries = std::mem::take(&mut self.entries);
        let newest_id = self.newest_id;
        Applied { seq, results, replayed: false, entries, bytes: self.bytes, remembered, newest_id }
    }

    /// The answer of long ago with the records of today, as of this transaction, as the writer sees them today.
    fn replay(&mut self, done: Vec<idempotency::Done>) -> Result<Applied, Fault> {
        self.permission.involve(done.iter().map(|done| &done.entity));
        let mut results = Vec::with_capacity(done.len());
        for idempotency::Done { entity, id, status } in done {
            let record = match self.ground.catalog.table(&entity) {
                Some(table) => self.read(table, &id)?.map(|record| self.permission.stored(table, &record)),
                None => None,
            };
            let record = record.transpose()?.flatten();
            results.push(OpResult { id, status, record });
        }
        Ok(Applied { replayed: true, ..self.applied(self.start, results, false) })
    }

    pub(super) fn op(&mut self, at: usize, op: Op) -> Result<OpResult, Fault> {
        match op {
            Op::Create { entity, id, values, fresh_id } => {
                self.create(at, self.table(&entity)?, id, values, fresh_id)
            }
            Op::Update { entity, id, set, omitted, if_version } => {
                self.update(at, self.table(&entity)?, id, Edit { set, omitted, if_version })
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
        values.iter_mut().for_each(settle);
        let unknown = self.unknown_references(at, table, (&id, &values), |_| true)?;
        let withheld = withhold(&unknown, &mut values);
        lookups::copy_all(self.ground.conn, table, &id, &mut values)?;
        give_back(withheld, &mut values);
        let taken = !fresh_id && self.exists(table, &id)?;
        let buried =
            if fresh_id { 0 } else { log::tombstone_version(self.ground.conn, &table.entity.name, &id)? };
        let record = Record { id, version: 1 + buried, created_at: self.at, updated_at: self.at, values };
        self.permission.require((at, Operation::Create), &table.entity, &record, None)?;
        if taken {
            return Err(CommitError::IdTaken { op: at }.into());
        }
        refuse(at, table, &unknown)?;
        let again = self.end_checks.returns(self.ground, &table.entity.name, &record.id);
        again.map_err(|fault| self.permission.discreet(fault))?;
        let after = record.to_json(&table.entity);
        self.reserve(after.len())?;
        self.wrote_unique(at, table, &record, |_| true)?;
        let mut insert = self.ground.conn.prepare_cached(&table.insert)?;
        bind_record(&mut insert, &record)?;
        let inserted = insert.raw_execute();
        drop(insert);
        self.inserted(at, table, &record, inserted)?;
        search::add(self.ground.conn, table, &record)?;
        let id = record.id.clone();
        if fresh_id {
            self.newest_id = self.newest_id.max(clock::time_of(&id));
        }
        let images = Images { after: Some(after), ..Images::default() };
        self.log(table, ChangeOp::Create, images, Rows { old: None, new: Some(record) });
        let record = self.shown(table, self.entries.len() - 1)?;
        Ok(OpResult { id, status: OpStatus::Created, record })
    }

    fn update(&mut self, at: usize, table: &'a Table, id: RecordId, edit: Edit) -> Result<OpResult, Fault> {
        let record = self.current(at, table, &id, edit.if_version)?;
        let hidden = self.permission.hidden(&table.entity, &record)?;
        let mut values = record.values.clone();
        let named = enter(edit, table, &hidden, &mut values);
        // What a writer does not see is unchanged for nobody: a reference that happens to be the stored one tells nothing.
        let changed = |field: FieldIndex| {
            values[field.0] != record.values[field.0] || (hidden.contains(&field) && named.contains(&field))
        };
        let unknown = self.unknown_references(at, table, (&id, &values), changed)?;
        let withheld = withhold(&unknown, &mut values);
        let mut drafts = self.follow(at, table, &record, &values);
        if let Ok(drafts) = &mut drafts
            && let Some((_, own)) = drafts.shift_remove_index(0)
        {
            own.into_iter().for_each(|(field, value)| values[field.0] = value);
        }
        give_back(withheld, &mut values);
        let proposal = Proposal { values: &values, named: &named };
        self.permission.require((at, Operation::Update), &table.entity, &record, Some(proposal))?;
        refuse(at, table, &unknown)?;
        // A field that the writer does not see is written anew whatever it held: that nothing changed would tell the value.
        let unseen = self.permission.hidden(&table.entity, &record)?;
        if values == record.values && !named.iter().any(|field| unseen.contains(field)) {
            let unchanged = self.permission.stored(table, &record)?;
            return Ok(OpResult { id, status: OpStatus::Unchanged, record: unchanged });
        }
        let drafts = drafts?;
        self.rewrite(at, table, record, values)?;
        let entry = self.entries.len() - 1;
        self.carry_out(at, drafts)?;
        Ok(OpResult { id, status: OpStatus::Updated, record: self.shown(table, entry)? })
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
        self.permission.require((at, Operation::Delete), &table.entity, &record, None)?;
        if table.referrers.is_empty() {
            self.remove(table, record)?;
        } else {
            self.cascade(at, table, record)?;
        }
        Ok(OpResult { id, status: OpStatus::Deleted, record: None })
    }

    /// The record goes, and all that loses a reference, or goes, because it goes. Records that refer come before those that they
    /// refer to, and the records by which people have their rights last, so that whoever loses a right with
    /// them still sees what else happens (SEMANTICS R12).
    fn cascade(&mut self, at: usize, table: &'a Table, root: Record) -> Result<(), Fault> {
        let plan = cascade::plan(self.ground, at, &table.entity.name, &root.id);
        let Cascade { cleared, mut going, blocked } = plan?;
        match (self.judged, blocked.first()) {
            (Judged::Each, Some((_, one))) => return Err(self.permission.discreet(one.error().into())),
            (Judged::Each | Judged::Together, _) => self.end_checks.blocked(blocked),
        }
        let drafts = propagation::follow(self.ground, at, cleared, &going)?;
        let gives_rights = |key: &Key| self.ground.catalog.rights.holds(&key.0);
        let (late_drafts, drafts): (Drafts, Drafts) =
            drafts.into_iter().partition(|(key, _)| gives_rights(key));
        let root_is_last = going.pop().is_some_and(|root| gives_rights(&root));
        let (late, early): (Vec<Key>, Vec<Key>) = going.into_iter().partition(gives_rights);
        let mut root = Some(root);
        self.carry_out(at, drafts)?;
        self.remove_all(&early)?;
        if !root_is_last && let Some(root) = root.take() {
            self.remove(table, root)?;
        }
        self.carry_out(at, late_drafts)?;
        self.remove_all(&late)?;
        root.map_or(Ok(()), |root| self.remove(table, root))
    }

    fn remove_all(&mut self, keys: &[Key]) -> Result<(), Fault> {
        for (entity, id) in keys {
            let table = self.table(entity)?;
            if let Some(record) = self.read(table, id)? {
                self.remove(table, record)?;
            }
        }
        Ok(())
    }

    /// Writes the values that differ, as the next version, with their log entry.
    fn rewrite(&mut self, at: usize, table: &'a Table, old: Record, values: Vec<Value>) -> Result<(), Fault> {
        let changed: Vec<FieldIndex> =
            (0..values.len()).filter(|at| values[*at] != old.values[*at]).map(FieldIndex).collect();
        let before = fields_json(&table.entity, &old, &changed);
        let (id, created_at) = (old.id.clone(), old.created_at);
        let new = Record { id, version: old.version + 1, created_at, updated_at: self.at, values };
        let after = new.to_json(&table.entity);
        self.reserve(before.len() + after.len())?;
        self.wrote_unique(at, table, &new, |field| changed.contains(&field))?;
        self.update_row(table, &new, &changed)?;
        self.wrote = true;
        search::change(self.ground.conn, table, &new, &changed)?;
        let images = Images {
            before: Some(before),
            after: Some(after),
            changed: Some(names_json(&table.entity, &changed)),
        };
        self.log(table, ChangeOp::Update, images, Rows { old: Some(old), new: Some(new) });
        Ok(())
    }

    fn update_row(&self, table: &Table, new: &Record, changed: &[FieldIndex]) -> rusqlite::Result<()> {
        let (sql, values) = match changed {
            [one] => (&table.update_one[one.0], &new.values[one.0..=one.0]),
            _ => (&table.update_all, &new.values[..]),
        };
        let mut update = self.ground.conn.prepare_cached(sql)?;
        update.raw_bind_parameter(1, new.id.as_str())?;
        update.raw_bind_parameter(2, signed(new.version))?;
        update.raw_bind_parameter(3, new.updated_at.0)?;
        bind_values(&mut update, 4, values)?;
        update.raw_execute().map(|_| ())
    }

    fn remove(&mut self, table: &'a Table, record: Record) -> Result<(), Fault> {
        let before = record.to_json(&table.entity);
        self.reserve(before.len())?;
        self.ground.conn.prepare_cached(&table.delete)?.execute([record.id.as_str()])?;
        self.wrote = true;
        self.end_checks.removed(table, &record.id);
        search::remove(self.ground.conn, table, &record.id)?;
        let images = Images { before: Some(before), ..Images::default() };
        log::bury(self.ground.conn, &table.entity.name, &record.id, record.version, self.head().next())?;
        self.log(table, ChangeOp::Delete, images, Rows { old: Some(record), new: None });
        Ok(())
    }

    /// The record that an update or a delete is about, if it is there for the writer and at the expected version.
    fn current(
        &self,
        at: usize,
        table: &Table,
        id: &RecordId,
        if_version: Option<u64>,
    ) -> Result<Record, Fault> {
        let missing = CommitError::NotFound { op: at };
        let Some(record) = self.read(table, id)? else { return Err(missing.into()) };
        if !self.permission.sees(at, table, &record)? {
            return Err(missing.into());
        }
        if if_version.is_some_and(|version| version != record.version) {
            let current = self.permission.stored(table, &record)?;
            return Err(current
                .map_or(missing, |current| CommitError::VersionConflict { op: at, current })
                .into());
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

    /// What a client wrote, as the writer sees it now.
    fn shown(&self, table: &Table, entry: usize) -> rusqlite::Result<Option<Stored>> {
        let change = &self.entries[entry];
        let (Some(json), Some(record)) = (&change.after, &change.rows(&table.entity).new) else {
            return Ok(None);
        };
        self.permission.shown(table, record, || json.clone())
    }

    /// The references among those that are `asked` for that lead to no record, or to none that the writer may read. One leads
    /// to a record of this unit as well as to any other, or to the record itself.
    fn unknown_references(
        &self,
        at: usize,
        table: &Table,
        (own_id, values): (&RecordId, &[Value]),
        asked: impl Fn(FieldIndex) -> bool,
    ) -> Result<Vec<FieldIndex>, Fault> {
        let mut unknown = Vec::new();
        for (field, target) in table.references.iter().filter(|(field, _)| asked(*field)) {
            let Value::Text(id) = &values[field.0] else { continue };
            if *target == table.entity.name && id == own_id.as_str() {
                continue;
            }
            if !self.permission.may_refer(at, self.table(target)?, id)? {
                unknown.push(*field);
            }
        }
        Ok(unknown)
    }

    /// Judges unique values before they are written, or notes that they are to be judged at the unit's end.
    fn wrote_unique(
        &mut self,
        at: usize,
        table: &Table,
        record: &Record,
        is_written: impl Fn(FieldIndex) -> bool,
    ) -> Result<(), Fault> {
        for unique in table.unique.iter().filter(|(field, _)| is_written(*field)) {
            match self.judged {
                Judged::Each => end_checks::require_unique(self.ground, at, (table, unique), record)?,
                Judged::Together => self.end_checks.wrote(at, (table, unique.0), record),
            }
        }
        Ok(())
    }

    /// Judges the result of the statement that inserts a row: an id that is taken is told in the schema's words.
    fn inserted(
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
        let refused = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
        if refused && self.exists(table, &record.id)? {
            return Err(CommitError::IdTaken { op: at }.into());
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
    fn log(&mut self, table: &Table, op: ChangeOp, images: Images, rows: Rows) {
        let Some(record) = rows.new.as_ref().or(rows.old.as_ref()) else { return };
        self.permission.wrote(&table.entity, &rows);
        let entity = table.entity.name.clone();
        let rights = &self.ground.catalog.rights;
        let rights = rights.concerned(&entity, rows.old.as_ref(), rows.new.as_ref());
        self.entries.push(Change {
            seq: self.head().next(),
            entity,
            id: record.id.clone(),
            op,
            before: images.before,
            after: images.after,
            changed: images.changed,
            actor: self.actor.clone(),
            mid: self.mid.clone(),
            at: self.at,
            unit_last: false,
            generation: self.generation,
            rights,
            decoded: Decoded::known(rows),
        });
    }

    fn write_log(&mut self) -> rusqlite::Result<()> {
        if let Some(last) = self.entries.last_mut() {
            last.unit_last = true;
        }
        for change in &self.entries {
            log::append(self.ground.conn, change)?;
            rights::note(self.ground.conn, change)?;
        }
        Ok(())
    }
}

/// Sets what an update sets, but keeps what the request left out and the writer does not see. Answers with the fields that the
/// request names.
fn enter(edit: Edit, table: &Table, hidden: &[FieldIndex], values: &mut [Value]) -> Vec<FieldIndex> {
    let Edit { set, omitted, .. } = edit;
    let mut named = Vec::with_capacity(set.len());
    for (field, mut value) in set {
        let kept = hidden.contains(&field) && omitted.contains(&field);
        if kept || table.entity.at(field).lookup.is_some() {
            continue;
        }
        settle(&mut value);
        values[field.0] = value;
        named.push(field);
    }
    named
}

/// Takes references out of the values while lookups are computed: a rule that is judged by what was copied from a record that the
/// writer may not read would tell of it.
fn withhold(unknown: &[FieldIndex], values: &mut [Value]) -> Vec<(FieldIndex, Value)> {
    unknown.iter().map(|field| (*field, std::mem::replace(&mut values[field.0], Value::Null))).collect()
}

fn give_back(withheld: Vec<(FieldIndex, Value)>, values: &mut [Value]) {
    withheld.into_iter().for_each(|(field, value)| values[field.0] = value);
}

fn refuse(at: usize, table: &Table, unknown: &[FieldIndex]) -> Result<(), Fault> {
    unknown.first().map_or(Ok(()), |field| {
        let field = table.entity.at(*field).name.clone();
        Err(CommitError::UnknownReference { op: at, field }.into())
    })
}
