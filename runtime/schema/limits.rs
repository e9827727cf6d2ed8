//! Whether a value keeps the limits of its field, for values that no client wrote.
//!
//! Knows the field alone. The repository writes the errors that clients get.

use super::model::{Field, FieldKind};
use super::text_form;
use super::value::Value;

/// Integers up to here keep their value in JavaScript.
pub const LARGEST_INT: i64 = (1 << 53) - 1;

/// Of a value of the field's type. Null keeps every limit.
pub fn are_kept(field: &Field, value: &Value) -> bool {
    match (&field.kind, value) {
        (FieldKind::Text { min, max, pattern }, Value::Text(text)) => {
            let length = text.chars().count() as u64;
            min.is_none_or(|min| length >= min)
                && max.is_none_or(|max| length <= max)
                && pattern.as_ref().is_none_or(|pattern| pattern.0.is_match(text))
                && (!field.unique || text_form::is_composed(text))
        }
        (FieldKind::Int { min, max }, Value::Int(number)) => {
            min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
        }
        (FieldKind::Float { min, max }, Value::Float(number)) => {
            min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
        }
        (FieldKind::Float { .. }, Value::Int(_)) => false,
        _ => true,
    }
}
