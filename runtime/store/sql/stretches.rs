//! The order of a list, and the part of it behind a cursor as ranges that an index can serve.
//!
//! Knows no statement: each stretch is conditions, for a `WHERE`, and what is left of the order.

use crate::schema::{Column, Value};
use crate::store::{Condition, Direction, ListCursor, Query, SortBy, Test};

/// A part of the order in which the first `fixed` columns have one value each.
#[derive(Debug)]
pub(in crate::store) struct Stretch {
    pub(in crate::store) conditions: Vec<Condition>,
    pub(in crate::store) fixed: usize,
}

/// The sort columns, then the id, in the direction of the last of them: an index over the columns ends with the id
/// and can be walked in that order. What follows an id decides nothing.
pub(in crate::store) fn order(query: &Query) -> Vec<SortBy> {
    let direction = query.sort.last().map_or(Direction::Ascending, |by| by.direction);
    let mut order = query.sort.clone();
    order.push(SortBy { column: Column::Id, direction });
    let end = order.iter().position(|by| by.column == Column::Id).map_or(order.len(), |at| at + 1);
    order.truncate(end);
    order
}

/// The stretches behind the mark, nearest first: those equal to it in all columns but the last and behind it there, then
/// in all but the last two, and so on. Each is one range of an index that fits the order, so a page costs the same
/// wherever it lies, among many equal values too; one condition with alternatives would read the list from its beginning.
pub(in crate::store) fn stretches(query: &Query, order: &[SortBy]) -> Vec<Stretch> {
    let Some(ListCursor { values, id }) = &query.after else {
        return vec![Stretch { conditions: Vec::new(), fixed: 0 }];
    };
    let id = Value::Text(id.as_str().to_owned());
    let marks: Vec<&Value> = values.iter().chain([&id]).take(order.len()).collect();
    let mut stretches = Vec::new();
    for (fixed, (by, mark)) in order.iter().zip(&marks).enumerate().rev() {
        let equal = order.iter().zip(&marks).take(fixed);
        let equal: Vec<Condition> =
            equal.map(|(by, mark)| Condition::new(by.column, equal_to(mark))).collect();
        for test in behind(*by, mark) {
            // Where the column itself is one value, it takes no part in the order any longer.
            let fixed = if test == Test::Null(true) { fixed + 1 } else { fixed };
            let conditions = equal.iter().cloned().chain([Condition::new(by.column, test)]).collect();
            stretches.push(Stretch { conditions, fixed });
        }
    }
    stretches
}

fn equal_to(mark: &Value) -> Test {
    if mark.is_null() { Test::Null(true) } else { Test::Eq(mark.clone()) }
}

/// What lies behind the mark in one column, nearest first. Null is less than every value, so it is first in ascending
/// order and last in descending.
fn behind(by: SortBy, mark: &Value) -> Vec<Test> {
    let nullable = matches!(by.column, Column::Field(_));
    match (by.direction, mark.is_null()) {
        (Direction::Ascending, true) => vec![Test::Null(false)],
        (Direction::Ascending, false) => vec![Test::Gt(mark.clone())],
        (Direction::Descending, true) => Vec::new(),
        (Direction::Descending, false) if nullable => vec![Test::Lt(mark.clone()), Test::Null(true)],
        (Direction::Descending, false) => vec![Test::Lt(mark.clone())],
    }
}
