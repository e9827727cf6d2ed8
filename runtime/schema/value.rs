//! Typed values and records, and the one JSON form of a record that goes to the log, to frames and to answers.
//!
//! Knows the schema's types only; checking what a client sent is the repository's business.

use bytes::Bytes;

use super::model::{Column, Entity, FieldIndex};
use crate::ids::{RecordId, Timestamp};

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

/// One record with every field's value, in the order of `Entity::fields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: RecordId,
    /// 1, 2, 3...
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub values: Vec<Value>,
}

impl Record {
    /// The value of a column, as conditions use it.
    pub fn value(&self, column: Column) -> Value {
        match column {
            Column::Id => Value::Text(self.id.as_str().to_owned()),
            Column::Version => Value::Int(i64::try_from(self.version).unwrap_or(i64::MAX)),
            Column::CreatedAt => Value::Int(self.created_at.0),
            Column::UpdatedAt => Value::Int(self.updated_at.0),
            Column::Field(at) => self.values.get(at.0).cloned().unwrap_or(Value::Null),
        }
    }

    /// `{"id":…,"version":…,<fields in schema order>,"created_at":…,"updated_at":…}`
    pub fn to_json(&self, entity: &Entity) -> Bytes {
        self.to_json_without(entity, &[])
    }

    /// The same without some fields.
    pub fn to_json_without(&self, entity: &Entity, hidden: &[FieldIndex]) -> Bytes {
        let mut out = Vec::with_capacity(160 + 32 * self.values.len());
        out.extend_from_slice(b"{\"id\":");
        write_json_of(self.id.as_str(), &mut out);
        out.extend_from_slice(b",\"version\":");
        write_json_of(&self.version, &mut out);
        for (at, (field, value)) in entity.fields.iter().zip(&self.values).enumerate() {
            if hidden.contains(&FieldIndex(at)) {
                continue;
            }
            out.push(b',');
            write_json_of(&*field.name, &mut out);
            out.push(b':');
            value.write_json(&mut out);
        }
        out.extend_from_slice(b",\"created_at\":\"");
        out.extend_from_slice(self.created_at.rfc3339().as_bytes());
        out.extend_from_slice(b"\",\"updated_at\":\"");
        out.extend_from_slice(self.updated_at.rfc3339().as_bytes());
        out.extend_from_slice(b"\"}");
        Bytes::from(out)
    }
}

/// Nesting of a `json` field; deeper ones are a burden for every reader.
pub const MOST_NESTED: usize = 32;

/// Appends the JSON form of a string or number.
pub fn write_json_of<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("strings and numbers have a JSON form, and a Vec takes every byte");
}
