//! Bringing the database into the schema's shape: at the start of a run with a new epoch, and under a running server. What
//! is in the way is found first; then everything is done in one transaction, with a schema marker in the log.
//!
//! Does not know commits and reads that come later.

mod books;
mod difference;
mod execute;
mod judge;
mod premises;
mod remarks;
mod sequences;
mod stored_schema;
mod values;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

pub(super) use self::books::{CREATE, FORMAT, read_meta, require_known_format};
use self::books::{Meta, Settled, begin_epoch, count, create_later, program, read_schema, settle_generation};
use self::difference::{Move, difference};
use self::premises::Premises;
pub(super) use self::premises::Target;
use self::stored_schema::StoredSchema;
use super::identifier::quoted;
use super::leases;
use super::location::DatabaseFile;
use super::search;
use super::tables::{TableIndex, indexes};
use crate::draft::{Draft, folder_of, sync_folder};
use crate::env::Env;
use crate::ids::{Epoch, Seq};
use crate::schema::{Entity, Generation, Schema};
use crate::store::migration::{Plan, Standing};
use crate::store::{Change, Looked, OpenError};

/// The database as this run found or made it.
pub(super) struct Start {
    pub(super) epoch: Epoch,
    /// Generation of the run before.
    pub(super) was: Generation,
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

/// At the start of a run: a new epoch, and the schema's shape, as far as `allow` lets it.
pub(super) fn bring_up(conn: &mut Connection, target: Target<'_>) -> Result<Start, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    create_later(conn).map_err(failed)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let moves = difference(&old, target.schema);
    let backup = {
        let judge = Premises::new(conn, &old, target);
        let plan = ready(judge.plan(&moves).map_err(failed)?)?;
        backup_before_loss(conn, target, &plan, meta.generation)?
    };
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let written = write(&transaction, &meta, &old, &moves, target);
    match written.and_then(|start| transaction.commit().map(|()| start)) {
        Ok(start) => Ok(Start { backup, ..start }),
        Err(error) => {
            // Nothing was lost, so there is nothing to go back to.
            backup.iter().for_each(|file| drop(std::fs::remove_file(file)));
            Err(failed(error))
        }
    }
}

/// What `bring_up` does, in a transaction of the caller, who rolls it back.
pub(super) fn rehearse(conn: &Connection, target: Target<'_>) -> Result<Start, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    create_later(conn).map_err(failed)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let moves = difference(&old, target.schema);
    ready(Premises::new(conn, &old, target).plan(&moves).map_err(failed)?)?;
    write(conn, &meta, &old, &moves, target).map_err(failed)
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
    let judge = Premises::new(&transaction, &old, target);
    let plan = ready(judge.plan(&moves).map_err(failed)?)?;
    execute::execute(&judge, &moves).map_err(failed)?;
    sequences::settle(&transaction, target.schema, &moves).map_err(failed)?;
    leases::forget_others(&transaction, target.schema).map_err(failed)?;
    settle_all_indexes(&transaction, target.schema).map_err(failed)?;
    let Settled { head, generation, marker } =
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
pub(super) fn look(conn: &Connection, target: Target<'_>) -> Result<Looked, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(target.file, &error);
    let meta = read_meta(conn, target.file)?;
    let old = read_schema(conn, target.file, meta.generation)?;
    let judge = Premises::new(conn, &old, target);
    let plan = judge.plan(&difference(&old, target.schema)).map_err(failed)?;
    let mut records = Vec::new();
    for (name, entity) in &old.entities {
        records.push((name.clone(), count(conn, &entity.plural).map_err(failed)?));
    }
    let is_current = StoredSchema::of(target.schema).text() == old.text();
    let Meta { head, floor, generation } = meta;
    let program = program(conn);
    let standing = Standing { generation, head, floor, format: FORMAT, program, records, is_current };
    Ok(Looked { standing, plan })
}

/// The schema in force, beside one in files.
pub(super) struct InForce {
    pub(super) generation: Generation,
    /// Whether it is the one in the files.
    pub(super) is_current: bool,
}

/// Which schema the database has.
pub(super) fn in_force(conn: &Connection, file: &Path, schema: &Schema) -> Result<InForce, OpenError> {
    let generation = read_meta(conn, file)?.generation;
    let old = read_schema(conn, file, generation)?;
    Ok(InForce { generation, is_current: StoredSchema::of(schema).text() == old.text() })
}

fn ready(plan: Plan) -> Result<Plan, OpenError> {
    if plan.is_ready() { Ok(plan) } else { Err(OpenError::Schema { plan }) }
}

fn backup_before_loss(
    conn: &Connection,
    target: Target<'_>,
    plan: &Plan,
    generation: Generation,
) -> Result<Option<PathBuf>, OpenError> {
    match plan.loses() {
        0 => Ok(None),
        _ => back_up(conn, target.file, generation, target.env).map(Some),
    }
}

/// A whole copy of the database beside it. It is a database file like any other: put in the place of the damaged one, it is a
/// restore.
fn back_up(
    conn: &Connection,
    database: &DatabaseFile,
    generation: Generation,
    env: &Env,
) -> Result<PathBuf, OpenError> {
    let folder = database.backups();
    let unusable = |error| database.unusable(&folder, &error);
    std::fs::create_dir_all(&folder).map_err(unusable)?;
    let stamp: String = env.now().rfc3339().chars().filter(char::is_ascii_alphanumeric).collect();
    let file = database.backup(&stamp, generation);
    let draft = Draft::of(&file).map_err(unusable)?;
    std::fs::metadata(database).and_then(|own| draft.become_like(&own)).map_err(unusable)?;
    let text = draft.path().to_string_lossy().into_owned();
    conn.execute("VACUUM INTO ?1", [&text]).map_err(|error| OpenError::of_copy(database, &file, &error))?;
    draft.publish().map_err(unusable)?;
    sync_folder(folder_of(&folder)).map_err(unusable)?;
    Ok(file)
}

/// In a transaction of the caller.
fn write(
    transaction: &Connection,
    meta: &Meta,
    old: &StoredSchema,
    moves: &[Move],
    target: Target<'_>,
) -> rusqlite::Result<Start> {
    let judge = Premises::new(transaction, old, target);
    let plan = judge.plan(moves)?;
    execute::execute(&judge, moves)?;
    sequences::settle(transaction, target.schema, moves)?;
    leases::forget_others(transaction, target.schema)?;
    let created: Vec<String> = moves.iter().filter_map(created_table).collect();
    let mut added_indexes = settle_all_indexes(transaction, target.schema)?;
    let table_of = |index: &str| index.split([':', '!']).next().unwrap_or_default().to_owned();
    added_indexes.retain(|index| !created.contains(&table_of(index)));
    let epoch = Epoch::from_uuid(target.env.uuid_v7());
    let ended = begin_epoch(transaction, &epoch, meta.head)?;
    let Settled { head, generation, .. } = settle_generation(transaction, meta, target.schema, target.env)?;
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
        was: meta.generation,
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
/// filled again for a schema that is new to the database.
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
        | Move::UniqueTogether { .. }
        | Move::Follow { .. }
        | Move::Expire { .. }
        | Move::Number { .. }
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
    for TableIndex { name, create } in wanted.into_iter().filter(|index| !present.contains(&index.name)) {
        conn.execute_batch(&create)?;
        added.push(name);
    }
    Ok(added)
}
