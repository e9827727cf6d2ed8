//! The words of a plan: what a move does, what is in its way, and what the operator can do about it.

use super::difference::Site;
use super::premises::text_of;
use super::stored_schema::StoredField;
use super::values::Converted;
use crate::ids::shown;
use crate::schema::{Field, FieldKind, Value};
use crate::store::migration::{Need, Remedy};

pub(super) fn retyped(was: &StoredField, field: &Field) -> String {
    let kind = &field.kind;
    match (kind, &was.refers) {
        (FieldKind::Text { .. }, _) if was.kind == "text" => {
            let steps: Vec<&str> = field.normalize.iter().map(|step| step.word()).collect();
            format!("normalize its values: {}", steps.join(", "))
        }
        (FieldKind::Enum { values }, _) if was.kind == "enum" => {
            let gone: Vec<&str> = was
                .values
                .iter()
                .filter(|was| !values.iter().any(|value| **value == ***was))
                .map(String::as_str)
                .collect();
            format!("take the enum value `{}` out", gone.join("`, `"))
        }
        (FieldKind::Ref { entity, .. }, Some((was, _))) => format!("refer to {entity} instead of {was}"),
        _ => format!("change the type from {} to {}", was.kind, kind.word()),
    }
}

pub(super) fn does_not_convert(subject: &str, found: &Converted, cleared: &Value) -> Need {
    let becomes =
        if cleared.is_null() { "empty".to_owned() } else { format!("`{}`", shown(&text_of(cleared))) };
    Need {
        why: format!(
            "values that do not convert: {} of {}; each would become {becomes}",
            found.failed, found.values
        ),
        examples: found.examples.clone(),
        remedy: Remedy::Flag(format!("--allow-clear {subject}")),
    }
}

pub(super) fn duplicates(examples: Vec<String>, remedy: &'static str) -> Need {
    Need { why: "values occur more than once".to_owned(), examples, remedy: Remedy::Words(remedy) }
}

/// The key without which the values may stay.
pub(super) fn leaving(at: &Site) -> &'static str {
    match at.field().ignore_case {
        true => "change the records first, or leave `ignore_case` out",
        false => "change the records first, or leave `unique` out",
    }
}

pub(super) fn same_value(records: u64) -> Need {
    Need {
        why: format!("{records} records would get the same value"),
        examples: Vec::new(),
        remedy: Remedy::Words(
            "add it without `unique` and without a default, give each record a value, then make it unique",
        ),
    }
}

/// A value as a shell takes it.
pub(super) fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

pub(super) fn counted_are(records: u64) -> String {
    if records == 1 { "1 record is".to_owned() } else { format!("{records} records are") }
}

pub(super) fn counted_have(records: u64) -> String {
    if records == 1 { "1 record has".to_owned() } else { format!("{records} records have") }
}
