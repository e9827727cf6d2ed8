//! What is asked of the activity, and the answer.

use std::sync::Arc;

use super::entry::ActivityEntry;
use super::scope::ActivityScope;
use crate::ids::Seq;
use crate::schema::EntityName;
use crate::store::Who;

/// One page of the activity looks at no more entries of the log.
pub const MOST_LOOKED_AT: usize = 10_000;

/// A page of the activity, newest first.
#[derive(Debug, Clone)]
pub struct ActivityQuery {
    pub sight: ActivitySight,
    /// Begin with the entry before this one.
    pub before: Option<Seq>,
    /// Entries at most.
    pub limit: usize,
}

/// By whose rights, and of which entities.
#[derive(Debug, Clone)]
pub enum ActivitySight {
    /// Bound inside the read's own transaction. Of these entities alone; `None` for all that have an activity.
    Of { who: Who, entities: Option<Vec<EntityName>> },
    /// Bound before: the caller asks `rights_changed` after the read, and only then shows what was read.
    Bound(Arc<ActivityScope>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActivityPage {
    pub entries: Vec<ActivityEntry>,
    /// Where the next page begins; `None` at the end. A page may be shorter than its limit, or empty, and still have one.
    pub next: Option<Seq>,
    /// That by which the entries were read for a person: who subscribes with the same sees the same.
    pub scope: Option<Arc<ActivityScope>>,
}
