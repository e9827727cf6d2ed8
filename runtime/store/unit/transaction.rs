//! `trait Transaction`: what a unit writes to. Its rules ask `Source` and write here, and cannot tell whether a write is in the
//! database at once or is held until the group of units commits.
//!
//! Knows no rule: what is written was judged before, and what must be judged at the unit's end is asked of `Source`.

use super::prefetch::Prefetch;
use crate::ids::{RecordId, Seq};
use crate::schema::{EntityName, FieldIndex, Record};
use crate::store::relations::Relation;
use crate::store::source::Source;
use crate::store::{Change, Idempotency, Lease, OpStatus};

/// The writing transaction of one group of units. What a unit wrote, `Source` answers from the next call on, to this unit and
/// to those after it. How a refused unit is taken back is the backend's own.
pub trait Transaction: Source {
    /// Told what the units of a group name before they are applied, by the code that runs the group. A backend that reads from another
    /// machine asks for it once; one that has the records at hand ignores this.
    fn prefetch(&mut self, named: &Prefetch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Writes a new record and its words for the search. Writes nothing where the id is taken.
    fn insert(
        &mut self,
        of: &Relation,
        record: &Record,
    ) -> impl Future<Output = Result<Inserted, Self::Error>> + Send;

    /// Writes another version of a record that is there: its version, its time and these fields.
    fn update(
        &mut self,
        of: &Relation,
        record: &Record,
        changed: &[FieldIndex],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes a record that is there, and remembers its version as long as the log holds `seq`, where it is deleted.
    fn delete(
        &mut self,
        of: &Relation,
        record: &Record,
        seq: Seq,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The version at which a record was deleted last; 0 where none is remembered.
    fn deleted_version(
        &self,
        of: &Relation,
        id: &RecordId,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// The highest number that was given by a counter; 0 where none was.
    fn last_number(
        &self,
        of: &Relation,
        counter: &Counter,
    ) -> impl Future<Output = Result<i64, Self::Error>> + Send;

    /// Notes the highest number that is given by a counter. If the unit is taken back, what it gave no longer counts.
    fn gave_number(
        &mut self,
        of: &Relation,
        counter: &Counter,
        last: i64,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The lease of a record, expired or not.
    fn lease(
        &self,
        of: &Relation,
        id: &RecordId,
    ) -> impl Future<Output = Result<Option<Lease>, Self::Error>> + Send;

    /// Sets the lease of a record, or removes it.
    fn set_lease(
        &mut self,
        of: &Relation,
        id: &RecordId,
        lease: Option<&Lease>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A number for a lease, higher than every one before.
    fn next_fence(&mut self) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Appends the entries of a unit to the log, and notes for each person in `Change::rights` the seq of the change.
    fn append(&mut self, changes: &[Change]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The answer that was given to a mutation id of this owner, whatever the request was.
    fn recall(&self, key: &Idempotency)
    -> impl Future<Output = Result<Option<Answered>, Self::Error>> + Send;

    /// Remembers an answer with the time of the commit, and forgets the owner's oldest beyond the bound for one owner.
    fn remember(
        &mut self,
        key: &Idempotency,
        seq: Seq,
        done: &[AnsweredOp],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What became of a record that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    Yes,
    IdTaken,
}

/// What is counted: a field that the server numbers, in the records that have one parent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    pub field: FieldIndex,
    /// Empty where all records of the entity are counted.
    pub parent: String,
}

/// A stored answer (SEMANTICS M1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Of the request that it answered.
    pub hash: [u8; 32],
    pub done: Vec<AnsweredOp>,
}

/// One operation of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredOp {
    pub entity: EntityName,
    pub id: RecordId,
    pub status: OpStatus,
}
