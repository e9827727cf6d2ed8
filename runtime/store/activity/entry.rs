//! `ActivityEntry`: one change as a user may know of it, and its JSON, which is the same over HTTP and in frames.
//!
//! Judges nothing: what it may say was decided when it was made.

use std::sync::Arc;

use crate::ids::{RecordId, Seq, Timestamp};
use crate::schema::EntityName;
use crate::schema::value::write_json_of;
use crate::store::{ChangeCause, ChangeOp};

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActivityEntry {
    pub seq: Seq,
    /// When it was committed.
    pub at: Timestamp,
    /// Who made it; `None` for an anonymous caller and for the server.
    pub by: Option<Arc<str>>,
    pub op: ChangeOp,
    /// Of a delete that no one asked for.
    pub cause: Option<ChangeCause>,
    pub entity: EntityName,
    pub id: RecordId,
    /// The record's name for people: that after the change, and of a deleted record the last. `None` where it has none, or
    /// the user may not see it.
    pub label: Option<Arc<str>>,
    /// Of an update, the fields that changed and that the user may see.
    pub changed: Option<Vec<Arc<str>>>,
}

impl ActivityEntry {
    /// `{"seq":…,"at":…,"by":…,"op":…,"entity":…,"id":…}`, and of `cause`, `label` and `changed` what there is.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(b"{\"seq\":");
        write_json_of(&self.seq, json);
        json.extend_from_slice(b",\"at\":");
        write_json_of(&self.at.rfc3339(), json);
        json.extend_from_slice(b",\"by\":");
        write_json_of(&self.by.as_deref(), json);
        json.extend_from_slice(b",\"op\":");
        write_json_of(self.op.word(), json);
        if let Some(cause) = self.cause {
            json.extend_from_slice(b",\"cause\":");
            write_json_of(cause.word(), json);
        }
        json.extend_from_slice(b",\"entity\":");
        write_json_of(&*self.entity, json);
        json.extend_from_slice(b",\"id\":");
        write_json_of(self.id.as_str(), json);
        if let Some(label) = &self.label {
            json.extend_from_slice(b",\"label\":");
            write_json_of(&**label, json);
        }
        if let Some(changed) = &self.changed {
            json.extend_from_slice(b",\"changed\":");
            write_json_of(changed, json);
        }
        json.push(b'}');
    }
}
