//! How SQLite writes what dialects do not share. What is inside json is judged by the rules' own functions, so that no second
//! reader of JSON can differ.
//!
//! Knows no statement.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use crate::rules::{Truth, member, size};
use crate::schema::{Value, text_form};
use crate::store::Direction;
use crate::store::sql::{Dialect, ItemKind, TextKind};

pub(super) struct SqliteDialect;

/// SQLite compares texts byte by byte, which is the order of code points, and null is less than every value.
impl Dialect for SqliteDialect {
    fn place(&self, number: usize) -> String {
        format!("?{number}")
    }

    fn constant(&self, holds: bool) -> &'static str {
        if holds { "1" } else { "0" }
    }

    fn by_code_points(&self, text: String) -> String {
        text
    }

    fn order_by(&self, column: &str, _: TextKind, direction: Direction) -> String {
        match direction {
            Direction::Ascending => format!("{column} ASC"),
            Direction::Descending => format!("{column} DESC"),
        }
    }

    fn contains(&self, text: &str, part: &str) -> String {
        format!("instr({text}, {part}) > 0")
    }

    fn starts(&self, text: &str, prefix: &str) -> String {
        format!("instr({text}, {prefix}) = 1")
    }

    /// Behind the end of a text there is the empty one, and of a text that is too short no part is as long as the suffix.
    fn ends(&self, text: &str, suffix: &str) -> String {
        format!("substr({text}, length({text}) - length({suffix}) + 1) = {suffix}")
    }

    fn folded(&self, text: &str) -> String {
        format!("folded_case({text})")
    }

    fn length(&self, text: &str) -> String {
        format!("length({text})")
    }

    fn list_size(&self, list: &str) -> String {
        format!("size_of_list({list})")
    }

    fn list_holds(&self, list: &str, item: &str, kind: ItemKind) -> String {
        format!("holds_item({list}, {item}, {})", u8::from(kind == ItemKind::Bool))
    }
}

/// Makes `folded_case` known to a connection that reads or writes an index over it: every one that opens the database.
pub(super) fn prepare_folding(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("folded_case", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Text(text) => Some(text_form::fold_case(&String::from_utf8_lossy(text)).into_owned()),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        })
    })
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::RecordId;
    use crate::rules::{Operand, Predicate};
    use crate::schema::{Comparison, Entity, Field, FieldIndex, FieldKind, Generation};
    use crate::store::reading::snapshot::Apart;
    use crate::store::sql::{PostgresTexts, Statement, order, stretches};
    use crate::store::{Column, Condition, ListCursor, Query, SortBy, Test};

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
                Predicate::Ends(column(TITLE), item(text("a"))),
                r#" AND substr("title", length("title") - length(?1) + 1) = ?1"#,
                r#" AND right("title", char_length($1)) = $1"#,
            ),
            (
                test(TITLE, Test::Ends("a".to_owned())),
                r#" AND substr("title", length("title") - length(?1) + 1) = ?1"#,
                r#" AND right("title", char_length($1)) = $1"#,
            ),
            (
                test(TITLE, Test::Alike("a".to_owned())),
                r#" AND folded_case("title") = folded_case(?1)"#,
                r#" AND normalize(casefold(normalize("title", NFD) COLLATE "pg_unicode_fast"), NFC) = normalize(casefold(normalize($1, NFD) COLLATE "pg_unicode_fast"), NFC)"#,
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
            sort: vec![SortBy { column: TITLE, direction: Direction::Descending }],
            after: Some(ListCursor { values: vec![text("m")], id: RecordId::stored("i") }),
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
