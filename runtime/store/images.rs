//! The JSON that a log entry holds beside the record itself. Does not know when entries are written.

use bytes::Bytes;

use super::{Change, Stored};
use crate::rules::ReadScope;
use crate::schema::value::write_json_of;
use crate::schema::{Entity, FieldIndex, Record};

/// The images of one log entry, as `Change` describes them.
#[derive(Default)]
pub(in crate::store) struct Images {
    pub(in crate::store) before: Option<Bytes>,
    pub(in crate::store) after: Option<Bytes>,
    pub(in crate::store) changed: Option<Bytes>,
}

/// Bytes of both images of a change: what the bounds of pages, units and group commits count.
pub(in crate::store) fn image_bytes(change: &Change) -> usize {
    change.before.as_ref().map_or(0, Bytes::len) + change.after.as_ref().map_or(0, Bytes::len)
}

pub(in crate::store) fn stored(record: &Record, entity: &Entity) -> Stored {
    Stored { version: record.version, json: record.to_json(entity) }
}

/// What is shown of a record that is seen.
pub(in crate::store) fn shown(record: &Record, read_scope: &ReadScope) -> Stored {
    let mask = read_scope.mask(record);
    Stored { version: record.version, json: record.to_json_without(&read_scope.entity, mask.hidden()) }
}

/// `{"status":"open",…}` with the record's values of these fields.
pub(in crate::store) fn fields_json(entity: &Entity, record: &Record, fields: &[FieldIndex]) -> Bytes {
    let mut out = vec![b'{'];
    for field in fields {
        if out.len() > 1 {
            out.push(b',');
        }
        write_json_of(&*entity.at(*field).name, &mut out);
        out.push(b':');
        record.values[field.0].write_json(&mut out);
    }
    out.push(b'}');
    out.into()
}

/// `["status",…]`
pub(in crate::store) fn names_json(entity: &Entity, fields: &[FieldIndex]) -> Bytes {
    let mut out = vec![b'['];
    for field in fields {
        if out.len() > 1 {
            out.push(b',');
        }
        write_json_of(&*entity.at(*field).name, &mut out);
    }
    out.push(b']');
    out.into()
}
