//! The log entries of a unit on its way: collected, bounded, and complete when it is known which is the last.
//!
//! Knows neither who may write what nor where entries are kept.

use std::sync::Arc;

use super::context::UnitContext;
use super::fault::{Fault, refuse};
use crate::ids::{MutationId, RecordId, Seq, Timestamp};
use crate::schema::Generation;
use crate::store::images::Images;
use crate::store::relations::Relation;
use crate::store::{Change, ChangeCause, ChangeOp, CommitError, Decoded, Rows, Unit};

pub(super) struct UnitLog {
    actor: Option<Arc<str>>,
    mid: Option<MutationId>,
    generation: Generation,
    pub(super) at: Timestamp,
    /// The counter before the unit.
    start: Seq,
    pub(super) entries: Vec<Change>,
    /// Of the images.
    pub(super) bytes: usize,
    most_entries: usize,
    most_bytes: usize,
}

/// How much a unit held before one of its operations.
#[derive(Debug, Clone, Copy)]
pub struct UnitMark {
    pub entries: usize,
    pub bytes: usize,
}

impl UnitLog {
    pub(super) fn new(context: UnitContext<'_>, unit: &Unit, start: Seq) -> UnitLog {
        UnitLog {
            actor: unit.actor.clone(),
            mid: unit.idempotency.as_ref().map(|key| key.mid.clone()),
            generation: unit.generation,
            at: unit.at,
            start,
            entries: Vec::with_capacity(unit.ops.len()),
            bytes: 0,
            most_entries: context.config.unit_entries,
            most_bytes: context.config.group_bytes,
        }
    }

    /// Seq of the last entry before the unit.
    pub(super) fn start(&self) -> Seq {
        self.start
    }

    /// Seq of the last entry.
    pub(super) fn head(&self) -> Seq {
        Seq(self.start.0 + self.entries.len() as u64)
    }

    /// Refuses, before anything is written, what has more entries than the unit has room for.
    pub(super) fn has_room<E>(&self, entries: usize) -> Result<(), Fault<E>> {
        if self.entries.len() + entries > self.most_entries {
            return refuse(CommitError::UnitTooLarge { entries: self.most_entries, bytes: self.most_bytes });
        }
        Ok(())
    }

    /// Makes room for one more entry with so many bytes of images, before anything of it is written.
    pub(super) fn reserve<E>(&mut self, bytes: usize) -> Result<(), Fault<E>> {
        self.bytes += bytes;
        if self.entries.len() >= self.most_entries || self.bytes > self.most_bytes {
            return refuse(CommitError::UnitTooLarge { entries: self.most_entries, bytes: self.most_bytes });
        }
        Ok(())
    }

    pub(super) fn push(&mut self, relation: &Relation, written: WrittenRecord) {
        let WrittenRecord { op, images, rows, rights } = written;
        let Some(record) = rows.new.as_ref().or(rows.old.as_ref()) else { return };
        self.entries.push(Change {
            seq: self.head().next(),
            entity: relation.entity.name.clone(),
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
            cause: None,
            rights,
            decoded: Decoded::known(rows),
        });
    }

    /// The delete of this record, entered since, is one of a record whose time was over.
    pub(super) fn expired(&mut self, since: UnitMark, relation: &Relation, id: &RecordId) {
        let mut entries = self.entries[since.entries..].iter_mut();
        let is_it = |entry: &&mut Change| {
            entry.op == ChangeOp::Delete && entry.entity == relation.entity.name && entry.id == *id
        };
        if let Some(entry) = entries.find(is_it) {
            entry.cause = Some(ChangeCause::Expired);
        }
    }

    /// All entries, when there will be no more.
    pub(super) fn complete(&mut self) -> &[Change] {
        if let Some(last) = self.entries.last_mut() {
            last.unit_last = true;
        }
        &self.entries
    }

    pub(super) fn mark(&self) -> UnitMark {
        UnitMark { entries: self.entries.len(), bytes: self.bytes }
    }

    pub(super) fn back_to(&mut self, mark: UnitMark) {
        self.entries.truncate(mark.entries);
        self.bytes = mark.bytes;
    }
}

/// One record that was written.
pub(super) struct WrittenRecord {
    pub(super) op: ChangeOp,
    pub(super) images: Images,
    pub(super) rows: Rows,
    /// The persons whose rights may change with it.
    pub(super) rights: Vec<Arc<str>>,
}
