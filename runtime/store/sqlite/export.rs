//! Reading one entity whole, at one position, beside whoever writes: no lock is taken, no epoch begun, nothing changed.
//!
//! Knows no file format; a `Sink` takes the records.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::evolution;
use super::open::{self, OpenError};
use super::rows::{read_record, unsigned};
use super::tables::{Catalog, Table};
use crate::ids::Position;
use crate::schema::{Record, Schema};

/// Takes the records of an export, in the order of their ids.
pub trait Sink {
    /// Called once, before the first record: the position at which all of them are true, and how many there are.
    fn start(&mut self, position: &Position, records: u64) -> std::io::Result<()>;
    fn record(&mut self, record: &Record) -> std::io::Result<()>;
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub position: Position,
    pub records: u64,
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Open(OpenError),
    #[error("the records cannot be read: {0}")]
    Read(String),
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}

/// Reads every record of `entity` in one read transaction and hands them on, one at a time. While it lasts, a server on
/// the same folder writes on; its write-ahead log grows meanwhile.
pub fn export(
    dir: &Path,
    schema: &Schema,
    entity: &str,
    sink: &mut dyn Sink,
) -> Result<Exported, ExportError> {
    let (mut conn, file) = open::beside(dir).map_err(ExportError::Open)?;
    let failed = |error| ExportError::Open(OpenError::of(&file, &error));
    let transaction = conn.transaction().map_err(failed)?;
    let position = read_position(&transaction, &file).map_err(ExportError::Open)?;
    let catalog = Catalog::of(schema);
    let table = catalog.table(entity).ok_or_else(|| ExportError::Read(format!("no entity {entity}")))?;
    if let Some(what) = missing(&transaction, table).map_err(failed)? {
        return Err(ExportError::Open(OpenError::NotYet { file: file.clone(), what }));
    }
    let records = hand_on(&transaction, table, &position, sink)?;
    Ok(Exported { position, records })
}

/// The end of the log and the newest epoch: the first read, so it also fixes what the others see.
pub(super) fn read_position(conn: &Connection, file: &Path) -> Result<Position, OpenError> {
    let damaged = |detail: String| OpenError::Damaged { file: file.to_owned(), detail };
    let seq = evolution::read_meta(conn, file)?.head;
    let epoch: String = conn
        .query_row(r#"SELECT "epoch" FROM "_epochs" ORDER BY "n" DESC LIMIT 1"#, [], |row| row.get(0))
        .map_err(|error| damaged(format!("no server ever opened it: {error}")))?;
    let epoch = epoch.parse().map_err(|error: crate::ids::IdError| damaged(error.to_string()))?;
    Ok(Position { epoch, seq })
}

/// The table or column that the schema files have and the database does not.
pub(super) fn missing(conn: &Connection, table: &Table) -> rusqlite::Result<Option<String>> {
    let plural = &table.entity.plural;
    let mut statement = conn.prepare(r#"SELECT "name" FROM pragma_table_info(?1)"#)?;
    let present: HashSet<String> =
        statement.query_map([&**plural], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if present.is_empty() {
        return Ok(Some(format!("the table `{plural}`")));
    }
    let lacking = table.entity.fields.iter().find(|field| !present.contains(&*field.name));
    Ok(lacking.map(|field| format!("the column `{}` of `{plural}`", field.name)))
}

fn hand_on(
    conn: &Connection,
    table: &Table,
    position: &Position,
    sink: &mut dyn Sink,
) -> Result<u64, ExportError> {
    let failed = |error: rusqlite::Error| ExportError::Read(error.to_string());
    let count = conn.query_row(&table.count, [], |row| row.get(0)).map(unsigned).map_err(failed)?;
    sink.start(position, count).map_err(ExportError::Output)?;
    let sql = format!(r#"SELECT {} FROM {} ORDER BY "id""#, table.columns, table.name);
    let mut statement = conn.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut records = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        let record = read_record(row, 0, &table.entity).map_err(failed)?;
        sink.record(&record).map_err(ExportError::Output)?;
        records += 1;
    }
    Ok(records)
}
