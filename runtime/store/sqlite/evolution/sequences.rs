//! What a changed schema does to the numbers that the server gives: counters follow renames, those that count nothing any
//! longer go, and records that have no number get one.
//!
//! Knows no plan: it is asked when tables and columns bear their new names.

use rusqlite::Connection;

use super::difference::Move;
use crate::schema::{Entity, Field, Schema, Sequence};
use crate::store::sqlite::identifier::quoted;

/// The entity and the field of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CounterName {
    entity: String,
    field: String,
}

/// A counter that goes on.
struct KeptCounter {
    was: CounterName,
    is: CounterName,
}

pub(super) fn settle(conn: &Connection, schema: &Schema, moves: &[Move]) -> rusqlite::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let kept: Vec<KeptCounter> = numbered(schema)
        .filter(|(entity, field)| !moves.iter().any(|one| begins(one, entity, field)))
        .map(|(entity, field)| KeptCounter {
            was: CounterName {
                entity: former_entity(moves, entity).to_owned(),
                field: former_field(moves, entity, field).to_owned(),
            },
            is: CounterName { entity: entity.name.to_string(), field: field.name.to_string() },
        })
        .collect();
    forget_others(conn, &kept)?;
    rename(conn, &kept)?;
    for one in moves {
        if let Move::Number { at, .. } = one {
            number(conn, &at.entity, at.field())?;
        }
    }
    Ok(())
}

fn numbered(schema: &Schema) -> impl Iterator<Item = (&Entity, &Field)> {
    schema.entities().flat_map(|entity| {
        entity.fields.iter().filter(|field| field.sequence.is_some()).map(move |field| (&**entity, field))
    })
}

/// Whether the records are counted anew.
fn begins(one: &Move, entity: &Entity, field: &Field) -> bool {
    if let Move::Create { entity: new } = one {
        return new.name == entity.name;
    }
    matches!(one, Move::Number { at, .. } if at.entity.name == entity.name && at.field().name == field.name)
}

fn former_entity<'a>(moves: &'a [Move], entity: &'a Entity) -> &'a str {
    let was = |one: &'a Move| {
        let Move::Rename { entity: renamed, was } = one else { return None };
        (renamed.name == entity.name).then_some(was.as_str())
    };
    moves.iter().find_map(was).unwrap_or(&entity.name)
}

fn former_field<'a>(moves: &'a [Move], entity: &Entity, field: &'a Field) -> &'a str {
    let was = |one: &'a Move| {
        let Move::RenameField { at } = one else { return None };
        (at.entity.name == entity.name && at.field().name == field.name).then_some(at.column.as_str())
    };
    moves.iter().find_map(was).unwrap_or(&field.name)
}

fn forget_others(conn: &Connection, kept: &[KeptCounter]) -> rusqlite::Result<()> {
    let mut select = conn.prepare(r#"SELECT DISTINCT "entity", "field" FROM "_sequences""#)?;
    let names = select.query_map([], |row| Ok(CounterName { entity: row.get(0)?, field: row.get(1)? }))?;
    let names: Vec<CounterName> = names.collect::<Result<_, _>>()?;
    for name in names.iter().filter(|name| kept.iter().all(|kept| kept.was != **name)) {
        conn.execute(
            r#"DELETE FROM "_sequences" WHERE "entity" = ?1 AND "field" = ?2"#,
            [&name.entity, &name.field],
        )?;
    }
    Ok(())
}

/// No name is taken: a former name is no longer that of another entity or field.
fn rename(conn: &Connection, kept: &[KeptCounter]) -> rusqlite::Result<()> {
    for KeptCounter { was, is } in kept.iter().filter(|one| one.was != one.is) {
        conn.execute(
            r#"UPDATE "_sequences" SET "entity" = ?3, "field" = ?4 WHERE "entity" = ?1 AND "field" = ?2"#,
            [&was.entity, &was.field, &is.entity, &is.field],
        )?;
    }
    Ok(())
}

/// Numbers that are there stay. The others follow behind the highest, in the order in which the records were made. Versions stay,
/// and nothing is logged: no client resumes across a change of the schema.
fn number(conn: &Connection, entity: &Entity, field: &Field) -> rusqlite::Result<()> {
    let table = quoted(&entity.plural);
    let own = quoted(&field.name);
    let of_table = |column: &str| format!("{table}.{}", quoted(column));
    let (column, created_at, id) = (of_table(&field.name), of_table("created_at"), of_table("id"));
    let parent = match field.sequence {
        Some(Sequence::Within(parent)) => of_table(&entity.at(parent).name),
        Some(Sequence::Whole) => "''".to_owned(),
        None => return Ok(()),
    };
    let counters = format!(
        r#"INSERT OR REPLACE INTO "_sequences" SELECT ?1, ?2, {parent}, max(0, coalesce(max({column}), 0))
           FROM {table} WHERE {parent} IS NOT NULL GROUP BY {parent}"#
    );
    let numbers = format!(
        r#"UPDATE {table} SET {own} = "numbered"."number" FROM (
               SELECT {id} AS "of", "_sequences"."last"
                   + row_number() OVER (PARTITION BY {parent} ORDER BY {created_at}, {id}) AS "number"
               FROM {table} JOIN "_sequences" ON "_sequences"."entity" = ?1
                   AND "_sequences"."field" = ?2 AND "_sequences"."parent" = {parent}
               WHERE {column} IS NULL
           ) AS "numbered" WHERE {id} = "numbered"."of""#
    );
    let names = [&*entity.name, &*field.name];
    for statement in [&counters, &numbers, &counters] {
        conn.execute(statement, names)?;
    }
    Ok(())
}
