//! The values of fields that a create or a PUT leaves out.

use std::sync::Arc;

use super::model::{Field, FieldDefault, FieldKind};
use super::value::Value;
use crate::env::Env;
use crate::ids::Timestamp;

/// The field's default for this writer at this time; null without one.
pub fn value_of(field: &Field, writer: Option<&Arc<str>>, at: Timestamp, env: &Env) -> Value {
    let value = match &field.default {
        None => Value::Null,
        Some(FieldDefault::Value(value)) => value.clone(),
        Some(FieldDefault::UserId) => writer.map_or(Value::Null, |user| Value::Text(user.to_string())),
        Some(FieldDefault::Now(delay)) => time(&field.kind, delay.after(at)),
        Some(FieldDefault::Random) => Value::Text(env.random_text()),
    };
    field.normalized(value)
}

/// A date is the first ten characters of the datetime, in UTC.
pub fn time(kind: &FieldKind, at: Timestamp) -> Value {
    let mut text = at.rfc3339();
    if matches!(kind, FieldKind::Date) {
        text.truncate(10);
    }
    Value::Text(text)
}
