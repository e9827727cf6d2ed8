//! `Record`: a record's values, and the one JSON form of it that goes to the log, to frames and to answers.
//!
//! Knows the schema's types only, no table and no client.

use bytes::Bytes;

use super::column::{Column, FieldIndex};
use super::model::Entity;
use super::value::{Value, write_json_of};
use crate::ids::{RecordId, Timestamp};

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
            // Names are letters, digits and underscores (`check/names.rs`): nothing to escape.
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write_json(&mut out);
        }
        out.extend_from_slice(b",\"created_at\":\"");
        self.created_at.write_rfc3339(&mut out);
        out.extend_from_slice(b"\",\"updated_at\":\"");
        self.updated_at.write_rfc3339(&mut out);
        out.extend_from_slice(b"\"}");
        Bytes::from(out)
    }
}
