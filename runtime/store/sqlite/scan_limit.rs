//! The bound on the rows that one read may step over, and the words for an index that would keep it below.
//!
//! The bound is `scanned(most)`, an SQL function that stands as the first condition of a read: it counts the rows that
//! reach it and stops the statement at one too many. So the work itself is bounded, whatever the query planner thought.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::rules::{Predicate, ReadScope};
use crate::schema::{Entity, FieldIndex, FieldKind};
use crate::store::{Advice, Column, Condition, Count, Query, Test};

/// A count that an index serves alone, without a look at the records, may step over so many times more entries.
const SERVED: u64 = 10;

/// The first look at the newest records goes past so many for each that is asked for.
const LOOK: u64 = 20;

/// What a read asks of the records that it shows.
pub(super) struct Asked<'a> {
    /// All of it.
    pub(super) predicate: &'a Predicate,
    /// What must hold of single columns: first what the rule says, then the filter, in the order in which it was asked.
    conditions: Vec<&'a Condition>,
    /// Of which one must hold, so that each needs an index of its own.
    alternatives: Vec<&'a Predicate>,
    /// Nothing but the conditions is asked.
    plain: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(read_scope: &'a ReadScope, filter: &'a [Condition]) -> Asked<'a> {
        let predicate = read_scope.predicate();
        let (mut conditions, mut alternatives, mut other) = (Vec::new(), Vec::new(), Vec::new());
        conjuncts(&read_scope.rule, &mut conditions, &mut alternatives);
        conditions.extend(filter);
        conjuncts(&read_scope.filter, &mut conditions, &mut alternatives);
        let plain = match predicate {
            Predicate::All(terms) => terms.iter().all(|term| matches!(term, Predicate::Test(_))),
            Predicate::Constant(true) | Predicate::Test(_) => true,
            Predicate::Constant(false)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Contains(..)
            | Predicate::Member(..)
            | Predicate::Not(_)
            | Predicate::Any(_) => false,
        };
        for any in alternatives.drain(..) {
            if let Predicate::Any(terms) = any {
                other.extend(terms);
            }
        }
        Asked { predicate, conditions, alternatives: other, plain }
    }

    /// The columns with a condition of this kind that an index may hold.
    fn columns(&self, kind: fn(&Test) -> bool) -> impl Iterator<Item = Column> {
        let of_kind = self.conditions.iter().filter(move |condition| kind(&condition.test));
        of_kind.filter_map(|condition| indexable(condition.column))
    }
}

fn conjuncts<'a>(
    predicate: &'a Predicate,
    conditions: &mut Vec<&'a Condition>,
    alternatives: &mut Vec<&'a Predicate>,
) {
    match predicate {
        Predicate::Test(condition) => conditions.push(condition),
        Predicate::All(terms) => terms.iter().for_each(|term| conjuncts(term, conditions, alternatives)),
        Predicate::Any(_) => alternatives.push(predicate),
        Predicate::Constant(_)
        | Predicate::Compare(..)
        | Predicate::Starts(..)
        | Predicate::Contains(..)
        | Predicate::Member(..)
        | Predicate::Not(_) => {}
    }
}

/// Makes `scanned` known to a connection: rows at most, the run that they are counted for. A connection is at one run at a time.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    // Not deterministic: it must be called for every row.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let (present, rows) = (AtomicI64::new(0), AtomicU64::new(0));
    conn.create_scalar_function("scanned", 2, flags, move |context| {
        // SQLite may write the function into a statement several times, once for each index that it walks.
        let (most, run): (i64, i64) = (context.get(0)?, context.get(1)?);
        if present.swap(run, Ordering::Relaxed) != run {
            rows.store(0, Ordering::Relaxed);
        }
        if rows.fetch_add(1, Ordering::Relaxed) >= most.unsigned_abs() {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
        }
        Ok(true)
    })
}

/// A number that no other execution of a statement has.
pub(super) fn run() -> i64 {
    static RUNS: AtomicI64 = AtomicI64::new(1);
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// Whether `scanned` stopped the statement; nothing else ever interrupts one.
pub(super) fn stopped(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// How many rows a count may step over.
pub(super) fn bound(entity: &Entity, count: &Count, asked: &Asked<'_>, scan_rows: u64) -> u64 {
    if served(entity, count, asked) { scan_rows.saturating_mul(SERVED) } else { scan_rows }
}

/// Whether the table or one index surely has the rows in the order of the list, so that SQLite sorts nothing. A sort
/// holds all rows in memory up to the limit, with every column that the statement asks for.
pub(super) fn in_order(entity: &Entity, query: &Query, asked: &Asked<'_>) -> bool {
    let is_one = |test: &Test| matches!(test, Test::Eq(_) | Test::Null(true));
    let plain = asked.plain
        && asked
            .conditions
            .iter()
            .all(|condition| is_one(&condition.test) && indexable(condition.column).is_some());
    let mut directions = query.sort.iter().map(|(_, direction)| direction);
    let first = directions.next();
    let straight = directions.all(|direction| Some(direction) == first);
    let columns = || query.sort.iter().map(|(column, _)| *column).take_while(|column| *column != Column::Id);
    let order: Option<Vec<Column>> = columns().map(indexable).collect();
    let Some(order) = order.filter(|_| plain && straight && query.search.is_empty()) else { return false };
    let ordered = distinct(asked.columns(is_equality).chain(order));
    ordered.is_empty() || indexes(entity).any(|index| index == ordered)
}

/// Where a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Where SQLite thinks best, which knows nothing of how many rows there are.
    Planned,
    /// At the end of the index over `created_at`, where a page is near for everybody who sees many of the records.
    Newest,
}

/// The ways in which to try a list, one after the other until one is not stopped, each with the rows that it may step over.
/// In order of creation only a look tells whether the conditions leave many rows, so that the index over `created_at` leads to
/// a page soon, or few, so that those are found by other indexes and sorted.
pub(super) fn ways(entity: &Entity, query: &Query, asked: &Asked<'_>, scan_rows: u64) -> Vec<(Way, u64)> {
    let by_creation =
        matches!(query.sort[..], [(Column::CreatedAt, _)] | [(Column::CreatedAt, _), (Column::Id, _)]);
    let straight = query.sort.iter().all(|(_, direction)| *direction == query.sort[0].1);
    if !by_creation || !straight || !query.search.is_empty() || in_order(entity, query, asked) {
        return vec![(Way::Planned, scan_rows)];
    }
    let look = (query.limit as u64).saturating_mul(LOOK).min(scan_rows);
    vec![(Way::Newest, look), (Way::Planned, scan_rows), (Way::Newest, scan_rows)]
}

pub(super) fn advice_on_list(entity: &Entity, query: &Query, asked: &Asked<'_>) -> Advice {
    let sorted = query.sort.iter().map_while(|(column, _)| indexable(*column)).collect();
    advice(entity, asked, &query.search, sorted)
}

pub(super) fn advice_on_count(entity: &Entity, count: &Count, asked: &Asked<'_>) -> Advice {
    if served(entity, count, asked) {
        return Advice::Narrow;
    }
    let grouped = count.group.and_then(indexable).into_iter().collect();
    advice(entity, asked, &count.search, grouped)
}

/// An index first holds the fields that have one value each, those of the rule before those of the filter, then those that
/// decide the order, or else the one that is kept within a range. For an order it must hold nothing further, since the id is to come next. One that is there
/// already did not help.
fn advice(entity: &Entity, asked: &Asked<'_>, search: &[String], order: Vec<Column>) -> Advice {
    let equal = || asked.columns(is_equality).filter(|at| !is_json(entity, *at));
    let ordered = distinct(equal().chain(order.iter().copied()));
    if !search.is_empty() {
        return Advice::Words;
    }
    if !order.is_empty() && !indexes(entity).any(|index| index == ordered) {
        return Advice::Index(ordered);
    }
    let ranged = distinct(equal().chain(asked.columns(is_range).take(1)));
    if !ranged.is_empty() && !indexes(entity).any(|index| index.starts_with(&ranged)) {
        return Advice::Index(ranged);
    }
    let missing = asked.alternatives.iter().find_map(|term| unserved(entity, term));
    missing.filter(|_| ranged.is_empty()).map_or(Advice::Narrow, |column| Advice::Index(vec![column]))
}

/// A field that has one value in this alternative, and no index that begins with any such.
fn unserved(entity: &Entity, term: &Predicate) -> Option<Column> {
    let (mut conditions, mut alternatives) = (Vec::new(), Vec::new());
    conjuncts(term, &mut conditions, &mut alternatives);
    let equal = conditions.iter().filter(|condition| is_equality(&condition.test));
    let equal: Vec<Column> = equal.filter_map(|condition| indexable(condition.column)).collect();
    let is_served = |at: &Column| indexes(entity).any(|index| index.first() == Some(at));
    let first = equal.iter().find(|at| !is_json(entity, **at)).copied();
    first.filter(|_| !equal.iter().any(is_served))
}

fn distinct(columns: impl Iterator<Item = Column>) -> Vec<Column> {
    let mut distinct = Vec::new();
    for at in columns {
        if !distinct.contains(&at) {
            distinct.push(at);
        }
    }
    distinct
}

/// Whether the entries of one index are all that the count needs to look at.
fn served(entity: &Entity, count: &Count, asked: &Asked<'_>) -> bool {
    let mut equal = distinct(asked.columns(is_equality));
    let mut rest = distinct(asked.columns(is_range).chain(count.group.and_then(indexable)));
    rest.retain(|at| !equal.contains(at));
    equal.sort_unstable();
    let ranged = asked.plain
        && asked.conditions.iter().all(|condition| {
            indexable(condition.column).is_some()
                && (is_equality(&condition.test) || is_range(&condition.test))
        });
    let fits = |index: Vec<Column>| {
        let (head, tail) = index.split_at(equal.len().min(index.len()));
        let mut head = head.to_vec();
        head.sort_unstable();
        head == equal && tail.starts_with(&rest)
    };
    ranged && count.search.is_empty() && rest.len() + equal.len() > 0 && indexes(entity).any(fits)
}

/// The columns of every index that the table has.
fn indexes(entity: &Entity) -> impl Iterator<Item = Vec<Column>> {
    let single = entity.fields.iter().enumerate().filter(|(_, field)| {
        let refers = matches!(field.kind, FieldKind::Ref { .. });
        field.unique || refers
    });
    let single = single.map(|(at, _)| Column::Field(FieldIndex(at))).chain([Column::CreatedAt]);
    entity.indexes.iter().cloned().chain(single.map(|column| vec![column]))
}

/// A column that an index may hold; every index ends with the id.
fn indexable(column: Column) -> Option<Column> {
    match column {
        Column::Field(_) | Column::CreatedAt | Column::UpdatedAt => Some(column),
        Column::Id | Column::Version => None,
    }
}

fn is_json(entity: &Entity, column: Column) -> bool {
    matches!(column, Column::Field(at) if entity.at(at).kind == FieldKind::Json)
}

fn is_equality(test: &Test) -> bool {
    matches!(test, Test::Eq(_) | Test::In(_) | Test::Null(true))
}

fn is_range(test: &Test) -> bool {
    matches!(test, Test::Lt(_) | Test::Lte(_) | Test::Gt(_) | Test::Gte(_) | Test::Starts(_))
}
