//! Parts of a record as the log has them.

use bytes::Bytes;
use tidewire::schema::{Entity, FieldIndex, Record};

/// `{"title":"a","priority":1}`
pub(super) fn fields(entity: &Entity, record: &Record, fields: &[FieldIndex]) -> Bytes {
    let member = |field: &FieldIndex| {
        let mut value = Vec::new();
        record.values[field.0].write_json(&mut value);
        format!("\"{}\":{}", entity.at(*field).name, String::from_utf8(value).unwrap())
    };
    format!("{{{}}}", fields.iter().map(member).collect::<Vec<_>>().join(",")).into()
}

/// `["title","priority"]`
pub(super) fn names(entity: &Entity, fields: &[FieldIndex]) -> Bytes {
    let names: Vec<&str> = fields.iter().map(|field| &*entity.at(*field).name).collect();
    serde_json::to_vec(&names).unwrap().into()
}
