//! The change log's entries, and how they are read and announced.

use std::sync::Arc;

use bytes::Bytes;

use super::Decoded;
use crate::ids::{Epoch, MutationId, RecordId, Seq, Timestamp};
use crate::rules::{BindError, Principal, ReadScope};
use crate::schema::{Entity, EntityName, Generation};

/// Bounds of one page of the log: it ends with the unit that reaches one of them.
#[derive(Debug, Clone, Copy)]
pub struct LogLimit {
    pub changes: usize,
    pub bytes: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LogPage {
    /// Changes in seq order. They end at `to`, which is `after` when there are none; the log continues when
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
    /// Why it was made, where that is no one's request.
    pub cause: Option<ChangeCause>,
    /// The persons whose rights may change with it, from this seq on (SEMANTICS R1). Known of what is announced; of what is read
    /// from the log `Store::rights_changed` tells it.
    pub rights: Vec<Arc<str>>,
    pub decoded: Decoded,
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
        // Of an update whose outcome is not shown, the record before it tells.
        let before = || self.decoded.rows().and_then(|rows| rows.old.as_ref()).map(|old| old.version + 1);
        image.map(|image| image.version).or_else(before).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeOp {
    Create,
    Update,
    Delete,
    /// A new schema generation: no client resumes across it.
    Schema,
}

impl ChangeOp {
    /// As histories and the activity name it.
    pub fn word(self) -> &'static str {
        match self {
            ChangeOp::Create => "create",
            ChangeOp::Update => "update",
            ChangeOp::Delete => "delete",
            ChangeOp::Schema => "schema",
        }
    }
}

/// What made a change that no one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeCause {
    /// The record's time was over (SEMANTICS X4).
    Expired,
}

impl ChangeCause {
    /// As frames, histories and the activity name it.
    pub fn word(self) -> &'static str {
        match self {
            ChangeCause::Expired => "expired",
        }
    }
}

/// One group commit, or several in a row that are fanned out as one, in seq order. Holds at least one change.
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

    /// What a person sees of it, without a filter: a record is asked for by its id, everything else is listed.
    pub fn bind(
        &self,
        entity: &Arc<Entity>,
        generation: Generation,
        principal: &Principal,
    ) -> Result<ReadScope, BindError> {
        match self {
            Scope::Entity(_) => ReadScope::bind_list(entity, generation, principal),
            Scope::Record(..) => ReadScope::bind(entity, generation, principal),
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
