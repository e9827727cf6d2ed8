//! What a read asks of the records that it shows, taken apart: which conditions must hold of single columns, and which an index
//! may serve.
//!
//! Knows no index and no statement.

use crate::rules::{Predicate, ReadScope};
use crate::schema::Column;
use crate::store::{Condition, Test};

/// What a read asks of the records that it shows.
pub struct Asked<'a> {
    /// All of it.
    pub predicate: &'a Predicate,
    /// What must hold of single columns: first what the rule says, then the filter, in the order in which it was asked.
    pub(super) conditions: Vec<&'a Condition>,
    /// Of which one must hold, so that each needs an index of its own.
    pub(super) alternatives: Vec<&'a Predicate>,
    /// Nothing but the conditions is asked.
    pub(super) plain: bool,
}

impl<'a> Asked<'a> {
    pub fn of(read_scope: &'a ReadScope, filter: &'a [Condition]) -> Asked<'a> {
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
            | Predicate::Ends(..)
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
    pub(super) fn columns(&self, kind: fn(&Test) -> bool) -> impl Iterator<Item = Column> {
        let of_kind = self.conditions.iter().filter(move |condition| kind(&condition.test));
        of_kind.filter_map(|condition| indexable(condition.column))
    }
}

pub(super) fn conjuncts<'a>(
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
        | Predicate::Ends(..)
        | Predicate::Contains(..)
        | Predicate::Member(..)
        | Predicate::Not(_) => {}
    }
}

/// A column that an index may hold; every index ends with the id.
pub(super) fn indexable(column: Column) -> Option<Column> {
    match column {
        Column::Field(_) | Column::CreatedAt | Column::UpdatedAt => Some(column),
        Column::Id | Column::Version => None,
    }
}

pub(super) fn is_equality(test: &Test) -> bool {
    matches!(test, Test::Eq(_) | Test::In(_) | Test::Null(true))
}

pub(super) fn is_range(test: &Test) -> bool {
    matches!(test, Test::Lt(_) | Test::Lte(_) | Test::Gt(_) | Test::Gte(_) | Test::Starts(_))
}
