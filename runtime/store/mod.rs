//! `trait Store`: commit a unit, read at a position, read the log after a seq. One ordered change log, written in
//! the transaction of the rows (G1), acknowledged when durable (G2).
//!
//! Knows nothing of HTTP, channels or connections. Every backend runs `tests/store_conformance.rs`.

pub mod migration;
mod query;
pub mod sqlite;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ids::{Epoch, MutationId, Position, RecordId, Seq, Timestamp};
use crate::schema::{EntityName, FieldIndex, Generation, Value};

pub use query::{
    Advice, Column, Condition, Count, Counted, Direction, Expand, ListPage, Listed, MOST_GROUPS, Query,
    Related, Test,
};

/// What a backend owes:
///
/// - A unit commits whole or not at all; a failing unit never fails its batch-mates.
/// - A lookup holds what its source holds, at every position (SEMANTICS R8): whatever changes the source changes, in
///   the same unit, every record that copies it, each with a log entry of its own. Nothing that an `Op` says of a lookup counts.
/// - Seqs are dense and in commit order. After the commit, first every writer of the batch has its answer, then the
///   batch goes out on the channel given at opening, once, in seq order.
/// - Every read is one read transaction: `At` holds the position at which the value is true, which is always the end
///   of a committed batch.
/// - `commit` may be awaited anywhere; the reads block and belong on a blocking thread, `get` excepted, which is
///   short enough to run in place.
pub trait Store: Send + Sync + 'static {
    /// Queues the unit and waits for the commit that holds it.
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>>;

    /// One record.
    fn get(&self, entity: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError>;

    /// Records of one entity, filtered, sorted and cut. No row behind the end of the page is read whole.
    fn list(&self, query: &Query) -> Result<At<ListPage>, StoreError>;

    /// How many records there are, all or those that meet conditions.
    fn count(&self, count: &Count) -> Result<At<Counted>, StoreError>;

    /// The log after `after`, at most about `limit`, never splitting a unit.
    fn log(&self, after: Seq, limit: LogLimit) -> Result<At<LogPage>, StoreError>;

    /// The changes of one record before `before`, newest first, deletes and what came before them included: at least those
    /// that its entity's `history` covers. At most about `limit`. `None` for an entity without `history`.
    fn history(
        &self,
        entity: &str,
        id: &RecordId,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError>;

    /// What a resume of `scope` from `since` must know, in one read transaction.
    fn survey(&self, scope: &Scope, since: &Position) -> Result<At<Survey>, StoreError>;

    /// The head without reading a value, for answers that need only a position.
    fn head(&self) -> Result<At<()>, StoreError>;
}

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
    /// The fields to set, lookups not among them; a PUT names every writable field.
    Update {
        entity: EntityName,
        id: RecordId,
        set: Vec<(FieldIndex, Value)>,
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
    #[error("operation {op}: no such record")]
    NotFound { op: usize },
    #[error("operation {op}: the record is at version {}", current.version)]
    VersionConflict { op: usize, current: Stored },
    #[error("operation {op}: the id is taken")]
    IdTaken { op: usize },
    #[error("operation {op}: the value of `{field}` is taken")]
    NotUnique { op: usize, field: Arc<str> },
    #[error("operation {op}: `{field}` refers to a record that does not exist")]
    UnknownReference { op: usize, field: Arc<str> },
    #[error("operation {op}: records of {entity} still refer to it")]
    Restricted { op: usize, entity: EntityName },
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
    /// For the log only, never for a client.
    #[error("storage: {0}")]
    Storage(String),
}

impl CommitError {
    /// The operation at fault; `None` where it is the unit or the store.
    pub fn op(&self) -> Option<usize> {
        match self {
            CommitError::NotFound { op }
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
    /// The read was given up when it had stepped over so many rows.
    #[error("more than {rows} rows of {entity} would be stepped over")]
    TooBroad { entity: EntityName, rows: u64, advice: Advice },
    #[error("more than {MOST_GROUPS} groups of {entity}")]
    TooManyGroups { entity: EntityName },
    /// Made for another schema generation: ask again under the present one.
    #[error("the schema changed meanwhile")]
    StaleGeneration,
    #[error("storage: {0}")]
    Storage(String),
}

/// Bounds of one page of the log: it ends with the unit that reaches one of them.
#[derive(Debug, Clone, Copy)]
pub struct LogLimit {
    pub changes: usize,
    pub bytes: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LogPage {
    /// Changes in seq order. They end at `to`, which is `after` when there are none; the log goes on when
    /// `to` < `At::seq`.
    Changes { changes: Vec<Arc<Change>>, to: Seq },
    /// `after` is below `At::floor`: what follows it is gone.
    BelowFloor,
}

/// A part of a record's history, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    pub changes: Vec<Arc<Change>>,
    /// Older changes follow.
    pub more: bool,
}

/// One log entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub seq: Seq,
    /// Empty for `ChangeOp::Schema`.
    pub entity: EntityName,
    pub id: RecordId,
    pub op: ChangeOp,
    /// JSON object: the old values of the changed fields; for a delete the whole record.
    pub before: Option<Bytes>,
    /// JSON object: the whole record after the change.
    pub after: Option<Bytes>,
    /// Names of the fields that an update changed, as a JSON array; `None` for other ops.
    pub changed: Option<Bytes>,
    pub actor: Option<Arc<str>>,
    pub mid: Option<MutationId>,
    pub at: Timestamp,
    /// The last entry of its unit.
    pub unit_last: bool,
    pub generation: Generation,
}

impl Change {
    /// Version of the record after the change; the last that it had before a delete. 0 for a schema marker.
    pub fn version(&self) -> u64 {
        #[derive(serde::Deserialize)]
        struct Image {
            version: u64,
        }
        let image = self.after.as_ref().or(self.before.as_ref());
        let image = image.and_then(|json| serde_json::from_slice::<Image>(json).ok());
        image.map_or(0, |image| image.version)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOp {
    Create,
    Update,
    Delete,
    /// A new schema generation: nobody resumes across it.
    Schema,
}

/// One group commit, in seq order. Holds at least one change.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitBatch {
    pub epoch: Epoch,
    pub changes: Vec<Arc<Change>>,
}

impl CommitBatch {
    /// Seq of the first change.
    pub fn first(&self) -> Seq {
        self.changes.first().map_or(Seq::ZERO, |change| change.seq)
    }

    /// Seq of the last change: the position after this batch.
    pub fn last(&self) -> Seq {
        self.changes.last().map_or(Seq::ZERO, |change| change.seq)
    }
}

/// The records that a channel is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    Entity(EntityName),
    Record(EntityName, RecordId),
}

impl Scope {
    pub fn entity(&self) -> &EntityName {
        match self {
            Scope::Entity(entity) | Scope::Record(entity, _) => entity,
        }
    }

    pub fn contains(&self, change: &Change) -> bool {
        match self {
            Scope::Entity(entity) => change.op != ChangeOp::Schema && *entity == change.entity,
            Scope::Record(entity, id) => {
                change.op != ChangeOp::Schema && *entity == change.entity && *id == change.id
            }
        }
    }
}

/// Facts about a resume. All false or zero where `known` is false.
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
