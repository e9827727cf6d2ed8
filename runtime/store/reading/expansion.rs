//! Following references from the records of a list: one question for each reference, however many records there are, in the
//! transaction of the list. What a reference leads to is shown only if the caller may read it there.
//!
//! Does not know conditions and order.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use super::asker::KnownAsker;
use super::snapshot::Snapshot;
use crate::rules::{Needs, ReadScope};
use crate::schema::{Column, Entity, FieldIndex, Record, Value};
use crate::store::images::shown;
use crate::store::relations::{Relation, Relations};
use crate::store::{At, Expand, Related, StoreError};

/// What rules are asked on the way along all references.
pub(super) fn needs(relations: &Relations, entity: &Entity, wanted: &[Expand], needs: &mut Needs) {
    for Expand { field, then } in wanted {
        if let Some(target) = target(relations, entity, *field) {
            needs.add(&target.read_needs);
            self::needs(relations, &target.entity, then, needs);
        }
    }
}

/// One transaction in which references are followed.
pub(super) struct Expansion<'a, S> {
    pub(super) snapshot: &'a S,
    pub(super) relations: &'a Relations,
    pub(super) at: &'a At<()>,
    pub(super) known: &'a KnownAsker,
}

type Expanded = Vec<Option<Arc<Related>>>;

impl<S: Snapshot> Expansion<'_, S> {
    /// For each record, the records that its references lead to, in the order of `wanted`. Neither a reference that is not shown
    /// nor one to a record that may not be read leads anywhere.
    pub(super) async fn of_records(
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
            let distinct: Vec<&str> = distinct.into_iter().collect();
            let related = match target(self.relations, &read_scope.entity, *field) {
                // A future that holds itself has no size of its own.
                Some(target) if !distinct.is_empty() => {
                    let related: Pin<Box<dyn Future<Output = _>>> =
                        Box::pin(self.related(target, &distinct, then));
                    related.await?
                }
                _ => HashMap::new(),
            };
            for (id, expanded) in ids.into_iter().zip(&mut expanded) {
                expanded.push(id.and_then(|id| related.get(id).cloned()));
            }
        }
        Ok(expanded)
    }

    /// Those of the records with these ids that may be read, and what their references lead to.
    async fn related(
        &self,
        of: &Relation,
        ids: &[&str],
        then: &[Expand],
    ) -> Result<HashMap<String, Arc<Related>>, StoreError> {
        let read_scope = match self.known.read_scope(of, self.at.generation) {
            Err(StoreError::Closed(_)) => return Ok(HashMap::new()),
            read_scope => read_scope?,
        };
        let records = self.snapshot.records(of, ids).await.map_err(Into::into)?;
        let seen = records.into_iter().flatten().filter(|record| read_scope.sees(record));
        let records: Vec<Record> = seen.collect();
        let expanded = self.of_records(&read_scope, &records, then).await?;
        let related = records.into_iter().zip(expanded).map(|(record, expanded)| {
            let stored = shown(&record, &read_scope);
            (record.id.as_str().to_owned(), Arc::new(Related { stored, expanded }))
        });
        Ok(related.collect())
    }
}

fn target<'a>(relations: &'a Relations, entity: &Entity, field: FieldIndex) -> Option<&'a Relation> {
    entity.at(field).kind.target().and_then(|target| relations.get(target))
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
