//! On whose behalf records are read, and what live channels ask beside them.

use std::sync::Arc;

use super::{LogLimit, Scope, Stored};
use crate::ids::{RecordId, Seq};
use crate::rules::{BindError, Condition, Person, Principal, ReadScope, Verdict};

/// On whose behalf records are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// The server itself, or the owner of the data folder: no rule applies.
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
    /// The filter of the channel, bound to no user.
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
