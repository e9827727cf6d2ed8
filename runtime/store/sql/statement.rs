//! A statement in the making: its text and what it binds. One shape of a question is one text, so connections keep it prepared.
//!
//! Does not know where rows are read: the backend begins the text, up to the first condition.

use super::dialect::Dialect;
use super::terms::{Terms, column_name, text_kind};
use crate::rules::Predicate;
use crate::schema::{Column, Entity, Value};
use crate::store::reading::snapshot::Apart;
use crate::store::{Condition, Direction, MOST_GROUPS, SortBy};

pub(in crate::store) struct Statement<'a> {
    dialect: &'a dyn Dialect,
    entity: &'a Entity,
    pub(in crate::store) sql: String,
    pub(in crate::store) values: Vec<Value>,
}

impl<'a> Statement<'a> {
    pub(in crate::store) fn over(dialect: &'a dyn Dialect, entity: &'a Entity) -> Statement<'a> {
        Statement { dialect, entity, sql: String::new(), values: Vec::new() }
    }

    pub(in crate::store) fn bind(&mut self, value: Value) -> String {
        self.terms().bind(value)
    }

    /// The terms that must all hold stand side by side, each for the planner to choose.
    pub(in crate::store) fn and_predicate(&mut self, predicate: &Predicate) {
        let terms = match predicate {
            Predicate::All(terms) => terms.as_slice(),
            Predicate::Constant(true) => &[],
            Predicate::Constant(false)
            | Predicate::Test(_)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Ends(..)
            | Predicate::Contains(..)
            | Predicate::Member(..)
            | Predicate::Not(_)
            | Predicate::Any(_) => std::slice::from_ref(predicate),
        };
        for term in terms {
            let term = self.terms().predicate(term);
            self.and(&term);
        }
    }

    pub(in crate::store) fn and_condition(&mut self, condition: &Condition) {
        let term = self.terms().condition(condition);
        self.and(&term);
    }

    /// What is not known to hold is NULL or false.
    pub(in crate::store) fn and_apart(&mut self, apart: Apart<'_>) {
        let mut terms = self.terms();
        let term = match apart {
            Apart::Without(known) => format!("({}) IS NOT TRUE", terms.predicate(known)),
            Apart::Between(left, right) => {
                let (left, right) = (terms.predicate(left), terms.predicate(right));
                format!("(({left}) IS TRUE) <> (({right}) IS TRUE)")
            }
        };
        self.and(&term);
    }

    pub(in crate::store) fn order_by(&mut self, order: &[SortBy]) {
        for (nth, SortBy { column, direction }) in order.iter().enumerate() {
            let before = if nth == 0 { " ORDER BY " } else { ", " };
            let name = column_name(self.dialect, self.entity, *column);
            let term = self.dialect.order_by(&name, text_kind(self.entity, *column), *direction);
            self.sql.extend([before, &term]);
        }
    }

    pub(in crate::store) fn limit(&mut self, rows: usize) {
        let rows = self.bind(Value::Int(i64::try_from(rows).unwrap_or(i64::MAX)));
        self.sql.extend([" LIMIT ", &rows]);
    }

    /// What a count selects: the number of rows, behind the value that they share.
    pub(in crate::store) fn counted(&self, group: Option<Column>) -> String {
        match group {
            Some(column) => format!("{}, count(*)", column_name(self.dialect, self.entity, column)),
            None => "count(*)".to_owned(),
        }
    }

    /// Groups with most rows first, and one more than there may be, which tells that there are too many.
    pub(in crate::store) fn group_by(&mut self, column: Column) {
        let name = column_name(self.dialect, self.entity, column);
        let by_value = self.dialect.order_by(&name, text_kind(self.entity, column), Direction::Ascending);
        self.sql += &format!(" GROUP BY {name} ORDER BY 2 DESC, {by_value} LIMIT {}", MOST_GROUPS + 1);
    }

    fn and(&mut self, term: &str) {
        self.sql.extend([" AND ", term]);
    }

    fn terms(&mut self) -> Terms<'_> {
        Terms { dialect: self.dialect, entity: self.entity, values: &mut self.values }
    }
}
