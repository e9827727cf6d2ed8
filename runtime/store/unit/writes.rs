//! What the operations of a unit have in common: the record that one is about, its references, its unique values, and each
//! record written with its log entry.
//!
//! Knows not why a record is written.

use super::end_checks::{Judged, require_unique};
use super::fault::{Fault, refuse};
use super::keys::{self, RecordKey, TOGETHER};
use super::permission::RecordField;
use super::propagation::Drafts;
use super::transaction::Transaction;
use super::triggers::is_own_update;
use super::unit_log::WrittenRecord;
use super::work::Work;
use crate::ids::RecordId;
use crate::schema::{FieldIndex, Record, Value};
use crate::store::images::{Images, fields_json, names_json};
use crate::store::relations::Relation;
use crate::store::{ChangeOp, CommitError, Rows, Stored};

/// The references that a record has or is to have.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    pub(super) of: &'a RecordId,
    pub(super) values: &'a [Value],
}

impl<'a, T: Transaction> Work<'a, T> {
    /// The record that an update or a delete is about, if it is there for the writer and at the expected version.
    pub(super) async fn current(
        &mut self,
        at: usize,
        relation: &Relation,
        id: &RecordId,
        if_version: Option<u64>,
    ) -> Result<Record, Fault<T::Error>> {
        let missing = CommitError::NotFound { op: at };
        let Some(record) = self.transaction.record(relation, id.as_str()).await? else {
            self.permission.note_absent(at, relation, &id.shared(), None);
            return refuse(missing);
        };
        if !self.permission.sees(&*self.transaction, at, relation, &record).await? {
            self.permission.note_absent(at, relation, &id.shared(), Some(&record));
            return refuse(missing);
        }
        if if_version.is_some_and(|version| version != record.version) {
            let current = self.permission.stored(&*self.transaction, relation, &record).await?;
            return refuse(match current {
                Some(current) => CommitError::VersionConflict { op: at, current },
                None => missing,
            });
        }
        Ok(record)
    }

    /// Refuses a reference among those that are `asked` for that leads to no record, or to none that the writer may read, before
    /// any rule is judged or any lookup is copied: what lies behind it would tell of it. One leads to a record of this unit as
    /// well as to any other, or to the record itself.
    pub(super) async fn require_references(
        &mut self,
        at: usize,
        relation: &Relation,
        references: References<'_>,
        asked: impl Fn(FieldIndex) -> bool,
    ) -> Result<(), Fault<T::Error>> {
        for reference in relation.references.iter().filter(|reference| asked(reference.field)) {
            let Value::Text(id) = &references.values[reference.field.0] else { continue };
            if reference.target == relation.entity.name && id == references.of.as_str() {
                continue;
            }
            let target = self.context.relation(&reference.target)?;
            if !self.permission.may_refer(&*self.transaction, at, target, id).await? {
                let (entity, field) = (&*relation.entity, reference.field);
                let of = RecordField { entity, id: references.of, field };
                self.permission.note_reference(at, of, target, id);
                let field = entity.at(field).name.clone();
                return refuse(CommitError::UnknownReference { op: at, field });
            }
        }
        Ok(())
    }

    /// Judges unique values before they are written, or notes that they are to be judged at the unit's end.
    pub(super) async fn wrote_unique(
        &mut self,
        at: usize,
        relation: &Relation,
        record: &Record,
        is_written: impl Fn(FieldIndex) -> bool,
    ) -> Result<(), Fault<T::Error>> {
        for (key, unique) in relation.unique.iter().enumerate() {
            if !unique.fields.iter().any(|field| is_written(*field)) {
                continue;
            }
            match self.judged {
                Judged::Each => require_unique(&*self.transaction, at, relation, key, record).await?,
                Judged::Together => self.end_checks.wrote(at, relation, key, record),
            }
        }
        Ok(())
    }

    /// Writes what changes in other records with the operation, each with a log entry of its own.
    pub(super) async fn carry_out(&mut self, at: usize, drafts: Drafts) -> Result<(), Fault<T::Error>> {
        let mut drafts = drafts.into_iter();
        loop {
            let some: Vec<_> = drafts.by_ref().take(TOGETHER).collect();
            if some.is_empty() {
                return Ok(());
            }
            let asked: Vec<&RecordKey> = some.iter().map(|(key, _)| key).collect();
            let records = keys::records(&*self.transaction, self.context, &asked).await?;
            for ((key, fields), record) in some.into_iter().zip(records) {
                let Some(record) = record else { continue };
                let mut values = record.values.clone();
                fields.into_iter().for_each(|(field, value)| values[field.0] = value);
                self.rewrite(at, self.context.relation(&key.entity)?, record, values).await?;
            }
        }
    }

    /// Writes the values that differ, as the next version, with their log entry.
    pub(super) async fn rewrite(
        &mut self,
        at: usize,
        relation: &Relation,
        old: Record,
        values: Vec<Value>,
    ) -> Result<(), Fault<T::Error>> {
        let entity = &relation.entity;
        let changed: Vec<FieldIndex> =
            (0..values.len()).filter(|at| values[*at] != old.values[*at]).map(FieldIndex).collect();
        let before = fields_json(entity, &old, &changed);
        let (id, created_at, updated_at) = (old.id.clone(), old.created_at, self.log.at);
        let new = Record { id, version: old.version + 1, created_at, updated_at, values };
        let after = new.to_json(entity);
        self.log.reserve(before.len() + after.len())?;
        self.wrote_unique(at, relation, &new, |field| changed.contains(&field)).await?;
        self.transaction.update(relation, &new, &changed).await?;
        let images =
            Images { before: Some(before), after: Some(after), changed: Some(names_json(entity, &changed)) };
        self.enter(relation, ChangeOp::Update, images, Rows { old: Some(old), new: Some(new) });
        Ok(())
    }

    pub(super) async fn remove(
        &mut self,
        relation: &Relation,
        record: Record,
    ) -> Result<(), Fault<T::Error>> {
        let before = record.to_json(&relation.entity);
        self.log.reserve(before.len())?;
        self.transaction.delete(relation, &record, self.log.head().next()).await?;
        // Else the next record with this id would have it.
        self.transaction.set_lease(relation, &record.id, None).await?;
        self.end_checks.removed(relation, &record.id);
        let images = Images { before: Some(before), ..Images::default() };
        self.enter(relation, ChangeOp::Delete, images, Rows { old: Some(record), new: None });
        Ok(())
    }

    /// Entries are collected and written at the end, when it is known which is the last.
    pub(super) fn enter(&mut self, relation: &Relation, op: ChangeOp, images: Images, rows: Rows) {
        self.permission.wrote(&relation.entity, &rows);
        if self.reacts && !relation.entity.triggers.is_empty() && is_own_update(relation, &rows) {
            self.caused.entries.push(self.log.entries.len());
        }
        let rights = &self.context.relations.rights;
        let rights = rights.concerned(&relation.entity.name, rows.old.as_ref(), rows.new.as_ref());
        self.log.push(relation, WrittenRecord { op, images, rows, rights });
    }

    /// What a client wrote, as the writer sees it now.
    pub(super) async fn shown(
        &mut self,
        relation: &Relation,
        entry: usize,
    ) -> Result<Option<Stored>, T::Error> {
        let change = &self.log.entries[entry];
        let (Some(json), Some(record)) = (&change.after, &change.rows(&relation.entity).new) else {
            return Ok(None);
        };
        self.permission.shown(&*self.transaction, relation, record, || json.clone()).await
    }
}

/// Gives a value the one form in which it is stored: there is no negative zero.
pub(super) fn settle(value: &mut Value) {
    if matches!(value, Value::Float(number) if *number == 0.0) {
        *value = Value::Float(0.0);
    }
}
