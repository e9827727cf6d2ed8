//! `trait Store`: commit a unit, read at a position, read the log after a seq. One ordered change log, written in
//! the transaction of the rows (G1), acknowledged when durable (G2).
//!
//! Knows nothing of HTTP, channels or connections. Every backend runs `tests/store_conformance.rs`.

mod backend;
pub mod choice;
mod decode;
mod export;
mod glance;
mod images;
pub mod import;
pub mod inspection;
mod log;
mod lookups;
pub mod migration;
mod opening;
pub mod principal;
mod query;
pub mod reading;
pub mod relations;
mod rows;
pub mod source;
mod sql;
pub mod sqlite;
pub mod unit;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ids::{Epoch, MutationId, Position, RecordId, Seq, Timestamp};
use crate::rules::{Asker, BindError, Person, Principal, ReadScope, Verdict};
use crate::schema::{EntityName, FieldIndex, Generation, Operation, Value};

pub use crate::rules::{Condition, Test};
pub use crate::schema::Column;
pub use backend::{Backend, DatabaseInfo, LiveStore, Looked};
pub use export::{ExportError, Exported, Sink};
pub use glance::{Glance, GlanceRecords};
pub use log::{Change, ChangeOp, CommitBatch, LogLimit, LogPage, Past, Scope};
pub use opening::{Evolved, Migrated, OpenError, OpenReport, Opened};
pub use query::{Advice, Count, Counted, Direction, Expand, ListPage, Listed, MOST_GROUPS, Query, Related};
pub use rows::{Decoded, Rows};

/// What a backend owes:
///
/// - A unit commits whole or not at all; a failing unit never fails its batch-mates.
/// - A lookup holds what its source holds, at every position (SEMANTICS R8): whatever changes the source changes, in
///   the same unit, every record that copies it, each with a log entry of its own. Lookup values in an `Op` are ignored.
/// - Seqs are dense and in commit order. After the commit, first every writer of the batch has its answer, then the
///   batch goes out on the channel given at opening, once, in seq order.
/// - Every read is one read transaction: `At` holds the position at which the value is true, which is always the end
///   of a committed batch.
/// - `commit` and every read may be awaited anywhere. Where a read runs is the backend's decision: it holds up no async
///   worker for longer than a short bounded read takes. It bounds the reads at once by one limit of its own; a read that
///   waits too long for its turn fails with `Overloaded`. A read whose future is dropped gives its place back.
pub trait Store: Send + Sync + 'static {
    /// Queues the unit and waits for the commit that holds it.
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>>;

    /// One record, whoever asks: for the server itself.
    fn get<'a>(&'a self, entity: &'a str, id: &'a RecordId) -> ReadFuture<'a, At<Option<Stored>>>;

    /// One record as somebody sees it; `None` where it is missing or hidden.
    fn find<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
    ) -> ReadFuture<'a, At<Option<Stored>>>;

    /// What rules may ask of a person: everything that the read rules of the schema need.
    fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>>;

    /// Seq of the last change of a person's rights through these entities; 0 if there was none. A read scope that was bound at
    /// an earlier seq must be bound anew; asked after a read, it tells whether what was read may be shown.
    fn rights_changed<'a>(&'a self, person: &'a str, entities: &'a [EntityName]) -> ReadFuture<'a, Seq>;

    /// What changes for a subscriber who stands at `Differ::since` under an old read scope and has the rights of now (SEMANTICS R3).
    fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>>;

    /// Records of one entity, filtered, sorted and cut. No row behind the end of the page is read whole.
    fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>>;

    /// How many records there are, all or those that meet conditions.
    fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>>;

    /// The log after `after`, at most about `limit`, never splitting a unit.
    fn log(&self, after: Seq, limit: LogLimit) -> ReadFuture<'_, At<LogPage>>;

    /// The changes of one record before `before`, newest first, deletes and what came before them included: at least those
    /// that its entity's `history` covers, and of these what `who` may see of each. At most about `limit`. `None` for an entity
    /// without `history`.
    fn history<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> ReadFuture<'a, At<Option<Past>>>;

    /// What a resume of `scope` from `since` must know, in one read transaction.
    fn survey<'a>(&'a self, scope: &'a Scope, since: &'a Position) -> ReadFuture<'a, At<Survey>>;

    /// The head without reading a value, for answers that need only a position.
    fn head(&self) -> ReadFuture<'_, At<()>>;

    /// Fails once damage is known, by which writes are refused; reads go on as far as they find none.
    fn sound(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The future of a read.
pub type ReadFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A value and the position of the read transaction that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub epoch: Epoch,
    /// Head of the log.
    pub seq: Seq,
    /// Seq of the last trimmed entry; 0 while nothing was trimmed. Changes after it can be replayed.
    pub floor: Seq,
    pub generation: Generation,
    pub value: T,
}

impl<T> At<T> {
    /// Another value, true at the same position.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        let At { epoch, seq, floor, generation, value } = self;
        At { epoch, seq, floor, generation, value: change(value) }
    }
}

impl<T> At<Option<T>> {
    pub fn transpose(self) -> Option<At<T>> {
        let At { epoch, seq, floor, generation, value } = self;
        value.map(|value| At { epoch, seq, floor, generation, value })
    }
}

/// What one request commits: all of it or nothing, one position range, one idempotency key.
#[derive(Debug, Clone)]
pub struct Unit {
    pub ops: Vec<Op>,
    /// Id of the user who acts; `None` is anonymous.
    pub actor: Option<Arc<str>>,
    /// By whose rights the unit is judged, inside its transaction (SEMANTICS R9).
    pub asker: Asker,
    pub idempotency: Option<Idempotency>,
    /// Schema generation under which the ops were validated.
    pub generation: Generation,
    /// Becomes `created_at`, `updated_at` and the change's time.
    pub at: Timestamp,
}

/// One validated operation. Values are of the field's type, within its constraints; references are checked inside
/// the transaction.
#[derive(Debug, Clone)]
pub enum Op {
    /// All fields' values after defaults; the store itself fills in those of lookups. `fresh_id`: the server made the id, so it cannot have existed.
    Create {
        entity: EntityName,
        id: RecordId,
        values: Vec<Value>,
        fresh_id: bool,
    },
    /// The fields to set, lookups not among them; a PUT names every writable field. `omitted`: those among them that the request
    /// left out; the ones that the writer does not see are kept as they are.
    Update {
        entity: EntityName,
        id: RecordId,
        set: Vec<(FieldIndex, Value)>,
        omitted: Vec<FieldIndex>,
        if_version: Option<u64>,
    },
    Delete {
        entity: EntityName,
        id: RecordId,
        if_version: Option<u64>,
    },
}

impl Op {
    /// The entity of the record that the operation names.
    pub fn entity(&self) -> &EntityName {
        match self {
            Op::Create { entity, .. } | Op::Update { entity, .. } | Op::Delete { entity, .. } => entity,
        }
    }
}

/// SEMANTICS M1: stored with the effect, in its transaction.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key it is: a user, or the address of an anonymous caller.
    pub owner: Arc<str>,
    pub mid: MutationId,
    /// SHA-256 of the canonical JSON of the request.
    pub hash: [u8; 32],
}

/// The answer to a committed unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Seq of the unit's last entry; for a unit without entries the counter of its transaction; for a replayed one
    /// the seq of the read.
    pub seq: Seq,
    pub epoch: Epoch,
    /// One for each op, in order.
    pub results: Vec<OpResult>,
    /// The mutation id was known: nothing was done now; `results` hold today's records.
    pub replayed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OpResult {
    pub id: RecordId,
    pub status: OpStatus,
    /// The record after the op; `None` after a delete, or when a replayed record is gone.
    pub record: Option<Stored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpStatus {
    Created,
    Updated,
    /// An update that changed nothing: no version, no change.
    Unchanged,
    Deleted,
}

/// A record as bytes: what `Record::to_json` makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub version: u64,
    pub json: Bytes,
}

/// Why a unit was not committed. `op` is the index of the operation at fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// Or hidden from whoever asks.
    #[error("operation {op}: no such record")]
    NotFound { op: usize },
    /// The record may be seen, but this may not be done with it.
    #[error("operation {op}: the rule for {} does not allow it", operation.word())]
    Forbidden { op: usize, operation: Operation },
    /// A rule cannot be evaluated for this person.
    #[error("operation {op}: {error}")]
    Rule { op: usize, error: BindError },
    #[error("operation {op}: the record is at version {}", current.version)]
    VersionConflict { op: usize, current: Stored },
    #[error("operation {op}: the id is taken")]
    IdTaken { op: usize },
    #[error("operation {op}: the value of `{field}` is taken")]
    NotUnique { op: usize, field: Arc<str> },
    #[error("operation {op}: `{field}` refers to a record that does not exist")]
    UnknownReference { op: usize, field: Arc<str> },
    /// Without `entity` where its name would tell the writer of records that are as if absent.
    #[error("operation {op}: records of {} still refer to it", entity.as_deref().unwrap_or("other entities"))]
    Restricted { op: usize, entity: Option<EntityName> },
    #[error("operation {op}: more than {limit} other records would change or go with it")]
    CascadeTooLarge { op: usize, limit: usize },
    #[error("one request may change at most {entries} records and {bytes} bytes")]
    UnitTooLarge { entries: usize, bytes: usize },
    #[error("the mutation id was used for another request")]
    MutationReused,
    /// Validated under another schema generation: validate again.
    #[error("the schema changed meanwhile")]
    StaleGeneration,
    /// The queue is full.
    #[error("too many writes are waiting")]
    Overloaded,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    #[error("the disk is full")]
    StorageFull,
    #[error("the database cannot be written")]
    ReadOnly,
    /// Damage of the database is known, or was found by this unit.
    #[error("the database is damaged")]
    Damaged,
    /// For the log only, never for a client.
    #[error("storage: {0}")]
    Storage(String),
}

impl CommitError {
    /// The operation at fault; `None` where it is the unit or the store.
    pub fn op(&self) -> Option<usize> {
        match self {
            CommitError::NotFound { op }
            | CommitError::Forbidden { op, .. }
            | CommitError::Rule { op, .. }
            | CommitError::VersionConflict { op, .. }
            | CommitError::IdTaken { op }
            | CommitError::NotUnique { op, .. }
            | CommitError::UnknownReference { op, .. }
            | CommitError::Restricted { op, .. }
            | CommitError::CascadeTooLarge { op, .. } => Some(*op),
            CommitError::UnitTooLarge { .. }
            | CommitError::MutationReused
            | CommitError::StaleGeneration
            | CommitError::Overloaded
            | CommitError::Closed
            | CommitError::StorageFull
            | CommitError::ReadOnly
            | CommitError::Damaged
            | CommitError::Storage(_) => None,
        }
    }
}

/// Why a read failed. The texts are for the log, never for a client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("no reader was free")]
    Overloaded,
    #[error("no entity `{0}`")]
    UnknownEntity(String),
    /// Its read rule is false for this person, whatever records there are: as if it did not exist.
    #[error("no entity `{0}` for this person")]
    Closed(EntityName),
    /// A field that this person never sees, or that is shown with some records only and cannot be sorted or grouped by.
    #[error("`{0:?}` cannot be asked by this person")]
    HiddenColumn(Column, Hidden),
    /// A rule cannot be evaluated for this person.
    #[error("{0}")]
    Rule(BindError),
    /// The read was given up when it had stepped over so many rows.
    #[error("more than {rows} rows of {entity} would be stepped over")]
    TooBroad { entity: EntityName, rows: u64, advice: Advice },
    #[error("more than {MOST_GROUPS} groups of {entity}")]
    TooManyGroups { entity: EntityName },
    /// Made for another schema generation: ask again under the present one.
    #[error("the schema changed meanwhile")]
    StaleGeneration,
    /// What was to be read is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    #[error("storage: {0}")]
    Storage(String),
}

/// How far a column is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// As if it did not exist.
    Always,
    /// Shown with some records only: what is asked would tell of the others.
    Sometimes,
}

/// On whose behalf records are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// The server itself, or whoever owns the data folder: no rule applies.
    System,
    /// Bound inside the read's own transaction.
    Person(Arc<Person>),
    /// Bound before, filter and all: the caller asks `rights_changed` after the read, and only then shows what was read.
    ReadScope(Arc<ReadScope>),
}

/// A subscriber whose rights changed, or may have.
#[derive(Debug, Clone)]
pub struct Differ {
    pub person: Arc<Person>,
    pub scope: Scope,
    /// What the peer saw up to `since`.
    pub old: Arc<ReadScope>,
    /// The filter of the channel, bound to nobody.
    pub filter: Vec<Condition>,
    /// The peer knows everything up to here.
    pub since: Seq,
    /// Records at most, and bytes of them; a larger difference is a snapshot.
    pub limit: LogLimit,
}

/// The answer to `Differ`, true at its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// For the new read scope of this and every other subscription of the person.
    pub principal: Principal,
    pub steps: Steps,
}

/// By id, each record once.
#[derive(Debug, Clone, PartialEq)]
pub enum Steps {
    Few(Vec<Step>),
    /// More than the limit, or `since` is below the floor: a snapshot says it shorter.
    Many,
    /// A rule fails: nothing of the entity may be shown. (One that is closed now has no failing rule: everything is lost.)
    Failed(BindError),
}

/// What becomes of one record for the subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub id: RecordId,
    pub verdict: Verdict,
    /// As it is shown now; `None` where it is not.
    pub record: Option<Stored>,
}

/// Principal about a resume. All false or zero where `known` is false.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The epoch is one of this database's and `since` is not beyond its end (SEMANTICS P7).
    pub known: bool,
    /// The log after `since` holds a schema marker.
    pub schema_changed: bool,
    /// Changes of the scope after `since`; counted up to one million.
    pub backlog: u64,
    /// Records of the scope now; counted up to one million.
    pub rows: u64,
}
