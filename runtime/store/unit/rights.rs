//! Whose rights a change concerns, for code that announces changes read from the log: the log does not hold it.
//!
//! Does not know what the rights are; `rules::Rights` says which changes are changes of a user's.

use std::sync::Arc;

use crate::store::relations::Relations;
use crate::store::{Change, ChangeOp};

/// A change that was read from the log, as it was when it was written.
pub fn found_again(change: Arc<Change>, relations: &Relations) -> Arc<Change> {
    let relation = relations.get(&change.entity).filter(|_| change.op != ChangeOp::Schema);
    let Some(relation) = relation else { return change };
    let rows = change.rows(&relation.entity);
    let rights = relations.rights.concerned(&change.entity, rows.old.as_ref(), rows.new.as_ref());
    if rights.is_empty() {
        return change;
    }
    Arc::new(Change { rights, ..Arc::unwrap_or_clone(change) })
}
