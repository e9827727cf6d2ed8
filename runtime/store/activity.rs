//! What is asked of the activity, and what it tells: which record was changed, when and by whom, and no values (SEMANTICS X6).
//!
//! Knows neither rules nor how the log is kept.

use std::sync::Arc;

use super::{ChangeOp, Who};
use crate::ids::{RecordId, Seq, Timestamp};
use crate::schema::{EntityName, Value};

/// One page of the activity looks at no more entries of the log.
pub const MOST_LOOKED_AT: usize = 10_000;

/// A page of the activity, newest first.
#[derive(Debug, Clone)]
pub struct ActivityQuery {
    pub who: Who,
    /// Of these entities alone; `None` for all that have an activity.
    pub entities: Option<Vec<EntityName>>,
    /// Begin with the entry before this one.
    pub before: Option<Seq>,
    /// Entries at most.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActivityPage {
    pub entries: Vec<ActivityEntry>,
    /// Where the next page begins; `None` at the end. A page may be shorter than its limit, or empty, and still have one.
    pub next: Option<Seq>,
}

/// One change as a user may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityEntry {
    pub seq: Seq,
    /// When it was committed.
    pub at: Timestamp,
    /// Who made it; `None` for an anonymous caller and for the server.
    pub by: Option<Arc<str>>,
    pub op: ChangeOp,
    pub entity: EntityName,
    pub id: RecordId,
    /// The record's name for people: that after the change, and of a deleted record the last. `None` where it has none, or
    /// the user may not see it.
    pub label: Option<Arc<str>>,
    /// Of an update, the fields that changed and that the user may see.
    pub changed: Option<Vec<Arc<str>>>,
}

/// The text of a label.
pub fn label_text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Null => None,
        Value::Text(text) | Value::Json(text) => Some(text.as_str().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        Value::Int(number) => Some(number.to_string().into()),
        Value::Float(number) => Some(number.to_string().into()),
    }
}
