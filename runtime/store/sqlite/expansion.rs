//! Following references from the rows of a list: one statement for each reference, however many rows there are, in the
//! transaction of the list. What a reference leads to is shown only if whoever asks may read it there.
//!
//! Knows nothing of conditions and order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, params_from_iter};

use super::people::Known;
use super::predicate::Writing;
use super::rows::{Sql, read_record};
use super::tables::{Catalog, Table};
use crate::rules::{Needs, ReadScope};
use crate::schema::{Column, Entity, FieldIndex, FieldKind, Generation, Record, Value};
use crate::store::images::shown;
use crate::store::{Expand, Related, StoreError};

/// What rules are asked on the way along all references.
pub(super) fn needs(catalog: &Catalog, entity: &Entity, wanted: &[Expand], needs: &mut Needs) {
    for Expand { field, then } in wanted {
        if let Some(target) = target(catalog, entity, *field) {
            needs.add(&target.read_needs);
            self::needs(catalog, &target.entity, then, needs);
        }
    }
}

/// One transaction in which references are followed.
pub(super) struct Following<'a> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) generation: Generation,
    pub(super) known: &'a Known,
}

type Expanded = Vec<Option<Arc<Related>>>;

impl Following<'_> {
    /// For each record, the records that its references lead to, in the order of `wanted`. Neither a reference that is not shown
    /// nor one to a record that may not be read leads anywhere.
    pub(super) fn from(
        &self,
        read_scope: &ReadScope,
        records: &[Record],
        wanted: &[Expand],
    ) -> Result<Vec<Expanded>, StoreError> {
        let mut expanded = vec![Vec::with_capacity(wanted.len()); records.len()];
        for Expand { field, then } in wanted {
            let ids: Vec<Option<&str>> =
                records.iter().map(|record| id_in(read_scope, record, *field)).collect();
            let distinct: BTreeSet<&str> = ids.iter().copied().flatten().collect();
            let related = match target(self.catalog, &read_scope.entity, *field) {
                Some(target) if !distinct.is_empty() => self.related(target, &distinct, then)?,
                _ => HashMap::new(),
            };
            for (id, expanded) in ids.into_iter().zip(&mut expanded) {
                expanded.push(id.and_then(|id| related.get(id).cloned()));
            }
        }
        Ok(expanded)
    }

    /// Those of the records with these ids that may be read, and what their references lead to.
    fn related(
        &self,
        table: &Table,
        ids: &BTreeSet<&str>,
        then: &[Expand],
    ) -> Result<HashMap<String, Arc<Related>>, StoreError> {
        let read_scope = match self.known.read_scope(table, self.generation) {
            Err(StoreError::Closed(_)) => return Ok(HashMap::new()),
            read_scope => read_scope?,
        };
        let ids = serde_json::to_string(ids).expect("texts have a JSON form");
        let (mut sql, mut values) = (table.select_many.clone(), vec![Value::Text(ids)]);
        if !read_scope.predicate().is_true() {
            sql += " AND ";
            sql += &Writing { table, values: &mut values }.predicate(read_scope.predicate())?;
        }
        let mut statement = self.conn.prepare_cached(&sql)?;
        let values = params_from_iter(values.iter().map(Sql));
        let records = statement.query_map(values, |row| read_record(row, 0, &table.entity))?;
        let records = records.collect::<rusqlite::Result<Vec<Record>>>()?;
        let expanded = self.from(&read_scope, &records, then)?;
        let related = records.into_iter().zip(expanded).map(|(record, expanded)| {
            let stored = shown(&record, &read_scope);
            (record.id.as_str().to_owned(), Arc::new(Related { stored, expanded }))
        });
        Ok(related.collect())
    }
}

fn target<'a>(catalog: &'a Catalog, entity: &Entity, field: FieldIndex) -> Option<&'a Table> {
    match &entity.at(field).kind {
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
    }
}

fn id_in<'a>(read_scope: &ReadScope, record: &'a Record, field: FieldIndex) -> Option<&'a str> {
    let shown = read_scope.shown(Column::Field(field));
    match &record.values[field.0] {
        Value::Text(id) if shown.is_none_or(|shown| shown.matches(record)) => Some(id),
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => {
            None
        }
    }
}
