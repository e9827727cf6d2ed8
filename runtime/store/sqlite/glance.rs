//! Single records, all at one position, beside a writer: no lock is taken, nothing changed.
//!
//! Knows no rule: `tidewire rules why` decides what it asks.

use rusqlite::{Connection, OptionalExtension, params};

use super::evolution::{self, InForce};
use super::export::{missing, read_position};
use super::identifier::quoted;
use super::location::DatabaseFile;
use super::open;
use super::rows::{read_record, signed};
use super::tables::{Catalog, Table};
use crate::schema::{FieldIndex, Record, Schema};
use crate::store::{Glance, GlanceRecords, OpenError};

/// A connection with an open read transaction.
struct StillRecords {
    conn: Connection,
    file: DatabaseFile,
    catalog: Catalog,
}

pub(super) fn open(file: &DatabaseFile, schema: &Schema) -> Result<Glance, OpenError> {
    let conn = open::beside(file)?;
    conn.execute_batch("BEGIN").map_err(|error| OpenError::of(file, &error))?;
    let position = read_position(&conn, file)?;
    let InForce { generation, is_current } = evolution::in_force(&conn, file, schema)?;
    let records = Box::new(StillRecords { conn, file: file.clone(), catalog: Catalog::of(schema) });
    Ok(Glance { position, generation, is_current, records })
}

impl GlanceRecords for StillRecords {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, OpenError> {
        let Some(table) = self.table(entity)? else { return Ok(None) };
        let found = || {
            let mut select = self.conn.prepare_cached(&table.select)?;
            select.query_row([id], |row| read_record(row, 0, &table.entity)).optional()
        };
        found().map_err(|error| OpenError::of(&self.file, &error))
    }

    /// At most `most` of those whose field holds this id, in the order of their own ids.
    fn records_by(
        &self,
        entity: &str,
        field: FieldIndex,
        id: &str,
        most: usize,
    ) -> Result<Vec<Record>, OpenError> {
        let Some(table) = self.table(entity)? else { return Ok(Vec::new()) };
        let (columns, name, field) = (&table.columns, &table.name, quoted(&table.entity.at(field).name));
        let sql = format!(r#"SELECT {columns} FROM {name} WHERE {field} = ?1 ORDER BY "id" LIMIT ?2"#);
        let found = || {
            let mut select = self.conn.prepare_cached(&sql)?;
            let rows = select
                .query_map(params![id, signed(most as u64)], |row| read_record(row, 0, &table.entity))?;
            rows.collect::<rusqlite::Result<Vec<Record>>>()
        };
        found().map_err(|error| OpenError::of(&self.file, &error))
    }
}

impl StillRecords {
    fn table(&self, entity: &str) -> Result<Option<&Table>, OpenError> {
        let Some(table) = self.catalog.table(entity) else { return Ok(None) };
        let lacking = missing(&self.conn, table).map_err(|error| OpenError::of(&self.file, &error))?;
        match lacking {
            Some(what) => Err(OpenError::NotYet { database: self.file.display().to_string(), what }),
            None => Ok(Some(table)),
        }
    }
}
