//! `trait Snapshot`: what a read transaction can be asked beside `Source`.
//!
//! Knows no person and no rule: what may be seen is a predicate here.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::asked::Asked;
use crate::ids::{RecordId, Seq};
use crate::rules::Predicate;
use crate::schema::Record;
use crate::store::relations::Relation;
use crate::store::source::Source;
use crate::store::{At, Change, Count, Counted, LogLimit, Query, Scope, StoreError};

/// A read transaction: everything that it answers is true at one position.
///
/// Rows are handed on one by one, so that only those are read that are wanted, and not all are in memory at once. A backend stops a
/// read that would step over more rows than it was told, and says so.
pub trait Snapshot: Source<Error: Into<StoreError>> {
    /// The log after a position, ending with the unit that reaches a bound.
    fn log(
        &self,
        after: Seq,
        limit: LogLimit,
    ) -> impl Future<Output = Result<Vec<Arc<Change>>, Self::Error>> + Send;

    /// The changes of a scope after a position, in seq order.
    fn changes(
        &self,
        of: &Scope,
        after: Seq,
        take: Take<'_, Change>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The kept changes of one record before a position, newest first.
    fn past(
        &self,
        of: &Relation,
        id: &RecordId,
        before: Option<Seq>,
        take: Take<'_, Change>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Entries of the log, newest first. Answers where it stopped because it had stepped over `Stroll::most` entries and there
    /// are older ones.
    fn newest(
        &self,
        stroll: &Stroll<'_>,
        take: Take<'_, Change>,
    ) -> impl Future<Output = Result<Option<Seq>, Self::Error>> + Send;

    /// The records of a list, in its order and behind its mark.
    fn list(
        &self,
        of: &Relation,
        list: &ListAsked<'_>,
        into: &mut (dyn RecordSink + Send),
    ) -> impl Future<Output = Result<Walk, Self::Error>> + Send;

    /// Records in any order.
    fn select(
        &self,
        of: &Relation,
        selection: &Selection<'_>,
        take: Take<'_, Record>,
    ) -> impl Future<Output = Result<Walk, Self::Error>> + Send;

    /// Records and the groups that they make, of which one more than `MOST_GROUPS` tells that there are too many. `None` where
    /// more rows than `CountAsked::scan_rows` would be stepped over.
    fn count(
        &self,
        of: &Relation,
        count: &CountAsked<'_>,
    ) -> impl Future<Output = Result<Option<Counted>, Self::Error>> + Send;

    /// How many records there are, at the position of this transaction.
    fn count_all(&self, of: &Relation, at: &At<()>) -> impl Future<Output = Result<u64, Self::Error>> + Send;
}

/// Is handed what is read until it breaks off.
pub type Take<'a, T> = &'a mut (dyn FnMut(T) -> ControlFlow<()> + Send);

/// A part of the log that is read backwards.
pub struct Stroll<'a> {
    /// Begin with the entry before this one.
    pub before: Option<Seq>,
    /// The last entry that the log no longer has.
    pub floor: Seq,
    /// Entries that may be stepped over.
    pub most: usize,
    /// Whether entries of this entity are handed on. The others are counted and not read.
    pub wanted: &'a (dyn Fn(&str) -> bool + Sync),
}

/// Where the records of a list go.
pub trait RecordSink {
    /// Asked before the first record, and again where the backend begins once more in another way: what was added is forgotten.
    fn begin(&mut self);

    /// Asked when there is a further record, before it is read.
    fn has_room(&mut self) -> bool;

    fn add(&mut self, record: Record);
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// At the end of the rows, or where enough were read.
    Whole,
    /// At one row more than it may step over.
    Stopped,
}

/// A list: the order, mark, words and limit of the query, and which records are shown.
pub struct ListAsked<'a> {
    pub query: &'a Query,
    pub asked: &'a Asked<'a>,
    pub scan_rows: u64,
}

pub struct CountAsked<'a> {
    pub count: &'a Count,
    pub asked: &'a Asked<'a>,
    pub scan_rows: u64,
}

/// Records that meet one predicate and are in a certain way to others.
pub struct Selection<'a> {
    pub wanted: &'a Predicate,
    pub apart: Apart<'a>,
    /// This record alone.
    pub id: Option<&'a RecordId>,
    /// Records at most.
    pub most: usize,
    pub scan_rows: u64,
}

#[derive(Debug, Clone, Copy)]
pub enum Apart<'a> {
    /// Not known to meet this.
    Without(&'a Predicate),
    /// One holds and the other does not.
    Between(&'a Predicate, &'a Predicate),
}
