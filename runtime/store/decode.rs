//! The records of a change that was read from the log, decoded from its images when they are first asked for.
//!
//! Knows no rule.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{Change, Rows};
use crate::ids::{RecordId, Timestamp};
use crate::schema::{Entity, FieldKind, Record, Value, text_form};

impl Change {
    /// The records, as `entity` of the change's own generation has them.
    pub fn rows(&self, entity: &Entity) -> &Rows {
        self.decoded.or_decode(|| decode(self, entity))
    }
}

/// A record from the JSON in which it is stored.
pub fn record_of(entity: &Entity, id: &RecordId, json: &[u8]) -> Record {
    record(id, entity, &members(json))
}

/// The image before an update holds the old values of what changed, among them none of the columns that every change changes.
fn decode(change: &Change, entity: &Entity) -> Rows {
    let after = change.after.as_deref().map(members).unwrap_or_default();
    let before = change.before.as_deref().map(members).unwrap_or_default();
    let new = change.after.as_ref().map(|_| record(&change.id, entity, &after));
    let old = change.before.as_ref().map(|_| {
        let mut whole = after;
        whole.extend(before);
        let mut old = record(&change.id, entity, &whole);
        if new.is_some() {
            old.version = old.version.saturating_sub(1);
        }
        old
    });
    Rows { old, new }
}

/// The fields of an image, as they were written.
pub(in crate::store) type ImageMembers<'a> = HashMap<&'a str, &'a RawValue>;

/// Those of an image that cannot be read are none.
pub(in crate::store) fn members(image: &[u8]) -> ImageMembers<'_> {
    serde_json::from_slice(image).unwrap_or_default()
}

fn record(id: &RecordId, entity: &Entity, members: &ImageMembers<'_>) -> Record {
    let raw = |name: &str| members.get(name).map_or("null", |raw| raw.get());
    let time = |name: &str| {
        let text = serde_json::from_str::<&str>(raw(name)).ok();
        Timestamp(text.and_then(text_form::millis).unwrap_or(0))
    };
    Record {
        id: id.clone(),
        version: serde_json::from_str(raw("version")).unwrap_or_default(),
        created_at: time("created_at"),
        updated_at: time("updated_at"),
        values: entity.fields.iter().map(|field| value(&field.kind, raw(&field.name))).collect(),
    }
}

fn value(kind: &FieldKind, raw: &str) -> Value {
    if raw == "null" {
        return Value::Null;
    }
    let value = match kind {
        FieldKind::Json => return Value::Json(raw.to_owned()),
        FieldKind::Bool => serde_json::from_str(raw).map(Value::Bool),
        FieldKind::Int { .. } => serde_json::from_str(raw).map(Value::Int),
        FieldKind::Float { .. } => serde_json::from_str(raw).map(Value::Float),
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => serde_json::from_str(raw).map(Value::Text),
    };
    value.unwrap_or(Value::Null)
}
