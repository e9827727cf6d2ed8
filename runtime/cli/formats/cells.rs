//! One value as a CSV cell, in both directions. An empty cell is null, a quoted empty one the empty text.
//!
//! Cells are written here and not by the `csv` crate, which cannot quote an empty cell among others that are not.

use std::io::Write;

use serde_json::Value as Json;

use crate::ids::shown;
use crate::repository::{FieldError, ValueFault, number_of_text, strict_json};
use crate::schema::{Field, FieldKind, Value};

pub(super) fn write_cell(value: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let mut json = Vec::new();
            value.write_json(&mut json);
            out.write_all(&json)
        }
        Value::Text(text) | Value::Json(text) => write_text(text, out),
    }
}

/// Texts are written as they are, those that look like a formula included: a cell is data, and must come back the same.
fn write_text(text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let edges = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    if !text.is_empty() && !edges && !text.contains(['"', ',', '\r', '\n']) {
        return out.write_all(text.as_bytes());
    }
    write!(out, "\"{}\"", text.replace('"', "\"\""))
}

/// The JSON that the API would take for this cell; a text stays a text, whatever it looks like.
pub(super) fn read_cell(field: &Field, cell: &str) -> Result<Json, FieldError> {
    match &field.kind {
        FieldKind::Int { .. } | FieldKind::Float { .. } => {
            number_of_text(&field.kind, cell).map_err(|fault| told(field, &fault))
        }
        FieldKind::Bool => bool_of(cell)
            .map(Json::Bool)
            .ok_or_else(|| wrong(field, "true or false (or TRUE, True, t, 1 and the like)", cell)),
        FieldKind::Json => strict_json(cell.as_bytes()).map_err(|fault| {
            if fault.code != "bad_json" {
                return told(field, &fault);
            }
            let (name, fault) = (&field.name, fault.message);
            let message =
                format!("`{name}` is a json field, and `{}` is not valid JSON: {fault}", shown(cell));
            FieldError { field: name.to_string(), code: "bad_json", message }
        }),
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => Ok(Json::String(cell.to_owned())),
    }
}

fn told(field: &Field, fault: &ValueFault) -> FieldError {
    let message = format!("`{}` {}", field.name, fault.message);
    FieldError { field: field.name.to_string(), code: fault.code, message }
}

/// As spreadsheets (`TRUE`), pandas and R (`True`), PostgreSQL (`t`) and SQLite (`1`) write them. Words such as `yes` or `WAHR`
/// differ from language to language and are refused.
fn bool_of(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

fn wrong(field: &Field, expected: &str, cell: &str) -> FieldError {
    let message = format!("`{}` must be {expected}, not `{}`", field.name, shown(cell));
    FieldError { field: field.name.to_string(), code: "wrong_type", message }
}
