//! The history of records: log entries of entities with `history` stay in `_changes` below the floor. Two partial indexes
//! lead to them, so that entities without `history` pay nothing; nothing is moved or stored twice.
//!
//! Knows nothing of the log above the floor; `log.rs` trims that, and leaves behind what is kept here.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::log::{self, COLUMNS, cutoff};
use super::rows::{signed, unsigned};
use super::tables::Catalog;
use crate::ids::{RecordId, Seq, Timestamp};
use crate::schema::{EntityName, History, Schema};
use crate::store::Change;
use crate::store::reading::snapshot::Take;

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

/// The record whose past is asked for.
#[derive(Clone, Copy)]
pub(super) struct PastOf<'a> {
    pub(super) entity: &'a str,
    pub(super) id: &'a RecordId,
    /// Seq before which to begin.
    pub(super) before: Option<Seq>,
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

    /// The kept entries of one record before a position, newest first.
    pub(super) fn past(
        &self,
        conn: &Connection,
        catalog: &Catalog,
        record: PastOf<'_>,
        take: Take<'_, Change>,
    ) -> rusqlite::Result<()> {
        let before = record.before.map_or(i64::MAX, |seq| signed(seq.0));
        let mut statement = conn.prepare_cached(&self.page)?;
        let mut rows = statement.query(params![record.entity, record.id.as_str(), before])?;
        while let Some(row) = rows.next()? {
            if take(log::read(row, catalog)?).is_break() {
                break;
            }
        }
        Ok(())
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
