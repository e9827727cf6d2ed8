//! `trait Source` over one connection. SQLite answers in place, so every future is ready when it is made, and a caller that runs on a
//! thread that may block takes its answer by `ready`.
//!
//! Does not know what the answers are for.

use std::future::{Ready, ready as at_once};

use futures_util::FutureExt;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{Sql, read_record, read_value, signed};
use super::scan_limit;
use super::tables::{Catalog, Table};
use crate::ids::RecordId;
use crate::schema::{FieldIndex, KeyFields, Record, Value};
use crate::store::relations::Relation;
use crate::store::source::Source;

/// The answer of a future that waits for nothing but SQLite.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a future over SQLite is ready at once: it awaits nothing else")
}

/// A connection within a transaction, and the statements over its tables. `mode` is what the transaction is for.
pub(super) struct SqliteSource<'a, M = OnlyReads> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) mode: M,
}

/// Nothing is written.
pub(super) struct OnlyReads;

pub(super) type Answer<T> = Ready<rusqlite::Result<T>>;

#[expect(refining_impl_trait, reason = "who has the struct itself may know that the futures are ready")]
impl<M> Source for SqliteSource<'_, M> {
    type Error = rusqlite::Error;

    fn record(&self, of: &Relation, id: &str) -> Answer<Option<Record>> {
        at_once(self.one(self.table(of), id))
    }

    fn records(&self, of: &Relation, ids: &[&str]) -> Answer<Vec<Option<Record>>> {
        at_once(ids.iter().map(|id| self.one(self.table(of), id)).collect())
    }

    fn exists(&self, of: &Relation, id: &str) -> Answer<bool> {
        at_once(self.has(self.table(of), id))
    }

    fn values(&self, of: &Relation, fields: &[FieldIndex], ids: &[&str]) -> Answer<Vec<Option<Vec<Value>>>> {
        at_once(self.some_values(self.table(of), fields, ids))
    }

    fn ids_referring(
        &self,
        of: &Relation,
        field: FieldIndex,
        to: &[&str],
        most: usize,
    ) -> Answer<Vec<Vec<RecordId>>> {
        at_once(self.referrers(&self.table(of).ids_with[field.0], to, most))
    }

    fn ids_holding(
        &self,
        of: &Relation,
        key: &KeyFields,
        values: &[Vec<&Value>],
        most: usize,
    ) -> Answer<Vec<Vec<RecordId>>> {
        at_once(self.holders(self.table(of).select_holders(key), values, most))
    }

    fn records_of_person(&self, of: &Relation, person: &str, most: usize) -> Answer<Vec<Record>> {
        at_once(self.of_person(self.table(of), person, most))
    }
}

/// The first column of every row.
fn ids(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<RecordId>> {
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(RecordId::stored(row.get_ref(0)?.as_str()?));
    }
    Ok(ids)
}

impl<'a> SqliteSource<'a> {
    pub(super) fn reading(conn: &'a Connection, catalog: &'a Catalog) -> SqliteSource<'a> {
        SqliteSource { conn, catalog, mode: OnlyReads }
    }
}

impl<'a, M> SqliteSource<'a, M> {
    pub(super) fn table(&self, of: &Relation) -> &'a Table {
        self.catalog.of_relation(of)
    }

    pub(super) fn has(&self, table: &Table, id: &str) -> rusqlite::Result<bool> {
        self.conn.prepare_cached(&table.exists)?.exists([id])
    }

    fn one(&self, table: &Table, id: &str) -> rusqlite::Result<Option<Record>> {
        scan_limit::step()?;
        let mut select = self.conn.prepare_cached(&table.select)?;
        select.query_row([id], |row| read_record(row, 0, &table.entity)).optional()
    }

    fn some_values(
        &self,
        table: &Table,
        fields: &[FieldIndex],
        ids: &[&str],
    ) -> rusqlite::Result<Vec<Option<Vec<Value>>>> {
        let mut select = self.conn.prepare_cached(&table.select_fields(fields))?;
        let read = |row: &rusqlite::Row<'_>| {
            let fields = fields.iter().enumerate();
            fields.map(|(at, field)| read_value(row, at, &table.entity.at(*field).kind)).collect()
        };
        ids.iter().map(|id| select.query_row([id], read).optional()).collect()
    }

    fn referrers(&self, statement: &str, to: &[&str], most: usize) -> rusqlite::Result<Vec<Vec<RecordId>>> {
        let mut select = self.conn.prepare_cached(statement)?;
        to.iter().map(|id| ids(select.query(params![id, signed(most as u64)])?)).collect()
    }

    fn holders(
        &self,
        statement: &str,
        values: &[Vec<&Value>],
        most: usize,
    ) -> rusqlite::Result<Vec<Vec<RecordId>>> {
        let mut select = self.conn.prepare_cached(statement)?;
        let mut of = |values: &Vec<&Value>| {
            for (at, value) in (1..).zip(values) {
                select.raw_bind_parameter(at, Sql(value))?;
            }
            select.raw_bind_parameter(values.len() + 1, signed(most as u64))?;
            ids(select.raw_query())
        };
        values.iter().map(&mut of).collect()
    }

    fn of_person(&self, table: &Table, person: &str, most: usize) -> rusqlite::Result<Vec<Record>> {
        let Some(select) = &table.select_of_person else { return Ok(Vec::new()) };
        let mut select = self.conn.prepare_cached(select)?;
        let records = select.query_map(params![person, signed(most as u64)], |row| {
            scan_limit::step()?;
            read_record(row, 0, &table.entity)
        })?;
        records.collect()
    }
}
