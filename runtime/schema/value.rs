//! Typed values and their JSON form.
//!
//! Knows no field: the repository checks what a client sent.

/// A stored field value. `Text` also holds enum, date, datetime, uuid and ref values in their canonical text form:
/// a date is `2026-11-21`, a datetime `2026-11-21T08:00:00.000Z`. `Json` is compact JSON text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// Within ±(2^53-1).
    Int(i64),
    /// Finite.
    Float(f64),
    Text(String),
    Json(String),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Appends the JSON form.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Int(number) => write_json_of(number, out),
            Value::Float(number) => write_json_of(number, out),
            Value::Text(text) => write_json_of(text, out),
            Value::Json(raw) => out.extend_from_slice(raw.as_bytes()),
        }
    }
}

/// Nesting of a `json` field; deeper ones are a burden for every reader.
pub const MOST_NESTED: usize = 32;

/// Appends the JSON form of a string or number.
pub fn write_json_of<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("strings and numbers have a JSON form, and a Vec takes every byte");
}
