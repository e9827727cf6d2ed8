//! The history of records: log entries of entities with `history` stay in `_changes` below the floor. Two partial indexes
//! lead to them, so that entities without `history` pay nothing; nothing is moved or stored twice.
//!
//! Knows nothing of the log above the floor; `log.rs` trims that, and leaves behind what is kept here.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::history_view::{glimpse, last_may_be_read};
use super::log::{self, COLUMNS, cutoff, image_bytes};
use super::rows::{signed, unsigned};
use super::tables::Catalog;
use crate::ids::{RecordId, Seq, Timestamp};
use crate::rules::ReadScope;
use crate::schema::{EntityName, History, Record, Schema};
use crate::store::{ChangeOp, LogLimit, Past};

/// Over every entity with `history`; a rowid table's index ends with the seq.
const BY_RECORD: &str = "_changes:history";
/// Over those whose history ages.
const BY_AGE: &str = "_changes:ages";

/// Which entities keep their changes, and the statements about them.
pub(super) struct Kept {
    entities: Vec<(EntityName, History)>,
    /// A condition on a log entry. It stands word for word in the indexes and in the statements that use them; otherwise
    /// SQLite could not tell that an index holds all that is asked for.
    condition: String,
    ages_condition: String,
    /// Floor, new floor: drops log entries that leave the log and are not kept.
    pub(super) trim_log: String,
    /// Floor, new floor: the same for what is remembered of deleted records.
    pub(super) trim_tombstones: String,
    /// Entity, id, seq before which to begin → entries, newest first.
    page: String,
    /// Entity, floor, most → seq and time of kept entries, oldest first.
    oldest: String,
    /// Entity, seq: drops what is remembered of deletes up to there.
    forget_tombstones: String,
    /// Entity, seq: drops kept entries up to there.
    forget: String,
}

/// A page of a record's history.
pub(super) struct Wanted<'a> {
    /// Of whoever asks; `None` for the server itself.
    pub(super) read_scope: Option<&'a ReadScope>,
    pub(super) id: &'a RecordId,
    /// The record as it is now, where there is one and somebody asks.
    pub(super) there: Option<Record>,
    /// Seq before which to begin.
    pub(super) before: Option<Seq>,
    pub(super) limit: LogLimit,
}

impl Kept {
    pub(super) fn of(schema: &Schema) -> Kept {
        let kept = schema.entities().filter_map(|entity| Some((entity.name.clone(), entity.history?)));
        let entities: Vec<(EntityName, History)> = kept.collect();
        let condition = condition(entities.iter());
        let ages_condition = condition_of_aging(&entities);
        let aged = format!(
            r#"FROM "_changes" INDEXED BY "{BY_AGE}" WHERE {ages_condition} AND "entity" = ?1 AND "seq" <= ?2"#
        );
        Kept {
            trim_log: format!(
                r#"DELETE FROM "_changes" WHERE "seq" > ?1 AND "seq" <= ?2 AND NOT ({condition})"#
            ),
            trim_tombstones: format!(
                r#"DELETE FROM "_graves" WHERE "seq" > ?1 AND "seq" <= ?2 AND NOT ({condition})"#
            ),
            page: format!(
                r#"SELECT {COLUMNS} FROM "_changes" INDEXED BY "{BY_RECORD}"
                    WHERE {condition} AND "entity" = ?1 AND "id" = ?2 AND "seq" < ?3 ORDER BY "seq" DESC"#
            ),
            oldest: format!(r#"SELECT "seq", "at" {aged} ORDER BY "seq" LIMIT ?3"#),
            forget_tombstones: format!(
                r#"DELETE FROM "_graves" WHERE "entity" = ?1 AND "seq" <= ?2
                    AND "id" IN (SELECT "id" {aged} AND "op" = 'delete')"#
            ),
            forget: format!("DELETE {aged}"),
            entities,
            condition,
            ages_condition,
        }
    }

    /// Gives the log the indexes that this schema needs, and drops what is below the floor and no longer kept. Called when
    /// the schema is new to the database.
    pub(super) fn settle(&self, conn: &Connection, floor: Seq) -> rusqlite::Result<()> {
        let aging = self.entities.iter().any(|(_, history)| *history != History::Forever);
        let by_record = (!self.entities.is_empty()).then_some(&self.condition);
        settle_index(conn, BY_RECORD, r#""entity", "id""#, by_record)?;
        settle_index(conn, BY_AGE, r#""entity""#, aging.then_some(&self.ages_condition))?;
        conn.execute(&self.trim_log, [0, signed(floor.0)])?;
        conn.execute(&self.trim_tombstones, [0, signed(floor.0)])?;
        Ok(())
    }

    fn keeps(&self, entity: &str) -> bool {
        self.entities.iter().any(|(name, _)| **name == *entity)
    }

    /// Entries of one record, newest first; `None` for an entity that keeps no history. Of a record that may not be read there
    /// are none, as of one that never was; of a deleted one its last image decides.
    pub(super) fn page(
        &self,
        conn: &Connection,
        catalog: &Catalog,
        entity: &str,
        wanted: &Wanted<'_>,
    ) -> rusqlite::Result<Option<Past>> {
        if !self.keeps(entity) {
            return Ok(None);
        }
        if !self.may_be_read(conn, catalog, entity, wanted)? {
            return Ok(Some(Past::default()));
        }
        let before = wanted.before.map_or(i64::MAX, |seq| signed(seq.0));
        let mut statement = conn.prepare_cached(&self.page)?;
        let mut rows = statement.query(params![entity, wanted.id.as_str(), before])?;
        let (mut past, mut bytes) = (Past::default(), 0);
        while let Some(row) = rows.next()? {
            let change = log::read(row, catalog)?;
            let seen = match wanted.read_scope {
                Some(read_scope) => glimpse(change, read_scope),
                None => Some(change),
            };
            let Some(change) = seen else { continue };
            if past.changes.len() >= wanted.limit.changes || bytes >= wanted.limit.bytes {
                past.more = true;
                break;
            }
            bytes += image_bytes(&change);
            past.changes.push(Arc::new(change));
        }
        Ok(Some(past))
    }

    fn may_be_read(
        &self,
        conn: &Connection,
        catalog: &Catalog,
        entity: &str,
        wanted: &Wanted<'_>,
    ) -> rusqlite::Result<bool> {
        let Some(read_scope) = wanted.read_scope else { return Ok(true) };
        if let Some(record) = &wanted.there {
            return Ok(read_scope.sees(record));
        }
        let mut statement = conn.prepare_cached(&self.page)?;
        let last = params![entity, wanted.id.as_str(), i64::MAX];
        let last = statement.query_row(last, |row| log::read(row, catalog)).optional()?;
        let last = last.filter(|change| change.op == ChangeOp::Delete);
        Ok(last.is_some_and(|change| last_may_be_read(&change, read_scope)))
    }

    /// Drops kept entries that left the log and are older than their entity keeps them, at most `chunk` of each entity; what
    /// is remembered of a deleted record goes with the entry of its delete. One look at an index for each entity whose
    /// history ages when there is nothing to drop.
    pub(super) fn trim(
        &self,
        conn: &Connection,
        floor: Seq,
        now: Timestamp,
        chunk: u64,
    ) -> rusqlite::Result<()> {
        for (entity, history) in &self.entities {
            let History::For(age) = history else { continue };
            let oldest = cutoff(now, *age);
            let Some(last) = self.outdated(conn, (entity, floor), oldest, chunk)? else { continue };
            for statement in [&self.forget_tombstones, &self.forget] {
                conn.prepare_cached(statement)?.execute(params![&**entity, signed(last.0)])?;
            }
        }
        Ok(())
    }

    /// The last of the oldest entries before the first that is young enough to stay.
    fn outdated(
        &self,
        conn: &Connection,
        (entity, floor): (&str, Seq),
        oldest: Timestamp,
        chunk: u64,
    ) -> rusqlite::Result<Option<Seq>> {
        let mut statement = conn.prepare_cached(&self.oldest)?;
        let mut rows = statement.query(params![entity, signed(floor.0), signed(chunk)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= oldest.0 {
                break;
            }
            last = Some(Seq(unsigned(row.get(0)?)));
        }
        Ok(last)
    }
}

/// Takes histories along when entities get other names, all at once, since two may exchange theirs. One reading of the
/// log's table; nobody resumes across a change of the schema, so nobody is told of an entry by its former name.
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

/// `"entity" IN ('Comment', 'Task')`. Names of entities are letters and digits, so they need no escaping.
fn condition<'a>(entities: impl Iterator<Item = &'a (EntityName, History)>) -> String {
    let names: Vec<String> = entities.map(|(name, _)| format!("'{name}'")).collect();
    format!(r#""entity" IN ({})"#, names.join(", "))
}

fn condition_of_aging(entities: &[(EntityName, History)]) -> String {
    condition(entities.iter().filter(|(_, history)| *history != History::Forever))
}

/// An index over what the condition says; none without a condition.
fn settle_index(
    conn: &Connection,
    name: &str,
    columns: &str,
    condition: Option<&String>,
) -> rusqlite::Result<()> {
    let create = condition
        .map(|condition| format!(r#"CREATE INDEX "{name}" ON "_changes" ({columns}) WHERE {condition}"#));
    let present: Option<String> = conn
        .query_row(
            r#"SELECT "sql" FROM sqlite_master WHERE "type" = 'index' AND "name" = ?1"#,
            [name],
            |row| row.get(0),
        )
        .optional()?;
    if present == create {
        return Ok(());
    }
    conn.execute_batch(&format!(r#"DROP INDEX IF EXISTS "{name}""#))?;
    create.map_or(Ok(()), |create| conn.execute_batch(&create))
}
