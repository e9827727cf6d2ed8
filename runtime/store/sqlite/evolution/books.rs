//! The internal tables about the database as a whole: its counters and format, the schema that it has, its epochs, the program that
//! opened it last.
//!
//! Knows no difference between schemas; it reads the one that is there and writes the one that comes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::stored_schema::{StoredEntity, StoredSchema};
use crate::env::Env;
use crate::ids::{Epoch, RecordId, Seq};
use crate::schema::{Generation, Schema};
use crate::store::sqlite::damage::damaged;
use crate::store::sqlite::identifier::quoted;
use crate::store::sqlite::kept::Kept;
use crate::store::sqlite::rows::{signed, unsigned};
use crate::store::sqlite::{clock, leases, log, lookups, rights, sequences};
use crate::store::{Change, ChangeOp, OpenError};

/// Version of the internal tables. A program refuses a database with a higher one, and raises a lower one: 1 knew no
/// lookups, histories and indexes of words, which must be kept in step; 2 knew no rights entries, which every writer owes; 3 left unique values to SQLite's
/// indexes, which its programs would miss now; 4 knew no counters, which every writer must raise; 5 knew no leases, which every write must ask for.
pub(in crate::store::sqlite) const FORMAT: u32 = 6;

/// The schema's text is not in `_meta`: that row is rewritten by every commit and stays short.
pub(in crate::store::sqlite) const CREATE: &str = r#"
CREATE TABLE "_meta" (
    "one" INTEGER PRIMARY KEY CHECK ("one" = 1), "seq" INTEGER NOT NULL, "floor" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL, "format" INTEGER NOT NULL
) STRICT;
CREATE TABLE "_schema" ("generation" INTEGER PRIMARY KEY, "at" INTEGER NOT NULL, "text" TEXT NOT NULL) STRICT;
CREATE TABLE "_epochs" ("n" INTEGER PRIMARY KEY, "epoch" TEXT NOT NULL UNIQUE, "start" INTEGER NOT NULL) STRICT;
"#;

/// Tables that came after the first release; made when they are missing.
const CREATE_LATER: &str = r#"
CREATE TABLE IF NOT EXISTS "_program" ("version" TEXT NOT NULL, "at" INTEGER NOT NULL) STRICT;
"#;

/// Epochs beyond this many are forgotten, oldest first; a position in one of them is then unknown.
const EPOCHS: u64 = 10_000;

pub(in crate::store::sqlite) struct Meta {
    pub(in crate::store::sqlite) head: Seq,
    pub(in crate::store::sqlite) floor: Seq,
    pub(in crate::store::sqlite) generation: Generation,
}

/// Makes the tables that a database of an earlier format lacks.
pub(super) fn create_later(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(CREATE_LATER)?;
    clock::create_columns(conn)?;
    conn.execute_batch(rights::CREATE)?;
    conn.execute_batch(sequences::CREATE)?;
    conn.execute_batch(leases::CREATE)
}

/// The program that wrote to the database last, as far as that was noted.
pub(super) fn program(conn: &Connection) -> Option<String> {
    conn.query_row(r#"SELECT "version" FROM "_program""#, [], |row| row.get(0)).ok()
}

/// Refuses what is no database of ours, and one of a newer program.
pub(in crate::store::sqlite) fn require_known_format(
    conn: &Connection,
    file: &Path,
) -> Result<(), OpenError> {
    read_meta(conn, file).map(drop)
}

pub(in crate::store::sqlite) fn read_meta(conn: &Connection, file: &Path) -> Result<Meta, OpenError> {
    let row = conn.query_row(r#"SELECT "seq", "floor", "generation", "format" FROM "_meta""#, [], |row| {
        let meta = Meta {
            head: Seq(unsigned(row.get(0)?)),
            floor: Seq(unsigned(row.get(1)?)),
            generation: Generation(unsigned(row.get(2)?)),
        };
        Ok((meta, row.get::<_, u32>(3)?))
    });
    let (meta, format) = row.map_err(|error| match error.sqlite_error_code() {
        // The disk is in the way, not its content.
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => OpenError::of(file, &error),
        _ => damaged(file, error.to_string()),
    })?;
    if format > FORMAT {
        let program = program(conn).unwrap_or_else(|| "a newer Tidewire".to_owned());
        let database = file.display().to_string();
        return Err(OpenError::NewerFormat { database, found: format, known: FORMAT, program });
    }
    Ok(meta)
}

/// The schema of the last run, held against the tables that are really there. Generation 0 is a database that was
/// only just created.
pub(super) fn read_schema(
    conn: &Connection,
    file: &Path,
    generation: Generation,
) -> Result<StoredSchema, OpenError> {
    if generation == Generation(0) {
        return Ok(StoredSchema { entities: Default::default() });
    }
    let damaged = |detail: String| damaged(file, detail);
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

pub(super) fn count(conn: &Connection, table: &str) -> rusqlite::Result<u64> {
    conn.query_row(&format!("SELECT count(*) FROM {}", quoted(table)), [], |row| row.get(0).map(unsigned))
}

/// Appends the epoch of this run (SEMANTICS P7) and answers with the ends of the earlier ones. A marker that follows
/// belongs to the new epoch, so this comes before it.
pub(super) fn begin_epoch(
    conn: &Connection,
    epoch: &Epoch,
    head: Seq,
) -> rusqlite::Result<HashMap<Epoch, Seq>> {
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
        // What is not an epoch can be no client's position.
        if let (Ok(epoch), Some(end)) = (text.parse(), end) {
            ended.insert(epoch, Seq(unsigned(end)));
        }
    }
    Ok(ended)
}

/// Where the database is with the schema written down.
pub(super) struct Settled {
    pub(super) head: Seq,
    pub(super) generation: Generation,
    /// The entry that says so, in a log that a client may resume.
    pub(super) marker: Option<Change>,
}

/// Writes the schema down when it is not the one of the last run. In a log that a client may resume, the change is
/// an entry of its own.
pub(super) fn settle_generation(
    conn: &Connection,
    meta: &Meta,
    schema: &Schema,
    env: &Env,
) -> rusqlite::Result<Settled> {
    let text = StoredSchema::of(schema).text();
    let last: Option<String> = conn
        .query_row(
            r#"SELECT "text" FROM "_schema" WHERE "generation" = ?1"#,
            [signed(meta.generation.0)],
            |row| row.get(0),
        )
        .optional()?;
    if last.as_ref() == Some(&text) {
        return Ok(Settled { head: meta.head, generation: meta.generation, marker: None });
    }
    lookups::fill(conn, schema)?;
    Kept::of(schema).settle(conn, meta.floor)?;
    let generation = Generation(meta.generation.0 + 1);
    let now = env.now();
    conn.execute(r#"DELETE FROM "_schema""#, [])?;
    conn.execute(r#"INSERT INTO "_schema" VALUES (?1, ?2, ?3)"#, params![signed(generation.0), now.0, text])?;
    let mut head = meta.head;
    let mut marker = None;
    if last.is_some() {
        head = head.next();
        let change = Change {
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
            cause: None,
            rights: Vec::new(),
            decoded: crate::store::Decoded::default(),
        };
        log::append(conn, &change)?;
        marker = Some(change);
    }
    conn.execute(
        r#"UPDATE "_meta" SET "seq" = ?1, "generation" = ?2"#,
        params![signed(head.0), signed(generation.0)],
    )?;
    Ok(Settled { head, generation, marker })
}
