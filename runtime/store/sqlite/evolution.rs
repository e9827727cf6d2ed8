//! Bringing the database up for one run: the tables into the schema's shape, a schema marker into the log when the
//! schema changed, a new epoch. All in one transaction; a refusal changes nothing.
//!
//! Knows nothing of commits and reads that come later.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::difference::{Difference, difference};
use super::log;
use super::open::{FORMAT, OpenError};
use super::rows::{signed, unsigned};
use super::search;
use super::stored_schema::{StoredEntity, StoredSchema};
use super::tables::{Index, indexes, quoted};
use crate::env::Env;
use crate::ids::{Epoch, RecordId, Seq};
use crate::schema::{Entity, Generation, Schema};
use crate::store::{Change, ChangeOp};

/// The schema's text is not in `_meta`: that row is rewritten by every commit and stays short.
pub(super) const CREATE: &str = r#"
CREATE TABLE "_meta" (
    "one" INTEGER PRIMARY KEY CHECK ("one" = 1), "seq" INTEGER NOT NULL, "floor" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL, "format" INTEGER NOT NULL
) STRICT;
CREATE TABLE "_schema" ("generation" INTEGER PRIMARY KEY, "at" INTEGER NOT NULL, "text" TEXT NOT NULL) STRICT;
CREATE TABLE "_epochs" ("n" INTEGER PRIMARY KEY, "epoch" TEXT NOT NULL UNIQUE, "start" INTEGER NOT NULL) STRICT;
"#;

/// Epochs beyond this many are forgotten, oldest first; a position in one of them is then unknown.
const EPOCHS: u64 = 10_000;

/// The database as this run found or made it.
pub(super) struct Start {
    pub(super) epoch: Epoch,
    pub(super) generation: Generation,
    pub(super) head: Seq,
    pub(super) floor: Seq,
    /// Every earlier epoch with its last valid position: the head at which the next one began.
    pub(super) ended: HashMap<Epoch, Seq>,
    pub(super) created_tables: Vec<String>,
    pub(super) added_columns: Vec<String>,
    pub(super) added_indexes: Vec<String>,
}

struct Meta {
    head: Seq,
    floor: Seq,
    generation: Generation,
}

pub(super) fn bring_up(
    conn: &mut Connection,
    file: &Path,
    schema: &Schema,
    env: &Env,
) -> Result<Start, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(file, &error);
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let meta = read_meta(&transaction, file)?;
    let old = read_schema(&transaction, file, meta.generation)?;
    let found = difference(&old, schema, |table| count(&transaction, table)).map_err(failed)?;
    if !found.refusals.is_empty() {
        return Err(OpenError::Schema { reasons: found.refusals });
    }
    let start = write(&transaction, meta, schema, found, env).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(start)
}

fn read_meta(conn: &Connection, file: &Path) -> Result<Meta, OpenError> {
    let row = conn.query_row(r#"SELECT "seq", "floor", "generation", "format" FROM "_meta""#, [], |row| {
        let meta = Meta {
            head: Seq(unsigned(row.get(0)?)),
            floor: Seq(unsigned(row.get(1)?)),
            generation: Generation(unsigned(row.get(2)?)),
        };
        Ok((meta, row.get::<_, u32>(3)?))
    });
    let (meta, format) =
        row.map_err(|error| OpenError::Damaged { file: file.to_owned(), detail: error.to_string() })?;
    if format > FORMAT {
        return Err(OpenError::NewerFormat { file: file.to_owned(), found: format, known: FORMAT });
    }
    Ok(meta)
}

/// The schema of the last run, held against the tables that are really there. Generation 0 is a database that was
/// only just created.
fn read_schema(conn: &Connection, file: &Path, generation: Generation) -> Result<StoredSchema, OpenError> {
    if generation == Generation(0) {
        return Ok(StoredSchema { entities: Default::default() });
    }
    let damaged = |detail: String| OpenError::Damaged { file: file.to_owned(), detail };
    let text: String = conn
        .query_row(r#"SELECT "text" FROM "_schema" WHERE "generation" = ?1"#, [signed(generation.0)], |row| {
            row.get(0)
        })
        .map_err(|error| damaged(error.to_string()))?;
    let stored: StoredSchema = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    for entity in stored.entities.values() {
        if let Some(column) = missing_column(conn, entity).map_err(|error| OpenError::of(file, &error))? {
            return Err(damaged(format!("the table `{}` has no column `{column}`", entity.plural)));
        }
    }
    Ok(stored)
}

fn missing_column(conn: &Connection, entity: &StoredEntity) -> rusqlite::Result<Option<String>> {
    let mut statement = conn.prepare(r#"SELECT "name" FROM pragma_table_info(?1)"#)?;
    let present: HashSet<String> =
        statement.query_map([&entity.plural], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let expected = std::iter::once("id").chain(entity.fields.iter().map(|field| &*field.name));
    Ok(expected.into_iter().find(|name| !present.contains(*name)).map(str::to_owned))
}

fn count(conn: &Connection, table: &str) -> rusqlite::Result<u64> {
    conn.query_row(&format!("SELECT count(*) FROM {}", quoted(table)), [], |row| row.get(0).map(unsigned))
}

fn write(
    transaction: &Transaction<'_>,
    meta: Meta,
    schema: &Schema,
    found: Difference,
    env: &Env,
) -> rusqlite::Result<Start> {
    found.statements.iter().try_for_each(|statement| transaction.execute_batch(statement))?;
    let mut added_indexes = Vec::new();
    for entity in schema.entities() {
        let added = settle_indexes(transaction, entity)?;
        if !found.created_tables.iter().any(|table| **table == *entity.plural) {
            added_indexes.extend(added);
        }
    }
    search::settle(transaction, schema)?;
    let epoch = Epoch::from_uuid(env.uuid_v7());
    let ended = begin_epoch(transaction, &epoch, meta.head)?;
    let (head, generation) = settle_generation(transaction, &meta, schema, env)?;
    Ok(Start {
        epoch,
        generation,
        head,
        floor: meta.floor,
        ended,
        created_tables: found.created_tables,
        added_columns: found.added_columns,
        added_indexes,
    })
}

/// Creates the indexes that are missing and drops those that are no longer wanted; neither loses data.
fn settle_indexes(conn: &Connection, entity: &Entity) -> rusqlite::Result<Vec<String>> {
    let wanted = indexes(entity);
    let mut statement = conn.prepare(
        r#"SELECT "name" FROM sqlite_master WHERE "type" = 'index' AND "sql" IS NOT NULL AND "tbl_name" = ?1"#,
    )?;
    let present: HashSet<String> =
        statement.query_map([&*entity.plural], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in present.iter().filter(|name| !wanted.iter().any(|index| index.name == **name)) {
        conn.execute_batch(&format!("DROP INDEX {}", quoted(name)))?;
    }
    let mut added = Vec::new();
    for Index { name, create } in wanted.into_iter().filter(|index| !present.contains(&index.name)) {
        conn.execute_batch(&create)?;
        added.push(name);
    }
    Ok(added)
}

/// Appends the epoch of this run (SEMANTICS P7) and answers with the ends of the earlier ones. A marker that follows
/// belongs to the new epoch, so this comes before it.
fn begin_epoch(conn: &Connection, epoch: &Epoch, head: Seq) -> rusqlite::Result<HashMap<Epoch, Seq>> {
    conn.execute(
        r#"INSERT INTO "_epochs" ("epoch", "start") VALUES (?1, ?2)"#,
        params![epoch.as_str(), signed(head.0)],
    )?;
    conn.execute(
        r#"DELETE FROM "_epochs" WHERE "n" <= (SELECT max("n") FROM "_epochs") - ?1"#,
        [signed(EPOCHS)],
    )?;
    let mut statement = conn.prepare(
        r#"SELECT "epoch", lead("start") OVER (ORDER BY "n") AS "end" FROM "_epochs" ORDER BY "n""#,
    )?;
    let mut rows = statement.query([])?;
    let mut ended = HashMap::new();
    while let Some(row) = rows.next()? {
        let (text, end): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
        // What is not an epoch can be nobody's position.
        if let (Ok(epoch), Some(end)) = (text.parse(), end) {
            ended.insert(epoch, Seq(unsigned(end)));
        }
    }
    Ok(ended)
}

/// Writes the schema down when it is not the one of the last run. In a log that somebody may resume, the change is
/// an entry of its own.
fn settle_generation(
    conn: &Connection,
    meta: &Meta,
    schema: &Schema,
    env: &Env,
) -> rusqlite::Result<(Seq, Generation)> {
    let text = StoredSchema::of(schema).text();
    let last: Option<String> = conn
        .query_row(
            r#"SELECT "text" FROM "_schema" WHERE "generation" = ?1"#,
            [signed(meta.generation.0)],
            |row| row.get(0),
        )
        .optional()?;
    if last.as_ref() == Some(&text) {
        return Ok((meta.head, meta.generation));
    }
    let generation = Generation(meta.generation.0 + 1);
    let now = env.now();
    conn.execute(r#"DELETE FROM "_schema""#, [])?;
    conn.execute(r#"INSERT INTO "_schema" VALUES (?1, ?2, ?3)"#, params![signed(generation.0), now.0, text])?;
    let mut head = meta.head;
    if last.is_some() {
        head = head.next();
        log::append(
            conn,
            &Change {
                seq: head,
                entity: "".into(),
                id: RecordId::stored(""),
                op: ChangeOp::Schema,
                before: None,
                after: None,
                changed: None,
                actor: None,
                mid: None,
                at: now,
                unit_last: true,
                generation,
            },
        )?;
    }
    conn.execute(
        r#"UPDATE "_meta" SET "seq" = ?1, "generation" = ?2"#,
        params![signed(head.0), signed(generation.0)],
    )?;
    Ok((head, generation))
}
