//! `Plain`: a value as far as equality tells it from others, and the hashes of such values. What is equal here is what
//! `rules::predicate` finds equal.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use serde_json::Value as Json;

use crate::schema::{Column, Record, Value};

/// A value as far as equality tells it from others.
#[derive(Hash)]
pub(super) enum Plain<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
    /// The bits of the number as a double: an int equals the float of its size.
    Number(u64),
    /// Equal to nothing.
    Other,
}

impl PartialEq<Plain<'_>> for Plain<'_> {
    fn eq(&self, other: &Plain<'_>) -> bool {
        match (self, other) {
            (Plain::Null, Plain::Null) => true,
            (Plain::Bool(one), Plain::Bool(other)) => one == other,
            (Plain::Text(one), Plain::Text(other)) => one == other,
            (Plain::Number(one), Plain::Number(other)) => one == other,
            (Plain::Null | Plain::Bool(_) | Plain::Text(_) | Plain::Number(_) | Plain::Other, _) => false,
        }
    }
}

pub(super) fn plain(value: &Value) -> Plain<'_> {
    match value {
        Value::Null => Plain::Null,
        Value::Bool(flag) => Plain::Bool(*flag),
        Value::Text(text) => Plain::Text(text),
        // Ints lie within what a double holds exactly.
        Value::Int(number) => number_of(*number as f64),
        Value::Float(number) => number_of(*number),
        Value::Json(_) => Plain::Other,
    }
}

/// Zero is one number, whatever its sign.
fn number_of(number: f64) -> Plain<'static> {
    Plain::Number(if number == 0.0 { 0 } else { number.to_bits() })
}

pub(super) fn plain_column(record: &Record, column: Column) -> Plain<'_> {
    match column {
        Column::Id => Plain::Text(record.id.as_str()),
        Column::Field(at) => record.values.get(at.0).map_or(Plain::Null, plain),
        Column::Version => number_of(record.version as f64),
        Column::CreatedAt => number_of(record.created_at.0 as f64),
        Column::UpdatedAt => number_of(record.updated_at.0 as f64),
    }
}

/// Nothing is asked for null, and lists and objects equal nothing.
pub(super) fn plain_element(element: &Json) -> Plain<'_> {
    match element {
        Json::String(text) => Plain::Text(text),
        Json::Bool(flag) => Plain::Bool(*flag),
        Json::Number(number) => number.as_f64().map_or(Plain::Other, number_of),
        Json::Null | Json::Array(_) | Json::Object(_) => Plain::Other,
    }
}

/// Of the values that a combination asks for.
pub(super) fn hash<'a>(
    hashes: &RandomState,
    combination: u32,
    parts: impl Iterator<Item = Plain<'a>>,
) -> u64 {
    let mut hasher = hashes.build_hasher();
    combination.hash(&mut hasher);
    parts.for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}
