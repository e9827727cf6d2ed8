//! Rights entries (SEMANTICS R1): for each person and entity the seq of the last change that may have changed what the person
//! sees through records of that entity.
//!
//! Knows not which changes those are: each says so itself.

use rusqlite::{Connection, params};

use super::rows::signed;
use crate::store::Change;

/// One row for each person and entity, never trimmed. A row keeps the name that the entity had: a read scope that was bound under a
/// former schema asks by that name, and still finds what came between its binding and the schema marker. What is newer
/// than the marker is written under the names of the new schema, and no client resumes across a marker, so a row of a former
/// schema is too old to invalidate anything else, even if another entity has taken the name.
pub(super) const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS "_rights" (
    "person" TEXT NOT NULL, "entity" TEXT NOT NULL, "seq" INTEGER NOT NULL, PRIMARY KEY ("person", "entity")
) STRICT, WITHOUT ROWID;
"#;

/// In the transaction of the change.
pub(super) fn note(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    for person in &change.rights {
        conn.prepare_cached(r#"INSERT OR REPLACE INTO "_rights" VALUES (?1, ?2, ?3)"#)?.execute(params![
            &**person,
            &*change.entity,
            signed(change.seq.0)
        ])?;
    }
    Ok(())
}
