//! The change log's table: writing entries, reading pages of it. `trim.rs` trims its front. Who may write and when is the
//! committer's business.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::log_columns::columns;
use super::rows::{JsonText, signed, unsigned};
use super::tables::Catalog;
use crate::ids::{MutationId, RecordId, Seq, Timestamp};
use crate::schema::Generation;
use crate::store::images::image_bytes;
use crate::store::reading::snapshot::{Stroll, Take};
use crate::store::{Change, ChangeCause, ChangeOp, Decoded, LogLimit};

/// The short columns come first: a scan that counts or looks for a unit's end then never follows a long row into its
/// overflow pages.
pub(super) const CREATE: &str = r#"
CREATE TABLE "_changes" (
    "seq" INTEGER PRIMARY KEY, "at" INTEGER NOT NULL, "unit_last" INTEGER NOT NULL, "generation" INTEGER NOT NULL,
    "op" TEXT NOT NULL, "entity" TEXT NOT NULL, "id" TEXT NOT NULL, "actor" TEXT, "mid" TEXT,
    "changed" TEXT, "before" TEXT, "after" TEXT
) STRICT;
CREATE INDEX "_changes:schema" ON "_changes" ("seq") WHERE "op" = 'schema';
CREATE TABLE "_graves" (
    "entity" TEXT NOT NULL, "id" TEXT NOT NULL, "version" INTEGER NOT NULL, "seq" INTEGER NOT NULL,
    PRIMARY KEY ("entity", "id")
) STRICT, WITHOUT ROWID;
CREATE INDEX "_graves:seq" ON "_graves" ("seq");
"#;

const APPEND: &str = r#"INSERT INTO "_changes" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"#;
const PAGE: &str = concat!("SELECT ", columns!(), r#" FROM "_changes" WHERE "seq" > ?1 ORDER BY "seq""#);
/// Seq before which to begin, floor → entries between them, newest first.
const NEWEST: &str =
    concat!("SELECT ", columns!(), r#" FROM "_changes" WHERE "seq" < ?1 AND "seq" > ?2 ORDER BY "seq" DESC"#);

/// Seq, entity → entries after it.
pub(super) const OF_ENTITY: &str =
    concat!("SELECT ", columns!(), r#" FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2 ORDER BY "seq""#);
/// Seq, entity, id → entries after it.
pub(super) const OF_RECORD: &str = concat!(
    "SELECT ",
    columns!(),
    r#" FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2 AND "id" = ?3 ORDER BY "seq""#
);

pub(super) fn append(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(APPEND)?;
    statement.raw_bind_parameter(1, signed(change.seq.0))?;
    statement.raw_bind_parameter(2, change.at.0)?;
    statement.raw_bind_parameter(3, change.unit_last)?;
    statement.raw_bind_parameter(4, signed(change.generation.0))?;
    statement.raw_bind_parameter(5, word(change.op, change.cause))?;
    statement.raw_bind_parameter(6, &*change.entity)?;
    statement.raw_bind_parameter(7, change.id.as_str())?;
    statement.raw_bind_parameter(8, change.actor.as_deref())?;
    statement.raw_bind_parameter(9, change.mid.as_ref().map(MutationId::as_str))?;
    statement.raw_bind_parameter(10, change.changed.as_deref().map(JsonText))?;
    statement.raw_bind_parameter(11, change.before.as_deref().map(JsonText))?;
    statement.raw_bind_parameter(12, change.after.as_deref().map(JsonText))?;
    statement.raw_execute().map(|_| ())
}

/// Whole units after `after`, ending with the one that reaches a bound.
pub(super) fn page(
    conn: &Connection,
    catalog: &Catalog,
    after: Seq,
    limit: LogLimit,
) -> rusqlite::Result<Vec<Arc<Change>>> {
    let mut statement = conn.prepare_cached(PAGE)?;
    let mut rows = statement.query([signed(after.0)])?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let change = read(row, catalog)?;
        bytes += image_bytes(&change);
        let unit_last = change.unit_last;
        changes.push(Arc::new(change));
        if unit_last && (changes.len() >= limit.changes || bytes >= limit.bytes) {
            break;
        }
    }
    Ok(changes)
}

/// Entries before a position, newest first; answers the seq at which too many were stepped over. SQLite reads of a row that is
/// not wanted its short columns alone.
pub(super) fn newest(
    conn: &Connection,
    catalog: &Catalog,
    stroll: &Stroll<'_>,
    take: Take<'_, Change>,
) -> rusqlite::Result<Option<Seq>> {
    let mut statement = conn.prepare_cached(NEWEST)?;
    let before = stroll.before.map_or(i64::MAX, |seq| signed(seq.0));
    let mut rows = statement.query([before, signed(stroll.floor.0)])?;
    let (mut looked_at, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        if looked_at == stroll.most {
            return Ok(last);
        }
        looked_at += 1;
        last = Some(Seq(unsigned(row.get(0)?)));
        let is_schema = op(row.get_ref(4)?) == ChangeOp::Schema;
        if !is_schema && (stroll.wanted)(row.get_ref(5)?.as_str()?) && take(read(row, catalog)?).is_break() {
            return Ok(None);
        }
    }
    Ok(None)
}

pub(super) fn read(row: &Row<'_>, catalog: &Catalog) -> rusqlite::Result<Change> {
    let text = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str_or_null()?));
    let image = |at: usize| text(at).map(|image| image.map(|json| Bytes::copy_from_slice(json.as_bytes())));
    Ok(Change {
        seq: Seq(unsigned(row.get(0)?)),
        at: Timestamp(row.get(1)?),
        unit_last: row.get(2)?,
        generation: Generation(unsigned(row.get(3)?)),
        op: op(row.get_ref(4)?),
        entity: catalog.shared_name(row.get_ref(5)?.as_str()?),
        id: RecordId::stored(row.get_ref(6)?.as_str()?),
        actor: text(7)?.map(Arc::from),
        mid: text(8)?.map(MutationId::stored),
        changed: image(9)?,
        before: image(10)?,
        after: image(11)?,
        cause: cause(row.get_ref(4)?),
        rights: Vec::new(),
        decoded: Decoded::default(),
    })
}

/// The delete of a record whose time was over has a word of its own: most changes have no cause, and so pay nothing for it.
fn word(op: ChangeOp, cause: Option<ChangeCause>) -> &'static str {
    match (op, cause) {
        (ChangeOp::Create, _) => "create",
        (ChangeOp::Update, _) => "update",
        (ChangeOp::Delete, None) => "delete",
        (ChangeOp::Delete, Some(ChangeCause::Expired)) => "expire",
        (ChangeOp::Schema, _) => "schema",
    }
}

fn cause(word: ValueRef<'_>) -> Option<ChangeCause> {
    (word == ValueRef::Text(b"expire")).then_some(ChangeCause::Expired)
}

/// An op that this program does not know reads as a schema marker, which no client resumes across.
pub(super) fn op(word: ValueRef<'_>) -> ChangeOp {
    match word {
        ValueRef::Text(b"create") => ChangeOp::Create,
        ValueRef::Text(b"update") => ChangeOp::Update,
        ValueRef::Text(b"delete" | b"expire") => ChangeOp::Delete,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => {
            ChangeOp::Schema
        }
    }
}

/// Remembers the version at which a record was deleted, so that a new record of the same id continues it.
pub(super) fn bury(
    conn: &Connection,
    entity: &str,
    id: &RecordId,
    version: u64,
    seq: Seq,
) -> rusqlite::Result<()> {
    conn.prepare_cached(r#"INSERT OR REPLACE INTO "_graves" VALUES (?1, ?2, ?3, ?4)"#)?
        .execute(params![entity, id.as_str(), signed(version), signed(seq.0)])
        .map(|_| ())
}

/// The last version of a deleted record, 0 when the log knows of none.
pub(super) fn tombstone_version(conn: &Connection, entity: &str, id: &RecordId) -> rusqlite::Result<u64> {
    let mut statement =
        conn.prepare_cached(r#"SELECT "version" FROM "_graves" WHERE "entity" = ?1 AND "id" = ?2"#)?;
    let mut rows = statement.query(params![entity, id.as_str()])?;
    rows.next()?.map_or(Ok(0), |row| row.get(0).map(unsigned))
}
