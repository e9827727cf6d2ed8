//! Leases: who may say "I am editing this record", for a while (SEMANTICS Y6). A lease is a row beside the records: it has no log entry.
//!
//! Knows no connection: when a holder is gone is said by `LeaseAct::End`.

use std::sync::Arc;

use crate::ids::{RecordId, Timestamp};
use crate::rules::Person;
use crate::schema::EntityName;

/// What the database has of a lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Id of the user.
    pub holder: Arc<str>,
    /// Higher than that of every earlier lease, of this record and of others.
    pub fence: u64,
    /// From here on it is held by no one.
    pub until: Timestamp,
}

/// The lease of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLease {
    pub entity: EntityName,
    pub id: RecordId,
    pub lease: Lease,
}

/// What is to become of the lease of a record.
#[derive(Debug, Clone)]
pub struct LeaseOp {
    pub entity: EntityName,
    pub id: RecordId,
    pub act: LeaseAct,
}

#[derive(Debug, Clone)]
pub enum LeaseAct {
    /// The writer takes it, or keeps what they have.
    Acquire {
        until: Timestamp,
    },
    Renew {
        fence: u64,
        until: Timestamp,
    },
    /// Another user gets it, under another number.
    Pass {
        fence: u64,
        to: Arc<Person>,
        until: Timestamp,
    },
    Release {
        fence: u64,
    },
    /// By the server or an administrator: that of this number, or whatever there is.
    End {
        fence: Option<u64>,
    },
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    Held { fence: u64, until: Timestamp },
    Free,
}

/// An operation of a unit says under which lease it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseProof {
    /// Index of the operation.
    pub op: usize,
    pub fence: u64,
}

/// Whose the lease of a record is at one moment, as one user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStanding {
    Free,
    Mine,
    Theirs,
}

/// The row that follows from an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStep {
    /// Of a new number.
    Grant,
    /// The same number for longer.
    Extend,
    Clear,
    /// Nothing changes.
    Keep,
    /// Another user has it.
    RefuseHeld,
    /// The writer does not have it, or no longer.
    RefuseLost,
}

impl Lease {
    /// Whether it is held at this moment.
    pub fn is_held(&self, at: Timestamp) -> bool {
        at < self.until
    }
}

impl LeaseAct {
    /// What is done about a lease that stands so; `fits`: the act names its number. Total: every act has an answer to every standing.
    pub fn step(&self, standing: LeaseStanding, fits: bool) -> LeaseStep {
        match (self, standing) {
            (LeaseAct::Acquire { .. }, LeaseStanding::Free) => LeaseStep::Grant,
            (LeaseAct::Acquire { .. }, LeaseStanding::Mine) => LeaseStep::Extend,
            (LeaseAct::Acquire { .. }, LeaseStanding::Theirs) => LeaseStep::RefuseHeld,
            (LeaseAct::Renew { .. }, LeaseStanding::Mine) if fits => LeaseStep::Extend,
            (LeaseAct::Pass { .. }, LeaseStanding::Mine) if fits => LeaseStep::Grant,
            (LeaseAct::Release { .. }, LeaseStanding::Mine) if fits => LeaseStep::Clear,
            (LeaseAct::Renew { .. } | LeaseAct::Pass { .. } | LeaseAct::Release { .. }, _) => {
                LeaseStep::RefuseLost
            }
            (LeaseAct::End { .. }, LeaseStanding::Free) => LeaseStep::Keep,
            (LeaseAct::End { fence: None }, _) => LeaseStep::Clear,
            (LeaseAct::End { fence: Some(_) }, _) if fits => LeaseStep::Clear,
            (LeaseAct::End { fence: Some(_) }, _) => LeaseStep::Keep,
        }
    }

    /// The number that the act names.
    pub fn fence(&self) -> Option<u64> {
        match self {
            LeaseAct::Renew { fence, .. } | LeaseAct::Pass { fence, .. } | LeaseAct::Release { fence } => {
                Some(*fence)
            }
            LeaseAct::End { fence } => *fence,
            LeaseAct::Acquire { .. } => None,
        }
    }

    /// Until when the lease lasts that follows.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            LeaseAct::Acquire { until } | LeaseAct::Renew { until, .. } | LeaseAct::Pass { until, .. } => {
                Some(*until)
            }
            LeaseAct::Release { .. } | LeaseAct::End { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_an_answer_to_every_standing() {
        use LeaseStep::{Clear, Extend, Grant, Keep, RefuseHeld, RefuseLost};
        let until = Timestamp(1);
        let acts = [
            LeaseAct::Acquire { until },
            LeaseAct::Renew { fence: 1, until },
            LeaseAct::Pass { fence: 1, to: Arc::default(), until },
            LeaseAct::Release { fence: 1 },
            LeaseAct::End { fence: Some(1) },
            LeaseAct::End { fence: None },
        ];
        let columns = [
            (LeaseStanding::Free, false),
            (LeaseStanding::Mine, true),
            (LeaseStanding::Mine, false),
            (LeaseStanding::Theirs, true),
            (LeaseStanding::Theirs, false),
        ];
        let table = [
            [Grant, Extend, Extend, RefuseHeld, RefuseHeld],
            [RefuseLost, Extend, RefuseLost, RefuseLost, RefuseLost],
            [RefuseLost, Grant, RefuseLost, RefuseLost, RefuseLost],
            [RefuseLost, Clear, RefuseLost, RefuseLost, RefuseLost],
            [Keep, Clear, Keep, Clear, Keep],
            [Keep, Clear, Clear, Clear, Clear],
        ];
        for (act, row) in acts.iter().zip(table) {
            for ((standing, fits), step) in columns.into_iter().zip(row) {
                assert_eq!(act.step(standing, fits), step, "{act:?} {standing:?} {fits}");
            }
        }
    }
}
