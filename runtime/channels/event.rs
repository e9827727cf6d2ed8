//! What a change is for a sight: the one function by which groups, attachments that catch up, replays and polls decide.
//!
//! Knows no channel text and no bytes; `encode` makes frames of what is decided here.

use crate::rules::{Mask, Sight, Verdict};
use crate::schema::Record;
use crate::store::{Change, ChangeOp, Scope};

/// One event, as a subscriber with one sight has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Never `Verdict::Nothing`.
    pub verdict: Verdict,
    /// Fields of the record that are not shown with it.
    pub mask: Mask,
}

/// What `change` is for a subscriber of `scope` under `sight`, if it is anything.
///
/// A change of another schema generation is nothing: its records have another shape than the sight, and nobody goes on
/// across the change of the schema between them.
pub fn judge(change: &Change, scope: &Scope, sight: &Sight) -> Option<Event> {
    if !scope.contains(change) || change.generation != sight.generation {
        return None;
    }
    let seen = if sight.predicate().is_true() {
        // Whatever the records hold; so they need not be decoded.
        existed(change)
    } else {
        let rows = change.rows(&sight.entity);
        let sees = |record: &Option<Record>| record.as_ref().is_some_and(|record| sight.sees(record));
        (sees(&rows.old), sees(&rows.new))
    };
    let verdict = Verdict::of(seen, existed(change), || is_readable(change, sight));
    (verdict != Verdict::Nothing).then(|| Event { verdict, mask: mask(change, sight, verdict) })
}

/// Whether the record existed before the change and exists after it.
pub(super) fn existed(change: &Change) -> (bool, bool) {
    (change.op != ChangeOp::Create, change.op != ChangeOp::Delete)
}

/// Whether the rule lets the record be read after the change, in the filter or not.
pub(super) fn is_readable(change: &Change, sight: &Sight) -> bool {
    let new = change.rows(&sight.entity).new.as_ref();
    new.is_some_and(|new| sight.rule.matches(new))
}

/// What is not shown with an event of this verdict.
pub(super) fn mask(change: &Change, sight: &Sight, verdict: Verdict) -> Mask {
    let shown = matches!(verdict, Verdict::Created | Verdict::Entered | Verdict::Updated);
    if sight.fields.is_empty() || !shown {
        return Mask::default();
    }
    let new = change.rows(&sight.entity).new.as_ref();
    new.map(|record| sight.mask(record)).unwrap_or_default()
}
