//! Why a unit was not committed, and why a read failed.
//!
//! Knows no status and no code of a protocol.

use std::sync::Arc;

use super::{Advice, MOST_GROUPS, Stored};
use crate::ids::Timestamp;
use crate::rules::BindError;
use crate::schema::{Column, EntityName, Operation};

/// Why a unit was not committed. `op` is the index of the operation at fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// Or hidden from the caller.
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
    /// One field, or the fields of a `[[unique]]`.
    #[error("operation {op}: the value of `{}` is taken", fields.join("`, `"))]
    NotUnique { op: usize, fields: Vec<Arc<str>> },
    #[error("operation {op}: `{field}` refers to a record that does not exist")]
    UnknownReference { op: usize, field: Arc<str> },
    #[error("operation {op}: the sequence `{field}` has no number left")]
    NoNumber { op: usize, field: Arc<str> },
    /// Without `entity` where its name would tell the writer of records that are as if absent.
    #[error("operation {op}: records of {} still refer to it", entity.as_deref().unwrap_or("other entities"))]
    Restricted { op: usize, entity: Option<EntityName> },
    #[error("operation {op}: more than {limit} other records would change or go with it")]
    CascadeTooLarge { op: usize, limit: usize },
    /// What an `[[on]]` of the entity wanted could not be done. `why` is for the log: it may tell of records that the writer does not
    /// see.
    #[error("operation {op}: what follows a write of {entity} failed: {why}")]
    TriggerFailed { op: usize, entity: EntityName, why: Arc<str> },
    /// Another user holds the lease of the record.
    #[error("operation {op}: `{holder}` holds the lease")]
    LeaseHeld { op: usize, holder: Arc<str>, until: Timestamp },
    /// The writer does not hold the lease that the operation names, or no longer.
    #[error("operation {op}: the lease is not held under this number")]
    LeaseLost { op: usize },
    /// The entity wants a lease, and the operation names none.
    #[error("operation {op}: a lease of the record is required")]
    LeaseRequired { op: usize },
    /// The user to whom the lease would be passed may not hold it.
    #[error("operation {op}: the rule for lease does not allow it to that user")]
    LeaseNotPassed { op: usize },
    /// A value of an `[[on]]` is outside the limits of its field, or a required one is missing. Told as `TriggerFailed` only.
    #[error("operation {op}: a value does not keep the limits of its field")]
    Unfit { op: usize },
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
    /// The same of another operation.
    #[must_use]
    pub fn at(mut self, other: usize) -> CommitError {
        if let CommitError::NotFound { op }
        | CommitError::Forbidden { op, .. }
        | CommitError::Rule { op, .. }
        | CommitError::VersionConflict { op, .. }
        | CommitError::IdTaken { op }
        | CommitError::NotUnique { op, .. }
        | CommitError::UnknownReference { op, .. }
        | CommitError::NoNumber { op, .. }
        | CommitError::Restricted { op, .. }
        | CommitError::CascadeTooLarge { op, .. }
        | CommitError::TriggerFailed { op, .. }
        | CommitError::LeaseHeld { op, .. }
        | CommitError::LeaseLost { op }
        | CommitError::LeaseRequired { op }
        | CommitError::LeaseNotPassed { op }
        | CommitError::Unfit { op } = &mut self
        {
            *op = other;
        }
        self
    }

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
            | CommitError::NoNumber { op, .. }
            | CommitError::Restricted { op, .. }
            | CommitError::CascadeTooLarge { op, .. }
            | CommitError::TriggerFailed { op, .. }
            | CommitError::LeaseHeld { op, .. }
            | CommitError::LeaseLost { op }
            | CommitError::LeaseRequired { op }
            | CommitError::LeaseNotPassed { op }
            | CommitError::Unfit { op } => Some(*op),
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
