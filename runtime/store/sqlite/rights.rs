//! Rights entries (SEMANTICS R1): for each person and entity the seq of the last change that may have changed what the person
//! sees through records of that entity.
//!
//! Knows not which changes those are: `rules::Rights` says so, and `apply.rs` has both records at hand.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::rows::signed;
use super::tables::Catalog;
use crate::store::{Change, ChangeOp};

/// One row for each person and entity, never trimmed. A row keeps the name that the entity had: a read scope that was bound under a
/// former schema asks by that name, and still finds what came between its binding and the schema marker. What is newer
/// than the marker is written under the names of the new schema, and nobody resumes across a marker, so a row of a former
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

/// A change that was read from the log, for whoever announces it: the log does not hold whose rights it concerns.
pub(super) fn found_again(change: Arc<Change>, catalog: &Catalog) -> Arc<Change> {
    let table = catalog.table(&change.entity).filter(|_| change.op != ChangeOp::Schema);
    let Some(table) = table else { return change };
    let rows = change.rows(&table.entity);
    let rights = catalog.rights.concerned(&change.entity, rows.old.as_ref(), rows.new.as_ref());
    if rights.is_empty() {
        return change;
    }
    Arc::new(Change { rights, ..Arc::unwrap_or_clone(change) })
}
