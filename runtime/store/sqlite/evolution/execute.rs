//! Carrying moves out, inside one transaction: the tables first, then their columns, then what is new.
//!
//! Decides nothing: what is in the way of a move was judged before.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::difference::{Move, Site};
use super::premises::Premises;
use super::values::Converter;
use crate::schema::Value;
use crate::store::sqlite::history;
use crate::store::sqlite::identifier::quoted;
use crate::store::sqlite::rows::Sql;
use crate::store::sqlite::tables::{create_table, sql_type};

/// While tables change names in a circle, they are called this and a number. No plural begins with an underscore.
const MOVING: &str = "_moving";
/// A column that is being filled with converted values. No field's name begins with an underscore.
const CONVERTED: &str = "_converted";

/// Carries all moves out. Secondary indexes of tables that change are dropped on the way; the caller creates those that
/// are wanted.
pub(super) fn execute(premises: &Premises<'_>, moves: &[Move]) -> rusqlite::Result<()> {
    let conn = premises.conn;
    for table in changing_tables(moves) {
        drop_indexes(conn, table)?;
    }
    // Conversions read tables by their present names, so they come before any table moves; a column that goes may
    // bear the name of one that comes.
    for one in moves {
        match one {
            Move::DropField { table, column, .. } => drop_column(conn, table, column)?,
            Move::Retype { at, was } => {
                let converter = Converter::new(premises, at, was);
                let field = at.field();
                if sql_type_of(&was.kind) == sql_type(&field.kind) {
                    converter.rewrite(&at.column)?;
                } else {
                    let (table, new) = (quoted(&at.table), quoted(CONVERTED));
                    let kind = sql_type(&field.kind);
                    conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {new} {kind}"))?;
                    converter.rewrite(CONVERTED)?;
                    drop_column(conn, &at.table, &at.column)?;
                    rename_column(conn, &at.table, CONVERTED, &at.column)?;
                }
            }
            Move::Require { at } => fill_nulls(premises, at)?,
            Move::Drop { .. }
            | Move::Create { .. }
            | Move::Rename { .. }
            | Move::Relocate { .. }
            | Move::Ids { .. }
            | Move::AddField { .. }
            | Move::RenameField { .. }
            | Move::Unique { .. }
            | Move::UniqueTogether { .. }
            | Move::Follow { .. }
            | Move::Expire { .. }
            | Move::Number { .. }
            | Move::Forget { .. } => {}
        }
    }
    for one in moves {
        match one {
            Move::RenameField { at } => rename_column(conn, &at.table, &at.column, &at.field().name)?,
            Move::AddField { at } => add_column(premises, at)?,
            Move::Drop { name, table } => drop_entity(conn, name, table)?,
            Move::Rename { entity, was } => rename_tombstones(conn, was, &entity.name)?,
            Move::Create { .. }
            | Move::Relocate { .. }
            | Move::Ids { .. }
            | Move::DropField { .. }
            | Move::Retype { .. }
            | Move::Require { .. }
            | Move::Unique { .. }
            | Move::UniqueTogether { .. }
            | Move::Follow { .. }
            | Move::Expire { .. }
            | Move::Number { .. }
            | Move::Forget { .. } => {}
        }
    }
    history::rename(conn, moves.iter().filter_map(renamed))?;
    move_tables(conn, moves)?;
    for one in moves {
        if let Move::Create { entity } = one {
            conn.execute_batch(&create_table(entity))?;
        }
    }
    Ok(())
}

/// Former and present name.
fn renamed(one: &Move) -> Option<(&str, &str)> {
    if let Move::Rename { entity, was } = one { Some((was, &entity.name)) } else { None }
}

fn changing_tables(moves: &[Move]) -> Vec<&str> {
    let mut tables: Vec<&str> = moves
        .iter()
        .filter_map(|one| match one {
            Move::DropField { table, .. } | Move::Relocate { table, .. } => Some(table.as_str()),
            Move::Retype { at, .. } | Move::RenameField { at } => Some(at.table.as_str()),
            Move::Create { .. }
            | Move::Drop { .. }
            | Move::Rename { .. }
            | Move::Ids { .. }
            | Move::AddField { .. }
            | Move::Require { .. }
            | Move::Unique { .. }
            | Move::UniqueTogether { .. }
            | Move::Follow { .. }
            | Move::Expire { .. }
            | Move::Number { .. }
            | Move::Forget { .. } => None,
        })
        .collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

fn drop_indexes(conn: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        r#"SELECT "name" FROM sqlite_master WHERE "type" = 'index' AND "sql" IS NOT NULL AND "tbl_name" = ?1"#,
    )?;
    let names: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| conn.execute_batch(&format!("DROP INDEX {}", quoted(name))))
}

fn drop_column(conn: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
    conn.execute_batch(&format!("ALTER TABLE {} DROP COLUMN {}", quoted(table), quoted(column)))
}

fn rename_column(conn: &Connection, table: &str, from: &str, to: &str) -> rusqlite::Result<()> {
    let (table, from, to) = (quoted(table), quoted(from), quoted(to));
    conn.execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))
}

fn add_column(premises: &Premises<'_>, at: &Site) -> rusqlite::Result<()> {
    let (table, column) = (quoted(&at.table), quoted(&at.field().name));
    let kind = sql_type(&at.field().kind);
    premises.conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
    if premises.fills_each(at) {
        return fill_each(premises, at, &at.field().name);
    }
    let value = premises.fill(at);
    if value != Value::Null {
        premises.conn.execute(&format!("UPDATE {table} SET {column} = ?1"), [Sql(&value)])?;
    }
    Ok(())
}

fn fill_nulls(premises: &Premises<'_>, at: &Site) -> rusqlite::Result<()> {
    let (table, column) = (quoted(&at.table), quoted(&at.column));
    if premises.fills_each(at) {
        return fill_each(premises, at, &at.column);
    }
    let value = premises.fill(at);
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {column} IS NULL");
    premises.conn.execute(&update, [Sql(&value)]).map(|_| ())
}

/// Gives every record without a value one of its own. Ids are read in chunks, since the table is written to meanwhile.
fn fill_each(premises: &Premises<'_>, at: &Site, column: &str) -> rusqlite::Result<()> {
    const CHUNK: usize = 1_000;
    let (table, column) = (quoted(&at.table), quoted(column));
    let mut select = premises.conn.prepare(&format!(
        r#"SELECT "id" FROM {table} WHERE {column} IS NULL AND "id" > ?1 ORDER BY "id" LIMIT {CHUNK}"#
    ))?;
    let mut update =
        premises.conn.prepare(&format!(r#"UPDATE {table} SET {column} = ?2 WHERE "id" = ?1"#))?;
    let mut last = String::new();
    loop {
        let ids: Vec<String> =
            select.query_map([&last], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let Some(next) = ids.last() else { return Ok(()) };
        last.clone_from(next);
        for id in &ids {
            update.execute(params![id, Sql(&premises.fill(at))])?;
        }
    }
}

/// The next entity of this name inherits nothing: what the log still has goes under a name that no entity can have, what was
/// kept below it goes, and so do the versions of deleted records.
fn drop_entity(conn: &Connection, name: &str, table: &str) -> rusqlite::Result<()> {
    conn.execute_batch(&format!("DROP TABLE {}", quoted(table)))?;
    for statement in [
        r#"DELETE FROM "_graves" WHERE "entity" = ?1"#,
        r#"DELETE FROM "_changes" WHERE "entity" = ?1 AND "seq" <= (SELECT "floor" FROM "_meta")"#,
        r#"UPDATE "_changes" SET "entity" = '_dropped:' || "entity" WHERE "entity" = ?1"#,
    ] {
        conn.execute(statement, [name])?;
    }
    Ok(())
}

/// The versions of deleted records continue under the new name. The log's entries, which are the
/// history of its records, follow all at once.
fn rename_tombstones(conn: &Connection, was: &str, name: &str) -> rusqlite::Result<()> {
    let update = r#"UPDATE OR REPLACE "_graves" SET "entity" = ?2 WHERE "entity" = ?1"#;
    conn.execute(update, params![was, name]).map(|_| ())
}

/// By way of unused names, since two tables may exchange theirs.
fn move_tables(conn: &Connection, moves: &[Move]) -> rusqlite::Result<()> {
    let moving: BTreeMap<usize, (&str, &str)> = moves
        .iter()
        .enumerate()
        .filter_map(|(at, one)| match one {
            Move::Relocate { entity, table } => Some((at, (table.as_str(), &*entity.plural))),
            Move::Create { .. }
            | Move::Drop { .. }
            | Move::Rename { .. }
            | Move::Ids { .. }
            | Move::AddField { .. }
            | Move::DropField { .. }
            | Move::RenameField { .. }
            | Move::Retype { .. }
            | Move::Require { .. }
            | Move::Unique { .. }
            | Move::UniqueTogether { .. }
            | Move::Follow { .. }
            | Move::Expire { .. }
            | Move::Number { .. }
            | Move::Forget { .. } => None,
        })
        .collect();
    let rename = |from: &str, to: &str| {
        conn.execute_batch(&format!("ALTER TABLE {} RENAME TO {}", quoted(from), quoted(to)))
    };
    for (at, (from, _)) in &moving {
        rename(from, &format!("{MOVING}{at}"))?;
    }
    moving.iter().try_for_each(|(at, (_, to))| rename(&format!("{MOVING}{at}"), to))
}

/// The column's type for a field's type that the schema may no longer have.
fn sql_type_of(word: &str) -> &'static str {
    match word {
        "int" | "bool" => "INTEGER",
        "float" => "REAL",
        _ => "TEXT",
    }
}
