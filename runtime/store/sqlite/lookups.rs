//! Lookup fields (SEMANTICS R8) as the tables know them: what each copies, in which order, and who follows whom. Also their
//! values where there is nothing to follow: in a new record, and in all records when the schema changed.
//!
//! Knows nothing of the writes that lookups follow; `propagation.rs` does.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::rows::read_value;
use super::tables::{Table, quoted};
use crate::ids::RecordId;
use crate::schema::{Entity, EntityName, FieldIndex, FieldKind, Schema, Value};
use crate::store::relations::Relations;

/// A lookup of a table.
pub(super) struct Copied {
    pub(super) field: FieldIndex,
    pub(super) via: FieldIndex,
    /// The entity that `via` refers to, and the field there.
    pub(super) target: EntityName,
    pub(super) source: FieldIndex,
    /// How many lookups in a row lead here. What a lookup depends on has a lower rank, so in the order of ranks each is
    /// computed once.
    pub(super) rank: usize,
    /// `id` → `via`, the lookup's value.
    pub(super) state: String,
    /// `id` of the target → the value to copy.
    pub(super) value: String,
}

/// A lookup, perhaps of another entity, that copies a field of the table.
pub(super) struct Follower {
    pub(super) source: FieldIndex,
    pub(super) entity: EntityName,
    /// Place in `Table::lookups` of that entity.
    pub(super) lookup: usize,
    /// The referred id, most → ids of the records that follow it, ascending.
    pub(super) ids: String,
}

/// What a change of a field may change with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Nothing,
    /// Lookups of the same record only: no further row is written.
    Itself,
    /// Lookups of other records.
    Others,
}

/// LookupRanks of fields: 0 for a field that is no lookup.
type LookupRanks = HashMap<(EntityName, FieldIndex), usize>;

/// Enters every lookup of the schema into the table that it belongs to and into the one that it copies from.
pub(super) fn enter(schema: &Schema, relations: &Relations, tables: &mut [Table]) {
    for (rank, entity, field) in in_order(schema) {
        let Some(copied) = Copied::of(schema, entity, field, rank) else { continue };
        let Some(table) = relations.get(&entity.name).map(|at| &mut tables[at.place]) else { continue };
        let follower = Follower::of(entity, &copied, table.lookups.len());
        let target = copied.target.clone();
        table.lookups.push(copied);
        if let Some(target) = relations.get(&target) {
            tables[target.place].followers.push(follower);
        }
    }
    tables.iter_mut().for_each(|table| table.reach = reach(table));
}

/// Fills the lookups of a new record. References were checked; one that leads to the record itself finds it here.
pub(super) fn copy_all(
    conn: &Connection,
    table: &Table,
    id: &RecordId,
    values: &mut [Value],
) -> rusqlite::Result<()> {
    for copied in &table.lookups {
        let own = |target: &str| copied.target == table.entity.name && target == id.as_str();
        values[copied.field.0] = match &values[copied.via.0] {
            Value::Text(target) if own(target) => values[copied.source.0].clone(),
            Value::Text(target) => copied.read(conn, target, &table.entity.at(copied.field).kind)?,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => Value::Null,
        };
    }
    Ok(())
}

/// Brings the lookups of all records into step, for a schema that is new to the database. Versions stay, and nothing is
/// logged: nobody resumes across a change of the schema.
pub(super) fn fill(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    for (rank, entity, field) in in_order(schema) {
        let Some(copied) = Copied::of(schema, entity, field, rank) else { continue };
        let Some(target) = schema.entity(&copied.target) else { continue };
        let (own, via) = (quoted(&entity.at(field).name), quoted(&entity.at(copied.via).name));
        let (table, source) = (quoted(&entity.plural), quoted(&target.at(copied.source).name));
        let value = format!(
            r#"(SELECT "source".{source} FROM {} AS "source" WHERE "source"."id" = {table}.{via})"#,
            quoted(&target.plural)
        );
        conn.execute(&format!("UPDATE {table} SET {own} = {value} WHERE {own} IS NOT {value}"), [])?;
    }
    Ok(())
}

impl Copied {
    fn of(schema: &Schema, entity: &Entity, field: FieldIndex, rank: usize) -> Option<Copied> {
        let lookup = entity.at(field).lookup?;
        let via = entity.at(lookup.via);
        let target = schema.target(via)?;
        let (own, via) = (quoted(&entity.at(field).name), quoted(&via.name));
        let source = quoted(&target.at(lookup.field).name);
        Some(Copied {
            field,
            via: lookup.via,
            target: target.name.clone(),
            source: lookup.field,
            rank,
            state: format!(r#"SELECT {via}, {own} FROM {} WHERE "id" = ?1"#, quoted(&entity.plural)),
            value: format!(r#"SELECT {source} FROM {} WHERE "id" = ?1"#, quoted(&target.plural)),
        })
    }

    /// What there is to copy from the record `target`; null if it is gone.
    pub(super) fn read(&self, conn: &Connection, target: &str, kind: &FieldKind) -> rusqlite::Result<Value> {
        let mut select = conn.prepare_cached(&self.value)?;
        let value = select.query_row([target], |row| read_value(row, 0, kind)).optional()?;
        Ok(value.unwrap_or(Value::Null))
    }
}

impl Follower {
    fn of(entity: &Entity, copied: &Copied, lookup: usize) -> Follower {
        let (table, via) = (quoted(&entity.plural), quoted(&entity.at(copied.via).name));
        Follower {
            source: copied.source,
            entity: entity.name.clone(),
            lookup,
            ids: format!(r#"SELECT "id" FROM {table} WHERE {via} = ?1 ORDER BY "id" LIMIT ?2"#),
        }
    }
}

/// Every lookup with its rank, lowest first.
fn in_order(schema: &Schema) -> Vec<(usize, &Entity, FieldIndex)> {
    let mut ranks = LookupRanks::new();
    let mut lookups = Vec::new();
    for entity in schema.entities() {
        for field in (0..entity.fields.len()).map(FieldIndex) {
            if entity.at(field).lookup.is_some() {
                lookups.push((rank(schema, (entity.name.clone(), field), &mut ranks), &**entity, field));
            }
        }
    }
    lookups.sort_by_key(|(rank, _, _)| *rank);
    lookups
}

/// One more than the highest rank that the lookup depends on. Walks with a stack of its own, since a chain of lookups may
/// lead through every field of the schema; the schema's check made sure that none leads back to its beginning.
fn rank(schema: &Schema, field: (EntityName, FieldIndex), ranks: &mut LookupRanks) -> usize {
    let mut path = vec![field.clone()];
    while let Some(node) = path.last().cloned() {
        let needs = dependencies(schema, &node);
        match needs.iter().find(|need| !ranks.contains_key(*need)) {
            Some(unknown) => path.push(unknown.clone()),
            None => {
                let rank = needs.iter().map(|need| ranks[need] + 1).max().unwrap_or(0);
                ranks.insert(node, rank);
                path.pop();
            }
        }
    }
    ranks[&field]
}

/// The ref that a lookup goes through, and the field that it copies.
fn dependencies(
    schema: &Schema,
    (entity, field): &(EntityName, FieldIndex),
) -> Vec<(EntityName, FieldIndex)> {
    let entity = schema.entity(entity);
    let Some((entity, lookup)) = entity.and_then(|entity| Some((entity, entity.at(*field).lookup?))) else {
        return Vec::new();
    };
    let source = schema.target(entity.at(lookup.via)).map(|target| (target.name.clone(), lookup.field));
    [(entity.name.clone(), lookup.via)].into_iter().chain(source).collect()
}

/// For each field of the table. A lookup through a field reaches as far as the field, so they are asked last first.
fn reach(table: &Table) -> Vec<Reach> {
    let mut reach = vec![Reach::Nothing; table.entity.fields.len()];
    table.followers.iter().for_each(|follower| reach[follower.source.0] = Reach::Others);
    for copied in table.lookups.iter().rev() {
        reach[copied.via.0] = reach[copied.via.0].max(reach[copied.field.0]).max(Reach::Itself);
    }
    reach
}
