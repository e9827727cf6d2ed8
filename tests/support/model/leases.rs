//! The model's leases: one row for each record, and a number that only grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire::ids::{RecordId, Timestamp};
use tidewire::rules::Person;
use tidewire::schema::{Entity, Operation};
use tidewire::store::{CommitError, Lease, LeaseAct, LeaseOp, LeaseState, OpResult, OpStatus, RecordLease};

use super::Key;
use super::sight::asker;
use super::unit::{Draft, Judge};
use crate::support::oracle::Everything;

#[derive(Clone)]
pub(super) struct ModelLease {
    holder: Arc<str>,
    fence: u64,
    until: Timestamp,
}

/// Every lease, expired or not.
pub(super) fn stored(leases: &BTreeMap<Key, ModelLease>) -> Vec<RecordLease> {
    let row = |((entity, id), lease): (&Key, &ModelLease)| {
        let ModelLease { holder, fence, until } = lease.clone();
        RecordLease { entity: entity.clone(), id: id.clone(), lease: Lease { holder, fence, until } }
    };
    leases.iter().map(row).collect()
}

impl Draft<'_> {
    pub(super) fn lease(
        &mut self,
        at: usize,
        entity: &Entity,
        op: &LeaseOp,
    ) -> Result<OpResult, CommitError> {
        let me = self.writer();
        let key = (entity.name.clone(), op.id.clone());
        let now = self.unit.at;
        let held = self.state.leases.get(&key).filter(|lease| lease.until > now).cloned();
        let mine = |fence: Option<u64>| {
            let lease = held.clone().filter(|lease| Some(&lease.holder) == me.as_ref());
            lease.filter(|lease| fence.is_none_or(|fence| lease.fence == fence))
        };
        let lost = CommitError::LeaseLost { op: at };
        let row = match &op.act {
            LeaseAct::Acquire { until } => {
                self.may_lease(at, entity, &op.id, &self.judge())?;
                let Some(me) = me.clone() else {
                    return Err(CommitError::Forbidden { op: at, operation: Operation::Lease });
                };
                match (mine(None), held) {
                    (Some(own), _) => Some(ModelLease { until: own.until.max(*until), ..own }),
                    (None, Some(other)) => {
                        let ModelLease { holder, until, .. } = other;
                        return Err(CommitError::LeaseHeld { op: at, holder, until });
                    }
                    (None, None) => Some(ModelLease { holder: me, fence: self.fence(), until: *until }),
                }
            }
            LeaseAct::Renew { fence, until } => {
                self.may_lease(at, entity, &op.id, &self.judge())?;
                let own = mine(Some(*fence)).ok_or(lost)?;
                Some(ModelLease { until: own.until.max(*until), ..own })
            }
            LeaseAct::Pass { fence, to, until } => {
                self.current(at, entity, &op.id, None, &self.judge())?;
                let theirs = Judge::of(asker(&self.store.schema, &self.state.records, to));
                let refused = CommitError::LeaseNotPassed { op: at };
                self.may_lease(at, entity, &op.id, &theirs).map_err(|_| refused)?;
                mine(Some(*fence)).ok_or(lost)?;
                let holder = to.id.clone().unwrap();
                Some(ModelLease { holder, fence: self.fence(), until: *until })
            }
            LeaseAct::Release { fence } => {
                mine(Some(*fence)).ok_or(lost)?;
                None
            }
            LeaseAct::End { fence } => held.filter(|lease| fence.is_some_and(|fence| fence != lease.fence)),
        };
        let state = match &row {
            Some(lease) => LeaseState::Held { fence: lease.fence, until: lease.until },
            None => LeaseState::Free,
        };
        match row {
            Some(lease) => drop(self.state.leases.insert(key, lease)),
            None => drop(self.state.leases.remove(&key)),
        }
        Ok(OpResult { id: op.id.clone(), status: OpStatus::Lease(state), record: None })
    }

    /// What a client writes needs the lease that it names, or that its entity wants.
    pub(super) fn require_lease(&self, at: usize, entity: &Entity, id: &RecordId) -> Result<(), CommitError> {
        let Some(person) = self.person() else { return Ok(()) };
        let named = self.unit.leases.iter().find(|proof| proof.op == at);
        if named.is_none() && !entity.lease_required {
            return Ok(());
        }
        self.current(at, entity, id, None, &self.judge())?;
        let named = named.ok_or(CommitError::LeaseRequired { op: at })?;
        let row = self.state.leases.get(&(entity.name.clone(), id.clone()));
        let holds = row.is_some_and(|lease| {
            lease.fence == named.fence
                && lease.until > self.unit.at
                && person.id.as_ref() == Some(&lease.holder)
        });
        if holds { Ok(()) } else { Err(CommitError::LeaseLost { op: at }) }
    }

    fn may_lease(&self, at: usize, entity: &Entity, id: &RecordId, judge: &Judge) -> Result<(), CommitError> {
        let record = self.current(at, entity, id, None, judge)?;
        let everything = Everything { records: &self.state.records, now: self.unit.at };
        judge.require((at, Operation::Lease), entity, &record, (None, everything))
    }

    fn fence(&mut self) -> u64 {
        self.state.fence += 1;
        self.state.fence
    }

    fn writer(&self) -> Option<Arc<str>> {
        self.person().and_then(|person| person.id.clone())
    }

    /// `None`: the server itself.
    pub(super) fn person(&self) -> Option<&Arc<Person>> {
        match &self.unit.asker {
            tidewire::rules::Asker::System => None,
            tidewire::rules::Asker::Person(person) => Some(person),
        }
    }
}
