//! What can be compared with what, and constants in the stored form of what they are compared with.
//!
//! Knows no name of a rule.

use std::sync::Arc;

use crate::ids::RecordId;
use crate::schema::cel::{SyntaxData, SyntaxNode};
use crate::schema::column::Column;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, FieldKind, IdKind};
use crate::schema::text_form;
use crate::schema::value::Value;

/// Largest integer that every JSON reader keeps exactly.
const MAX_INT: i64 = (1 << 53) - 1;

/// What a term has for values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Type<'a> {
    /// Any text.
    Text,
    Enum(&'a [Arc<str>]),
    Date,
    Datetime,
    /// `created_at` and `updated_at`: milliseconds.
    Moment,
    /// `now`, which takes the form of any time that it is compared with.
    Now,
    Uuid,
    /// The id of a record of this entity.
    Id(&'a str, IdKind),
    Number,
    Bool,
    Json,
    /// A claim: whatever the credentials have there.
    Claim,
}

impl<'a> Type<'a> {
    pub(super) fn of(column: Column, entity: &'a Entity) -> Type<'a> {
        match column {
            Column::Id => Type::Id(&entity.name, entity.id_kind),
            Column::Version => Type::Number,
            Column::CreatedAt | Column::UpdatedAt => Type::Moment,
            Column::Field(field) => match &entity.at(field).kind {
                FieldKind::Text { .. } => Type::Text,
                FieldKind::Int { .. } | FieldKind::Float { .. } => Type::Number,
                FieldKind::Bool => Type::Bool,
                FieldKind::Enum { values } => Type::Enum(values),
                FieldKind::Json => Type::Json,
                FieldKind::Date => Type::Date,
                FieldKind::Datetime => Type::Datetime,
                FieldKind::Uuid => Type::Uuid,
                // Only the built-in `User` has other ids.
                FieldKind::Ref { entity, .. } if &**entity == crate::schema::builtin::USER => {
                    Type::Id(entity, IdKind::Text)
                }
                FieldKind::Ref { entity, .. } => Type::Id(entity, IdKind::Uuid),
            },
        }
    }

    /// With an article.
    pub(super) fn noun(self) -> String {
        match self {
            Type::Text => "a text".to_owned(),
            Type::Enum(_) => "an enum".to_owned(),
            Type::Date => "a date".to_owned(),
            Type::Datetime => "a datetime".to_owned(),
            Type::Moment | Type::Now => "the time of a write".to_owned(),
            Type::Uuid => "a uuid".to_owned(),
            Type::Id(entity, _) => format!("the id of a {entity}"),
            Type::Number => "a number".to_owned(),
            Type::Bool => "true or false".to_owned(),
            Type::Json => "a json value".to_owned(),
            Type::Claim => "a claim".to_owned(),
        }
    }

    pub(super) fn has_order(self) -> bool {
        match self {
            Type::Text
            | Type::Date
            | Type::Datetime
            | Type::Moment
            | Type::Now
            | Type::Number
            | Type::Claim => true,
            Type::Enum(_) | Type::Uuid | Type::Id(..) | Type::Bool | Type::Json => false,
        }
    }

    /// Whether a value of the one may equal a value of the other.
    pub(super) fn fits(self, other: Type<'_>) -> bool {
        match (self, other) {
            (Type::Json, _) | (_, Type::Json) => false,
            (Type::Claim, _) | (_, Type::Claim) => true,
            (Type::Id(one, _), Type::Id(other, _)) => one == other,
            (Type::Uuid, Type::Id(_, ids)) | (Type::Id(_, ids), Type::Uuid) => ids == IdKind::Uuid,
            (Type::Text, Type::Text | Type::Enum(_) | Type::Uuid | Type::Id(..))
            | (Type::Enum(_) | Type::Uuid | Type::Id(..), Type::Text)
            | (Type::Enum(_), Type::Enum(_))
            | (Type::Date, Type::Date)
            | (Type::Datetime, Type::Datetime)
            | (Type::Moment, Type::Moment)
            | (Type::Now, Type::Date | Type::Datetime | Type::Moment | Type::Now)
            | (Type::Date | Type::Datetime | Type::Moment, Type::Now)
            | (Type::Uuid, Type::Uuid)
            | (Type::Number, Type::Number)
            | (Type::Bool, Type::Bool) => true,
            (
                Type::Text
                | Type::Enum(_)
                | Type::Date
                | Type::Datetime
                | Type::Moment
                | Type::Now
                | Type::Uuid
                | Type::Id(..)
                | Type::Number
                | Type::Bool,
                _,
            ) => false,
        }
    }
}

pub(super) fn is_literal(node: &SyntaxNode) -> bool {
    matches!(node.data, SyntaxData::Bool(_) | SyntaxData::Int(_) | SyntaxData::Float(_) | SyntaxData::Text(_))
}

/// A constant by itself.
pub(super) fn plain(node: &SyntaxNode) -> Result<Value, Diagnostic> {
    literal(node, Type::Claim)
}

/// A constant as a value of the type is stored.
pub(super) fn literal(node: &SyntaxNode, wanted: Type<'_>) -> Result<Value, Diagnostic> {
    let fits = |is: Type<'_>| wanted == Type::Claim || wanted == is;
    match &node.data {
        SyntaxData::Bool(flag) if fits(Type::Bool) => Ok(Value::Bool(*flag)),
        SyntaxData::Int(number) if fits(Type::Number) => {
            match number.unsigned_abs() <= MAX_INT.unsigned_abs() {
                true => Ok(Value::Int(*number)),
                false => Err(problem(node, format!("{number} is out of range"), "too large")
                    .help("integers lie within ±9007199254740991")),
            }
        }
        SyntaxData::Float(number) if fits(Type::Number) => match number.is_finite() {
            // SQLite keeps no negative zero.
            true => Ok(Value::Float(number + 0.0)),
            false => Err(problem(node, "this number is too large", "too large").help("floats are finite")),
        },
        SyntaxData::Text(text) if text.contains('\0') => {
            Err(problem(node, "a text cannot contain U+0000", "U+0000")
                .help("take it out: no stored text has it"))
        }
        SyntaxData::Text(text) => stored(node, text, wanted),
        SyntaxData::Null
        | SyntaxData::Bool(_)
        | SyntaxData::Int(_)
        | SyntaxData::Float(_)
        | SyntaxData::List(_)
        | SyntaxData::Name(_)
        | SyntaxData::Select(..)
        | SyntaxData::Call(..)
        | SyntaxData::Not(_)
        | SyntaxData::All(_)
        | SyntaxData::Any(_)
        | SyntaxData::Binary(..)
        | SyntaxData::Sum(_)
        | SyntaxData::Unsupported(_) => Err(misfit(node, wanted)),
    }
}

fn stored(node: &SyntaxNode, text: &str, wanted: Type<'_>) -> Result<Value, Diagnostic> {
    let form = |stored: Option<String>, what: &str, help: &str| {
        let help = if text == "now" { "write `now` without quotes for the time of the write" } else { help };
        let wrong = || problem(node, format!("{} is not {what}", quoted(text)), "never equal").help(help);
        stored.ok_or_else(wrong)
    };
    let id = |ids: IdKind| match ids {
        IdKind::Uuid => RecordId::parse_uuid(text).ok(),
        IdKind::Text => RecordId::parse_text(text).ok(),
    };
    let id_text = |ids: IdKind| id(ids).map(|id| id.as_str().to_owned());
    const DATETIME: &str = "a datetime has a time and an offset: '2026-11-21T08:00:00Z'";
    let stored = match wanted {
        Type::Text | Type::Claim => text.to_owned(),
        Type::Enum(values) => {
            let known: Vec<&str> = values.iter().map(|value| &**value).collect();
            let help = suggestion(text, &known, "the values are");
            form(known.contains(&text).then(|| text.to_owned()), "one of the values of this enum", &help)?
        }
        Type::Date => form(text_form::date(text), "a date", "write it as '2026-11-21'")?,
        Type::Datetime | Type::Now => form(text_form::datetime(text), "a datetime", DATETIME)?,
        Type::Moment => match text_form::millis(text) {
            Some(millis) => return Ok(Value::Int(millis)),
            None => form(None, "a datetime", DATETIME)?,
        },
        Type::Uuid => {
            form(id_text(IdKind::Uuid), "a uuid", "write it as '0190a000-0000-7000-8000-00000000000a'")?
        }
        Type::Id(entity, ids) => {
            form(id_text(ids), &format!("an id of {entity}"), "write the id as records have it")?
        }
        Type::Number | Type::Bool | Type::Json => return Err(misfit(node, wanted)),
    };
    Ok(Value::Text(stored))
}

fn misfit(node: &SyntaxNode, wanted: Type<'_>) -> Diagnostic {
    let found = match &node.data {
        SyntaxData::Text(_) => "a text",
        SyntaxData::Int(_) | SyntaxData::Float(_) => "a number",
        SyntaxData::Bool(_) => "true or false",
        SyntaxData::Null => "null",
        SyntaxData::List(_) => "a list",
        SyntaxData::Name(_)
        | SyntaxData::Select(..)
        | SyntaxData::Call(..)
        | SyntaxData::Sum(_)
        | SyntaxData::Unsupported(_) => "no constant",
        SyntaxData::Not(_) | SyntaxData::All(_) | SyntaxData::Any(_) | SyntaxData::Binary(..) => {
            "a condition"
        }
    };
    let help = match (&node.data, wanted) {
        (_, Type::Json) => "for a json field write `x in field`, `size(field)` or `field == null`",
        (SyntaxData::Text(_), Type::Number | Type::Bool) => "write it without quotes",
        _ => "both sides must be of one type",
    };
    problem(node, format!("{found} does not fit {}", wanted.noun()), "another type").help(help)
}

fn problem(node: &SyntaxNode, message: impl Into<String>, label: &str) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleType, node.span.clone(), message).label(label)
}
