//! Bringing the database into the schema's shape: at the start of a run with a new epoch, and under a running server. What
//! stands in the way is found first; then everything is done in one transaction, with a schema marker in the log.
//!
//! Knows nothing of commits and reads that come later.

mod difference;
mod execute;
mod judge;
mod stored_schema;
mod values;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::difference::{Move, difference};
use self::judge::Judge;
use self::stored_schema::{StoredEntity, StoredSchema};
use super::history::Kept;
use super::open::{FORMAT, OpenError};
use super::rows::{signed, unsigned};
use super::search;
use super::tables::{Index, indexes, quoted};
use super::{log, lookups};
use crate::env::Env;
use crate::ids::{Epoch, RecordId, Seq};
use crate::schema::{Entity, Generation, Schema};
use crate::store::migration::{Allow, Plan, Standing};
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

/// Tables that came after the first release; made when they are missing.
const CREATE_LATER: &str = r#"
CREATE TABLE IF NOT EXISTS "_program" ("version" TEXT NOT NULL, "at" INTEGER NOT NULL) STRICT;
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
    pub(super) added_indexes: Vec<String>,
    /// What was done to tables that were there before.
    pub(super) plan: Plan,
    /// Made before anything was lost.
    pub(super) backup: Option<PathBuf>,
}

/// The database after its shape changed under a running server.
pub(super) struct Changed {
    pub(super) generation: Generation,
    pub(super) head: Seq,
    /// The entry of the log that says so.
    pub(super) marker: Option<Change>,
    pub(super) plan: Plan,
}

/// What a schema is brought to.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The database's file, for messages and for where backups go.
    pub(super) file: &'a Path,
    pub(super) schema: &'a Schema,
    pub(super) allow: &'a Allow,
    pub(super) env: &'a Env,
}

pub(super) struct Meta {
    pub(super) head: Seq,
    floor: Seq,
    generation: Generation,
}

/// At the start of a run: a new epoch, and the schema's shape, as far as `allow` lets it.
pub(super) fn bring_up(conn: &mut Connection, target: Target<'_>) -> Result<Start, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    conn.execute_batch(CREATE_LATER).map_err(failed)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let moves = difference(&old, target.schema);
    let backup = {
        let judge = Judge::new(conn, (&old, target.schema), target.allow, target.env.now());
        let plan = ready(judge.plan(&moves).map_err(failed)?)?;
        backup_before_loss(conn, target, &plan, meta.generation)?
    };
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let mut start = write(&transaction, &meta, (&old, &moves), target).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    start.backup = backup;
    Ok(start)
}

/// Under a running server, on its writing connection: what loses nothing. `commit` is called to commit the transaction.
pub(super) fn change(
    conn: &mut Connection,
    target: Target<'_>,
    commit: impl FnOnce(Transaction<'_>, Generation) -> rusqlite::Result<()>,
) -> Result<Changed, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let moves = difference(&old, target.schema);
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let judge = Judge::new(&transaction, (&old, target.schema), target.allow, target.env.now());
    let plan = ready(judge.plan(&moves).map_err(failed)?)?;
    execute::execute(&judge, &moves).map_err(failed)?;
    settle_all_indexes(&transaction, target.schema).map_err(failed)?;
    let (head, generation, marker) =
        settle_generation(&transaction, &meta, target.schema, target.env).map_err(failed)?;
    search::settle(
        &transaction,
        target.schema,
        &rewritten(&moves, target.schema, generation != meta.generation),
    )
    .map_err(failed)?;
    commit(transaction, generation).map_err(failed)?;
    Ok(Changed { generation, head, marker, plan })
}

/// What `bring_up` would do, found out by reading alone.
pub(super) fn look(conn: &Connection, target: Target<'_>) -> Result<(Standing, Plan), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let judge = Judge::new(conn, (&old, target.schema), target.allow, target.env.now());
    let plan = judge.plan(&difference(&old, target.schema)).map_err(failed)?;
    let mut records = Vec::new();
    for (name, entity) in &old.entities {
        records.push((name.clone(), count(conn, &entity.plural).map_err(failed)?));
    }
    let is_current = StoredSchema::of(target.schema).text() == old.text();
    let Meta { head, floor, generation } = meta;
    let program = program(conn);
    Ok((Standing { generation, head, floor, format: FORMAT, program, records, is_current }, plan))
}

fn ready(plan: Plan) -> Result<Plan, OpenError> {
    if plan.is_ready() { Ok(plan) } else { Err(OpenError::Schema { plan }) }
}

/// A whole copy of the database beside it, when the plan loses values. It is a database file like any other: put in the
/// place of the damaged one, it is a restore.
fn backup_before_loss(
    conn: &Connection,
    target: Target<'_>,
    plan: &Plan,
    generation: Generation,
) -> Result<Option<PathBuf>, OpenError> {
    if plan.loses() == 0 {
        return Ok(None);
    }
    let folder = target.file.with_file_name("backups");
    let unusable = |error| OpenError::Folder { folder: folder.clone(), error };
    std::fs::create_dir_all(&folder).map_err(unusable)?;
    let stamp: String = target.env.now().rfc3339().chars().filter(char::is_ascii_alphanumeric).collect();
    let file = folder.join(format!("tidewire-{stamp}-generation-{}.db", generation.0));
    let text = file.to_string_lossy();
    conn.execute("VACUUM INTO ?1", [&text]).map_err(|error| OpenError::of(&file, &error))?;
    std::fs::File::open(&file).and_then(|copy| copy.sync_all()).map_err(unusable)?;
    Ok(Some(file))
}

/// The program that wrote to the database last, as far as that was noted.
fn program(conn: &Connection) -> Option<String> {
    conn.query_row(r#"SELECT "version" FROM "_program""#, [], |row| row.get(0)).ok()
}

/// Refuses what is no database of ours, and one of a newer program.
pub(super) fn require_known_format(conn: &Connection, file: &Path) -> Result<(), OpenError> {
    read_meta(conn, file).map(drop)
}

pub(super) fn read_meta(conn: &Connection, file: &Path) -> Result<Meta, OpenError> {
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
        let program = program(conn).unwrap_or_else(|| "a newer Tidewire".to_owned());
        return Err(OpenError::NewerFormat { file: file.to_owned(), found: format, known: FORMAT, program });
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
    meta: &Meta,
    (old, moves): (&StoredSchema, &[Move]),
    target: Target<'_>,
) -> rusqlite::Result<Start> {
    let judge = Judge::new(transaction, (old, target.schema), target.allow, target.env.now());
    let plan = judge.plan(moves)?;
    execute::execute(&judge, moves)?;
    let created: Vec<String> = moves.iter().filter_map(created_table).collect();
    let mut added_indexes = settle_all_indexes(transaction, target.schema)?;
    let table_of = |index: &str| index.split([':', '!']).next().unwrap_or_default().to_owned();
    added_indexes.retain(|index| !created.contains(&table_of(index)));
    let epoch = Epoch::from_uuid(target.env.uuid_v7());
    let ended = begin_epoch(transaction, &epoch, meta.head)?;
    let (head, generation, _) = settle_generation(transaction, meta, target.schema, target.env)?;
    search::settle(
        transaction,
        target.schema,
        &rewritten(moves, target.schema, generation != meta.generation),
    )?;
    transaction.execute(r#"UPDATE "_meta" SET "format" = ?1"#, [FORMAT])?;
    transaction.execute_batch(r#"DELETE FROM "_program""#)?;
    transaction.execute(
        r#"INSERT INTO "_program" VALUES (?1, ?2)"#,
        params![concat!("Tidewire ", env!("CARGO_PKG_VERSION")), target.env.now().0],
    )?;
    Ok(Start {
        epoch,
        generation,
        head,
        floor: meta.floor,
        ended,
        created_tables: created,
        added_indexes,
        plan,
        backup: None,
    })
}

fn created_table(one: &Move) -> Option<String> {
    if let Move::Create { entity } = one { Some(entity.plural.to_string()) } else { None }
}

/// Plurals of tables whose values may not be those that were there before. Lookups are
/// filled anew for a schema that is new to the database.
fn rewritten<'a>(moves: &'a [Move], schema: &'a Schema, is_new: bool) -> HashSet<&'a str> {
    let copies = |entity: &&std::sync::Arc<Entity>| entity.fields.iter().any(|field| field.lookup.is_some());
    let copying = schema.entities().filter(copies).map(|entity| &*entity.plural);
    let copying = copying.filter(|_| is_new);
    moves.iter().filter_map(rewrites).map(|entity| &*entity.plural).chain(copying).collect()
}

fn rewrites(one: &Move) -> Option<&Entity> {
    match one {
        Move::Create { entity } | Move::Relocate { entity, .. } => Some(entity),
        Move::Retype { at, .. } | Move::Require { at } => Some(&at.entity),
        Move::Drop { .. }
        | Move::Rename { .. }
        | Move::Ids { .. }
        | Move::AddField { .. }
        | Move::DropField { .. }
        | Move::RenameField { .. }
        | Move::Unique { .. }
        | Move::Follow { .. }
        | Move::Forget { .. } => None,
    }
}

fn settle_all_indexes(conn: &Connection, schema: &Schema) -> rusqlite::Result<Vec<String>> {
    let mut added = Vec::new();
    for entity in schema.entities() {
        added.extend(settle_indexes(conn, entity)?);
    }
    Ok(added)
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
) -> rusqlite::Result<(Seq, Generation, Option<Change>)> {
    let text = StoredSchema::of(schema).text();
    let last: Option<String> = conn
        .query_row(
            r#"SELECT "text" FROM "_schema" WHERE "generation" = ?1"#,
            [signed(meta.generation.0)],
            |row| row.get(0),
        )
        .optional()?;
    if last.as_ref() == Some(&text) {
        return Ok((meta.head, meta.generation, None));
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
        };
        log::append(conn, &change)?;
        marker = Some(change);
    }
    conn.execute(
        r#"UPDATE "_meta" SET "seq" = ?1, "generation" = ?2"#,
        params![signed(head.0), signed(generation.0)],
    )?;
    Ok((head, generation, marker))
}
