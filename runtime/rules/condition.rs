//! `Condition`: a test of one column of one record against constants. What a client's filter is made of.

use super::compare::compare;
use super::truth::Truth;
use crate::schema::{Column, Comparison, Record, Value, text_form};

/// One condition. Logic is three-valued (SEMANTICS R7): a null value meets no test but `Null(true)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub column: Column,
    pub test: Test,
}

/// What is asked of a value. The values to compare with are of the column's type and never null.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Eq(Value),
    Ne(Value),
    Lt(Value),
    Lte(Value),
    Gt(Value),
    Gte(Value),
    In(Vec<Value>),
    /// The text holds this one, letter for letter.
    Contains(String),
    /// The text begins with this one, letter for letter.
    Starts(String),
    /// The text ends with this one, letter for letter.
    Ends(String),
    /// The text is this one, whatever the case of its letters. No client asks it by a filter.
    Alike(String),
    /// Whether the value is null.
    Null(bool),
}

impl Condition {
    pub fn new(column: Column, test: Test) -> Condition {
        Condition { column, test }
    }

    pub fn truth(&self, record: &Record) -> Truth {
        match self.column {
            Column::Field(at) => self.test.truth(record.values.get(at.0).unwrap_or(&Value::Null)),
            Column::Id | Column::Version | Column::CreatedAt | Column::UpdatedAt => {
                self.test.truth(&record.value(self.column))
            }
        }
    }
}

impl Test {
    pub fn truth(&self, value: &Value) -> Truth {
        let by = |comparison, other| compare(value, comparison, other);
        match (self, value) {
            (Test::Eq(other), _) => by(Comparison::Eq, other),
            (Test::Ne(other), _) => by(Comparison::Ne, other),
            (Test::Lt(other), _) => by(Comparison::Lt, other),
            (Test::Lte(other), _) => by(Comparison::Lte, other),
            (Test::Gt(other), _) => by(Comparison::Gt, other),
            (Test::Gte(other), _) => by(Comparison::Gte, other),
            (Test::In(others), _) => Truth::any(others.iter().map(|other| by(Comparison::Eq, other))),
            (Test::Null(wanted), _) => Truth::from(value.is_null() == *wanted),
            (Test::Contains(part), Value::Text(text)) => Truth::from(text.contains(part.as_str())),
            (Test::Starts(prefix), Value::Text(text)) => Truth::from(text.starts_with(prefix.as_str())),
            (Test::Ends(suffix), Value::Text(text)) => Truth::from(text.ends_with(suffix.as_str())),
            (Test::Alike(other), Value::Text(text)) => {
                Truth::from(text_form::fold_case(text) == text_form::fold_case(other))
            }
            (
                Test::Contains(_) | Test::Starts(_) | Test::Ends(_) | Test::Alike(_),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_),
            ) => Truth::Unknown,
        }
    }
}
