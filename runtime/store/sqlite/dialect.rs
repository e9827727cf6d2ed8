//! How SQLite writes what dialects do not share. What is inside json is judged by the rules' own functions, so that no second
//! reader of JSON can differ.
//!
//! Knows no statement.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use crate::rules::{Truth, member, size};
use crate::schema::Value;
use crate::store::Direction;
use crate::store::sql::{Dialect, ItemKind, TextKind};

pub(in crate::store) struct SqliteDialect;

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
