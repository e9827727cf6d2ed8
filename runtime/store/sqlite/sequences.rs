//! Counters of the numbers that the server gives (SEMANTICS X5): for each sequence and parent the highest number so far.
//!
//! Knows not which record gets a number (`store/unit/sequences.rs`). What a changed schema does to counters,
//! `evolution/sequences.rs` does.

use rusqlite::{Connection, OptionalExtension, params};

use super::tables::Table;
use crate::store::unit::Counter;

/// A row stays when its parent goes, so that no number is given again. Entities and fields bear their present names.
pub(super) const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS "_sequences" (
    "entity" TEXT NOT NULL, "field" TEXT NOT NULL, "parent" TEXT NOT NULL, "last" INTEGER NOT NULL,
    PRIMARY KEY ("entity", "field", "parent")
) STRICT, WITHOUT ROWID;
"#;

pub(super) fn last(conn: &Connection, of: &Table, counter: &Counter) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached(
        r#"SELECT "last" FROM "_sequences" WHERE "entity" = ?1 AND "field" = ?2 AND "parent" = ?3"#,
    )?;
    let field = &of.entity.at(counter.field).name;
    let found = select.query_row(params![&*of.entity.name, &**field, counter.parent], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

/// In the transaction of the record that gets the number.
pub(super) fn set(conn: &Connection, of: &Table, counter: &Counter, last: i64) -> rusqlite::Result<()> {
    let field = &of.entity.at(counter.field).name;
    conn.prepare_cached(r#"INSERT OR REPLACE INTO "_sequences" VALUES (?1, ?2, ?3, ?4)"#)?
        .execute(params![&*of.entity.name, &**field, counter.parent, last])
        .map(|_| ())
}
