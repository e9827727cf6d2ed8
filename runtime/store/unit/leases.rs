//! The lease of a record inside a unit: who gets it and keeps it, and whether an operation that names one, or must name one, may
//! happen (SEMANTICS Y6).
//!
//! Knows no connection. A lease ends with its record (`writes.rs`). What follows from a write (cascades, lookups, `[[on]]`) is not
//! asked for a lease, and neither is the server itself.

use super::fault::{Fault, refuse};
use super::permission::{Attempt, Permission};
use super::transaction::Transaction;
use super::work::Work;
use crate::ids::RecordId;
use crate::rules::Asker;
use crate::schema::Operation;
use crate::store::relations::Relation;
use crate::store::{
    CommitError, Lease, LeaseAct, LeaseOp, LeaseStanding, LeaseState, LeaseStep, OpResult, OpStatus,
};

impl<'a, T: Transaction> Work<'a, T> {
    /// Judged before anything is written.
    pub(super) async fn lease(
        &mut self,
        at: usize,
        relation: &'a Relation,
        op: LeaseOp,
    ) -> Result<OpResult, Fault<T::Error>> {
        let LeaseOp { id, act, .. } = op;
        let person = self.permission.person().and_then(|person| person.id.clone());
        match &act {
            LeaseAct::Acquire { .. } | LeaseAct::Renew { .. } => {
                let record = self.current(at, relation, &id, None).await?;
                let attempt =
                    Attempt { op: at, operation: Operation::Lease, record: &record, proposal: None };
                self.permission.require(&*self.transaction, &relation.entity, attempt).await?;
            }
            LeaseAct::Pass { to, .. } => {
                let record = self.current(at, relation, &id, None).await?;
                let asker = Asker::Person(to.clone());
                let mut theirs = Permission::new(self.context.relations, &asker, self.log.at);
                theirs.involve(std::iter::once(&relation.entity.name));
                let attempt =
                    Attempt { op: at, operation: Operation::Lease, record: &record, proposal: None };
                let sees = theirs.sees(&*self.transaction, at, relation, &record).await?;
                let may = theirs.require(&*self.transaction, &relation.entity, attempt).await;
                match may {
                    Ok(()) if sees => {}
                    Ok(()) | Err(Fault::Refused(_)) => return refuse(CommitError::LeaseNotPassed { op: at }),
                    Err(broken @ Fault::Broken(_)) => return Err(broken),
                }
            }
            // A user who loses sight of a record can still give up its lease.
            LeaseAct::Release { .. } | LeaseAct::End { .. } => {}
        }
        let held = self.transaction.lease(relation, &id).await?;
        let held = held.filter(|lease| lease.is_held(self.log.at));
        let standing = match &held {
            None => LeaseStanding::Free,
            Some(lease) if Some(&lease.holder) == person.as_ref() => LeaseStanding::Mine,
            Some(_) => LeaseStanding::Theirs,
        };
        let fits = held.as_ref().map(|lease| lease.fence) == act.fence();
        let until = act.until().unwrap_or(self.log.at);
        let state = match (act.step(standing, fits), held) {
            (LeaseStep::Grant, _) => {
                let holder = match &act {
                    LeaseAct::Pass { to, .. } => to.id.clone(),
                    LeaseAct::Acquire { .. }
                    | LeaseAct::Renew { .. }
                    | LeaseAct::Release { .. }
                    | LeaseAct::End { .. } => person,
                };
                // Anonymous callers hold nothing: no one could tell one from another.
                let Some(holder) = holder else {
                    return refuse(CommitError::Forbidden { op: at, operation: Operation::Lease });
                };
                let fence = self.transaction.next_fence().await?;
                let lease = Lease { holder, fence, until };
                self.transaction.set_lease(relation, &id, Some(&lease)).await?;
                LeaseState::Held { fence, until }
            }
            (LeaseStep::Extend, Some(lease)) => {
                let lease = Lease { until: until.max(lease.until), ..lease };
                self.transaction.set_lease(relation, &id, Some(&lease)).await?;
                LeaseState::Held { fence: lease.fence, until: lease.until }
            }
            (LeaseStep::Keep, Some(lease)) => LeaseState::Held { fence: lease.fence, until: lease.until },
            (LeaseStep::Clear, _) => {
                self.transaction.set_lease(relation, &id, None).await?;
                LeaseState::Free
            }
            (LeaseStep::Keep, None) => LeaseState::Free,
            (LeaseStep::RefuseHeld, Some(lease)) => {
                return refuse(CommitError::LeaseHeld { op: at, holder: lease.holder, until: lease.until });
            }
            (LeaseStep::RefuseLost | LeaseStep::Extend | LeaseStep::RefuseHeld, _) => {
                return refuse(CommitError::LeaseLost { op: at });
            }
        };
        Ok(OpResult { id, status: OpStatus::Lease(state), record: None })
    }

    /// Refuses an operation of a client that names a lease which its writer does not hold, or that names none where the entity
    /// wants one. A record that the writer does not see is missing before anything is said of its lease.
    pub(super) async fn require_lease(
        &mut self,
        at: usize,
        relation: &Relation,
        id: &RecordId,
    ) -> Result<(), Fault<T::Error>> {
        let proof = self.leases.iter().find(|proof| proof.op == at).copied();
        let Some(person) = self.permission.person().cloned() else { return Ok(()) };
        if proof.is_none() && !relation.entity.lease_required {
            return Ok(());
        }
        self.current(at, relation, id, None).await?;
        let Some(proof) = proof else { return refuse(CommitError::LeaseRequired { op: at }) };
        let held = self.transaction.lease(relation, id).await?;
        let is_theirs = |lease: &Lease| {
            lease.is_held(self.log.at)
                && lease.fence == proof.fence
                && person.id.as_ref() == Some(&lease.holder)
        };
        if held.is_some_and(|lease| is_theirs(&lease)) {
            Ok(())
        } else {
            refuse(CommitError::LeaseLost { op: at })
        }
    }
}
