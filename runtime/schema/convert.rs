//! How a value converts when its field changes its type. Pure; whether a reference leads to a record, and what
//! happens to a value that does not convert, the store and the operator decide.

use super::model::{FieldKind, IdKind};
use super::text_form;
use super::value::Value;
use crate::ids::RecordId;

const MAX_INT: i64 = (1 << 53) - 1;

/// Whether every value converts, and back to what it was: such a change loses nothing. `was` is the word of the former type.
/// Never so for an enum or a ref, whose values are judged one by one.
pub fn is_widening(was: &str, kind: &FieldKind) -> bool {
    match kind {
        FieldKind::Text { .. } => was != "json",
        FieldKind::Float { .. } => was == "int",
        FieldKind::Datetime => was == "date",
        FieldKind::Json => was == "text",
        FieldKind::Uuid => was == "ref",
        FieldKind::Int { .. }
        | FieldKind::Bool
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Ref { .. } => was == kind.word(),
    }
}

/// The value in the new type, in its one stored form; `None` when it has none. Null stays null. Limits (`min`, `max`,
/// `pattern`) are not looked at: they hold for what is written from now on. `ids` is the form of a ref's ids.
pub fn convert(value: &Value, kind: &FieldKind, ids: IdKind) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    match kind {
        FieldKind::Json => return Some(Value::Json(json_of(value))),
        FieldKind::Int { .. } => return int(value).filter(|number| number.abs() <= MAX_INT).map(Value::Int),
        FieldKind::Float { .. } => return float(value).map(Value::Float),
        FieldKind::Bool => return bool_of(value).map(Value::Bool),
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => {}
    }
    let text = text_of(value)?;
    match kind {
        FieldKind::Text { .. } => Some(text),
        FieldKind::Enum { values } => values.iter().any(|value| **value == *text).then_some(text),
        FieldKind::Date => date(&text),
        FieldKind::Datetime => {
            let text = text.trim();
            text_form::datetime(text).or_else(|| Some(text_form::date(text)? + "T00:00:00.000Z"))
        }
        FieldKind::Uuid => id(IdKind::Uuid, &text),
        FieldKind::Ref { .. } => id(ids, &text),
        FieldKind::Int { .. } | FieldKind::Float { .. } | FieldKind::Bool | FieldKind::Json => None,
    }
    .map(Value::Text)
}

/// The text that a person would write: a JSON string without its quotes.
fn text_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Json(raw) => match serde_json::from_str(raw) {
            Ok(serde_json::Value::String(text)) => text,
            Ok(_) | Err(_) => raw.clone(),
        },
    })
}

fn json_of(value: &Value) -> String {
    let mut json = Vec::new();
    value.write_json(&mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Int(number) => Some(*number),
        // In this range every whole float is an i64 exactly.
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= MAX_INT as f64 => {
            Some(*number as i64)
        }
        Value::Float(_) | Value::Null => None,
        Value::Text(_) | Value::Json(_) => text_of(value)?.trim().parse().ok(),
    }
}

fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Text(_) | Value::Json(_) => text_of(value)?.trim().parse().ok()?,
        Value::Null => return None,
    };
    // SQLite keeps no negative zero.
    number.is_finite().then_some(number + 0.0)
}

fn bool_of(value: &Value) -> Option<bool> {
    match text_of(value)?.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A datetime gives its day in UTC.
fn date(text: &str) -> Option<String> {
    let text = text.trim();
    text_form::date(text).or_else(|| text_form::datetime(text)?.get(..10).map(str::to_owned))
}

fn id(kind: IdKind, text: &str) -> Option<String> {
    let id = match kind {
        IdKind::Uuid => RecordId::parse_uuid(text.trim()),
        IdKind::Text => RecordId::parse_text(text),
    };
    id.ok().map(|id| id.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn kind(word: &str) -> FieldKind {
        match word {
            "text" => FieldKind::Text { min: None, max: None, pattern: None },
            "int" => FieldKind::Int { min: None, max: None },
            "float" => FieldKind::Float { min: None, max: None },
            "bool" => FieldKind::Bool,
            "enum" => FieldKind::Enum { values: vec!["open".into(), "1".into(), "true".into()] },
            "json" => FieldKind::Json,
            "date" => FieldKind::Date,
            "datetime" => FieldKind::Datetime,
            _ => FieldKind::Uuid,
        }
    }

    #[test]
    fn values_convert_where_they_have_a_meaning_in_the_new_type() {
        let json = |raw: &str| Value::Json(raw.to_owned());
        let day = "2026-11-21";
        for (value, word, expected) in [
            (text(" 42 "), "int", Some(Value::Int(42))),
            (text("4.0"), "int", None),
            (text("9007199254740992"), "int", None),
            (text(""), "int", None),
            (Value::Float(3.0), "int", Some(Value::Int(3))),
            (Value::Float(3.5), "int", None),
            (Value::Float(1e300), "int", None),
            (Value::Bool(true), "int", Some(Value::Int(1))),
            (json("7"), "int", Some(Value::Int(7))),
            (json("[7]"), "int", None),
            (Value::Int(3), "float", Some(Value::Float(3.0))),
            (text("1e3"), "float", Some(Value::Float(1000.0))),
            (text("inf"), "float", None),
            (text("true"), "bool", Some(Value::Bool(true))),
            (Value::Int(0), "bool", Some(Value::Bool(false))),
            (Value::Int(2), "bool", None),
            (text("yes"), "bool", None),
            (Value::Float(1.5), "text", Some(text("1.5"))),
            (json("\"a\""), "text", Some(text("a"))),
            (json("{\"a\":1}"), "text", Some(text("{\"a\":1}"))),
            (text("open"), "enum", Some(text("open"))),
            (text("Open"), "enum", None),
            (Value::Int(1), "enum", Some(text("1"))),
            (text("a\"b"), "json", Some(json("\"a\\\"b\""))),
            (Value::Int(3), "json", Some(json("3"))),
            (text(day), "date", Some(text(day))),
            (text("2026-11-21T23:30:00-02:00"), "date", Some(text("2026-11-22"))),
            (text("21.11.2026"), "date", None),
            (text(day), "datetime", Some(text("2026-11-21T00:00:00.000Z"))),
            (text("2026-02-30"), "datetime", None),
            (
                text("0190A000-0000-7000-8000-00000000000A"),
                "uuid",
                Some(text("0190a000-0000-7000-8000-00000000000a")),
            ),
            (text("a"), "uuid", None),
            (Value::Null, "int", Some(Value::Null)),
        ] {
            assert_eq!(convert(&value, &kind(word), IdKind::Uuid), expected, "{value:?} to {word}");
        }
    }

    #[test]
    fn a_widening_converts_every_value() {
        let values = [
            ("int", vec![Value::Int(0), Value::Int(-MAX_INT), Value::Int(MAX_INT)]),
            ("float", vec![Value::Float(0.1), Value::Float(-1e300)]),
            ("bool", vec![Value::Bool(true), Value::Bool(false)]),
            ("text", vec![text(""), text("a\n\"ä")]),
            ("date", vec![text("0001-01-01"), text("9999-12-31")]),
        ];
        for (was, values) in values {
            for word in ["text", "int", "float", "bool", "json", "date", "datetime", "uuid"] {
                if is_widening(was, &kind(word)) {
                    for value in &values {
                        assert!(convert(value, &kind(word), IdKind::Uuid).is_some(), "{value:?} to {word}");
                    }
                }
            }
        }
    }
}
