//! A predicate or a condition as SQL: known to hold for exactly the rows that `Predicate::matches`. Names come from the schema
//! and are quoted, values are bound, so one shape of a predicate is one text.
//!
//! SQL's own three-valued logic is that of the rules; what SQL would judge otherwise, by turning one type into another, is
//! written as NULL. What is inside json is judged by the rules' own functions, so that no second reader of JSON can differ.
//! Knows nothing of the statements that these are parts of.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use super::tables::Table;
use crate::rules::{Operand, Predicate, Truth, member, size};
use crate::schema::{Column, Comparison, FieldKind, Value};
use crate::store::{Condition, StoreError, Test};

/// Makes the functions over json known to a connection that asks with predicates.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    // Whether the json list holds the item: list, item, whether the item is a bool, which SQLite holds as a number.
    conn.create_scalar_function("holds_item", 3, flags, |context| {
        let item = match context.get_raw(1) {
            ValueRef::Integer(number) if context.get::<bool>(2)? => Value::Bool(number != 0),
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Real(number) => Value::Float(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        };
        Ok(match member(&item, &json(context)?) {
            Truth::True => Some(true),
            Truth::False => Some(false),
            Truth::Unknown => None,
        })
    })?;
    conn.create_scalar_function("size_of_list", 1, flags, |context| match size(&json(context)?) {
        Value::Int(count) => Ok(Some(count)),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Json(_) => Ok(None),
    })
}

fn json(context: &Context<'_>) -> rusqlite::Result<Value> {
    Ok(context.get::<Option<String>>(0)?.map_or(Value::Null, Value::Json))
}

/// Writes SQL over the columns of one table and gathers what it binds, behind what is bound already.
pub(super) struct Writing<'a> {
    pub(super) table: &'a Table,
    pub(super) values: &'a mut Vec<Value>,
}

/// How terms are joined.
#[derive(Clone, Copy)]
enum Join {
    And,
    Or,
}

/// What can be compared with each other in SQL without that a type is turned into another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Text,
    Number,
    Bool,
    Json,
}

/// A condition that is unknown for every row.
const UNKNOWN: &str = "NULL";

impl Writing<'_> {
    /// In brackets where it needs any.
    pub(super) fn predicate(&mut self, predicate: &Predicate) -> Result<String, StoreError> {
        Ok(match predicate {
            Predicate::Constant(true) => "1".to_owned(),
            Predicate::Constant(false) => "0".to_owned(),
            Predicate::Test(condition) => self.condition(condition)?,
            Predicate::Compare(left, comparison, right) => self.compare(left, *comparison, right)?,
            Predicate::Starts(text, prefix) => self.part(text, prefix, "= 1")?,
            Predicate::Contains(text, part) => self.part(text, part, "> 0")?,
            Predicate::Member(item, list) => self.member(item, *list)?,
            Predicate::Not(leaf) => format!("NOT ({})", self.predicate(leaf)?),
            Predicate::All(terms) => self.joined(terms, Join::And)?,
            Predicate::Any(terms) => self.joined(terms, Join::Or)?,
        })
    }

    pub(super) fn condition(&mut self, condition: &Condition) -> Result<String, StoreError> {
        let column = self.name(condition.column)?;
        let nature = self.nature(condition.column);
        Ok(match &condition.test {
            Test::Eq(value) => self.against(&column, nature, "=", value),
            Test::Ne(value) => self.against(&column, nature, "<>", value),
            Test::Lt(value) => self.against(&column, nature, "<", value),
            Test::Lte(value) => self.against(&column, nature, "<=", value),
            Test::Gt(value) => self.against(&column, nature, ">", value),
            Test::Gte(value) => self.against(&column, nature, ">=", value),
            Test::In(values) => self.one_of(&column, nature, values),
            Test::Contains(_) | Test::Starts(_) if nature != Nature::Text => UNKNOWN.to_owned(),
            Test::Contains(text) => format!("instr({column}, {}) > 0", self.bind(Value::Text(text.clone()))),
            Test::Starts(text) => self.starts(&column, text),
            Test::Null(true) => format!("{column} IS NULL"),
            Test::Null(false) => format!("{column} IS NOT NULL"),
        })
    }

    pub(super) fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// Halved again and again: SQLite bounds how deep an expression is, and a chain is as deep as it is long.
    fn joined(&mut self, terms: &[Predicate], join: Join) -> Result<String, StoreError> {
        match terms {
            [] => Ok(if matches!(join, Join::And) { "1" } else { "0" }.to_owned()),
            [term] => self.predicate(term),
            terms => {
                let (head, tail) = terms.split_at(terms.len() / 2);
                let word = if matches!(join, Join::And) { "AND" } else { "OR" };
                Ok(format!("({} {word} {})", self.joined(head, join)?, self.joined(tail, join)?))
            }
        }
    }

    fn against(&mut self, column: &str, nature: Nature, operator: &str, value: &Value) -> String {
        if nature_of(value) != Some(nature) {
            return UNKNOWN.to_owned();
        }
        format!("{column} {operator} {}", self.bind(value.clone()))
    }

    /// Filled up to a power of two with its last value: few shapes, whatever the number of values.
    fn one_of(&mut self, column: &str, nature: Nature, values: &[Value]) -> String {
        let Some(last) = values.last() else { return "0".to_owned() };
        if values.iter().any(|value| nature_of(value) != Some(nature)) {
            let each = values.iter().map(|value| self.against(column, nature, "=", value));
            return format!("({})", each.collect::<Vec<_>>().join(" OR "));
        }
        let wanted = values.len().next_power_of_two();
        let filled = values.iter().chain(std::iter::repeat(last)).take(wanted);
        let places: Vec<String> = filled.map(|value| self.bind(value.clone())).collect();
        format!("{column} IN ({})", places.join(", "))
    }

    /// A range, which an index can serve. Texts are compared byte by byte, and that order is the order of code points.
    fn starts(&mut self, column: &str, text: &str) -> String {
        let from = format!("{column} >= {}", self.bind(Value::Text(text.to_owned())));
        match successor(text) {
            Some(end) => format!("({from} AND {column} < {})", self.bind(Value::Text(end))),
            None => from,
        }
    }

    fn compare(
        &mut self,
        left: &Operand,
        comparison: Comparison,
        right: &Operand,
    ) -> Result<String, StoreError> {
        let nature = self.nature_of_operand(left);
        if nature != self.nature_of_operand(right) || nature.is_none_or(|nature| nature == Nature::Json) {
            return Ok(UNKNOWN.to_owned());
        }
        let sign = match comparison {
            Comparison::Eq => "=",
            Comparison::Ne => "<>",
            Comparison::Lt => "<",
            Comparison::Lte => "<=",
            Comparison::Gt => ">",
            Comparison::Gte => ">=",
        };
        Ok(format!("{} {sign} {}", self.operand(left)?, self.operand(right)?))
    }

    fn part(&mut self, text: &Operand, part: &Operand, place: &str) -> Result<String, StoreError> {
        if [text, part].iter().any(|operand| self.nature_of_operand(operand) != Some(Nature::Text)) {
            return Ok(UNKNOWN.to_owned());
        }
        Ok(format!("instr({}, {}) {place}", self.operand(text)?, self.operand(part)?))
    }

    fn member(&mut self, item: &Operand, list: Column) -> Result<String, StoreError> {
        let nature = self.nature_of_operand(item).filter(|nature| *nature != Nature::Json);
        let Some(nature) = nature.filter(|_| self.nature(list) == Nature::Json) else {
            return Ok(UNKNOWN.to_owned());
        };
        let flag = u8::from(nature == Nature::Bool);
        Ok(format!("holds_item({}, {}, {flag})", self.name(list)?, self.operand(item)?))
    }

    fn operand(&mut self, operand: &Operand) -> Result<String, StoreError> {
        Ok(match operand {
            Operand::Column(column) => self.name(*column)?,
            Operand::Value(value) => self.bind(value.clone()),
            Operand::Size(column) => match self.nature(*column) {
                Nature::Text => format!("length({})", self.name(*column)?),
                Nature::Json => format!("size_of_list({})", self.name(*column)?),
                Nature::Number | Nature::Bool => UNKNOWN.to_owned(),
            },
        })
    }

    fn name(&self, column: Column) -> Result<String, StoreError> {
        name(self.table, column)
    }

    fn nature_of_operand(&self, operand: &Operand) -> Option<Nature> {
        match operand {
            Operand::Column(column) => Some(self.nature(*column)),
            Operand::Value(value) => nature_of(value),
            Operand::Size(_) => Some(Nature::Number),
        }
    }

    fn nature(&self, column: Column) -> Nature {
        let field = match column {
            Column::Id => return Nature::Text,
            Column::Version | Column::CreatedAt | Column::UpdatedAt => return Nature::Number,
            Column::Field(field) => field,
        };
        match self.table.entity.fields.get(field.0).map(|field| &field.kind) {
            Some(FieldKind::Int { .. } | FieldKind::Float { .. }) => Nature::Number,
            Some(FieldKind::Bool) => Nature::Bool,
            Some(FieldKind::Json) => Nature::Json,
            Some(
                FieldKind::Text { .. }
                | FieldKind::Enum { .. }
                | FieldKind::Date
                | FieldKind::Datetime
                | FieldKind::Uuid
                | FieldKind::Ref { .. },
            )
            | None => Nature::Text,
        }
    }
}

/// The quoted name of a column that the table is supposed to have.
pub(super) fn name(table: &Table, column: Column) -> Result<String, StoreError> {
    let unknown = || StoreError::Storage(format!("{} has no such column: {column:?}", table.entity.name));
    table.column(column).ok_or_else(unknown)
}

/// `None` for what equals nothing.
fn nature_of(value: &Value) -> Option<Nature> {
    match value {
        Value::Text(_) => Some(Nature::Text),
        Value::Int(_) | Value::Float(_) => Some(Nature::Number),
        Value::Bool(_) => Some(Nature::Bool),
        Value::Null | Value::Json(_) => None,
    }
}

/// The least text that is greater than every text that begins with `prefix`; `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // There are no characters between the two; they are reserved for surrogates.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_every_text_with_a_prefix() {
        for (prefix, expected) in [
            ("a", Some("b")),
            ("az", Some("a{")),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{7f}", Some("\u{80}")),
            ("\u{10ffff}\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(successor(prefix).as_deref(), expected, "{prefix:?}");
        }
    }
}
