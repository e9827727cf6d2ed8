//! `Kept`: which log entries stay in `_changes` below the floor, for the history of records. Two partial indexes lead to them, so
//! that entities without `history` pay nothing; nothing is moved or stored twice.
//!
//! Does not know the log above the floor; `trim.rs` trims that, and leaves behind what is kept here.

use rusqlite::{Connection, OptionalExtension, params};

use super::clock::cutoff;
use super::log_columns::COLUMNS;
use super::rows::{signed, unsigned};
use crate::ids::{Seq, Timestamp};
use crate::schema::{EntityName, History, Schema};

/// Over every entity with `history`; a rowid table's index ends with the seq.
const BY_RECORD: &str = "_changes:history";
/// Over those whose history ages.
const BY_AGE: &str = "_changes:ages";

/// Which entities keep their changes, and the statements about them.
pub(super) struct Kept {
    entities: Vec<(EntityName, History)>,
    /// A condition on a log entry. It is word for word the same in the indexes and in the statements that use them; otherwise
    /// SQLite could not tell that an index holds all that is asked for.
    condition: String,
    ages_condition: String,
    /// Floor, new floor: drops log entries that leave the log and are not kept.
    pub(super) trim_log: String,
    /// Floor, new floor: the same for what is remembered of deleted records.
    pub(super) trim_tombstones: String,
    /// Entity, id, seq before which to begin → entries, newest first.
    pub(super) page: String,
    /// Entity, floor, most → seq and time of kept entries, oldest first.
    oldest: String,
    /// Entity, seq: drops what is remembered of deletes up to there.
    forget_tombstones: String,
    /// Entity, seq: drops kept entries up to there.
    forget: String,
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
                    AND "id" IN (SELECT "id" {aged} AND "op" IN ('delete', 'expire'))"#
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
            let Some(last) = self.outdated(conn, entity, floor, oldest, chunk)? else { continue };
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
        entity: &str,
        floor: Seq,
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
