//! Values and records as SQLite holds them, in both directions. Knows the types of columns, not the statements.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, Statement};

use crate::ids::{RecordId, Timestamp};
use crate::schema::{Entity, FieldKind, Record, Value};
use crate::store::Column;

/// A value on its way into a statement, borrowed.
pub(super) struct Sql<'a>(pub(super) &'a Value);

impl ToSql for Sql<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Bool(flag) => ValueRef::Integer(i64::from(*flag)),
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Float(number) => ValueRef::Real(*number),
            Value::Text(text) | Value::Json(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// JSON text that is held as bytes, bound as TEXT so that a person may read the log with any SQLite tool.
pub(super) struct JsonText<'a>(pub(super) &'a [u8]);

impl ToSql for JsonText<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// SQLite's integers are signed. Seqs and versions grow by one at a time and cannot reach the bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of `signed`; nothing negative is ever written.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Binds `id, version, created_at, updated_at, values…` from `?1` on.
pub(super) fn bind_record(statement: &mut Statement<'_>, record: &Record) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, record.id.as_str())?;
    statement.raw_bind_parameter(2, signed(record.version))?;
    statement.raw_bind_parameter(3, record.created_at.0)?;
    statement.raw_bind_parameter(4, record.updated_at.0)?;
    bind_values(statement, 5, &record.values)
}

pub(super) fn bind_values(
    statement: &mut Statement<'_>,
    first: usize,
    values: &[Value],
) -> rusqlite::Result<()> {
    (first..).zip(values).try_for_each(|(at, value)| statement.raw_bind_parameter(at, Sql(value)))
}

/// Reads a record from the columns `Table::columns`, the first of them at `first`.
pub(super) fn read_record(row: &Row<'_>, first: usize, entity: &Entity) -> rusqlite::Result<Record> {
    let mut values = Vec::with_capacity(entity.fields.len());
    for (at, field) in entity.fields.iter().enumerate() {
        values.push(read_value(row, first + 4 + at, &field.kind)?);
    }
    Ok(Record {
        id: RecordId::stored(row.get_ref(first)?.as_str()?),
        version: unsigned(row.get(first + 1)?),
        created_at: Timestamp(row.get(first + 2)?),
        updated_at: Timestamp(row.get(first + 3)?),
        values,
    })
}

/// Reads the value of a column, in the form of `Record::value`.
pub(super) fn read_column(
    row: &Row<'_>,
    at: usize,
    entity: &Entity,
    column: Column,
) -> rusqlite::Result<Value> {
    match column {
        Column::Id => row.get(at).map(Value::Text),
        Column::Version | Column::CreatedAt | Column::UpdatedAt => row.get(at).map(Value::Int),
        Column::Field(field) => read_value(row, at, &entity.at(field).kind),
    }
}

pub(super) fn read_value(row: &Row<'_>, at: usize, kind: &FieldKind) -> rusqlite::Result<Value> {
    let raw = row.get_ref(at)?;
    if matches!(raw, ValueRef::Null) {
        return Ok(Value::Null);
    }
    Ok(match kind {
        FieldKind::Bool => Value::Bool(raw.as_i64()? != 0),
        FieldKind::Int { .. } => Value::Int(raw.as_i64()?),
        FieldKind::Float { .. } => Value::Float(raw.as_f64()?),
        FieldKind::Json => Value::Json(raw.as_str()?.to_owned()),
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => Value::Text(raw.as_str()?.to_owned()),
    })
}
