//! The past of one record: what `kept.rs` keeps of the log below its floor, and what is above it, newest first.
//!
//! Knows no retention.

use rusqlite::{Connection, params, params_from_iter};

use super::kept::Kept;
use super::log;
use super::rows::signed;
use super::tables::Catalog;
use crate::ids::{RecordId, Seq};
use crate::store::Change;
use crate::store::reading::snapshot::Take;

/// The record whose past is asked for.
#[derive(Clone, Copy)]
pub(super) struct PastOf<'a> {
    pub(super) entity: &'a str,
    pub(super) id: &'a RecordId,
    /// Seq before which to begin.
    pub(super) before: Option<Seq>,
}

/// The kept entries of one record before a position, newest first.
pub(super) fn past(
    kept: &Kept,
    conn: &Connection,
    catalog: &Catalog,
    record: PastOf<'_>,
    take: Take<'_, Change>,
) -> rusqlite::Result<()> {
    let before = record.before.map_or(i64::MAX, |seq| signed(seq.0));
    let mut statement = conn.prepare_cached(&kept.page)?;
    let mut rows = statement.query(params![record.entity, record.id.as_str(), before])?;
    while let Some(row) = rows.next()? {
        if take(log::read(row, catalog)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// Takes histories along when entities get other names, all at once, since two may exchange theirs. One reading of the
/// log's table; no client resumes across a change of the schema, so no client gets an entry by its former name.
pub(super) fn rename<'a>(
    conn: &Connection,
    renames: impl Iterator<Item = (&'a str, &'a str)>,
) -> rusqlite::Result<()> {
    let (mut cases, mut names) = (String::new(), Vec::new());
    for (was, name) in renames {
        cases.push_str(&format!(" WHEN ?{} THEN ?{}", names.len() + 1, names.len() + 2));
        names.extend([was, name]);
    }
    if names.is_empty() {
        return Ok(());
    }
    let was: Vec<String> = (1..names.len()).step_by(2).map(|at| format!("?{at}")).collect();
    let was = was.join(", ");
    let update =
        format!(r#"UPDATE "_changes" SET "entity" = CASE "entity"{cases} END WHERE "entity" IN ({was})"#);
    conn.execute(&update, params_from_iter(names)).map(|_| ())
}
