//! `Unit`: what one request commits, and what is answered.
//!
//! Knows no rule; `unit/` applies a unit.

use std::sync::Arc;

use super::{LeaseOp, LeaseProof, LeaseState, Stored, Witness};
use crate::ids::{Epoch, MutationId, RecordId, Seq, Timestamp};
use crate::rules::{Asker, Condition};
use crate::schema::{EntityName, FieldIndex, Generation, Value};

/// What one request commits: all of it or nothing, one position range, one idempotency key.
#[derive(Debug, Clone)]
pub struct Unit {
    pub ops: Vec<Op>,
    /// Id of the user who acts; `None` is anonymous.
    pub actor: Option<Arc<str>>,
    /// By whose rights the unit is judged, inside its transaction (SEMANTICS R9).
    pub asker: Asker,
    pub idempotency: Option<Idempotency>,
    /// Under which leases operations write, by their index.
    pub leases: Vec<LeaseProof>,
    /// Schema generation under which the ops were validated.
    pub generation: Generation,
    /// Becomes `created_at`, `updated_at` and the change's time.
    pub at: Timestamp,
    /// Is told why the unit is refused.
    pub witness: Option<Arc<Witness>>,
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
    /// Stands alone in its unit.
    Many(Box<Many>),
    /// Stands alone in its unit, and leaves no log entry.
    Lease(Box<LeaseOp>),
}

/// One change or delete of many records, each judged for itself (SEMANTICS X9). An error about one of them names its place in
/// `ids` as the operation.
#[derive(Debug, Clone)]
pub struct Many {
    pub entity: EntityName,
    /// The records that a read found, ascending. Each is asked again in the transaction: one that is gone, that the writer may not
    /// see, or that no longer meets `filter` is passed over.
    pub ids: Vec<RecordId>,
    /// Further records follow the last of `ids`.
    pub more: bool,
    pub filter: Vec<Condition>,
    pub edit: ManyEdit,
}

/// What becomes of each record.
#[derive(Debug, Clone)]
pub enum ManyEdit {
    /// The fields to set, lookups not among them.
    Update(Vec<(FieldIndex, Value)>),
    Delete,
    /// A delete by the server, because the record's time is over. What goes with it is deleted as ever.
    Expire,
}

impl Op {
    /// The entity of the record that the operation names.
    pub fn entity(&self) -> &EntityName {
        match self {
            Op::Create { entity, .. } | Op::Update { entity, .. } | Op::Delete { entity, .. } => entity,
            Op::Many(many) => &many.entity,
            Op::Lease(lease) => &lease.entity,
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
    /// Of a change of many the last record that was looked at; empty where there was none.
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
    Many(Tally),
    Lease(LeaseState),
}

/// What a change of many did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub changed: u32,
    /// Records that the writer may see, but not change in this way.
    pub refused: u32,
    /// Further records may follow `OpResult::id`.
    pub more: bool,
}
