//! Reading one entity, whole or as one person sees it, at one position, beside a writer: no lock is taken, no epoch
//! begun, nothing changed.
//!
//! Knows no file format and no rule; a `Sink` takes the records, and a `ReadScope` says which they are.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, params_from_iter};

use super::damage::{damaged, is_damage};
use super::dialect::SqliteDialect;
use super::evolution::{self, InForce};
use super::location::DatabaseFile;
use super::open;
use super::rows::{Sql, read_record, unsigned};
use super::source::{SqliteSource, ready};
use super::tables::{Catalog, Table};
use crate::ids::Position;
use crate::rules::ReadScope;
use crate::schema::{Generation, Schema};
use crate::store::reading::asker;
use crate::store::sql::Terms;
use crate::store::{ExportError, Exported, OpenError, Sink, StoreError, Who};

/// Reads the records of `entity` that `who` may read in one read transaction and hands them on, one at a time. While it lasts,
/// a server on the same database writes on; its write-ahead log grows meanwhile.
pub(super) fn export(
    file: &DatabaseFile,
    schema: &Schema,
    entity: &str,
    who: &Who,
    sink: &mut dyn Sink,
) -> Result<Exported, ExportError> {
    let mut conn = open::beside(file).map_err(ExportError::Open)?;
    let failed = |error| ExportError::Open(OpenError::of(file, &error));
    let transaction = conn.transaction().map_err(failed)?;
    let position = read_position(&transaction, file).map_err(ExportError::Open)?;
    let catalog = Catalog::of(schema);
    let of = catalog.relations.get(entity);
    let of = of.ok_or_else(|| ExportError::Read(format!("no entity {entity}")))?;
    let table = catalog.of_relation(of);
    let source = SqliteSource::reading(&transaction, &catalog);
    if let Some(what) = missing(&transaction, table).map_err(failed)? {
        return Err(ExportError::Open(OpenError::NotYet { database: file.display().to_string(), what }));
    }
    let generation = match who {
        Who::System => Generation(0),
        Who::Person(_) | Who::ReadScope(_) => in_force(&transaction, file, schema)?,
    };
    let read_scope =
        ready(asker::list_scope(&source, &catalog.relations, of, generation, who)).map_err(unseen)?;
    let is_known = ready(asker::is_known(&source, &catalog.relations, who)).map_err(failed)?;
    let records = hand_on(&transaction, table, &position, &read_scope, sink)?;
    Ok(Exported { position, records, is_known })
}

/// The generation of the schema, whose rules are asked.
fn in_force(conn: &Connection, file: &Path, schema: &Schema) -> Result<Generation, ExportError> {
    let InForce { generation, is_current } =
        evolution::in_force(conn, file, schema).map_err(ExportError::Open)?;
    if is_current { Ok(generation) } else { Err(ExportError::NotInForce(generation)) }
}

fn unseen(error: StoreError) -> ExportError {
    match error {
        StoreError::Closed(entity) => ExportError::Closed(entity),
        StoreError::Rule(error) => ExportError::Rule(error),
        StoreError::Damaged(cause) => ExportError::Damaged(cause),
        error @ (StoreError::Overloaded
        | StoreError::UnknownEntity(_)
        | StoreError::HiddenColumn(..)
        | StoreError::TooBroad { .. }
        | StoreError::TooManyGroups { .. }
        | StoreError::StaleGeneration
        | StoreError::Storage(_)) => ExportError::Read(error.to_string()),
    }
}

/// The end of the log and the newest epoch: the first read, so it also fixes what the others see.
pub(super) fn read_position(conn: &Connection, file: &Path) -> Result<Position, OpenError> {
    let damaged = |detail: String| damaged(file, detail);
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
    read_scope: &ReadScope,
    sink: &mut dyn Sink,
) -> Result<u64, ExportError> {
    let failed = |error: rusqlite::Error| match is_damage(&error) {
        true => ExportError::Damaged(error.to_string()),
        false => ExportError::Read(error.to_string()),
    };
    let mut values = Vec::new();
    let seen = Terms { dialect: &SqliteDialect, entity: &table.entity, values: &mut values }
        .predicate(read_scope.predicate());
    let values = || params_from_iter(values.iter().map(Sql));
    let count = format!("SELECT count(*) FROM {} WHERE {seen}", table.name);
    let count = conn.query_row(&count, values(), |row| row.get(0)).map(unsigned).map_err(failed)?;
    sink.start(position, count, read_scope).map_err(ExportError::Output)?;
    let sql = format!(r#"SELECT {} FROM {} WHERE {seen} ORDER BY "id""#, table.columns, table.name);
    let mut statement = conn.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query(values()).map_err(failed)?;
    let mut records = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        let record = read_record(row, 0, &table.entity).map_err(failed)?;
        sink.record(&record, &read_scope.mask(&record)).map_err(ExportError::Output)?;
        records += 1;
    }
    Ok(records)
}
