//! The default of a field: a constant of its type and within its constraints, or `user.id`, `now`, `now + 7d`, `random`.
//!
//! Knows no other field.

use super::kind::{LARGEST_INT, SMALLEST_INT};
use super::reader::TableReader;
use crate::env::RANDOM_TEXT;
use crate::ids::RecordId;
use crate::schema::builtin::USER;
use crate::schema::delay::{BadDelay, Delay};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{FieldDefault, FieldKind};
use crate::schema::text_form;
use crate::schema::tree::{Data, Entry, Node};
use crate::schema::value::{MOST_NESTED, Value, write_json_of};

/// Why a value cannot be the default of a field.
struct BadDefault {
    code: DiagnosticCode,
    message: String,
    help: String,
}

/// Checks `default = …` of a field of the kind `kind`.
pub(super) fn check(entry: &Entry, kind: &FieldKind, reader: &mut TableReader<'_>) -> Option<FieldDefault> {
    let data = &entry.value.data;
    if *data == Data::Null {
        return reader.wrong_kind(entry, "a value", "");
    }
    let checked = match source(data, kind) {
        Some(from) => from,
        None => constant(&entry.value, kind)
            .and_then(|value| within(&value, kind).map(|()| value))
            .map(FieldDefault::Value),
    };
    checked
        .map_err(|refusal| {
            let problem = Diagnostic::new(refusal.code, entry.value.span.clone(), refusal.message);
            reader.add(problem.label("this default").help(refusal.help));
        })
        .ok()
}

/// `user.id`, `now` and `random`, where they are not constants: `None` for a constant.
fn source(data: &Data, kind: &FieldKind) -> Option<Result<FieldDefault, BadDefault>> {
    let Data::Text(word) = data else { return None };
    match (word.as_str(), kind) {
        ("user.id", FieldKind::Text { .. }) => Some(Ok(FieldDefault::UserId)),
        ("user.id", FieldKind::Ref { entity, .. }) if &**entity == USER => Some(Ok(FieldDefault::UserId)),
        ("user.id", FieldKind::Enum { .. } | FieldKind::Json) => None,
        ("user.id", _) => Some(Err(BadDefault {
            code: DiagnosticCode::DefaultSource,
            message: "only a text field or a ref to User can default to `user.id`".to_owned(),
            help: "use type = \"ref\", entity = \"User\"".to_owned(),
        })),
        ("random", FieldKind::Text { min, max, pattern }) => {
            Some(random(*min, *max, pattern.is_some()).map(|()| FieldDefault::Random))
        }
        ("random", FieldKind::Enum { .. } | FieldKind::Json) => None,
        ("random", _) => Some(Err(BadDefault {
            code: DiagnosticCode::DefaultSource,
            message: "only a text field can default to `random`".to_owned(),
            help: "use type = \"text\"".to_owned(),
        })),
        (word, FieldKind::Date | FieldKind::Datetime) => later(word),
        (word, FieldKind::Int { .. } | FieldKind::Float { .. } | FieldKind::Bool | FieldKind::Uuid)
            if later(word).is_some() =>
        {
            Some(Err(BadDefault {
                code: DiagnosticCode::DefaultSource,
                message: "only a date or datetime field can default to `now`".to_owned(),
                help: "use type = \"datetime\"".to_owned(),
            }))
        }
        _ => None,
    }
}

/// `now`, and `now + 7d`; `None` where the text begins with another word.
fn later(text: &str) -> Option<Result<FieldDefault, BadDefault>> {
    let rest = text.strip_prefix("now")?;
    if rest.is_empty() {
        return Some(Ok(FieldDefault::Now(Delay::NONE)));
    }
    if rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
        return None;
    }
    let rest = rest.trim();
    let delay = rest.strip_prefix('+').map_or(Err(BadDelay::Form), |rest| Delay::parse(rest.trim()));
    let refused = |message: String, help: &str| {
        Err(BadDefault { code: DiagnosticCode::DefaultLater, message, help: help.to_owned() })
    };
    Some(match delay {
        Ok(delay) => Ok(FieldDefault::Now(delay)),
        Err(BadDelay::Form) => refused(
            format!("{} does not say how much later", quoted(text)),
            "write a whole number and s, m, h, d or w (seconds, minutes, hours, days, weeks): \"now + 7d\"",
        ),
        Err(BadDelay::Zero) => refused(format!("{} is now", quoted(text)), "write \"now\""),
        Err(BadDelay::TooLong) => refused(
            format!("{} is more than a hundred years later", quoted(text)),
            "write at most 36525d, or no default",
        ),
    })
}

/// The characters are those of addresses, so a pattern would have to take every one of them in every place.
fn random(min: Option<u64>, max: Option<u64>, has_pattern: bool) -> Result<(), BadDefault> {
    let length = RANDOM_TEXT as u64;
    let (message, help) = match (min, max) {
        _ if has_pattern => (
            "a random text need not match the pattern".to_owned(),
            "leave `pattern` out, or the default".to_owned(),
        ),
        (Some(min), _) if min > length => (
            format!("a random text has {length} characters, and `min` is {min}"),
            format!("lower `min` to {length}"),
        ),
        (_, Some(max)) if max < length => (
            format!("a random text has {length} characters, and `max` is {max}"),
            format!("raise `max` to {length}"),
        ),
        _ => return Ok(()),
    };
    Err(BadDefault { code: DiagnosticCode::DefaultRandom, message, help })
}

fn constant(node: &Node, kind: &FieldKind) -> Result<Value, BadDefault> {
    let refused = |expected: &str| BadDefault {
        code: DiagnosticCode::DefaultType,
        message: format!(
            "the default of {} {} field must be {expected}, found {}",
            article(kind),
            kind.word(),
            found(&node.data)
        ),
        help: "correct it, or leave `default` out".to_owned(),
    };
    match (kind, &node.data) {
        (FieldKind::Text { .. }, Data::Text(text)) if !text.contains('\0') => Ok(Value::Text(text.clone())),
        (FieldKind::Text { .. }, _) => Err(refused("a string without U+0000")),
        (FieldKind::Int { .. }, Data::Int(number @ SMALLEST_INT..=LARGEST_INT)) => Ok(Value::Int(*number)),
        (FieldKind::Int { .. }, _) => Err(refused("an integer within ±9007199254740991")),
        (FieldKind::Float { .. }, data) if data.is_int_beyond_floats() => {
            Err(refused("a number that a 64-bit float keeps"))
        }
        (FieldKind::Float { .. }, Data::Int(number)) => Ok(Value::Float(*number as f64)),
        // There is one zero.
        (FieldKind::Float { .. }, Data::Float(number)) => Ok(Value::Float(*number + 0.0)),
        (FieldKind::Float { .. }, _) => Err(refused("a number")),
        (FieldKind::Bool, Data::Bool(value)) => Ok(Value::Bool(*value)),
        (FieldKind::Bool, _) => Err(refused("true or false")),
        (FieldKind::Enum { .. }, Data::Text(text)) => Ok(Value::Text(text.clone())),
        (FieldKind::Enum { .. }, _) => Err(refused("one of its values")),
        (FieldKind::Json, _) => json(node).map(Value::Json),
        (FieldKind::Date, Data::Text(text) | Data::Datetime(text)) => text_form::date(text)
            .map(Value::Text)
            .ok_or_else(|| refused("`now`, `now + 7d` or a day like \"2026-11-21\"")),
        (FieldKind::Date, _) => Err(refused("`now`, `now + 7d` or a day like \"2026-11-21\"")),
        (FieldKind::Datetime, Data::Text(text) | Data::Datetime(text)) => text_form::datetime(text)
            .map(Value::Text)
            .ok_or_else(|| refused("`now`, `now + 7d` or a time like \"2026-11-21T08:00:00Z\"")),
        (FieldKind::Datetime, _) => Err(refused("`now`, `now + 7d` or a time like \"2026-11-21T08:00:00Z\"")),
        (FieldKind::Ref { entity, .. }, Data::Text(text)) if &**entity == USER => RecordId::parse_text(text)
            .map(id_value)
            .map_err(|_| refused("the id of a User: 1 to 128 characters, `count` excepted")),
        (FieldKind::Uuid | FieldKind::Ref { .. }, Data::Text(text)) => {
            RecordId::parse_uuid(text).map(id_value).map_err(|_| refused("a UUID"))
        }
        (FieldKind::Uuid | FieldKind::Ref { .. }, _) => Err(refused("a UUID")),
    }
}

fn id_value(id: RecordId) -> Value {
    Value::Text(id.as_str().to_owned())
}

fn article(kind: &FieldKind) -> &'static str {
    if kind.word().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

fn found(data: &Data) -> String {
    match data {
        Data::Text(text) | Data::Datetime(text) => quoted(text),
        Data::Int(number) => quoted(&number.to_string()),
        Data::Null | Data::Bool(_) | Data::Float(_) | Data::List(_) | Data::Table(_) => {
            data.noun().to_owned()
        }
    }
}

/// Whether a value of the right type keeps the field's own constraints.
fn within(value: &Value, kind: &FieldKind) -> Result<(), BadDefault> {
    let against =
        |message: String, help: String| Err(BadDefault { code: DiagnosticCode::DefaultRange, message, help });
    let bound = "change the default or the bound".to_owned();
    match (kind, value) {
        (FieldKind::Text { min, max, pattern }, Value::Text(text)) => {
            let length = text.chars().count() as u64;
            if let Some(min) = min.filter(|min| length < *min) {
                return against(format!("the default has {length} characters, and `min` is {min}"), bound);
            }
            if let Some(max) = max.filter(|max| length > *max) {
                return against(format!("the default has {length} characters, and `max` is {max}"), bound);
            }
            match pattern.as_ref().filter(|pattern| !pattern.0.is_match(text)) {
                Some(_) => against(
                    "the default does not match the pattern".to_owned(),
                    "change one of the two".to_owned(),
                ),
                None => Ok(()),
            }
        }
        (FieldKind::Int { min, max }, Value::Int(number)) => between(*number, *min, *max),
        (FieldKind::Float { min, max }, Value::Float(number)) => between(*number, *min, *max),
        // Without any value the values themselves have been reported.
        (FieldKind::Enum { values }, Value::Text(text)) if !values.is_empty() => {
            if values.iter().any(|value| **value == **text) {
                return Ok(());
            }
            let known: Vec<&str> = values.iter().map(|value| &**value).collect();
            against(
                format!("the default {} is not among the values", quoted(text)),
                suggestion(text, &known, "the values are"),
            )
        }
        _ => Ok(()),
    }
}

fn between<T: PartialOrd + std::fmt::Display>(
    number: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<(), BadDefault> {
    let refusal = |message: String| {
        Err(BadDefault {
            code: DiagnosticCode::DefaultRange,
            message,
            help: "change the default or the bound".to_owned(),
        })
    };
    match (min, max) {
        (Some(min), _) if number < min => refusal(format!("the default {number} is below `min`, {min}")),
        (_, Some(max)) if number > max => refusal(format!("the default {number} is above `max`, {max}")),
        _ => Ok(()),
    }
}

/// Compact JSON with sorted keys, within the limits of the values that clients write: the stored form of a json field.
fn json(node: &Node) -> Result<String, BadDefault> {
    let mut out = Vec::new();
    write(node, MOST_NESTED, &mut out)?;
    Ok(String::from_utf8(out).expect("JSON writers produce UTF-8"))
}

fn write(node: &Node, depth: usize, out: &mut Vec<u8>) -> Result<(), BadDefault> {
    let refused = |message: String| {
        Err(BadDefault {
            code: DiagnosticCode::DefaultType,
            message,
            help: "correct it, or leave `default` out".to_owned(),
        })
    };
    if depth == 0 {
        return refused(format!("the default is nested deeper than {MOST_NESTED} levels"));
    }
    match &node.data {
        Data::Null => out.extend_from_slice(b"null"),
        Data::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Data::Int(number) if node.data.is_int_not_kept() => {
            return Err(BadDefault {
                code: DiagnosticCode::DefaultType,
                message: format!("a json field keeps what a 64-bit float keeps, found {number}"),
                help: "put it in double quotes".to_owned(),
            });
        }
        Data::Int(number) => write_json_of(number, out),
        Data::Float(number) => write_json_of(number, out),
        Data::Text(text) if text.contains('\0') => {
            return refused("the default holds the character U+0000, which cannot be stored".to_owned());
        }
        Data::Text(text) => write_json_of(text, out),
        Data::Datetime(text) => {
            return Err(BadDefault {
                code: DiagnosticCode::DefaultType,
                message: format!("JSON has no dates, found {}", quoted(text)),
                help: "put it in double quotes".to_owned(),
            });
        }
        Data::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, depth - 1, out)?;
            }
            out.push(b']');
        }
        Data::Table(table) => {
            let mut entries: Vec<&Entry> = table.entries.iter().collect();
            entries.sort_unstable_by_key(|entry| &entry.key);
            out.push(b'{');
            for (at, entry) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                if entry.key.contains('\0') {
                    return refused("the default has a key with the character U+0000".to_owned());
                }
                write_json_of(&entry.key, out);
                out.push(b':');
                write(&entry.value, depth - 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}
