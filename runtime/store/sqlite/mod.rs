//! SQLite: the embedded store. `rusqlite` is used nowhere else.
//!
//! One connection writes, on behalf of one task (`committer.rs`); a pool reads. Does not know who asks or listens.

mod backend;
mod clock;
mod committer;
mod counts;
mod damage;
mod dialect;
mod evolution;
mod export;
mod glance;
mod group;
mod history;
mod idempotency;
mod identifier;
mod import;
mod inspect;
mod kept;
mod leases;
mod listing;
mod location;
mod log;
mod log_columns;
mod lookups;
mod open;
mod pool;
mod read;
mod reshape;
mod rights;
mod rows;
mod scan_limit;
mod search;
mod sequences;
mod snapshot;
mod source;
mod tables;
mod transaction;
mod trim;
mod vault;
mod wal;
mod writer;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::backend::SqliteBackend;
pub use self::import::{Page, SqliteImport};
pub use self::location::DatabaseFile;

use self::clock::Clock;
use self::committer::CommitQueue;
use self::damage::Damage;
use self::evolution::Target;
use self::open::DatabaseLock;
use self::pool::Pool;
use self::read::{Reader, Shape};
use self::scan_limit::PAGE_IN_PLACE;
use self::tables::Catalog;
use self::writer::{Writer, WriterSetting};
use crate::config::StoreConfig;
use crate::env::Env;
use crate::ids::{Position, RecordId, Seq};
use crate::metrics::{Bound, StoreMetrics};
use crate::rules::{Person, Principal};
use crate::schema::{EntityName, Schema};
use crate::store::migration::{Allow, StepKind};
use crate::store::person_stamps::PersonStamps;
use crate::store::{
    ActivityPage, ActivityQuery, At, CommitError, Count, Counted, Differ, Difference, Evolved, ListPage,
    LiveStore, LogLimit, LogPage, OpenError, OpenReport, Opened, Outcome, Past, Query, ReadFuture,
    RecordLease, Scope, Store, StoreError, Stored, Survey, Unit, Who,
};

/// Batches that may wait for the listener before the next commit waits too.
const BATCHES: usize = 64;

/// `trait Store` over a database file in a data folder.
pub struct SqliteStore {
    queue: CommitQueue,
    pool: Arc<Pool>,
    reader: Arc<Reader>,
    metrics: StoreMetrics,
    damage: Damage,
    stamps: PersonStamps,
    /// Taken by the first `close`, which awaits it outside the lock.
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the database, creating it and its folder when missing, and starts the committer; blocks meanwhile. Needs a
    /// tokio runtime around it.
    pub fn open(
        file: DatabaseFile,
        schema: &Schema,
        config: &StoreConfig,
        env: Env,
    ) -> Result<Opened<SqliteStore>, OpenError> {
        SqliteStore::open_counted(file, schema, config, env, StoreMetrics::default())
    }

    /// The same, counted in `metrics`.
    pub(super) fn open_counted(
        file: DatabaseFile,
        schema: &Schema,
        config: &StoreConfig,
        env: Env,
        metrics: StoreMetrics,
    ) -> Result<Opened<SqliteStore>, OpenError> {
        open::require_sqlite()?;
        let lock = Arc::new(DatabaseLock::take(&file)?);
        open::create_if_missing(&file)?;
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
        let stamps = PersonStamps::default();
        let setting = Arc::new(WriterSetting {
            file,
            catalog,
            config: config.clone(),
            epoch: start.epoch.clone(),
            generation: start.generation,
            shape: shape.clone(),
            env,
            lock,
            damage: damage.clone(),
            stamps: stamps.clone(),
        });
        let writer = Writer::over(setting.clone(), conn, start.head, start.floor);
        let (publish, batches) = mpsc::channel(BATCHES);
        let (queue, committer) = committer::start(setting, writer, start.head, publish, metrics.clone());
        let reader = Arc::new(Reader::new(config, shape, start.epoch, start.ended, stamps.clone()));
        let committer = Mutex::new(Some(committer));
        let store = Arc::new(SqliteStore { queue, pool, reader, metrics, damage, stamps, committer });
        Ok(Opened { store, batches, generation: start.generation, report })
    }

    /// Changes the database's shape to that of another schema while the server runs, as far as nothing is lost: between two
    /// group commits, in one transaction. Units and reads that were made for the former schema are refused from then on;
    /// the marker goes out like any other change. Answers with the generation and what was done.
    pub async fn evolve(&self, schema: Arc<Schema>) -> Result<Evolved, OpenError> {
        self.queue.evolve(schema).await
    }

    /// Refuses further units, commits and publishes those that wait, tidies the file and unlocks the folder. A
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

    /// Made at once on this thread, if it can be. `None`: it must be made as one that lasts.
    fn in_place<T>(
        &self,
        read: impl FnOnce(&Reader, &mut Connection) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        self.pool.in_place(|conn| read(&self.reader, conn)).map(|read| self.counted(read))
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
        let found = async move {
            match self.in_place(|reader, conn| reader.find(conn, entity, id, who)) {
                Some(found) => found,
                None => {
                    let (entity, id, who) = (entity.to_owned(), id.clone(), who.clone());
                    self.lasting(move |reader, conn| reader.find(conn, &entity, &id, &who)).await
                }
            }
        };
        found.boxed()
    }

    fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>> {
        if self.reader.gathers_in_short(person) {
            return self.short(|reader, conn| reader.principal(conn, person)).boxed();
        }
        let gathered = async move {
            match self.in_place(|reader, conn| reader.principal(conn, person)) {
                Some(gathered) => gathered,
                None => {
                    let person = person.clone();
                    self.lasting(move |reader, conn| reader.principal(conn, &person)).await
                }
            }
        };
        gathered.boxed()
    }

    fn rights_changed<'a>(&'a self, person: &'a str, entities: &'a [EntityName]) -> ReadFuture<'a, Seq> {
        self.short(|reader, conn| reader.rights_changed(conn, person, entities)).boxed()
    }

    fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>> {
        let differ = differ.clone();
        self.lasting(move |reader, conn| reader.differ(conn, &differ)).boxed()
    }

    fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>> {
        // Full text steps over more than the rows that it finds, and a large page would be made twice.
        let may_be_short = query.search.is_empty() && query.limit <= PAGE_IN_PLACE;
        let page = async move {
            let page = may_be_short.then(|| self.in_place(|reader, conn| reader.list(conn, query)));
            match page.flatten() {
                Some(page) => page,
                None => {
                    let query = query.clone();
                    self.lasting(move |reader, conn| reader.list(conn, &query)).await
                }
            }
        };
        page.boxed()
    }

    fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>> {
        // Without a condition all records may be counted, by a statement without a bound.
        let may_be_short = count.search.is_empty() && !count.filter.is_empty();
        let counted = async move {
            let counted = may_be_short.then(|| self.in_place(|reader, conn| reader.count(conn, count)));
            match counted.flatten() {
                Some(counted) => counted,
                None => {
                    let count = count.clone();
                    self.lasting(move |reader, conn| reader.count(conn, &count)).await
                }
            }
        };
        counted.boxed()
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

    fn activity<'a>(&'a self, query: &'a ActivityQuery) -> ReadFuture<'a, At<ActivityPage>> {
        let query = query.clone();
        self.lasting(move |reader, conn| reader.activity(conn, &query)).boxed()
    }

    fn survey<'a>(&'a self, scope: Option<&'a Scope>, since: &'a Position) -> ReadFuture<'a, At<Survey>> {
        let (scope, since) = (scope.cloned(), since.clone());
        self.lasting(move |reader, conn| reader.survey(conn, scope.as_ref(), &since)).boxed()
    }

    fn leases(&self) -> ReadFuture<'_, At<Vec<RecordLease>>> {
        self.lasting(move |reader, conn| reader.leases(conn)).boxed()
    }

    fn head(&self) -> ReadFuture<'_, At<()>> {
        self.short(|reader, conn| reader.head(conn)).boxed()
    }

    fn person_stamp(&self, person: &str) -> Option<u64> {
        self.stamps.of(person)
    }

    fn sound(&self) -> Result<(), StoreError> {
        match self.damage.is_known() {
            true => Err(StoreError::Damaged("found since the start".to_owned())),
            false => Ok(()),
        }
    }
}

impl LiveStore for SqliteStore {
    fn evolve(&self, schema: Arc<Schema>) -> BoxFuture<'_, Result<Evolved, OpenError>> {
        Box::pin(SqliteStore::evolve(self, schema))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(SqliteStore::close(self))
    }
}
