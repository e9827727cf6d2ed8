//! What a change is for a subscriber, and how that is decided of records.
//!
//! Knows no channel text and no bytes; `encode` makes frames of what is decided here.

use std::sync::Arc;

use crate::rules::{Mask, ReadScope, Sides, Verdict};
use crate::schema::Record;
use crate::store::{ActivityEntry, Change, ChangeOp, Scope};

/// One event, as a subscriber has it who sees this much.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Of a record.
    Record {
        /// Never `Verdict::Nothing`.
        verdict: Verdict,
        /// Fields of the record that are not shown with it.
        mask: Mask,
    },
    /// Of the activity.
    Entry(Arc<ActivityEntry>),
}

/// What `change` is for a subscriber of `scope` under `read_scope`, if it is anything.
///
/// A change of another schema generation is nothing: its records have another shape than the read scope, and no one continues
/// across the change of the schema between them.
pub fn judge(change: &Change, scope: &Scope, read_scope: &ReadScope) -> Option<Event> {
    if !scope.contains(change) || change.generation != read_scope.generation {
        return None;
    }
    let seen = if read_scope.predicate().is_true() {
        // Whatever the records hold; so they need not be decoded.
        existed(change)
    } else {
        let rows = change.rows(&read_scope.entity);
        let sees = |record: &Option<Record>| record.as_ref().is_some_and(|record| read_scope.sees(record));
        Sides { old: sees(&rows.old), new: sees(&rows.new) }
    };
    let verdict = Verdict::of(seen, existed(change), || is_readable(change, read_scope));
    (verdict != Verdict::Nothing).then(|| Event::Record { verdict, mask: mask(change, read_scope, verdict) })
}

/// Whether the record existed before the change and exists after it.
pub(super) fn existed(change: &Change) -> Sides {
    Sides { old: change.op != ChangeOp::Create, new: change.op != ChangeOp::Delete }
}

/// Whether the rule lets the record be read after the change, in the filter or not.
pub(super) fn is_readable(change: &Change, read_scope: &ReadScope) -> bool {
    let new = change.rows(&read_scope.entity).new.as_ref();
    new.is_some_and(|new| read_scope.rule.matches(new))
}

/// What is not shown with an event of this verdict.
pub(super) fn mask(change: &Change, read_scope: &ReadScope, verdict: Verdict) -> Mask {
    let shown = matches!(verdict, Verdict::Created | Verdict::Entered | Verdict::Updated);
    if read_scope.fields.is_empty() || !shown {
        return Mask::default();
    }
    let new = change.rows(&read_scope.entity).new.as_ref();
    new.map(|record| read_scope.mask(record)).unwrap_or_default()
}
