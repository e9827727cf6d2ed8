//! A predicate or a condition as SQL: known to hold for exactly the rows that `Predicate::matches`. Names come from the schema
//! and are quoted, values are bound, so one shape of a predicate is one text.
//!
//! SQL's own three-valued logic is that of the rules; what SQL would judge otherwise, by turning one type into another, is
//! written as NULL. Does not know the statements that these are parts of.

use super::dialect::{Dialect, ItemKind, TextKind};
use crate::rules::{Operand, Predicate};
use crate::schema::{Column, Comparison, Entity, FieldKind, Value};
use crate::store::{Condition, Test};

/// Writes terms over the columns of one entity and gathers what they bind, behind what is bound already. The columns are those
/// of the entity: the caller looked at the generation.
pub(in crate::store) struct Terms<'a> {
    pub(in crate::store) dialect: &'a dyn Dialect,
    pub(in crate::store) entity: &'a Entity,
    pub(in crate::store) values: &'a mut Vec<Value>,
}

/// How terms are joined.
#[derive(Clone, Copy)]
enum Join {
    And,
    Or,
}

/// What can be compared with each other in SQL without that a type is turned into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SqlType {
    Text,
    Number,
    Bool,
    Json,
}

/// A condition that is unknown for every row.
const UNKNOWN: &str = "NULL";

impl Terms<'_> {
    /// In brackets where it needs any.
    pub(in crate::store) fn predicate(&mut self, predicate: &Predicate) -> String {
        match predicate {
            Predicate::Constant(holds) => self.dialect.constant(*holds).to_owned(),
            Predicate::Test(condition) => self.condition(condition),
            Predicate::Compare(left, comparison, right) => self.compare(left, *comparison, right),
            Predicate::Starts(text, prefix) => {
                self.of_texts(text, prefix, |d, text, prefix| d.starts(text, prefix))
            }
            Predicate::Ends(text, suffix) => {
                self.of_texts(text, suffix, |d, text, suffix| d.ends(text, suffix))
            }
            Predicate::Contains(text, part) => {
                self.of_texts(text, part, |d, text, part| d.contains(text, part))
            }
            Predicate::Member(item, list) => self.member(item, *list),
            Predicate::Not(leaf) => format!("NOT ({})", self.predicate(leaf)),
            Predicate::All(terms) => self.joined(terms, Join::And),
            Predicate::Any(terms) => self.joined(terms, Join::Or),
        }
    }

    pub(in crate::store) fn condition(&mut self, condition: &Condition) -> String {
        let column = self.name(condition.column);
        let sql_type = type_of_column(self.entity, condition.column);
        match &condition.test {
            Test::Eq(value) => self.against(&column, sql_type, "=", value),
            Test::Ne(value) => self.against(&column, sql_type, "<>", value),
            Test::Lt(value) => self.in_order(&column, sql_type, "<", value),
            Test::Lte(value) => self.in_order(&column, sql_type, "<=", value),
            Test::Gt(value) => self.in_order(&column, sql_type, ">", value),
            Test::Gte(value) => self.in_order(&column, sql_type, ">=", value),
            Test::In(values) => self.one_of(&column, sql_type, values),
            Test::Contains(_) | Test::Starts(_) | Test::Ends(_) | Test::Alike(_)
                if sql_type != SqlType::Text =>
            {
                UNKNOWN.to_owned()
            }
            Test::Contains(text) => {
                let part = self.bind(Value::Text(text.clone()));
                self.dialect.contains(&column, &part)
            }
            Test::Starts(text) => self.prefixed(column, text),
            Test::Ends(text) => {
                let suffix = self.bind(Value::Text(text.clone()));
                self.dialect.ends(&column, &suffix)
            }
            Test::Alike(text) => {
                let other = self.bind(Value::Text(text.clone()));
                format!("{} = {}", self.dialect.folded(&column), self.dialect.folded(&other))
            }
            Test::Null(true) => format!("{column} IS NULL"),
            Test::Null(false) => format!("{column} IS NOT NULL"),
        }
    }

    pub(in crate::store) fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        self.dialect.place(self.values.len())
    }

    /// Halved again and again: SQLite bounds how deep an expression is, and a chain is as deep as it is long.
    fn joined(&mut self, terms: &[Predicate], join: Join) -> String {
        match terms {
            [] => self.dialect.constant(matches!(join, Join::And)).to_owned(),
            [term] => self.predicate(term),
            terms => {
                let (head, tail) = terms.split_at(terms.len() / 2);
                let word = if matches!(join, Join::And) { "AND" } else { "OR" };
                format!("({} {word} {})", self.joined(head, join), self.joined(tail, join))
            }
        }
    }

    fn against(&mut self, column: &str, sql_type: SqlType, operator: &str, value: &Value) -> String {
        if type_of_value(value) != Some(sql_type) {
            return UNKNOWN.to_owned();
        }
        format!("{column} {operator} {}", self.bind(value.clone()))
    }

    fn in_order(&mut self, column: &str, sql_type: SqlType, operator: &str, value: &Value) -> String {
        let column = self.ordered(column.to_owned(), sql_type);
        self.against(&column, sql_type, operator, value)
    }

    fn ordered(&self, operand: String, sql_type: SqlType) -> String {
        if sql_type == SqlType::Text { self.dialect.by_code_points(operand) } else { operand }
    }

    /// Filled up to a power of two with its last value: few shapes, whatever the number of values.
    fn one_of(&mut self, column: &str, sql_type: SqlType, values: &[Value]) -> String {
        let Some(last) = values.last() else { return self.dialect.constant(false).to_owned() };
        if values.iter().any(|value| type_of_value(value) != Some(sql_type)) {
            let each = values.iter().map(|value| self.against(column, sql_type, "=", value));
            return format!("({})", each.collect::<Vec<_>>().join(" OR "));
        }
        let wanted = values.len().next_power_of_two();
        let filled = values.iter().chain(std::iter::repeat(last)).take(wanted);
        let places: Vec<String> = filled.map(|value| self.bind(value.clone())).collect();
        format!("{column} IN ({})", places.join(", "))
    }

    /// A range, which an index can serve: texts are compared by code points.
    fn prefixed(&mut self, column: String, text: &str) -> String {
        let column = self.dialect.by_code_points(column);
        let from = format!("{column} >= {}", self.bind(Value::Text(text.to_owned())));
        match successor(text) {
            Some(end) => format!("({from} AND {column} < {})", self.bind(Value::Text(end))),
            None => from,
        }
    }

    fn compare(&mut self, left: &Operand, comparison: Comparison, right: &Operand) -> String {
        let sql_type = self.type_of_operand(left).filter(|left| *left != SqlType::Json);
        let Some(sql_type) = sql_type.filter(|left| self.type_of_operand(right) == Some(*left)) else {
            return UNKNOWN.to_owned();
        };
        let (sign, in_order) = match comparison {
            Comparison::Eq => ("=", false),
            Comparison::Ne => ("<>", false),
            Comparison::Lt => ("<", true),
            Comparison::Lte => ("<=", true),
            Comparison::Gt => (">", true),
            Comparison::Gte => (">=", true),
        };
        let left = self.operand(left);
        let left = if in_order { self.ordered(left, sql_type) } else { left };
        format!("{left} {sign} {}", self.operand(right))
    }

    fn of_texts(
        &mut self,
        text: &Operand,
        part: &Operand,
        write: fn(&dyn Dialect, &str, &str) -> String,
    ) -> String {
        if [text, part].iter().any(|operand| self.type_of_operand(operand) != Some(SqlType::Text)) {
            return UNKNOWN.to_owned();
        }
        let (text, part) = (self.operand(text), self.operand(part));
        write(self.dialect, &text, &part)
    }

    fn member(&mut self, item: &Operand, list: Column) -> String {
        let kind = match self.type_of_operand(item) {
            Some(SqlType::Text) => ItemKind::Text,
            Some(SqlType::Number) => ItemKind::Number,
            Some(SqlType::Bool) => ItemKind::Bool,
            Some(SqlType::Json) | None => return UNKNOWN.to_owned(),
        };
        if type_of_column(self.entity, list) != SqlType::Json {
            return UNKNOWN.to_owned();
        }
        let (list, item) = (self.name(list), self.operand(item));
        self.dialect.list_holds(&list, &item, kind)
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Column(column) => self.name(*column),
            Operand::Value(value) => self.bind(value.clone()),
            Operand::Size(column) => match type_of_column(self.entity, *column) {
                SqlType::Text => self.dialect.length(&self.name(*column)),
                SqlType::Json => self.dialect.list_size(&self.name(*column)),
                SqlType::Number | SqlType::Bool => UNKNOWN.to_owned(),
            },
        }
    }

    fn name(&self, column: Column) -> String {
        column_name(self.dialect, self.entity, column)
    }

    fn type_of_operand(&self, operand: &Operand) -> Option<SqlType> {
        match operand {
            Operand::Column(column) => Some(type_of_column(self.entity, *column)),
            Operand::Value(value) => type_of_value(value),
            Operand::Size(_) => Some(SqlType::Number),
        }
    }
}

/// The quoted name of a column of the entity.
pub(in crate::store) fn column_name(dialect: &dyn Dialect, entity: &Entity, column: Column) -> String {
    dialect.quoted(entity.name_of(column))
}

pub(super) fn text_kind(entity: &Entity, column: Column) -> TextKind {
    match type_of_column(entity, column) {
        SqlType::Text => TextKind::Text,
        SqlType::Number | SqlType::Bool | SqlType::Json => TextKind::Other,
    }
}

fn type_of_column(entity: &Entity, column: Column) -> SqlType {
    let field = match column {
        Column::Id => return SqlType::Text,
        Column::Version | Column::CreatedAt | Column::UpdatedAt => return SqlType::Number,
        Column::Field(field) => field,
    };
    match entity.at(field).kind {
        FieldKind::Int { .. } | FieldKind::Float { .. } => SqlType::Number,
        FieldKind::Bool => SqlType::Bool,
        FieldKind::Json => SqlType::Json,
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => SqlType::Text,
    }
}

/// `None` for what equals nothing.
fn type_of_value(value: &Value) -> Option<SqlType> {
    match value {
        Value::Text(_) => Some(SqlType::Text),
        Value::Int(_) | Value::Float(_) => Some(SqlType::Number),
        Value::Bool(_) => Some(SqlType::Bool),
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
