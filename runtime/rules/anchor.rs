//! Anchors: equalities one of which a record must meet to meet a predicate. By them the groups that a change may concern are
//! found without looking at all of them.

use super::condition::{Condition, Test};
use super::predicate::{Operand, Predicate};
use crate::schema::{Column, Value};

/// Where to look for records that meet a predicate.
#[derive(Debug, Clone, PartialEq)]
pub enum Anchor {
    /// Every record meets it.
    Everything,
    /// Only records that hold one of the keys; none if there is none.
    Keys(Vec<Key>),
    /// Any record may: the predicate has no equality.
    Anywhere,
}

/// One value that a record may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// The column has this value, which may be null.
    Is(Column, Value),
    /// The column is a json list with this element.
    Holds(Column, Value),
}

/// The best anchor of a predicate: of the terms that must all hold the one with the fewest keys.
pub fn anchor(predicate: &Predicate) -> Anchor {
    if predicate.is_true() {
        return Anchor::Everything;
    }
    keys(predicate).map_or(Anchor::Anywhere, Anchor::Keys)
}

fn keys(predicate: &Predicate) -> Option<Vec<Key>> {
    match predicate {
        Predicate::Constant(false) => Some(Vec::new()),
        Predicate::Test(Condition { column, test }) => match test {
            Test::Eq(value) => Some(vec![Key::Is(*column, value.clone())]),
            Test::In(values) => Some(values.iter().map(|value| Key::Is(*column, value.clone())).collect()),
            Test::Null(true) => Some(vec![Key::Is(*column, Value::Null)]),
            Test::Ne(_)
            | Test::Lt(_)
            | Test::Lte(_)
            | Test::Gt(_)
            | Test::Gte(_)
            | Test::Contains(_)
            | Test::Starts(_)
            | Test::Null(false) => None,
        },
        Predicate::Member(Operand::Value(item), list) => Some(vec![Key::Holds(*list, item.clone())]),
        Predicate::All(terms) => terms.iter().filter_map(keys).min_by_key(Vec::len),
        Predicate::Any(terms) => {
            let keys: Option<Vec<Vec<Key>>> = terms.iter().map(keys).collect();
            keys.map(|keys| keys.into_iter().flatten().collect())
        }
        Predicate::Constant(true)
        | Predicate::Compare(..)
        | Predicate::Starts(..)
        | Predicate::Contains(..)
        | Predicate::Member(..)
        | Predicate::Not(_) => None,
    }
}
