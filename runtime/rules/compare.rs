//! Two values compared, in three-valued logic: what rules, filters and bound predicates all mean by `<`, `in` and `contains`.
//!
//! Knows values alone, no record and no column.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::truth::Truth;
use crate::schema::{Comparison, Value};

/// `Unknown` for null and for values of different classes.
pub(super) fn compare(left: &Value, comparison: Comparison, right: &Value) -> Truth {
    let ordering = match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        // Ints lie within what a double holds exactly.
        (Value::Int(left), Value::Float(right)) => by_size(*left as f64, *right),
        (Value::Float(left), Value::Int(right)) => by_size(*left, *right as f64),
        (Value::Float(left), Value::Float(right)) => by_size(*left, *right),
        (Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_), _)
        | (Value::Null | Value::Json(_), _) => return Truth::Unknown,
    };
    Truth::from(match comparison {
        Comparison::Eq => ordering == Ordering::Equal,
        Comparison::Ne => ordering != Ordering::Equal,
        Comparison::Lt => ordering == Ordering::Less,
        Comparison::Lte => ordering != Ordering::Greater,
        Comparison::Gt => ordering == Ordering::Greater,
        Comparison::Gte => ordering != Ordering::Less,
    })
}

/// Stored floats are finite, so they have an order; zero is one number, whatever its sign.
fn by_size(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or(Ordering::Equal)
}

pub(super) fn starts(text: &Value, prefix: &Value) -> Truth {
    match (text, prefix) {
        (Value::Text(text), Value::Text(prefix)) => Truth::from(text.starts_with(prefix.as_str())),
        _ => Truth::Unknown,
    }
}

pub(super) fn ends(text: &Value, suffix: &Value) -> Truth {
    match (text, suffix) {
        (Value::Text(text), Value::Text(suffix)) => Truth::from(text.ends_with(suffix.as_str())),
        _ => Truth::Unknown,
    }
}

pub(super) fn contains(text: &Value, part: &Value) -> Truth {
    match (text, part) {
        (Value::Text(text), Value::Text(part)) => Truth::from(text.contains(part.as_str())),
        _ => Truth::Unknown,
    }
}

/// Whether the list has an equal element. Elements of other classes are simply not equal.
pub fn member(item: &Value, list: &Value) -> Truth {
    let (Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_), Value::Json(list)) = (item, list)
    else {
        return Truth::Unknown;
    };
    match serde_json::from_str::<Json>(list) {
        Ok(Json::Array(elements)) => {
            let equal = |element: &Json| compare(item, Comparison::Eq, &value_of_json(element)).grants();
            Truth::from(elements.iter().any(equal))
        }
        Ok(_) | Err(_) => Truth::Unknown,
    }
}

/// Characters of a text, elements of a list, null of anything else.
pub fn size(value: &Value) -> Value {
    let count = match value {
        Value::Text(text) => Some(text.chars().count()),
        Value::Json(json) => match serde_json::from_str::<Json>(json) {
            Ok(Json::Array(elements)) => Some(elements.len()),
            Ok(_) | Err(_) => None,
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
    };
    count.and_then(|count| i64::try_from(count).ok()).map_or(Value::Null, Value::Int)
}

/// A JSON value as one that can be compared; lists and objects stay JSON.
pub(super) fn value_of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => match number.as_i64().filter(|number| number.unsigned_abs() < 1 << 53) {
            Some(number) => Value::Int(number),
            None => number.as_f64().map_or(Value::Null, |number| plain(Value::Float(number))),
        },
        Json::Array(_) | Json::Object(_) => Value::Json(json.to_string()),
    }
}

/// Every number in one form: an int where it is whole and not too large for one.
pub(super) fn plain(value: Value) -> Value {
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() < (1_u64 << 53) as f64 => {
            Value::Int(number as i64)
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Json(_) => {
            value
        }
    }
}
