//! The schema that the store's tests write to, and short words for what they write. Knows both stores, no story.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::env::Env;
use tidewire::ids::{Epoch, RecordId, Timestamp};
use tidewire::schema::{
    Column, Entity, EntityName, Field, FieldIndex, FieldKind, Generation, IdKind, OnDelete, Schema, Value,
};
use tidewire::store::migration::Allow;
use tidewire::store::sqlite::{DatabaseFile, SqliteBackend, SqliteStore};
use tidewire::store::{
    At, Backend, Change, CommitBatch, CommitError, Idempotency, LogLimit, LogPage, Migrated, Op, OpenError,
    Outcome, Store, Unit,
};
use tokio::sync::mpsc;

use super::at_once::Now;
use super::clock::HandClock;
use super::model::{self, MemoryStore};
use super::overlay::{self, OverlayBackend};

pub(crate) fn field(name: &str, kind: FieldKind) -> Field {
    Field::new(name, kind)
}

pub(crate) fn unique(field: Field) -> Field {
    Field { unique: true, ..field }
}

pub(crate) fn searched(field: Field) -> Field {
    Field { search: true, ..field }
}

pub(crate) fn text() -> FieldKind {
    FieldKind::Text { min: None, max: None, pattern: None }
}

pub(crate) fn refers(entity: &str, on_delete: OnDelete) -> FieldKind {
    FieldKind::Ref { entity: entity.into(), on_delete }
}

pub(crate) fn entity(name: &str, plural: &str, fields: Vec<Field>) -> Entity {
    let id_kind = if name == "User" { IdKind::Text } else { IdKind::Uuid };
    Entity { id_kind, ..Entity::new(name, plural, fields) }
}

/// Fields of `Task`, by place.
pub(crate) const TITLE: FieldIndex = FieldIndex(0);
pub(crate) const PRIORITY: FieldIndex = FieldIndex(1);
pub(crate) const SCORE: FieldIndex = FieldIndex(2);
pub(crate) const DONE: FieldIndex = FieldIndex(3);
pub(crate) const TAGS: FieldIndex = FieldIndex(4);
pub(crate) const PROJECT: FieldIndex = FieldIndex(5);
pub(crate) const PARENT: FieldIndex = FieldIndex(6);
pub(crate) const OWNER: FieldIndex = FieldIndex(7);
pub(crate) const REVIEWER: FieldIndex = FieldIndex(8);

/// Every kind of column, every kind of reference, a table that refers to itself, a diamond.
pub(crate) fn schema() -> Schema {
    let task = Entity {
        indexes: vec![vec![Column::Field(PRIORITY), Column::Field(TITLE)]],
        ..entity(
            "Task",
            "tasks",
            vec![
                searched(field("title", text())),
                field("priority", FieldKind::Int { min: None, max: None }),
                field("score", FieldKind::Float { min: None, max: None }),
                field("done", FieldKind::Bool),
                field("tags", FieldKind::Json),
                field("project", refers("Project", OnDelete::Cascade)),
                field("parent", refers("Task", OnDelete::Cascade)),
                field("owner", refers("User", OnDelete::SetNull)),
                field("reviewer", refers("User", OnDelete::SetNull)),
            ],
        )
    };
    Schema::new([
        entity("User", "users", vec![searched(field("name", text()))]),
        entity("Project", "projects", vec![unique(field("code", text()))]),
        task,
        entity("Invoice", "invoices", vec![field("task", refers("Task", OnDelete::Restrict))]),
    ])
}

/// A store that is ready to be written to, of either kind.
pub(crate) struct Studio {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) batches: Batches,
    pub(crate) generation: Generation,
    pub(crate) clock: HandClock,
    /// Of a store on a disk.
    pub(crate) folder: Option<tempfile::TempDir>,
    sqlite: Option<Arc<SqliteStore>>,
}

pub(crate) enum Batches {
    Bounded(mpsc::Receiver<Arc<CommitBatch>>),
    Unbounded(mpsc::UnboundedReceiver<Arc<CommitBatch>>),
}

impl Batches {
    pub(crate) async fn next(&mut self) -> Arc<CommitBatch> {
        match self {
            Batches::Bounded(batches) => batches.recv().await.unwrap(),
            Batches::Unbounded(batches) => batches.recv().await.unwrap(),
        }
    }
}

impl Studio {
    pub(crate) fn sqlite(config: &StoreConfig) -> Studio {
        Studio::sqlite_over(schema(), config)
    }

    pub(crate) fn sqlite_over(schema: Schema, config: &StoreConfig) -> Studio {
        Studio::sqlite_in(tempfile::tempdir().unwrap(), HandClock::at(NOON), (schema, config))
    }

    fn sqlite_in(
        folder: tempfile::TempDir,
        clock: HandClock,
        (schema, config): (Schema, &StoreConfig),
    ) -> Studio {
        let opened = open_at(folder.path(), schema, config, clock.env());
        Studio {
            clock,
            store: opened.store.clone(),
            batches: Batches::Bounded(opened.batches),
            generation: opened.generation,
            folder: Some(folder),
            sqlite: Some(opened.store),
        }
    }

    /// A store on a disk stops, and another opens its folder.
    pub(crate) async fn restarted(self, schema: Schema, config: &StoreConfig) -> Studio {
        let Studio { store, sqlite, folder, clock, .. } = self;
        sqlite.unwrap().close().await;
        drop(store);
        Studio::sqlite_in(folder.unwrap(), clock, (schema, config))
    }

    pub(crate) fn memory(config: &StoreConfig) -> Studio {
        Studio::memory_over(schema(), config)
    }

    pub(crate) fn memory_over(schema: Schema, config: &StoreConfig) -> Studio {
        let epoch = Epoch::from_uuid(uuid::Uuid::from_u128(1));
        let (store, batches) = MemoryStore::open(&Arc::new(schema), config, epoch);
        let (batches, generation) = (Batches::Unbounded(batches), model::GENERATION);
        Studio { store, batches, generation, clock: HandClock::at(NOON), folder: None, sqlite: None }
    }

    /// Only what tests of writes ask for.
    pub(crate) fn overlay_over(schema: Schema, config: &StoreConfig) -> Studio {
        let (backend, batches) = OverlayBackend::open(&schema, config);
        Studio::overlay(backend, batches)
    }

    pub(crate) fn overlay(
        store: Arc<OverlayBackend>,
        batches: mpsc::UnboundedReceiver<Arc<CommitBatch>>,
    ) -> Studio {
        let (batches, generation) = (Batches::Unbounded(batches), overlay::GENERATION);
        Studio { store, batches, generation, clock: HandClock::at(NOON), folder: None, sqlite: None }
    }

    pub(crate) async fn commit(&self, ops: impl IntoIterator<Item = Op>) -> Result<Outcome, CommitError> {
        self.store.commit(unit(ops)).await
    }

    pub(crate) fn json(&self, entity: &str, id: &RecordId) -> Option<String> {
        let found = self.store.get(entity, id).now().unwrap().value;
        found.map(|stored| String::from_utf8(stored.json.to_vec()).unwrap())
    }

    pub(crate) fn head(&self) -> u64 {
        self.store.head().now().unwrap().seq.0
    }

    /// The log after `after`, whole.
    pub(crate) fn log(&self, after: u64) -> Vec<Arc<Change>> {
        changes(self.store.log(tidewire::ids::Seq(after), ALL).now().unwrap())
    }

    /// `create Task:3` and so on, of the log after `after`.
    pub(crate) fn story(&self, after: u64) -> Vec<String> {
        let last_digits = |id: &RecordId| id.as_str().trim_start_matches(['0', '-']).to_owned();
        let tell = |change: &Arc<Change>| {
            format!("{:?} {}:{}", change.op, change.entity, last_digits(&change.id)).to_lowercase()
        };
        self.log(after).iter().map(tell).collect()
    }
}

pub(crate) const ALL: LogLimit = LogLimit { changes: usize::MAX, bytes: usize::MAX };

pub(crate) fn changes(page: At<LogPage>) -> Vec<Arc<Change>> {
    match page.value {
        LogPage::Changes { changes, .. } => changes,
        LogPage::BelowFloor => panic!("below the floor {}", page.floor),
    }
}

/// An opened store over a database file.
pub(crate) type Opened = tidewire::store::Opened<SqliteStore>;

pub(crate) fn open(folder: &std::path::Path, schema: Schema, config: &StoreConfig) -> Opened {
    open_at(folder, schema, config, Env::system())
}

pub(crate) fn open_at(folder: &std::path::Path, schema: Schema, config: &StoreConfig, env: Env) -> Opened {
    SqliteStore::open(DatabaseFile::within(folder), &schema, config, env).unwrap()
}

pub(crate) fn migrate(
    folder: &std::path::Path,
    schema: &Schema,
    allow: &Allow,
) -> Result<Migrated, OpenError> {
    let file = DatabaseFile::within(folder);
    SqliteBackend::new(file, StoreConfig::default()).migrate(schema, allow, &Env::system())
}

pub(crate) const NOON: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) fn unit(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit {
        asker: tidewire::rules::Asker::System,
        ops: ops.into_iter().collect(),
        actor: Some("ada".into()),
        idempotency: None,
        leases: Vec::new(),
        generation: Generation(1),
        at: NOON,
        witness: None,
    }
}

/// A unit with a mutation id; `request` is the hash of what was asked.
pub(crate) fn named(mid: &str, request: u8, ops: impl IntoIterator<Item = Op>) -> Unit {
    let key = Idempotency { owner: "user:ada".into(), mid: mid.parse().unwrap(), hash: [request; 32] };
    Unit { idempotency: Some(key), ..unit(ops) }
}

/// The n-th UUID.
pub(crate) fn id(n: u128) -> RecordId {
    RecordId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn link(n: u128) -> Value {
    Value::Text(id(n).as_str().to_owned())
}

pub(crate) fn words(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn create(entity: &str, n: u128, values: Vec<Value>) -> Op {
    Op::Create { entity: entity.into(), id: id(n), values, fresh_id: false }
}

pub(crate) fn user(n: u128) -> Op {
    create("User", n, vec![words("somebody")])
}

pub(crate) fn project(n: u128) -> Op {
    create("Project", n, vec![Value::Null])
}

/// A task with these fields set and all others null.
pub(crate) fn task(n: u128, set: impl IntoIterator<Item = (FieldIndex, Value)>) -> Op {
    let mut values = vec![Value::Null; 9];
    set.into_iter().for_each(|(field, value)| values[field.0] = value);
    create("Task", n, values)
}

pub(crate) fn invoice(n: u128, task: u128) -> Op {
    create("Invoice", n, vec![link(task)])
}

pub(crate) fn update(entity: &str, n: u128, set: impl IntoIterator<Item = (FieldIndex, Value)>) -> Op {
    let entity: EntityName = entity.into();
    Op::Update { entity, id: id(n), set: set.into_iter().collect(), omitted: Vec::new(), if_version: None }
}

pub(crate) fn delete(entity: &str, n: u128) -> Op {
    Op::Delete { entity: entity.into(), id: id(n), if_version: None }
}

pub(crate) fn at_version(op: Op, version: u64) -> Op {
    match op {
        Op::Update { entity, id, set, omitted, .. } => {
            Op::Update { entity, id, set, omitted, if_version: Some(version) }
        }
        Op::Delete { entity, id, .. } => Op::Delete { entity, id, if_version: Some(version) },
        Op::Create { .. } | Op::Many(_) | Op::Lease(_) => op,
    }
}
