//! `KeyBytes`: values as far as equality tells them from others, in bytes that are equal when the values are. What is equal here is
//! what `rules::predicate` finds equal.

use serde_json::Value as Json;
use smallvec::SmallVec;

use crate::schema::{Column, Record, Value};

/// The number of a combination of columns, and a value for each of them. A UUID has room in place.
pub(super) type KeyBytes = SmallVec<[u8; 48]>;

/// Equal to nothing, and so never to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unequal;

pub(super) fn push_value(key: &mut KeyBytes, value: &Value) -> Result<(), Unequal> {
    match value {
        Value::Null => key.push(b'n'),
        Value::Bool(flag) => push_bool(key, *flag),
        Value::Text(text) => push_text(key, text),
        // Ints lie within what a double holds exactly, and an int equals the float of its size.
        Value::Int(number) => push_number(key, *number as f64),
        Value::Float(number) => push_number(key, *number),
        Value::Json(_) => return Err(Unequal),
    }
    Ok(())
}

pub(super) fn push_column(key: &mut KeyBytes, record: &Record, column: Column) -> Result<(), Unequal> {
    match column {
        Column::Id => push_text(key, record.id.as_str()),
        Column::Field(at) => return push_value(key, record.values.get(at.0).unwrap_or(&Value::Null)),
        Column::Version => push_number(key, record.version as f64),
        Column::CreatedAt => push_number(key, record.created_at.0 as f64),
        Column::UpdatedAt => push_number(key, record.updated_at.0 as f64),
    }
    Ok(())
}

/// Nothing is asked for null, and lists and objects equal nothing.
pub(super) fn push_element(key: &mut KeyBytes, element: &Json) -> Result<(), Unequal> {
    match element {
        Json::String(text) => push_text(key, text),
        Json::Bool(flag) => push_bool(key, *flag),
        Json::Number(number) => push_number(key, number.as_f64().ok_or(Unequal)?),
        Json::Null | Json::Array(_) | Json::Object(_) => return Err(Unequal),
    }
    Ok(())
}

/// With its length, so that no text runs into the next value.
pub(super) fn push_text(key: &mut KeyBytes, text: &str) {
    key.push(b's');
    key.extend_from_slice(&text.len().to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn push_bool(key: &mut KeyBytes, flag: bool) {
    key.push(if flag { b't' } else { b'f' });
}

/// Zero is one number, whatever its sign.
fn push_number(key: &mut KeyBytes, number: f64) {
    let number = if number == 0.0 { 0.0 } else { number };
    key.push(b'd');
    key.extend_from_slice(&number.to_bits().to_le_bytes());
}
