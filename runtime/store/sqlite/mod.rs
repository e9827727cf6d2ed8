//! SQLite: the embedded store. `rusqlite` is used nowhere else.
//!
//! One connection writes, on behalf of one task (`committer.rs`); a pool reads. Knows nothing of who asks or listens.

mod apply;
mod cascade;
mod clock;
mod committer;
mod counts;
mod damage;
mod differ;
mod end_checks;
mod evolution;
mod expansion;
mod export;
mod glance;
mod group;
mod history;
mod history_view;
mod idempotency;
mod images;
mod import;
mod inspect;
mod listing;
mod log;
mod lookups;
mod open;
mod people;
mod permission;
mod pool;
mod predicate;
mod propagation;
mod read;
mod rights;
mod rows;
mod scan_limit;
mod search;
mod source;
mod tables;
mod wal;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::export::{ExportError, Exported, Sink, export};
pub use self::glance::Glance;
pub use self::import::{Applied, Forward, ImportError, ImportJob, Page, SqliteImport};
pub use self::inspect::{DatabaseFound, Inspection, TriedOut, inspect, try_out};
pub use self::open::OpenError;

use self::clock::Clock;
use self::committer::Queue;
use self::damage::Damage;
use self::evolution::Target;
use self::group::{Setting, Writer};
use self::open::{DATABASE, FolderLock};
use self::pool::Pool;
use self::read::{Reader, Shape};
use self::tables::Catalog;
use crate::config::StoreConfig;
use crate::env::Env;
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::metrics::{Bound, StoreMetrics};
use crate::rules::{Person, Principal};
use crate::schema::{EntityName, Generation, Schema};
use crate::store::migration::{Allow, Plan, Standing, StepKind};
use crate::store::{
    At, CommitBatch, CommitError, Count, Counted, Differ, Difference, ListPage, LogLimit, LogPage, Outcome,
    Past, Query, ReadFuture, Scope, Store, StoreError, Stored, Survey, Unit, Who,
};

/// Batches that may wait for the listener before the next commit waits too.
const BATCHES: usize = 64;

/// `trait Store` over a database file in a data folder.
pub struct SqliteStore {
    queue: Queue,
    pool: Arc<Pool>,
    reader: Arc<Reader>,
    metrics: StoreMetrics,
    damage: Damage,
    /// Taken by the first `close`, which awaits it outside the lock.
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// An opened store.
pub struct Opened {
    pub store: Arc<SqliteStore>,
    /// Every commit's changes, in seq order. Whoever holds this must drain or drop it: a full channel holds back the
    /// next commit, and `SqliteStore::close` waits for the last.
    pub batches: mpsc::Receiver<Arc<CommitBatch>>,
    /// Of the schema as the database has it now: goes into every `Unit`.
    pub generation: Generation,
    pub report: OpenReport,
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    pub created_tables: Vec<String>,
    /// What was done to tables that were there before: `Task.due: add the field`.
    pub changes: Vec<String>,
    /// On tables that were there before: `tasks:status,due`.
    pub added_indexes: Vec<String>,
    pub epoch: Epoch,
    /// Head of the log, with the schema marker if there is a new one. The first batch follows it.
    pub head: Seq,
    /// `PRAGMA synchronous`, read back: `full`.
    pub synchronous: &'static str,
}

impl SqliteStore {
    /// Opens the database in `dir`, creating both when missing, and starts the committer; blocks meanwhile. Needs a
    /// tokio runtime around it.
    pub fn open(
        dir: &Path,
        schema: &Arc<Schema>,
        config: &StoreConfig,
        env: Env,
    ) -> Result<Opened, OpenError> {
        SqliteStore::open_counted(dir, schema, config, env, StoreMetrics::default())
    }

    /// The same, counted in `metrics`.
    pub fn open_counted(
        dir: &Path,
        schema: &Arc<Schema>,
        config: &StoreConfig,
        env: Env,
        metrics: StoreMetrics,
    ) -> Result<Opened, OpenError> {
        open::require_sqlite()?;
        let lock = Arc::new(FolderLock::take(dir)?);
        open::create_if_missing(dir)?;
        let file = dir.join(DATABASE);
        let catalog = Arc::new(Catalog::of(schema));
        let failed = |error| OpenError::of(&file, &error);
        let mut conn = open::open_sound(&file, catalog.statements())?;
        let allow = Allow::default();
        let target = Target { file: &file, schema, allow: &allow, env: &env };
        let start = evolution::bring_up(&mut conn, target)?;
        env.ids_after(Clock::load(&conn, env.elapsed()).map_err(failed)?.newest_id());
        let synchronous = open::synchronous(&conn).map_err(failed)?;
        let pool = Pool::new(open::open_readers(&file, config)?, config.read_wait);
        let report = OpenReport {
            changes: changes(&start),
            created_tables: start.created_tables,
            added_indexes: start.added_indexes,
            epoch: start.epoch.clone(),
            head: start.head,
            synchronous,
        };
        let shape = Shape::shared(catalog.clone(), start.generation);
        let damage = Damage::counted(metrics.clone());
        let setting = Arc::new(Setting {
            file,
            catalog,
            config: config.clone(),
            epoch: start.epoch.clone(),
            generation: start.generation,
            shape: shape.clone(),
            env,
            lock,
            damage: damage.clone(),
        });
        let writer = Writer::over(setting.clone(), conn, start.head, start.floor);
        let (publish, batches) = mpsc::channel(BATCHES);
        let (queue, committer) = committer::start(setting, writer, start.head, publish, metrics.clone());
        let reader = Arc::new(Reader::new(config, shape, start.epoch, start.ended));
        let committer = Mutex::new(Some(committer));
        let store = Arc::new(SqliteStore { queue, pool, reader, metrics, damage, committer });
        Ok(Opened { store, batches, generation: start.generation, report })
    }

    /// Changes the database's shape to that of another schema while the server runs, as far as nothing is lost: between two
    /// group commits, in one transaction. Units and reads that were made for the former schema are refused from then on;
    /// the marker goes out like any other change. Answers with the generation and what was done.
    pub async fn evolve(&self, schema: Arc<Schema>) -> Result<Evolved, OpenError> {
        self.queue.evolve(schema).await
    }

    /// Refuses further units, commits and publishes those that wait, tidies the file and lets go of the folder. A
    /// store that is dropped instead loses nothing; only the file is less tidy.
    pub async fn close(&self) {
        self.queue.stop();
        let committer = self.committer.lock().take();
        if let Some(committer) = committer
            && let Err(error) = committer.await
        {
            tracing::error!(%error, "the committer did not end in order");
        }
    }
}

impl SqliteStore {
    async fn short<T>(
        &self,
        read: impl FnOnce(&Reader, &mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.counted(self.pool.short(|conn| read(&self.reader, conn)).await)
    }

    async fn lasting<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader, &mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.reader.clone();
        self.counted(self.pool.lasting(move |conn| read(&reader, conn)).await)
    }

    fn counted<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        match &read {
            Err(StoreError::Overloaded) => self.metrics.overloaded(Bound::Readers),
            Err(StoreError::Damaged(cause)) => self.damage.found(cause),
            Ok(_) | Err(_) => {}
        }
        read
    }
}

/// A database whose shape was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    pub generation: Generation,
    pub plan: Plan,
}

/// What `migrate` did.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrated {
    /// Generation before.
    pub was: Generation,
    pub generation: Generation,
    pub plan: Plan,
    /// A copy of the database as it was, made because something was lost.
    pub backup: Option<PathBuf>,
}

/// What opening the database in `dir` with this schema would do. Reads only, also beside a running server; `None` when
/// there is no database.
pub fn look(
    dir: &Path,
    schema: &Schema,
    allow: &Allow,
    env: &Env,
) -> Result<Option<(Standing, Plan)>, OpenError> {
    let file = dir.join(DATABASE);
    if !file.exists() {
        return Ok(None);
    }
    let conn = open::open_reader(&file).map_err(|error| OpenError::of(&file, &error))?;
    evolution::look(&conn, Target { file: &file, schema, allow, env }).map(Some)
}

/// Brings the database in `dir` into the schema's shape, with what `allow` says, and lets go of it. Refused when a server
/// runs on it, or when something stands in the way; then nothing has changed.
pub fn migrate(dir: &Path, schema: &Schema, allow: &Allow, env: &Env) -> Result<Migrated, OpenError> {
    open::require_sqlite()?;
    let _lock = FolderLock::take(dir)?;
    open::create_if_missing(dir)?;
    let file = dir.join(DATABASE);
    let mut conn = open::open_sound(&file, 16)?;
    let start = evolution::bring_up(&mut conn, Target { file: &file, schema, allow, env })?;
    Ok(Migrated { was: start.was, generation: start.generation, plan: start.plan, backup: start.backup })
}

fn changes(start: &evolution::Start) -> Vec<String> {
    let steps = start.plan.steps.iter().filter(|step| step.kind != StepKind::Create);
    steps.map(|step| format!("{}: {}", step.subject, step.what)).collect()
}

impl Store for SqliteStore {
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
        Box::pin(self.queue.commit(unit))
    }

    fn get<'a>(&'a self, entity: &'a str, id: &'a RecordId) -> ReadFuture<'a, At<Option<Stored>>> {
        self.short(|reader, conn| reader.get(conn, entity, id)).boxed()
    }

    fn find<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
    ) -> ReadFuture<'a, At<Option<Stored>>> {
        if self.reader.binds_in_short(entity, who) {
            return self.short(|reader, conn| reader.find(conn, entity, id, who)).boxed();
        }
        let (entity, id, who) = (entity.to_owned(), id.clone(), who.clone());
        self.lasting(move |reader, conn| reader.find(conn, &entity, &id, &who)).boxed()
    }

    fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>> {
        if self.reader.gathers_in_short(person) {
            return self.short(|reader, conn| reader.principal(conn, person)).boxed();
        }
        let person = person.clone();
        self.lasting(move |reader, conn| reader.principal(conn, &person)).boxed()
    }

    fn rights_changed<'a>(&'a self, person: &'a str, entities: &'a [EntityName]) -> ReadFuture<'a, Seq> {
        self.short(|reader, conn| reader.rights_changed(conn, person, entities)).boxed()
    }

    fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>> {
        let differ = differ.clone();
        self.lasting(move |reader, conn| reader.differ(conn, &differ)).boxed()
    }

    fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>> {
        let query = query.clone();
        self.lasting(move |reader, conn| reader.list(conn, &query)).boxed()
    }

    fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>> {
        let count = count.clone();
        self.lasting(move |reader, conn| reader.count(conn, &count)).boxed()
    }

    fn log(&self, after: Seq, limit: LogLimit) -> ReadFuture<'_, At<LogPage>> {
        self.lasting(move |reader, conn| reader.log(conn, after, limit)).boxed()
    }

    fn history<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> ReadFuture<'a, At<Option<Past>>> {
        let (entity, id, who) = (entity.to_owned(), id.clone(), who.clone());
        self.lasting(move |reader, conn| reader.history(conn, &entity, &id, &who, before, limit)).boxed()
    }

    fn survey<'a>(&'a self, scope: &'a Scope, since: &'a Position) -> ReadFuture<'a, At<Survey>> {
        let (scope, since) = (scope.clone(), since.clone());
        self.lasting(move |reader, conn| reader.survey(conn, &scope, &since)).boxed()
    }

    fn head(&self) -> ReadFuture<'_, At<()>> {
        self.short(|reader, conn| reader.head(conn)).boxed()
    }

    fn sound(&self) -> Result<(), StoreError> {
        match self.damage.is_known() {
            true => Err(StoreError::Damaged("found since the start".to_owned())),
            false => Ok(()),
        }
    }
}

/// Why something inside a transaction did not happen.
enum Fault {
    /// The unit is refused; the answer says why.
    Refused(CommitError),
    Sql(rusqlite::Error),
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Fault {
        Fault::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}
