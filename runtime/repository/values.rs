//! One JSON value against one field: type first, into its one stored form, then constraints.
//!
//! Does not know records, verbs or defaults. A fault reads on after the field's name: "`title` must be a text, ...".

use serde_json::{Number, Value as Json};

use super::body::{kind_of, strict_json};
use super::canonical::write_canonical;
use super::numbers::{self, MAX_INT};
use super::suggest::suggestion;
use super::value_fault::ValueFault;
use crate::ids::{RecordId, Timestamp, shown};
use crate::schema::number::{Fate, fate};
use crate::schema::{Entity, Field, FieldKind, IdKind, MOST_NESTED, OnDelete, Schema, Value, text_form};
use crate::store::Column;

/// The stored form of `json` for this field, within its type; null is `Value::Null` for every type.
pub(super) fn typed(schema: &Schema, kind: &FieldKind, json: &Json) -> Result<Value, ValueFault> {
    match (kind, json) {
        (_, Json::Null) => Ok(Value::Null),
        (FieldKind::Text { .. }, Json::String(text)) => plain_text(text),
        (FieldKind::Int { .. }, Json::Number(number)) => int(number),
        (FieldKind::Float { .. }, Json::Number(number)) => float(number),
        (FieldKind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (FieldKind::Enum { values }, Json::String(text)) => one_of(values, text),
        (FieldKind::Json, json) => json_text(json),
        (FieldKind::Date, Json::String(text)) => date(text),
        (FieldKind::Datetime, Json::String(text)) => datetime(text),
        (FieldKind::Uuid, Json::String(text)) => id(IdKind::Uuid, text),
        (FieldKind::Ref { entity, .. }, Json::String(text)) => {
            id(schema.entity(entity).map_or(IdKind::Uuid, |target| target.id_kind), text)
        }
        (kind, json) => {
            Err(ValueFault::new("wrong_type", format!("must be {}, not {}", expected(kind), kind_of(json))))
        }
    }
}

/// Whether a typed value keeps to the field's limits. Null is judged by the caller, who knows what is required.
fn within_limits(kind: &FieldKind, value: &Value) -> Result<(), ValueFault> {
    match (kind, value) {
        (FieldKind::Text { min, max, pattern }, Value::Text(text)) => {
            let length = text.chars().count() as u64;
            if let Some(max) = max.filter(|max| length > *max) {
                return Err(ValueFault::new(
                    "too_long",
                    format!("has {length} characters; at most {max} fit"),
                ));
            }
            if let Some(min) = min.filter(|min| length < *min) {
                return Err(ValueFault::new(
                    "too_short",
                    format!("has {length} characters; at least {min} are needed"),
                ));
            }
            match pattern.as_ref().filter(|pattern| !pattern.0.is_match(text)) {
                Some(pattern) => {
                    Err(ValueFault::new("pattern", format!("must match the pattern {}", pattern.0)))
                }
                None => Ok(()),
            }
        }
        (FieldKind::Int { min, max }, Value::Int(number)) => in_range(*number, *min, *max),
        (FieldKind::Float { min, max }, Value::Float(number)) => in_range(*number, *min, *max),
        _ => Ok(()),
    }
}

/// Whether a typed value keeps to everything that its field asks of it.
pub(super) fn fits(field: &Field, value: &Value) -> Result<(), ValueFault> {
    within_limits(&field.kind, value)?;
    match (&field.kind, value) {
        // Two values that look the same would both be the only one.
        (FieldKind::Text { .. }, Value::Text(text)) if field.unique && !text_form::is_composed(text) => {
            let message = "is unique, so it must be in Unicode's composed form (NFC): write letter and accent as one character";
            Err(ValueFault::new("not_composed", message))
        }
        _ => Ok(()),
    }
}

/// A value from a query string, for a condition on a column: typed, without the field's limits, since a value outside
/// them simply matches nothing.
pub(super) fn value_of_column(
    schema: &Schema,
    entity: &Entity,
    column: Column,
    text: &str,
) -> Result<Value, ValueFault> {
    let mut fault = match value_in_column(schema, entity, column, text) {
        Err(fault) if text.contains(' ') => fault,
        settled => return settled,
    };
    // In an address a `+` means a space.
    let meant = text.replace(' ', "+");
    if value_in_column(schema, entity, column, &meant).is_ok() {
        fault.message.push_str("; a `+` is written `%2B` in an address");
    }
    Err(fault)
}

fn value_in_column(
    schema: &Schema,
    entity: &Entity,
    column: Column,
    text: &str,
) -> Result<Value, ValueFault> {
    match column {
        // Compared is what would be stored.
        Column::Field(at) => {
            let field = entity.at(at);
            value_from_text(schema, &field.kind, text).map(|value| field.normalized(value))
        }
        Column::Id => {
            let own = FieldKind::Ref { entity: entity.name.clone(), on_delete: OnDelete::Restrict };
            value_from_text(schema, &own, text)
        }
        Column::Version => value_from_text(schema, &FieldKind::Int { min: None, max: None }, text),
        Column::CreatedAt | Column::UpdatedAt => moment(text).map(|time| Value::Int(time.0)),
    }
}

pub(super) fn value_from_text(schema: &Schema, kind: &FieldKind, text: &str) -> Result<Value, ValueFault> {
    let json = match kind {
        FieldKind::Int { .. } | FieldKind::Float { .. } => number_of_text(kind, text)?,
        FieldKind::Bool => match text {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => {
                let message = format!("must be true or false, not `{}`", shown(text));
                return Err(ValueFault::new("wrong_type", message));
            }
        },
        FieldKind::Json => return Err(ValueFault::new("wrong_type", "is json, which cannot be compared")),
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => Json::String(text.to_owned()),
    };
    typed(schema, kind, &json)
}

/// A number as JSON writes it, for an int or a float field: no spaces, no leading plus or zero, no separators.
pub fn number_of_text(kind: &FieldKind, text: &str) -> Result<Json, ValueFault> {
    let wrong = || ValueFault::new("wrong_type", format!("must be a number, not `{}`", shown(text)));
    match fate(text).ok_or_else(wrong)? {
        Fate::Kept => {}
        Fate::Rounded | Fate::Lost => numbers::fault(kind, text, &[]).map_or(Ok(()), Err)?,
    }
    text.parse().map(Json::Number).map_err(|_| wrong())
}

/// A value that is to be stored, as text: for a json field JSON, otherwise as in a query string; within the field's limits.
pub fn value_of_text(schema: &Schema, field: &Field, text: &str) -> Result<Value, ValueFault> {
    let value = if field.kind == FieldKind::Json {
        let json = strict_json(text.as_bytes()).map_err(|fault| match fault.code {
            "bad_json" => ValueFault::new("wrong_type", format!("must be JSON: {}", fault.message)),
            _ => fault,
        })?;
        typed(schema, &field.kind, &json)?
    } else {
        value_from_text(schema, &field.kind, text)?
    };
    let value = field.normalized(value);
    fits(field, &value)?;
    Ok(value)
}

/// The stored form of a value of a body, within the field's limits.
pub fn value_of_json(schema: &Schema, field: &Field, json: &Json) -> Result<Value, ValueFault> {
    let value = field.normalized(typed(schema, &field.kind, json)?);
    fits(field, &value)?;
    Ok(value)
}

fn expected(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Text { .. } => "a text",
        FieldKind::Int { .. } => "an int",
        FieldKind::Float { .. } => "a number",
        FieldKind::Bool => "true or false",
        FieldKind::Enum { .. } => "one of its texts",
        FieldKind::Json => "any JSON",
        FieldKind::Date => "a date such as \"2026-11-21\"",
        FieldKind::Datetime => "a datetime such as \"2026-11-21T08:00:00Z\"",
        FieldKind::Uuid => "a UUID",
        FieldKind::Ref { .. } => "the id of a record",
    }
}

/// U+0000 ends a text in too many places on the way to be worth keeping.
pub(super) fn plain_text(text: &str) -> Result<Value, ValueFault> {
    if text.contains('\0') {
        return Err(ValueFault::new("bad_character", "holds the character U+0000, which cannot be stored"));
    }
    Ok(Value::Text(text.to_owned()))
}

/// `3.0` is an int as well: JSON has one kind of number.
pub(super) fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        // In this range every whole float is an i64 exactly.
        (float.fract() == 0.0 && float.abs() <= MAX_INT as f64).then_some(float as i64)
    })
}

fn int(number: &Number) -> Result<Value, ValueFault> {
    match whole(number) {
        Some(whole) if whole.abs_diff(0) <= MAX_INT.unsigned_abs() => Ok(Value::Int(whole)),
        None if number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
            Err(ValueFault::new("wrong_type", format!("must be an int, not {number}")))
        }
        _ => Err(ValueFault::new("out_of_range", format!("must lie within ±{MAX_INT}"))),
    }
}

/// JSON has no infinities, and its parser refuses numbers that would become one. Minus zero is stored as zero.
fn float(number: &Number) -> Result<Value, ValueFault> {
    match number.as_f64().filter(|float| float.is_finite()) {
        Some(float) => Ok(Value::Float(float + 0.0)),
        None => Err(ValueFault::new("out_of_range", "is too large a number")),
    }
}

fn one_of(values: &[std::sync::Arc<str>], text: &str) -> Result<Value, ValueFault> {
    if values.iter().any(|value| **value == *text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let known: Vec<_> = values.iter().map(|value| &**value).collect();
    let mut message = format!("must be one of {}, not `{}`", known.join(", "), shown(text));
    if let Some(meant) = suggestion(text, known) {
        message.push_str(&format!("; did you mean `{meant}`?"));
    }
    Err(ValueFault::new("not_one_of", message))
}

/// Stored compact and with sorted keys, so that the same value is the same text.
fn json_text(json: &Json) -> Result<Value, ValueFault> {
    check_json(json, MOST_NESTED)?;
    let mut text = Vec::new();
    write_canonical(json, &mut text);
    String::from_utf8(text).map(Value::Json).map_err(|_| ValueFault::new("bad_character", "is not UTF-8"))
}

fn check_json(json: &Json, depth: usize) -> Result<(), ValueFault> {
    if depth == 0 {
        return Err(ValueFault::new("too_deep", format!("is nested deeper than {MOST_NESTED} levels")));
    }
    match json {
        Json::String(text) => plain_text(text).map(drop),
        Json::Array(items) => items.iter().try_for_each(|item| check_json(item, depth - 1)),
        Json::Object(members) => members.iter().try_for_each(|(key, value)| {
            plain_text(key)?;
            check_json(value, depth - 1)
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}

fn date(text: &str) -> Result<Value, ValueFault> {
    let wrong =
        || ValueFault::new("bad_date", format!("must be a date such as 2026-11-21, not `{}`", shown(text)));
    text_form::date(text).map(Value::Text).ok_or_else(wrong)
}

/// Any offset comes in; UTC with milliseconds goes to the store, so that texts sort as times.
fn datetime(text: &str) -> Result<Value, ValueFault> {
    moment(text).map(|time| Value::Text(time.rfc3339()))
}

/// Finer parts than milliseconds are cut off, as they were from the values that are kept.
fn moment(text: &str) -> Result<Timestamp, ValueFault> {
    let wrong = || {
        let like = "must be a datetime with an offset such as 2026-11-21T08:00:00Z";
        ValueFault::new("bad_datetime", format!("{like}, not `{}`", shown(text)))
    };
    text_form::millis(text).map(Timestamp).ok_or_else(wrong)
}

fn id(kind: IdKind, text: &str) -> Result<Value, ValueFault> {
    let id = match kind {
        IdKind::Uuid => RecordId::parse_uuid(text),
        IdKind::Text => RecordId::parse_text(text),
    };
    let id = id.map_err(|error| ValueFault::new("bad_id", format!("must be an id: {error}")))?;
    Ok(Value::Text(id.as_str().to_owned()))
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    number: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<(), ValueFault> {
    match (min, max) {
        (Some(min), _) if number < min => {
            Err(ValueFault::new("too_small", format!("is {number}; the smallest allowed is {min}")))
        }
        (_, Some(max)) if number > max => {
            Err(ValueFault::new("too_large", format!("is {number}; the largest allowed is {max}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(kind: &FieldKind, json: Json) -> Result<Value, &'static str> {
        let value = typed(&Schema::default(), kind, &json).map_err(|fault| fault.code)?;
        within_limits(kind, &value).map_err(|fault| fault.code)?;
        Ok(value)
    }

    fn text(text: &str) -> Result<Value, &'static str> {
        Ok(Value::Text(text.to_owned()))
    }

    #[test]
    fn ints_are_whole_and_safe_in_javascript() {
        let kind = FieldKind::Int { min: None, max: None };
        for (json, expected) in [
            (json!(3), Ok(Value::Int(3))),
            (json!(3.0), Ok(Value::Int(3))),
            (json!(-9_007_199_254_740_991_i64), Ok(Value::Int(-MAX_INT))),
            (json!(9_007_199_254_740_992_i64), Err("out_of_range")),
            (json!(u64::MAX), Err("out_of_range")),
            (json!(i64::MIN), Err("out_of_range")),
            (json!(1e300), Err("out_of_range")),
            (json!(3.5), Err("wrong_type")),
            (json!("3"), Err("wrong_type")),
            (json!(true), Err("wrong_type")),
            (json!(null), Ok(Value::Null)),
        ] {
            assert_eq!(stored(&kind, json.clone()), expected, "{json}");
        }
    }

    #[test]
    fn dates_are_real_days() {
        for (given, expected) in [
            ("2024-02-29", text("2024-02-29")),
            ("0001-01-01", text("0001-01-01")),
            ("2023-02-29", Err("bad_date")),
            ("2023-13-01", Err("bad_date")),
            ("2023-1-01", Err("bad_date")),
            ("-023-01-01", Err("bad_date")),
            ("0000-01-01", text("0000-01-01")),
            ("0000-02-30", Err("bad_date")),
            ("2023-01-01T00:00:00Z", Err("bad_date")),
            ("", Err("bad_date")),
        ] {
            assert_eq!(stored(&FieldKind::Date, json!(given)), expected, "{given}");
        }
    }

    #[test]
    fn datetimes_become_utc_of_one_width() {
        for (given, expected) in [
            ("2026-11-21T08:00:00Z", text("2026-11-21T08:00:00.000Z")),
            ("2026-11-21T08:00:00.9999+02:00", text("2026-11-21T06:00:00.999Z")),
            ("1969-12-31T23:59:59.9999Z", text("1969-12-31T23:59:59.999Z")),
            ("0001-01-01T00:00:00+01:00", text("0000-12-31T23:00:00.000Z")),
            ("0000-01-01T00:00:00+01:00", Err("bad_datetime")),
            ("9999-12-31T23:59:59-01:00", Err("bad_datetime")),
            ("2026-11-21T08:00:00", Err("bad_datetime")),
            ("2026-11-21", Err("bad_datetime")),
        ] {
            assert_eq!(stored(&FieldKind::Datetime, json!(given)), expected, "{given}");
        }
    }

    #[test]
    fn json_is_kept_in_one_form_and_not_too_deep() {
        let nested = (0..MOST_NESTED).fold(json!(1), |inner, _| json!([inner]));
        let sorted = Value::Json(r#"{"a":[1,2.5],"b":null}"#.to_owned());
        assert_eq!(stored(&FieldKind::Json, json!({"b": null, "a": [1, 2.5]})), Ok(sorted));
        assert_eq!(stored(&FieldKind::Json, nested), Err("too_deep"));
        assert_eq!(stored(&FieldKind::Json, json!({"a\u{0}": 1})), Err("bad_character"));
    }

    #[test]
    fn texts_count_characters_rather_than_bytes() {
        let kind = FieldKind::Text { min: Some(2), max: Some(3), pattern: None };
        assert_eq!(stored(&kind, json!("äöü")), text("äöü"));
        assert_eq!(stored(&kind, json!("äöüß")), Err("too_long"));
        assert_eq!(stored(&kind, json!("ä")), Err("too_short"));
        assert_eq!(stored(&kind, json!("a\u{0}b")), Err("bad_character"));
    }

    #[test]
    fn ids_are_kept_in_their_canonical_form() {
        let canonical = text("0190a000-0000-7000-8000-00000000000a");
        assert_eq!(stored(&FieldKind::Uuid, json!("0190A000-0000-7000-8000-00000000000A")), canonical);
        assert_eq!(stored(&FieldKind::Uuid, json!("0190a0000000700080000000000000 a")), Err("bad_id"));
    }
}
