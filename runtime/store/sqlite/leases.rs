//! The table of leases and their counter (SEMANTICS Y6). A lease is no record: nothing of it is in the log.
//!
//! Knows not who may hold one (`store/unit/leases.rs`).

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{signed, unsigned};
use crate::ids::{RecordId, Timestamp};
use crate::schema::Schema;
use crate::store::{Lease, RecordLease};

/// Entities bear the names that they had when the lease was granted: with another name a lease is lost, as it would be a few minutes
/// later.
pub(super) const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS "_leases" (
    "entity" TEXT NOT NULL, "id" TEXT NOT NULL, "holder" TEXT NOT NULL, "fence" INTEGER NOT NULL,
    "until" INTEGER NOT NULL, PRIMARY KEY ("entity", "id")
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_fences" ("one" INTEGER PRIMARY KEY CHECK ("one" = 1), "last" INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO "_fences" VALUES (1, 0);
"#;

pub(super) fn find(conn: &Connection, entity: &str, id: &RecordId) -> rusqlite::Result<Option<Lease>> {
    conn.prepare_cached(
        r#"SELECT "holder", "fence", "until" FROM "_leases" WHERE "entity" = ?1 AND "id" = ?2"#,
    )?
    .query_row(params![entity, id.as_str()], |row| {
        let holder: String = row.get(0)?;
        Ok(Lease { holder: holder.into(), fence: unsigned(row.get(1)?), until: Timestamp(row.get(2)?) })
    })
    .optional()
}

pub(super) fn set(
    conn: &Connection,
    entity: &str,
    id: &RecordId,
    lease: Option<&Lease>,
) -> rusqlite::Result<()> {
    match lease {
        Some(lease) => conn
            .prepare_cached(r#"INSERT OR REPLACE INTO "_leases" VALUES (?1, ?2, ?3, ?4, ?5)"#)?
            .execute(params![entity, id.as_str(), &*lease.holder, signed(lease.fence), lease.until.0]),
        None => conn
            .prepare_cached(r#"DELETE FROM "_leases" WHERE "entity" = ?1 AND "id" = ?2"#)?
            .execute(params![entity, id.as_str()]),
    }
    .map(|_| ())
}

pub(super) fn next_fence(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached(r#"UPDATE "_fences" SET "last" = "last" + 1 RETURNING "last""#)?
        .query_row([], |row| row.get(0))
        .map(unsigned)
}

/// The rows of entities that the schema does not have: they were renamed or dropped.
pub(super) fn forget_others(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    let mut select = conn.prepare(r#"SELECT DISTINCT "entity" FROM "_leases""#)?;
    let entities: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for gone in entities.iter().filter(|name| schema.entity(name).is_none()) {
        conn.execute(r#"DELETE FROM "_leases" WHERE "entity" = ?1"#, params![gone])?;
    }
    Ok(())
}

/// All of them, expired ones among them.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<RecordLease>> {
    let mut statement =
        conn.prepare_cached(r#"SELECT "entity", "id", "holder", "fence", "until" FROM "_leases""#)?;
    let rows = statement.query_map([], |row| {
        let (entity, id, holder): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let holder: Arc<str> = holder.into();
        let lease = Lease { holder, fence: unsigned(row.get(3)?), until: Timestamp(row.get(4)?) };
        Ok(RecordLease { entity: entity.as_str().into(), id: RecordId::stored(&id), lease })
    })?;
    rows.collect()
}
