//! `SqliteImport`: the one writer beside the committer, for a data folder that no server uses. It applies operations as a
//! commit does, in one transaction that is as large as the import, in units of ordinary size.
//!
//! Knows no file: what an operation came from is a line number.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, params};

use super::clock::{Clock, Reading, Times};
use super::evolution::{self, Start, Target};
use super::location::DatabaseFile;
use super::open::{self, DatabaseLock};
use super::rows::{signed, unsigned};
use super::source::{SqliteSource, ready};
use super::tables::Catalog;
use super::transaction::SqliteTransaction;
use super::trim::{LogEnds, trim};
use crate::config::StoreConfig;
use crate::env::Env;
use crate::ids::{Epoch, MutationId, Position, RecordId, Seq, Timestamp};
use crate::schema::{EntityName, FieldIndex, Generation, Schema, Value};
use crate::store::import::{
    Applied, EarlierImport, Feed, Forward, Import, ImportError, ImportJob, ImportUnit, LineRefused,
    WAITING_REFERENCES,
};
use crate::store::migration::Allow;
use crate::store::relations::Relation;
use crate::store::source::Source;
use crate::store::unit::{self, Fault, Judged, UnitContext, Work};
use crate::store::{CommitError, Idempotency, Op, OpenError, Unit};

/// How far each import of the past got. Rows beyond the newest `JOBS` are forgotten.
const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS "_imports" (
    "n" INTEGER PRIMARY KEY, "job" TEXT NOT NULL UNIQUE, "at" INTEGER NOT NULL, "line" INTEGER NOT NULL,
    "done" INTEGER NOT NULL, "created" INTEGER NOT NULL, "updated" INTEGER NOT NULL, "skipped" INTEGER NOT NULL,
    "refused" INTEGER NOT NULL, "epoch" TEXT NOT NULL, "seq" INTEGER NOT NULL
) STRICT
"#;
const JOBS: i64 = 1_000;

/// SQLite takes a negative number for KiB. One transaction holds the whole import, and pages that have no room are written
/// before their time and read again.
const PAGE_CACHE_KIB: i64 = -(64 << 10);

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> ImportError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => ImportError::StorageFull,
            Some(rusqlite::ErrorCode::ReadOnly) => ImportError::ReadOnly,
            _ => ImportError::Storage(error.to_string()),
        }
    }
}

/// The writing connection of an import.
pub struct SqliteImport {
    conn: Connection,
    file: DatabaseFile,
    catalog: Catalog,
    config: StoreConfig,
    epoch: Epoch,
    generation: Generation,
    at: Timestamp,
    env: Env,
    clock: Clock,
    times: Times,
    seq: Seq,
    floor: Seq,
    waiting: Vec<HeldReference>,
    _lock: DatabaseLock,
    /// Last, so that it is removed when nothing in it is open.
    _scratch: Option<tempfile::TempDir>,
}

/// A reference to a record of the same entity that a later line may create.
struct HeldReference {
    line: u64,
    entity: EntityName,
    id: RecordId,
    field: FieldIndex,
    target: String,
    /// What the line says of sequences that count by the reference: without it a record has no number.
    numbers: Vec<(FieldIndex, Value)>,
}

/// The record that an operation is about, and what it says of a field.
fn said(op: &Op, field: FieldIndex) -> Option<(&RecordId, &Value)> {
    match op {
        Op::Create { id, values, .. } => Some((id, values.get(field.0)?)),
        Op::Update { id, set, .. } => set.iter().find(|(at, _)| *at == field).map(|(_, value)| (id, value)),
        Op::Delete { .. } | Op::Many(_) | Op::Lease(_) => None,
    }
}

/// Empties the field.
fn forget(op: &mut Op, field: FieldIndex) {
    let value = match op {
        Op::Create { values, .. } => values.get_mut(field.0),
        Op::Update { set, .. } => set.iter_mut().find(|(at, _)| *at == field).map(|(_, value)| value),
        Op::Delete { .. } | Op::Many(_) | Op::Lease(_) => None,
    };
    value.into_iter().for_each(|value| *value = Value::Null);
}

impl HeldReference {
    fn op(&self) -> Op {
        let mut set = vec![(self.field, Value::Text(self.target.clone()))];
        set.extend(self.numbers.iter().cloned());
        Op::Update {
            entity: self.entity.clone(),
            id: self.id.clone(),
            set,
            omitted: Vec::new(),
            if_version: None,
        }
    }
}

/// One unit of an import.
pub struct Page<'a> {
    work: Work<'a, SqliteTransaction<'a>>,
    source: SqliteSource<'a>,
    waiting: Option<&'a mut Vec<HeldReference>>,
    half: usize,
}

impl SqliteImport {
    /// Opens the database as a server does: takes the folder, adds what the schema has and the tables lack, begins an
    /// epoch. Nothing is imported before `commit`.
    pub fn open(
        file: &DatabaseFile,
        schema: &Schema,
        config: &StoreConfig,
        env: &Env,
    ) -> Result<SqliteImport, OpenError> {
        let LockedDatabase { mut conn, file, lock } = LockedDatabase::of(file.clone(), schema)?;
        let failed = |error| OpenError::of(&file, &error);
        let target = Target { file: &file, schema, allow: &Allow::default(), env };
        let start = evolution::bring_up(&mut conn, target)?;
        conn.execute_batch(CREATE).map_err(failed)?;
        conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        SqliteImport::begun(LockedDatabase { conn, file, lock }, &start, schema, config, env)
    }

    /// Opens the database for an import that is never committed. What `open` would change is part of the transaction, so
    /// nothing of it stays. A folder without a database is left alone; a new database is made elsewhere, and removed.
    pub fn rehearse(
        file: &DatabaseFile,
        schema: &Schema,
        config: &StoreConfig,
        env: &Env,
    ) -> Result<SqliteImport, OpenError> {
        open::refuse_lost_file(file)?;
        let unusable = |error| file.unusable(&std::env::temp_dir(), &error);
        let scratch = if file.exists() { None } else { Some(tempfile::tempdir().map_err(unusable)?) };
        let rehearsed = scratch.as_ref().map_or(file.clone(), |scratch| DatabaseFile::within(scratch.path()));
        let LockedDatabase { conn, file, lock } = LockedDatabase::of(rehearsed, schema)?;
        let failed = |error| OpenError::of(&file, &error);
        conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let target = Target { file: &file, schema, allow: &Allow::default(), env };
        let start = evolution::rehearse(&conn, target)?;
        conn.execute_batch(CREATE).map_err(failed)?;
        let import = SqliteImport::begun(LockedDatabase { conn, file, lock }, &start, schema, config, env)?;
        Ok(SqliteImport { _scratch: scratch, ..import })
    }

    fn begun(
        locked: LockedDatabase,
        start: &Start,
        schema: &Schema,
        config: &StoreConfig,
        env: &Env,
    ) -> Result<SqliteImport, OpenError> {
        let LockedDatabase { conn, file, lock } = locked;
        let now = Reading { wall: env.now(), elapsed: env.elapsed() };
        let mut clock = Clock::load(&conn, now.elapsed).map_err(|error| OpenError::of(&file, &error))?;
        env.ids_after(clock.newest_id());
        let times = clock.look(now);
        Ok(SqliteImport {
            conn,
            file,
            catalog: Catalog::of(schema),
            config: config.clone(),
            epoch: start.epoch.clone(),
            generation: start.generation,
            at: now.wall,
            env: env.clone(),
            clock,
            times,
            seq: start.head,
            floor: start.floor,
            waiting: Vec::new(),
            _lock: lock,
            _scratch: None,
        })
    }

    /// When every record of this import is written.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How far a job got in an earlier run.
    pub fn job(&self, job: &str) -> Result<Option<EarlierImport>, ImportError> {
        let mut select = self.conn.prepare(
            r#"SELECT "line", "done", "created", "updated", "skipped", "refused", "at" FROM "_imports" WHERE "job" = ?1"#,
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let number = |at: usize| row.get(at).map(unsigned);
            let job = ImportJob {
                line: number(0)?,
                done: row.get(1)?,
                created: number(2)?,
                updated: number(3)?,
                skipped: number(4)?,
                refused: number(5)?,
            };
            Ok(EarlierImport { job, at: Timestamp(row.get(6)?) })
        };
        Ok(select.query_row([job], read).optional()?)
    }

    /// One unit: `feed` applies operations to the page until it has enough. Its entries carry `mid`.
    pub fn page<R>(
        &mut self,
        mid: MutationId,
        forward: Forward,
        feed: impl FnOnce(&mut Page<'_>) -> Result<R, ImportError>,
    ) -> Result<R, ImportError> {
        let key = Idempotency { owner: "import".into(), mid, hash: [0; 32] };
        let unit = Unit {
            ops: Vec::new(),
            actor: None,
            asker: crate::rules::Asker::System,
            idempotency: Some(key),
            leases: Vec::new(),
            generation: self.generation,
            at: self.at,
            witness: None,
        };
        let (conn, catalog, config) = (&self.conn, &self.catalog, &self.config);
        let context = UnitContext {
            relations: &catalog.relations,
            config,
            generation: self.generation,
            env: &self.env,
        };
        let mut transaction = SqliteTransaction::writing(conn, catalog, config, self.times.stamp);
        let mut page = Page {
            work: Work::begin(&mut transaction, context, &unit, self.seq, Judged::Each),
            source: SqliteSource::reading(conn, catalog),
            waiting: (forward == Forward::Waits).then_some(&mut self.waiting),
            half: config.group_bytes / 2,
        };
        let answer = feed(&mut page)?;
        let closed = ready(page.work.close())?;
        let (seq, newest_id) = (closed.seq, closed.newest_id);
        let grown = usize::try_from(seq.0 - self.seq.0).unwrap_or(usize::MAX);
        if grown > 0 {
            self.conn.prepare_cached(r#"UPDATE "_meta" SET "seq" = ?1"#)?.execute([signed(seq.0)])?;
            self.clock.made(newest_id);
            self.clock.save(&self.conn, self.env.elapsed())?;
            let log = LogEnds { config: &self.config, floor: self.floor, head: seq };
            self.floor = trim(&self.conn, log, &self.catalog.kept, grown, self.times.forget)?;
            self.seq = seq;
        }
        Ok(answer)
    }

    /// Sets the references that waited for later lines, now that all are there. Answers with the lines whose reference
    /// leads nowhere.
    pub fn settle(&mut self, mid: &MutationId) -> Result<Vec<LineRefused>, ImportError> {
        let mut waiting = VecDeque::from(std::mem::take(&mut self.waiting));
        let (most, mut refused) = (self.config.group_ops, Vec::new());
        while !waiting.is_empty() {
            self.page(mid.clone(), Forward::Refused, |page| {
                while page.entries() < most
                    && let Some(next) = waiting.front()
                {
                    match page.apply(next.line, &next.op())? {
                        Applied::Full => return Ok(()),
                        Applied::Refused(refusal) => refused.push(LineRefused { line: next.line, refusal }),
                        Applied::Done(_) => {}
                    }
                    waiting.pop_front();
                }
                Ok(())
            })?;
        }
        Ok(refused)
    }

    /// Makes everything since the last commit durable, together with how far the job is, and continues.
    pub fn commit(&mut self, job: &str, progress: &ImportJob) -> Result<Position, ImportError> {
        self.conn.execute(r#"DELETE FROM "_imports" WHERE "job" = ?1"#, [job])?;
        self.conn.execute(
            r#"INSERT INTO "_imports" ("job", "at", "line", "done", "created", "updated", "skipped", "refused", "epoch", "seq")
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"#,
            params![
                job,
                self.at.0,
                signed(progress.line),
                progress.done,
                signed(progress.created),
                signed(progress.updated),
                signed(progress.skipped),
                signed(progress.refused),
                self.epoch.as_str(),
                signed(self.seq.0)
            ],
        )?;
        self.conn.execute(
            r#"DELETE FROM "_imports" WHERE "n" <= (SELECT max("n") FROM "_imports") - ?1"#,
            [JOBS],
        )?;
        self.conn.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        Ok(Position { epoch: self.epoch.clone(), seq: self.seq })
    }

    /// Drops what was not committed, tidies the file and unlocks the folder.
    pub fn close(self) {
        // A reader may be in the way of the checkpoint. Then the log stays beside the file, which is as safe.
        let _ = self.conn.execute_batch("ROLLBACK");
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        tracing::debug!(file = %self.file.display(), "import closed");
    }
}

/// A database of which this process is the one writer.
struct LockedDatabase {
    conn: Connection,
    file: DatabaseFile,
    lock: DatabaseLock,
}

impl LockedDatabase {
    /// Made when it is missing.
    fn of(file: DatabaseFile, schema: &Schema) -> Result<LockedDatabase, OpenError> {
        open::require_sqlite()?;
        let lock = DatabaseLock::take(&file)?;
        open::create_if_missing(&file)?;
        let conn = open::open_sound(&file, Catalog::of(schema).statements())?;
        conn.pragma_update(None, "cache_size", PAGE_CACHE_KIB)
            .map_err(|error| OpenError::of(&file, &error))?;
        Ok(LockedDatabase { conn, file, lock })
    }
}

impl Import for SqliteImport {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn job(&self, job: &str) -> Result<Option<EarlierImport>, ImportError> {
        SqliteImport::job(self, job)
    }

    fn unit(&mut self, mid: MutationId, forward: Forward, feed: &mut Feed<'_>) -> Result<(), ImportError> {
        self.page(mid, forward, |page| feed(page))
    }

    fn settle(&mut self, mid: &MutationId) -> Result<Vec<LineRefused>, ImportError> {
        SqliteImport::settle(self, mid)
    }

    fn commit(&mut self, job: &str, progress: &ImportJob) -> Result<Position, ImportError> {
        SqliteImport::commit(self, job, progress)
    }

    fn close(self: Box<Self>) {
        SqliteImport::close(*self);
    }
}

impl ImportUnit for Page<'_> {
    fn exists(&self, entity: &str, id: &RecordId) -> Result<bool, ImportError> {
        Page::exists(self, entity, id)
    }

    fn apply(&mut self, line: u64, op: &Op) -> Result<Applied, ImportError> {
        Page::apply(self, line, op)
    }
}

impl Page<'_> {
    /// Log entries of the unit so far.
    pub fn entries(&self) -> usize {
        self.work.mark().entries
    }

    pub fn exists(&self, entity: &str, id: &RecordId) -> Result<bool, ImportError> {
        match self.source.catalog.relations.get(entity) {
            Some(relation) => self.has(relation, id.as_str()),
            None => Ok(false),
        }
    }

    /// Applies one operation. One that is refused leaves no trace; the unit continues.
    pub fn apply(&mut self, line: u64, op: &Op) -> Result<Applied, ImportError> {
        let mark = self.work.mark();
        if mark.entries > 0 && mark.bytes > self.half {
            return Ok(Applied::Full);
        }
        let mut op = op.clone();
        let held = self.hold_back(line, &mut op)?;
        let conn = self.source.conn;
        // Under a savepoint SQLite copies each page before it is written to, which is a sixth of an import.
        let savepoint =
            unit::may_fail_after_writing(&self.source.catalog.relations, std::slice::from_ref(&op));
        if savepoint {
            conn.prepare_cached("SAVEPOINT line")?.execute([])?;
        }
        match ready(self.work.op(0, op)) {
            Ok(result) => {
                if savepoint {
                    conn.prepare_cached("RELEASE line")?.execute([])?;
                }
                self.wait(held)?;
                Ok(Applied::Done(result.status))
            }
            Err(Fault::Broken(error)) => Err(error.into()),
            Err(Fault::Refused(refusal)) => {
                if savepoint {
                    conn.prepare_cached("ROLLBACK TO line")?.execute([])?;
                    conn.prepare_cached("RELEASE line")?.execute([])?;
                }
                self.work.back_to(mark);
                let crowded = matches!(refusal, CommitError::UnitTooLarge { .. }) && mark.entries > 0;
                Ok(if crowded { Applied::Full } else { Applied::Refused(refusal) })
            }
        }
    }

    fn wait(&mut self, held: Vec<HeldReference>) -> Result<(), ImportError> {
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        waiting.extend(held);
        if waiting.len() > WAITING_REFERENCES { Err(ImportError::TooManyWaiting) } else { Ok(()) }
    }

    /// Takes out of the operation the references to records of its own entity that are not there yet.
    fn hold_back(&self, line: u64, op: &mut Op) -> Result<Vec<HeldReference>, ImportError> {
        if self.waiting.is_none() {
            return Ok(Vec::new());
        }
        let Some(relation) = self.source.catalog.relations.get(op.entity()) else {
            return Ok(Vec::new());
        };
        let entity = &relation.entity.name;
        let own = relation.references.iter().filter(|reference| reference.target == *entity);
        let mut held = Vec::new();
        for field in own.map(|reference| reference.field) {
            let Some((id, Value::Text(target))) = said(op, field) else { continue };
            if target.as_str() == id.as_str() || self.has(relation, target)? {
                continue;
            }
            let (id, target) = (id.clone(), target.clone());
            let counted = relation.sequences.iter().filter(|one| one.parent() == Some(field));
            let number = |field| Some((field, said(op, field)?.1.clone()));
            let numbers = counted.filter_map(|one| number(one.field));
            let numbers = numbers.filter(|(_, number)| !number.is_null()).collect();
            forget(op, field);
            held.push(HeldReference { line, entity: entity.clone(), id, field, target, numbers });
        }
        Ok(held)
    }

    fn has(&self, relation: &Relation, id: &str) -> Result<bool, ImportError> {
        Ok(ready(self.source.exists(relation, id))?)
    }
}
