//! One unit inside the transaction of its group: the mutation id, then every operation, then what is judged at the end, then
//! the log entries, then the answer that is remembered.
//!
//! Does not know queues, commits or a backend. It never takes anything back: its caller does, when it is refused.

use std::sync::Arc;

use super::caused::Caused;
use super::context::UnitContext;
use super::end_checks::{EndChecks, Judged};
use super::fault::{Fault, refuse};
use super::idempotency;
use super::permission::Permission;
use super::transaction::{AnsweredOp, Transaction};
use super::unit_log::{UnitLog, UnitMark};
use crate::ids::{RecordId, Seq, Timestamp};
use crate::schema::{FieldIndex, Value};
use crate::store::relations::{LookupReach, Relations};
use crate::store::{Change, CommitError, Evidence, LeaseProof, Op, OpResult, OpStatus, Unit, Witness};

/// A unit that was applied: its answer, without the epoch, and its log entries.
#[derive(Debug)]
pub struct AppliedUnit {
    pub seq: Seq,
    pub results: Vec<OpResult>,
    /// The mutation id was known: nothing was done.
    pub replayed: bool,
    pub entries: Vec<Change>,
    /// Of the images of the entries.
    pub bytes: usize,
    /// An answer to a mutation id was stored.
    pub remembered: bool,
    /// The time in the newest id that the server made for it.
    pub newest_id: Option<Timestamp>,
}

/// Applies a unit to a transaction whose log ends at `start`. One that is refused may have been written in part, if
/// `may_fail_after_writing` says so.
pub async fn apply<T: Transaction>(
    transaction: &mut T,
    context: UnitContext<'_>,
    mut unit: Unit,
    start: Seq,
) -> Result<AppliedUnit, Fault<T::Error>> {
    if unit.generation != context.generation {
        return refuse(CommitError::StaleGeneration);
    }
    let judged = match unit.ops[..] {
        [] | [Op::Create { .. } | Op::Update { .. } | Op::Delete { .. } | Op::Lease(_)] => Judged::Each,
        _ => Judged::Together,
    };
    let ops = std::mem::take(&mut unit.ops);
    let Some(key) = &unit.idempotency else {
        return Work::begin(transaction, context, &unit, start, judged).run(ops).await;
    };
    if let Some(done) = idempotency::recall(transaction, key).await? {
        return Work::begin(transaction, context, &unit, start, judged).replay(start, done).await;
    }
    let entities: Vec<_> = ops.iter().map(|op| op.entity().clone()).collect();
    let applied = Work::begin(transaction, context, &unit, start, judged).run(ops).await?;
    let done: Vec<AnsweredOp> = entities
        .into_iter()
        .zip(&applied.results)
        .map(|(entity, result)| AnsweredOp { entity, id: result.id.clone(), status: result.status })
        .collect();
    transaction.remember(key, applied.seq, &done).await?;
    Ok(AppliedUnit { remembered: true, ..applied })
}

/// Whether a unit of these operations may be refused after it wrote something. A single create, or an update that no other record
/// follows, is judged before its first write.
pub fn may_fail_after_writing(relations: &Relations, ops: &[Op]) -> bool {
    match ops {
        [] | [Op::Lease(_)] => false,
        [Op::Create { entity, .. }] => causes(relations, entity),
        [Op::Update { entity, set, .. }] => relations.get(entity).is_some_and(|relation| {
            let reach = |field: FieldIndex| relation.reach.get(field.0);
            !relation.entity.triggers.is_empty()
                || set.iter().any(|(field, _)| reach(*field) == Some(&LookupReach::Others))
        }),
        [Op::Delete { entity, .. }] => {
            causes(relations, entity)
                || relations.get(entity).is_some_and(|relation| !relation.referrers.is_empty())
        }
        _ => true,
    }
}

fn causes(relations: &Relations, entity: &str) -> bool {
    relations.get(entity).is_some_and(|relation| !relation.entity.triggers.is_empty())
}

/// A unit on its way.
pub struct Work<'a, T> {
    pub(super) transaction: &'a mut T,
    pub(super) context: UnitContext<'a>,
    pub(super) permission: Permission<'a>,
    pub(super) log: UnitLog,
    pub(super) judged: Judged,
    pub(super) end_checks: EndChecks<'a>,
    /// Under which leases its operations write.
    pub(super) leases: Vec<LeaseProof>,
    pub(super) newest_id: Option<Timestamp>,
    witness: Option<Arc<Witness>>,
    /// Whether what is written causes what the schema says. Not in an import, which brings back what was caused before.
    pub(super) reacts: bool,
    pub(super) caused: Caused,
}

/// What a create asks for.
pub(super) struct NewRecord {
    pub(super) id: RecordId,
    pub(super) values: Vec<Value>,
    /// The server made the id.
    pub(super) fresh_id: bool,
}

/// What an update asks for.
pub(super) struct Edit {
    pub(super) set: Vec<(FieldIndex, Value)>,
    pub(super) omitted: Vec<FieldIndex>,
    pub(super) if_version: Option<u64>,
}

impl<'a, T: Transaction> Work<'a, T> {
    /// For callers that apply operations one by one, which trigger nothing; `apply` does all of a unit.
    pub fn begin(
        transaction: &'a mut T,
        context: UnitContext<'a>,
        unit: &Unit,
        start: Seq,
        judged: Judged,
    ) -> Work<'a, T> {
        let mut permission = Permission::new(context.relations, &unit.asker, unit.at);
        permission.explains = unit.witness.is_some();
        Work {
            transaction,
            context,
            permission,
            log: UnitLog::new(context, unit, start),
            judged,
            end_checks: EndChecks::default(),
            leases: unit.leases.clone(),
            newest_id: None,
            witness: unit.witness.clone(),
            reacts: false,
            caused: Caused::default(),
        }
    }

    /// How much the unit holds. Code that rolls the transaction back to a mark rolls the unit back with it.
    pub fn mark(&self) -> UnitMark {
        self.log.mark()
    }

    pub fn back_to(&mut self, mark: UnitMark) {
        self.log.back_to(mark);
        self.permission.facts.forget();
    }

    /// Writes the log entries of a unit whose operations were applied one by one.
    pub async fn close(&mut self) -> Result<AppliedUnit, T::Error> {
        self.finish(Vec::new()).await
    }

    async fn run(&mut self, ops: Vec<Op>) -> Result<AppliedUnit, Fault<T::Error>> {
        self.reacts = true;
        match self.run_all(ops).await {
            Err(Fault::Refused(refusal)) => {
                if let Some(witness) = &self.witness
                    && let Some(evidence) = self.permission.evidence_of(&refusal)
                {
                    let position = self.log.start();
                    witness.testify(Box::new(Evidence { position, ..*evidence }));
                }
                refuse(self.caused.told(refusal))
            }
            settled => settled,
        }
    }

    async fn run_all(&mut self, ops: Vec<Op>) -> Result<AppliedUnit, Fault<T::Error>> {
        self.permission.involve(ops.iter().map(Op::entity));
        let mut results = Vec::with_capacity(ops.len());
        for (at, op) in ops.into_iter().enumerate() {
            results.push(self.op(at, op).await?);
        }
        if let Err(fault) = self.end_checks.judge(&*self.transaction, self.context).await {
            return Err(self.permission.discreet(&*self.transaction, fault).await);
        }
        Ok(self.finish(results).await?)
    }

    async fn finish(&mut self, results: Vec<OpResult>) -> Result<AppliedUnit, T::Error> {
        self.transaction.append(self.log.complete()).await?;
        Ok(AppliedUnit {
            seq: self.log.head(),
            results,
            replayed: false,
            entries: std::mem::take(&mut self.log.entries),
            bytes: self.log.bytes,
            remembered: false,
            newest_id: self.newest_id,
        })
    }

    /// The answer of long ago with the records of today, as of this transaction, as the writer sees them today.
    async fn replay(&mut self, seq: Seq, done: Vec<AnsweredOp>) -> Result<AppliedUnit, Fault<T::Error>> {
        self.permission.involve(done.iter().map(|done| &done.entity));
        let mut results = Vec::with_capacity(done.len());
        for AnsweredOp { entity, id, status } in done {
            let mut record = None;
            if !matches!(status, OpStatus::Many(_) | OpStatus::Lease(_))
                && let Some(relation) = self.context.relations.get(&entity)
                && let Some(stored) = self.transaction.record(relation, id.as_str()).await?
            {
                record = self.permission.stored(&*self.transaction, relation, &stored).await?;
            }
            results.push(OpResult { id, status, record });
        }
        Ok(AppliedUnit {
            seq,
            results,
            replayed: true,
            entries: Vec::new(),
            bytes: 0,
            remembered: false,
            newest_id: None,
        })
    }

    /// Applies one operation. `at` is its index in the unit.
    pub async fn op(&mut self, at: usize, op: Op) -> Result<OpResult, Fault<T::Error>> {
        let relation = self.context.relation(op.entity())?;
        let mut result = match op {
            Op::Create { id, values, fresh_id, .. } => {
                self.create(at, relation, NewRecord { id, values, fresh_id }).await?
            }
            Op::Update { id, set, omitted, if_version, .. } => {
                self.require_lease(at, relation, &id).await?;
                self.update(at, relation, id, Edit { set, omitted, if_version }).await?
            }
            Op::Delete { id, if_version, .. } => {
                self.require_lease(at, relation, &id).await?;
                self.delete(at, relation, id, if_version).await?
            }
            // Each of its records has been followed by what it causes.
            Op::Many(_) if relation.entity.lease_required && self.permission.person().is_some() => {
                return refuse(CommitError::LeaseRequired { op: at });
            }
            Op::Many(many) => {
                // It counts what it refuses, and says of none of them why.
                self.permission.explains = false;
                return self.many(relation, *many).await;
            }
            Op::Lease(lease) => return self.lease(at, relation, *lease).await,
        };
        if !self.caused.entries.is_empty() {
            self.react(at).await?;
            // What was caused may have changed the record itself.
            if result.record.is_some() {
                let stored = self.transaction.record(relation, result.id.as_str()).await?;
                result.record = match stored {
                    Some(stored) => self.permission.stored(&*self.transaction, relation, &stored).await?,
                    None => None,
                };
            }
        }
        Ok(result)
    }
}
