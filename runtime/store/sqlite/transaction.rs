//! `trait Transaction` over the committer's connection: each write is a statement at once, in the transaction of its group.
//!
//! Knows no rule of the product, and neither when a unit is taken back (`group.rs`) nor when the transaction commits.

use std::future::ready as at_once;

use rusqlite::{Connection, ErrorCode};

use super::rows::{bind_record, bind_values, signed};
use super::source::{Answer, SqliteSource};
use super::tables::{Catalog, Table};
use super::{idempotency, leases, log, rights, search, sequences};
use crate::config::StoreConfig;
use crate::ids::{RecordId, Seq, Timestamp};
use crate::schema::{FieldIndex, Record};
use crate::store::relations::Relation;
use crate::store::unit::{Answered, AnsweredOp, Counter, Inserted, Prefetch, Transaction};
use crate::store::{Change, Idempotency, Lease};

/// A connection within a transaction that writes.
pub(super) type SqliteTransaction<'a> = SqliteSource<'a, WriteMode<'a>>;

/// What writing needs beside the connection.
pub(super) struct WriteMode<'a> {
    config: &'a StoreConfig,
    /// Of answers to mutation ids.
    stamp: Timestamp,
    /// Something was written: only a rollback brings the transaction back.
    wrote: bool,
}

impl<'a> SqliteTransaction<'a> {
    pub(super) fn writing(
        conn: &'a Connection,
        catalog: &'a Catalog,
        config: &'a StoreConfig,
        stamp: Timestamp,
    ) -> SqliteTransaction<'a> {
        SqliteSource { conn, catalog, mode: WriteMode { config, stamp, wrote: false } }
    }

    /// Whether something was written since this was last asked.
    pub(super) fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.mode.wrote)
    }
}

#[expect(refining_impl_trait, reason = "who has the struct itself may know that the futures are ready")]
impl Transaction for SqliteTransaction<'_> {
    /// Every read is one step into a file that is at hand.
    fn prefetch(&mut self, _: &Prefetch) -> Answer<()> {
        at_once(Ok(()))
    }

    fn insert(&mut self, of: &Relation, record: &Record) -> Answer<Inserted> {
        at_once(self.insert_now(self.table(of), record))
    }

    fn update(&mut self, of: &Relation, record: &Record, changed: &[FieldIndex]) -> Answer<()> {
        at_once(self.update_now(self.table(of), record, changed))
    }

    fn delete(&mut self, of: &Relation, record: &Record, seq: Seq) -> Answer<()> {
        at_once(self.delete_now(self.table(of), record, seq))
    }

    fn deleted_version(&self, of: &Relation, id: &RecordId) -> Answer<u64> {
        at_once(log::tombstone_version(self.conn, &of.entity.name, id))
    }

    fn last_number(&self, of: &Relation, counter: &Counter) -> Answer<i64> {
        at_once(sequences::last(self.conn, self.table(of), counter))
    }

    fn gave_number(&mut self, of: &Relation, counter: &Counter, last: i64) -> Answer<()> {
        self.mode.wrote = true;
        at_once(sequences::set(self.conn, self.table(of), counter, last))
    }

    fn lease(&self, of: &Relation, id: &RecordId) -> Answer<Option<Lease>> {
        at_once(leases::find(self.conn, &of.entity.name, id))
    }

    fn set_lease(&mut self, of: &Relation, id: &RecordId, lease: Option<&Lease>) -> Answer<()> {
        self.mode.wrote = true;
        at_once(leases::set(self.conn, &of.entity.name, id, lease))
    }

    fn next_fence(&mut self) -> Answer<u64> {
        self.mode.wrote = true;
        at_once(leases::next_fence(self.conn))
    }

    fn append(&mut self, changes: &[Change]) -> Answer<()> {
        at_once(changes.iter().try_for_each(|change| {
            log::append(self.conn, change)?;
            rights::note(self.conn, change)
        }))
    }

    fn recall(&self, key: &Idempotency) -> Answer<Option<Answered>> {
        at_once(idempotency::recall(self.conn, key))
    }

    fn remember(&mut self, key: &Idempotency, seq: Seq, done: &[AnsweredOp]) -> Answer<()> {
        self.mode.wrote = true;
        let WriteMode { config, stamp, .. } = self.mode;
        at_once(idempotency::store(self.conn, config, key, idempotency::AnsweredAt { seq, stamp }, done))
    }
}

impl SqliteTransaction<'_> {
    /// The statement itself reports that an id is taken.
    fn insert_now(&mut self, table: &Table, record: &Record) -> rusqlite::Result<Inserted> {
        let mut insert = self.conn.prepare_cached(&table.insert)?;
        bind_record(&mut insert, record)?;
        if let Err(error) = insert.raw_execute() {
            drop(insert);
            let refused = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
            return match refused && self.has(table, record.id.as_str())? {
                true => Ok(Inserted::IdTaken),
                false => Err(error),
            };
        }
        drop(insert);
        self.mode.wrote = true;
        search::add(self.conn, table.search.as_ref(), record)?;
        Ok(Inserted::Yes)
    }

    fn update_now(&mut self, table: &Table, record: &Record, changed: &[FieldIndex]) -> rusqlite::Result<()> {
        let (sql, values) = match changed {
            [one] => (&table.update_one[one.0], &record.values[one.0..=one.0]),
            _ => (&table.update_all, &record.values[..]),
        };
        let mut update = self.conn.prepare_cached(sql)?;
        update.raw_bind_parameter(1, record.id.as_str())?;
        update.raw_bind_parameter(2, signed(record.version))?;
        update.raw_bind_parameter(3, record.updated_at.0)?;
        bind_values(&mut update, 4, values)?;
        update.raw_execute()?;
        drop(update);
        self.mode.wrote = true;
        search::change(self.conn, table.search.as_ref(), record, changed)
    }

    fn delete_now(&mut self, table: &Table, record: &Record, seq: Seq) -> rusqlite::Result<()> {
        self.conn.prepare_cached(&table.delete)?.execute([record.id.as_str()])?;
        self.mode.wrote = true;
        search::remove(self.conn, table.search.as_ref(), &record.id)?;
        log::bury(self.conn, &table.entity.name, &record.id, record.version, seq)
    }
}
