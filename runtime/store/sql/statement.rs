//! A statement in the making: its text and what it binds. One shape of a question is one text, so connections keep it prepared.
//!
//! Knows nothing of where rows are read: the backend begins the text, up to the first condition.

use super::dialect::Dialect;
use super::stretches::SortBy;
use super::terms::{Terms, column_name, text_kind};
use crate::rules::Predicate;
use crate::schema::{Column, Entity, Value};
use crate::store::reading::snapshot::Apart;
use crate::store::{Condition, Direction, MOST_GROUPS};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::dialect::tests::PostgresTexts;
    use super::super::stretches::{order, stretches};
    use super::*;
    use crate::ids::RecordId;
    use crate::rules::Operand;
    use crate::schema::{Comparison, Entity, Field, FieldIndex, FieldKind, Generation};
    use crate::store::sqlite::SqliteDialect;
    use crate::store::{Query, Test};

    const fn field(at: usize) -> Column {
        Column::Field(FieldIndex(at))
    }

    const TITLE: Column = field(0);
    const RANK: Column = field(1);
    const DONE: Column = field(2);
    const TAGS: Column = field(3);

    fn entity() -> Arc<Entity> {
        let fields = vec![
            Field::new("title", FieldKind::Text { min: None, max: None, pattern: None }),
            Field::new("rank", FieldKind::Int { min: None, max: None }),
            Field::new("done", FieldKind::Bool),
            Field::new("tags", FieldKind::Json),
        ];
        Arc::new(Entity::new("Task", "tasks", fields))
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn test(column: Column, test: Test) -> Predicate {
        Predicate::Test(Condition::new(column, test))
    }

    /// What is asked, and how the two dialects write it.
    fn table() -> Vec<(Predicate, &'static str, &'static str)> {
        let column = |column| Operand::Column(column);
        let item = |value| Operand::Value(value);
        vec![
            (Predicate::Constant(false), " AND 0", " AND FALSE"),
            (Predicate::Constant(true), "", ""),
            (test(TITLE, Test::Eq(text("a"))), r#" AND "title" = ?1"#, r#" AND "title" = $1"#),
            (test(TITLE, Test::Lt(text("a"))), r#" AND "title" < ?1"#, r#" AND "title" COLLATE "C" < $1"#),
            (test(RANK, Test::Gte(Value::Int(3))), r#" AND "rank" >= ?1"#, r#" AND "rank" >= $1"#),
            (test(RANK, Test::Eq(text("a"))), " AND NULL", " AND NULL"),
            (test(DONE, Test::Ne(Value::Bool(true))), r#" AND "done" <> ?1"#, r#" AND "done" <> $1"#),
            (test(TITLE, Test::In(Vec::new())), " AND 0", " AND FALSE"),
            (
                test(TITLE, Test::In(vec![text("a"), text("b"), text("c")])),
                r#" AND "title" IN (?1, ?2, ?3, ?4)"#,
                r#" AND "title" IN ($1, $2, $3, $4)"#,
            ),
            (
                test(TITLE, Test::Starts("ab".to_owned())),
                r#" AND ("title" >= ?1 AND "title" < ?2)"#,
                r#" AND ("title" COLLATE "C" >= $1 AND "title" COLLATE "C" < $2)"#,
            ),
            (
                test(TITLE, Test::Contains("a".to_owned())),
                r#" AND instr("title", ?1) > 0"#,
                r#" AND strpos("title", $1) > 0"#,
            ),
            (test(RANK, Test::Null(false)), r#" AND "rank" IS NOT NULL"#, r#" AND "rank" IS NOT NULL"#),
            (
                Predicate::Compare(column(TITLE), Comparison::Gt, column(Column::Id)),
                r#" AND "title" > "id""#,
                r#" AND "title" COLLATE "C" > "id""#,
            ),
            (
                Predicate::Compare(Operand::Size(TITLE), Comparison::Eq, column(RANK)),
                r#" AND length("title") = "rank""#,
                r#" AND char_length("title") = "rank""#,
            ),
            (
                Predicate::Compare(Operand::Size(TAGS), Comparison::Lt, item(Value::Int(2))),
                r#" AND size_of_list("tags") < ?1"#,
                r#" AND CASE jsonb_typeof("tags") WHEN 'array' THEN jsonb_array_length("tags") END < $1"#,
            ),
            (
                Predicate::Not(Box::new(Predicate::Member(item(Value::Bool(true)), TAGS))),
                r#" AND NOT (holds_item("tags", ?1, 1))"#,
                r#" AND NOT (CASE jsonb_typeof("tags") WHEN 'array' THEN "tags" @> to_jsonb($1::boolean) END)"#,
            ),
            (
                Predicate::Starts(column(TITLE), item(text("a"))),
                r#" AND instr("title", ?1) = 1"#,
                r#" AND starts_with("title", $1)"#,
            ),
            (
                Predicate::All(vec![
                    test(RANK, Test::Null(true)),
                    Predicate::Any(vec![
                        test(DONE, Test::Eq(Value::Bool(false))),
                        test(TITLE, Test::Eq(text("a"))),
                        Predicate::Constant(true),
                    ]),
                ]),
                r#" AND "rank" IS NULL AND ("done" = ?1 OR ("title" = ?2 OR 1))"#,
                r#" AND "rank" IS NULL AND ("done" = $1 OR ("title" = $2 OR TRUE))"#,
            ),
        ]
    }

    #[test]
    fn each_dialect_writes_a_predicate_in_its_own_words_and_binds_the_same() {
        let entity = entity();
        for (predicate, sqlite, postgres) in table() {
            let write = |dialect: &dyn Dialect| {
                let mut statement = Statement::over(dialect, &entity);
                statement.and_predicate(&predicate);
                (statement.sql.clone(), statement.values.clone())
            };
            let (first, second) = (write(&SqliteDialect), write(&PostgresTexts));
            assert_eq!(first.0, sqlite);
            assert_eq!(second.0, postgres);
            assert_eq!(first.1, second.1);
        }
    }

    #[test]
    fn each_dialect_walks_the_stretches_behind_a_mark_with_null_before_every_value() {
        let entity = entity();
        let query = Query {
            sort: vec![(TITLE, Direction::Descending)],
            after: Some((vec![text("m")], RecordId::stored("i"))),
            ..Query::all("Task", Generation(1), 10)
        };
        let write = |dialect: &dyn Dialect| -> Vec<String> {
            let order = order(&query);
            let stretches = stretches(&query, &order).into_iter().map(|stretch| {
                let mut statement = Statement::over(dialect, &entity);
                stretch.conditions.iter().for_each(|condition| statement.and_condition(condition));
                statement.order_by(&order[stretch.fixed..]);
                statement.limit(10);
                statement.sql
            });
            stretches.collect()
        };
        let sqlite = [
            r#" AND "title" = ?1 AND "id" < ?2 ORDER BY "id" DESC LIMIT ?3"#,
            r#" AND "title" < ?1 ORDER BY "title" DESC, "id" DESC LIMIT ?2"#,
            r#" AND "title" IS NULL ORDER BY "id" DESC LIMIT ?1"#,
        ];
        assert_eq!(write(&SqliteDialect), sqlite);
        let postgres = [
            r#" AND "title" = $1 AND "id" COLLATE "C" < $2 ORDER BY "id" COLLATE "C" DESC NULLS LAST LIMIT $3"#,
            r#" AND "title" COLLATE "C" < $1 ORDER BY "title" COLLATE "C" DESC NULLS LAST, "id" COLLATE "C" DESC NULLS LAST LIMIT $2"#,
            r#" AND "title" IS NULL ORDER BY "id" COLLATE "C" DESC NULLS LAST LIMIT $1"#,
        ];
        assert_eq!(write(&PostgresTexts), postgres);
    }

    #[test]
    fn each_dialect_counts_and_tells_what_moved() {
        let entity = entity();
        let write = |dialect: &dyn Dialect| {
            let mut counting = Statement::over(dialect, &entity);
            counting.sql = counting.counted(Some(TITLE));
            counting.group_by(TITLE);
            let mut moved = Statement::over(dialect, &entity);
            let done = test(DONE, Test::Eq(Value::Bool(true)));
            moved.and_apart(Apart::Without(&done));
            moved.and_apart(Apart::Between(&done, &Predicate::Constant(true)));
            [counting.sql, moved.sql]
        };
        let moved = |place: &str, yes: &str| {
            format!(
                r#" AND ("done" = {place}1) IS NOT TRUE AND (("done" = {place}2) IS TRUE) <> (({yes}) IS TRUE)"#
            )
        };
        let counted = r#""title", count(*) GROUP BY "title" ORDER BY 2 DESC, "title""#;
        assert_eq!(write(&SqliteDialect), [format!("{counted} ASC LIMIT 1001"), moved("?", "1")]);
        let by_value = r#" COLLATE "C" ASC NULLS FIRST LIMIT 1001"#;
        assert_eq!(write(&PostgresTexts), [format!("{counted}{by_value}"), moved("$", "TRUE")]);
    }
}
