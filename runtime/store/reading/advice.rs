//! Which indexes an entity has, what they serve, and the words for one that would keep a read below its bound.
//!
//! Every backend has the indexes that the schema asks for, so this knows none of them.

use super::asked::{Asked, conjuncts, indexable, is_equality, is_range};
use crate::rules::Predicate;
use crate::schema::{Entity, FieldKind};
use crate::store::{Advice, Column, Count, Query, Test};

/// A count that an index serves alone, without a look at the records, may step over so many times more entries.
const SERVED: u64 = 10;

/// How many rows a count may step over.
pub fn bound(entity: &Entity, count: &Count, asked: &Asked<'_>, scan_rows: u64) -> u64 {
    if served(entity, count, asked) { scan_rows.saturating_mul(SERVED) } else { scan_rows }
}

/// Whether the table or one index surely has the rows in the order of the list, so that nothing is sorted. A sort
/// holds all rows in memory up to the limit, with every column that the statement asks for.
pub fn in_order(entity: &Entity, query: &Query, asked: &Asked<'_>) -> bool {
    let is_one = |test: &Test| matches!(test, Test::Eq(_) | Test::Null(true));
    let plain = asked.plain
        && asked
            .conditions
            .iter()
            .all(|condition| is_one(&condition.test) && indexable(condition.column).is_some());
    let mut directions = query.sort.iter().map(|by| by.direction);
    let first = directions.next();
    let straight = directions.all(|direction| Some(direction) == first);
    let columns = || query.sort.iter().map(|by| by.column).take_while(|column| *column != Column::Id);
    let order: Option<Vec<Column>> = columns().map(indexable).collect();
    let Some(order) = order.filter(|_| plain && straight && query.search.is_empty()) else { return false };
    let ordered = distinct(asked.columns(is_equality).chain(order));
    ordered.is_empty() || entity.all_indexes().any(|index| index == ordered)
}

pub fn advice_on_list(entity: &Entity, query: &Query, asked: &Asked<'_>) -> Advice {
    let sorted = query.sort.iter().map_while(|by| indexable(by.column)).collect();
    advice(entity, asked, &query.search, sorted)
}

pub fn advice_on_count(entity: &Entity, count: &Count, asked: &Asked<'_>) -> Advice {
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
    if !order.is_empty() && !entity.all_indexes().any(|index| index == ordered) {
        return Advice::Index(ordered);
    }
    let ranged = distinct(equal().chain(asked.columns(is_range).take(1)));
    if !ranged.is_empty() && !entity.all_indexes().any(|index| index.starts_with(&ranged)) {
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
    let is_served = |at: &Column| entity.all_indexes().any(|index| index.first() == Some(at));
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
    ranged && count.search.is_empty() && rest.len() + equal.len() > 0 && entity.all_indexes().any(fits)
}

fn is_json(entity: &Entity, column: Column) -> bool {
    matches!(column, Column::Field(at) if entity.at(at).kind == FieldKind::Json)
}
