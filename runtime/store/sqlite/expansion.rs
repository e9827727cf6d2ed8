//! Following references from the rows of a list: one statement for each reference, however many rows there are, in the
//! transaction of the list.
//!
//! Knows nothing of conditions and order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::Connection;

use super::images::stored;
use super::rows::read_record;
use super::tables::{Catalog, Table};
use crate::schema::{FieldKind, Record, Value};
use crate::store::{Expand, Related};

/// For each record, the records that its references lead to, in the order of `wanted`.
pub(super) fn follow(
    conn: &Connection,
    catalog: &Catalog,
    table: &Table,
    records: &[Record],
    wanted: &[Expand],
) -> rusqlite::Result<Vec<Vec<Option<Arc<Related>>>>> {
    let mut expanded = vec![Vec::with_capacity(wanted.len()); records.len()];
    for Expand { field, then } in wanted {
        let target = match &table.entity.at(*field).kind {
            FieldKind::Ref { entity, .. } => catalog.table(entity),
            FieldKind::Text { .. }
            | FieldKind::Int { .. }
            | FieldKind::Float { .. }
            | FieldKind::Bool
            | FieldKind::Enum { .. }
            | FieldKind::Json
            | FieldKind::Date
            | FieldKind::Datetime
            | FieldKind::Uuid => None,
        };
        let ids: BTreeSet<&str> =
            records.iter().filter_map(|record| id_in(&record.values[field.0])).collect();
        let related = match target {
            Some(target) if !ids.is_empty() => related(conn, catalog, target, &ids, then)?,
            _ => HashMap::new(),
        };
        for (record, expanded) in records.iter().zip(&mut expanded) {
            expanded.push(id_in(&record.values[field.0]).and_then(|id| related.get(id).cloned()));
        }
    }
    Ok(expanded)
}

fn id_in(value: &Value) -> Option<&str> {
    match value {
        Value::Text(id) => Some(id),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => None,
    }
}

/// The records with these ids, and what their references lead to.
fn related(
    conn: &Connection,
    catalog: &Catalog,
    table: &Table,
    ids: &BTreeSet<&str>,
    then: &[Expand],
) -> rusqlite::Result<HashMap<String, Arc<Related>>> {
    let ids = serde_json::to_string(ids).expect("texts have a JSON form");
    let mut statement = conn.prepare_cached(&table.select_many)?;
    let records = statement.query_map([ids], |row| read_record(row, 0, &table.entity))?;
    let records = records.collect::<rusqlite::Result<Vec<Record>>>()?;
    let expanded = follow(conn, catalog, table, &records, then)?;
    let related = records.into_iter().zip(expanded).map(|(record, expanded)| {
        let stored = stored(&record, &table.entity);
        (record.id.as_str().to_owned(), Arc::new(Related { stored, expanded }))
    });
    Ok(related.collect())
}
