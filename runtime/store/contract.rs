//! `trait Store`: commit a unit, read at a position, read the log after a seq.
//!
//! Knows no database. Every backend runs `tests/store_conformance.rs`.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    ActivityPage, ActivityQuery, At, CommitError, Count, Counted, Differ, Difference, ListPage, LogLimit,
    LogPage, Outcome, Past, Query, RecordLease, Scope, StoreError, Stored, Survey, Unit, Who,
};
use crate::ids::{Position, RecordId, Seq};
use crate::rules::{Person, Principal};
use crate::schema::EntityName;

/// What a backend owes:
///
/// - A unit commits whole or not at all; a failing unit never fails its batch-mates.
/// - A lookup holds what its source holds, at every position (SEMANTICS R8): whatever changes the source changes, in
///   the same unit, every record that copies it, each with a log entry of its own. Lookup values in an `Op` are ignored.
/// - Seqs are dense and in commit order. After the commit, first every writer of the batch has its answer, then the
///   batch goes out on the channel given at opening, once, in seq order.
/// - Every read is one read transaction: `At` holds the position at which the value is true, which is always the end
///   of a committed batch.
/// - `commit` and every read may be awaited anywhere. Where a read runs is the backend's decision: it holds up no async
///   worker for longer than a short bounded read takes. It bounds the reads at once by one limit of its own; a read that
///   waits too long for its turn fails with `Overloaded`. A read whose future is dropped gives its place back.
pub trait Store: Send + Sync + 'static {
    /// Queues the unit and waits for the commit that holds it.
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>>;

    /// One record, without rules: for the server itself.
    fn get<'a>(&'a self, entity: &'a str, id: &'a RecordId) -> ReadFuture<'a, At<Option<Stored>>>;

    /// One record as a user sees it; `None` where it is missing or hidden.
    fn find<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
    ) -> ReadFuture<'a, At<Option<Stored>>>;

    /// What rules may ask of a person: everything that the read rules of the schema need.
    fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>>;

    /// Seq of the last change of a person's rights through these entities; 0 if there was none. A read scope that was bound at
    /// an earlier seq must be bound again; asked after a read, it tells whether what was read may be shown.
    fn rights_changed<'a>(&'a self, person: &'a str, entities: &'a [EntityName]) -> ReadFuture<'a, Seq>;

    /// What changes for a subscriber at `Differ::since` under an old read scope who has the current rights (SEMANTICS R3).
    fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>>;

    /// Records of one entity, filtered, sorted and cut. No row behind the end of the page is read whole.
    fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>>;

    /// How many records there are, all or those that meet conditions.
    fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>>;

    /// The log after `after`, at most about `limit`, never splitting a unit.
    fn log(&self, after: Seq, limit: LogLimit) -> ReadFuture<'_, At<LogPage>>;

    /// The changes of one record before `before`, newest first, deletes and what came before them included: at least those
    /// that its entity's `history` covers, and of these what `who` may see of each. At most about `limit`. `None` for an entity
    /// without `history`.
    fn history<'a>(
        &'a self,
        entity: &'a str,
        id: &'a RecordId,
        who: &'a Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> ReadFuture<'a, At<Option<Past>>>;

    /// What happened, newest first, over all entities whose records `who` may list: of each change that is above the floor, and whose
    /// record they may list before it and after it by the rights of now. At most `MOST_LOOKED_AT` entries of the log are looked
    /// at; then the page ends, and says where the next one begins (SEMANTICS X6).
    fn activity<'a>(&'a self, query: &'a ActivityQuery) -> ReadFuture<'a, At<ActivityPage>>;

    /// What a resume of `scope` from `since` must know, in one read transaction. Without a scope it is of the whole log: every
    /// entry counts, and no records.
    fn survey<'a>(&'a self, scope: Option<&'a Scope>, since: &'a Position) -> ReadFuture<'a, At<Survey>>;

    /// Every lease that was held at the last commit, expired ones among them: for a server that starts, or that learns of a delete.
    fn leases(&self) -> ReadFuture<'_, At<Vec<RecordLease>>>;

    /// The head without reading a value, for answers that need only a position.
    fn head(&self) -> ReadFuture<'_, At<()>>;

    /// A number for what the `User` record of a person says. While it stays the same, a read that began after it was asked is
    /// still true. `None`: not known now, or this backend does not keep count.
    fn person_stamp(&self, _person: &str) -> Option<u64> {
        None
    }

    /// Fails once damage is known. Then writes are refused, and reads continue as long as they find none.
    fn sound(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The future of a read.
pub type ReadFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;
